//! What a secondary of another make refuses, and what is said of it before.

use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::common::must_skip;
use super::peer::{self, Kind, Peer};
use super::primary::{Primary, SHA256};

/// The SOA of each zone, and the NS of all but one.
const SOA: &str = "$TTL 300\n@ SOA ns.other.test. host.other.test. 1 3600 3600 604800 300\n";
const NS: &str = "@ NS ns.other.test.\n";

/// Records at `many`, one of each type from 65280 on, with signatures or not.
fn types(count: u16, origin: &str, is_signed: bool) -> String {
    (65_280..65_280 + count).fold(String::new(), |mut text, rtype| {
        let _ = writeln!(text, "many TYPE{rtype} \\# 1 00");
        if is_signed {
            let _ = writeln!(text, "many RRSIG TYPE{rtype} 8 3 300 20300101000000 20200101000000 1 {origin} AAAA");
        }
        text
    })
}

/// So many records of one RRset.
fn records(count: u16) -> String {
    (0..count).map(|number| format!("many TXT \"{number}\"\n")).collect()
}

/// A zone that somebody refuses: its name and text, who does, what is in that one's log, and what `fated check` says.
struct Refused {
    name: &'static str,
    text: String,
    kind: Kind,
    log: &'static str,
    warning: &'static str,
}

/// One that is refused for that word in the log.
fn zone(name: &'static str, text: &str, kind: Kind, log: &'static str, warning: &'static str) -> Refused {
    Refused { name, text: SOA.to_owned() + text, kind, log, warning }
}

/// One that BIND refuses for its many records.
fn named(name: &'static str, text: &str, warning: &'static str) -> Refused {
    zone(name, text, Kind::Named, "too many records", warning)
}

/// All of them.
fn refused() -> Vec<Refused> {
    vec![
        named("records.test.", &(NS.to_owned() + &records(101)), "warning[bind-records]: many.records.test. TXT"),
        named(
            "types.test.",
            &(NS.to_owned() + &types(101, "", false)),
            "warning[bind-types]: many.types.test. has 101",
        ),
        named(
            "signed.test.",
            &(NS.to_owned() + &types(51, "signed.test.", true)),
            "warning[bind-types]: many.signed.test. has 102",
        ),
        zone("alone.test.", "a A 192.0.2.1\n", Kind::Named, "bad zone", "warning[no-apex-ns]"),
        zone(
            "beside.test.",
            &format!("{NS}b NS ns.other.test.\nb DNAME other.test.\n"),
            Kind::Knot,
            "NS record exists beside DNAME",
            "warning[ns-beside-dname]",
        ),
        zone(
            "alias.test.",
            &format!("{NS}a TYPE65401 \\# 4 00000001\n"),
            Kind::Pdns,
            "unable to parse record",
            "warning[powerdns-alias]: a.alias.test.",
        ),
    ]
}

#[test]
fn what_a_peer_refuses_is_warned_of_and_what_is_just_within_is_not() {
    if must_skip("what peers refuse", &peer::PROGRAMS) {
        return;
    }
    let within = NS.to_owned() + &records(100) + &types(49, "within.test.", true);
    let mut zones = vec![("within.test.", SOA.to_owned() + &within)];
    let refused = refused();
    zones.extend(refused.iter().map(|zone| (zone.name, zone.text.clone())));
    let names: Vec<&str> = zones.iter().map(|(name, _)| *name).collect();
    let primary = Primary::start(SHA256, &zones);
    for kind in Kind::ALL {
        let peer = Peer::start(kind, &primary, &names);
        peer.wait_for("within.test.", 1, PATIENCE);
        for zone in &refused {
            if zone.kind != kind {
                peer.wait_for(zone.name, 1, PATIENCE);
                continue;
            }
            let end = Instant::now() + PATIENCE;
            let says = |line: &str| line.contains(zone.log) && line.contains(zone.name.trim_end_matches('.'));
            while !peer.log().lines().any(says) {
                assert!(Instant::now() < end, "{kind:?} takes {}:\n{}", zone.name, peer.log());
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in &zones {
        let warning = refused.iter().find(|zone| zone.name == *name).map(|zone| zone.warning);
        fs::write(folder.path().join("zone"), text).expect("writes");
        for allow in ["", "allow-transfer = [{ prefix = \"127.0.0.1\" }]\n"] {
            let config = format!("[[zone]]\nname = \"{name}\"\nfile = \"zone\"\n{allow}");
            fs::write(folder.path().join("fated.toml"), config).expect("writes");
            let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
            let output = command.args(["check", "--config", "fated.toml"]).current_dir(folder.path()).output();
            let said = String::from_utf8(output.expect("runs").stderr).expect("UTF-8");
            // Two of them are warned of whoever has the zone.
            let expected =
                warning.filter(|word| !allow.is_empty() || word.contains("-apex-") || word.contains("dname"));
            assert!(expected.is_none_or(|word| said.contains(word)), "{name} {allow}:\n{said}");
            let is_told = said.contains("[bind-") || said.contains("[powerdns-");
            let is_peers = expected.is_some_and(|word| word.contains("[bind-") || word.contains("[powerdns-"));
            assert_eq!(is_told, is_peers, "{name} {allow}:\n{said}");
            if is_told {
                assert!(said.contains(" --> zone:4:1"), "the line of the first is shown: {said}");
            }
        }
    }
}
