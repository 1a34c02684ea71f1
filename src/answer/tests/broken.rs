//! Zones that should be served and can't.

use super::*;
use crate::wire::SharedName;
use crate::zone::ZoneSet;

/// The corners, with zones that should be served and can't: beside them, below, above.
fn corners_and_broken(broken: &[&str]) -> Arc<Snapshot> {
    let corners = corners();
    let mut zones = corners.zones.clone();
    broken.iter().for_each(|name| zones.put_broken(shared(name)));
    corners.zones.iter().for_each(|zone| zones.put(Arc::clone(zone)));
    Arc::new(Snapshot { zones, settings: corners.settings.clone(), ..Snapshot::default() })
}

/// A name to keep.
fn shared(name: &str) -> SharedName {
    name.parse::<Name>().expect("a name").as_ref().into()
}

#[test]
fn a_zone_that_cannot_be_served_is_servfail_at_and_below_its_apex_and_nowhere_else() {
    let snapshot = corners_and_broken(&["b.example.", "test.", "example."]);
    assert_eq!((snapshot.zones.len(), snapshot.zones.broken_count()), (2, 2), "a zone stands above a name alone");
    for qtype in ["A", "SOA", "NS", "ANY", "TXT", "RRSIG", "CNAME"] {
        for name in
            ["b.example.", "B.Example.", "x.b.example.", "*.b.example.", "x.y.b.example.", "test.", "nowhere.test."]
        {
            assert_eq!(ask(&snapshot, Ask::new(&format!("{name} {qtype}"))), "2 | | |", "{name} {qtype}");
        }
    }
    // A zone below one that can't be served is served, and so is what is beside.
    assert_eq!(ask(&snapshot, Ask::new("www.other.test. A")), "0 aa | www.other.test. 300 A 192.0.2.66 | |");
    assert!(ask(&snapshot, Ask::new("www.example. A")).starts_with("0 aa | www.example."));
    assert!(ask(&snapshot, Ask::new("bb.example. A")).starts_with("3 aa"));
    assert_eq!(ask(&snapshot, Ask::new("com. A")), "5 | | |");
    // DS belongs to the parent: it is served above `b`, and can't be above `other`.
    assert!(ask(&snapshot, Ask::new("b.example. DS")).starts_with("3 aa"));
    assert_eq!(ask(&snapshot, Ask::new("x.b.example. DS")), "2 | | |");
    assert_eq!(ask(&snapshot, Ask::new("other.test. DS")), "2 | | |");
    // An alias into it ends there.
    assert_eq!(
        ask(&snapshot, Ask::new("outside.example. A")),
        "0 aa | outside.example. 300 CNAME www.nowhere.test. | |"
    );
    // Alone as well.
    let seed = snapshot.zones.iter().next().expect("one").seed();
    let mut zones = ZoneSet::with_seed(seed);
    zones.put_broken(shared("a."));
    let alone = Arc::new(Snapshot { zones, settings: Settings::default(), ..Snapshot::default() });
    assert!(alone.zones.is_empty());
    assert_eq!(
        (ask(&alone, Ask::new("x.a. A")), ask(&alone, Ask::new("b. A"))),
        ("2 | | |".to_owned(), "5 | | |".to_owned())
    );
}

#[test]
fn a_zone_that_cannot_be_served_is_answered_as_invalid_data() {
    let snapshot = corners_and_broken(&["b.example."]);
    let plain = send(&snapshot, &Ask::new("b.example. A").message(), Transport::Udp).expect("a reply");
    let reply =
        send(&snapshot, &Ask { edns: Some((1232, false)), ..Ask::new("b.example. A") }.message(), Transport::Udp)
            .expect("a reply");
    assert!(reply.len() > plain.len());
    // OPTION-CODE 15, OPTION-LENGTH 2, INFO-CODE 24 (RFC 8914 §2, §4.25).
    assert!(reply.ends_with(&[0, 15, 0, 2, 0, 24]), "{reply:02X?}");
}
