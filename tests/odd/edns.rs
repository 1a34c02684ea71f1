//! Odd OPT records, options and sizes (RFC 6891, RFC 5001, RFC 7828, RFC 7871, RFC 7873, RFC 8914).

use super::Site;
use super::common::ask;
use super::common::message::{Edns, IN, Message, Query, TC};
use super::common::name::name;
use super::common::server::IDENTITY;
use super::table::{BADVERS, Expected, FORMERR, REFUSED, Row, opt, packet, record, run};

/// The option of the server's name (RFC 5001).
const NSID: u16 = 3;
/// The client's subnet (RFC 7871).
const SUBNET: u16 = 8;
/// A cookie (RFC 7873).
const COOKIE: u16 = 10;
/// TCP keepalive (RFC 7828).
const KEEPALIVE: u16 = 11;
/// Padding (RFC 7830).
const PADDING: u16 = 12;
/// An extended error (RFC 8914).
const ERROR: u16 = 15;

/// `www.odd.test. A` with an OPT record.
fn with(edns: Edns) -> Query {
    Query::new(&name("www.odd.test."), 1).with_edns(edns)
}

#[test]
fn a_second_opt_and_one_in_the_wrong_place_are_malformed() {
    let one = opt(&Edns::new(1232, false));
    let two = [one.clone(), one.clone()].concat();
    let named = record(&name("x."), 41, 1232, &[]);
    let a = record(&name("x.odd.test."), 1, IN, &[192, 0, 2, 9]);
    let cut = record(&[0], 41, 1232, &[0, 3, 0, 9, 1]);
    let rows = [
        Row::new("one OPT", packet(0, [1, 0, 0, 1], &one), Expected::Answers(1)),
        Row::new(
            "OPT behind another record",
            packet(0, [1, 0, 0, 2], &[a.clone(), one.clone()].concat()),
            Expected::Answers(1),
        ),
        Row::new(
            "OPT in front of another record",
            packet(0, [1, 0, 0, 2], &[one.clone(), a].concat()),
            Expected::Answers(1),
        ),
        Row::new("two OPTs", packet(0, [1, 0, 0, 2], &two), Expected::Header(FORMERR)),
        Row::new("OPT in the answer section", packet(0, [1, 1, 0, 0], &one), Expected::Header(FORMERR)),
        Row::new("OPT in the authority section", packet(0, [1, 0, 1, 0], &one), Expected::Header(FORMERR)),
        Row::new("OPT with an owner", packet(0, [1, 0, 0, 1], &named), Expected::Header(FORMERR)),
        Row::new("an option that ends behind its record", packet(0, [1, 0, 0, 1], &cut), Expected::Header(FORMERR)),
    ];
    run("OPT", &rows);
}

#[test]
fn other_versions_get_ours() {
    let Some(site) = Site::start("EDNS versions", false) else { return };
    for version in [1_u32, 2, 100, 255] {
        for ttl in [version << 16, version << 16 | 0x8000] {
            let query = with(Edns { ttl, ..Edns::new(1232, false) });
            for reply in [ask::ask_udp(site.server.address, &query), ask::ask_tcp(site.server.address, &query)] {
                assert_eq!(reply.rcode(), BADVERS, "version {version}");
                let opt = reply.opt().expect("BADVERS needs an OPT record");
                assert_eq!(opt.ttl >> 16 & 0xFF, 0, "the version is the highest that we know (RFC 6891 §6.1.3)");
                assert!(reply.sections[0].is_empty() && reply.sections[1].is_empty());
            }
        }
    }
}

#[test]
fn flags_and_options_that_nobody_knows_are_ignored() {
    let Some(site) = Site::start("EDNS options", false) else { return };
    let plain = ask::ask_udp(site.server.address, &with(Edns::new(1232, false)));
    let subnet = [0, 1, 24, 0, 192, 0, 2];
    let odd = [
        ("flags", Edns { ttl: 0x7FFF, ..Edns::new(1232, false) }),
        ("extended RCODE", Edns { ttl: 0xFF00_0000, ..Edns::new(1232, false) }),
        ("option 65001", Edns::new(1232, false).with_option(65_001, b"whatever")),
        ("option 100, empty", Edns::new(1232, false).with_option(100, &[])),
        ("client subnet", Edns::new(1232, false).with_option(SUBNET, &subnet)),
        ("cookie", Edns::new(1232, false).with_option(COOKIE, b"8 octets")),
        ("cookie of a wrong length", Edns::new(1232, false).with_option(COOKIE, b"7 octet")),
        ("padding", Edns::new(1232, false).with_option(PADDING, &[0; 64])),
        ("the same option twice", Edns::new(1232, false).with_option(65_001, b"a").with_option(65_001, b"b")),
        ("a hundred options", (0..100).fold(Edns::new(1232, false), |edns, code| edns.with_option(40_000 + code, &[]))),
    ];
    for (title, edns) in odd {
        let reply = ask::ask_udp(site.server.address, &with(edns));
        assert_eq!(reply.rcode(), 0, "{title}");
        assert_eq!(reply.sets(), plain.sets(), "{title}");
        assert_eq!(reply.opt(), plain.opt(), "{title}: no flag and no option comes back");
    }
}

#[test]
fn do_comes_back_and_nothing_else_of_the_flags() {
    let Some(site) = Site::start("DO", false) else { return };
    let reply = ask::ask_udp(site.server.address, &with(Edns { ttl: 0xFFFF, ..Edns::new(1232, false) }));
    assert_eq!(reply.opt().expect("EDNS is answered with EDNS").ttl, 0x8000, "RFC 3225 §3, RFC 6891 §6.1.4");
    let reply = ask::ask_udp(site.server.address, &Query::new(&name("www.odd.test."), 1));
    assert!(reply.opt().is_none(), "no OPT where none was sent (RFC 6891 §7)");
}

#[test]
fn nsid_is_given_to_those_who_ask_and_hidden_where_it_is_to_be() {
    for (is_shy, expected) in [(false, Some(IDENTITY.as_bytes().to_vec())), (true, None)] {
        let Some(site) = Site::start("NSID", is_shy) else { return };
        let asks = with(Edns::new(1232, false).with_option(NSID, &[]));
        assert_eq!(ask::ask_udp(site.server.address, &asks).option(NSID), expected);
        assert_eq!(ask::ask_tcp(site.server.address, &asks).option(NSID), expected);
        assert_eq!(ask::ask_udp(site.server.address, &with(Edns::new(1232, false))).option(NSID), None);
    }
}

#[test]
fn keepalive_is_answered_over_tcp_only() {
    let Some(site) = Site::start("keepalive", false) else { return };
    let asks = with(Edns::new(1232, false).with_option(KEEPALIVE, &[]));
    assert_eq!(ask::ask_udp(site.server.address, &asks).option(KEEPALIVE), None, "RFC 7828 §3.2.1");
    let timeout = ask::ask_tcp(site.server.address, &asks).option(KEEPALIVE).expect("RFC 7828 §3.3.2");
    assert_eq!(timeout.len(), 2, "units of 100 ms in two octets");
    assert_eq!(ask::ask_tcp(site.server.address, &with(Edns::new(1232, false))).option(KEEPALIVE), None);
}

#[test]
fn an_extended_error_explains_a_refusal() {
    let Some(site) = Site::start("extended errors", false) else { return };
    let asks = |qname: &str, qtype: u16| Query::new(&name(qname), qtype).with_edns(Edns::new(1232, false));
    let stranger = ask::ask_udp(site.server.address, &asks("www.example.", 1));
    assert_eq!(stranger.rcode(), REFUSED);
    assert_eq!(stranger.option(ERROR).expect("RFC 8914 §4.21")[..2], [0, 20], "Not Authoritative");
    let transfer = ask::ask_tcp(site.server.address, &asks("odd.test.", 252));
    assert_eq!(transfer.rcode(), REFUSED);
    assert_eq!(transfer.option(ERROR).expect("RFC 8914 §4.19")[..2], [0, 18], "Prohibited");
    assert_eq!(ask::ask_udp(site.server.address, &asks("www.odd.test.", 1)).option(ERROR), None);
}

#[test]
fn udp_replies_keep_to_the_smaller_of_both_sizes() {
    let Some(site) = Site::start("sizes", false) else { return };
    let sizes = [
        (None, 512),
        (Some(0), 512),
        (Some(511), 512),
        (Some(512), 512),
        (Some(513), 513),
        (Some(1232), 1232),
        (Some(4096), 1232),
        (Some(65_535), 1232),
    ];
    for owner in ["www", "s512", "s1232", "s4096"] {
        let qname = name(&format!("{owner}.odd.test."));
        for (payload, limit) in sizes {
            let mut query = Query::new(&qname, 1);
            query.edns = payload.map(|payload| Edns::new(payload, false));
            let packet = ask::udp(site.server.address, &query.encode(5)).expect("a reply");
            let reply = Message::parse(&packet).expect("a message");
            let full = ask::ask_tcp(site.server.address, &query);
            assert!(packet.len() <= limit, "{query}: {} octets", packet.len());
            assert!(!full.has(TC), "{query}: TC over TCP");
            assert_eq!(reply.has(TC), full.bytes > limit, "{query}: the full reply has {} octets", full.bytes);
            if reply.has(TC) {
                assert!(reply.sections[0].is_empty(), "{query}: a part of an RRset (RFC 2181 §9)");
            } else {
                assert_eq!(reply.sets(), full.sets(), "{query}");
            }
        }
    }
}
