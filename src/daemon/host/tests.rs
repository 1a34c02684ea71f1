//! What is warned of, and what is not, on hosts that a test makes up.

use super::*;
use crate::config::{Overrides, parse};

/// An `[anycast]` section with these lines.
fn anycast(lines: &str) -> Anycast {
    let text = format!("[server]\nzones-dir = \"z\"\n[anycast]\n{lines}");
    parse(Path::new("f"), &text, &Overrides::default()).expect("good").anycast.expect("there is one")
}

fn sysctls(values: &[(&str, i64)]) -> Host {
    let sysctls = values.iter().map(|(key, value)| (format!("net/ipv4/conf/{key}"), *value)).collect();
    Host { sysctls, is_tracking: false }
}

const V4: &str = "addresses = [\"192.0.2.53\"]";

#[test]
fn strict_reverse_path_filters_are_reported_by_device() {
    let anycast = anycast(V4);
    for (values, expected) in [
        (&[("all/rp_filter", 0), ("eth0/rp_filter", 0)][..], None),
        (&[("all/rp_filter", 2), ("eth0/rp_filter", 1)], None),
        (&[("all/rp_filter", 1), ("eth0/rp_filter", 2)], None),
        (&[("all/rp_filter", 0), ("lo/rp_filter", 1), ("default/rp_filter", 1)], None),
        (
            &[("all/rp_filter", 0), ("eth0/rp_filter", 1), ("eth1/rp_filter", 0)],
            Some(("on eth0:", "net.ipv4.conf.eth0.rp_filter=2")),
        ),
        (&[("all/rp_filter", 0), ("eth0.5/rp_filter", 1)], Some(("on eth0.5:", "net.ipv4.conf.eth0/5.rp_filter=2"))),
        (
            &[("all/rp_filter", 1), ("eth0/rp_filter", 0), ("eth1/rp_filter", 1)],
            Some(("on eth0, eth1:", "net.ipv4.conf.all.rp_filter=2")),
        ),
    ] {
        let warnings = warnings(&sysctls(values), &anycast, Device::Tun);
        match expected {
            None => assert_eq!(warnings, Vec::<String>::new(), "{values:?}"),
            Some((names, setting)) => {
                assert_eq!(warnings.len(), 1, "{values:?}");
                assert!(warnings[0].contains(names) && warnings[0].ends_with(setting), "{}", warnings[0]);
            }
        }
    }
}

#[test]
fn buffers_for_replies_to_absent_neighbours_are_reported_where_there_is_much() {
    let anycast = anycast(V4);
    let warned = |v4: i64, v6: i64| {
        let values = [("ipv4", v4), ("ipv6", v6)].map(|(family, value)| (format!("net/{family}/{UNRES_QUEUE}"), value));
        warnings(&Host { sysctls: values.into_iter().collect(), is_tracking: false }, &anycast, Device::Tun)
    };
    assert_eq!(warned(16_384, 0), Vec::<String>::new());
    let [both] = &warned(212_992, 212_992)[..] else { panic!("one warning") };
    assert!(
        both.ends_with("net.ipv4.neigh.default.unres_qlen_bytes=16384 net.ipv6.neigh.default.unres_qlen_bytes=16384"),
        "{both}"
    );
    assert!(warned(65_536, 0)[0].ends_with("-w net.ipv4.neigh.default.unres_qlen_bytes=16384"));
}

#[test]
fn arp_matters_where_the_addresses_stand_on_a_device_of_the_host() {
    let anycast = anycast("addresses = [\"192.0.2.53\"]\ninterface = \"lo\"");
    let unset = sysctls(&[("all/arp_ignore", 0), ("all/arp_announce", 0)]);
    assert_eq!(warnings(&unset, &anycast, Device::Tun), Vec::<String>::new());
    let warned = warnings(&unset, &anycast, Device::Existing);
    assert!(warned[0].starts_with("arp_ignore is 0, arp_announce is 0 while the addresses stand on lo"), "{warned:?}");
    assert!(warned[0].ends_with("net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"), "{warned:?}");
    let half = sysctls(&[("all/arp_ignore", 1), ("all/arp_announce", 1)]);
    let warned = warnings(&half, &anycast, Device::Existing);
    assert!(warned[0].starts_with("arp_announce is 1 while"), "{warned:?}");
    let by_device = [("eth0/arp_ignore", 1), ("eth0/arp_announce", 2), ("lo/arp_ignore", 0), ("default/arp_ignore", 0)];
    assert_eq!(warnings(&sysctls(&by_device), &anycast, Device::Existing), Vec::<String>::new());
    let one_open = [&by_device[..], &[("eth1/arp_ignore", 0), ("eth1/arp_announce", 2)]].concat();
    assert!(warnings(&sysctls(&one_open), &anycast, Device::Existing)[0].starts_with("arp_ignore is 0 while"));
    let set = sysctls(&[("all/arp_ignore", 1), ("all/arp_announce", 2)]);
    assert_eq!(warnings(&set, &anycast, Device::Existing), Vec::<String>::new());
}

#[test]
fn addresses_that_share_a_prefix_need_promote_secondaries() {
    let shared = anycast("addresses = [\"192.0.2.53\", \"192.0.2.54\"]\nannounce = [\"192.0.2.0/24\"]");
    for (values, is_warned) in [
        (&[("all/promote_secondaries", 0), ("default/promote_secondaries", 0)][..], true),
        (&[("all/promote_secondaries", 0), ("default/promote_secondaries", 1)], false),
        (
            &[("all/promote_secondaries", 0), ("default/promote_secondaries", 1), ("fated0/promote_secondaries", 0)],
            true,
        ),
        (&[("all/promote_secondaries", 1), ("default/promote_secondaries", 0)], false),
    ] {
        let warned = warnings(&sysctls(values), &shared, Device::Tun);
        assert_eq!(warned.iter().any(|warned| warned.contains("promote_secondaries is 0")), is_warned, "{values:?}");
    }
    let alone = anycast("addresses = [\"192.0.2.53\", \"198.51.100.1\"]\nannounce = [\"192.0.2.0/24\"]");
    assert_eq!(warnings(&sysctls(&[("all/promote_secondaries", 0)]), &alone, Device::Tun), Vec::<String>::new());
}

#[test]
fn tracking_is_reported_with_what_to_look_at() {
    let anycast = anycast("addresses = [\"2001:db8::53\"]");
    let mut host = sysctls(&[("all/rp_filter", 1), ("eth0/rp_filter", 1)]);
    assert_eq!(warnings(&host, &anycast, Device::Existing), Vec::<String>::new(), "IPv4's settings are not IPv6's");
    host.is_tracking = true;
    host.sysctls.insert("net/netfilter/nf_conntrack_count".to_owned(), 7);
    host.sysctls.insert("net/netfilter/nf_conntrack_max".to_owned(), 9);
    let warned = warnings(&host, &anycast, Device::Tun);
    assert!(warned[0].contains("7 of 9 entries"), "{warned:?}");
    let rule = "    ip6 saddr { 2001:db8::53 } meta l4proto { tcp, udp } th sport 53 notrack\n";
    assert!(warned[0].contains(rule) && !warned[0].contains("ip saddr"), "{warned:?}");
}

#[test]
fn a_host_is_read_from_its_files() {
    let root = tempfile::tempdir().expect("a folder");
    assert_eq!(read(root.path()), Host::default(), "a host without files says nothing");
    let write = |path: &str, text: &str| {
        let path = root.path().join("proc/sys/net").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        fs::write(path, text).expect("writes");
    };
    write("ipv4/conf/all/rp_filter", "0\n");
    write("ipv4/conf/eth0.5/rp_filter", "1\n");
    write("ipv4/conf/eth0.5/arp_ignore", "nonsense\n");
    write("netfilter/nf_conntrack_count", "3\n");
    let host = read(root.path());
    assert!(!host.is_tracking, "the count alone is no table");
    write("netfilter/nf_conntrack_max", "262144\n");
    let host = read(root.path());
    assert!(host.is_tracking);
    let expected = [
        ("net/ipv4/conf/all/rp_filter", 0),
        ("net/ipv4/conf/eth0.5/rp_filter", 1),
        ("net/netfilter/nf_conntrack_count", 3),
        ("net/netfilter/nf_conntrack_max", 262_144),
    ];
    assert_eq!(host.sysctls, expected.map(|(key, value)| (key.to_owned(), value)).into());
    let warned = warnings(&host, &anycast(V4), Device::Tun);
    assert!(warned.len() == 2 && warned[0].contains("on eth0.5:") && warned[1].contains("3 of 262144"), "{warned:?}");
}

#[test]
fn the_name_distinguishes_a_device_of_the_host_from_a_tun_to_be_made() {
    let root = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(root.path().join("proc/net")).expect("makes");
    let lines = "Inter-|   Receive\n face |bytes\n    lo:   0\n  eth0: 12\n  tun7: 0\nabcdefghijklmno: 1\n";
    fs::write(root.path().join("proc/net/dev"), lines).expect("writes");
    let of = |lines: &str| device(root.path(), &anycast(&format!("{V4}\n{lines}")));
    let named = |name: &str, more: &str| of(&format!("interface = \"{name}\"\n{more}"));
    assert_eq!(of(""), Ok(Device::Tun));
    assert_eq!((named("lo", ""), named("eth0", "")), (Ok(Device::Existing), Ok(Device::Existing)));
    assert_eq!((named("tun7", ""), named("fated1", "lease = \"off\"")), (Ok(Device::Existing), Ok(Device::Tun)));
    assert_eq!(named("eth9", ""), Err(HostError::Missing("eth9".to_owned())));
    assert_eq!(named("eth0", "lease = \"off\""), Err(HostError::LeaseOff("eth0".to_owned())));
    assert_eq!(
        named("fated1", "lease = \"off\"\n[anycast.kernel-route]"),
        Ok(Device::Tun),
        "a device of the host is refused for its lease before"
    );
    assert_eq!(named("abcdefghijklmno", ""), Ok(Device::Existing));
    assert_eq!(named("fated67890123", ""), Ok(Device::Tun));
    assert_eq!(named("fated678901234", ""), Err(HostError::TooLong("fated678901234".to_owned())));
    let text = HostError::TooLong("fated678901234".to_owned()).to_string();
    assert!(text.contains("13 octets at most"), "{text}");
}
