//! Odd requests for zones, and by those who may not have them: what NSD and BIND answer, and BIND where they part.

use std::io::Write;
use std::process::Command;

use super::SMALL;
use super::client::{self, AXFR, DENIED, IXFR, SOA, ask_whole, connect, read, read_whole};
use super::common::ask::{self, framed};
use super::common::message::{Edns, Query, header};
use super::common::name::name;
use super::common::{must_skip, program};
use super::primary::{KEY, Primary, SECRET, SHA256};

/// The option of extended errors.
const EDE: u16 = 15;
/// RCODE FORMERR.
const FORMERR: u16 = 1;
/// RCODE REFUSED.
const REFUSED: u16 = 5;
/// RCODE NOTAUTH.
const NOTAUTH: u16 = 9;
/// The zone.
const ZONE: &str = "small.test.";

fn start() -> Primary {
    Primary::start(SHA256, &[(ZONE, SMALL.to_owned())])
}

/// A request for changes since a serial.
fn changes_since(zone: &str, serial: u32) -> Vec<u8> {
    let soa = [&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat();
    [
        &header(0x1D1D, 0, [1, 0, 1, 0])[..],
        &name(zone),
        &[0, 251, 0, 1],
        &[0xC0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22],
        &soa,
    ]
    .concat()
}

#[test]
fn who_may_not_have_a_zone_is_refused_with_an_extended_error() {
    let primary = start();
    let mut stream = connect(primary.address(), DENIED).expect("it listens");
    for qtype in [AXFR, IXFR] {
        let mut request = match qtype {
            AXFR => Query::new(&name(ZONE), qtype).encode(7),
            _ => changes_since(ZONE, 0),
        };
        // OPT, so that the extended error may be told.
        request[11] += 1;
        Edns::new(1232, false).write(&mut request);
        stream.write_all(&framed(&request)).expect("it reads");
        let reply = read(&mut stream);
        assert_eq!((reply.rcode(), reply.sections[0].len()), (REFUSED, 0));
        assert_eq!(reply.option(EDE), Some(vec![0, 18]), "Prohibited");
    }
    assert_eq!(primary.transfers("refused"), 2);
}

#[test]
fn unknown_zones_and_names_below_an_apex_are_not_ours() {
    let primary = start();
    for zone in ["other.test.", "ns.small.test.", "test."] {
        assert_eq!(client::whole(primary.address(), client::ALLOWED, zone), Err(NOTAUTH), "{zone}");
    }
}

#[test]
fn malformed_requests_are_told_so() {
    let primary = start();
    let whole = ask::ask_udp(primary.address(), &Query::new(&name(ZONE), AXFR));
    assert_eq!(whole.rcode(), FORMERR, "AXFR over UDP");
    assert_eq!(ask::ask_udp(primary.address(), &Query::new(&name(ZONE), IXFR)).rcode(), FORMERR, "IXFR without a SOA");
    assert_eq!(ask::ask_tcp(primary.address(), &Query::new(&name(ZONE), IXFR)).rcode(), FORMERR);
}

#[test]
fn over_udp_one_soa_says_what_is_current() {
    let mut primary = start();
    // Over UDP the client comes from 127.0.0.1, which needs a key: told by kdig.
    if must_skip("IXFR over UDP", &["kdig"]) {
        return;
    }
    primary.notify(&[]);
    let said = kdig(&primary, SECRET, KEY, &["+notcp", "+noall", "+answer", ZONE, "IXFR=0"]);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("SOA") && !line.starts_with(';')).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains(" 1 3600 3600 604800 300"), "{said}");
}

#[test]
fn keys_that_are_wrong_are_told_apart() {
    if must_skip("wrong keys", &["kdig"]) {
        return;
    }
    let primary = start();
    let right = kdig(&primary, SECRET, KEY, &["+tcp", ZONE, "AXFR"]);
    assert!(right.contains("192.0.2.9"), "{right}");
    let unknown = kdig(&primary, SECRET, "other.test.", &["+tcp", ZONE, "AXFR"]);
    assert!(unknown.contains("NOTAUTH") || unknown.contains("BADKEY"), "{unknown}");
    let wrong = kdig(&primary, "d3Jvbmcgc2VjcmV0LCBidXQgbG9uZyBlbm91Z2ggZm9yIGl0", KEY, &["+tcp", ZONE, "AXFR"]);
    assert!(wrong.contains("NOTAUTH") || wrong.contains("BADSIG"), "{wrong}");
    for said in [&unknown, &wrong] {
        assert!(!said.contains("192.0.2"), "{said}");
    }
}

/// What kdig says with a key.
fn kdig(primary: &Primary, secret: &str, key: &str, arguments: &[&str]) -> String {
    let address = primary.address();
    let output = Command::new(program("kdig").expect("it was looked for"))
        .args([&format!("@{}", address.ip()), "-p", &address.port().to_string()])
        .args(["-y", &format!("hmac-sha256:{key}:{secret}")])
        .args(arguments)
        .output()
        .expect("kdig runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn two_transfers_and_queries_on_one_connection_are_answered_in_turn() {
    let text = (0..20_000).fold(SMALL.to_owned(), |text, number| text + &format!("h{number} 60 IN TXT {number}\n"));
    let primary = Primary::start(SHA256, &[(ZONE, text)]);
    let mut stream = connect(primary.address(), client::ALLOWED).expect("it listens");
    let soa = Query::new(&name(ZONE), SOA);
    let ask_soa = |stream: &mut std::net::TcpStream, id| stream.write_all(&framed(&soa.encode(id))).expect("it reads");
    ask_soa(&mut stream, 1);
    ask_whole(&mut stream, ZONE, 2);
    ask_soa(&mut stream, 3);
    ask_whole(&mut stream, ZONE, 4);
    ask_soa(&mut stream, 5);
    assert_eq!(read(&mut stream).id, 1);
    let first = read_whole(&mut stream, 2).expect("it may be had");
    assert_eq!(read(&mut stream).id, 3);
    let second = read_whole(&mut stream, 4).expect("it may be had");
    assert_eq!(read(&mut stream).id, 5);
    assert_eq!(first.len(), SMALL.lines().count() + 20_000);
    assert_eq!(first, second);
}

#[test]
fn a_version_that_is_not_kept_is_answered_with_the_whole_zone_and_a_current_one_with_its_soa() {
    let primary = start();
    for (serial, count) in [(0, SMALL.lines().count() + 1), (1, 1), (2, 1)] {
        let mut stream = connect(primary.address(), client::ALLOWED).expect("it listens");
        stream.write_all(&framed(&changes_since(ZONE, serial))).expect("it reads");
        let reply = read(&mut stream);
        assert_eq!((reply.rcode(), reply.sections[0].len()), (0, count), "since {serial}");
    }
}
