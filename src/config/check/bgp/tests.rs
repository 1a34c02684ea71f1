//! `[bgp]`: what is taken, what is refused and how that is said.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::announce::bgp::{BfdSettings, NeighborSettings, Secret, SpeakerSettings};
use crate::bgp::{AsNumber, Attributes, Families, Role};
use crate::config::{Config, ConfigError, Overrides, parse};
use crate::policy::Guard;

/// What a neighbour needs.
const NEIGHBOR: &str = "[[bgp.neighbor]]\naddress = \"10.0.0.1\"\nremote-as = 65000\n";

/// Reads a configuration below `[anycast]`.
fn config_in(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let overrides = Overrides { zones_dir: Some("zones".into()), workers: Some(4), ..Overrides::default() };
    parse(path, &format!("[anycast]\naddresses = [\"192.0.2.53\"]\n{text}\n"), &overrides)
}

fn bgp(text: &str) -> SpeakerSettings {
    let config = config_in(Path::new("f"), text).unwrap_or_else(|error| panic!("{text}: {error}"));
    config.anycast.and_then(|anycast| anycast.bgp).expect("there is [bgp]")
}

fn refused(text: &str, parts: &[&str]) {
    let shown = config_in(Path::new("f"), text).expect_err("a fault").to_string();
    for part in parts {
        assert!(shown.contains(part), "{part:?} is missing for {text}:\n{shown}");
    }
}

/// `[bgp]` with one neighbour and more lines about it.
fn neighbor(lines: &str) -> String {
    format!("[bgp]\nlocal-as = 65001\n{NEIGHBOR}{lines}\n")
}

#[test]
fn every_key_is_taken_with_its_unit() {
    let text = "[bgp]\nlocal-as = \"1.10\"\nrouter-id = \"192.0.2.1\"\nreason-community = 0\n[[bgp.neighbor]]\n\
        address = \"fe80::1%eth0\"\nremote-as = 4200000000\nlocal-as = 65001\nlocal-address = \"fe80::2\"\n\
        port = 1179\nlocal-port = 2000\npassive = true\nfamilies = [\"ipv4\", \"ipv6\"]\nnext-hop-v4 = \"10.0.0.2\"\n\
        next-hop-v6 = \"2001:db8::2\"\nhold-time = \"3s\"\npassword = \"secret\"\nttl-security = 2\n\
        role = \"peer\"\nrole-strict = true\nmed = 5\nprepend = 1\nlocal-pref = 150\n\
        communities = [\"65000:1\", \"no-export\", \"65000:1:2\"]\ndegraded-med = 6\ndegraded-prepend = 2\n\
        degraded-local-pref = 50\ndegraded-communities = [\"65000:2\", \"rt:1:2\"]\nbfd = true\n\
        bfd-interval = \"100ms\"\nbfd-multiplier = 5\nbfd-multihop = true\nbfd-strict = true";
    let announced = Attributes {
        med: Some(5),
        prepend: 1,
        local_pref: 150,
        communities: vec![0xfde8_0001, 0xffff_ff01],
        large: vec![[65_000, 1, 2]],
        ..Attributes::default()
    };
    let degraded = Attributes {
        med: Some(6),
        prepend: 2,
        local_pref: 50,
        communities: vec![0xfde8_0001, 0xffff_ff01, 0xfde8_0002],
        extended: vec![[0, 2, 0, 1, 0, 0, 0, 2]],
        ..announced.clone()
    };
    let expected = NeighborSettings {
        address: "fe80::1".parse().expect("an address"),
        device: Some("eth0".into()),
        local_address: Some("fe80::2".parse().expect("an address")),
        port: 1179,
        local_port: 2000,
        is_passive: true,
        peer_as: AsNumber(4_200_000_000),
        local_as: AsNumber(65_001),
        families: Families { ipv4: true, ipv6: true },
        next_hop_v4: Some([10, 0, 0, 2].into()),
        next_hop_v6: Some("2001:db8::2".parse().expect("an address")),
        hold_time: Duration::from_secs(3),
        md5_key: Some(Secret(b"secret".to_vec())),
        hops_max: Some(2),
        role: Some(Role::Peer),
        is_role_strict: true,
        announced,
        degraded,
        bfd: Some(BfdSettings {
            interval: Duration::from_millis(100),
            multiplier: 5,
            is_multihop: true,
            is_strict: true,
        }),
    };
    let router_id = Some([192, 0, 2, 1].into());
    assert_eq!(bgp(text), SpeakerSettings { router_id, reason_community: None, neighbors: vec![expected] });
    assert!(!format!("{:?}", bgp(text)).contains("115"), "a password is not shown, in whatever form");
}

#[test]
fn a_neighbour_needs_little_and_what_it_does_not_say_follows() {
    let text = format!("[bgp]\nlocal-as = 65001\n{NEIGHBOR}{}", NEIGHBOR.replace("10.0.0.1", "2001:db8::1"));
    let settings = bgp(&text);
    assert_eq!((settings.router_id, settings.reason_community), (None, Some(84)));
    let [first, second] = &settings.neighbors[..] else { panic!("two") };
    assert_eq!((first.local_port, second.local_port, first.port), (17_900, 17_901, 179));
    assert_eq!((first.families.ipv4, first.families.ipv6), (true, false));
    assert_eq!((second.families.ipv4, second.families.ipv6), (false, true));
    assert_eq!((first.hold_time, first.role, first.hops_max), (Duration::from_secs(9), Some(Role::Customer), None));
    assert_eq!(first.announced, Attributes { med: Some(0), local_pref: 100, ..Attributes::default() });
    let gshut = vec![Attributes::GRACEFUL_SHUTDOWN];
    let degraded = Attributes { med: Some(1000), prepend: 3, communities: gshut, ..Attributes::default() };
    assert_eq!(first.degraded, degraded);
    assert!(first.bfd.is_none() && first.md5_key.is_none());
    // Who is awaited is awaited where BGP is, and who is of the same AS has no role.
    let passive = bgp(&neighbor("passive = true\nlocal-as = 65000"));
    assert_eq!((passive.neighbors[0].local_port, passive.neighbors[0].role), (179, None));
    let waits = |text: &str| {
        let config = config_in(Path::new("f"), text).expect("good");
        config.anycast.expect("there is [anycast]").degrade_first
    };
    assert_eq!(waits(&neighbor("")), Duration::from_secs(1));
    assert_eq!(waits(""), Duration::ZERO, "nobody would see it");
    let guard = |text: &str| config_in(Path::new("f"), text).expect("good").anycast.expect("there is [anycast]").guard;
    let with = |lines: &str| guard(&neighbor("").replace("[bgp]", &format!("[bgp]\n{lines}")));
    assert_eq!(with(""), Some(Guard { wait: Duration::from_secs(2), withdraws_unseen: false }));
    let leans = Guard { wait: Duration::from_secs(9), withdraws_unseen: true };
    assert_eq!(with("guard = \"withdraw\"\nguard-wait = \"9s\""), Some(leans));
    assert_eq!((with("guard = \"off\""), guard("")), (None, None));
}

#[test]
fn what_is_wrong_is_said_where_it_stands() {
    for (lines, parts) in [
        ("hold-time = \"2s\"", &["f:8:13", "`bgp.neighbor.hold-time` is \"2s\"", "3s to"][..]),
        ("hold-time = \"3500ms\"", &["f:8:13", "whole seconds"]),
        ("families = []", &["f:8:12", "is empty"]),
        ("families = [\"ipv5\"]", &["f:8:13", "\"ipv5\"", "\"ipv4\" or \"ipv6\""]),
        ("families = [\"ipv6\"]", &["f:6:11", "told of IPv6 without a `next-hop-v6`"]),
        ("communities = [\"65000\"]", &["f:8:16", "\"65000\"", "a community such as"]),
        ("local-as = 0", &["f:8:12", "`bgp.neighbor.local-as` is 0", "an AS number"]),
        ("local-as = \"a\"", &["f:8:12", "an AS number"]),
        ("local-address = \"::1\"", &["f:8:17", "of the family of the neighbour's"]),
        ("next-hop-v4 = \"::1\"", &["f:8:15", "an IPv4 address"]),
        ("role = \"king\"", &["f:8:8", "\"customer\""]),
        ("ttl-security = 255", &["f:8:16", "0 to 254"]),
        ("password = \"\"", &["f:6:11", "is 0 octets long", "1 to 80 octets"]),
        ("password = \"a\"\npassword-file = \"b\"", &["f:6:11", "both `password` and `password-file`"]),
        ("password-file = \"/none\"", &["f:8:17", "/none", "it can't be read"]),
        ("bfd-multiplier = 1", &["f:8:18", "2 to 255"]),
        ("hold-tim = \"3s\"", &["f:8:1", "unknown key `bgp.neighbor.hold-tim`", "did you mean `hold-time`?"]),
    ] {
        refused(&neighbor(lines), parts);
    }
    for (text, parts) in [
        ("[bgp]\nlocal-as = 65001", &["[bgp] has 0 [[bgp.neighbor]]"][..]),
        ("[bgp]\n[[bgp.neighbor]]\nremote-as = 1", &["missing field `address`"]),
        ("[bgp]\n[[bgp.neighbor]]\naddress = \"10.0.0.1\"", &["missing field `remote-as`"]),
        (&format!("[bgp]\n{NEIGHBOR}"), &["the neighbour 10.0.0.1 has no `local-as`"]),
        (&(neighbor("") + NEIGHBOR), &["the neighbour 10.0.0.1 is named twice"]),
        (&neighbor("").replace("10.0.0.1", "fe80::1"), &["link-local one with its device"]),
        (&neighbor("").replace("10.0.0.1", "10.0.0.1%eth0"), &["link-local one with its device"]),
        (&neighbor("").replace("10.0.0.1", "224.0.0.1"), &["an address such as"]),
        (&neighbor("").replace("10.0.0.1", "2001:db8::1"), &["`bgp.router-id` must be given"]),
        (&neighbor("").replace("[bgp]", "[bgp]\nrouter-id = \"0.0.0.0\""), &["an IPv4 address but 0.0.0.0"]),
        (
            &(neighbor("local-port = 17901") + &NEIGHBOR.replace("10.0.0.1", "10.0.0.2")),
            &["10.0.0.1 and 10.0.0.2 have the same `local-port`, 17901"],
        ),
    ] {
        refused(text, parts);
    }
    refused(
        &neighbor("local-address = \"192.0.2.53\""),
        &["f:6:11", "192.0.2.53 lies in 192.0.2.53/32", "lead to itself"],
    );
    refused(&neighbor("next-hop-v4 = \"192.0.2.53\""), &["192.0.2.53 lies in 192.0.2.53/32"]);
    let covered =
        neighbor("").replace("10.0.0.1", "192.0.2.1").replace("[bgp]", "announce = [\"192.0.2.0/24\"]\n[bgp]");
    refused(&covered, &["192.0.2.1 lies in 192.0.2.0/24, which is announced to the neighbour 192.0.2.1"]);
    let overrides = Overrides { zones_dir: Some("zones".into()), ..Overrides::default() };
    let alone = parse(Path::new("f"), &neighbor(""), &overrides).expect_err("a fault").to_string();
    assert!(alone.contains("[bgp] stands without [anycast]"), "{alone}");
}

#[test]
fn a_password_may_stand_in_a_file_that_nobody_else_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    fs::write(&file, "of the link\n").expect("writes");
    let read = |mode: u32| {
        fs::set_permissions(&file, Permissions::from_mode(mode)).expect("it is ours");
        config_in(&folder.path().join("f"), &neighbor("password-file = \"password\""))
    };
    let config = read(0o600).expect("good").anycast.and_then(|anycast| anycast.bgp).expect("there is [bgp]");
    assert_eq!(config.neighbors[0].md5_key, Some(Secret(b"of the link".to_vec())));
    let error = read(0o644).expect_err("a fault").to_string();
    assert!(error.contains("its mode is 0644") && !error.contains("of the link"), "{error}");
}

#[test]
fn addresses_that_no_neighbour_is_told_of_are_warned_of() {
    let config = config_in(
        Path::new("f"),
        &neighbor("").replace("10.0.0.1\"", "10.0.0.1\"\nfamilies = [\"ipv6\"]\nnext-hop-v6 = \"2001:db8::2\""),
    );
    let warnings = config.expect("good").warnings;
    assert!(warnings.iter().any(|warning| warning.contains("IPv4 addresses")), "{warnings:?}");
}
