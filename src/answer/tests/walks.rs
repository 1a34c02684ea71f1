//! What a walk over aliases, wildcards and zones brings together: proofs, the zone's edge, additional records.

use std::sync::Arc;

use super::{Ask, ask, settings, snapshot, zone_set};
use crate::answer::Transport;

/// A signature that covers `rtype`, as long as real ones.
fn signature(rtype: &str) -> String {
    format!("RRSIG {rtype} 13 2 300 20300101000000 20200101000000 1 example. {}", "A".repeat(86) + "==")
}

/// The owners of the NSEC records in an answer with DO.
fn proofs(zone: &str, question: &str) -> Vec<String> {
    let snapshot = snapshot(&[("example.", zone)]);
    let described = ask(&snapshot, Ask { transport: Transport::Tcp, ..Ask::new(question).with_do() });
    let words = described.split(['|', '/']).map(|record| record.split_whitespace().collect::<Vec<_>>());
    words.filter(|words| words.get(2) == Some(&"NSEC")).map(|words| words[0].to_owned()).collect()
}

#[test]
fn a_wildcard_on_the_way_is_proved_however_the_walk_ends() {
    let mut names = vec!["@", "sec", "plain", "txt", "dn", "end", "*.w-out", "*.w-loop", "*.w-all"];
    let ends = [
        ("sec", "DS"),
        ("plain", "DS"),
        ("x.sec", "A"),
        ("txt", "A"),
        ("none", "A"),
        ("end", "A"),
        ("x.dn", "A"),
        ("dn", "DNAME"),
        ("end", "RRSIG"),
        ("end", "ANY"),
    ];
    let mut zone = String::from(
        "sec NS ns.other.test.\nsec DS 12345 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\n\
         plain NS ns.other.test.\ntxt TXT x\ndn DNAME w-end\nend A 192.0.2.9\n*.w-out CNAME www.other.test.\n\
         *.w-loop CNAME x.w-loop\n*.w-all A 192.0.2.8\n*.w-all TXT x\n",
    );
    let owners: Vec<String> = (0..ends.len()).map(|index| format!("*.w{index}")).collect();
    for (owner, (target, _)) in owners.iter().zip(ends) {
        zone += &format!("{owner} CNAME {target}\n");
    }
    names.extend(owners.iter().map(String::as_str));
    zone += &format!("@ {}\n", signature("SOA"));
    // Each name has an NSEC that leads to the next one in the order of the text, which is all that is looked at here.
    for owner in names {
        zone += &format!("{owner} NSEC @ A RRSIG NSEC\n{owner} {}\n", signature("NSEC"));
    }
    for (index, (target, rtype)) in ends.iter().enumerate() {
        let found = proofs(&zone, &format!("x.w{index}.example. {rtype}"));
        assert!(found.contains(&format!("*.w{index}.example.")), "{rtype} at {target}: {found:?}");
    }
    for (question, owner) in [
        ("x.w-out.example. A", "*.w-out.example."),
        ("y.w-loop.example. A", "*.w-loop.example."),
        ("x.w-all.example. ANY", "*.w-all.example."),
        ("x.w-all.example. TYPE65400", "*.w-all.example."),
        ("x.w0.example. CNAME", "*.w0.example."),
    ] {
        assert!(proofs(&zone, question).contains(&owner.to_owned()), "{question}");
    }
}

/// Zones of two tenants, one of which has a child here too, and another one below it without a cut.
fn tenants() -> Arc<super::Snapshot> {
    let example = "
away CNAME www.other.test.
away-none CNAME none.other.test.
*.star CNAME none.other.test.
two CNAME away
d DNAME other.test.
child NS ns.child
ns.child A 192.0.2.5
child DS 1 13 1 0000000000000000000000000000000000000000
to-child CNAME www.child
to-child-apex CNAME child
to-deep CNAME www.deep.a
to-apex CNAME @
";
    snapshot(&[
        ("example.", example),
        ("other.test.", "www A 192.0.2.66"),
        ("child.example.", "www A 192.0.2.67\nup CNAME ns.example.\nme CNAME @"),
        ("deep.a.example.", "www A 192.0.2.68"),
    ])
}

#[test]
fn an_alias_ends_at_the_edge_of_its_zone() {
    let snapshot = tenants();
    let child = "child.example. 300 NS ns.child.example. | ns.child.example. 300 A 192.0.2.5";
    for (question, expected) in [
        ("away.example. A", "0 aa | away.example. 300 CNAME www.other.test. | |".to_owned()),
        ("away-none.example. A", "0 aa | away-none.example. 300 CNAME none.other.test. | |".to_owned()),
        ("x.star.example. A", "0 aa | x.star.example. 300 CNAME none.other.test. | |".to_owned()),
        (
            "two.example. A",
            "0 aa | two.example. 300 CNAME away.example. / away.example. 300 CNAME www.other.test. | |".to_owned(),
        ),
        (
            "www.d.example. A",
            "0 aa | d.example. 300 DNAME other.test. / www.d.example. 300 CNAME www.other.test. | |".to_owned(),
        ),
        (
            "none.d.example. A",
            "0 aa | d.example. 300 DNAME other.test. / none.d.example. 300 CNAME none.other.test. | |".to_owned(),
        ),
        // What this zone delegates it refers to, as it would if the child were not served here.
        ("to-child.example. A", format!("0 aa | to-child.example. 300 CNAME www.child.example. | {child}")),
        ("to-child-apex.example. A", format!("0 aa | to-child-apex.example. 300 CNAME child.example. | {child}")),
        (
            "to-child-apex.example. DS",
            "0 aa | to-child-apex.example. 300 CNAME child.example. / child.example. 300 DS 1 13 1 \
             0000000000000000000000000000000000000000 | |"
                .to_owned(),
        ),
        // Nothing that this zone could say about a zone below it without a cut would be true.
        ("to-deep.example. A", "0 aa | to-deep.example. 300 CNAME www.deep.a.example. | |".to_owned()),
        ("up.child.example. A", "0 aa | up.child.example. 300 CNAME ns.example. | |".to_owned()),
        (
            "me.child.example. DS",
            "0 aa | me.child.example. 300 CNAME child.example. | child.example. 60 SOA ns.child.example. \
             admin.child.example. 1 3600 600 86400 60 |"
                .to_owned(),
        ),
    ] {
        assert_eq!(ask(&snapshot, Ask::new(question)).trim_end(), expected, "{question}");
    }
    let apex = ask(&snapshot, Ask::new("to-apex.example. NS"));
    assert!(apex.starts_with("0 aa | to-apex.example. 300 CNAME example. / example. 300 NS ns.example. |"), "{apex}");
}

#[test]
fn an_alias_is_followed_across_zones_where_one_owner_has_them_all() {
    let mut snapshot = tenants();
    settings(&mut snapshot).follow_across_zones = true;
    for (question, expected) in [
        ("away.example. A", "0 aa | away.example. 300 CNAME www.other.test. / www.other.test. 300 A 192.0.2.66 | |"),
        (
            "none.d.example. A",
            "3 aa | d.example. 300 DNAME other.test. / none.d.example. 300 CNAME none.other.test. | \
             other.test. 60 SOA ns.other.test. admin.other.test. 1 3600 600 86400 60 |",
        ),
        (
            "to-child.example. A",
            "0 aa | to-child.example. 300 CNAME www.child.example. / www.child.example. 300 A 192.0.2.67 | |",
        ),
        (
            "to-deep.example. A",
            "0 aa | to-deep.example. 300 CNAME www.deep.a.example. / www.deep.a.example. 300 A 192.0.2.68 | |",
        ),
        (
            "me.child.example. DS",
            "0 aa | me.child.example. 300 CNAME child.example. / child.example. 300 DS 1 13 1 \
             0000000000000000000000000000000000000000 | |",
        ),
    ] {
        assert_eq!(ask(&snapshot, Ask::new(question)).trim_end(), expected, "{question}");
    }
}

#[test]
fn an_alias_mode_record_brings_the_service_that_it_leads_to() {
    let zone = "
ha HTTPS 0 hsvc
ha2 HTTPS 0 ha
hsvc HTTPS 1 other alpn=h2
hsvc A 192.0.2.3
other A 192.0.2.4
other HTTPS 1 . alpn=h3
sa SVCB 0 hsvc
loop1 HTTPS 0 loop2
loop2 HTTPS 0 loop1
self HTTPS 0 self
none HTTPS 0 .
plain HTTPS 1 hsvc
out HTTPS 0 www.other.test.
wild HTTPS 0 x.w
*.w HTTPS 1 other
cut NS ns.cut
ns.cut A 192.0.2.5
ns.cut HTTPS 1 other
below HTTPS 0 ns.cut
";
    let snapshot = snapshot(&[("example.", zone), ("other.test.", "www HTTPS 1 .\nwww A 192.0.2.6")]);
    let (hsvc, other) = ("hsvc.example. 300 A 192.0.2.3", "other.example. 300 A 192.0.2.4");
    let service = "hsvc.example. 300 HTTPS 1 other.example. alpn=\"h2\"";
    for (question, additional) in [
        ("ha.example. HTTPS", format!(" {service} / {hsvc} / {other}")),
        ("ha2.example. HTTPS", format!(" ha.example. 300 HTTPS 0 hsvc.example. / {service} / {hsvc} / {other}")),
        ("sa.example. SVCB", format!(" {hsvc}")),
        ("loop1.example. HTTPS", " loop2.example. 300 HTTPS 0 loop1.example.".to_owned()),
        ("self.example. HTTPS", String::new()),
        ("none.example. HTTPS", String::new()),
        ("plain.example. HTTPS", format!(" {hsvc}")),
        ("out.example. HTTPS", String::new()),
        ("wild.example. HTTPS", format!(" x.w.example. 300 HTTPS 1 other.example. / {other}")),
        ("below.example. HTTPS", " ns.cut.example. 300 A 192.0.2.5".to_owned()),
    ] {
        let described = ask(&snapshot, Ask::new(question));
        assert_eq!(
            described.rsplit('|').next().map(str::trim_end),
            Some(additional.as_str()),
            "{question}: {described}"
        );
    }
}

#[test]
fn a_chain_of_aliases_to_services_has_a_bound() {
    let zone: String =
        (0..40).map(|index| format!("h{index} HTTPS 0 h{}\nh{index} A 192.0.2.1\n", index + 1)).collect();
    let described =
        ask(&snapshot(&[("example.", &zone)]), Ask { transport: Transport::Tcp, ..Ask::new("h0.example. HTTPS") });
    assert_eq!((described.matches(" HTTPS ").count(), described.matches(" A ").count()), (9, 9), "{described}");
}

#[test]
fn signatures_that_are_asked_for_are_those_of_one_rrset() {
    let types = ["A", "TXT", "MX", "NSEC"];
    let mut zone = String::from("www A 192.0.2.1\nwww TXT x\nwww MX 10 www\nwww NSEC @ A TXT MX NSEC\n*.w TXT x\n");
    zone += &format!("@ {}\n@ NSEC @ SOA\n*.w {}\n", signature("SOA"), signature("TXT"));
    zone.extend(types.map(|rtype| format!("www {}\n", signature(rtype))));
    let snapshot = snapshot(&[("example.", &zone)]);
    let described = ask(&snapshot, Ask::new("www.example. RRSIG").with_do());
    assert_eq!((described.matches(" RRSIG ").count(), described.matches(" RRSIG A ").count()), (1, 1), "{described}");
    assert!(ask(&snapshot, Ask::new("x.w.example. RRSIG")).contains("x.w.example. 300 RRSIG TXT "));
    assert!(ask(&snapshot, Ask::new("ns.example. RRSIG")).starts_with("0 aa | | example. 60 SOA"));
}

#[test]
fn a_reply_that_is_cut_carries_no_records() {
    let address = |name: &str| (0..60).map(|index| format!("{name} A 192.0.2.{index}\n")).collect::<String>();
    let zone =
        format!("big A 192.0.2.200\n{}c CNAME big\nw.d DNAME big\ncut NS a.cut\n{}", address("big"), address("a.cut"));
    let zones = [("example.", &zone[..])];
    let snapshot = snapshot(&zones);
    assert_eq!(zone_set(&zones).len(), 1);
    for (question, expected) in
        [("big.example. A", "0 aa tc | | |"), ("c.example. A", "0 aa tc | | |"), ("x.cut.example. A", "0 tc | | |")]
    {
        assert_eq!(ask(&snapshot, Ask::new(question)).trim_end(), expected, "{question}");
    }
}
