//! Tables: what an earlier run left behind, and what is in the way.

use std::time::Duration;

use super::*;
use crate::announce::kernel::plan::SOURCES;
use crate::sys::tun::TunError;

/// Reads a prefix.
fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// KernelSettings on `lo` with a lease of one second.
fn settings(addresses: &[&str], announce: &[&str]) -> KernelSettings {
    KernelSettings {
        addresses: addresses.iter().map(|text| net(text)).collect(),
        announce: announce.iter().map(|text| net(text)).collect(),
        interface: Interface::Device("lo".into()),
        lease: Some(Duration::from_secs(1)),
        proof_slack: super::super::PROOF_SLACK,
        probe_sources: SOURCES.to_vec(),
        kernel_route: None,
        is_dry_run: false,
    }
}

#[test]
fn leftovers_are_recognised_by_number_or_by_lease() {
    let settings = settings(&["192.0.2.53/32"], &[]);
    for (text, device, is_marked, valid_seconds, expected) in [
        ("192.0.2.53/32", 1, true, 1, true),
        ("192.0.2.53/32", 1, true, u32::MAX, true),
        // An address that is no longer configured.
        ("192.0.2.99/32", 1, true, 1, true),
        // Another device's is not ours to remove.
        ("192.0.2.53/32", 7, true, 1, false),
        // A kernel that knows no number.
        ("192.0.2.53/32", 1, false, 1, true),
        ("192.0.2.53/32", 1, false, 0, true),
        ("192.0.2.53/32", 1, false, 2, false),
        ("192.0.2.53/32", 1, false, u32::MAX, false),
        ("192.0.2.53/24", 1, false, 1, false),
        ("192.0.2.99/32", 1, false, 1, false),
    ] {
        let address = HostAddress { device, net: net(text), is_marked, valid_seconds };
        assert_eq!(is_leftover(&address, &settings, &[1, 2]), expected, "{address:?}");
    }
}

#[test]
fn an_address_is_in_the_way_of_the_same_and_of_the_prefix_around_it() {
    let settings = settings(&["192.0.2.53/32", "198.51.100.1/32"], &["192.0.2.0/24"]);
    for (text, expected) in [
        ("192.0.2.9/32", Some("192.0.2.53/24")),
        ("192.0.2.9/16", Some("192.0.2.53/24")),
        ("198.51.100.1/24", Some("198.51.100.1/32")),
        ("198.51.100.2/24", None),
        ("127.0.0.1/8", None),
        ("::1/128", None),
    ] {
        assert_eq!(overlapped(net(text), &settings), expected.map(net), "{text}");
    }
}

#[test]
fn errors_of_the_tun_say_what_to_do() {
    let io = |errno| std::io::Error::from_raw_os_error(errno);
    for (error, text) in [
        (TunError::Path(io(libc::ENOENT)), "modprobe tun"),
        (TunError::Path(io(libc::EPERM)), "--device /dev/net/tun"),
        (TunError::Taken { name: "fated0".into() }, "ip link del fated0"),
        (TunError::Refused { name: "fated0".into(), source: io(libc::EPERM) }, "CAP_NET_ADMIN"),
        (TunError::Refused { name: "fated0".into(), source: io(libc::ENFILE) }, "`fated0` cannot be made"),
        (TunError::Name { name: "a b".into() }, "change `interface`"),
    ] {
        let text_of = RouteError::from(error).to_string();
        assert!(text_of.contains(text), "{text_of}");
    }
}
