//! What neighbours are told of decisions, and how an attempt to connect ends.

use std::net::{IpAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::plan::{prefixes, routes};
use super::settings::{NeighborSettings, Secret, Service};
use crate::bgp::{AsNumber, Attributes, Families, NextHop};
use crate::policy::{Decision, Proof, Reason, Stance};
use crate::sys::peering::set_md5_key;

/// How long something may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A neighbour on loopback.
fn neighbor() -> NeighborSettings {
    NeighborSettings {
        address: IpAddr::from([127, 0, 0, 1]),
        device: None,
        local_address: None,
        port: 179,
        local_port: 0,
        is_passive: false,
        peer_as: AsNumber(65_000),
        local_as: AsNumber(65_001),
        families: Families { ipv4: true, ipv6: false },
        next_hop_v4: None,
        next_hop_v6: None,
        hold_time: Duration::from_secs(9),
        md5_key: None,
        hops_max: None,
        role: None,
        is_role_strict: false,
        announced: Attributes { med: Some(1), ..Attributes::default() },
        degraded: Attributes { med: Some(9), large: vec![[1, 2, 3]], ..Attributes::default() },
        bfd: None,
    }
}

/// A service of these addresses.
fn service(addresses: &[&str], announce: &[&str]) -> Service {
    Service {
        addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
        announce: announce.iter().map(|net| net.parse().expect("a prefix")).collect(),
        proof: Arc::new(Proof::new(addresses.len())),
    }
}

#[test]
fn a_prefix_is_told_as_the_best_of_its_addresses_is_decided() {
    let services =
        [service(&["192.0.2.1", "192.0.2.2", "2001:db8::1"], &["192.0.2.0/24"]), service(&["10.0.0.1"], &[])];
    let prefixes = prefixes(&services);
    let shown: Vec<String> = prefixes.iter().map(|prefix| format!("{} {:?}", prefix.net, prefix.addresses)).collect();
    assert_eq!(shown, ["192.0.2.0/24 [0, 1]", "2001:db8::1/128 [2]", "10.0.0.1/32 [3]"]);
    let decided = |stances: [Stance; 4]| stances.map(|stance| Decision { stance, reason: Reason::Drained });
    let told = |neighbor: &NeighborSettings, stances| {
        let routes = routes(neighbor, Some(84), &prefixes, &decided(stances));
        routes.into_iter().map(|route| route.wanted).collect::<Vec<_>>()
    };
    use Stance::{Announce, Degrade, Withdraw};
    let degraded = Attributes { large: vec![[1, 2, 3], [65_001, 84, 10]], ..neighbor().degraded };
    // IPv6 is not this neighbour's.
    let expected = [Some(neighbor().announced), None, Some(degraded.clone())];
    assert_eq!(told(&neighbor(), [Withdraw, Announce, Announce, Degrade]), expected);
    assert_eq!(told(&neighbor(), [Degrade, Withdraw, Withdraw, Withdraw]), [Some(degraded), None, None]);
    let both = NeighborSettings {
        families: Families { ipv4: true, ipv6: true },
        next_hop_v6: Some("2001:db8::9".parse().expect("an address")),
        ..neighbor()
    };
    let sixth = told(&both, [Withdraw, Withdraw, Announce, Withdraw])[1].clone().expect("it is told");
    assert_eq!(sixth.next_hop, NextHop::Address("2001:db8::9".parse().expect("an address")));

    // Who is withdrawn proves nothing of the prefix.
    let proofs = [3, 7, 1, 1].map(|seconds| Some(Duration::from_secs(seconds)));
    let of = |stances| prefixes[0].proven(&decided(stances), &proofs);
    assert_eq!(of([Announce, Withdraw, Withdraw, Withdraw]), proofs[0]);
    assert_eq!(of([Announce, Degrade, Withdraw, Withdraw]), proofs[1]);
    assert_eq!(of([Withdraw; 4]), None);
}

#[test]
fn an_attempt_to_connect_ends_when_the_router_says_so_and_not_before() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    let to = NeighborSettings { port: address.port(), ..neighbor() };
    let finish = |connection: &mut Connection| {
        let start = Instant::now();
        loop {
            let outcome = connection.finish().map_err(|error| error.kind());
            if outcome.is_err() || connection.is_open || start.elapsed() > PATIENCE {
                return outcome;
            }
            std::thread::yield_now();
        }
    };
    let mut connection = Connection::connect(&to, 0).expect("it begins");
    assert_eq!((finish(&mut connection), connection.is_open), (Ok(()), true));
    // Nobody answers whose key is another.
    let port = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = port.local_addr().expect("it is bound");
    if set_md5_key(port.as_fd(), address, b"one").is_err() {
        eprintln!("SKIPPED: the kernel was built without TCP MD5 signatures");
        return;
    }
    let keyed = NeighborSettings { port: address.port(), md5_key: Some(Secret(b"two".to_vec())), ..neighbor() };
    let mut connection = Connection::connect(&keyed, 0).expect("it begins");
    assert!(connection.finish().is_ok() && !connection.is_open, "it is under way");
    drop(port);
    let refused = NeighborSettings { md5_key: None, ..keyed };
    let mut connection = Connection::connect(&refused, 0).expect("it begins");
    assert_eq!(finish(&mut connection), Err(std::io::ErrorKind::ConnectionRefused));
}
