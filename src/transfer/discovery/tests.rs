//! The way to the endpoint of a parent, over what lookups find.

use super::*;

fn name(text: &str) -> SharedName {
    text.parse::<Name>().expect("a name").as_ref().into()
}

/// RDATA of a DSYNC record.
fn dsync(subject: Type, scheme: u8, port: u16, target: &str) -> Vec<u8> {
    [&subject.0.to_be_bytes()[..], &[scheme], &port.to_be_bytes(), name(target).as_ref().as_bytes()].concat()
}

fn look_up(text: &str, rtype: Type) -> DiscoveryStep {
    DiscoveryStep::LookUp(name(text), rtype)
}

/// Takes that there is nothing, as the zone says.
fn nothing(zone: &str) -> Found {
    Found::Nothing(Some(name(zone)))
}

/// A discovery for that zone, which looks this name up first.
fn begun(child: &str, first: &str) -> Discovery {
    let (discovery, step) = Discovery::begin(name(child).as_ref(), Type::CDS).expect("it begins");
    assert_eq!(step, look_up(first, Type::DSYNC));
    discovery
}

#[test]
fn the_record_of_the_type_leads_to_all_addresses_of_its_target() {
    let mut discovery = begun("child.example.", "child._dsync.example.");
    let records = Found::Records(vec![
        dsync(Type::CSYNC, 1, 5300, "other.example."),
        dsync(Type::CDS, 2, 5300, "other.example."),
        dsync(Type::CDS, 1, 0, "other.example."),
        dsync(Type::CDS, 1, 5301, "cds.example."),
    ]);
    assert_eq!(discovery.take(records), Ok(look_up("cds.example.", Type::A)));
    let addresses = Found::Records(vec![vec![192, 0, 2, 1], vec![224, 0, 0, 1], vec![0; 4], vec![255; 4]]);
    assert_eq!(discovery.take(addresses), Ok(look_up("cds.example.", Type::AAAA)));
    let endpoint = Endpoint { target: name("cds.example."), port: 5301 };
    assert_eq!(endpoint.to_string(), "cds.example:5301");
    let v6: [u8; 16] = [0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let addresses = ["192.0.2.1:5301", "[2001:db8::1]:5301"].map(|text| text.parse().expect("one")).to_vec();
    assert_eq!(discovery.take(Found::Records(vec![v6.to_vec()])), Ok(DiscoveryStep::Found(endpoint, addresses)));
}

#[test]
fn a_parent_further_up_is_asked_for_all_labels_of_the_child() {
    // The example of RFC 9859 §4.1.
    let mut discovery = begun("subsub.sub.child.example.", "subsub._dsync.sub.child.example.");
    let next = look_up("subsub.sub.child._dsync.example.", Type::DSYNC);
    assert_eq!(discovery.take(nothing("example.")), Ok(next));
    assert_eq!(discovery.take(nothing("example.")), Ok(look_up("_dsync.example.", Type::DSYNC)));
    assert_eq!(discovery.take(nothing("example.")), Ok(DiscoveryStep::Nobody));
}

#[test]
fn where_no_zone_answers_for_the_child_the_label_is_asked_alone() {
    for zone in [None, Some(name("_dsync.example.")), Some(name("example.")), Some(name("stranger.test."))] {
        let mut discovery = begun("child.example.", "child._dsync.example.");
        assert_eq!(
            discovery.take(Found::Nothing(zone.clone())),
            Ok(look_up("_dsync.example.", Type::DSYNC)),
            "{zone:?}"
        );
        let records = Found::Records(vec![dsync(Type::CDS, 1, 53, "a.")]);
        assert_eq!(discovery.take(records), Ok(look_up("a.", Type::A)));
    }
    let mut discovery = begun("example.", "example._dsync.");
    assert_eq!(discovery.take(nothing(".")), Ok(look_up("_dsync.", Type::DSYNC)));
}

#[test]
fn a_parent_that_wants_nothing_of_the_type_is_not_told() {
    for rdata in [dsync(Type::CSYNC, 1, 53, "a."), dsync(Type::CDS, 0, 53, "a."), vec![0, 59, 1], Vec::new()] {
        let mut discovery = begun("child.example.", "child._dsync.example.");
        assert_eq!(discovery.take(Found::Records(vec![rdata])), Ok(DiscoveryStep::Nobody));
    }
    let root = Discovery::begin(NameRef::ROOT, Type::CDS).map(|(_, step)| step);
    assert_eq!(root, Ok(DiscoveryStep::Nobody));
}

#[test]
fn what_leads_nowhere_ends() {
    let mut discovery = begun("child.example.", "child._dsync.example.");
    discovery.take(Found::Records(vec![dsync(Type::CDS, 1, 53, "gone.example.")])).expect("a target");
    discovery.take(nothing("example.")).expect("the other family is asked for");
    let endpoint = Endpoint { target: name("gone.example."), port: 53 };
    assert_eq!(discovery.take(nothing("example.")), Err(DiscoveryFault::NoAddress(endpoint)));

    // Zones that name one further up each time.
    let labels: Vec<String> = (0..50).map(|number| format!("l{number}.")).collect();
    let mut discovery = begun(&labels.concat(), &format!("l0._dsync.{}", labels[1..].concat()));
    let ended = (2..).map(|up| discovery.take(nothing(&labels[up..].concat()))).position(|step| step.is_err());
    assert_eq!(ended, Some(LOOKUPS_MAX - 1));

    let long = format!("{0}.{0}.{0}.{1}.", "a".repeat(63), "b".repeat(61));
    let refused = Discovery::begin(name(&long).as_ref(), Type::CDS).map(|(_, step)| step);
    assert_eq!(refused, Err(DiscoveryFault::TooLong(NameError::TooLong)));
}
