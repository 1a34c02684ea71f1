//! Catalogs that are broken, shrink, or name what is not theirs; and what is left of them over restarts and reloads.

use super::command::zone;
use super::common::message::{Edns, Query};
use super::common::{ask, must_skip, name};
use super::node::Node;
use super::peer::{Kind, is_refused, is_served};
use super::{address, catalog, catalog_of, change, consumer, primary, transfers};

/// Four zones that are members most often.
const MEMBERS: [&str; 4] = ["a.test.", "b.test.", "c.test.", "d.test."];
/// The same as a catalog has them.
const ALL: &str = "1 a.test, 2 b.test, 3 c.test, 4 d.test";
/// The same as they are called in files.
const FILES: [&str; 4] = ["a.test", "b.test", "c.test", "d.test"];

/// Whether Knot is missing.
fn is_skipped(test: &str) -> bool {
    must_skip(test, Kind::Knot.programs())
}

/// Whether a zone is served this very moment.
fn serves(node: &Node, origin: &str) -> bool {
    is_served(&ask::ask_udp(node.address, &Query::new(&name::name(origin), 6)))
}

/// How often a zone came whole.
fn transfer_count(node: &Node, origin: &str) -> usize {
    node.log(&format!("zone {origin}: the whole zone transferred")).len()
}

#[test]
fn a_catalog_that_is_broken_or_shrinks_changes_nothing_until_somebody_says_so() {
    if is_skipped("broken and shrinking catalogs") {
        return;
    }
    let address = address();
    let peer = primary(address, &[("catalog.test", catalog(1, ALL))], &FILES);
    let mut node = Node::start(address, &consumer(peer.address, "catalog.test"));
    node.wait_for(&MEMBERS);

    change(&peer, "catalog.test", &catalog_of("", 2, ALL));
    node.wait_for_lines("the catalog is broken: it has no TXT record at `version`", 1);
    change(&peer, "catalog.test", &catalog(3, "1 a.test"));
    let told = "3 of 4 members of the catalog would be gone (b.test., c.test., d.test.)";
    node.wait_for_lines(told, 1);
    assert!(MEMBERS.iter().all(|origin| serves(&node, origin)));
    let said = node.ask(&["zone", "status", "catalog.test"]);
    assert!(said.code == 3 && said.out.contains("serial 1") && said.out.contains(told), "{said:?}");
    let said = node.ask(&["status"]);
    assert!(said.out.contains("catalog catalog.test.: 4 members, 4 of them zones by it"), "{said:?}");
    assert!(said.out.contains("REFUSED: 3 of 4 members") && said.out.contains("catalogs REFUSED: catalog.test."));

    // What was refused is not what is left after a restart.
    node.stop();
    node.run();
    assert!(MEMBERS.iter().all(|origin| serves(&node, origin)));
    node.wait_for_lines(told, 2);
    assert!(MEMBERS.iter().all(|origin| serves(&node, origin)));

    let said = node.ask(&["reload", "--force", "catalog.test"]);
    said.expect(0, &[]);
    assert!(said.out.contains("catalog.test. is asked for again"), "{said:?}");
    node.wait_for_end_of(&["b.test.", "c.test.", "d.test."]);
    assert!(serves(&node, "a.test."));
    let said = node.ask(&["zone", "status", "catalog.test"]);
    assert!(said.code == 0 && said.out.contains("serial 3"), "{said:?}");
    // Once is not for ever: the last one stays.
    change(&peer, "catalog.test", &catalog(4, ""));
    node.wait_for_lines("1 of 1 members of the catalog would be gone (a.test.)", 1);
    assert!(serves(&node, "a.test."));
}

#[test]
fn members_are_served_over_a_restart_while_the_primary_is_dead() {
    if is_skipped("a restart without the primary") {
        return;
    }
    let address = address();
    let mut peer = primary(address, &[("catalog.test", catalog(1, ALL))], &FILES);
    let mut node = Node::start(address, &consumer(peer.address, "catalog.test"));
    node.wait_for(&MEMBERS);
    change(&peer, "catalog.test", &catalog(2, "1 a.test, 2 b.test, 3 c.test"));
    node.wait_for_end_of(&["d.test."]);
    node.stop();
    peer.stop();
    node.run();
    assert!(MEMBERS[..3].iter().all(|origin| serves(&node, origin)));
    assert!(!serves(&node, "d.test."));
    // What happened meanwhile is right soon after.
    peer.write("catalog.test.zone", &catalog(3, "1 a.test, 2 b.test, 4 d.test"));
    peer.run();
    node.wait_for(&["d.test."]);
    node.wait_for_end_of(&["c.test."]);
}

#[test]
fn a_member_with_another_label_comes_anew() {
    if is_skipped("a label that changes") {
        return;
    }
    let address = address();
    let peer = primary(address, &[("catalog.test", catalog(1, ALL))], &FILES);
    let node = Node::start(address, &consumer(peer.address, "catalog.test"));
    node.wait_for(&MEMBERS);
    let before = transfer_count(&node, "b.test.");
    change(&peer, "catalog.test", &catalog(2, "1 a.test, other b.test, 3 c.test, 4 d.test"));
    node.wait_for_lines("zone b.test.: the whole zone transferred", before + 1);
    node.wait_for(&MEMBERS);
    assert_eq!(transfer_count(&node, "a.test."), 1);
}

#[test]
fn a_zone_belongs_to_one_catalog_and_moves_where_that_hands_it_over() {
    if is_skipped("two catalogs") {
        return;
    }
    let address = address();
    let catalogs = [("one.test", catalog(1, "1 a.test, 2 b.test")), ("two.test", catalog(1, "1 a.test, 3 c.test"))];
    let peer = primary(address, &catalogs, &FILES);
    let node = Node::start(address, &(consumer(peer.address, "one.test") + &consumer(peer.address, "two.test")));
    node.wait_for(&MEMBERS[..3]);
    node.wait_for_lines("which does not hand them over (`coo`); they stay there: 1 (a.test.)", 1);
    let [first, second] = match node.zone("a.test.").expect("it is served")["file"].as_str() {
        Some("catalog one.test.") => ["one.test", "two.test"],
        _ => ["two.test", "one.test"],
    };
    let own = if first == "one.test" { "2 b.test" } else { "3 c.test" };
    let other = if first == "one.test" { "3 c.test" } else { "2 b.test" };
    // Handed over under the same label, it stays what it is.
    change(&peer, first, &(catalog(2, &format!("1 a.test, {own}")) + &format!("coo.1.zones PTR {second}.\n")));
    let moved = format!("catalog {second}.");
    wait_until(|| node.zone("a.test.").is_some_and(|zone| zone["file"] == moved.as_str()));
    assert!(serves(&node, "a.test."));
    assert_eq!(transfer_count(&node, "a.test."), 1);
    // The one that had it lets go, and it stays; the one that has it does, and it goes.
    change(&peer, first, &catalog(3, own));
    wait_until(|| node.ask(&["zone", "status", first]).out.contains("serial 3"));
    assert!(serves(&node, "a.test."));
    change(&peer, second, &catalog(2, other));
    node.wait_for_end_of(&["a.test."]);
    node.wait_for(&["b.test.", "c.test."]);
}

/// Waits for something that has no line in the log.
fn wait_until(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < super::PATIENCE, "it never is");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_configured_by_itself_is_not_taken_from_that() {
    if is_skipped("own zones and catalogs") {
        return;
    }
    let address = address();
    let names = format!("{ALL}, 5 catalog.test");
    let peer = primary(address, &[("catalog.test", catalog(1, &names))], &FILES);
    let config = consumer(peer.address, "catalog.test");
    let own = "[[zone]]\nname = \"a.test\"\nfile = \"own.zone\"\n".to_owned();
    let node = Node::start(address, &config);
    node.wait_for(&MEMBERS);
    node.wait_for_lines("are catalogs; they stay what they are: 1 (catalog.test.)", 1);
    let serial = |origin: &str| node.zone(origin).expect("it is served")["serial"].as_u64();
    assert_eq!(serial("a.test."), Some(7));
    node.site.write("own.zone", zone(70));
    node.site.write("zones/b.test.zone", zone(71));
    node.configure(&(own + &config));
    node.ask(&["reload"]).expect(0, &[]);
    assert_eq!((serial("a.test."), serial("b.test."), serial("c.test.")), (Some(70), Some(71), Some(7)));
    node.wait_for_lines("members of catalogs are configured by themselves now: 2 (a.test., b.test.)", 1);
    // And the catalog has them back when they are not.
    node.configure(&config);
    node.ask(&["reload"]).expect(0, &[]);
    wait_until(|| serial("a.test.") == Some(7));
    std::fs::remove_file(node.site.path("zones/b.test.zone")).expect("it is there");
    node.ask(&["reload", "b.test"]).expect(0, &[]);
    wait_until(|| serial("b.test.") == Some(7));
    // A catalog that is taken out of the configuration takes more zones with it than one reload may.
    node.configure("");
    node.ask(&["reload"]).expect(3, &["5 of 6 zones would be gone", "reload --force"]);
    assert!(MEMBERS.iter().all(|origin| serves(&node, origin)));
    node.ask(&["reload", "--force"]).expect(0, &[]);
    node.wait_for_end_of(&MEMBERS);
    node.wait_for(&["own.test."]);
}

#[test]
fn a_catalog_may_be_a_file_and_is_answered_only_to_those_who_may_have_it() {
    if is_skipped("a catalog from a file") {
        return;
    }
    let address = address();
    let peer = primary(address, &[], &FILES);
    let node = Node::start(address, "");
    node.site.write("members.zone", catalog(1, "1 a.test, 2 b.test"));
    let config = |rules: &str| {
        format!(
            "[[template]]\nname = \"member\"\nprimaries = [{{ address = \"{}\" }}]\n[[catalog]]\n\
             name = \"catalog.test\"\nfile = \"members.zone\"\nmember-template = \"member\"\n{rules}",
            peer.address
        )
    };
    node.configure(&config(""));
    node.ask(&["reload"]).expect(0, &[]);
    node.wait_for(&["a.test.", "b.test."]);
    let query = Query::new(&name::name("1.zones.catalog.test."), 12).with_edns(Edns::new(1232, false));
    let refused = ask::ask_udp(address, &query);
    assert!(is_refused(&refused) && refused.option(15) == Some(vec![0, 18]), "{refused:?}");
    assert!(!transfers(address, "catalog.test."));
    node.configure(&config("allow-transfer = [{ prefix = \"127.0.0.1\" }]\n"));
    node.ask(&["reload"]).expect(0, &[]);
    assert!(transfers(address, "catalog.test.") && serves(&node, "catalog.test."));

    node.site.write("members.zone", catalog(2, "1 a.test, 3 a.test"));
    let said = node.ask(&["reload", "catalog.test"]);
    said.expect(1, &["the member nodes `1` and `3` both name the zone a.test."]);
    assert!(serves(&node, "a.test.") && serves(&node, "b.test."));
    node.site.write("members.zone", catalog(3, "2 b.test, 3 c.test"));
    node.ask(&["reload", "catalog.test"]).expect(0, &[]);
    node.wait_for_end_of(&["a.test."]);
    node.wait_for(&["b.test.", "c.test."]);
}
