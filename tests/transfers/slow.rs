//! Large zones, and clients that do not take what they asked for: memory stays bounded, and others are served.

use std::fmt::Write as _;
use std::fs;

use super::client::{self, ask_whole, connect, read_whole};
use super::common::ask;
use super::common::message::Query;
use super::common::name::name;
use super::primary::{Primary, SHA256};

/// The zone.
const ZONE: &str = "large.test.";
/// Records of it but the SOA.
const RECORD_COUNT: usize = 1_000_000;
/// How many octets of memory transfers may cost, however large the zone.
const GROWTH_BYTES_MAX: u64 = 24 << 20;
/// How many clients there are at once.
const CLIENT_COUNT: usize = 16;

/// A zone with a million records.
fn large() -> String {
    let mut text = format!("@ 60 IN SOA ns host 1 3600 3600 604800 300\n@ 60 IN NS ns.{ZONE}\n");
    for number in 0..RECORD_COUNT - 1 {
        writeln!(text, "n{number} 60 IN A 10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255)
            .expect("a string");
    }
    text
}

/// The resident memory of a server.
fn resident_bytes(primary: &Primary) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", primary.server.process_id())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says so");
    line.split_ascii_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).expect("a number") << 10
}

#[test]
fn a_million_records_are_sent_within_bounded_memory_beside_clients_that_read_nothing() {
    let primary = Primary::start(SHA256, &[(ZONE, large())]);
    let before = resident_bytes(&primary);
    let idle: Vec<_> = (0..CLIENT_COUNT)
        .map(|_| {
            let mut stream = connect(primary.address(), client::ALLOWED).expect("it listens");
            ask_whole(&mut stream, ZONE, 1);
            stream
        })
        .collect();
    let mut stream = connect(primary.address(), client::ALLOWED).expect("it listens");
    ask_whole(&mut stream, ZONE, 2);
    let records = read_whole(&mut stream, 2).expect("it may be had");
    assert_eq!(records.len(), 1 + RECORD_COUNT);
    let query = Query::new(&name(ZONE), client::SOA);
    assert_eq!(ask::ask_udp(primary.address(), &query).rcode(), 0);
    assert_eq!(ask::ask_tcp(primary.address(), &query).rcode(), 0);
    let grown = resident_bytes(&primary).saturating_sub(before);
    println!("{CLIENT_COUNT} clients that wait and one that reads cost {grown} octets");
    assert!(grown < GROWTH_BYTES_MAX, "{grown} octets");
    assert_eq!(primary.transfers("whole"), CLIENT_COUNT as u64 + 1);
    drop(idle);
}
