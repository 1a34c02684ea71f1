//! Zones from text: what is found in them, what versions share, what is reported.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hash::{LookupName, Seed};
use super::node::{Flags, Node};
use super::{Apex, Denial, Found, Nsec3Found, Zone, ZoneSet};
use crate::fault::{Faults, FileError, Sources};
use crate::wire::{Name, Type};
use crate::zonebuild::{Executor, Inline, TYPES_MAX};
use crate::zonefile::{Files, Limits, ZoneFile, load};

/// A key for tests, so that they do the same each time.
const SEED: Seed = Seed([0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03]);

/// Files that are text in a test.
struct TextFiles(HashMap<PathBuf, String>);

impl Files for TextFiles {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, FileError> {
        let text = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(text.clone().into_bytes())
    }
}

/// Loads a zone from text, which begins with an SOA and NS of its own; reports all faults.
fn load_text(name: &str, text: &str, previous: Option<&Zone>) -> (Option<Zone>, Faults) {
    load_with(&Inline, name, 1, text, previous)
}

/// The same with a executor and a serial.
fn load_with(
    executor: &dyn Executor,
    name: &str,
    serial: u32,
    text: &str,
    previous: Option<&Zone>,
) -> (Option<Zone>, Faults) {
    let path = PathBuf::from("test.zone");
    let name: Name = name.parse().expect("a good name");
    let head = format!("$TTL 300\n@ SOA ns admin {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n");
    let mut files = TextFiles(HashMap::from([(path.clone(), format!("{head}{text}\n"))]));
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let file = ZoneFile { path: &path, name: name.as_ref(), seed: SEED, previous, limits: Limits::default(), now: 0 };
    let zone = load(&file, &mut files, executor, &mut sources, &mut faults);
    (zone, faults)
}

/// A zone from text that has no errors: `$TTL 300`, an SOA (MINIMUM 60), NS `ns` and its address come by themselves.
pub(crate) fn zone_of(name: &str, text: &str) -> Zone {
    let (zone, faults) = load_text(name, text, None);
    zone.unwrap_or_else(|| panic!("{name} has errors: {:?}", faults.iter().collect::<Vec<_>>()))
}

/// The same with that serial.
pub(crate) fn zone_with_serial(name: &str, serial: u32, text: &str) -> Zone {
    let (zone, faults) = load_with(&Inline, name, serial, text, None);
    zone.unwrap_or_else(|| panic!("{name} has errors: {:?}", faults.iter().collect::<Vec<_>>()))
}

/// A set of such zones.
pub(crate) fn zone_set(zones: &[(&str, &str)]) -> ZoneSet {
    ZoneSet::new(zones.iter().map(|(name, text)| Arc::new(zone_of(name, text))).collect())
}

fn ready(name: &Name) -> LookupName<'_> {
    LookupName::new(name.as_ref())
}

fn name(text: &str) -> Name {
    text.parse().expect("a good name")
}

/// Says what the lookup of a name came to.
fn found(zone: &Zone, name: &str) -> String {
    match zone.lookup(&ready(&self::name(name))) {
        Found::Exact(node) if node.is_empty() => format!("empty {}", node.name()),
        Found::Exact(node) => format!("exact {}", node.name()),
        Found::Delegation { cut, labels } => format!("cut {} {labels}", cut.name()),
        Found::Dname { owner, labels } => format!("dname {} {labels}", owner.name()),
        Found::NoMatch(no_match) => match zone.wildcard(&no_match) {
            Some(node) => format!("wildcard {}", node.name()),
            None => format!("missing below {}", no_match.encloser.name()),
        },
    }
}

const PLACES: &str = "
www A 192.0.2.2
a.b.c TXT deep
*.w A 192.0.2.3
x.w TXT beside
cut NS ns.cut
cut NS ns
ns.cut A 192.0.2.4
ns.cut.cut A 192.0.2.5
d DNAME elsewhere.test.
CaSe TXT kept
";

#[test]
fn names_are_found_where_rfc_1034_has_them() {
    let zone = zone_of("example.", PLACES);
    for (name, expected) in [
        ("example.", "exact example."),
        ("WWW.example.", "exact www.example."),
        ("case.example.", "exact CaSe.example."),
        ("c.example.", "empty c.example."),
        ("b.c.example.", "empty b.c.example."),
        ("a.b.c.example.", "exact a.b.c.example."),
        ("z.b.c.example.", "missing below b.c.example."),
        ("nope.example.", "missing below example."),
        ("a.nope.example.", "missing below example."),
        ("w.example.", "empty w.example."),
        ("*.w.example.", "exact *.w.example."),
        ("y.w.example.", "wildcard *.w.example."),
        ("z.y.w.example.", "wildcard *.w.example."),
        ("z.x.w.example.", "missing below x.w.example."),
        ("z.*.w.example.", "missing below *.w.example."),
        ("cut.example.", "cut cut.example. 2"),
        ("ns.cut.example.", "cut cut.example. 2"),
        ("other.cut.example.", "cut cut.example. 2"),
        ("ns.cut.cut.example.", "cut cut.example. 2"),
        ("d.example.", "exact d.example."),
        ("a.b.d.example.", "dname d.example. 2"),
    ] {
        assert_eq!(found(&zone, name), expected, "{name}");
    }
}

#[test]
fn the_root_is_a_zone_like_any_other() {
    let zone = zone_of(".", "com NS ns.com\nns.com A 192.0.2.9\n");
    assert_eq!(found(&zone, "."), "exact .");
    assert_eq!(found(&zone, "www.com."), "cut com. 1");
    assert_eq!(found(&zone, "org."), "missing below .");
    assert_eq!(zone.apex_node().rrset(Type::NS).expect("there is one").record_count, 1);
}

#[test]
fn flags_say_what_the_lookup_needs() {
    let zone = zone_of("example.", PLACES);
    let node = |name: &str| zone.node(&ready(&self::name(name))).expect("there is one");
    assert!(node("w.example.").flags().has(Flags::HAS_WILDCARD));
    assert!(node("cut.example.").flags().has(Flags::IS_CUT));
    assert!(node("ns.cut.example.").flags().has(Flags::IS_OCCLUDED));
    assert!(node("d.example.").flags().has(Flags::HAS_DNAME));
    assert!(!zone.apex_node().flags().has(Flags::IS_CUT));
}

#[test]
fn the_deepest_zone_is_found() {
    let set = zone_set(&[(".", ""), ("example.", ""), ("a.b.example.", "")]);
    for (name, labels_max, apex) in [
        ("www.a.b.example.", 9, "a.b.example."),
        ("a.b.example.", 9, "a.b.example."),
        ("a.b.example.", 2, "example."),
        ("b.example.", 9, "example."),
        ("com.", 9, "."),
        (".", 9, "."),
    ] {
        let zone = set.find(&ready(&self::name(name)), labels_max).expect("there is one");
        assert_eq!(zone.apex().to_string(), apex, "{name}");
    }
    assert!(zone_set(&[("example.", "")]).find(&ready(&name("com.")), 9).is_none());
    assert!(ZoneSet::default().find(&ready(&name("com.")), 9).is_none());
}

#[test]
fn which_zone_is_found_does_not_depend_on_what_was_found_before() {
    let set =
        zone_set(&[("example.", ""), ("a.example.", ""), ("b.example.", ""), ("x.a.example.", ""), ("test.", "")]);
    let names =
        ["example.", "c.example.", "w.A.example.", "b.example.", "b.b.example.", "x.a.example.", "test.", "com."];
    for (before, asked) in names.iter().flat_map(|before| names.map(|asked| (before, asked))) {
        let (before, asked) = (name(before), name(asked));
        let asked = ready(&asked);
        let found = set.locate(&asked, set.locate(&ready(&before), None));
        assert_eq!(found.map(Apex::name), set.search(&asked, 9).map(Apex::name), "behind {before}");
    }
}

#[test]
fn a_version_shares_all_but_what_changed() {
    use std::fmt::Write;
    let (mut text, count) = (String::new(), 20_000);
    for index in 0..count {
        writeln!(text, "n{index} A 192.0.2.{}", index % 250).expect("memory");
    }
    let before = load_text("example.", &text, None).0.expect("good");
    let changed = text.replace("n777 A 192.0.2.27\n", "n777 A 198.51.100.1\n");
    assert_ne!(text, changed);
    let after = load_text("example.", &changed, Some(&before)).0.expect("good");
    let (shared, all) = after.names().shared_buckets(before.names());
    assert_eq!(all - shared, 1, "one of {all} buckets holds the name");
    assert_eq!(found(&after, "n777.example."), "exact n777.example.");
    let added = load_text("example.", &format!("{changed}new TXT new\n"), Some(&after)).0.expect("good");
    let (shared, all) = added.names().shared_buckets(after.names());
    assert_eq!(all - shared, 1, "one of {all} buckets holds the new name");
    assert_eq!(added.name_count(), after.name_count() + 1);
}

#[test]
fn templates_read_back_as_what_they_were_made_from() {
    let text = "m MX 10 mx.m\nm MX 20 MX.m\nm MX 30 mx.elsewhere.test.\n*.s SRV 1 2 3 host.s\nr RP a.r b.a.r\n";
    let zone = zone_of("example.", text);
    let mut dump = String::new();
    zone.write_text(&mut dump).expect("memory");
    for line in [
        "m.example.\t300\tIN\tMX\t10 mx.m.example.",
        "m.example.\t300\tIN\tMX\t20 MX.m.example.",
        "m.example.\t300\tIN\tMX\t30 mx.elsewhere.test.",
        "*.s.example.\t300\tIN\tSRV\t1 2 3 host.s.example.",
        "r.example.\t300\tIN\tRP\ta.r.example. b.a.r.example.",
    ] {
        assert!(dump.lines().any(|written| written == line), "{line} is not in\n{dump}");
    }
    assert!(dump.starts_with("example.\t300\tIN\tSOA\tns.example. admin.example. 1 3600 600 86400 60\n"));
}

#[test]
fn nsec_covers_by_canonical_order() {
    let zone =
        zone_of("example.", "@ NSEC b NS SOA NSEC\nb NSEC *.d A NSEC\nb A 192.0.2.1\n*.d NSEC @ TXT NSEC\n*.d TXT x\n");
    let at_or_before =
        |text: &str| zone.nsec_at_or_before(name(text).as_ref()).map(|node: Node<'_>| node.name().to_string());
    for (name, owner) in [
        ("a.example.", "example."),
        ("b.example.", "b.example."),
        ("a.b.example.", "b.example."),
        ("d.example.", "b.example."),
        ("*.d.example.", "*.d.example."),
        ("zz.example.", "*.d.example."),
    ] {
        assert_eq!(at_or_before(name).as_deref(), Some(owner), "{name}");
    }
}

#[test]
fn nsec3_owners_are_no_names_and_are_found_by_hash() {
    // The hash of example. without salt and iterations is in the owner of its own NSEC3 record.
    let params = super::nsec3::Params { iterations: 0, salt: Box::default() };
    let apex_hash = params.hash(name("example.").as_ref().as_bytes());
    let label = data_encoding::BASE32HEX_NOPAD.encode(&apex_hash);
    let zone = zone_of("example.", &format!("@ NSEC3PARAM 1 0 0 -\n{label} NSEC3 1 0 0 - {label} NS SOA NSEC3PARAM\n"));
    assert_eq!(found(&zone, &format!("{label}.example.")), "missing below example.");
    let Denial::Nsec3(chain) = zone.denial() else { panic!("it has a chain") };
    assert!(matches!(chain.find(&apex_hash), Some(Nsec3Found::Match(_))));
    assert!(matches!(chain.find(&[0; 20]), Some(Nsec3Found::Cover(_))));
    assert_eq!(zone.apex_node().nsec3_hash(), Some(&apex_hash));
}

#[test]
fn faults_of_a_zone_are_reported_by_their_code() {
    for (text, expected) in [
        ("a CNAME b\na TXT x", "cname-and-other-data"),
        ("a CNAME b\na CNAME c", "several-cnames"),
        ("a DNAME b\na DNAME c", "several-dnames"),
        ("@ SOA ns admin 2 3600 600 86400 60", "several-soas"),
        ("a DNAME b\nx.a A 192.0.2.1", "below-dname"),
    ] {
        let (zone, faults) = load_text("example.", text, None);
        assert!(zone.is_none(), "{text}");
        assert!(
            faults.iter().any(|fault| fault.kind.code() == expected),
            "{text}: {:?}",
            faults.iter().collect::<Vec<_>>()
        );
    }
    for (text, expected) in [
        ("a.test. A 192.0.2.1", "out-of-zone"),
        ("a 60 A 192.0.2.1\na 70 A 192.0.2.2", "ttls-differ"),
        ("a A 192.0.2.1\na A 192.0.2.1", "duplicate"),
        ("a NS a.a", "missing-glue"),
        ("a NS ns\nb.a TXT x", "below-cut"),
        ("a MX 1 b\nb CNAME ns", "target-is-alias"),
        ("*.a NS ns", "at-wildcard"),
        ("@ NSEC3PARAM 1 0 0 -", "nsec3param-without-chain"),
    ] {
        let (zone, faults) = load_text("example.", text, None);
        assert!(zone.is_some(), "{text}");
        let codes: Vec<&str> = faults.iter().map(|fault| fault.kind.code()).collect();
        assert!(codes.contains(&expected), "{text}: {codes:?}");
    }
}

/// Works on the last part first.
struct Backwards;

impl Executor for Backwards {
    fn parallelism(&self) -> usize {
        2
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).rev().for_each(work);
    }
}

#[test]
fn a_zone_is_the_same_in_one_shard_and_in_many_and_with_any_crew() {
    let mut text = String::new();
    for number in 0..4_000 {
        let more = match number % 8 {
            0 => format!("a.b{number}.h{number} TXT x\n*.w{number}.v A 192.0.2.2\n"),
            1 => format!("c{number} NS ns.c{number}\nns.c{number} A 192.0.2.3\nns.c{number} MX 1 h1\n"),
            2 => format!("d{number} NS nowhere{number}\n"),
            3 => format!("e{number} DNAME h1\n"),
            4 => format!("f{number} CNAME h1\nm{number} MX 1 f{number}\n"),
            _ => String::new(),
        };
        text += &format!("h{number} A 192.0.2.1\n{more}H{number} 60 TXT y\n");
    }
    let padded = text.clone() + &format!("; {}\n", "x".repeat(120)).repeat(40_000);
    let written = |zone: &Zone| {
        let mut out = String::new();
        zone.write_text(&mut out).expect("a String takes everything");
        out
    };
    let reported = |faults: &Faults| {
        let mut reported: Vec<_> = faults.iter().map(|fault| format!("{:?} {}", fault.position, fault.kind)).collect();
        reported.sort();
        (reported, faults.error_count(), faults.warning_count())
    };
    let (one, one_faults) = load_text("example.", &text, None);
    let one = one.unwrap_or_else(|| panic!("there are errors: {:?}", one_faults.iter().next()));
    assert_eq!(one_faults.warning_count(), 500 * 3, "MX below a cut, no address, target is an alias");
    for executor in [&Inline as &dyn Executor, &Backwards] {
        let (many, faults) = load_with(executor, "example.", 1, &padded, Some(&one));
        let many = many.expect("only warnings");
        assert_eq!(written(&many), written(&one));
        assert_eq!(faults.warning_count(), one_faults.warning_count());
        let (shared, all) = many.names().shared_buckets(one.names());
        assert!(shared == all && all > 256, "{shared} of {all} buckets");
    }
    let end = text.find("h200 ").expect("it is there");
    let (few, few_faults) = load_text("example.", &text[..end], None);
    let cut = text[..end].to_owned() + &padded[text.len()..];
    let (many, many_faults) = load_with(&Backwards, "example.", 1, &cut, None);
    assert_eq!(reported(&few_faults), reported(&many_faults), "few enough that all are kept");
    assert_eq!(few.map(|zone| written(&zone)), many.map(|zone| written(&zone)));
}

#[test]
fn an_rrset_that_no_reply_with_edns_holds_is_reported() {
    // 65,486 octets of RDATA with header, question, the rest of the record and OPT are one octet too many.
    for (octets, reported) in [
        (65_485, None),
        (65_486, Some("rrset-without-room")),
        (65_512, Some("rrset-without-room")),
        (65_513, Some("rrset-too-large")),
    ] {
        let (whole, rest) = (octets / 256, octets % 256);
        let text =
            format!("bg TXT {}\"{}\"\n", format!("\"{}\" ", "x".repeat(255)).repeat(whole), "x".repeat(rest - 1));
        let (zone, faults) = load_text("e.test.", &text, None);
        assert_eq!(faults.iter().next().map(|fault| fault.kind.code()), reported, "{octets}");
        assert_eq!(zone.is_some(), reported != Some("rrset-too-large"), "{octets}");
    }
}

#[test]
fn an_rrset_is_measured_with_its_names_compressed() {
    let many = |count: usize| {
        (0..count).map(|index| format!("p PTR h{index:07}.customers.of.a.long.domain.name.test.\n")).collect::<String>()
    };
    let (zone, faults) = load_text("e.test.", &many(1500), None);
    assert!(zone.is_some() && faults.iter().next().is_none());
    let (zone, faults) = load_text("e.test.", &many(3000), None);
    let codes: Vec<_> = faults.iter().map(|fault| fault.kind.code()).collect();
    assert!(zone.is_none() && codes == ["rrset-too-large"], "{codes:?}");
}

#[test]
fn names_that_nobody_means_are_reported() {
    for (zone, text, expected) in [
        ("example.", "mail.example A 192.0.2.1", &["final-dot"][..]),
        ("example.", "@ MX 10 mail.example", &["final-dot"]),
        ("example.test.", "www CNAME web.example.test", &["final-dot"]),
        ("example.test.", "x SRV 0 0 53 www.example.test.sub", &["final-dot"]),
        ("2.0.192.in-addr.arpa.", "1 PTR www.example.test", &["final-dot"]),
        ("2.0.192.in-addr.arpa.", "1 PTR www.example.test.", &[]),
        ("com.", "com.com. NS ns1.com.com.\nns1.com.com. A 192.0.2.1", &[]),
        ("example.", "a.example.b A 192.0.2.1", &[]),
        ("example.test.", "r RP host@example.test. .", &["bad-rname"]),
        ("example.test.", "a CNAME b", &["alias-to-nothing"]),
        ("example.test.", "a CNAME b.c\n*.c A 192.0.2.1", &[]),
        ("example.test.", "a CNAME b.c\nd.b.c A 192.0.2.1", &[]),
        ("example.test.", "a CNAME b.c\nc NS ns.other.", &[]),
        ("example.test.", "a CNAME other.", &[]),
    ] {
        let (_, faults) = load_text(zone, text, None);
        let codes: Vec<&str> = faults.iter().map(|fault| fault.kind.code()).collect();
        assert_eq!(codes, expected, "{zone} {text}");
    }
}

#[test]
fn a_name_has_no_more_types_than_a_query_may_look_through() {
    let types = |count: usize| (0..count).map(|n| format!("many TYPE{} \\# 0\n", 20_000 + n)).collect::<String>();
    assert!(load_text("example.", &types(TYPES_MAX), None).0.is_some());
    let (zone, faults) = load_text("example.", &types(TYPES_MAX + 1), None);
    assert!(zone.is_none() && faults.iter().all(|fault| fault.kind.code() == "too-many-types"));
}
