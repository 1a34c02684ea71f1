//! Catalogs that fated makes of its zones, at Knot DNS, BIND, PowerDNS and another fated; and what is left of them over
//! restarts.

use std::fs;

use super::command::zone;
use super::common::must_skip;
use super::node::Node;
use super::peer::{Kind, Peer, is_refused, is_served};
use super::{address, powerdns, transfers};

/// A configuration that makes a catalog of all zones of the folder and tells `peer` of changes; one zone has a group.
fn config(notified: std::net::SocketAddr) -> String {
    format!(
        "[[template]]\nname = \"default\"\ncatalog = \"catalog.test\"\n\
         allow-transfer = [{{ prefix = \"127.0.0.1\" }}]\nnotify = [{{ address = \"{notified}\" }}]\n\
         [[catalog]]\nname = \"catalog.test\"\nproduce = true\n\
         [[zone]]\nname = \"grouped.test\"\nfile = \"grouped.zone\"\ngroup = \"open\"\n"
    )
}

/// A node that makes a catalog of `a.test`, `b.test`, `own.test` and `grouped.test`.
fn producer(notified: std::net::SocketAddr) -> Node {
    let node = Node::start(address(), "");
    ["a", "b"].iter().for_each(|name| node.site.write(&format!("zones/{name}.test.zone"), zone(7)));
    node.site.write("grouped.zone", zone(7));
    node.configure(&config(notified));
    node.ask(&["reload"]).expect(0, &[]);
    node
}

/// The records of the catalog.
fn exported(node: &Node) -> String {
    let said = node.ask(&["zone", "export", "catalog.test"]);
    said.expect(0, &[]);
    said.out
}

/// Whether a catalog lists a zone.
fn lists(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.ends_with(&format!("PTR\t{name}")))
}

/// Adds a zone, takes one away, and looks at that from outside.
fn changes_arrive(node: &Node, peer: &Peer) {
    for origin in ["a.test.", "b.test.", "own.test.", "grouped.test."] {
        peer.wait(origin, is_served);
    }
    peer.wait("c.test.", is_refused);
    node.site.write("zones/c.test.zone", zone(7));
    node.ask(&["reload", "c.test"]).expect(0, &[]);
    peer.wait("c.test.", is_served);
    fs::remove_file(node.site.path("zones/b.test.zone")).expect("it is there");
    node.ask(&["reload"]).expect(0, &[]);
    peer.wait("b.test.", is_refused);
    peer.wait("a.test.", is_served);
    assert!(lists(&exported(node), "c.test.") && !lists(&exported(node), "b.test."));
}

#[test]
fn knot_follows_a_catalog_that_is_made_here() {
    if must_skip("a catalog for Knot", Kind::Knot.programs()) {
        return;
    }
    let mut peer = Peer::new(Kind::Knot);
    let node = producer(peer.address);
    let member = "    master: fated\n    acl: notify\n    storage: FOLDER\n    zonefile-sync: -1\n    \
                  zonefile-load: none\n    journal-content: all\n";
    peer.configure(&format!(
        "server:\n  rundir: FOLDER\n  listen: 127.0.0.1@PORT\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 2\ncontrol:\n  listen: FOLDER/control\nlog:\n  - target: stderr\n    any: info\n\
         database:\n  storage: FOLDER/db\nremote:\n  - id: fated\n    address: 127.0.0.1@{}\n\
         acl:\n  - id: notify\n    address: 127.0.0.1\n    action: notify\n  - id: all\n    address: 127.0.0.1\n    \
         action: [notify, transfer]\n\
         template:\n  - id: member\n{member}  - id: open\n{}zone:\n  - domain: catalog.test\n    \
         storage: FOLDER\n    \
         zonefile-sync: -1\n    master: fated\n    acl: notify\n    catalog-role: interpret\n    \
         catalog-template: [member, open]\n",
        node.address.port(),
        member.replace("acl: notify", "acl: all")
    ));
    peer.run();
    changes_arrive(&node, &peer);
    let whole = |origin| transfers(peer.address, origin);
    assert!(whole("grouped.test.") && !whole("a.test."), "a group is another template there");
}

#[test]
fn bind_follows_a_catalog_that_is_made_here() {
    if must_skip("a catalog for BIND", Kind::Bind.programs()) {
        return;
    }
    let mut peer = Peer::new(Kind::Bind);
    let node = producer(peer.address);
    let port = node.address.port();
    peer.configure(&format!(
        "options {{ directory \"FOLDER\"; pid-file \"FOLDER/pid\"; session-keyfile \"FOLDER/session\"; \
         listen-on port PORT {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify no; \
         catalog-zones {{ zone \"catalog.test\" default-primaries {{ 127.0.0.1 port {port}; }} in-memory yes \
         min-update-interval 0; }}; }};\ncontrols {{ }};\n\
         zone \"catalog.test\" {{ type secondary; file \"catalog\"; primaries {{ 127.0.0.1 port {port}; }}; \
         allow-notify {{ any; }}; }};\n"
    ));
    peer.run();
    changes_arrive(&node, &peer);
}

#[test]
fn powerdns_follows_a_catalog_that_is_made_here_and_makes_one() {
    if powerdns::must_skip("catalogs of PowerDNS") {
        return;
    }
    let mut peer = Peer::new(Kind::PowerDns);
    let node = producer(peer.address);
    powerdns::configure(&peer, node.address);
    powerdns::consume(&peer, "catalog.test", node.address);
    peer.run();
    changes_arrive(&node, &peer);

    let mut peer = Peer::new(Kind::PowerDns);
    let node_address = address();
    powerdns::configure(&peer, node_address);
    powerdns::produce(&peer, "catalog.test", &["a.test", "b.test"]);
    peer.run();
    let node = Node::start(node_address, &super::consumer(peer.address, "catalog.test"));
    node.wait_for(&["a.test.", "b.test."]);
    powerdns::unlist(&peer, "catalog.test", "b.test");
    node.wait_for_end_of(&["b.test."]);
    node.wait_for(&["a.test."]);
}

#[test]
fn a_tier_between_makes_a_catalog_of_the_members_that_it_has() {
    let leaf_address = address();
    let top = producer(leaf_address);
    // The leaf has its zones from the tier between, which lists what the one above does.
    let between = Node::start(
        address(),
        &format!(
            "[[template]]\nname = \"between\"\nprimaries = [{{ address = \"{}\" }}]\ncatalog = \"again.test\"\n\
             allow-transfer = [{{ prefix = \"127.0.0.1\" }}]\nrefresh-max = \"2s\"\n\
             [[catalog]]\nname = \"catalog.test\"\ntemplate = \"between\"\nmember-template = \"between\"\n\
             [[catalog]]\nname = \"again.test\"\nproduce = true\nallow-transfer = [{{ prefix = \"127.0.0.1\" }}]\n\
             notify = [{{ address = \"{leaf_address}\" }}]\n",
            top.address
        ),
    );
    let leaf = Node::start(leaf_address, &super::consumer(between.address, "again.test"));
    leaf.wait_for(&["a.test.", "b.test.", "grouped.test."]);
    fs::remove_file(top.site.path("zones/b.test.zone")).expect("it is there");
    top.ask(&["reload"]).expect(0, &[]);
    leaf.wait_for_end_of(&["b.test."]);
    leaf.wait_for(&["a.test."]);
}

#[test]
fn labels_and_serial_outlive_a_restart_and_so_does_what_would_be_lost() {
    let mut node = producer(address());
    let before = exported(&node);
    assert!(before.contains("TXT\t\"open\"") && lists(&before, "a.test."), "{before}");
    assert!(!lists(&before, "catalog.test."), "it does not list itself: {before}");
    node.stop();
    node.run();
    assert_eq!(exported(&node), before);
    // A folder that was lost is no order.
    node.stop();
    ["a", "b", "own"].iter().for_each(|name| {
        fs::remove_file(node.site.path(&format!("zones/{name}.test.zone"))).expect("it is there");
    });
    node.run();
    node.wait_for_lines("3 of its 4 members are gone (a.test., b.test., own.test.)", 1);
    assert_eq!(exported(&node), before);
    node.ask(&["reload", "--force"]).expect(0, &[]);
    let after = exported(&node);
    assert!(lists(&after, "grouped.test.") && !lists(&after, "a.test."), "{after}");
    // A zone that comes again is another one.
    node.site.write("zones/a.test.zone", zone(7));
    node.ask(&["reload", "a.test"]).expect(0, &[]);
    let label = |text: &str, name: &str| {
        let line = text.lines().find(|line| lists(line, name)).expect("it is listed");
        line.split('.').next().map(str::to_owned)
    };
    let again = exported(&node);
    assert_ne!(label(&again, "a.test."), label(&before, "a.test."));
    assert_eq!(label(&again, "grouped.test."), label(&before, "grouped.test."));
    node.ask(&["reload", "catalog.test"]).expect(3, &["is a catalog that is made here"]);
}
