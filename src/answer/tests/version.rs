//! The version of the zone that answers (RFC 9660).

use super::{Ask, Class, Transport, ask, corners, send, snapshot};

/// An empty ZONEVERSION option.
const WANTED: &[u8] = &[0, 19, 0, 0];

/// LABELCOUNT, TYPE and VERSION in the reply to a question that asks for the version, and the RCODE.
fn version(ask: Ask<'_>, transport: Transport) -> (u8, Option<[u8; 6]>) {
    let zones = [
        ("example.", "cut NS ns.cut\nns.cut A 192.0.2.9\n*.wild TXT x\nalias CNAME www.other.test.\nsub NS ns"),
        ("sub.example.", "www A 192.0.2.2"),
        ("other.test.", "www A 192.0.2.3"),
    ];
    let ask = Ask { edns: ask.edns.or(Some((1232, false))), options: WANTED, ..ask };
    let reply = send(&snapshot(&zones), &ask.message(), transport).expect("a reply");
    let at = reply.windows(4).position(|window| window == [0, 19, 0, 6]);
    (reply[3] & 0xF, at.and_then(|at| reply[at + 4..].first_chunk().copied()))
}

#[test]
fn the_zone_that_answers_refers_or_denies_is_the_one_of_the_version() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for (question, rcode, labels) in [
            ("example. SOA", 0, 1),
            ("ns.example. A", 0, 1),
            ("ns.example. MX", 0, 1),
            ("nowhere.example. A", 3, 1),
            ("a.wild.example. TXT", 0, 1),
            ("www.cut.example. A", 0, 1),
            ("www.sub.example. A", 0, 2),
            ("sub.example. DS", 0, 1),
            ("alias.example. A", 0, 1),
        ] {
            assert_eq!(version(Ask::new(question), transport), (rcode, Some([labels, 0, 0, 0, 0, 1])), "{question}");
        }
        assert_eq!(version(Ask::new("www.nowhere. A"), transport), (5, None), "no zone, no version");
        let chaos = Ask { class: Class::CH, ..Ask::new("id.server. TXT") };
        assert_eq!(version(chaos, transport), (0, None));
    }
}

#[test]
fn the_rest_of_the_answer_is_as_without_it() {
    let plain = Ask { edns: Some((1232, true)), ..Ask::new("www.example. A") };
    let snapshot = corners();
    assert_eq!(ask(&snapshot, Ask { options: WANTED, ..plain }), ask(&snapshot, plain));
    let reply = |options| send(&snapshot, &Ask { options, ..plain }.message(), Transport::Udp).expect("a reply");
    let (with, without) = (reply(WANTED), reply(&[]));
    assert_eq!(with[..without.len() - 2], without[..without.len() - 2]);
    assert_eq!(with[without.len() - 2..], *b"\0\x0A\0\x13\0\x06\x01\0\0\0\0\x01");
}

#[test]
fn data_that_come_with_the_question_mean_nothing() {
    let snapshot = corners();
    let reply = |options| {
        let message = Ask { edns: Some((1232, false)), options, ..Ask::new("www.example. A") }.message();
        send(&snapshot, &message, Transport::Udp).expect("a reply")
    };
    for options in [&[0, 19, 0, 1, 0][..], &[0, 19, 0, 6, 9, 0, 9, 9, 9, 9], &[0, 19, 0, 1, 0, 0, 19, 0, 0]] {
        assert_eq!(reply(options), reply(WANTED), "{options:?}");
    }
    // In an unknown version of EDNS an option means nothing.
    let mut message = Ask { edns: Some((1232, false)), options: WANTED, ..Ask::new("www.example. A") }.message();
    let version_at = message.len() - WANTED.len() - 5;
    message[version_at] = 1;
    let reply = send(&snapshot, &message, Transport::Udp).expect("a reply");
    assert!(reply.ends_with(b"\0\0\x29\x10\x00\x01\0\0\0\0\0"), "BADVERS alone: {reply:x?}");
}
