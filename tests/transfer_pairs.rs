//! Zones that go out come in as they were, whole and as changes, for random versions; another implementation reads each
//! message as we do, and a third makes the same signatures.

#[allow(dead_code)] // The other tests use the rest.
#[path = "transfer_in/primary.rs"]
mod primary;
#[allow(dead_code)]
#[path = "transfer_in/signer.rs"]
mod signer;

use std::collections::BTreeMap;
use std::sync::Arc;

use fated::fault::Faults;
use fated::transfer::{Change, Envelope, Incoming, Journal, Outgoing, Received, Request, TransferLimits};
use fated::transfer::{apply, write_request};
use fated::wire::message::MESSAGE_BYTES_MAX;
use fated::wire::tsig::{Algorithm, Key, Signer, Verifier, verify_request};
use fated::wire::{Name, Type};
use fated::zone::hash::Seed;
use fated::zone::{NodeCursor, Zone};
use fated::zonebuild::{Builder, Inline, Plan, Record, Sink};
use hickory_proto::op::Message;
use hickory_proto::serialize::binary::BinEncodable;
use proptest::collection::vec;
use proptest::prelude::*;

use primary::{APEX, ID, NOW};
use signer::{MAC_BYTES, PLAIN, Signing};

/// The key of the name hash.
const SEED: Seed = Seed([5, 6]);
/// Octets of a message that has room for more than one record.
const MESSAGE_BYTES_GOOD: usize = 16 << 10;
/// Octets of the TSIG record of `key.` with HMAC-SHA256.
const TSIG_BYTES: usize = 5 + 10 + 13 + 8 + 2 + MAC_BYTES + 4 + 2;

/// Owner in lower case, type, TTL, RDATA.
type Line = (String, u16, u32, Vec<u8>);

/// A version but its SOA: the TTL and the RDATA of each RRset, by owner and type.
type Version = BTreeMap<(String, u16), (u32, Vec<Vec<u8>>)>;

fn name(text: &str) -> Name {
    text.parse().expect("a good name")
}

/// Octets of a name.
fn wire(text: &str) -> Vec<u8> {
    name(text).as_ref().as_bytes().to_vec()
}

/// RDATA of a signature that covers a type.
fn signature(covered: u16, last: u8) -> Vec<u8> {
    [&covered.to_be_bytes()[..], &[13, 2, 0, 0, 1, 44], &[0x7F; 8], &[1, last], &wire(APEX), &[last; 64]].concat()
}

/// RRsets that may stand together: where, of which type, and what may stand in them.
fn candidates() -> Vec<(&'static str, u16, Vec<Vec<u8>>)> {
    let hosts: Vec<Vec<u8>> = (0..40).map(|last| vec![192, 0, 2, last]).collect();
    let both = |a: &str, b: &str| vec![wire(a), wire(b)];
    let mail = ["mail.test.", "MAIL.test.", "mail.Test.", "other."];
    let hashed = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.test.";
    let nsec3 = [&[1, 0, 0, 0, 0, 20][..], &[7; 20], &[0, 1, 0x40]].concat();
    vec![
        ("test.", 2, both("ns.test.", "ns.elsewhere.")),
        ("test.", 51, vec![vec![1, 0, 0, 0, 0]]),
        ("test.", 46, vec![signature(6, 1), signature(2, 2), signature(51, 3)]),
        (hashed, 50, vec![nsec3]),
        (hashed, 46, vec![signature(50, 1)]),
        ("ns.test.", 1, hosts.clone()),
        ("ns.test.", 46, vec![signature(1, 1), signature(1, 2)]),
        ("ns.test.", 28, vec![vec![1; 16], vec![2; 16]]),
        ("a.b.c.test.", 16, vec![b"\x01x".to_vec(), b"\x01X".to_vec(), [&[255; 256][..]; 60].concat()]),
        ("mail.test.", 15, mail.iter().map(|target| [vec![0, 10], wire(target)].concat()).collect()),
        ("*.w.test.", 1, hosts.clone()),
        ("alias.test.", 5, vec![wire("ns.TEST.")]),
        ("away.test.", 39, vec![wire("Elsewhere.")]),
        ("sub.test.", 2, both("ns.sub.test.", "NS.elsewhere.")),
        ("ns.sub.test.", 1, hosts),
        ("big.test.", 65_280, vec![vec![7; 20_000], vec![8; 40_000], vec![9; 3]]),
    ]
}

/// A random version.
fn version() -> impl Strategy<Value = Version> {
    let all = candidates();
    let picks = vec((0..all.len(), 0_usize..3, any::<u64>()), 0..24);
    picks.prop_map(move |picks| {
        let mut version = Version::new();
        for (index, ttl, which) in picks {
            let (owner, rtype, rdatas) = &all[index];
            let ttl = [0, 300, 86_400][ttl];
            let kept =
                rdatas.iter().enumerate().filter(|(bit, _)| which >> bit & 1 != 0).map(|(_, rdata)| rdata.clone());
            let mut kept: Vec<Vec<u8>> = kept.collect();
            // What differs in the case of a name alone is one record.
            kept.dedup_by_key(|rdata| if *rtype == 15 { rdata.to_ascii_lowercase() } else { rdata.clone() });
            if !kept.is_empty() {
                version.insert(((*owner).to_owned(), *rtype), (ttl, kept));
            }
        }
        version
    })
}

/// The zone of a version.
fn build(version: &Version, serial: u32) -> Arc<Zone> {
    let mut builder = Builder::new(SEED);
    let numbers = [serial, 3600, 600, 86_400, 60].map(u32::to_be_bytes).concat();
    let soa = [wire("ns.test."), wire("Admin.test."), numbers].concat();
    let apex = name(APEX);
    builder.take(&Record { owner: apex.as_ref(), rtype: Type::SOA, ttl: 300, rdata: &soa, position: None });
    for ((owner, rtype), (ttl, rdatas)) in version {
        let owner = name(owner);
        for rdata in rdatas {
            builder.take(&Record { owner: owner.as_ref(), rtype: Type(*rtype), ttl: *ttl, rdata, position: None });
        }
    }
    Arc::new(finish(builder))
}

fn finish(builder: Builder) -> Zone {
    let (apex, mut faults) = (name(APEX), Faults::default());
    let plan = Plan { name: apex.as_ref(), previous: None, now: 0 };
    let zone = builder.finish(plan, &Inline, &mut faults);
    zone.unwrap_or_else(|| panic!("{:?}", faults.iter().collect::<Vec<_>>()))
}

/// All records of a zone, sorted.
fn lines(zone: &Zone) -> Vec<Line> {
    let mut lines = Vec::new();
    for (node, _) in zone.nodes_from(NodeCursor::default()) {
        let owner = node.name().to_name().to_string().to_ascii_lowercase();
        node.visit_records(|rtype, ttl, rdata| lines.push((owner.clone(), rtype.0, ttl, rdata.to_vec())));
    }
    lines.sort();
    lines
}

/// Applies changes.
fn applied(base: &Zone, changes: &[Change]) -> Zone {
    let mut faults = Faults::default();
    apply(base, changes, 0, &Inline, &mut faults).unwrap_or_else(|error| panic!("{error} {:?}", faults.iter().next()))
}

/// A signed request, who verifies the reply to it, and who signs that; and the same of another implementation.
fn signed_request() -> (Verifier, Signer, Signing) {
    let key = Arc::new(Key::new(name("key.").as_ref(), Algorithm::Sha256, b"secret"));
    let mut client = Signer::of_request(Arc::clone(&key));
    let octets = write_request(Request::Whole, name(APEX).as_ref(), ID, Some(&mut client), NOW);
    let at = octets.len() - TSIG_BYTES;
    let tsig = fated::wire::tsig::Tsig::read(&octets, at).expect("it is signed");
    let Ok(server) = verify_request(Some(&key), &octets, at, &tsig, NOW) else { panic!("it is right") };
    (Verifier::of_reply(&client), server, Signing::of(&octets))
}

/// Sends a transfer and takes it; each message is as large as it may be, and read by another implementation too.
fn sent(make: impl Fn(Envelope) -> Outgoing, asked: Option<u32>, is_signed: bool) -> Received {
    let (verifier, signer, mut signing) = signed_request();
    let (verifier, signer) = (is_signed.then_some(verifier), is_signed.then_some(signer));
    let question = [wire(APEX), vec![0, if asked.is_some() { 251 } else { 252 }, 0, 1]].concat().into();
    let mut outgoing = make(Envelope { id: ID, flags: 0x8400, question, opt: Box::default(), signer });
    let (apex, limits) = (name(APEX), TransferLimits::DEFAULT);
    let mut incoming = Incoming::new(apex.as_ref(), ID, asked, limits, verifier, Builder::new(SEED));
    let (mut message, mut is_last) = (vec![0xAA; MESSAGE_BYTES_MAX], false);
    while let Some(length) = outgoing.write_next(NOW, &mut message) {
        assert!(!is_last, "nothing comes behind the last SOA");
        let message = &message[..length];
        let read = Message::from_vec(message).expect("another implementation reads it");
        assert!(length <= MESSAGE_BYTES_GOOD || read.answers.len() == 1, "{length} octets");
        let before = incoming.records();
        is_last = incoming.take(message, NOW).expect("we take what we send");
        assert_eq!(incoming.records() - before, read.answers.len() as u64);
        if is_signed {
            let mut bare = message[..length - TSIG_BYTES].to_vec();
            bare[11] -= 1;
            let mac_end = length - 6;
            assert_eq!(
                signing.mac(&bare, &PLAIN),
                &message[mac_end - MAC_BYTES..mac_end],
                "another makes the same MAC"
            );
        }
    }
    assert!(is_last, "the last SOA was sent");
    incoming.finish().unwrap_or_else(|error| panic!("{error}"))
}

/// What another implementation reads in the messages of a whole zone, but the SOAs.
fn read_elsewhere(zone: &Arc<Zone>) -> Vec<Line> {
    let envelope = Envelope { id: ID, flags: 0x8400, question: Box::default(), opt: Box::default(), signer: None };
    let (mut outgoing, mut message) = (Outgoing::whole(Arc::clone(zone), envelope), vec![0; MESSAGE_BYTES_MAX]);
    let mut lines = Vec::new();
    while let Some(length) = outgoing.write_next(NOW, &mut message) {
        for record in Message::from_vec(&message[..length]).expect("it is read").answers {
            let (rtype, owner) = (u16::from(record.record_type()), record.name.to_ascii().to_ascii_lowercase());
            let rdata = record.data.to_bytes().expect("it is written");
            lines.push((owner, rtype, record.ttl, rdata));
        }
    }
    lines.retain(|(_, rtype, ..)| *rtype != Type::SOA.0);
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_differs_makes_one_version_from_another(old in version(), new in version()) {
        let (old, new) = (build(&old, 1), build(&new, 2));
        let change = Change::between(&old, &new);
        prop_assert_eq!(lines(&applied(&old, std::slice::from_ref(&change))), lines(&new));
        prop_assert!(Change::between(&new, &new).deleted.is_empty() && Change::between(&new, &new).added.is_empty());
    }

    #[test]
    fn a_whole_zone_comes_in_as_it_went_out(version in version(), is_signed in any::<bool>()) {
        let zone = build(&version, 7);
        let received = sent(|envelope| Outgoing::whole(Arc::clone(&zone), envelope), None, is_signed);
        let Received::Whole { builder, soa } = received else { panic!("it came whole") };
        prop_assert_eq!(soa.serial(), 7);
        prop_assert_eq!(lines(&finish(*builder)), lines(&zone));
        let expected: Vec<Line> = lines(&zone).into_iter().filter(|(_, rtype, ..)| *rtype != Type::SOA.0).collect();
        prop_assert_eq!(read_elsewhere(&zone), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_of_changes_comes_in_as_it_went_out(versions in vec(version(), 2..=50), is_signed in any::<bool>()) {
        let zones: Vec<Arc<Zone>> = versions
            .iter()
            .zip(0_u32..)
            // Serials pass their end.
            .map(|(version, index)| build(version, index.wrapping_sub(20)))
            .collect();
        let mut journal = Journal::default();
        for pair in zones.windows(2) {
            journal.push(Arc::new(Change::between(&pair[0], &pair[1])), usize::MAX);
        }
        let (first, last) = (&zones[0], zones.last().expect("there are some"));
        let steps = journal.since(first.serial(), last.serial(), usize::MAX).expect("all are there");
        let make = |envelope| Outgoing::changes(Arc::clone(last), steps.clone(), envelope);
        let Received::Changes(changes) = sent(make, Some(first.serial()), is_signed) else { panic!("changes came") };
        prop_assert_eq!(changes.len(), zones.len() - 1);
        prop_assert_eq!(lines(&applied(first, &changes)), lines(last));
    }
}
