//! The example zones of RFC 8976, and what each rule makes of records that are missing, wrong or not known.

use std::path::{Path, PathBuf};

use super::*;
use crate::fault::{FileError, Severity, Sources};
use crate::wire::Name;
use crate::zone::hash::Seed;
use crate::zonebuild::Inline;
use crate::zonefile::{Files, Limits, ZoneFile, load};

/// A file that is text in a test.
struct Text(String);

impl Files for Text {
    fn read(&mut self, _: &Path) -> Result<Vec<u8>, FileError> {
        Ok(self.0.clone().into_bytes())
    }
}

/// Loads the zone `example.`, which has no errors.
fn zone(text: &str) -> Zone {
    let (path, name): (_, Name) = (PathBuf::from("test.zone"), "example.".parse().expect("a name"));
    let limits = Limits::default();
    let file = ZoneFile { path: &path, name: name.as_ref(), seed: Seed([1, 2]), previous: None, limits, now: 0 };
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let zone = load(&file, &mut Text(text.to_owned()), &Inline, &mut sources, &mut faults);
    zone.unwrap_or_else(|| panic!("{:?}", faults.iter().collect::<Vec<_>>()))
}

/// The codes of what a rule finds, errors with a mark.
fn found(text: &str, rule: ZonemdRule) -> Vec<String> {
    let mut faults = Faults::default();
    check_digest(&zone(text), rule, &mut faults);
    let mark = |severity| if severity == Severity::Error { "!" } else { "" };
    faults.iter().map(|fault| format!("{}{}", fault.kind.code(), mark(fault.severity))).collect()
}

/// What stands at the apex of each example of the RFC.
const APEX: &str = "@ 86400 SOA ns1 admin 2018031900 1800 900 604800 86400\n@ 86400 NS ns1\n@ 86400 NS ns2\n";
/// RFC 8976 appendix A.1: the digest of the simple zone.
const SIMPLE_DIGEST: &str =
    "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c";

/// RFC 8976 appendix A.1 with other ZONEMD records.
fn simple(zonemds: &[String]) -> String {
    let zonemds: String = zonemds.iter().map(|zonemd| format!("@ 86400 ZONEMD {zonemd}\n")).collect();
    format!("{APEX}{zonemds}ns1 3600 A 203.0.113.63\nns2 3600 AAAA 2001:db8::63\n")
}

/// A digest of octets `ab`.
fn other_digest(octets: usize) -> String {
    "ab".repeat(octets)
}

#[test]
fn the_simple_zone_of_appendix_a_1_verifies() {
    let text = simple(&[format!("2018031900 1 1 {SIMPLE_DIGEST}")]);
    assert!(found(&text, ZonemdRule::Require).is_empty());
    assert_eq!(found(&text.replace("203.0.113.63", "203.0.113.64"), ZonemdRule::Verify), ["zonemd-digest!"]);
    assert_eq!(found(&text.replace("3600 AAAA", "3601 AAAA"), ZonemdRule::Verify), ["zonemd-digest!"]);
    // The TTL of the ZONEMD itself is not covered, nor letter case.
    assert!(found(&text.replace("86400 ZONEMD", "60 ZONEMD"), ZonemdRule::Verify).is_empty());
    assert!(found(&text.replace("ns2", "NS2"), ZonemdRule::Verify).is_empty());
}

#[test]
fn the_complex_zone_of_appendix_a_2_verifies() {
    let text = format!(
        "{APEX}@ 86400 ZONEMD 2018031900 1 1 \
         a3b69bad980a3504e1cffcb0fd6397f93848071c93151f552ae2f6b1711d4bd2d8b39808226d7b9db71e34b72077f8fe\n\
         ns1 3600 A 203.0.113.63\nNS2 3600 AAAA 2001:db8::63\n\
         occluded.sub 7200 TXT \"I'm occluded but must be digested\"\nsub 7200 NS ns1\n\
         duplicate 300 TXT \"I must be digested just once\"\nduplicate 300 TXT \"I must be digested just once\"\n\
         foo.test. 555 TXT \"out-of-zone data must be excluded\"\n\
         UPPERCASE 3600 TXT \"canonicalize uppercase owner names\"\n* 777 PTR dont-forget-about-wildcards\n\
         mail 3600 MX 20 MAIL1\nmail 3600 MX 10 Mail2.Example.\n\
         sortme 3600 AAAA 2001:db8::5:61\nsortme 3600 AAAA 2001:db8::3:62\nsortme 3600 AAAA 2001:db8::4:63\n\
         sortme 3600 AAAA 2001:db8::1:65\nsortme 3600 AAAA 2001:db8::2:64\n\
         non-apex 900 ZONEMD 2018031900 1 1 \
         616c6c6f776564206275742069676e6f7265642e20616c6c6f776564206275742069676e6f7265642e20616c6c6f7765\n"
    );
    assert!(found(&text, ZonemdRule::Require).is_empty());
    assert_eq!(found(&text.replace("I'm occluded", "I am occluded"), ZonemdRule::Verify), ["zonemd-digest!"]);
    assert_eq!(found(&text.replace("900 ZONEMD", "901 ZONEMD"), ZonemdRule::Verify), ["zonemd-digest!"]);
}

#[test]
fn of_the_digests_of_appendix_a_3_either_that_is_known_is_enough() {
    let digests = [
        "2018031900 1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637\
         493daaf401c92c279dd10f0edb1c56f8080211f8480ee306",
        "2018031900 1 2 08cfa1115c7b948c4163a901270395ea226a930cd2cbcf2fa9a5e6eb85f37c8a\
         4e114d884e66f176eab121cb02db7d652e0cc4827e7a3204f166b47e5613fd27",
        "2018031900 1 240 e2d523f654b9422a96c5a8f44607bbee",
        "2018031900 241 1 e1846540e33a9e4189792d18d5d131f605fc283eaaaaaaaa\
         aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    let text = |digests: &[&str]| {
        let digests: Vec<String> = digests.iter().map(|digest| (*digest).to_owned()).collect();
        simple(&digests) + "ns2 86400 TXT \"This example has multiple digests\"\n"
    };
    assert!(found(&text(&digests), ZonemdRule::Require).is_empty());
    assert!(found(&text(&digests[..1]), ZonemdRule::Require).is_empty());
    assert!(found(&text(&digests[1..2]), ZonemdRule::Require).is_empty());
    let wrong = format!("2018031900 1 1 {}", other_digest(48));
    assert!(found(&text(&[&wrong, digests[1]]), ZonemdRule::Require).is_empty(), "SHA-512 verifies");
    assert_eq!(found(&text(&digests[2..]), ZonemdRule::Verify), ["zonemd-unknown", "zonemd-unknown"]);
    let unverified = ["zonemd-unknown", "zonemd-unknown", "zonemd-unverified!"];
    assert_eq!(found(&text(&digests[2..]), ZonemdRule::Require), unverified);
}

#[test]
fn what_is_missing_stale_or_repeated_is_refused_as_the_rule_says() {
    let good = format!("2018031900 1 1 {SIMPLE_DIGEST}");
    let cases: [(&[String], &[&str], &[&str]); 6] = [
        (&[], &[], &["zonemd-missing!"]),
        (&[format!("2018031899 1 1 {SIMPLE_DIGEST}")], &["zonemd-serial!"], &["zonemd-serial!"]),
        (&[format!("2018031900 1 1 {}", other_digest(48))], &["zonemd-digest!"], &["zonemd-digest!"]),
        (
            &[good.clone(), format!("2018031900 1 1 {}", other_digest(48))],
            &["zonemd-repeated!", "zonemd-repeated!"],
            &["zonemd-repeated!", "zonemd-repeated!"],
        ),
        (&[good.clone(), format!("2018031899 1 2 {}", other_digest(64))], &[], &[]),
        (&[format!("2018031899 7 7 {}", other_digest(20))], &["zonemd-serial!"], &["zonemd-serial!"]),
    ];
    for (zonemds, verify, require) in cases {
        let text = simple(zonemds);
        assert_eq!(found(&text, ZonemdRule::Verify), verify, "{zonemds:?}");
        assert_eq!(found(&text, ZonemdRule::Require), require, "{zonemds:?}");
        assert!(found(&text, ZonemdRule::Ignore).is_empty(), "{zonemds:?}");
    }
}
