//! `fated check` on signed zones that were spoilt after they were signed: whatever keeps a validator from believing is
//! reported, and nothing is reported of what is sound.

#[path = "common/command.rs"]
mod command;
mod common;

use std::collections::BTreeSet;
use std::fs;

use command::Site;
use common::sign::{Denial, Signed, sign};
use common::{must_skip, program};

/// The zone before it is signed: a cut with DS, one without, an empty non-terminal, a wildcard, an alias.
const TEXT: &str = "$TTL 300\n@ SOA ns h 1 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\nwww TXT x\n\
    *.w A 192.0.2.3\na.b.c A 192.0.2.4\nal CNAME www\nsec NS ns.sec\nns.sec A 192.0.2.5\n\
    sec DS 12345 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\n\
    ins NS ns.ins\nns.ins A 192.0.2.6\n";
/// The zone.
const ORIGIN: &str = "d.test.";

/// The codes of all faults that `fated check` reports of a zone, and its exit code.
fn reported(text: &str, options: &[&str]) -> (BTreeSet<String>, i32) {
    let site = Site::new();
    site.write("zones/d.test.zone", text);
    let said = site.run(&[&["check", "--zones", "zones"][..], options].concat());
    let code = |line: &str| Some(line.split_once('[')?.1.split_once("]: ")?.0.to_owned());
    (
        said.err
            .lines()
            .filter(|line| line.starts_with("warning[") || line.starts_with("error["))
            .filter_map(code)
            .collect(),
        said.code,
    )
}

/// Signs the zone in each way.
fn signed(denial: Denial) -> Signed {
    let folder = tempfile::tempdir().expect("a folder");
    sign(folder.path(), ORIGIN, TEXT, denial)
}

/// The lines of a zone without those that `is_out` names.
fn without(text: &str, is_out: impl Fn(&[&str]) -> bool) -> String {
    let kept = text.lines().filter(|line| !is_out(&line.split_whitespace().collect::<Vec<_>>()));
    kept.map(|line| format!("{line}\n")).collect()
}

/// Whether a record, or the signature of one, is of a type.
fn is_of(words: &[&str], rtype: &str) -> bool {
    words.get(3) == Some(&rtype) || (words.get(3) == Some(&"RRSIG") && words.get(4) == Some(&rtype))
}

/// The owner of the NSEC or NSEC3 record that leads to the one of `owner`, and that to which it leads.
fn codes(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|code| (*code).to_owned()).collect()
}

#[test]
fn what_is_sound_is_not_reported() {
    let test = "what_is_sound_is_not_reported";
    if must_skip(test, &["dnssec-signzone", "dnssec-keygen", "dnssec-dsfromkey"]) {
        return;
    }
    for denial in [Denial::Nsec, Denial::Nsec3, Denial::OptOut] {
        let (faults, code) = reported(&signed(denial).text, &["--strict"]);
        let meant = if denial == Denial::OptOut { codes(&["nsec3-iterations"]) } else { codes(&[]) };
        assert_eq!(faults, meant, "{denial:?}");
        assert_eq!(code, i32::from(denial == Denial::OptOut), "{denial:?}: with --strict a warning is an error");
    }
}

#[test]
fn a_chain_is_checked_as_a_whole() {
    let test = "a_chain_is_checked_as_a_whole";
    if must_skip(test, &["dnssec-signzone", "dnssec-keygen", "dnssec-dsfromkey"]) {
        return;
    }
    let mut wrong = Vec::new();
    let mut expect = |what: &str, text: &str, meant: &[&str]| {
        let (mut found, code) = reported(text, &[]);
        found.remove("nsec3-iterations");
        let strict = reported(text, &["--strict"]).1;
        if found != codes(meant) || code != 0 || strict != 1 {
            wrong.push(format!("{what}: {found:?} for {meant:?}, exit {code}, strict {strict}"));
        }
    };
    let nsec = signed(Denial::Nsec).text;
    expect("no NSEC at all", &without(&nsec, |w| is_of(w, "NSEC")), &["no-denial"]);
    for owner in ["www.d.test.", "a.b.c.d.test.", "*.w.d.test.", "sec.d.test.", "ins.d.test.", "al.d.test.", "d.test."]
    {
        let text = without(&nsec, |w| w.first() == Some(&owner) && is_of(w, "NSEC"));
        expect(&format!("no NSEC at {owner}"), &text, &["denial-missing", "denial-open"]);
    }
    // Closed, and yet a name is missing: as if it had come after the zone was signed.
    expect("a new name", &format!("{nsec}new 300 A 192.0.2.9\n"), &["denial-missing", "unsigned"]);
    expect("another type", &format!("{nsec}www 300 AAAA 2001:db8::1\n"), &["denial-types", "unsigned"]);
    expect("a type less", &without(&nsec, |w| is_of(w, "TXT")), &["denial-types"]);
    expect("a name less", &without(&nsec, |w| w.first() == Some(&"www.d.test.")), &["alias-to-nothing", "denial-open"]);
    for denial in [Denial::Nsec3, Denial::OptOut] {
        let text = signed(denial).text;
        expect("no NSEC3 at all", &without(&text, |w| is_of(w, "NSEC3")), &["no-denial", "nsec3param-without-chain"]);
        let owners: BTreeSet<&str> = text
            .lines()
            .filter(|l| l.split_whitespace().nth(3) == Some("NSEC3"))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert!(owners.len() >= 9, "{owners:?}");
        for owner in owners {
            let spoilt = without(&text, |w| w.first() == Some(&owner));
            // A hole under opt-out may be the place of a delegation: but the chain is open there.
            let (found, _) = reported(&spoilt, &[]);
            assert!(found.contains("denial-open"), "{denial:?} {owner}: {found:?}");
            assert!(denial == Denial::OptOut || found.contains("denial-missing"), "{denial:?} {owner}: {found:?}");
        }
        expect("a new name", &format!("{text}new 300 A 192.0.2.9\n"), &["denial-missing", "unsigned"]);
        expect("another type", &format!("{text}www 300 AAAA 2001:db8::1\n"), &["denial-types", "unsigned"]);
        expect(
            "a name less",
            &without(&text, |w| w.first() == Some(&"www.d.test.")),
            &["alias-to-nothing", "denial-surplus"],
        );
        expect("unsigned NSEC3", &without(&text, |w| w.get(3) == Some(&"RRSIG") && w[4] == "NSEC3"), &["unsigned"]);
        let insecure = format!("{text}new 300 NS ns.new\nns.new 300 A 192.0.2.1\n");
        expect("a new cut", &format!("{insecure}x 300 A 192.0.2.1\n"), &["denial-missing", "unsigned"]);
        let (found, _) = reported(&insecure, &[]);
        assert_eq!(
            found.contains("denial-missing"),
            denial == Denial::Nsec3,
            "opt-out spares what has no DS: {found:?}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_several_chains_the_whole_one_is_served() {
    let test = "of_several_chains_the_whole_one_is_served";
    if must_skip(test, &["dnssec-signzone", "dnssec-keygen", "dnssec-dsfromkey"]) {
        return;
    }
    let (one, two, nsec) = (signed(Denial::Nsec3).text, signed(Denial::OptOut).text, signed(Denial::Nsec).text);
    let chain = |text: &str| without(text, |w| !is_of(w, "NSEC3"));
    let param = |text: &str| without(text, |w| w.get(3) != Some(&"NSEC3PARAM"));
    let hole = |text: &str| {
        let victim = text.lines().find(|line| line.split_whitespace().nth(3) == Some("NSEC3")).expect("a chain");
        let owner = victim.split_whitespace().next().expect("an owner");
        without(text, |w| w.first() == Some(&owner))
    };
    let both = [
        (
            format!(
                "{}{}{}{}",
                param(&one),
                hole(&chain(&one)),
                without(&two, |w| is_of(w, "NSEC3PARAM")),
                param(&two)
            ),
            "0BADCAFE",
        ),
        (
            format!(
                "{}{}{}{}",
                param(&two),
                hole(&chain(&two)),
                without(&one, |w| is_of(w, "NSEC3PARAM")),
                param(&one)
            ),
            "-",
        ),
    ];
    for (text, salt) in both {
        let site = Site::new();
        site.write("zones/d.test.zone", &text);
        let (found, _) = reported(&text, &[]);
        assert!(found.contains("denial-not-served"), "the other chain is reported: {found:?}");
        assert!(!found.contains("denial-missing"), "{found:?}");
        assert_eq!(served_salt(&site), Some(salt.to_owned()));
    }
    // A broken NSEC3 chain beside a whole NSEC chain.
    let text = format!("{nsec}{}{}", param(&one), hole(&chain(&one)));
    let site = Site::new();
    site.write("zones/d.test.zone", text);
    assert_eq!(served_salt(&site), None, "NSEC is served");
}

/// The salt of the NSEC3 records with which a server denies; `None` where it denies with NSEC.
fn served_salt(site: &Site) -> Option<String> {
    let server = site.serve(&["--zones", "zones"]);
    let kdig = std::process::Command::new(program("kdig").expect("kdig"))
        .args(["@127.0.0.1", "-p", &server.address.port().to_string(), "+dnssec", "nonexistent.d.test", "A"])
        .output()
        .expect("runs");
    let reply = String::from_utf8_lossy(&kdig.stdout).into_owned();
    let words = reply
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.get(3).is_some_and(|t| t.starts_with("NSEC")));
    let words = words.unwrap_or_else(|| panic!("no denial: {reply}"));
    (words[3] == "NSEC3").then(|| words[7].to_ascii_uppercase())
}

#[test]
fn signatures_and_keys_are_reported() {
    let test = "signatures_and_keys_are_reported";
    if must_skip(test, &["dnssec-signzone", "dnssec-keygen", "dnssec-dsfromkey"]) {
        return;
    }
    let good = signed(Denial::Nsec);
    // Times are the words 8 and 9 of an RRSIG in full: expiration and inception.
    let timed = |rtype: &str, expiration: &str, inception: &str| -> String {
        let change = |line: &str| {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            if words.get(3) == Some(&"RRSIG") && (rtype == "*" || words[4] == rtype) {
                (words[8], words[9]) = (expiration, inception);
            }
            format!("{}\n", words.join(" "))
        };
        good.text.lines().map(change).collect()
    };
    let other = signed(Denial::Nsec);
    let key = |flags: &str, signed: &Signed| without(&signed.text, |w| w.get(3) != Some(&"DNSKEY") || w[4] != flags);
    let no_ksk = without(&good.text, |w| w.get(3) == Some(&"DNSKEY") && w[4] == "257");
    // A key of another algorithm. That it is no such key is not looked at: no signature needs it.
    let of_rsa = |flags: &str| key("256", &other).replace("256 3 13 ", &format!("{flags} 3 8 "));
    let signs_keys = |words: &[&str]| words.get(3) == Some(&"RRSIG") && words[4] == "DNSKEY";
    // A key that is published ahead (RFC 6781 §4.1.1.1) or kept for the worst (RFC 5011 §6) means no trouble, and one
    // that is none of a zone signs nothing (RFC 4034 §2.1.1).
    for more in [key("256", &other), key("257", &other), of_rsa("0")] {
        let (found, code) = reported(&format!("{}{more}", good.text), &["--strict"]);
        assert_eq!((found, code), (codes(&[]), 0), "{more}");
    }
    for (what, text, meant) in [
        ("expired", timed("*", "20200202020202", "20200101010101"), &["rrsig-expired"][..]),
        ("one expired", timed("TXT", "20200202020202", "20200101010101"), &["rrsig-expired"]),
        ("early", timed("TXT", "20500202020202", "20500101010101"), &["rrsig-not-yet-valid"]),
        ("one algorithm of two", format!("{}{}", good.text, of_rsa("256")), &["dnskey-signs-nothing"]),
        ("no signature of the keys", without(&good.text, signs_keys), &["unsigned"]),
        ("no key", without(&good.text, |w| w.get(3) == Some(&"DNSKEY") && w[4] == "256"), &["rrsig-without-key"]),
        ("none that signs keys", format!("{}{}", no_ksk, key("257", &other)), &["rrsig-without-key"]),
    ] {
        let (found, code) = reported(&text, &[]);
        assert_eq!((found, code), (codes(meant), 0), "{what}");
        assert_eq!(reported(&text, &["--strict"]).1, 1, "{what}");
    }
    let unsigned = format!("{TEXT}{}", key("256", &good));
    assert_eq!(reported(&unsigned, &[]), (codes(&["dnskey-signs-nothing"]), 0), "a key, and no signature at all");
}

#[test]
fn parent_and_child_on_one_server_agree() {
    let test = "parent_and_child_on_one_server_agree";
    if must_skip(test, &["dnssec-signzone", "dnssec-keygen", "dnssec-dsfromkey"]) {
        return;
    }
    let child = signed(Denial::Nsec);
    let digest = child.ds.split_whitespace().last().expect("a digest").to_owned();
    let wrong = child.ds.replace(&digest, &"0".repeat(digest.len()));
    let head = "$TTL 300\n@ SOA ns h 1 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.1\n";
    let cut = "d NS ns.d\nns.d A 192.0.2.1\n";
    for (what, parent, meant, place) in [
        ("well", format!("{head}{cut}{}", child.ds), &[][..], ""),
        ("insecure", format!("{head}{cut}"), &[], ""),
        ("another key", format!("{head}{cut}{wrong}"), &["ds-without-key"], "test.zone:7:1\n"),
        ("one of two", format!("{head}{cut}{}{wrong}", child.ds), &["ds-without-key"], "test.zone:8:1\n"),
        ("included", format!("{head}{cut}$INCLUDE ds.inc\n"), &["ds-without-key"], "ds.inc:2:1\n"),
        ("no cut", head.to_owned(), &["child-not-delegated"], "test.zone\n"),
        ("an address", format!("{head}ns.d A 192.0.2.1\nd A 192.0.2.1\n"), &["child-not-delegated"], "test.zone:6:1\n"),
    ] {
        let site = Site::new();
        site.write("zones/d.test.zone", &child.text);
        site.write("zones/test.zone", parent);
        site.write("zones/ds.inc", format!("; of a key that is gone\n{wrong}"));
        let said = site.run(&["check", "--zones", "zones"]);
        let found: Vec<&str> =
            ["ds-without-key", "child-not-delegated"].into_iter().filter(|code| said.err.contains(code)).collect();
        assert_eq!((found.as_slice(), said.code), (meant, 0), "{what}: {}", said.err);
        assert!(said.err.contains(&format!("zones/{place}")) || place.is_empty(), "{what}: {}", said.err);
        assert_eq!(site.run(&["check", "--zones", "zones", "--strict"]).code, i32::from(!meant.is_empty()), "{what}");
        // A reload that reads only one of the two reports the same.
        let server = site.serve(&["--zones", "zones"]);
        fs::write(site.path("zones/d.test.zone"), &child.text).expect("writes");
        site.ask(&["reload"]);
        drop(server);
    }
}
