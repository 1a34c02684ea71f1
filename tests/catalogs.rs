//! Catalog zones (RFC 9432): fated serves the members of catalogs from Knot DNS, BIND and PowerDNS, and makes catalogs
//! for them; and what becomes of catalogs that are broken, shrink, or name what is not theirs.

#[path = "common/command.rs"]
mod command;
mod common;
#[path = "catalogs/node.rs"]
mod node;
#[path = "catalogs/odd.rs"]
mod odd;
#[path = "catalogs/peer.rs"]
mod peer;
#[path = "catalogs/powerdns.rs"]
mod powerdns;
#[path = "catalogs/producer.rs"]
mod producer;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use command::zone;
use common::must_skip;
use common::server::free_port;
use node::Node;
use peer::{Kind, Peer};

/// How long anything may take that has no bound of its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a node will listen, which its primaries have to know before it starts.
fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// Knot with zone files `NAME.zone` for these zones, which tells `node` of changes.
fn knot(node: SocketAddr, zones: &[&str], more: &str) -> String {
    let mut text = format!(
        "server:\n  rundir: FOLDER\n  listen: 127.0.0.1@PORT\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\ncontrol:\n  listen: FOLDER/control\nlog:\n  - target: stderr\n    any: info\n\
         database:\n  storage: FOLDER/db\nremote:\n  - id: node\n    address: {}@{}\n\
         acl:\n  - id: all\n    address: 127.0.0.1\n    action: transfer\n\
         template:\n  - id: default\n    storage: FOLDER\n    file: \"%s.zone\"\n    acl: all\n    notify: node\n    \
         zonefile-sync: -1\n    zonefile-load: difference\n    journal-content: changes\n{more}zone:\n",
        node.ip(),
        node.port()
    );
    zones.iter().for_each(|zone| text.push_str(&format!("  - domain: {zone}\n")));
    text
}

/// The lines of a configuration for a catalog that comes from there, and the template of its members.
fn consumer(primary: SocketAddr, catalog: &str) -> String {
    format!("[[catalog]]\nname = \"{catalog}\"\nprimaries = [{{ address = \"{primary}\" }}]\n")
}

#[test]
fn members_of_a_catalog_that_knot_generates_come_and_go_with_it() {
    if must_skip("a catalog from Knot", Kind::Knot.programs()) {
        return;
    }
    let address = address();
    let mut peer = Peer::new(Kind::Knot);
    let config = |members: &[(&str, &str)]| {
        let mut text = knot(address, &[], "") + "  - domain: catalog.test\n    catalog-role: generate\n";
        for (name, group) in members {
            text.push_str(&format!(
                "  - domain: {name}\n    catalog-role: member\n    catalog-zone: catalog.test\n{group}"
            ));
        }
        text
    };
    for name in ["a.test", "b.test", "c.test"] {
        peer.write(&format!("{name}.zone"), &zone(7));
    }
    let grouped = "    catalog-group: open\n";
    peer.configure(&config(&[("a.test", ""), ("b.test", grouped)]));
    peer.run();
    let node = Node::start(
        address,
        &format!(
            "[[template]]\nname = \"open\"\nprimaries = [{{ address = \"{0}\" }}]\n\
             allow-transfer = [{{ prefix = \"127.0.0.1\" }}]\n{1}groups = {{ open = \"open\" }}\n",
            peer.address,
            consumer(peer.address, "catalog.test")
        ),
    );
    node.wait_for(&["a.test.", "b.test."]);
    node.wait_for_end_of(&["c.test."]);
    assert!(
        transfers(node.address, "b.test.") && !transfers(node.address, "a.test."),
        "the template of a group is its own"
    );

    peer.configure(&config(&[("a.test", ""), ("b.test", grouped), ("c.test", "")]));
    peer.reload();
    node.wait_for(&["c.test."]);
    peer.configure(&config(&[("a.test", grouped), ("c.test", "")]));
    peer.reload();
    node.wait_for_end_of(&["b.test."]);
    node.wait_for(&["a.test.", "c.test."]);
}

/// The file of a catalog: its serial, and what stands behind its version.
fn catalog(serial: u32, members: &str) -> String {
    catalog_of("version TXT \"2\"\n", serial, members)
}

/// The same with another version.
fn catalog_of(version: &str, serial: u32, members: &str) -> String {
    let soa = format!("$TTL 0\n@ SOA invalid. invalid. {serial} 3600 1 2147483646 0\n@ NS invalid.\n{version}");
    let node = |member: &str| {
        let (label, name) = member.split_once(' ').expect("a label and a name");
        format!("{label}.zones PTR {name}.\n")
    };
    members.split(", ").filter(|member| !member.is_empty()).fold(soa, |text, member| text + &node(member))
}

/// Knot with catalogs and zones that it has files of, and a node at `address` that it tells of changes.
fn primary(address: SocketAddr, catalogs: &[(&str, String)], zones: &[&str]) -> Peer {
    let mut peer = Peer::new(Kind::Knot);
    zones.iter().for_each(|name| peer.write(&format!("{name}.zone"), &zone(7)));
    catalogs.iter().for_each(|(name, text)| peer.write(&format!("{name}.zone"), text));
    let names: Vec<&str> = catalogs.iter().map(|(name, _)| *name).chain(zones.iter().copied()).collect();
    peer.configure(&knot(address, &names, ""));
    peer.run();
    peer
}

/// Puts the next version of a catalog there.
fn change(peer: &Peer, name: &str, text: &str) {
    peer.write(&format!("{name}.zone"), text);
    peer.reload();
}

#[test]
fn bind_serves_a_catalog_to_fated() {
    if must_skip("a catalog from BIND", Kind::Bind.programs()) {
        return;
    }
    let address = address();
    let mut peer = Peer::new(Kind::Bind);
    peer.write("catalog.test.zone", &catalog(1, "1 a.test"));
    let mut config = "options { directory \"FOLDER\"; pid-file \"FOLDER/pid\"; session-keyfile \"FOLDER/session\"; \
        listen-on port PORT { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; notify explicit; notify-delay 0; };\n\
        controls { };\n"
        .to_owned();
    for name in ["catalog.test", "a.test", "b.test"] {
        let port = address.port();
        config.push_str(&format!(
            "zone \"{name}\" {{ type primary; file \"{name}.zone\"; check-integrity no; \
             also-notify {{ 127.0.0.1 port {port}; }}; ixfr-from-differences yes; allow-transfer {{ any; }}; }};\n"
        ));
    }
    ["a.test", "b.test"].iter().for_each(|name| peer.write(&format!("{name}.zone"), &zone(7)));
    peer.configure(&config);
    peer.run();
    let node = Node::start(address, &consumer(peer.address, "catalog.test"));
    node.wait_for(&["a.test."]);
    change(&peer, "catalog.test", &catalog(2, "1 a.test, 2 b.test"));
    node.wait_for(&["b.test."]);
    change(&peer, "catalog.test", &catalog(3, "2 b.test"));
    node.wait_for_end_of(&["a.test."]);
}

/// Whether a zone may be had whole.
fn transfers(server: SocketAddr, origin: &str) -> bool {
    let query = common::message::Query::new(&common::name::name(origin), 252);
    common::ask::ask_tcp(server, &query).rcode() == 0
}
