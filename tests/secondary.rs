//! fated as a secondary of NSD, Knot DNS, BIND and PowerDNS: zones that come whole, as changes and by notification are
//! the same record for record, and what happens where primaries fail.
//!
//! `FATED_SECONDARY_NAMES` is how many names the large zone has, 500,000 otherwise. `FATED_ROOT_ZONES` is the folder
//! with the two root zones.

#[path = "common/command.rs"]
mod command;
mod common;
#[path = "secondary/ipv6.rs"]
mod ipv6;
#[path = "secondary/keys.rs"]
mod keys;
#[path = "secondary/node.rs"]
mod node;
#[path = "secondary/primary.rs"]
mod primary;
#[path = "secondary/troubles.rs"]
mod troubles;
#[path = "secondary/verify.rs"]
mod verify;
#[path = "secondary/zonemd.rs"]
mod zonemd;
#[path = "secondary/zones.rs"]
mod zones;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use common::ask::ask_until;
use common::message::{Message, Query};
use common::server::free_port;
use common::{must_skip, skip_loudly};
use keys::Key;
use node::{Node, PATIENCE};
use primary::{Kind, Primary};
use zones::{Changing, HOUR, Zone, sorts};

/// How long a change may take from the primary into answers.
const NOTIFIED_MAX: Duration = Duration::from_secs(2);

/// Where a node will listen, which its primaries have to know before it starts.
fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// Whether a test can't run here.
fn is_skipped(test: &str, kind: Kind) -> bool {
    must_skip(test, &[kind.programs(), &["kdig", "dnssec-signzone"]].concat())
}

/// The root zone of 2026, if it is there.
fn root() -> Option<Zone> {
    let folder = std::env::var_os("FATED_ROOT_ZONES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/zones"), PathBuf::from);
    let file = folder.join("root-2026.zone");
    let Ok(text) = fs::read_to_string(&file) else {
        skip_loudly("the root zone", &format!("{} is not there; set FATED_ROOT_ZONES", file.display()));
        return None;
    };
    Some(Zone::new(".", text, Some(Key::new("hmac-sha256"))))
}

/// Zones of each sort come whole and are the primary's, record for record.
fn comes_whole(kind: Kind) {
    if is_skipped("comes whole", kind) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut zones = sorts(folder.path());
    zones.extend(root());
    let address = address();
    let primary = Primary::start(kind, &zones, address);
    // The root zone that is archived lacks its signatures, and so its ZONEMD is wrong.
    let node = Node::start(address, &zones, &[(primary.address, None)], "zonemd = \"ignore\"");
    for zone in &zones {
        let serial = node::serial(primary.address, &zone.origin).expect("the primary has it");
        node.wait_for_serial(&zone.origin, serial, PATIENCE);
        // PowerDNS's compression mixes the case of names.
        let count = node.compare(primary.address, zone, kind != Kind::PowerDns);
        eprintln!("{kind:?} {}: {count} records", zone.origin);
    }
    assert_eq!(node.log("the whole zone transferred").len(), zones.len());
    assert!(node.log(" WARN ").is_empty(), "{:?}", node.log(" WARN "));
}

#[test]
fn zones_come_whole_from_nsd() {
    comes_whole(Kind::Nsd);
}

#[test]
fn zones_come_whole_from_knot() {
    comes_whole(Kind::Knot);
}

#[test]
fn zones_come_whole_from_bind() {
    comes_whole(Kind::Bind);
}

#[test]
fn zones_come_whole_from_powerdns() {
    comes_whole(Kind::PowerDns);
}

/// Fifty versions: 25 that the node is told of one by one, and 25 of which it hears at once.
fn follows(kind: Kind, key: Option<Key>, steps: u32) {
    if is_skipped("follows", kind) {
        return;
    }
    let mut changing = Changing::new("changing.test.", HOUR);
    changing.is_apex_kept = kind == Kind::Nsd;
    let zone = Zone::new("changing.test.", changing.text(), key);
    let address = address();
    let primary = Primary::start(kind, std::slice::from_ref(&zone), address);
    let zonemd = if kind == Kind::KnotSigning { "zonemd = \"require\"" } else { "" };
    let node = Node::start(address, std::slice::from_ref(&zone), &[(primary.address, None)], zonemd);
    let current = || node::serial(primary.address, &zone.origin).expect("the primary has it");
    node.wait_for_serial(&zone.origin, current(), PATIENCE);
    let mut slowest = Duration::ZERO;
    for step in 0..steps {
        primary.change(&mut changing);
        slowest = slowest.max(match kind {
            Kind::KnotSigning => node.wait_for_serial(&zone.origin, current(), NOTIFIED_MAX),
            _ => node.wait_for_serial(&zone.origin, changing.serial, NOTIFIED_MAX),
        });
        if step % 8 == 0 {
            node.compare(primary.address, &zone, kind != Kind::PowerDns);
        }
    }
    eprintln!("{kind:?}: {steps} notified steps, the slowest in {slowest:?}");
    if kind == Kind::PowerDns {
        return;
    }
    node.signal("-STOP");
    for _ in 0..steps {
        primary.change(&mut changing);
        // NSD says that it is done before it is.
        let soa = Query::new(&common::name::name(&zone.origin), 6);
        let is_there = |_: &Message| kind == Kind::KnotSigning || current() == changing.serial;
        assert!(ask_until(primary.address, &soa, PATIENCE, is_there));
    }
    if kind == Kind::KnotSigning {
        primary.knotc(&["zone-sign", &zone.origin]);
    }
    node.signal("-CONT");
    node.wait_for_serial(&zone.origin, if kind == Kind::KnotSigning { current() } else { changing.serial }, PATIENCE);
    node.compare(primary.address, &zone, true);
    assert_eq!(node.log("the whole zone transferred").len(), 1, "{}", node.log("").join("\n"));
    let count = node.log("changes transferred").len();
    assert!(count > steps as usize, "{}", node.log("").join("\n"));
}

#[test]
fn fifty_changes_come_from_nsd() {
    follows(Kind::Nsd, Some(Key::new("hmac-sha256")), 25);
}

#[test]
fn fifty_changes_come_from_knot() {
    follows(Kind::Knot, Some(Key::new("hmac-sha256")), 25);
}

#[test]
fn fifty_changes_come_from_knot_that_signs() {
    follows(Kind::KnotSigning, Some(Key::new("hmac-sha256")), 25);
}

#[test]
fn fifty_changes_come_from_bind() {
    follows(Kind::Bind, Some(Key::new("hmac-sha256")), 25);
}

#[test]
fn changes_come_whole_from_powerdns() {
    follows(Kind::PowerDns, Some(Key::new("hmac-sha256")), 5);
}

#[test]
fn unsigned_notifications_and_transfers_keep_zones_current() {
    for kind in [Kind::Nsd, Kind::Knot, Kind::Bind, Kind::PowerDns] {
        follows(kind, None, 3);
    }
}
