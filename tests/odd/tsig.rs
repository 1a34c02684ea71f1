//! TSIG of keys that nobody knows (RFC 8945 §5.2): what it means to at least two of NSD, Knot and BIND, it means to
//! us.

use std::fs;

use super::common::ask;
use super::common::message::{Edns, IN, Message, RD, Record, header, read_name};
use super::common::name::{lower, name};
use super::common::server::{Kind, Server, ZoneFile};
use super::table::{opt, question, record};
use super::{ZONE, common};

/// TYPE TSIG.
const TSIG: u16 = 250;
/// CLASS ANY.
const ANY: u16 = 255;

/// A TSIG record of which some parts are odd.
struct Tsig {
    key: Vec<u8>,
    algorithm: Vec<u8>,
    class: u16,
    ttl: u32,
    mac: &'static [u8],
    original_id: u16,
    error: u16,
    other: &'static [u8],
    /// Octets behind the last field.
    behind: &'static [u8],
}

/// The record, encoded, with what `change` makes odd.
fn tsig(change: impl Fn(&mut Tsig)) -> Vec<u8> {
    let mut tsig = Tsig {
        key: name("no.key."),
        algorithm: name("hmac-sha256."),
        class: ANY,
        ttl: 0,
        mac: &[0xAA; 32],
        original_id: 0x0DD0,
        error: 0,
        other: &[],
        behind: &[],
    };
    change(&mut tsig);
    let sized = |octets: &[u8]| [&(octets.len() as u16).to_be_bytes(), octets].concat();
    let rdata = [
        &tsig.algorithm[..],
        b"\0\0\x65\x53\xF1\0\x01\x2C",
        &sized(tsig.mac),
        &tsig.original_id.to_be_bytes(),
        &tsig.error.to_be_bytes(),
        &sized(tsig.other),
        tsig.behind,
    ];
    let mut encoded = record(&tsig.key, TSIG, tsig.class, &rdata.concat());
    let ttl_at = tsig.key.len() + 4;
    encoded[ttl_at..ttl_at + 4].copy_from_slice(&tsig.ttl.to_be_bytes());
    encoded
}

/// A query for a name and type with records behind it.
fn query(qname: &str, qtype: u16, counts: [u16; 3], records: &[&[u8]]) -> Vec<u8> {
    let [answers, authorities, additionals] = counts;
    let head = header(0x0DD0, RD, [1, answers, authorities, additionals]);
    [head, question(qname, qtype, IN), records.concat()].concat()
}

/// What a reply says, apart from the question, the time, and the letter case of names in TSIG.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    rcode: u16,
    answers: usize,
    has_opt: bool,
    /// The record, without Time Signed.
    tsig: Option<Record>,
}

/// Reads a reply.
fn meaning(reply: &[u8]) -> Meaning {
    let message = Message::parse(reply).unwrap_or_else(|fault| panic!("{fault}: {reply:02x?}"));
    let last = message.sections[2].last().filter(|record| record.rtype == TSIG);
    let tsig = last.map(|record| {
        let (algorithm, fields) = read_name(&record.rdata, 0).expect("an algorithm");
        let time_bytes = 6;
        let rdata = [lower(&algorithm), record.rdata[fields + time_bytes..].to_vec()].concat();
        Record { owner: lower(&record.owner), rdata, ..*record }
    });
    let has_opt = message.opt().is_some();
    Meaning { rcode: message.rcode(), answers: message.sections[0].len(), has_opt, tsig }
}

/// All queries, each with what is odd about it.
fn rows() -> Vec<(&'static str, Vec<u8>)> {
    let (good, edns) = (tsig(|_| ()), opt(&Edns::new(1232, true)));
    let version_1 = opt(&Edns { ttl: 0x1_0000, ..Edns::new(1232, false) });
    let a = record(&name("x.odd.test."), 1, IN, &[192, 0, 2, 9]);
    let www = |counts, records: &[&[u8]]| query("www.odd.test.", 1, counts, records);
    let odd = |change: fn(&mut Tsig)| www([0, 0, 1], &[&tsig(change)]);
    vec![
        ("nothing else", www([0, 0, 1], &[&good])),
        ("behind OPT", www([0, 0, 2], &[&edns, &good])),
        ("in front of OPT", www([0, 0, 2], &[&good, &edns])),
        ("twice", www([0, 0, 2], &[&good, &good])),
        ("in the answer section", www([1, 0, 0], &[&good])),
        ("in the authority section", www([0, 1, 0], &[&good])),
        ("in front of a record", www([0, 0, 2], &[&good, &a])),
        ("behind a record", www([0, 0, 2], &[&a, &good])),
        ("of class IN", odd(|tsig| tsig.class = IN)),
        ("with a TTL", odd(|tsig| tsig.ttl = 1)),
        ("without a MAC", odd(|tsig| tsig.mac = &[])),
        ("with a short MAC", odd(|tsig| tsig.mac = b"abcd")),
        ("with another ID", odd(|tsig| tsig.original_id = 0x4321)),
        ("with an error", odd(|tsig| tsig.error = 16)),
        ("with other data", odd(|tsig| tsig.other = b"abcdef")),
        ("with an algorithm that does not exist", odd(|tsig| tsig.algorithm = name("no.algorithm."))),
        ("with a key that is the root", odd(|tsig| tsig.key = name("."))),
        ("in mixed letter case", odd(|tsig| (tsig.key, tsig.algorithm) = (name("No.KEY."), name("HMAC-sha256.")))),
        ("with a key that is compressed", odd(|tsig| tsig.key = vec![0xC0, 12])),
        ("with an algorithm that is compressed", odd(|tsig| tsig.algorithm = vec![0xC0, 12])),
        ("with octets behind its fields", odd(|tsig| tsig.behind = b"zz")),
        ("cut short", www([0, 0, 1], &[&good[..good.len() - 3]])),
        ("with octets behind the message", www([0, 0, 1], &[&good, b"trailing"])),
        ("for a name that does not exist", query("no.odd.test.", 1, [0, 0, 1], &[&good])),
        ("for a name in no zone", query("www.nowhere.", 1, [0, 0, 1], &[&good])),
        ("for a transfer", query("odd.test.", 252, [0, 0, 1], &[&good])),
        ("with EDNS version 1", www([0, 0, 2], &[&version_1, &good])),
        ("without a question", [header(1, 0, [0, 0, 0, 1]), good.clone()].concat()),
    ]
}

#[test]
fn an_unknown_key_means_to_us_what_it_means_to_the_peers() {
    if common::must_skip("TSIG", &["nsd", "knotd", "named"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let zone = folder.path().join("odd.test.zone");
    // BIND takes no sets as large as those that are repeated.
    let text: String = ZONE.lines().filter(|line| !line.starts_with('$')).map(|line| format!("{line}\n")).collect();
    fs::write(&zone, format!("$ORIGIN odd.test.\n$TTL 3600\n{text}")).expect("the folder can be written to");
    let zones = [ZoneFile::new("odd.test.", zone)];
    let servers = [Kind::Nsd, Kind::Knot, Kind::Named, Kind::under_test()].map(|kind| Server::start(kind, &zones));
    let (mut faults, mut refused) = (Vec::new(), 0);
    for (title, query) in rows() {
        let replies = servers.each_ref().map(|server| ask::udp(server.address, &query).map(|reply| meaning(&reply)));
        let [nsd, knot, named, own] = &replies;
        let own = own.as_ref().unwrap_or_else(|| panic!("TSIG {title}: no reply"));
        let agreeing = [nsd, knot, named].iter().filter(|peer| peer.as_ref() == Some(own)).count();
        refused += usize::from(own.rcode == 9 && own.tsig.is_some());
        if agreeing < 2 {
            faults.push(format!("TSIG {title}: {own:?}\n  nsd:   {nsd:?}\n  knot:  {knot:?}\n  named: {named:?}"));
        }
    }
    assert!(refused > 10, "some were refused");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
