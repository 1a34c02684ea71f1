//! The route against a real kernel, each test in a network namespace of its own: what is announced, what takes it away,
//! and what stays. Needs root; without it every test says that it is skipped.

#[path = "route/fixture.rs"]
mod fixture;
#[path = "route/many.rs"]
mod many;
#[path = "route/notrack.rs"]
mod notrack;
#[path = "route/refusals.rs"]
mod refusals;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use fated::announce::kernel::{Interface, KernelRoute, LeaseState, drop_elsewhere};
use fated::health::{SOURCE_V4, SOURCE_V6};
use fated::policy::Stance;
use socket2::{Domain, Socket, Type};

use fixture::{Node, PATIENCE, Process, in_namespace, ip, local_routes, settings, stands, try_ip, until};

const V4: &str = "192.0.2.53/32";
const V6: &str = "2001:db8::53/128";

#[test]
fn child_that_announces() {
    fixture::child();
}

#[test]
fn announcing_puts_the_addresses_on_and_withdrawing_takes_them_off() {
    in_namespace(|| {
        let node = Node::start(settings(&[V4, V6]));
        assert!(!stands("fated0", V4) && !stands("fated0", V6), "nothing is announced yet");
        for _ in 0..3 {
            node.announce();
            assert!(stands("fated0", V4) && stands("fated0", V6), "{}", ip("addr"));
            assert!(!ip("-6 addr show dev fated0").contains("tentative"));
            // What routing daemons turn into routes: the connected ones of the kernel.
            assert!(ip("-6 route show dev fated0").contains("2001:db8::53"), "{}", ip("-6 route"));
            node.withdraw();
            assert!(!stands("fated0", V4) && !stands("fated0", V6), "{}", ip("addr"));
        }
        let seen = node.driver.seen();
        assert!(
            seen.addresses.iter().all(|one| one.announce_took.is_some() && one.withdraw_took.is_some()),
            "{seen:?}"
        );
        assert_eq!((seen.counters.addresses_removed, seen.counters.routes_removed), (0, 0), "{seen:?}");
        assert_eq!(seen.counters.requests_failed, 0, "{seen:?}");
    });
}

#[test]
fn packets_are_ours_before_the_first_announcement_and_after_the_last() {
    in_namespace(|| {
        let node = Node::start(settings(&[V4, V6]));
        let is_received = || {
            let routes = local_routes();
            let mut wanted = ["local 192.0.2.53 dev fated0rx", "local 2001:db8::53 dev fated0rx"].into_iter();
            wanted.all(|route| routes.contains(route))
        };
        assert!(is_received(), "{}", local_routes());
        node.announce();
        assert!(is_received(), "{}", local_routes());
        assert!(local_routes().contains("local 192.0.2.53 dev fated0 "), "{}", local_routes());
        node.withdraw();
        assert!(is_received(), "{}", local_routes());
        assert!(!local_routes().contains("local 192.0.2.53 dev fated0 "), "{}", local_routes());
        assert!(!ip("addr show dev fated0rx").contains("inet"), "the receiving device has no address");
    });
}

#[test]
fn closing_leaves_nothing_behind() {
    in_namespace(|| {
        let mut before = settings(&[V4, V6]);
        for interface in [Interface::Tun("fated0".into()), Interface::Device("lo".into())] {
            before.interface = interface;
            let node = Node::start(before.clone());
            node.announce();
            let other = Node::try_start(settings(&["198.51.100.1/32"]), |_| {});
            assert_eq!(other.is_err(), before.interface == Interface::Tun("fated0".into()));
            drop(other);
            let seen = node.close();
            assert!(seen.addresses.iter().all(|address| !address.is_announced), "{seen:?}");
            assert!(!local_routes().contains("proto 84"), "{}", local_routes());
            assert!(!ip("addr").contains("192.0.2.53") && !ip("addr").contains("2001:db8::53"), "{}", ip("addr"));
            assert!(!ip("link").contains("fated0"), "{}", ip("link"));
        }
    });
}

#[test]
fn a_killed_process_leaves_no_device_address_or_route() {
    in_namespace(|| {
        let mut process = Process::announce(&format!("{V4} {V6}"), "fated0");
        assert!(stands("fated0", V4) && stands("fated0", V6));
        process.child.kill().expect("it runs");
        until("the devices are gone", || !ip("link").contains("fated0"));
        assert!(!ip("addr").contains("192.0.2.53"), "{}", ip("addr"));
        assert!(!local_routes().contains("192.0.2.53") && !local_routes().contains("2001:db8::53"));
    });
}

#[test]
fn a_stopped_process_loses_its_addresses_with_the_lease() {
    for device in ["fated0", "lo"] {
        in_namespace(move || {
            let process = Process::announce(&format!("{V4} {V6}"), device);
            process.signal("-STOP");
            let took = until("the lease runs out", || !stands(device, V4) && !stands(device, V6));
            // The kernel removes what is over with up to a second of delay.
            assert!(took < Duration::from_millis(3500), "{took:?}");
            assert!(local_routes().contains("local 192.0.2.53 dev"), "it would still answer: {}", local_routes());
            process.signal("-CONT");
            until("it is proven and announced again", || stands(device, V4) && stands(device, V6));
        });
    }
}

#[test]
fn without_proof_nothing_is_announced_renewed_or_kept() {
    for lease in [Some(Duration::from_secs(1)), None] {
        in_namespace(move || {
            let node = Node::start(fated::announce::kernel::KernelSettings { lease, ..settings(&[V4, V6]) });
            node.stop_proving();
            until("the last proof is over", || !node.driver.wait(Duration::ZERO, |seen| seen.read < PROOF_OVER));
            node.want_all(Stance::Announce);
            let is_announced = node.driver.wait(PROOF_OVER, |seen| seen.addresses.iter().any(|one| one.is_announced));
            assert!(!is_announced, "announced without proof: {:?}", node.driver.seen());
            node.prove();
            node.announce();
            // Held for longer than a lease.
            let is_lost = node
                .driver
                .wait(Duration::from_millis(2500), |seen| seen.addresses.iter().any(|one| !one.is_announced));
            assert!(!is_lost, "{:?}", node.driver.seen());
            assert_eq!(node.driver.seen().counters.renewals > 4, lease.is_some(), "{:?}", node.driver.seen());
            node.stop_proving();
            until("it is gone", || !stands("fated0", V4) && !stands("fated0", V6));
            let is_seen = node.driver.wait(PATIENCE, |seen| {
                seen.addresses.iter().all(|one| one.lease == LeaseState::Absent && !one.is_announced)
            });
            assert!(is_seen, "{:?}", node.driver.seen());
            assert_eq!(node.driver.seen().counters.addresses_removed, 0, "nobody else did it");
        });
    }
}

#[test]
fn what_somebody_removes_is_put_back() {
    in_namespace(|| {
        let node = Node::start(settings(&[V4, V6]));
        node.announce();
        for (index, (what, is_back)) in [
            (format!("addr del {V4} dev fated0"), V4),
            (format!("addr del {V6} dev fated0"), V6),
            ("link set fated0 down".into(), V6),
            ("link set fated0 down".into(), V4),
        ]
        .into_iter()
        .enumerate()
        {
            ip(&what);
            let took = until(&what, || stands("fated0", is_back) && ip("link show fated0").contains(",UP"));
            assert!(took < Duration::from_secs(1), "{what}: {took:?}");
            assert!(node.driver.wait(PATIENCE, |seen| seen.is_settled), "{index}");
        }
        let counters = node.driver.seen().counters;
        assert!(counters.addresses_removed >= 2 && counters.links_downed >= 1, "{counters:?}");
        for (what, route) in [
            ("route del local 192.0.2.53 dev fated0rx table local", "local 192.0.2.53 dev fated0rx"),
            ("-6 route del local 2001:db8::53 dev fated0rx table local", "local 2001:db8::53 dev fated0rx"),
            ("link set fated0rx down", "local 192.0.2.53 dev fated0rx"),
        ] {
            ip(what);
            let took = until(what, || local_routes().contains(route));
            assert!(took < Duration::from_secs(1), "{what}: {took:?}");
        }
        ip("route del 192.0.0.100 dev fated0rx table local");
        until("the probe's way back", || local_routes().contains("192.0.0.100 dev fated0rx"));
        assert!(node.driver.wait(PATIENCE, |seen| seen.is_settled && seen.counters.routes_removed >= 3));
        assert!(stands("fated0", V4) && stands("fated0", V6));
    });
}

#[test]
fn an_address_that_somebody_puts_there_while_withdrawn_is_removed() {
    in_namespace(|| {
        let node = Node::start(settings(&[V4, V6]));
        for address in [V4, V6, "192.0.2.53/24"] {
            ip(&format!("addr add {address} dev fated0"));
            until("it is removed", || !stands("fated0", address));
        }
        assert!(node.driver.wait(PATIENCE, |seen| seen.is_settled));
    });
}

#[test]
fn a_removed_device_ends_it_with_a_message() {
    for device in ["fated0", "fated0rx"] {
        in_namespace(move || {
            let (sender, receiver) = mpsc::channel();
            let fatal = move |message: &str| sender.send(message.to_owned()).expect("the test waits");
            let node = Node::try_start(settings(&[V4]), fatal).expect("it starts");
            node.announce();
            ip(&format!("link del {device}"));
            let message = receiver.recv_timeout(PATIENCE).expect("the end is reported");
            assert!(message.contains(&format!("`{device}` was removed")), "{message}");
        });
    }
}

#[test]
fn addresses_under_one_prefix_survive_each_others_removal() {
    in_namespace(|| {
        let mut wide = settings(&["192.0.2.53/32", "192.0.2.54/32", "2001:db8::53/128", "2001:db8::54/128"]);
        wide.announce = vec!["192.0.2.0/24".parse().expect("a prefix"), "2001:db8::/48".parse().expect("a prefix")];
        let node = Node::start(wide);
        node.announce();
        let all = ["192.0.2.53/24", "192.0.2.54/24", "2001:db8::53/48", "2001:db8::54/48"];
        assert!(all.iter().all(|address| stands("fated0", address)), "{}", ip("addr"));
        for gone in 0..2 {
            let mut stances = [Stance::Announce; 4];
            (stances[gone], stances[gone + 2]) = (Stance::Withdraw, Stance::Withdraw);
            node.driver.want(&stances);
            assert!(node.driver.wait(PATIENCE, |seen| !seen.addresses[gone].is_announced && seen.is_settled));
            for (index, address) in all.iter().enumerate() {
                assert_eq!(stands("fated0", address), index % 2 != gone, "{address}: {}", ip("addr"));
            }
            assert!(ip("route").contains("192.0.2.0/24 dev fated0"), "{}", ip("route"));
            assert!(ip("-6 route").contains("2001:db8::/48 dev fated0"), "{}", ip("-6 route"));
            node.announce();
        }
        // Nothing had to be put back: the kernel promoted what stayed.
        assert_eq!(node.driver.seen().counters.addresses_removed, 0);
    });
}

#[test]
fn an_earlier_runs_leftovers_are_purged_and_nothing_else_is() {
    in_namespace(|| {
        ip("route add local 192.0.2.77 dev lo table local proto 84");
        ip("-6 route add local 2001:db8::77 dev lo table local proto 84");
        ip("route add local 192.0.2.78 dev lo table local proto static");
        ip("route add 198.51.100.0/24 dev lo proto 84");
        ip("link add veth0 type veth peer name veth1");
        ip("link set veth0 up");
        ip("route add 203.0.113.0/24 dev veth0 proto 84");
        let _node = Node::start(settings(&[V4, V6]));
        assert!(
            !local_routes().contains("192.0.2.77") && !local_routes().contains("2001:db8::77"),
            "{}",
            local_routes()
        );
        assert!(local_routes().contains("192.0.2.78"), "not ours by its number");
        assert!(!ip("route").contains("198.51.100.0/24"));
        assert!(ip("route").contains("203.0.113.0/24"), "not ours by its device");
    });
}

#[test]
fn a_run_on_lo_that_was_killed_is_followed_at_once() {
    in_namespace(|| {
        let mut process = Process::announce(&format!("{V4} {V6}"), "lo");
        process.child.kill().expect("it runs");
        process.child.wait().expect("it was killed");
        assert!(local_routes().contains("proto 84"), "the local routes outlive the process: {}", local_routes());
        let node = Node::start(fated::announce::kernel::KernelSettings {
            interface: Interface::Device("lo".into()),
            ..settings(&[V4])
        });
        assert!(!stands("lo", V4), "what it announced is gone: {}", ip("addr"));
        assert!(!local_routes().contains("local 2001:db8::53 dev lo proto 84"), "{}", local_routes());
        node.announce();
        assert!(stands("lo", V4));
        node.withdraw();
        assert!(!stands("lo", V4) && local_routes().contains("local 192.0.2.53 dev lo proto 84"), "{}", local_routes());
    });
}

#[test]
fn a_kernel_route_follows_the_stance_and_the_proof_and_ends_with_the_process() {
    in_namespace(|| {
        let kernel_route = Some(KernelRoute { table: 1000, metric: 50 });
        let mut asked = fated::announce::kernel::KernelSettings {
            kernel_route,
            lease: None,
            ..settings(&[V4, "192.0.2.54/32", V6])
        };
        asked.announce = vec!["192.0.2.0/24".parse().expect("a prefix")];
        let node = Node::start(asked);
        let routes = || try_ip("-4 route show table 1000").1 + &try_ip("-6 route show table 1000").1;
        let has = |metric: u32| {
            let routes = routes();
            routes.contains(&format!("192.0.2.0/24 dev fated0 proto 84 scope link metric {metric}"))
                && routes.contains(&format!("2001:db8::53 dev fated0 proto 84 metric {metric}"))
                && routes.matches("fated0").count() == 2
        };
        assert!(!routes().contains("fated0"), "{}", routes());
        node.announce();
        until("the routes stand", || has(50));
        node.want_all(Stance::Degrade);
        until("the metric is raised", || has(1050));
        assert!(stands("fated0", "192.0.2.53/24") && stands("fated0", V6));
        node.driver.want(&[Stance::Withdraw, Stance::Announce, Stance::Withdraw]);
        until("the other address carries it", || {
            let routes = routes();
            routes.contains("192.0.2.0/24 dev fated0 proto 84 scope link metric 50")
                && routes.matches("fated0").count() == 1
        });
        node.announce();
        until("the routes stand", || has(50));
        // The kernel drops the IPv4 routes of a device with its last address, and says nothing of them.
        ip("addr flush dev fated0");
        until("the routes stand again", || has(50) && stands("fated0", "192.0.2.53/24"));
        node.stop_proving();
        until("the routes end with the proof", || !routes().contains("fated0"));
        node.prove();
        until("the routes stand", || has(50));
        node.withdraw();
        assert!(!routes().contains("fated0"), "{}", routes());
        node.announce();
        until("the routes stand", || has(50));
        drop(node);
        assert!(!routes().contains("fated0"), "{}", routes());
    });
}

/// Why a kernel route and a lease exclude each other. Should this fail one day, the kernel has learnt to.
#[test]
fn the_kernel_keeps_an_ipv6_route_long_after_its_expiry_and_after_its_source_is_gone() {
    in_namespace(|| {
        let node = Node::start(settings(&[V4, V6]));
        node.announce();
        ip("-6 route add 2001:db8:1::/48 dev fated0 proto 85 expires 1");
        ip("-6 route add 2001:db8:2::/48 dev fated0 proto 85 src 2001:db8::53");
        node.stop_proving();
        until("the lease runs out", || !stands("fated0", V6));
        thread::sleep(Duration::from_secs(3));
        let routes = ip("-6 route show proto 85");
        assert!(routes.contains("2001:db8:1::/48 dev") && routes.contains("2001:db8:2::/48 dev"), "{routes}");
    });
}

#[test]
fn the_host_takes_another_address_for_what_it_sends_by_itself() {
    in_namespace(|| {
        let node = Node::start(settings(&[V4, V6]));
        node.announce();
        // After ours, so that the kernel would come to ours first.
        ip("link add veth0 type veth peer name veth1");
        ip("link set veth0 up");
        ip("link set veth1 up");
        ip("-4 route add 0.0.0.0/0 via inet6 fe80::1 dev veth0");
        ip("-6 route add default via fe80::1 dev veth0");
        let sources = || {
            ["192.0.2.200:53", "[2001:db8:9::1]:53"].map(|target| {
                let target: SocketAddr = target.parse().expect("an address");
                let unspecified = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(unspecified).expect("sockets are left");
                socket.connect(target).expect("there is a way");
                socket.local_addr().expect("it is bound").ip().to_string()
            })
        };
        assert_ne!(sources()[0], "192.0.2.53", "rather none than the service address");
        ip("addr add 198.51.100.7/32 dev veth0");
        ip("addr add 2001:db8:7::7/128 dev veth0 nodad");
        for _ in 0..3 {
            assert_eq!(sources(), ["198.51.100.7", "2001:db8:7::7"]);
            let renewals = node.driver.seen().counters.renewals;
            until("leases are renewed", || node.driver.seen().counters.renewals >= renewals + 4);
        }
    });
}

#[test]
fn a_packet_written_into_the_probe_tun_is_answered_out_of_it() {
    for rp_filter in ["0", "1", "2"] {
        in_namespace(move || {
            // The host sends what comes from the service addresses by a table of its own: replies to probes keep their
            // way.
            std::fs::write("/proc/sys/net/ipv4/conf/default/rp_filter", rp_filter).expect("it is our namespace");
            std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", rp_filter).expect("it is our namespace");
            ip("link add uplink type veth peer name router");
            ip("link set uplink up");
            for (family, address) in [("-4", "192.0.2.53"), ("-6", "2001:db8::53")] {
                ip(&format!("{family} route add default dev uplink table 100"));
                ip(&format!("{family} rule add from {address} lookup 100"));
            }
            assert_probes_are_answered();
        });
    }
}

/// Writes probes into the tun of a node, before, while and after it announces, and reads the replies.
fn assert_probes_are_answered() {
    let node = Node::start(settings(&[V4, V6]));
    for is_announced in [false, true, false] {
        if is_announced {
            node.announce()
        } else {
            node.withdraw()
        }
        for (address, source) in ["192.0.2.53", "2001:db8::53"].into_iter().zip([SOURCE_V4.into(), SOURCE_V6.into()]) {
            let socket = bound_before_it_exists(address);
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
            let port = socket.local_addr().expect("it is bound").port();
            let target: std::net::IpAddr = address.parse().expect("an address");
            let builder = match (source, target) {
                (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => {
                    PacketBuilder::ipv4(from.octets(), to.octets(), 64)
                }
                (std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => {
                    PacketBuilder::ipv6(from.octets(), to.octets(), 64)
                }
                _ => unreachable!("the lists have one order"),
            };
            let mut packet = Vec::new();
            builder.udp(PROBE_PORT, port).write(&mut packet, b"ask").expect("a short packet");
            let tun = node.driver.probe_tun().expect("there is a tun");
            tun.write(&packet).expect("the device is up");
            let mut octets = [0; 16];
            let (length, from) = socket.recv_from(&mut octets).expect("the kernel takes it");
            assert_eq!((&octets[..length], from.ip()), (&b"ask"[..], source));
            socket.send_to(b"reply", from).expect("there is a way back");
            assert_eq!(read_udp(&tun), (port, b"reply".to_vec()), "{address}");
        }
    }
}

/// Binds a UDP socket to an address that may stand nowhere, as the server does.
fn bound_before_it_exists(address: &str) -> UdpSocket {
    let address = SocketAddr::new(address.parse().expect("an address"), 0);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).expect("sockets are left");
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true),
        SocketAddr::V6(_) => socket.set_freebind_v6(true),
    }
    .expect("Linux has free binds");
    socket.bind(&address.into()).expect("a free bind asks nobody");
    socket.into()
}

/// Waits for a UDP datagram to the probe port, and returns its source port and payload.
fn read_udp(tun: &fated::sys::tun::Tun) -> (u16, Vec<u8>) {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < PATIENCE, "no reply came out of the tun");
        let mut packet = [0; 1500];
        let length = match tun.read(&mut packet) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let sliced = SlicedPacket::from_ip(&packet[..length]).expect("an IP packet");
        assert!(matches!(sliced.net, Some(NetSlice::Ipv4(_) | NetSlice::Ipv6(_))));
        match sliced.transport {
            Some(TransportSlice::Udp(udp)) if udp.destination_port() == PROBE_PORT => {
                return (udp.source_port(), udp.payload().to_vec());
            }
            _ => {}
        }
    }
}

#[test]
fn what_comes_in_over_the_announcing_tun_is_dropped_and_counted() {
    in_namespace(|| {
        let mut wide = settings(&[V4]);
        wide.announce = vec!["192.0.2.0/24".parse().expect("a prefix")];
        let node = Node::start(wide);
        node.announce();
        let socket = UdpSocket::bind("192.0.2.53:0").expect("the address is ours");
        for _ in 0..10 {
            socket.send_to(b"to nobody", "192.0.2.99:9").expect("the prefix leads to the tun");
        }
        assert!(node.driver.wait(PATIENCE, |seen| seen.counters.packets_dropped >= 10), "{:?}", node.driver.seen());
    });
}

#[test]
fn only_the_route_thread_keeps_the_capability() {
    in_namespace(|| {
        let node = Node::start(settings(&[V4]));
        drop_elsewhere().expect("less is always granted");
        let (sender, receiver) = mpsc::channel();
        let worker = thread::Builder::new().name("later".into()).spawn(move || receiver.recv()).expect("a thread");
        let threads = || -> Vec<(String, bool)> {
            let tasks = std::fs::read_dir("/proc/self/task").expect("procfs").flatten().map(|task| task.path());
            // Threads of other tests, which are in other namespaces, come and go.
            let here = std::fs::read_link("/proc/thread-self/ns/net").expect("procfs");
            let ours = tasks.filter(|task| std::fs::read_link(task.join("ns/net")).is_ok_and(|there| there == here));
            ours.map(|task| {
                let status = std::fs::read_to_string(task.join("status")).expect("a thread of this test runs");
                let field = |key: &str| {
                    status.lines().find_map(|line| line.strip_prefix(key)).expect("the kernel shows it").trim()
                };
                let bits = |key: &str| u64::from_str_radix(field(key), 16).expect("hexadecimal");
                (field("Name:").to_owned(), (bits("CapEff:") | bits("CapPrm:")) >> CAP_NET_ADMIN & 1 == 1)
            })
            .collect()
        };
        // Threads take their names, and the one that drops packets lets go, soon after they were started.
        let has = |name: &str, is_capable: bool| threads().contains(&(name.to_owned(), is_capable));
        until("all others have let go", || has("route-hold", false) && has("later", false));
        let capable: Vec<String> = threads().into_iter().filter(|thread| thread.1).map(|thread| thread.0).collect();
        // The other is this test's prover, which was started before.
        assert!(capable.len() == 2 && capable.iter().any(|name| name == "route"), "{capable:?}");
        sender.send(()).expect("it waits");
        assert!(worker.join().expect("no panic").is_ok());
        node.announce();
        node.withdraw();
    });
}

/// By then a proof that was the last at the start pays for nothing any more.
const PROOF_OVER: Duration = Duration::from_millis(1500);
/// The capability's number.
const CAP_NET_ADMIN: u32 = 12;
/// Where probes come from.
const PROBE_PORT: u16 = 40053;
