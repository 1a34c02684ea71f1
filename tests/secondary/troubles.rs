//! Primaries that fail, refuse, fall behind or come back, and notifications from those who may not send them.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::common::program;
use super::keys::Key;
use super::node::{Node, PATIENCE, Source};
use super::primary::{Kind, Primary, knot};
use super::zones::{Changing, HOUR, Zone};
use super::{NOTIFIED_MAX, address, is_skipped};

/// The name of the zone.
const ORIGIN: &str = "changing.test.";
/// REFRESH, RETRY and EXPIRE of zones that are asked for often.
const SHORT: [u32; 3] = [2, 2, 4];
/// So that EXPIRE is what the SOA says.
const SHORT_TEMPLATE: &str = "expire-min = \"1s\"";
/// How long nothing is to happen.
const NOTHING: Duration = Duration::from_millis(1500);

/// A primary with a zone, the node that is told of nothing, and the zone.
fn pair(kind: Kind, timers: [u32; 3], template: &str) -> (Primary, Node, Zone, Changing) {
    let changing = Changing::new(ORIGIN, timers);
    let zone = Zone::new(ORIGIN, changing.text(), Some(Key::new("hmac-sha256")));
    let primary = Primary::start(kind, std::slice::from_ref(&zone), address());
    let node = Node::start(address(), std::slice::from_ref(&zone), &[(primary.address, None)], template);
    node.wait_for_serial(ORIGIN, 1, PATIENCE);
    (primary, node, zone, changing)
}

/// Sends a notification with `kdig`; returns its word for the RCODE, or that of the TSIG record.
fn notify(node: &Node, origin: &str, key: Option<&Key>, source: &str, transport: &str) -> String {
    let mut command = Command::new(program("kdig").expect("the test has looked for it"));
    let (address, port) = (node.address().ip().to_string(), node.address().port().to_string());
    command.args([&format!("@{address}"), "-p", &port, "-b", source, origin, "NOTIFY=99", transport]);
    if let Some(key) = key {
        command.args(["-y", &key.argument()]);
    }
    let output = command.output().expect("kdig runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = text.split("status: ").nth(1).and_then(|rest| rest.split(';').next());
    word.unwrap_or_else(|| panic!("{command:?}: {output:?}")).to_owned()
}

#[test]
fn only_those_who_may_can_notify() {
    if is_skipped("only those who may can notify", Kind::Knot) {
        return;
    }
    let (primary, node, zone, mut changing) = pair(Kind::Knot, HOUR, "");
    primary.change(&mut changing);
    let (right, wrong) = (zone.key.as_ref(), Key::new("hmac-sha256").with_other_secret());
    let unknown = Key::new("hmac-sha1");
    for transport in ["+notcp", "+tcp"] {
        let said = |origin, key, source| notify(&node, origin, key, source, transport);
        assert_eq!(said(ORIGIN, right, "127.0.0.9"), "REFUSED", "another address");
        assert_eq!(said(ORIGIN, None, "127.0.0.1"), "REFUSED", "no signature");
        assert_eq!(said(ORIGIN, Some(&unknown), "127.0.0.1"), "BADKEY", "an unknown key");
        assert_eq!(said(ORIGIN, Some(&wrong), "127.0.0.1"), "BADSIG", "a wrong secret");
        assert_eq!(said("other.test.", right, "127.0.0.1"), "NOTAUTH", "another zone");
    }
    std::thread::sleep(NOTHING);
    assert_eq!(node.serial(ORIGIN), Some(1));
    assert_eq!(notify(&node, ORIGIN, right, "127.0.0.1", "+tcp"), "NOERROR");
    node.wait_for_serial(ORIGIN, 2, NOTIFIED_MAX);
}

#[test]
fn a_lost_journal_makes_the_zone_come_whole() {
    if is_skipped("a lost journal", Kind::Knot) {
        return;
    }
    let (mut primary, node, zone, mut changing) = pair(Kind::Knot, HOUR, "");
    primary.change(&mut changing);
    assert_eq!(notify(&node, ORIGIN, zone.key.as_ref(), "127.0.0.1", "+notcp"), "NOERROR");
    node.wait_for_serial(ORIGIN, 2, NOTIFIED_MAX);
    assert_eq!(node.log("changes transferred").len(), 1);
    primary.stop();
    fs::remove_dir_all(primary.folder.path().join("db/journal")).expect("the journal was there");
    changing.step();
    primary.write(ORIGIN, &changing.text());
    primary.run();
    assert_eq!(notify(&node, ORIGIN, zone.key.as_ref(), "127.0.0.1", "+notcp"), "NOERROR");
    node.wait_for_serial(ORIGIN, 3, NOTIFIED_MAX);
    node.compare(primary.address, &zone, true);
    assert_eq!(node.log("the whole zone transferred").len(), 2);
    assert!(node.log(" WARN ").is_empty(), "{:?}", node.log(""));
}

#[test]
fn differences_of_nsd_that_are_not_exact_make_the_zone_come_whole() {
    if is_skipped("inexact differences", Kind::Nsd) {
        return;
    }
    let (primary, node, zone, mut changing) = pair(Kind::Nsd, [2, 2, 86_400], "");
    // NSD 4.6.1 adds an RRset of the apex that came with one version again with each that follows.
    changing.serial = 3;
    for serial in [4, 5] {
        primary.change(&mut changing);
        node.wait_for_serial(ORIGIN, serial, PATIENCE);
    }
    node.compare(primary.address, &zone, true);
    assert_eq!(node.log("changes transferred").len(), 1);
    assert_eq!(node.log("bad changes: the zone has the record already").len(), 1, "{:?}", node.log(""));
}

#[test]
fn a_zone_outlives_its_primary_until_it_expires_and_comes_back() {
    if is_skipped("expiry", Kind::Knot) {
        return;
    }
    let (mut primary, node, _, mut changing) = pair(Kind::Knot, SHORT, SHORT_TEMPLATE);
    primary.stop();
    let start = Instant::now();
    node.wait_for_line("can't connect: Connection refused");
    assert_eq!(node.serial(ORIGIN), Some(1));
    let invalid_data = 24;
    assert_eq!(node.wait_for_failure(ORIGIN, PATIENCE), Some(invalid_data));
    assert!(start.elapsed() > Duration::from_secs(2), "EXPIRE has not passed since a primary confirmed it");
    node.wait_for_line("no primary has confirmed it for longer than its EXPIRE");
    primary.run();
    // The version that it had is current still.
    node.wait_for_serial(ORIGIN, 1, PATIENCE);
    primary.change(&mut changing);
    node.wait_for_serial(ORIGIN, 2, PATIENCE);
    assert_eq!(node.log("can't connect").len(), 1, "{:?}", node.log(""));
    assert_eq!(node.log("answers as it should again").len(), 1);
}

#[test]
fn a_primary_that_is_dead_refuses_or_lags_is_passed_over() {
    if is_skipped("the second primary", Kind::Knot) {
        return;
    }
    let other = Zone::new("other.test.", super::zones::apex("other.test.", 1, HOUR), Some(Key::new("hmac-sha256")));
    let old = Changing::new(ORIGIN, [2, 2, 86_400]);
    let mut new = old.clone();
    (0..3).for_each(|_| drop(new.step()));
    let [old, new] = [old, new].map(|zone| Zone::new(ORIGIN, zone.text(), Some(Key::new("hmac-sha256"))));
    let zones = std::slice::from_ref(&new);
    let current = Primary::start(Kind::Knot, zones, address());
    let refusing = Primary::start(Kind::Knot, &[other], address());
    let lagging = Primary::start(Kind::Knot, &[old], address());
    let sources = |first| -> [Source; 2] { [(first, None), (current.address, None)] };
    for (first, reason) in
        [(address(), "can't connect: Connection refused"), (refusing.address, "the primary answers NOTAUTH")]
    {
        let node = Node::start(address(), zones, &sources(first), "");
        node.wait_for_serial(ORIGIN, 4, PATIENCE);
        node.wait_for_line(&format!("zone {ORIGIN}: {first}: "));
        assert_eq!(node.log(reason).len(), 1, "{:?}", node.log(""));
        node.compare(current.address, &new, true);
    }
    // Who lags is asked alone once the other is gone, and takes nothing back.
    let node = Node::start(address(), zones, &[(current.address, None), (lagging.address, None)], "");
    node.wait_for_serial(ORIGIN, 4, PATIENCE);
    drop(current);
    let line = node.wait_for_line("the primary has serial 1, which is before ours");
    assert!(line.contains(&lagging.address.to_string()), "{line}");
    assert_eq!(node.serial(ORIGIN), Some(4));
}

#[test]
fn a_wrong_key_is_told_once() {
    for kind in [Kind::Nsd, Kind::Knot, Kind::Bind, Kind::PowerDns] {
        if is_skipped("a wrong key", kind) {
            return;
        }
        let changing = Changing::new(ORIGIN, HOUR);
        let zone = Zone::new(ORIGIN, changing.text(), Some(Key::new("hmac-sha256")));
        let primary = Primary::start(kind, std::slice::from_ref(&zone), address());
        let wrong = Zone { key: Some(Key::new("hmac-sha256").with_other_secret()), ..zone };
        let node = Node::start(address(), &[wrong], &[(primary.address, None)], "");
        let line = node.wait_for_line(&format!("zone {ORIGIN}: {}: ", primary.address));
        eprintln!("{kind:?}: {line}");
        // Without a zone, the second retry is there after three seconds.
        std::thread::sleep(Duration::from_millis(3500));
        assert_eq!(node.log(" WARN zone").len(), 1, "{:?}", node.log(""));
        assert!(node.wait_for_failure(ORIGIN, PATIENCE).is_some(), "SERVFAIL says why");
    }
}

#[test]
fn a_key_that_is_set_right_is_used_at_once() {
    if is_skipped("a key that is set right", Kind::Knot) {
        return;
    }
    let (primary, node, zone, mut changing) = pair(Kind::Knot, HOUR, "");
    let right = zone.key.expect("it has one");
    let wrong = right.clone().with_other_secret();
    node.reload(&right.secret, &wrong.secret);
    node.wait_for_line(" WARN zone");
    primary.change(&mut changing);
    assert_eq!(node.serial(ORIGIN), Some(1));
    node.reload(&wrong.secret, &right.secret);
    node.wait_for_serial(ORIGIN, 2, NOTIFIED_MAX);
}

#[test]
fn the_expiry_of_a_primary_that_is_a_secondary_itself_is_obeyed() {
    if is_skipped("EXPIRE", Kind::Knot) {
        return;
    }
    let timers = [2, 2, 8];
    let zone = Zone::new(ORIGIN, Changing::new(ORIGIN, timers).text(), None);
    let mut above = Primary::start(Kind::Knot, std::slice::from_ref(&zone), address());
    let empty = Zone::new(ORIGIN, "", None);
    let master = format!("master {}", knot(above.address));
    let port = super::common::server::free_port();
    let between = Primary::start_at(Kind::Knot, &[empty], address(), port, &master);
    let node = Node::start(address(), &[zone], &[(between.address, None)], SHORT_TEMPLATE);
    node.wait_for_serial(ORIGIN, 1, PATIENCE);
    above.stop();
    let start = Instant::now();
    node.wait_for_failure(ORIGIN, PATIENCE);
    // The one between confirmed it until it expired there: EXPIRE began anew with each time otherwise.
    let took = start.elapsed();
    assert!(took < Duration::from_secs(11), "{took:?} with EXPIRE of 8 s:\n{}", node.log("").join("\n"));
}

#[test]
fn many_names_come_while_others_are_answered() {
    if is_skipped("many names", Kind::Nsd) {
        return;
    }
    let count = std::env::var("FATED_SECONDARY_NAMES").map_or(500_000, |text| text.parse().expect("a number"));
    let key = Some(Key::new("hmac-sha256"));
    let mut text = super::zones::apex("many.test.", 1, HOUR);
    (0..count).for_each(|n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        text.push_str(&format!("n{n}.many.test. 300 A 10.{a}.{b}.{c}\n"));
    });
    let zones = [
        Zone::new("small.test.", super::zones::apex("small.test.", 1, HOUR), key.clone()),
        Zone::new("many.test.", text, key),
    ];
    let primary = Primary::start(Kind::Nsd, &zones, address());
    let start = Instant::now();
    let node = Node::start(address(), &zones, &[(primary.address, None)], "");
    node.wait_for_serial("small.test.", 1, PATIENCE);
    let (mut asked, mut slowest) = (0, Duration::ZERO);
    while node.log("zone many.test.: the whole zone transferred").is_empty() {
        let asking = Instant::now();
        assert_eq!(node.serial("small.test."), Some(1));
        (asked, slowest) = (asked + 1, slowest.max(asking.elapsed()));
        assert!(start.elapsed() < 5 * PATIENCE, "{:?}", node.log(""));
    }
    node.wait_for_serial("many.test.", 1, PATIENCE);
    let time = start.elapsed();
    // SOA, NS and address of the apex, and the SOA at the end.
    assert_eq!(node.log(&format!(" records={} ", count + 4)).len(), 1, "{:?}", node.log(""));
    let memory = |node: &Node, what| memory_kib(node.process_id(), what);
    let [peak, resident] = ["VmHWM", "VmRSS"].map(|what| memory(&node, what));
    let file = primary.folder.path().join("zone-many.test");
    let from_file = Node::start_with_file(address(), "many.test.", &file);
    from_file.wait_for_serial("many.test.", 1, PATIENCE);
    let [file_peak, file_resident] = ["VmHWM", "VmRSS"].map(|what| memory(&from_file, what));
    eprintln!(
        "{count} names in {time:?}: {resident} KiB resident, {peak} at most; \
         from the file {file_resident}, {file_peak}; \
         {asked} queries meanwhile, the slowest in {slowest:?}"
    );
    // The system's own share weighs more with few names.
    assert!(resident * 100 <= file_resident * 115 + 1_000_000, "{resident} KiB, from the file {file_resident}");
    assert!(asked > 100, "the zone came before anything else was asked");
    assert!(slowest < Duration::from_secs(1), "a query is sent again after 1.5 s: {slowest:?}");
}

/// What the kernel says of a process's memory.
fn memory_kib(process: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with(what)).expect("the kernel says it");
    line.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
}
