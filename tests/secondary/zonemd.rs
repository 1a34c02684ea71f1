//! ZONEMD (RFC 8976) as `ldns-signzone` and Knot DNS make it, in files and in transfers: what verifies is served, and
//! what does not is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::address;
use super::command::Site;
use super::common::message::Query;
use super::common::sign::{Denial, sign};
use super::common::{ask, must_skip, name, program, skip_loudly};
use super::node::{self, Node, PATIENCE};
use super::primary::{Kind, Primary};
use super::zones::Zone;

/// What is odd in canonical form: letter case of owners and data, what a delegation hides, unknown types, repetitions.
const ODD: &str = "$ORIGIN Odd.test.
$TTL 3600
@ SOA ns1 Admin.Odd.test. 7 1800 900 604800 86400
@ NS ns1
@ NS NS2.Sub
ns1 A 192.0.2.1
SUB NS ns2.SUB
ns2.SUB A 192.0.2.2
hidden.sub TXT \"hidden\"
* MX 10 Mail.Odd.test.
odd TYPE65400 \\# 4 DEADBEEF
_s._tcp SRV 1 2 3 Target.Odd.test.
svc HTTPS 1 Target.Odd.test. alpn=h2
nap NAPTR 1 2 \"u\" \"E2U\" \"\" Repl.Odd.test.
rp RP Mail.Box. Txt.Example.
UP.Per A 192.0.2.9
up.per A 192.0.2.3
up.per A 192.0.2.9
dn.Per DNAME Else.Where.
deep.empty.nonterm TXT \"a\\000b\" \"C\"
";

/// Adds ZONEMD records with the digests of both algorithms.
fn with_digests(folder: &Path, origin: &str, text: &str) -> String {
    let (plain, out) = (folder.join("plain.zone"), folder.join("digested.zone"));
    fs::write(&plain, text).expect("the folder can be written to");
    let mut command = Command::new(program("ldns-signzone").expect("the test has looked for it"));
    command.args(["-Z", "-z", "1:1", "-z", "1:2", "-o", origin, "-f"]).arg(&out).arg(&plain);
    let output = command.output().expect("ldns-signzone runs");
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(out).expect("it was written");
    assert_eq!(text.matches("ZONEMD\t").count(), 2, "{text}");
    text
}

/// What `fated check` says of a zone of which ZONEMD is required: its exit code and stderr.
fn check(origin: &str, text: &str) -> (i32, String) {
    let site = Site::new();
    site.write("zone", text);
    let config = format!(
        "[[template]]\nname = \"default\"\nzonemd = \"require\"\n[[zone]]\nname = \"{origin}\"\nfile = \"zone\"\n"
    );
    site.write("fated.toml", config);
    let said = site.run(&["check", "--config", "fated.toml"]);
    (said.code, said.err)
}

/// Fails unless the zone verifies as it is, and does not with any line changed.
fn verifies_as_it_is_alone(origin: &str, text: &str) {
    let (code, err) = check(origin, text);
    assert_eq!(code, 0, "{origin}: {err}");
    assert!(!err.contains("zonemd"), "{origin}: {err}");
    let lines: Vec<&str> = text.lines().collect();
    let is_covered = |line: &str| !line.contains("ZONEMD") && !line.contains("SOA") && !line.starts_with([';', '$']);
    let covered: Vec<usize> = (0..lines.len()).filter(|at| is_covered(lines[*at]) && !lines[*at].is_empty()).collect();
    for at in covered.iter().step_by(1 + covered.len() / 40) {
        let without = [&lines[..*at], &lines[at + 1..]].concat().join("\n") + "\n";
        let (code, err) = check(origin, &without);
        assert!(code == 1 && err.contains("error[zonemd-digest]"), "without {}: {code} {err}", lines[*at]);
    }
}

#[test]
fn what_ldns_digests_verifies_and_nothing_else() {
    if must_skip("ldns", &["ldns-signzone", "dnssec-signzone"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    // A repetition that is left out changes no digest.
    let odd = with_digests(folder.path(), "odd.test.", &ODD.replace("up.per A 192.0.2.9\n", ""));
    verifies_as_it_is_alone("odd.test.", &odd);
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let signed = sign(folder.path(), "odd.test.", ODD, denial).text;
        let text = with_digests(folder.path(), "odd.test.", &signed);
        let (code, err) = check("odd.test.", &text);
        assert_eq!(code, 0, "{denial:?}: {err}");
    }
}

#[test]
fn the_signed_root_zone_verifies() {
    let folder = std::env::var_os("FATED_ROOT_ZONES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/zones"), PathBuf::from);
    let Ok(text) = fs::read_to_string(folder.join("root-2017-signed.zone")) else {
        skip_loudly("the root zone", "it is not there; set FATED_ROOT_ZONES");
        return;
    };
    if must_skip("the root zone", &["ldns-signzone"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let text = with_digests(folder.path(), ".", &text);
    assert_eq!(check(".", &text).0, 0, "{}", check(".", &text).1);
    let (code, err) = check(".", &text.replacen("\tNS\ta.nic.", "\tNS\tb.nic.", 1));
    assert!(code == 1 && err.contains("zonemd-digest"), "{err}");
}

#[test]
fn what_knot_signs_and_digests_is_taken_where_zonemd_is_required() {
    if must_skip("knot", &["knotd", "knotc", "kdig"]) {
        return;
    }
    let zone = Zone::new("odd.test.", ODD, None);
    let address = address();
    let primary = Primary::start(Kind::KnotSigning, std::slice::from_ref(&zone), address);
    let node = Node::start(address, std::slice::from_ref(&zone), &[(primary.address, None)], "zonemd = \"require\"");
    let serial = node::serial(primary.address, &zone.origin).expect("the primary has it");
    node.wait_for_serial(&zone.origin, serial, PATIENCE);
    node.compare(primary.address, &zone, true);
}

#[test]
fn a_version_that_does_not_verify_does_not_take_the_place_of_one_that_does() {
    if must_skip("wrong versions", &["nsd", "nsd-control", "ldns-signzone", "kdig"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    // NSD 4.6.1 sends the target of HTTPS in lower case, which is another record (RFC 4034 §6.2 does not list it).
    let odd = ODD.replace("HTTPS 1 Target.Odd.test.", "HTTPS 1 target.odd.test.");
    let text = |serial: u32| odd.replace(" 7 1800", &format!(" {serial} 1800"));
    let good = |serial| with_digests(folder.path(), "odd.test.", &text(serial));
    let zone = Zone::new("odd.test.", good(7), None);
    let address = address();
    let primary = Primary::start(Kind::Nsd, std::slice::from_ref(&zone), address);
    let node = Node::start(address, std::slice::from_ref(&zone), &[(primary.address, None)], "");
    node.wait_for_serial(&zone.origin, 7, PATIENCE);
    let publish = |text: &str| {
        primary.write(&zone.origin, text);
        primary.nsd_control(&["reload", &zone.origin]);
    };
    publish(&good(7).replace(" 7 1800", " 8 1800"));
    node.wait_for_line("bad transfer: ZONEMD is of the serial 7, but the SOA has 8, ZONEMD is of the serial 7");
    publish(&good(9).replace("192.0.2.1\n", "192.0.2.77\n"));
    node.wait_for_line("bad transfer: ZONEMD has another digest (hash algorithm 1) than the records of the zone");
    assert_eq!(node.serial(&zone.origin), Some(7));
    let status = node.status(&zone.origin);
    assert!(status.code == 3 && status.out.contains("  behind   2 serials\n"), "{status:?}");
    publish(&good(10));
    node.wait_for_serial(&zone.origin, 10, PATIENCE);
    node.compare(primary.address, &zone, true);
    let status = node.status(&zone.origin);
    assert!(status.code == 0 && !status.out.contains("behind"), "{status:?}");
}

#[test]
fn a_reload_keeps_a_zone_whose_file_does_not_verify_until_it_is_to_be_ignored() {
    if must_skip("reloads", &["ldns-signzone"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let good = with_digests(folder.path(), "odd.test.", ODD);
    let site = Site::new();
    let config = |rule: &str| format!("[[zone]]\nname = \"odd.test\"\nfile = \"odd.zone\"\nzonemd = \"{rule}\"\n");
    site.write("fated.toml", config("verify"));
    site.write("odd.zone", &good);
    let _server = site.serve(&["--config", "fated.toml"]);
    site.write("odd.zone", good.replace(" 7 1800", " 8 1800"));
    site.ask(&["reload"]).expect(1, &["zonemd-serial", "ZONEMD is of the serial 7, but the SOA has 8"]);
    assert_eq!(site.serials(), [("Odd.test.".to_owned(), 7)]);
    // The file is what it was, and yet read again.
    site.write("fated.toml", config("ignore"));
    site.ask(&["reload"]).expect(0, &[]);
    assert_eq!(site.serials(), [("Odd.test.".to_owned(), 8)]);
    site.write("fated.toml", config("require"));
    site.ask(&["reload"]).expect(1, &["zonemd-serial"]);
    assert_eq!(site.serials(), [("Odd.test.".to_owned(), 8)]);
}

#[test]
fn what_was_kept_is_judged_by_what_is_asked_at_the_start() {
    let (above, site) = (Site::new(), Site::new());
    above.write("odd.zone", ODD);
    above.write(
        "fated.toml",
        "[[zone]]\nname = \"odd.test\"\nfile = \"odd.zone\"\nallow-transfer = [{ prefix = \"127.0.0.1\" }]\n",
    );
    let primary = above.serve(&["--config", "fated.toml"]);
    let address = primary.address;
    let restart = |rule: &str| {
        site.write(
            "fated.toml",
            format!(
                "[server]\nstate-dir = \"state\"\n[[zone]]\nname = \"odd.test\"\nzonemd = \"{rule}\"\n\
                 primaries = [{{ address = \"{address}\" }}]\n"
            ),
        );
        site.serve(&["--config", "fated.toml"])
    };
    fs::create_dir(site.path("state")).expect("a folder");
    let server = restart("verify");
    let is_kept = || fs::read(site.path("state/transfers.redb")).is_ok_and(|octets| holds(&octets, b"hidden"));
    let end = Instant::now() + PATIENCE;
    while !is_kept() {
        assert!(Instant::now() < end, "it is not kept");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop((primary, server));
    // The zone has no ZONEMD, and nobody gives another.
    let server = restart("require");
    let query = Query::new(&name::name("odd.test."), 6);
    assert_eq!(ask::ask_udp(server.address, &query).rcode(), 2);
    assert!(server.seen.iter().any(|line| line.contains("what is kept of it is not served")), "{:?}", server.seen);
    drop(server);
    let server = restart("verify");
    assert_eq!(node::serial(server.address, "odd.test."), Some(7));
}

/// Whether some octets stand in others.
fn holds(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}
