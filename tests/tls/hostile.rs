//! Clients that mean no good, or speak something else.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};

use super::authority::Authority;
use super::common::Dice;
use super::node::{Client, Node, PATIENCE, SOA};
use super::{primary, zone_file};

/// How long a handshake may take here.
const SHORT: &str = "[server.tcp]\nio-timeout = \"1s\"\nidle-timeout = \"60s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";

/// A node whose patience is short.
fn node(authority: &Authority) -> Node {
    Node::start_with(Some(&authority.issue("dot.test")), &(SHORT.to_owned() + &primary("")), &[zone_file(7)])
}

/// The first flight of a client.
fn hello(authority: &Authority) -> Vec<u8> {
    let name = ServerName::try_from("dot.test").expect("a name");
    let config = authority.client(None, &[&TLS13]);
    let mut connection = ClientConnection::new(config.into(), name).expect("settings");
    let mut octets = Vec::new();
    connection.write_tls(&mut octets).expect("a vector takes it");
    octets
}

/// Waits until the server has ended a connection; what it said until then.
fn ended(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return said,
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is not closed");
                return said;
            }
        }
    }
}

/// The value of a counter.
fn counted(node: &Node, name: &str) -> u64 {
    let (code, page) = node.server.page("/metrics");
    assert_eq!(code, 200);
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in:\n{page}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// Waits until a counter has that value.
fn wait_for_count(node: &Node, name: &str, expected: u64) {
    let end = Instant::now() + PATIENCE;
    while counted(node, name) < expected {
        assert!(Instant::now() < end, "{name} is {} and not {expected}", counted(node, name));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(counted(node, name), expected, "{name}");
}

#[test]
fn who_stalls_in_the_handshake_is_closed_in_time_and_harms_nobody() {
    let authority = Authority::new();
    let (node, hello) = (node(&authority), hello(&authority));
    let mut honest = node.connect(authority.client(None, &[&TLS13]));
    let connect = |octets: &[u8]| {
        let mut stream = TcpStream::connect(node.tls).expect("it listens");
        stream.write_all(octets).expect("it is open");
        stream
    };
    // Nothing, a part, and all of the first flight without an answer to the server's.
    let mut stalled: Vec<TcpStream> =
        [0, 1, 5, 60, hello.len() - 1, hello.len()].map(|end| connect(&hello[..end])).into();
    // One that sends an octet now and then has no more time than others.
    let start = Instant::now();
    let mut slow = connect(&hello[..10]);
    for octet in &hello[10..] {
        if slow.write_all(&[*octet]).is_err() || start.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(honest.ask("example.test.", SOA).rcode(), 0);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "octets now and then held it for {:?}", start.elapsed());
    stalled.iter_mut().for_each(|stream| drop(ended(stream)));
    wait_for_count(&node, "fated_tls_handshakes_failed_total{cause=\"timeout\"}", 7);
    assert_eq!(honest.ask("example.test.", SOA).rcode(), 0);
}

#[test]
fn what_is_no_tls_gets_an_alert_and_is_counted() {
    let authority = Authority::new();
    let node = node(&authority);
    let query = super::common::ask::framed(
        &super::common::message::Query::new(&super::common::name::name("example.test."), SOA).encode(1),
    );
    for octets in [&query[..], b"GET / HTTP/1.1\r\nHost: dot.test\r\n\r\n"] {
        let mut stream = TcpStream::connect(node.tls).expect("it listens");
        stream.write_all(octets).expect("it is open");
        let said = ended(&mut stream);
        assert_eq!(said.first(), Some(&21), "an alert (RFC 8446 section 6): {said:02x?}");
    }
    wait_for_count(&node, "fated_tls_handshakes_failed_total{cause=\"not-tls\"}", 2);
    let mut config = authority.client(None, &[&TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(Client::connect(node.tls, config).is_err(), "another protocol");
    wait_for_count(&node, "fated_tls_handshakes_failed_total{cause=\"alpn\"}", 1);
    for versions in [&TLS12, &TLS13] {
        assert_eq!(node.connect(authority.client(None, &[versions])).ask("example.test.", SOA).rcode(), 0);
    }
    for version in ["1.2", "1.3"] {
        wait_for_count(&node, &format!("fated_tls_handshakes_total{{version=\"{version}\",kind=\"full\"}}"), 1);
    }
}

#[test]
fn random_octets_and_connections_that_are_cut_anywhere_end_nothing_but_themselves() {
    let authority = Authority::new();
    let (node, hello) = (node(&authority), hello(&authority));
    let mut dice = Dice::new(9103);
    let mut honest = node.connect(authority.client(None, &[&TLS13]));
    for round in 0..600 {
        let mut octets = hello.clone();
        match round % 3 {
            // A first flight with some octets changed.
            0 => (0..=dice.roll() % 4).for_each(|_| {
                let at = dice.roll() as usize % octets.len();
                octets[at] = dice.roll() as u8;
            }),
            // Records of any kind.
            1 => {
                octets = (0..dice.roll() % 300).map(|_| dice.roll() as u8).collect();
                octets.splice(0..0, [20 + (dice.roll() % 5) as u8, 3, 3, 0, octets.len() as u8]);
            }
            // A part, or all of it and then the end.
            _ => octets.truncate(dice.roll() as usize % (octets.len() + 1)),
        }
        let mut stream = TcpStream::connect(node.tls).expect("it listens");
        // It may be closed already; so below.
        let _sent = stream.write_all(&octets);
        let _shut = stream.shutdown(Shutdown::Write);
        if dice.roll().is_multiple_of(2) {
            ended(&mut stream);
        }
        // Behind the handshake: records that nobody can have sent.
        if round % 20 == 0 {
            let mut client = node.connect(authority.client(None, &[&TLS13]));
            let _sent = client.0.sock.write_all(&[&[23, 3, 3, 0, 40][..], &[round as u8; 40]].concat());
            assert!(client.is_ended(), "a damaged record");
        }
    }
    assert_eq!(honest.ask("example.test.", SOA).rcode(), 0, "who was there before is there still");
    assert_eq!(counted(&node, "fated_panics_total{transport=\"tls\"}"), 0);
    assert!(node.log("panic").is_empty(), "{:?}", node.log("panic"));
}
