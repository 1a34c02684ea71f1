//! Messages as tables, cut and bent; probes and rounds against services of the tests, over loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::asn1::{
    ENUMERATED, GENERAL_STRING, GENERALIZED_TIME, INTEGER, OCTET_STRING, SEQUENCE, context, expect, integer, number,
    take, value,
};
use super::ldap::Reply;
use super::*;
use crate::policy::{Observation, Proof};

/// How long a probe of these tests may take.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Where their services are.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn integers_are_written_as_short_as_they_are_and_read_back() {
    let table: [(u32, &[u8]); 7] = [
        (0, &[2, 1, 0]),
        (5, &[2, 1, 5]),
        (127, &[2, 1, 127]),
        (128, &[2, 2, 0, 128]),
        (0x1234, &[2, 2, 0x12, 0x34]),
        (0x7FFF_FFFF, &[2, 4, 0x7F, 0xFF, 0xFF, 0xFF]),
        (0x8000_0000, &[2, 5, 0, 0x80, 0, 0, 0]),
    ];
    for (wanted, octets) in table {
        assert_eq!(integer(wanted), octets);
        let read = expect(&mut &octets[..], INTEGER).and_then(number);
        assert_eq!(read, i32::try_from(wanted).ok(), "{octets:?}");
    }
    assert_eq!((number(&[0xFF]), number(&[0xFF, 0x7F]), number(&[])), (Some(-1), Some(-129), None));
}

#[test]
fn values_of_any_length_are_read_back_and_a_cut_one_is_none() {
    for length in [0, 1, 127, 128, 255, 256, 70_000] {
        let content = vec![0x55; length];
        let written = value(OCTET_STRING, &[&content]);
        let mut rest = &[&written[..], &[9]].concat()[..];
        assert_eq!(take(&mut rest), Some((OCTET_STRING, &content[..])), "{length}");
        assert_eq!(rest, [9]);
        assert!(take(&mut &written[..written.len() - 1]).is_none(), "{length}");
    }
    // A length that goes on for ever, one of too many octets, a tag of several octets.
    for octets in [&[4, 0x80, 0, 0][..], &[4, 0x85, 0, 0, 0, 0, 0], &[0x1F, 1, 0], &[4, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]] {
        assert!(take(&mut &octets[..]).is_none(), "{octets:?}");
    }
}

/// An error of a KDC: its fields by number.
fn krb_error(leave_out: Option<u8>, version: u32) -> Vec<u8> {
    let time = value(GENERALIZED_TIME, &[b"20260101000000Z"]);
    let name = value(SEQUENCE, &[&context(0, &integer(2)), &context(1, &value(SEQUENCE, &[]))]);
    let realm = value(GENERAL_STRING, &[b"EXAMPLE.COM"]);
    let fields =
        [(0, integer(version)), (1, integer(30)), (4, time), (5, integer(1)), (6, integer(6)), (9, realm), (10, name)];
    let kept = fields.iter().filter(|(number, _)| leave_out != Some(*number));
    let fields: Vec<u8> = kept.flat_map(|(number, field)| context(*number, field)).collect();
    value(0x7E, &[&value(SEQUENCE, &[&fields])])
}

#[test]
fn a_well_formed_error_of_a_kdc_is_a_reply_and_no_part_or_bend_of_one_is() {
    let whole = krb_error(None, 5);
    assert!(kerberos::is_reply(&whole));
    for length in 0..whole.len() {
        assert!(!kerberos::is_reply(&whole[..length]), "cut after {length}");
    }
    assert!(!kerberos::is_reply(&[&whole[..], &[0]].concat()), "something stands behind it");
    assert!(!kerberos::is_reply(&krb_error(None, 4)), "another version");
    for field in [0, 1, 4, 5, 6, 9, 10] {
        assert!(!kerberos::is_reply(&krb_error(Some(field), 5)), "without {field}");
    }
    let mut other = whole.clone();
    other[0] = 0x7D;
    assert!(!kerberos::is_reply(&other) && !kerberos::is_reply(&kerberos::request("R", "p", 1)));
}

#[test]
fn a_request_to_a_kdc_names_realm_principal_and_service() {
    let request = kerberos::request("EXAMPLE.COM", "fated", 0xFFFF_FFFF);
    let mut outer = expect(&mut &request[..], 0x6A).expect("an AS-REQ");
    let mut fields = expect(&mut outer, SEQUENCE).expect("its fields");
    let read =
        |fields: &mut &[u8], tag| expect(fields, tag).and_then(|mut field| take(&mut field).map(|(_, of)| of.to_vec()));
    assert_eq!((read(&mut fields, 0xA1), read(&mut fields, 0xA2)), (Some(vec![5]), Some(vec![10])));
    let body = read(&mut fields, 0xA4).expect("a body");
    let has = |text: &[u8]| body.windows(text.len()).filter(|window| *window == text).count();
    assert_eq!((has(b"EXAMPLE.COM"), has(b"fated"), has(b"krbtgt")), (2, 1, 1));
    assert_eq!(has(&context(7, &integer(0x7FFF_FFFF))), 1, "the nonce fits 32 bits with a sign");
}

/// A message of a directory.
fn ldap_message(id: u32, operation: u8, parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, &[&integer(id), &value(operation, parts)])
}

#[test]
fn a_root_dse_is_an_entry_and_its_end_and_whatever_comes_before_is_unfinished() {
    let result =
        |code: u8| [value(ENUMERATED, &[&[code]]), value(OCTET_STRING, &[]), value(OCTET_STRING, &[])].concat();
    let entry = ldap_message(2, 0x64, &[&value(OCTET_STRING, &[]), &value(SEQUENCE, &[])]);
    let done = |code| ldap_message(2, 0x65, &[&result(code)]);
    let whole = [&entry[..], &done(0)].concat();
    assert_eq!(ldap::search_reply(&whole), Reply::Right);
    for length in 0..whole.len() {
        assert_eq!(ldap::search_reply(&whole[..length]), Reply::Unfinished, "cut after {length}");
    }
    let table = [
        ([&entry[..], &done(52)].concat(), Reply::Refused(52)),
        (done(0), Reply::Odd),
        (ldap_message(3, 0x64, &[]), Reply::Odd),
        (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), Reply::Odd),
        (vec![0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF], Reply::Odd),
    ];
    for (octets, wanted) in table {
        assert_eq!(ldap::search_reply(&octets), wanted, "{octets:02x?}");
    }
    assert_eq!(ldap::start_tls_reply(&ldap_message(1, 0x78, &[&result(0)])), Reply::Right);
    assert_eq!(ldap::start_tls_reply(&ldap_message(1, 0x78, &[&result(2)])), Reply::Refused(2));
    assert_eq!(ldap::start_tls_reply(&done(0)), Reply::Odd);
}

#[test]
fn a_page_has_a_status_and_its_text_stands_behind_the_head() {
    let table: [(&[u8], Option<u16>); 8] = [
        (b"HTTP/1.1 200 OK\r\n\r\n", Some(200)),
        (b"HTTP/1.0 503 \r\n", Some(503)),
        (b"HTTP/1.1 204\r\n", Some(204)),
        (b"HTTP/1.1 2000 OK", None),
        (b"HTTP/1.1 20", None),
        (b"HTTP/2 200 OK", None),
        (b"SSH-2.0-OpenSSH", None),
        (b"", None),
    ];
    for (reply, wanted) in table {
        assert_eq!(http::status(reply), wanted, "{}", reply.escape_ascii());
    }
    let page = b"HTTP/1.1 200 OK\r\nServer: text\r\n\r\nhere it is";
    assert!(http::has_text(page, "here it") && http::has_text(page, "is"));
    assert!(!http::has_text(page, "Server") && !http::has_text(b"HTTP/1.1 200 OK", "OK"));
}

/// A server that says this to each client; returns its port.
fn server(says: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(says);
        }
    });
    port
}

/// A probe of a page.
fn page(port: u16, status: u16, text: Option<&str>) -> Probe {
    let text = text.map(str::to_owned);
    Probe::Http { port, host: "a".to_owned(), path: "/".to_owned(), status, text }
}

#[test]
fn who_answers_right_is_proven_who_answers_otherwise_is_wrong_and_who_does_not_is_late() {
    let port = server(b"HTTP/1.0 200 OK\r\n\r\nthe page");
    let silent = TcpListener::bind((HERE, 0)).expect("a port");
    let silent = silent.local_addr().map(|at| (silent, at.port())).expect("an address");
    let closed = TcpListener::bind((HERE, 0)).expect("a port").local_addr().expect("an address").port();
    let table = [
        (Probe::Tcp { port }, Some(true)),
        (page(port, 200, Some("the page")), Some(true)),
        (page(port, 404, None), Some(false)),
        (page(port, 200, Some("another page")), Some(false)),
        (Probe::Ldap { port, tls: None }, Some(false)),
        (Probe::Tcp { port: closed }, None),
        (page(silent.1, 200, None), None),
        (Probe::Kerberos { port: closed, realm: "R".into(), principal: "p".into() }, None),
        (Probe::Dns { port: closed, name: ".".into(), rtype: "NS".into() }, None),
    ];
    for (probe, wanted) in table {
        let start = Instant::now();
        let got = match ask(&probe, HERE, TIMEOUT) {
            Ok(()) => Some(true),
            Err(fault) => fault.is_wrong().then_some(false),
        };
        assert_eq!(got, wanted, "{probe:?}");
        assert!(start.elapsed() < TIMEOUT * 2, "{probe:?} took {:?}", start.elapsed());
    }
}

#[test]
fn a_command_is_judged_by_its_end_and_killed_with_all_that_it_started_where_it_has_none() {
    let shell = |script: &str| Probe::Command { words: ["sh", "-c", script].map(str::to_owned).to_vec() };
    assert!(ask(&shell("test $FATED_ADDRESS = 127.0.0.1"), HERE, TIMEOUT * 4).is_ok());
    assert!(ask(&shell("exit 3"), HERE, TIMEOUT * 4).is_err_and(|fault| fault.is_wrong()));
    let missing = Probe::Command { words: vec!["/nonexistent/program".to_owned()] };
    assert!(ask(&missing, HERE, TIMEOUT).is_err_and(|fault| !fault.is_wrong()));
    let start = Instant::now();
    let late = ask(&shell("sleep 60 & sleep 60"), HERE, TIMEOUT);
    assert!(matches!(late, Err(Fault::Late)) && start.elapsed() < TIMEOUT * 3, "{late:?}");
}

#[test]
fn each_round_says_what_each_address_did_and_proves_who_answered() {
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let settings = ProberSettings {
        name: "test".to_owned(),
        addresses: vec![HERE, "127.0.0.2".parse().expect("an address")],
        probe: Probe::Tcp { port },
        interval: Duration::from_millis(20),
        timeout: TIMEOUT,
    };
    let (proof, origin) = (Arc::new(Proof::new(2)), Instant::now());
    let (sender, rounds) = mpsc::channel::<Vec<Observation>>();
    let sender = Mutex::new(sender);
    let on_round: OnRound = Box::new(move |_, seen| drop(sender.lock().expect("one thread").send(seen.to_vec())));
    let prober = Prober::start(settings, Arc::clone(&proof), origin, on_round).expect("threads");
    let judged = |proven, late| Observation { proven, late, is_judged: true, ..Observation::NOTHING };
    for _ in 0..3 {
        let seen = rounds.recv_timeout(TIMEOUT * 4).expect("a round");
        assert_eq!(seen, [judged(1, 0), judged(0, 1)]);
    }
    assert!(proof.last(0).is_some_and(|at| at <= origin.elapsed()) && proof.last(1).is_none());
    let report = prober.report();
    assert!(report[0].is_none() && report[1].as_ref().is_some_and(|fault| fault.contains("refused")), "{report:?}");
    drop(prober);
    assert!(rounds.iter().count() < 100, "it has ended");
}
