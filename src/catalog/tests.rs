//! Catalogs as text, and what follows from one version after another.

use std::sync::Arc;

use super::*;
use crate::transfer::Change;
use crate::wire::{Name, SharedName};
use crate::zone::Zone;
use crate::zone::tests::zone_of;

/// A catalog of version 2 with these records.
fn catalog(name: &str, text: &str) -> Zone {
    zone_of(name, &format!("version TXT \"2\"\n{text}"))
}

/// Member nodes, `label name` each.
fn nodes(members: &str) -> String {
    let node = |member: &str| {
        let (label, name) = member.split_once(' ').expect("a label and a name");
        format!("{label}.zones PTR {name}\n")
    };
    members.split(", ").filter(|member| !member.is_empty()).map(node).collect()
}

fn name(text: &str) -> SharedName {
    text.parse::<Name>().expect("a name").as_ref().into()
}

/// Catalogs and their owners, as a server has them.
#[derive(Default)]
struct Server {
    owners: Owners,
    configured: Vec<SharedName>,
    told: Vec<Told>,
}

impl Server {
    /// Takes a version; what is to be done, as text.
    fn take(&mut self, zone: &Zone, changes: &[Arc<Change>]) -> Vec<String> {
        let catalog = SharedName::from(zone.apex());
        let known = self.owners.catalog(&catalog).cloned().unwrap_or_default();
        let edits = known.compare(zone, changes).expect("it is a good catalog");
        let (steps, told) = self.owners.take(&catalog, edits, |name| self.configured.contains(name));
        self.told = told;
        shown(steps)
    }

    /// The same of a text.
    fn take_text(&mut self, name: &str, text: &str) -> Vec<String> {
        self.take(&catalog(name, text), &[])
    }
}

fn shown(steps: Vec<Step>) -> Vec<String> {
    steps.into_iter().map(|Step { name, kind, catalog }| format!("{kind:?} {name} {catalog}")).collect()
}

/// What is wrong with a catalog.
fn error(text: &str) -> String {
    let zone = zone_of("c.", text);
    Catalog::default().compare(&zone, &[]).expect_err("it is broken").to_string()
}

#[test]
fn a_broken_catalog_is_told_from_a_good_one() {
    assert_eq!(error(""), "it has no TXT record at `version`");
    assert_eq!(error("version TXT \"1\""), "its version is not \"2\"");
    assert_eq!(error("version TXT \"2\" \"2\""), "its version is not \"2\"");
    assert_eq!(error("version TXT \"2\"\nversion TXT \"3\""), "it has 2 TXT records at `version`, not one");
    let good = "version TXT \"2\"\n";
    assert_eq!(error(&format!("{good}a.zones PTR x.\na.zones PTR y.")), "the member node `a` has several PTR records");
    assert_eq!(
        error(&format!("{good}a.zones PTR x.\ncoo.a.zones PTR n.\ncoo.a.zones PTR o.")),
        "the member node `a` has several `coo` records"
    );
    let twice = error(&format!("{good}a.zones PTR x.\nb.zones PTR X."));
    assert!(twice == "the member nodes `a` and `b` both name the zone X.", "{twice}");
}

#[test]
fn members_are_read_with_their_properties_and_all_else_is_passed_over() {
    let text = "A1.zones PTR Example.org.\ngroup.a1.zones TXT \"g\" \"2\"\ngroup.a1.zones TXT \"a\"\n\
        coo.a1.zones PTR other.\next.zones TXT \"no member\"\ncolour.a1.zones TXT \"red\"\nx.a1.zones PTR no.member.\n\
        group.b.zones TXT \"of nobody\"\nzones PTR no.member.either.\nc.more.zones.else PTR far.away.\n";
    let mut server = Server::default();
    assert_eq!(server.take_text("c.", text), ["Add Example.org. c."]);
    let (_, member) = server.owners.owner(&name("example.ORG.")).expect("a member");
    let groups: Vec<&[u8]> = member.groups.iter().map(|group| &**group).collect();
    assert_eq!((groups, &member.new_owner), (vec![&b"a"[..], b"g2"], &Some(name("other."))));
    assert_eq!(server.owners.catalog(&name("c.")).map(Catalog::len), Some(1));
}

#[test]
fn members_come_stay_are_reset_and_go() {
    let mut server = Server::default();
    assert_eq!(server.take_text("c.", &nodes("1 a., 2 b., 3 d.")), ["Add a. c.", "Add b. c.", "Add d. c."]);
    assert_eq!(server.take_text("c.", &nodes("1 a., 2 b., 3 d.")), [""; 0]);
    assert_eq!(server.take_text("c.", &nodes("1 a., 9 b., 4 e.")), ["Reset b. c.", "Remove d. c.", "Add e. c."]);
    // Two that change their labels with each other.
    assert_eq!(server.take_text("c.", &nodes("9 a., 1 b., 4 e.")), ["Reset a. c.", "Reset b. c."]);
    let grouped = format!("{}group.4.zones TXT g\n", nodes("9 a., 1 b., 4 e."));
    assert_eq!(server.take_text("c.", &grouped), ["Keep e. c."]);
    // A node that names another zone.
    assert_eq!(server.take_text("c.", &nodes("9 a., 1 b., 4 f.")), ["Remove e. c.", "Add f. c."]);
    assert_eq!(server.take_text("c.", ""), ["Remove a. c.", "Remove b. c.", "Remove f. c."]);
    assert_eq!(server.owners.count(&name("c.")), 0);
}

#[test]
fn what_is_lost_is_known_before_anything_is_done() {
    let mut server = Server::default();
    server.take_text("c.", &nodes("1 a., 2 b., 3 d."));
    let known = server.owners.catalog(&name("c.")).expect("it was taken");
    let lost = |text: &str| known.compare(&catalog("c.", text), &[]).expect("it is good").lost;
    assert_eq!(lost(&nodes("7 a., 2 e.")), [name("b."), name("d.")]);
    assert!(lost(&nodes("1 b., 2 a., 3 d.")).is_empty());
}

#[test]
fn changes_lead_to_what_the_whole_catalog_says() {
    let texts = [
        nodes("1 a., 2 b., 3 d."),
        nodes("1 a., 2 b., 3 d., 4 e."),
        format!("{}group.4.zones TXT g\ncoo.1.zones PTR n.\n", nodes("1 a., 2 b., 4 e.")),
        format!("{}group.4.zones TXT h\n", nodes("1 a., 5 b., 4 e.")),
        nodes("5 a., 1 b."),
    ];
    let (mut by_changes, mut whole) = (Server::default(), Server::default());
    let mut before: Option<Zone> = None;
    for (serial, text) in (2..).zip(texts) {
        let head = format!("version TXT \"2\"\n{text}");
        let zone = crate::zone::tests::zone_with_serial("c.", serial, &head);
        let change = before.as_ref().map(|before| Arc::new(Change::between(before, &zone)));
        let changes: Vec<_> = change.into_iter().collect();
        assert_eq!(by_changes.take(&zone, &changes), whole.take(&zone, &[]), "{serial}");
        before = Some(zone);
    }
    // Changes from another version than ours say too little.
    let [old, new] = [7, 8].map(|serial| crate::zone::tests::zone_with_serial("c.", serial, "version TXT 2"));
    let change = Arc::new(Change::between(&old, &new));
    assert_eq!(by_changes.take(&new, &[change]), ["Remove a. c.", "Remove b. c."]);
}

#[test]
fn a_zone_stays_with_the_catalog_that_named_it_first() {
    let mut server = Server::default();
    server.take_text("c.", &nodes("1 a., 2 b."));
    assert_eq!(server.take_text("d.", &nodes("1 a., 2 e.")), ["Add e. d."]);
    assert_eq!(server.told, [Told::Owned(name("a."), name("c."))]);
    // Nothing is kept of it where it was not handed over.
    assert_eq!(server.take_text("c.", &nodes("2 b.")), ["Reset a. d."]);
    assert_eq!(server.take_text("d.", ""), ["Remove a. d.", "Remove e. d."]);
}

#[test]
fn a_zone_that_is_handed_over_keeps_what_is_known_under_the_same_label() {
    let handed = |label: &str| format!("{label}.zones PTR a.\ncoo.{label}.zones PTR d.\n");
    for (label, step) in [("1", "Keep a. d."), ("7", "Reset a. d.")] {
        let theirs = nodes(&format!("{label} a."));
        // Whoever comes first, the other's version makes the change.
        let mut server = Server::default();
        server.take_text("c.", &nodes("1 a."));
        assert_eq!(server.take_text("c.", &handed("1")), ["Keep a. c."], "the other does not name it yet");
        assert_eq!(server.take_text("d.", &theirs), [step]);
        assert!(server.told.is_empty());
        assert_eq!(server.take_text("c.", ""), [""; 0], "it is no longer theirs to remove");
        let mut server = Server::default();
        server.take_text("c.", &nodes("1 a."));
        assert_eq!(server.take_text("d.", &theirs), [""; 0]);
        assert_eq!(server.take_text("c.", &handed("1")), [step]);
    }
}

#[test]
fn what_is_configured_by_itself_is_no_member_as_long_as_it_is() {
    let mut server = Server { configured: vec![name("a."), name("c.")], ..Server::default() };
    assert_eq!(server.take_text("c.", &nodes("1 a., 2 b., 3 c.")), ["Add b. c."]);
    assert_eq!(server.told, [Told::Configured(name("a.")), Told::Configured(name("c."))]);
    let configured = [name("b."), name("c.")];
    let (steps, told) = server.owners.configure(|_| true, |name| configured.contains(name));
    assert_eq!(
        (shown(steps), told),
        (vec!["Add a. c.".into(), "Remove b. c.".into()], vec![Told::Configured(name("b."))])
    );
    let (step, _) = server.owners.look_again(name("b."), |_| false);
    assert_eq!(shown(step.into_iter().collect()), ["Add b. c."]);
    let (steps, _) = server.owners.configure(|_| false, |_| false);
    assert_eq!(shown(steps), ["Remove a. c.", "Remove b. c."], "the catalog is gone");
}

/// What a catalog is to say of zones, `name` or `name:group` each; `-name` for one that goes.
fn wanted(zones: &str) -> Vec<(SharedName, Option<Listing>)> {
    let listed = |zone: &str| match zone.strip_prefix('-') {
        Some(gone) => (name(gone), None),
        None => {
            let (zone, group) = zone.split_once(':').map_or((zone, None), |(zone, group)| (zone, Some(group)));
            (name(zone), Some(Listing { group: group.map(|group| group.as_bytes().into()) }))
        }
    };
    zones.split(' ').map(listed).collect()
}

#[test]
fn a_catalog_that_is_made_here_is_read_as_it_was_meant() {
    let seed = zone_of("x.", "").seed();
    let mut produced = Produced::empty(name("c.").as_ref(), 9, seed).expect("it can be made");
    let mut server = Server::default();
    assert_eq!(server.take(produced.zone(), &[]), [""; 0]);
    let mut advance = |zones: &str, serial| {
        let change = produced.advance(&wanted(zones), serial, true)?;
        Some((server.take(produced.zone(), &[change]), produced.zone().serial()))
    };
    let steps = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
    assert_eq!(advance("A.b. d.:g", 100), Some((steps(&["Add A.b. c.", "Add d. c."]), 100)));
    assert_eq!(advance("a.B. d.:g", 101), None);
    // The serial grows where the clock does not, and another group is no other zone.
    assert_eq!(advance("a.b.:h d.", 100), Some((steps(&["Keep A.b. c.", "Keep d. c."]), 101)));
    assert_eq!(advance("-d. -e.", 300), Some((steps(&["Remove d. c."]), 300)));
    assert_eq!(advance("d.", 301), Some((steps(&["Add d. c."]), 301)));
    assert_eq!(advance("-d.", 302), Some((steps(&["Remove d. c."]), 302)));
    let again = Produced::of(Arc::clone(produced.zone())).expect("it is a good catalog");
    assert_eq!(again.members().len(), 1);
    let lost: Vec<_> = again.clone().lost(&wanted("-a.b. -d.")).cloned().collect();
    assert_eq!(lost, [name("a.b.")]);
}

#[test]
fn a_zone_that_comes_again_has_another_label() {
    let seed = zone_of("x.", "").seed();
    let mut produced = Produced::empty(name("c.").as_ref(), 9, seed).expect("it can be made");
    let mut labels = Vec::new();
    for zones in ["a. b.", "-a.", "a.", "-a.", "a."] {
        produced.advance(&wanted(zones), 0, true).expect("something differs");
        labels.extend(produced.members().find(&name("a.")).map(|(label, _)| label.clone()));
    }
    let first = labels.clone();
    labels.sort();
    labels.dedup();
    assert_eq!((first.len(), labels.len()), (3, 3));
}
