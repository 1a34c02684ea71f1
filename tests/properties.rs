//! Properties: replies are what a slow model of RFC 1034 §4.3.2 says, for random zones and random questions; and no
//! octets, random or nearly right, break a promise of the fuzz targets.

#[allow(unreachable_pub)] // For the fuzz targets it is a crate of its own.
#[path = "../fuzz/src/bodies.rs"]
mod bodies;
mod common;
#[path = "properties/fit.rs"]
mod fit;
#[path = "properties/model.rs"]
mod model;
#[path = "properties/zones.rs"]
mod zones;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use common::message::Query;
use common::name::name as wire_name;
use fated::answer::{MESSAGE_BYTES_MAX, PendingQuery, RequestContext, Response, Snapshot, Transport, respond};
use fated::zone::{LookupCursor, ZoneSet};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::BinEncodable;
use proptest::collection::vec;
use proptest::prelude::*;

use model::{Content, Expected, Labels, Line, Model, rtype};

/// The types that are asked for.
const QTYPES: [u16; 9] =
    [rtype::A, rtype::NS, rtype::CNAME, rtype::SOA, rtype::MX, rtype::AAAA, rtype::DNAME, rtype::DS, 65400];

/// Serves the zone of a model beside that of somebody else, which aliases lead to.
fn snapshot(model: &Model) -> Arc<Snapshot> {
    let loaded = |apex: &str, text: &str| {
        let (zone, faults) = bodies::load_zone(&[text.as_bytes()], apex.parse().expect("a good name"));
        Arc::new(zone.unwrap_or_else(|| panic!("{text}has errors: {:?}", faults.iter().collect::<Vec<_>>())))
    };
    let zones = vec![loaded(zones::APEX, &zones::text(model)), loaded(zones::NEIGHBOUR, &zones::neighbour())];
    Arc::new(Snapshot { zones: ZoneSet::new(zones), ..Snapshot::default() })
}

/// A query without EDNS.
fn query(name: &Labels, qtype: u16) -> Vec<u8> {
    Query::new(&wire_name(&name.join(".")), qtype).encode(0xABCD)
}

/// Asks over TCP, where everything fits, and reads the reply.
fn ask(snapshot: &Arc<Snapshot>, name: &Labels, qtype: u16) -> Expected {
    let mut reply = vec![0; MESSAGE_BYTES_MAX];
    let context = RequestContext {
        transport: Transport::Tcp,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        worker: 0,
        now: Duration::ZERO,
        tls: None,
    };
    let query = query(name, qtype);
    let verdict = respond(snapshot, &query, &context, &mut reply);
    let mut stepwise = vec![0; MESSAGE_BYTES_MAX];
    let mut asked = PendingQuery::read(&query).expect("a query is answered");
    asked.locate(&snapshot.zones, &mut None);
    let _fetched = [(); LookupCursor::STEPS].map(|()| asked.advance());
    let answered = asked.respond(snapshot, &context, &mut stepwise);
    assert_eq!((&answered, &stepwise), (&verdict, &reply), "in steps as at once");
    let Response::Reply { length, rcode, .. } = verdict else { panic!("a query is answered") };
    let message = Message::from_vec(&reply[..length]).expect("a reply can be read");
    assert_eq!(u16::from(message.metadata.response_code), rcode);
    let count = message.answers.len();
    let answer: BTreeSet<Line> = message.answers.iter().map(line).collect();
    assert_eq!(answer.len(), count, "a record stands twice in the answer of {name:?} {qtype}");
    let authority = message.authorities.iter().map(line).collect();
    Expected { rcode, is_authoritative: message.metadata.authoritative, answer, authority }
}

/// A record of a reply as the model has it.
fn line(record: &Record) -> Line {
    let content = match &record.data {
        RData::A(address) => Content::A(address.0.octets()[3]),
        RData::AAAA(address) => Content::Aaaa(address.0.octets()[15]),
        RData::NS(target) => Content::Ns(labels(&target.0)),
        RData::CNAME(target) => Content::Cname(labels(&target.0)),
        RData::MX(mx) => Content::Mx(labels(&mx.exchange)),
        RData::SOA(_) => Content::Soa,
        other if u16::from(record.record_type()) == rtype::DNAME => {
            let octets = other.to_bytes().expect("RDATA can be written");
            Content::Dname(labels(&Name::from_labels(wire_labels(&octets)).expect("a name")))
        }
        other => panic!("no zone of these tests holds {other:?}"),
    };
    Line { owner: labels(&record.name), ttl: record.ttl, content }
}

/// The labels of an uncompressed name.
fn wire_labels(octets: &[u8]) -> Vec<Vec<u8>> {
    let (mut labels, mut rest) = (Vec::new(), octets);
    while let Some((length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, tail) = tail.split_at(usize::from(*length));
        labels.push(label.to_vec());
        rest = tail;
    }
    labels
}

/// A name as the model has it.
fn labels(name: &Name) -> Labels {
    name.to_lowercase().iter().map(|label| String::from_utf8_lossy(label).into_owned()).collect()
}

/// Octets that are nearly a query about a zone of the corpus: a question that is well-formed, and a random tail.
fn nearly_a_query() -> impl Strategy<Value = Vec<u8>> {
    let front = prop_oneof![
        Just(""),
        Just("www"),
        Just("WwW"),
        Just("alias"),
        Just("chain1"),
        Just("loop1"),
        Just("x.wild"),
        Just("a.b.wild"),
        Just("child"),
        Just("deep.in.child"),
        Just("secure"),
        Just("x.old"),
        Just("many"),
        Just("big"),
        Just("c.ent"),
        Just("svc"),
        Just("missing"),
        Just("out"),
        Just("x.away"),
        Just("dangling"),
        Just("www.child"),
        Just("ns.child"),
    ];
    let zone = prop_oneof![
        Just("plain.test"),
        Just("nsec.test"),
        Just("nsec3.test"),
        Just("optout.test"),
        Just("child.nsec.test"),
        Just("test"),
        Just(""),
    ];
    let qtype = prop_oneof![any::<u16>(), 0_u16..66, 249_u16..260];
    let tsig = b"\x03key\0\0\xFA\0\xFF\0\0\0\0\0\x13\x01h\0\0\0\x65\x53\xF1\0\x01\x2C\0\0\x43\x21\0\0\0\0";
    let opt = prop_oneof![
        1 => (any::<u8>(), 0..tsig.len()).prop_map(|(octet, at)| {
            let mut odd = tsig.to_vec();
            odd[at] = octet;
            odd
        }),
        2 => Just(Vec::new()),
        4 => (any::<u16>(), any::<bool>(), vec(any::<u8>(), 0..12)).prop_map(|(size, is_dnssec_ok, options)| {
            let mut opt = vec![0, 0, 41];
            opt.extend_from_slice(&size.to_be_bytes());
            opt.extend_from_slice(&[0, 0, if is_dnssec_ok { 0x80 } else { 0 }, 0, 0, options.len() as u8]);
            opt.extend(options);
            opt
        }),
        1 => vec(any::<u8>(), 0..24),
    ];
    (any::<u8>(), front, zone, qtype, opt, any::<bool>()).prop_map(|(choice, front, zone, qtype, opt, has_opt)| {
        let name: Labels = [front, zone]
            .iter()
            .flat_map(|part| part.split('.'))
            .filter(|l| !l.is_empty())
            .map(str::to_owned)
            .collect();
        let mut octets = vec![choice];
        octets.extend(query(&name, qtype));
        if has_opt {
            octets[1 + 11] = 1;
        }
        octets.extend(opt);
        octets
    })
}

/// Octets that are nearly a zone file: pieces that mean something, in any order.
fn nearly_a_zone_file() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"@ 60 IN SOA a b 1 2 3 4 5\n",
        b"$TTL 60\n",
        b"$ORIGIN ",
        b"$INCLUDE 1.inc\n",
        b"$GENERATE 1-3 a$ A 192.0.2.$\n",
        b"example.",
        b"@",
        b"a",
        b"*",
        b" ",
        b"\t",
        b"\n",
        b"\r\n",
        b"(",
        b")",
        b"\"",
        b";",
        b"\\",
        b"\\046",
        b"\\#",
        b"IN",
        b"60",
        b"1w2d",
        b"A",
        b"192.0.2.1",
        b"NS",
        b"CNAME",
        b"DNAME",
        b"TXT",
        b"MX",
        b"10",
        b"AAAA",
        b"2001:db8::1",
        b"RRSIG",
        b"NSEC",
        b"NSEC3PARAM 1 0 0 -\n",
        b"SVCB 1 . alpn=h2",
        b"LOC 1 N 1 E 0m",
        b"TYPE65280 \\# 2 abcd\n",
        b"b",
        b".",
        bodies::FILE_MARK,
        b"\xFF",
        b"\x00",
        b"${0,3,n}",
    ];
    vec(proptest::sample::select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replies_are_what_the_model_says(
        model in zones::zone(), questions in vec((zones::name_anywhere(), proptest::sample::select(&QTYPES[..])), 40),
    ) {
        let snapshot = snapshot(&model);
        let with_each_type = |name: &Labels| QTYPES.map(|qtype| (name.clone(), qtype));
        let own: Vec<(Labels, u16)> = model.records.keys().flat_map(with_each_type).collect();
        for (name, qtype) in questions.into_iter().chain(own) {
            let is_neighbours = model::is_at_or_below(&name, &zones::labels(zones::NEIGHBOUR));
            if name.iter().map(|label| label.len() + 1).sum::<usize>() < 255 && !is_neighbours {
                let found = ask(&snapshot, &name, qtype);
                let expected = model.answer(&name, qtype);
                let name = zones::absolute(&name);
                prop_assert_eq!(found, expected, "{} TYPE{} of\n{}", name, qtype, zones::text(&model));
            }
        }
    }

    #[test]
    fn what_is_nearly_a_query_is_answered_as_promised(input in nearly_a_query()) {
        bodies::packet(&input);
    }

    #[test]
    fn no_octets_as_a_query_break_a_promise(input in vec(any::<u8>(), 0..80)) {
        bodies::packet(&input);
    }

    #[test]
    fn what_is_nearly_a_zone_file_is_read_as_promised(input in nearly_a_zone_file()) {
        bodies::zone(&input);
    }

    #[test]
    fn no_octets_as_a_zone_file_break_a_promise(input in vec(any::<u8>(), 0..300)) {
        bodies::zone(&input);
    }

    #[test]
    fn no_octets_as_rdata_break_a_promise(
        rtype in prop_oneof![1_u16..110, 256_u16..265, any::<u16>()], form in 0_u8..2, rest in vec(any::<u8>(), 0..64),
    ) {
        let input = [&rtype.to_be_bytes()[..], &[form], &rest].concat();
        bodies::rdata(&input);
    }
}
