//! Queries that are signed with a key that nobody here knows (RFC 8945 §5.2).

use super::{Ask, corners, send};
use crate::answer::Transport;
use crate::wire::message::{Header, flag};
use crate::wire::{Class, Name};

/// Octets of a name.
fn name(text: &str) -> Vec<u8> {
    text.parse::<Name>().expect("a good name").as_ref().as_bytes().to_vec()
}

/// A TSIG record: its owner and class as given, and behind the algorithm all that `change` leaves.
fn tsig(key: &[u8], algorithm: &str, class: Class, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut rdata = name(algorithm);
    rdata.extend_from_slice(b"\0\0\x65\x53\xF1\0\x01\x2C\0\x04MAC!\x43\x21\0\0\0\0");
    change(&mut rdata);
    let [length, class] = [rdata.len() as u16, class.0].map(u16::to_be_bytes);
    [key, &[0, 250], &class, &[0; 4], &length, &rdata].concat()
}

/// A good one, as far as that can be said.
fn good() -> Vec<u8> {
    tsig(&name("Key.test."), "hmac-sha256.", Class::ANY, |_| ())
}

/// A query with so many records behind the question in each section.
fn query(ask: Ask<'_>, records: &[u8], counts: [u8; 3]) -> Vec<u8> {
    let mut message = ask.message();
    for (at, count) in [7, 9, 11].into_iter().zip(counts) {
        message[at] += count;
    }
    message.extend_from_slice(records);
    message
}

/// RCODE, counts, and what stands behind the question.
fn refusal(query: &[u8], transport: Transport) -> (u16, [u16; 4], Vec<u8>) {
    let reply = send(&corners(), query, transport).expect("a reply");
    let header = Header::read(&reply).expect("whole");
    assert_eq!(header.flags & (flag::AA | flag::TC), 0);
    let question = reply.len().min(12 + name("www.example.").len() + 4);
    (header.flags & 0xF, header.counts, reply[question..].to_vec())
}

#[test]
fn a_key_that_nobody_knows_is_refused_unsigned() {
    let mut expected = tsig(&name("Key.test."), "hmac-sha256.", Class::ANY, |rdata| {
        let mac = rdata.len() - 10 - 2;
        rdata.splice(mac..mac + 6, [0; 2]);
        let error = rdata.len() - 4;
        rdata[error - 2..error + 2].copy_from_slice(&[0x12, 0x34, 0, 17]);
    });
    for transport in [Transport::Udp, Transport::Tcp] {
        let plain = refusal(&query(Ask::new("www.example. A"), &good(), [0, 0, 1]), transport);
        assert_eq!(plain, (9, [1, 0, 0, 1], expected.clone()));
    }
    let with_edns = query(Ask::new("www.example. A").with_do(), &good(), [0, 0, 1]);
    let (rcode, counts, records) = refusal(&with_edns, Transport::Udp);
    assert_eq!((rcode, counts), (9, [1, 0, 0, 2]));
    assert_eq!(records, [b"\0\0\x29\x10\0\0\0\x80\0\0\0".to_vec(), expected.clone()].concat(), "TSIG stands last");
    for question in ["www.example. AXFR", "www.nowhere. A"] {
        let reply = send(&corners(), &query(Ask::new(question), &good(), [0, 0, 1]), Transport::Udp).expect("a reply");
        assert_eq!(reply[3] & 0xF, 9, "{question}");
    }
    // The names in it may be compressed; the reply has them in full.
    let question = name("www.example.").len();
    expected.splice(..name("Key.test.").len(), name("www.example."));
    let compressed =
        query(Ask::new("www.example. A"), &tsig(&[0xC0, 12], "hmac-sha256.", Class::ANY, |_| ()), [0, 0, 1]);
    assert_eq!(refusal(&compressed, Transport::Udp).2, expected, "{question}");
}

#[test]
fn tsig_that_is_malformed_or_not_last_is_a_format_error() {
    let a = [&name("x.example.")[..], &[0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]].concat();
    let opt = [0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0];
    let (good, key) = (good(), name("key."));
    let odd = |change: fn(&mut Vec<u8>)| tsig(&key, "hmac-sha256.", Class::ANY, change);
    let ask = Ask::new("www.example. A");
    let mut rows = vec![
        ("twice", query(ask, &[&good[..], &good].concat(), [0, 0, 2])),
        ("in front of OPT", query(ask, &[&good[..], &opt].concat(), [0, 0, 2])),
        ("in front of a record", query(ask, &[&good[..], &a].concat(), [0, 0, 2])),
        ("in the answer section", query(ask, &good, [1, 0, 0])),
        ("in the authority section", query(ask, &good, [0, 1, 0])),
        ("of class IN", query(ask, &tsig(&key, "hmac-sha256.", Class::IN, |_| ()), [0, 0, 1])),
        ("with too long a MAC", query(ask, &odd(|rdata| rdata[13 + 9] += 1), [0, 0, 1])),
        ("with too much other data", query(ask, &odd(|rdata| *rdata.last_mut().expect("data") = 1), [0, 0, 1])),
        ("with octets behind its fields", query(ask, &odd(|rdata| rdata.push(0)), [0, 0, 1])),
        ("without fields", query(ask, &odd(|rdata| rdata.truncate(13)), [0, 0, 1])),
        ("without RDATA", query(ask, &odd(Vec::clear), [0, 0, 1])),
        ("without a name", query(ask, &tsig(&[0], ".", Class::ANY, Vec::clear), [0, 0, 1])),
    ];
    let whole = query(ask, &good, [0, 0, 1]);
    rows.extend((1..good.len()).map(|cut| ("cut short", whole[..whole.len() - cut].to_vec())));
    for (title, query) in rows {
        let reply = send(&corners(), &query, Transport::Udp).expect("a reply");
        assert_eq!((reply[3] & 0xF, reply.len()), (1, 12), "{title}");
    }
    let root = refusal(&query(ask, &tsig(&[0], ".", Class::ANY, |_| ()), [0, 0, 1]), Transport::Udp);
    assert_eq!(root.0, 9, "the root is a name");
}

#[test]
fn a_refusal_without_room_for_its_reason_is_truncated() {
    let label = "k".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.", &label[..60]);
    let ask = Ask::new("www.example. A");
    let query = query(ask, &tsig(&name(&long), &long, Class::ANY, |_| ()), [0, 0, 1]);
    let udp = send(&corners(), &query, Transport::Udp).expect("a reply");
    assert_eq!((udp[3] & 0xF, udp[2] & 2, udp.len()), (9, 2, ask.message().len()), "TC, and no more than the question");
    let tcp = send(&corners(), &query, Transport::Tcp).expect("a reply");
    assert_eq!((tcp[3] & 0xF, tcp[2] & 2, tcp[11]), (9, 0, 1));
}

#[test]
fn an_unknown_version_of_edns_is_answered_first() {
    let mut query = query(Ask { edns: Some((1232, false)), ..Ask::new("www.example. A") }, &[], [0; 3]);
    let version = query.len() - 5;
    query[version] = 1;
    query[11] = 2;
    query.extend(good());
    let reply = send(&corners(), &query, Transport::Udp).expect("a reply");
    assert!(reply.ends_with(b"\0\0\x29\x10\0\x01\0\0\0\0\0"), "BADVERS as Knot and BIND have it: {reply:x?}");
}
