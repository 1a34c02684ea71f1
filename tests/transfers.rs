//! Zones that travel between fated and NSD, Knot DNS, BIND and PowerDNS, all as real processes on loopback: whole and
//! as changes, signed, because of NOTIFY, and equal record for record at every step; and what is answered to those who
//! may not have a zone, ask oddly, or do not take what they asked for.
//!
//! `FATED_ROOT_ZONES` is the folder with the two root zones.

#[path = "transfers/asks.rs"]
mod asks;
#[path = "transfers/chain.rs"]
mod chain;
#[path = "transfers/client.rs"]
mod client;
mod common;
#[path = "transfers/peer.rs"]
mod peer;
#[path = "transfers/primary.rs"]
mod primary;
#[path = "transfers/refused.rs"]
mod refused;
#[path = "transfers/slow.rs"]
mod slow;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chain::Versions;
use common::sign::{Denial, sign};
use common::{must_skip, skip_loudly};
use peer::{Kind, Peer};
use primary::{Algorithm, Primary, SHA256};

/// How long a peer may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// A zone with records of many types, names in mixed case, and a record that few know.
const SMALL: &str = "\
@ 3600 IN SOA ns.small.test. Host.Master.small.test. 1 3600 3600 604800 300
@ 3600 IN NS ns
@ 3600 IN NS NS2.other.test.
@ 300 IN MX 10 Mail
@ 300 IN TXT \"one\" \"two\"
@ 300 IN CAA 0 issue \"ca.test\"
ns 3600 IN A 192.0.2.1
ns 3600 IN AAAA 2001:db8::1
Mail 60 IN A 192.0.2.2
*.wild 60 IN TXT \"wild\"
Alias 60 IN CNAME MAIL
_sip._udp 60 IN SRV 1 2 5060 Mail
_443._tcp 60 IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
below 60 IN DNAME else.test.
sub 3600 IN NS ns.sub
ns.sub 3600 IN A 192.0.2.3
odd\\.dot\\032 60 IN A 192.0.2.4
new 60 IN TYPE65280 \\# 4 0A000001
svc 60 IN HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.9
";

#[test]
fn whole_zones_reach_every_peer_record_for_record() {
    if must_skip("whole zones", &peer::PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let signed = sign(folder.path(), "signed.test.", &SMALL.replace("small.test.", "signed.test."), Denial::Nsec3);
    let zones = [("small.test.", SMALL.to_owned()), ("signed.test.", signed.text)];
    let primary = Primary::start(SHA256, &zones);
    for kind in Kind::ALL {
        let peer = Peer::start(kind, &primary, &zones.each_ref().map(|(name, _)| *name));
        for (zone, _) in &zones {
            peer.wait_for(zone, 1, PATIENCE);
            primary.compare(&peer, zone);
        }
    }
    // BIND keeps the letter case too.
    let named = Peer::start(Kind::Named, &primary, &["small.test."]);
    named.wait_for("small.test.", 1, PATIENCE);
    let (ours, theirs) = (primary.records("small.test."), named.records("small.test.", 1));
    assert_eq!(client::sorted(ours), client::sorted(theirs));
}

#[test]
fn other_algorithms_are_understood_by_every_peer() {
    if must_skip("algorithms", &peer::PROGRAMS) {
        return;
    }
    let zones = [("small.test.", SMALL.to_owned())];
    let others = ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha384", "hmac-sha512"];
    for (algorithm, kind) in others.into_iter().zip(Kind::ALL.into_iter().cycle()) {
        let primary = Primary::start(Algorithm(algorithm), &zones);
        let peer = Peer::start(kind, &primary, &["small.test."]);
        peer.wait_for("small.test.", 1, PATIENCE);
        primary.compare(&peer, "small.test.");
    }
}

#[test]
fn root_zones_reach_every_peer_record_for_record() {
    if must_skip("root zones", &peer::PROGRAMS) {
        return;
    }
    let folder = std::env::var_os("FATED_ROOT_ZONES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/zones"), PathBuf::from);
    for file in ["root-2017-signed.zone", "root-2026.zone"] {
        let Ok(text) = fs::read_to_string(folder.join(file)) else {
            skip_loudly(file, "it is not there; set FATED_ROOT_ZONES");
            continue;
        };
        let primary = Primary::start(SHA256, &[(".", text)]);
        let serial = client::serial(&primary.records(".")[0]);
        for kind in Kind::ALL {
            let peer = Peer::start(kind, &primary, &["."]);
            peer.wait_for(".", serial, PATIENCE);
            primary.compare(&peer, ".");
        }
    }
}

#[test]
fn fifty_versions_reach_every_peer_as_changes_because_of_notify() {
    if must_skip("chain", &peer::PROGRAMS) {
        return;
    }
    follow("chain.test.", &mut chain::Plain::new(), 50, &Kind::ALL);
}

#[test]
fn signed_versions_reach_every_peer_as_changes_because_of_notify() {
    if must_skip("signed chain", &peer::PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // PowerDNS makes NSEC3 records of its own, for names too that are gone.
    let kinds = [Kind::Nsd, Kind::Knot, Kind::Named];
    follow("chain.test.", &mut chain::Signed::new(folder.path(), "chain.test."), 20, &kinds);
}

/// Lets peers follow so many versions, and looks at each of them.
fn follow(zone: &str, versions: &mut dyn Versions, count: u32, kinds: &[Kind]) {
    let mut primary = Primary::start(SHA256, &[(zone, versions.next_version(1))]);
    let peers: Vec<Peer> = kinds.iter().map(|kind| Peer::start(*kind, &primary, &[zone])).collect();
    for peer in &peers {
        peer.wait_for(zone, 1, PATIENCE);
    }
    primary.notify(&peers.iter().map(|peer| peer.address).collect::<Vec<_>>());
    let mut slowest = Duration::ZERO;
    for serial in 2..=count + 1 {
        primary.write(zone, &versions.next_version(serial));
        let begun = Instant::now();
        primary.reload(zone);
        for peer in &peers {
            peer.wait_for(zone, serial, PATIENCE);
        }
        slowest = slowest.max(begun.elapsed());
        for peer in &peers {
            primary.compare(peer, zone);
        }
    }
    println!("{zone}: {count} versions, the slowest reached all peers in {slowest:?}");
    let peer_count = peers.len() as u64;
    let transfers = ["whole", "changes"].map(|kind| primary.transfers(kind));
    // PowerDNS, whose zones stand in files here, asks for all of them; and so does this test to compare.
    let whole = kinds.iter().map(|kind| if *kind == Kind::Pdns { 1 + u64::from(count) } else { 1 }).sum::<u64>();
    let compared = peer_count * u64::from(count);
    let changes = kinds.iter().filter(|kind| **kind != Kind::Pdns).count() as u64 * u64::from(count);
    assert_eq!(transfers, [whole + compared, changes], "whole ones, and changes");
    // A reply may be on its way still.
    primary.wait_for_counter("fated_notify_acknowledged_total", peer_count * u64::from(count));
}

#[test]
fn changes_pass_through_a_node_that_is_secondary_and_primary() {
    if must_skip("two tiers", &peer::PROGRAMS) {
        return;
    }
    let zone = "chain.test.";
    let mut versions = chain::Plain::new();
    let mut above = Primary::start(SHA256, &[(zone, versions.next_version(1))]);
    let mut between = Primary::between(&above, zone);
    let peers = [Kind::Nsd, Kind::Knot, Kind::Named].map(|kind| Peer::start(kind, &between, &[zone]));
    for peer in &peers {
        peer.wait_for(zone, 1, PATIENCE);
    }
    above.notify(&[between.address()]);
    between.notify(&peers.each_ref().map(|peer| peer.address));
    for serial in 2..=10 {
        above.write(zone, &versions.next_version(serial));
        above.reload(zone);
        for peer in &peers {
            peer.wait_for(zone, serial, PATIENCE);
            above.compare(peer, zone);
        }
    }
    assert_eq!(between.transfers("changes"), 9 * 3);
}

#[test]
fn every_peer_has_a_change_two_seconds_after_a_reload() {
    if must_skip("notify", &peer::PROGRAMS) {
        return;
    }
    for kind in Kind::ALL {
        let mut primary = Primary::start(SHA256, &[("small.test.", SMALL.to_owned())]);
        let peer = Peer::start(kind, &primary, &["small.test."]);
        peer.wait_for("small.test.", 1, PATIENCE);
        primary.notify(&[peer.address]);
        primary.write("small.test.", &SMALL.replace(" 1 3600 ", " 2 3600 "));
        primary.reload("small.test.");
        peer.wait_for("small.test.", 2, Duration::from_secs(2));
    }
}
