//! A zone that is made from another is the zone that is made from all records.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::zone::Found;
use crate::zone::hash::Seed;
use crate::zonebuild::Inline;

/// A key for tests, so that they do the same each time.
const SEED: Seed = Seed([0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03]);
/// The zone's name.
const APEX: &str = "example.";
/// The TTL of all records.
const TTL: u32 = 300;

/// Owner, type and RDATA.
type Entry = (Name, Type, Vec<u8>);

fn name(text: &str) -> Name {
    text.parse().expect("a good name")
}

/// The record of an entry.
fn record((owner, rtype, rdata): &Entry) -> Record<'_> {
    Record { owner: owner.as_ref(), rtype: *rtype, ttl: TTL, rdata, position: None }
}

/// The SOA with that serial.
fn soa(serial: u32) -> Entry {
    let mut rdata = [name("ns.example.").as_ref().as_bytes(), name("admin.example.").as_ref().as_bytes()].concat();
    [serial, 3600, 600, 86400, 60].iter().for_each(|number| rdata.extend_from_slice(&number.to_be_bytes()));
    (name(APEX), Type::SOA, rdata)
}

/// A host.
fn host(owner: &str, last: u8) -> Entry {
    (name(owner), Type::A, vec![192, 0, 2, last])
}

/// The zone of those records.
fn build<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Zone> {
    let mut builder = Builder::new(SEED);
    entries.into_iter().for_each(|entry| builder.take(&record(entry)));
    let apex = name(APEX);
    let plan = Plan { name: apex.as_ref(), previous: None, now: 0 };
    builder.finish(plan, &Inline, &mut Faults::default())
}

/// All that a zone holds, as text.
fn contents(zone: &Zone) -> Vec<String> {
    let mut all: Vec<String> = zone
        .nodes_from(NodeCursor::default())
        .map(|(node, _)| format!("{:?} {:?}", node.name(), node.octets()))
        .collect();
    all.sort();
    let order = match zone.denial() {
        Denial::None => vec![],
        Denial::Nsec(order) => order.iter().map(|at| zone.names().node(at).name().to_name()).collect(),
        Denial::Nsec3(chain) => chain.order.iter().map(|at| chain.names.node(at).name().to_name()).collect(),
    };
    all.push(format!("{order:?} {:?}", zone.children()));
    all.push(format!("{} {} {}", zone.record_count(), zone.name_count(), zone.wildcard_count()));
    all.push(format!("{} {:?} {:?}", zone.serial(), zone.negative_soa().body, zone.apex_node().octets()));
    all
}

/// Where a name is found.
fn found(zone: &Zone, name: &Name) -> String {
    match zone.lookup(&LookupName::of(name)) {
        Found::Exact(node) => format!("exact {:?}", node.octets()),
        Found::Delegation { cut, labels } => format!("cut {:?} {labels}", cut.octets()),
        Found::Dname { owner, labels } => format!("DNAME {:?} {labels}", owner.octets()),
        Found::NoMatch(missing) => {
            format!("missing below {:?}, {:?}", missing.encloser.name(), zone.wildcard(&missing).map(Node::octets))
        }
    }
}

/// Owners that the records of random zones have: up to three labels, wildcards among them.
fn owner() -> impl Strategy<Value = Name> {
    let label = prop_oneof![Just("a."), Just("b."), Just("c."), Just("d."), Just("*.")];
    proptest::collection::vec(label, 0..4).prop_map(|labels| name(&(labels.concat() + APEX)))
}

/// Records of random zones. Some are rare, since much hangs on them.
fn entry() -> impl Strategy<Value = Entry> {
    let to = |target: &Name| target.as_ref().as_bytes().to_vec();
    let nsec = || [name("a.example.").as_ref().as_bytes(), &[0, 1, 0x40]].concat();
    let rrsig = |covered: Type| {
        let fixed = [8, 2, 0, 0, 1, 44, 0x70, 0, 0, 0, 0x60, 0, 0, 0, 0, 7];
        [&covered.0.to_be_bytes()[..], &fixed, name(APEX).as_ref().as_bytes(), &[1, 2, 3]].concat()
    };
    let nsec3 = |hash: u8| {
        let label = data_encoding::BASE32HEX_NOPAD.encode(&[hash.wrapping_mul(37); 20]).to_lowercase();
        let rdata = [&[1, 0, 0, 0, 0, 20][..], &[hash; 20], &[0, 1, 0x40]].concat();
        (name(&format!("{label}.{APEX}")), Type::NSEC3, rdata)
    };
    prop_oneof![
        12 => (owner(), 0_u8..3).prop_map(|(owner, last)| (owner, Type::A, vec![192, 0, 2, last])),
        3 => (owner(), owner()).prop_map(move |(owner, target)| (owner, Type::NS, to(&target))),
        2 => (owner(), owner()).prop_map(move |(owner, target)| {
            (owner, Type::MX, [&[0, 10][..], target.as_ref().as_bytes()].concat())
        }),
        1 => (owner(), owner()).prop_map(move |(owner, target)| (owner, Type::DNAME, to(&target))),
        1 => (owner(), owner()).prop_map(move |(owner, target)| (owner, Type::CNAME, to(&target))),
        2 => owner().prop_map(move |owner| (owner, Type::NSEC, nsec())),
        2 => owner().prop_map(move |owner| (owner, Type::RRSIG, rrsig(Type::A))),
        3 => (0_u8..9).prop_map(nsec3),
        1 => Just((name(APEX), Type::NSEC3PARAM, vec![1, 0, 0, 0, 0])),
    ]
}

/// What changes from version to version: whether something goes, which of what is there, and what comes.
fn changes() -> impl Strategy<Value = Vec<Vec<(bool, prop::sample::Index, Entry)>>> {
    let step = (any::<bool>(), any::<prop::sample::Index>(), entry());
    proptest::collection::vec(proptest::collection::vec(step, 1..5), 1..40)
}

proptest! {
    #[test]
    fn a_zone_made_from_another_is_the_zone_made_from_all_records(start in 0..40_u8, changes in changes()) {
        let hosts = (0..start).map(|number| host(&format!("host{number}.example."), number));
        let mut entries: BTreeSet<Entry> = hosts.chain([soa(1), (name(APEX), Type::NS, vec![1, b'a', 0])]).collect();
        let mut zone = build(&entries).expect("it is a good zone");
        let mut serial = 1;
        for steps in changes {
            let (mut next, mut delta) = (entries.clone(), Delta::new(&zone));
            for (goes, which, new) in steps {
                let old = which.get(&next.iter().cloned().collect::<Vec<_>>()).clone();
                if goes && old.1 != Type::SOA {
                    prop_assert_eq!(delta.delete(&record(&old)), Ok(()));
                    next.remove(&old);
                } else if next.insert(new.clone()) {
                    prop_assert_eq!(delta.delete(&record(&new)), Err(DeltaError::Missing));
                    prop_assert_eq!(delta.add(&record(&new)), Ok(()));
                } else {
                    prop_assert_eq!(delta.add(&record(&new)), Err(DeltaError::Present));
                }
            }
            prop_assert_eq!(delta.delete(&record(&soa(serial))), Ok(()));
            prop_assert_eq!(delta.add(&record(&soa(serial + 1))), Ok(()));
            next.remove(&soa(serial));
            next.insert(soa(serial + 1));
            let (made, whole) = (delta.finish(0, &Inline, &mut Faults::default()), build(&next));
            prop_assert_eq!(made.is_some(), whole.is_some(), "{:?}", next);
            let (Some(made), Some(whole)) = (made, whole) else { continue };
            prop_assert_eq!(contents(&made), contents(&whole));
            let around = |owner: Name| [owner, name(&format!("b.{owner}")), name(&format!("*.{owner}"))];
            let names = next.iter().flat_map(|(owner, ..)| around(*owner));
            for name in names {
                prop_assert_eq!(found(&made, &name), found(&whole, &name), "{}", name);
            }
            (zone, entries, serial) = (made, next, serial + 1);
        }
    }
}

/// A zone of many hosts, one below each of the names `d0` to `d99`.
fn many() -> Zone {
    let hosts = (0..5_000).map(|number| host(&format!("h{number}.d{}.example.", number % 100), 1));
    build(&hosts.chain([soa(1), (name(APEX), Type::NS, vec![1, b'a', 0])]).collect::<Vec<_>>())
        .expect("it is a good zone")
}

#[test]
fn a_change_copies_what_it_touches() {
    let zone = many();
    let mut delta = Delta::new(&zone);
    delta.delete(&record(&host("h7.d7.example.", 1))).expect("it is there");
    delta.add(&record(&host("h7.d7.example.", 2))).expect("it is not there");
    let next = delta.finish(0, &Inline, &mut Faults::default()).expect("it is a good zone");
    let (shared, all) = next.names().shared_buckets(zone.names());
    assert_eq!(shared, all - 1);
    assert_eq!((next.record_count(), next.name_count()), (zone.record_count(), zone.name_count()));
    // What goes is gone, and so is the empty name above it when the last below that has gone.
    let mut delta = Delta::new(&next);
    for number in (7..5_000).step_by(100) {
        let last = if number == 7 { 2 } else { 1 };
        delta.delete(&record(&host(&format!("H{number}.D7.example."), last))).expect("whatever the letter case");
    }
    let last = delta.finish(0, &Inline, &mut Faults::default()).expect("it is a good zone");
    assert_eq!(last.name_count(), zone.name_count() - 51);
    assert!(matches!(last.lookup(&LookupName::of(&name("d7.example."))), Found::NoMatch(_)));
    let (shared, all) = last.names().shared_buckets(next.names());
    assert!(shared >= all - 51, "{shared} of {all}");
}

#[test]
fn what_cannot_be_is_refused_and_explained() {
    let zone = many();
    let mut delta = Delta::new(&zone);
    assert_eq!(delta.add(&record(&host("www.example.org.", 1))), Err(DeltaError::OutOfZone));
    assert_eq!(delta.delete(&record(&host("www.example.", 1))), Err(DeltaError::Missing));
    assert_eq!(delta.add(&record(&host("h7.d7.example.", 1))), Err(DeltaError::Present));
    delta.add(&record(&(name("h7.d7.example."), Type::CNAME, vec![0]))).expect("it is not there");
    let mut faults = Faults::default();
    assert!(delta.finish(0, &Inline, &mut faults).is_none());
    assert_eq!(faults.iter().map(|fault| fault.kind.code()).collect::<Vec<_>>(), ["cname-and-other-data"]);
    // A DNAME hides the names that were below it, which is no less an error where those were not touched.
    let mut delta = Delta::new(&zone);
    delta.add(&record(&(name("d7.example."), Type::DNAME, vec![0]))).expect("it is not there");
    let mut faults = Faults::default();
    assert!(delta.finish(0, &Inline, &mut faults).is_none());
    assert_eq!(faults.error_count(), 50);
    // Without an SOA there is no zone.
    let mut delta = Delta::new(&zone);
    delta.delete(&record(&soa(1))).expect("it is there");
    let mut faults = Faults::default();
    assert!(delta.finish(0, &Inline, &mut faults).is_none());
    assert!(faults.iter().any(|fault| fault.kind.code() == "no-soa"));
}

#[test]
fn a_zone_is_read_back_in_pieces_from_any_place() {
    let zone = many();
    let all: Vec<Name> = zone.nodes_from(NodeCursor::default()).map(|(node, _)| node.name().to_name()).collect();
    assert_eq!(all.len(), zone.name_count());
    let (mut cursor, mut pieces) = (NodeCursor::default(), Vec::new());
    loop {
        let piece: Vec<_> = zone.nodes_from(cursor).take(7).collect();
        let Some((_, behind)) = piece.last() else { break };
        cursor = *behind;
        pieces.extend(piece.iter().map(|(node, _)| node.name().to_name()));
    }
    assert_eq!(pieces, all);
}
