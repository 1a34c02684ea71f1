//! Servers behind each other: a primary that reads a file, a node between, and leaves. What the first has, all have
//! soon, record for record; what they had outlives a kill and the primary's death; and operators see and ask for it.

#[path = "common/command.rs"]
mod command;
mod common;

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use command::{PATIENCE, Server, Site};
use common::Dice;

/// The key of all transfers.
const KEY: &str =
    "[[key]]\nname = \"xfr\"\nalgorithm = \"hmac-sha256\"\nsecret = \"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=\"\n";

/// A pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// One server of the chain.
struct Node {
    site: Site,
    server: Option<Server>,
    address: SocketAddr,
}

impl Node {
    /// A server with these lines of configuration.
    fn start(site: Site, zone: &str) -> Self {
        site.write("fated.toml", format!("[server]\nstate-dir = \"state\"\n{KEY}{zone}"));
        let server = site.serve(&["--config", "fated.toml"]);
        Self { address: server.address, site, server: Some(server) }
    }

    /// A primary with a file.
    fn primary() -> Self {
        let site = Site::new();
        site.write("zones/tier.test.zone", version(1));
        let allow = "allow-transfer = [{ prefix = \"127.0.0.1\", key = \"xfr\" }]\n";
        Self::start(site, &format!("[[zone]]\nname = \"tier.test\"\nfile = \"zones/tier.test.zone\"\n{allow}"))
    }

    /// A secondary of another.
    fn secondary(of: SocketAddr) -> Self {
        let allow = "allow-transfer = [{ prefix = \"127.0.0.1\", key = \"xfr\" }]\n";
        let primaries = format!("primaries = [{{ address = \"{of}\", key = \"xfr\" }}]\n");
        Self::start(Site::new(), &format!("[[zone]]\nname = \"tier.test\"\n{primaries}{allow}"))
    }

    /// What `fated zone export` writes, SOA and all.
    fn export(&self) -> String {
        let said = self.site.ask(&["zone", "export", "tier.test"]);
        if said.code == 0 { said.out } else { said.err }
    }

    /// Waits until the zone is what `wanted` is.
    fn wait_for(&self, wanted: &str) {
        let start = Instant::now();
        let mut seen = self.export();
        while seen != wanted {
            assert!(start.elapsed() < PATIENCE, "not the primary's:\n{seen}\nbut:\n{wanted}");
            thread::sleep(PAUSE);
            seen = self.export();
        }
    }

    /// Ends it at once.
    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.child.kill().expect("ours");
            server.child.wait().expect("ours");
        }
    }
}

/// A version of the zone: records come, go and change, the apex and TTLs too. It is asked for every two seconds.
fn version(serial: u32) -> String {
    let mut text = format!(
        "$TTL {}\n@ SOA ns hostmaster {serial} 2 2 86400 300\n@ NS ns\n@ TXT \"version {serial}\"\nns A 192.0.2.1\n",
        300 + serial % 3
    );
    for host in (0..30).filter(|host| !(host + serial).is_multiple_of(7)) {
        text.push_str(&format!("host{host} A 192.0.2.{}\nhost{host} TXT \"{}\"\n", host + 1, serial / 5));
    }
    if serial.is_multiple_of(4) {
        text.push_str("deep.empty.below A 192.0.2.9\n*.wild MX 10 Host1\n");
    }
    text
}

#[test]
fn three_tiers_have_each_version_and_keep_it() {
    let mut primary = Node::primary();
    let mut middle = Node::secondary(primary.address);
    let mut leaf = Node::secondary(middle.address);
    leaf.wait_for(&primary.export());

    for serial in 2..=30 {
        primary.site.write("zones/tier.test.zone", version(serial));
        primary.site.ask(&["reload", "tier.test"]).expect(0, &[]);
        middle.site.ask(&["zone", "refresh", "tier.test"]).expect(0, &[]);
        leaf.site.ask(&["zone", "refresh", "tier.test"]).expect(0, &[]);
        let wanted = primary.export();
        middle.wait_for(&wanted);
        leaf.wait_for(&wanted);
    }
    // Without being told, by REFRESH.
    primary.site.write("zones/tier.test.zone", version(31));
    primary.site.ask(&["reload"]).expect(0, &[]);
    let last = primary.export();
    leaf.wait_for(&last);

    // Killed, and the primary is dead: the last version is served at once, and is sent on.
    let again = leaf.site.ask(&["zone", "status", "tier.test"]);
    again.expect(0, &[]);
    assert!(again.out.starts_with("tier.test.  serial 31\n"), "{}", again.out);
    [&mut primary, &mut middle, &mut leaf].into_iter().for_each(Node::kill);
    let server = leaf.site.serve(&["--config", "fated.toml"]);
    assert!(server.seen.iter().any(|line| line.contains("serial 31")), "{:?}", server.seen);
    leaf.server = Some(server);
    assert_eq!(leaf.export(), last);
    let refused = leaf.site.ask(&["zone", "refresh", "tier.test"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.out.contains("Connection refused"), "{refused:?}");
}

#[test]
fn a_zone_comes_whole_again_where_that_is_asked_for() {
    let primary = Node::primary();
    let secondary = Node::secondary(primary.address);
    secondary.wait_for(&primary.export());
    // The primary went back, which nobody follows but by order.
    primary.site.write("zones/tier.test.zone", version(0));
    primary.site.ask(&["reload", "tier.test"]).expect(0, &[]);
    let refused = secondary.site.ask(&["zone", "refresh", "tier.test"]);
    assert!(refused.out.contains("has serial 0, which is before ours"), "{refused:?}");
    secondary.site.ask(&["zone", "retransfer", "tier.test"]).expect(0, &[]);
    secondary.wait_for(&primary.export());
}

#[test]
fn what_is_no_secondary_zone_is_told() {
    let primary = Node::primary();
    let said = primary.site.ask(&["zone", "refresh", "tier.test"]);
    said.expect(3, &["no zone comes from primaries"]);
    let secondary = Node::secondary(primary.address);
    secondary.site.ask(&["zone", "refresh", "other.test"]).expect(3, &["no zone other.test. comes from primaries"]);
    secondary.site.ask(&["zone", "export", "other.test"]).expect(3, &["no zone other.test. is served"]);
    secondary.site.ask(&["reload", "tier.test"]).expect(3, &["comes from primaries, not from a file"]);
}

#[test]
fn a_purged_zone_is_forgotten_and_comes_anew() {
    let mut primary = Node::primary();
    let mut secondary = Node::secondary(primary.address);
    let wanted = primary.export();
    secondary.wait_for(&wanted);
    let purge = |node: &Node, force: &[&str]| node.site.ask(&[&["zone", "purge", "tier.test"], force].concat());
    purge(&secondary, &[]).expect(2, &["would be answered with SERVFAIL", "fated zone purge --force tier.test."]);
    assert_eq!(secondary.export(), wanted, "nothing is done without --force");
    let purged = purge(&secondary, &["--force"]);
    purged.expect(0, &[]);
    assert!(purged.out.starts_with("tier.test.  serial 1\n"), "it has come anew: {purged:?}");
    secondary.wait_for(&wanted);
    // With nobody to have it from it is gone, over a restart too.
    primary.kill();
    let purged = purge(&secondary, &["--force"]);
    assert_eq!(purged.code, 3, "{purged:?}");
    assert!(purged.out.contains("no version has come yet") && purged.out.contains("refused"), "{purged:?}");
    assert!(secondary.export().contains("no zone tier.test. is served"));
    secondary.server.as_ref().expect("runs").signal("-TERM");
    secondary.server.take().expect("runs").wait();
    let server = secondary.site.serve(&["--config", "fated.toml"]);
    assert!(!server.seen.iter().any(|line| line.contains("serial 1")), "{:?}", server.seen);
    secondary.server = Some(server);
    assert!(secondary.export().contains("no zone tier.test. is served"));
    purge(&Node::primary(), &["--force"]).expect(3, &["no zone comes from primaries"]);
}

#[test]
fn an_order_has_everybody_told_at_once() {
    let target = UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
    target.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let told = target.local_addr().expect("it is bound");
    let site = Site::new();
    site.write("zones/tier.test.zone", version(7));
    let zone = "[[zone]]\nname = \"tier.test\"\nfile = \"zones/tier.test.zone\"\n";
    let node = Node::start(site, &format!("{zone}notify = [{{ address = \"{told}\" }}]\n"));
    // Answers a notification; returns the serial in it.
    let take = || {
        let mut message = [0; 512];
        let (length, from) = target.recv_from(&mut message).expect("a notification");
        assert_eq!(message[2] >> 3 & 0xF, 4, "OPCODE NOTIFY: {message:x?}");
        message[2] |= 0x80;
        target.send_to(&message[..length], from).expect("sent");
        let serial = length - 20;
        u32::from_be_bytes([message[serial], message[serial + 1], message[serial + 2], message[serial + 3]])
    };
    assert_eq!(take(), 7, "at the start");
    for _ in 0..2 {
        let said = node.site.ask(&["zone", "notify", "tier.test"]);
        said.expect(0, &[]);
        assert_eq!(said.out, format!("tier.test.  serial 7\n  told     {told}\n"));
        assert_eq!(take(), 7);
    }
    node.site.ask(&["zone", "notify", "other.test"]).expect(3, &["no zone other.test. is served"]);
    let alone = Node::primary();
    alone.site.ask(&["zone", "notify", "tier.test"]).expect(3, &["nobody is to be told of tier.test.", "`notify`"]);
}

#[test]
fn how_far_a_transfer_is_can_be_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let secondary = Node::start(
        Site::new(),
        &format!(
            "[[zone]]\nname = \"tier.test\"\nprimaries = [{{ address = \"{}\" }}]\n",
            listener.local_addr().expect("it is bound")
        ),
    );
    let (mut stream, _) = listener.accept().expect("it asks");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a request");
    let mut request = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut request).expect("a request");
    // The SOA and a record, and then nothing for a while.
    let name = b"\x04tier\x04test\0";
    let soa = [&name[..], name, &[0; 3], &[1], &[0; 16]].concat();
    let record =
        |rtype: u8, rdata: &[u8]| [&name[..], &[0, rtype, 0, 1, 0, 0, 0, 60, 0, rdata.len() as u8], rdata].concat();
    let head = [&request[..2], &[0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0]].concat();
    let message = [head, record(6, &soa), record(1, &[192, 0, 2, 1])].concat();
    stream.write_all(&(message.len() as u16).to_be_bytes()).expect("it reads");
    stream.write_all(&message).expect("it reads");
    let wanted = format!("  asks     now: 2 records, {} octets so far\n", message.len());
    let start = Instant::now();
    loop {
        let said = secondary.site.ask(&["zone", "status", "tier.test"]);
        if said.out.contains(&wanted) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{wanted:?} is missing in {said:?}");
        thread::sleep(PAUSE);
    }
}

/// Hosts of the zone whose secondary is killed: so many that transfers and writes take a while.
const HOSTS: u32 = 20_000;
/// From one version of it to the next.
const VERSION_TIME: Duration = Duration::from_millis(80);

/// A version of it. Every fifth differs in each record from the one before, others in few.
fn large_version(serial: u32) -> String {
    let mut text = version(serial);
    for host in 0..HOSTS {
        let address = if host % 1000 == serial % 1000 { serial % 250 } else { 1 };
        text.push_str(&format!("many{host} {} A 192.0.2.{address}\n", 60 + serial / 5));
    }
    text
}

/// The versions that the primary has had, by serial, as exported.
#[derive(Default)]
struct Versions(Mutex<HashMap<u32, String>>);

impl Versions {
    /// The serial of an export.
    fn serial(text: &str) -> Option<u32> {
        let (_, rest) =
            text.lines().find_map(|line| line.split_once(" SOA ").or_else(|| line.split_once("\tSOA\t")))?;
        rest.split_whitespace().nth(2)?.parse().ok()
    }

    /// Whether a text is that of a version, as soon as the primary has noted it.
    fn have(&self, text: &str) -> bool {
        let Some(serial) = Self::serial(text) else { return false };
        let start = Instant::now();
        loop {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&serial).cloned();
            if let Some(known) = known {
                return known == text;
            }
            assert!(start.elapsed() < PATIENCE, "the primary never had serial {serial}");
            thread::sleep(PAUSE);
        }
    }
}

/// Says so when it is dropped.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills a secondary again and again while its primary has a new version all the time.
fn kill_often(times: usize) {
    let (primary, versions, is_over) = (Node::primary(), Versions::default(), AtomicBool::new(false));
    let mut dice = Dice::new(17);
    versions.0.lock().unwrap_or_else(PoisonError::into_inner).insert(1, primary.export());
    let mut leaf = Node::secondary(primary.address);
    let last = thread::scope(|scope| {
        let (versions, is_over) = (&versions, &is_over);
        // Also where something below fails, so that the scope ends.
        let _end = SetOnDrop(is_over);
        let changing = scope.spawn(move || {
            for serial in 2.. {
                primary.site.write("zones/tier.test.zone", large_version(serial));
                primary.site.ask(&["reload", "tier.test"]).expect(0, &[]);
                let text = primary.export();
                versions.0.lock().unwrap_or_else(PoisonError::into_inner).insert(serial, text);
                if is_over.load(Ordering::Relaxed) {
                    return primary;
                }
                thread::sleep(VERSION_TIME);
            }
            unreachable!("serials do not end")
        });
        let mut seen = BTreeSet::new();
        for kill in 0..times {
            leaf.kill();
            leaf.server = Some(leaf.site.serve(&["--config", "fated.toml"]));
            let text = leaf.export();
            // A kill before the first version was kept leaves none; what was kept once is never lost.
            if Versions::serial(&text).is_some() || !seen.is_empty() {
                assert!(versions.have(&text), "kill {kill}: no version of the primary's:\n{text:.2000}");
                seen.extend(Versions::serial(&text));
            }
            let mut asking = leaf.site.command(&["zone", "refresh", "tier.test", "--control"]);
            asking.arg(leaf.site.control()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut asking = asking.spawn().expect("fated starts");
            thread::sleep(Duration::from_micros(dice.below(150_000) as u64));
            leaf.kill();
            asking.wait().expect("it ends with the server");
        }
        println!("{times} kills, {} versions seen", seen.len());
        assert!(seen.len() > times / 10, "it got on meanwhile: {seen:?}");
        is_over.store(true, Ordering::Relaxed);
        changing.join().expect("the primary is well")
    });
    leaf.server = Some(leaf.site.serve(&["--config", "fated.toml"]));
    leaf.wait_for(&last.export());
}

#[test]
fn kills_at_any_moment_of_transfers_leave_versions_that_existed_whole() {
    kill_often(30);
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_kills_of_transfers_leave_versions_that_existed_whole() {
    kill_often(1000);
}
