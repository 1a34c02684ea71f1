//! Odd headers, questions and records.

use super::common::ask;
use super::common::message::{AA, AD, CD, Edns, IN, Message, Query, RD, TC, Z, header};
use super::common::name::name;
use super::table::{
    Expected, FORMERR, NOTAUTH, NOTIMP, NXDOMAIN, REFUSED, Row, opt, packet, query, question, record, run, sentinel,
};
use super::{Site, common};

/// CLASS CH.
const CH: u16 = 3;
/// CLASS HS.
const HS: u16 = 4;
/// CLASS ANY.
const ANY: u16 = 255;

#[test]
fn opcodes_other_than_query_are_not_implemented() {
    let mut rows = Vec::new();
    const NOTIFY: u16 = 4;
    for opcode in (1..16).filter(|opcode| *opcode != NOTIFY) {
        rows.push(Row::new(
            "an opcode that is not QUERY",
            packet(opcode << 11, [1, 0, 0, 0], &[]),
            Expected::Header(NOTIMP),
        ));
        rows.push(Row::new("the same without a question", header(1, opcode << 11, [0; 4]), Expected::Header(NOTIMP)));
        let rest = opt(&Edns::new(1232, true));
        rows.push(Row::new("the same with EDNS", packet(opcode << 11, [1, 0, 0, 1], &rest), Expected::Header(NOTIMP)));
    }
    let soa = question("odd.test.", 6, IN);
    // NOTIFY (RFC 1996) is known, and refused where nobody may send it.
    let notify = |question: &[u8]| [&header(2, NOTIFY << 11 | AA, [1, 0, 0, 0])[..], question].concat();
    rows.push(Row::new("NOTIFY from a stranger", notify(&soa), Expected::Bare(REFUSED)));
    let elsewhere = question("example.", 6, IN);
    rows.push(Row::new("NOTIFY of no zone", notify(&elsewhere), Expected::Bare(NOTAUTH)));
    rows.push(Row::new("NOTIFY of another type", notify(&question("odd.test.", 1, IN)), Expected::Bare(NOTIMP)));
    rows.push(Row::new("NOTIFY of nothing", header(1, NOTIFY << 11, [0; 4]), Expected::Header(FORMERR)));
    let update = [header(3, 5 << 11, [1, 0, 1, 0]), soa, record(&name("x.odd.test."), 1, IN, &[192, 0, 2, 9])].concat();
    rows.push(Row::new("UPDATE (RFC 2136)", update, Expected::Header(NOTIMP)));
    run("opcodes", &rows);
}

#[test]
fn responses_and_short_packets_get_no_reply() {
    let whole = packet(0, [1, 0, 0, 0], &[]);
    let mut rows: Vec<Row> =
        (1..12).map(|length| Row::new("shorter than a header", whole[..length].to_vec(), Expected::Silence)).collect();
    rows.push(Row::new("a response", packet(0x8000, [1, 0, 0, 0], &[]), Expected::Silence));
    rows.push(Row::new("a response with AA and an RCODE", packet(0x8403, [1, 0, 0, 0], &[]), Expected::Silence));
    rows.push(Row::new("a response of another opcode", packet(0xA000, [1, 0, 0, 0], &[]), Expected::Silence));
    rows.push(Row::new("a response without a question", header(1, 0x8000, [0; 4]), Expected::Silence));
    let Some(site) = Site::start("responses", false) else { return };
    for row in &rows {
        let replies = ask::udp_before(site.server.address, &row.packet, &sentinel());
        assert!(replies.is_empty(), "{}: {replies:02x?}", row.title);
    }
}

#[test]
fn questions_are_counted_and_checked() {
    let twice = [packet(0, [2, 0, 0, 0], &[]), question("txt.odd.test.", 16, IN)].concat();
    let whole = packet(0, [1, 0, 0, 0], &[]);
    let odd = |labels: &[u8]| [header(7, 0, [1, 0, 0, 0]), labels.to_vec(), vec![0, 1, 0, 1]].concat();
    let long = [&[63][..], &[b'a'; 63]].concat();
    let mut rows = vec![
        Row::new("QDCOUNT 0 (RFC 9619)", header(4, 0, [0; 4]), Expected::Header(FORMERR)),
        Row::new(
            "QDCOUNT 0 with EDNS",
            [header(4, 0, [0, 0, 0, 1]), opt(&Edns::new(1232, false))].concat(),
            Expected::Header(FORMERR),
        ),
        Row::new("QDCOUNT 2", twice, Expected::Header(FORMERR)),
        Row::new("QDCOUNT 65535", packet(0, [65_535, 0, 0, 0], &[]), Expected::Header(FORMERR)),
        Row::new("one question counted, none there", header(4, 0, [1, 0, 0, 0]), Expected::Header(FORMERR)),
        Row::new("label type 01", odd(&[0x41, 1, 2, 0]), Expected::Header(FORMERR)),
        Row::new("label type 10", odd(&[0x80, 1, 2, 0]), Expected::Header(FORMERR)),
        Row::new("QNAME is a pointer to itself", odd(&[0xC0, 12]), Expected::Header(FORMERR)),
        Row::new("QNAME points forward", odd(&[0xC0, 20]), Expected::Header(FORMERR)),
        Row::new("QNAME points into the header", odd(&[0xC0, 0]), Expected::Header(FORMERR)),
        Row::new(
            "QNAME over 255 octets",
            odd(&[long.clone(), long.clone(), long.clone(), long, vec![0]].concat()),
            Expected::Header(FORMERR),
        ),
    ];
    for length in 13..whole.len() {
        rows.push(Row::new("a question cut short", whole[..length].to_vec(), Expected::Header(FORMERR)));
    }
    run("questions", &rows);
}

#[test]
fn classes_other_than_in_are_told_apart() {
    let rows = [
        Row::new("CLASS CH, a name of the zone", query("www.odd.test.", 1, CH), Expected::Bare(REFUSED)),
        Row::new("CLASS HS", query("www.odd.test.", 1, HS), Expected::Bare(REFUSED)),
        Row::new("CLASS NONE", query("www.odd.test.", 1, 254), Expected::Bare(REFUSED)),
        Row::new("CLASS 0", query("www.odd.test.", 1, 0), Expected::Bare(REFUSED)),
        Row::new("CLASS 65280", query("www.odd.test.", 1, 0xFF00), Expected::Bare(REFUSED)),
        Row::new("CLASS ANY", query("www.odd.test.", 1, ANY), Expected::Answers(1)),
        Row::new("a name of no zone", query("www.example.", 1, IN), Expected::Bare(REFUSED)),
        Row::new("the root", query(".", 2, IN), Expected::Bare(REFUSED)),
    ];
    run("classes", &rows);
    let Some(site) = Site::start("class ANY", false) else { return };
    let reply = Message::parse(&ask::udp(site.server.address, &query("www.odd.test.", 1, ANY)).expect("a reply"));
    assert!(!reply.expect("a message").has(AA), "QCLASS ANY is never authoritative (RFC 1035 §6.2)");
}

#[test]
fn types_that_are_no_data_are_answered_like_any_other() {
    let mut rows = Vec::new();
    // 41 is OPT, 249 TKEY, 250 TSIG, 253 MAILB, 254 MAILA, 128 to 250 are the range of meta types (RFC 6895 §3.1).
    for rtype in [0, 41, 128, 200, 249, 250, 253, 254, 256, 32_768, 65_280, 65_535] {
        rows.push(Row::new("a type without data", query("www.odd.test.", rtype, IN), Expected::Negative(0)));
        rows.push(Row::new("the same at no name", query("no.odd.test.", rtype, IN), Expected::Negative(NXDOMAIN)));
        rows.push(Row::new("the same at an empty name", query("b.odd.test.", rtype, IN), Expected::Negative(0)));
    }
    run("types", &rows);
}

#[test]
fn transfers_are_refused() {
    let ixfr = [
        header(9, 0, [1, 0, 1, 0]),
        question("odd.test.", 251, IN),
        record(&name("odd.test."), 6, IN, &[&name(".")[..], &name("."), &[0; 20]].concat()),
    ];
    let rows = [
        // RFC 5936 §4.2 leaves AXFR over UDP undefined.
        Row::new("AXFR", query("odd.test.", 252, IN), Expected::Bare(FORMERR)).over_tcp(Expected::Bare(REFUSED)),
        Row::new("AXFR of a name below", query("www.odd.test.", 252, IN), Expected::Bare(FORMERR))
            .over_tcp(Expected::Bare(NOTAUTH)),
        Row::new("AXFR of no zone", query("example.", 252, IN), Expected::Bare(FORMERR))
            .over_tcp(Expected::Bare(NOTAUTH)),
        Row::new("IXFR", ixfr.concat(), Expected::Bare(REFUSED)),
        Row::new("IXFR without a SOA", query("odd.test.", 251, IN), Expected::Bare(FORMERR)),
    ];
    run("transfers", &rows);
}

#[test]
fn records_that_a_query_need_not_have_do_no_harm() {
    let a = record(&name("x.odd.test."), 1, IN, &[192, 0, 2, 9]);
    let cut = &a[..a.len() - 1];
    let pointer = record(&[0xC0, 12], 1, IN, &[192, 0, 2, 9]);
    let tsig = record(&name("key."), 250, 255, &[&name("hmac-sha256.")[..], &[0; 16]].concat());
    let rows = [
        Row::new(
            "TSIG of a key that nobody knows (RFC 8945 §5.2.1)",
            packet(0, [1, 0, 0, 1], &tsig),
            Expected::Bare(9),
        ),
        Row::new("octets behind the message", packet(0, [1, 0, 0, 0], b"trailing"), Expected::Answers(1)),
        Row::new("a record in the answer section", packet(0, [1, 1, 0, 0], &a), Expected::Answers(1)),
        Row::new("a record in the authority section", packet(0, [1, 0, 1, 0], &a), Expected::Answers(1)),
        Row::new("a record in the additional section", packet(0, [1, 0, 0, 1], &a), Expected::Answers(1)),
        Row::new("a record with a pointer", packet(0, [1, 0, 0, 1], &pointer), Expected::Answers(1)),
        Row::new("a record cut short", packet(0, [1, 0, 0, 1], cut), Expected::Header(FORMERR)),
        Row::new("a record counted but not there", packet(0, [1, 0, 0, 1], &[]), Expected::Header(FORMERR)),
        Row::new("an answer counted but not there", packet(0, [1, 1, 0, 0], &[]), Expected::Header(FORMERR)),
        Row::new("65,535 records counted", packet(0, [1, 0, 0, 65_535], &a), Expected::Header(FORMERR)),
    ];
    run("records", &rows);
}

#[test]
fn flags_of_a_query_do_not_become_ours() {
    let mut rows = Vec::new();
    for flags in [RD, AD, CD, Z, TC, AA, 0x0080, RD | AD | CD | Z, 0x000F, 0x0003] {
        rows.push(Row::new("flags that a query may hold", packet(flags, [1, 0, 0, 0], &[]), Expected::Answers(1)));
        let edns = opt(&Edns::new(1232, true));
        rows.push(Row::new("the same with EDNS", packet(flags, [1, 0, 0, 1], &edns), Expected::Answers(1)));
    }
    run("flags", &rows);
}

#[test]
fn letter_case_of_the_question_and_of_the_data_is_kept() {
    let Some(site) = Site::start("letter case", false) else { return };
    for asked in ["wWw.OdD.tEsT.", "www.odd.test.", "WWW.ODD.TEST."] {
        for reply in [
            ask::ask_udp(site.server.address, &Query::new(&name(asked), 1)),
            ask::ask_tcp(site.server.address, &Query::new(&name(asked), 1)),
        ] {
            assert_eq!(reply.questions[0].qname, name(asked), "0x20 letters of the question come back");
            assert_eq!(reply.sections[0][0].owner, name(asked), "and as the owner of the answer");
        }
    }
    if site.server.kind == common::server::Kind::Fated {
        let reply = ask::ask_udp(site.server.address, &Query::new(&name("alias.odd.test."), 1));
        assert_eq!(reply.sections[0][0].rdata, name("WwW.odd.test."), "the zone file's letters are kept in RDATA");
        assert_eq!(reply.sections[0][1].owner, name("WwW.odd.test."), "and in the owner that they lead to");
    }
}

#[test]
fn a_stream_carries_on_behind_every_odd_packet() {
    let Some(site) = Site::start("streams", false) else { return };
    let rows = [packet(0, [2, 0, 0, 0], &[]), packet(0x0800, [1, 0, 0, 0], &[]), packet(0, [1, 0, 0, 9], &[])];
    let mut stream = ask::tcp_stream(site.server.address).expect("the server takes streams");
    for (index, row) in rows.iter().enumerate() {
        let next = sentinel().encode(index as u16);
        std::io::Write::write_all(&mut stream, &[ask::framed(row), ask::framed(&next)].concat()).expect("it is read");
        let mut ids = [0; 2].map(|_| ask::read_framed(&mut stream).expect("two replies")[..2].to_vec());
        ids.sort();
        let mut expected = [row[..2].to_vec(), next[..2].to_vec()];
        expected.sort();
        assert_eq!(ids, expected);
    }
}
