//! Clients over TCP from a great many addresses, in the client's namespace: silent ones, busy ones, ones that connect
//! and close.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::super::message::{Edns, Message, Query};
use super::super::name;
use super::{Family, NodeNumber, Site, clock};

/// How long a client waits for an answer over TCP: a new client is served at once, with a second for a busy machine;
/// and where strangers take the CPU, one SYN may be lost, which is sent again after a second.
const TCP_TIME: Duration = Duration::from_secs(3);
/// What takes longer is printed.
const PRINTED_TIME_MIN: Duration = Duration::from_millis(200);
/// How long somebody who only connects waits for that.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Routes networks full of strangers to the client.
pub(crate) fn route_strangers(site: &Site) {
    let client = NodeNumber(0);
    site.router.ip(&format!("route add 198.18.0.0/15 via {}", client.own4()));
    site.router.ip(&format!("-6 route add 2001:db8:8000::/33 via {}", client.own6()));
    site.client.ip("route add local 198.18.0.0/15 dev lo");
    site.client.ip("-6 route add local 2001:db8:8000::/33 dev lo");
    site.client.set(&[("net/ipv6/ip_nonlocal_bind", "1"), ("net/ipv4/ip_local_port_range", "1024 65535")]);
}

/// Address `host` of network `network`: an IPv4 /24, or an IPv6 /48 of which the host has a /64.
pub(crate) fn address(family: Family, network: u16, host: u16) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(0xC612_0000 | u32::from(network) << 8 | u32::from(host)).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0x8000 | network, host, 0, 0, 0, 1).into(),
    }
}

/// A crowd, so many connections from each of so many addresses in each of so many networks.
pub(crate) fn crowd(family: Family, networks: u16, hosts: u16, each: u16) -> impl Iterator<Item = IpAddr> + Send {
    let places = move || (0..networks).flat_map(move |network| (1..=hosts).map(move |host| (network, host)));
    (0..each).flat_map(move |_| places().map(move |(network, host)| address(family, network, host)))
}

/// Connects to a service address, in the namespace of the calling thread.
fn connect(from: IpAddr, time: Duration) -> std::io::Result<TcpStream> {
    let family = if from.is_ipv4() { Family::V4 } else { Family::V6 };
    let to = SocketAddr::new(family.service(), 53);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    socket.connect_timeout(&SockAddr::from(to), time)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(time))?;
    stream.set_write_timeout(Some(time))?;
    Ok(stream)
}

/// Connects once from each address and says `words` each time; returns the connections.
pub(crate) fn fill(site: &Site, from: impl Iterator<Item = IpAddr> + Send, words: &[u8]) -> Vec<TcpStream> {
    site.client.run(|| {
        from.map(|from| {
            let mut stream = connect(from, CONNECT_TIME).unwrap_or_else(|error| panic!("{from}: {error}"));
            // Where others have pushed it out already, that is what is to be seen.
            let _written = stream.write_all(words);
            stream
        })
        .collect()
    })
}

/// A query with its length in front.
pub(crate) fn framed(qname: &str, qtype: u16) -> Vec<u8> {
    let query = Query::new(&name::name(qname), qtype).with_edns(Edns::new(1232, true)).encode(0x0707);
    [&(query.len() as u16).to_be_bytes()[..], &query].concat()
}

/// Asks from an address over a connection of its own; the reply, if one comes in time.
pub(crate) fn ask(site: &Site, from: IpAddr, qname: &str, qtype: u16) -> std::io::Result<Message> {
    let ask = || -> std::io::Result<Message> {
        let mut stream = connect(from, TCP_TIME)?;
        stream.write_all(&framed(qname, qtype))?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut reply = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut reply)?;
        Message::parse(&reply).map_err(std::io::Error::other)
    };
    site.client.run(ask)
}

/// Whether a client that was never there before is answered over TCP, over both families.
pub(crate) fn newcomers_are_served(site: &Site) -> bool {
    let is_served = |family| {
        let start = clock::now();
        let reply = ask(site, address(family, 250, 1), "site.test.", 6);
        let took = clock::now() - start;
        match &reply {
            Ok(_) if took < PRINTED_TIME_MIN => {}
            Ok(_) => eprintln!("measured: a new client over TCP, {family:?}: {} ms", took.as_millis()),
            Err(error) => eprintln!("no answer over TCP, {family:?}, after {} ms: {error}", took.as_millis()),
        }
        reply.is_ok_and(|reply| reply.rcode() == 0 && !reply.sections[0].is_empty())
    };
    Family::ALL.into_iter().all(is_served)
}

/// Has so many threads of strangers do something again and again for `span`, while `meanwhile` goes on.
pub(crate) fn storm(
    site: &Site,
    threads: u16,
    span: Duration,
    work: impl Fn(u16) + Sync,
    meanwhile: impl FnOnce() + Send,
) {
    let is_over = AtomicBool::new(false);
    site.client.run(|| {
        thread::scope(|scope| {
            for number in 0..threads {
                let (work, is_over) = (&work, &is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        work(number);
                    }
                });
            }
            let end = clock::now() + span;
            clock::wait_until(span * 2, || clock::now() > end);
            // The threads end even where this fails.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            is_over.store(true, Ordering::Relaxed);
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
    });
}

/// Connects and goes at once, from an address of the stranger's own network; in the namespace of the calling thread.
pub(crate) fn connect_and_leave(number: u16) {
    for family in Family::ALL {
        drop(connect(address(family, number, 1), CONNECT_TIME));
    }
}

/// Sends SYNs from addresses that do not answer, some a time; in the namespace of the calling thread.
pub(crate) fn send_syns(number: u16) {
    let IpAddr::V4(to) = Family::V4.service() else { unreachable!("it is one of IPv4") };
    let from = Ipv4Addr::new(203, 0, 113, number as u8 + 1);
    send((1024..1280).map(|port| syn(PacketBuilder::ipv4(from.octets(), to.octets(), 64), port, 53)), to.into());
    thread::sleep(Duration::from_millis(10));
}

/// Sends [`FORGED_SYNS`] SYNs that seem to come from the service address itself; in the namespace of the calling
/// thread.
pub(crate) fn send_forged_syns(family: Family, from: u16, to: u16) {
    let packet = match family.service() {
        IpAddr::V4(own) => syn(PacketBuilder::ipv4(own.octets(), own.octets(), 64), from, to),
        IpAddr::V6(own) => syn(PacketBuilder::ipv6(own.octets(), own.octets(), 64), from, to),
    };
    send(std::iter::repeat_n(packet, FORGED_SYNS), family.service());
}

/// How many forged SYNs there are.
pub(crate) const FORGED_SYNS: usize = 20;

/// Sends once, in somebody else's name, all that makes a host answer: queries from two ports, a datagram and a SYN for
/// a port where nobody listens, a SYN and half a handshake for one where somebody does, and an echo request; in the
/// namespace of the calling thread.
pub(crate) fn send_in_name_of(from: IpAddr, ports: [u16; 2], to: IpAddr) {
    let ip = || match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => unreachable!("both are of one family"),
    };
    let query = Query::new(&name::name("site.test."), 6).encode(7);
    let udp = |port, to_port| {
        let mut packet = Vec::new();
        ip().udp(port, to_port).write(&mut packet, &query).expect("memory takes it");
        packet
    };
    let (mut ack, mut echo) = (Vec::new(), Vec::new());
    ip().tcp(ports[1], 53, 4711, 64_000).ack(4711).write(&mut ack, &query).expect("memory takes it");
    match from {
        IpAddr::V4(_) => ip().icmpv4_echo_request(7, 7).write(&mut echo, &query),
        IpAddr::V6(_) => ip().icmpv6_echo_request(7, 7).write(&mut echo, &query),
    }
    .expect("memory takes it");
    let syns = [53, CLOSED_PORT].map(|port| syn(ip(), ports[1], port));
    let others = [udp(ports[0], 53), udp(ports[1], 53), udp(ports[1], CLOSED_PORT), ack, echo];
    send(others.into_iter().chain(syns), to);
}

/// A port where nobody listens.
const CLOSED_PORT: u16 = 9;

/// A packet with a SYN.
fn syn(ip: PacketBuilderStep<IpHeaders>, from: u16, to: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    ip.tcp(from, to, 4711, 64_000).syn().write(&mut packet, &[]).expect("memory takes it");
    packet
}

/// Sends whole packets to an address.
fn send(packets: impl Iterator<Item = Vec<u8>>, to: IpAddr) {
    let to = SocketAddr::new(to, 0);
    // 255: the header is ours (raw(7)).
    let socket = Socket::new(Domain::for_address(to), Type::RAW, Some(Protocol::from(255))).expect("root may");
    for packet in packets {
        // What is lost is one of many.
        let _sent = socket.send_to(&packet, &SockAddr::from(to));
    }
}
