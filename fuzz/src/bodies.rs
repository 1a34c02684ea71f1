//! What is promised of any octets: as queries, as zone files, as RDATA, as transfers, as signatures, as what is stored.
//! Shared by the fuzz targets, by the replay of the corpus and by the property tests; each body panics where a promise
//! is broken.
//!
//! Replies are read by `hickory-proto` and by a walk of our own here, not by the code under test.

#![allow(dead_code)] // Each of those who share this file uses a part of it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fated::answer::{Canary, MESSAGE_BYTES_MAX, RequestContext, Response, Settings, Snapshot, Transport, respond};
use fated::fault::{Faults, FileError, Sources};
use fated::serve::ahead::{Read, read_ahead};
use fated::store::{LoadPlan, NotStored, Store};
use fated::transfer::{
    self, Change, Envelope, Incoming, Outgoing, Received, Soa, Times, TransferLimits, apply, is_serial_before,
};
use fated::wire::tsig::{Algorithm, Key, Signer, Tsig, Verifier, verify_request};
use fated::wire::{Name, Type, rdata};
use fated::zone::hash::Seed;
use fated::zone::{Zone, ZoneSet};
use fated::zonebuild::{Builder, Inline, Plan, Record, Sink};
use fated::zonefile::{Files, Limits, MasterFile, ZoneFile, load, read_zone};
use hickory_proto::op::Message;

/// The key of the name hash: always the same, so that a crash is one that comes again.
pub(crate) const SEED: Seed = Seed([0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210]);

/// What parts the files in the input of [`zone`].
pub(crate) const FILE_MARK: &[u8] = b"\n--8<--\n";

/// The zones that queries are put to: without signatures, with NSEC, with NSEC3, with opt-out, and a child of one.
pub(crate) const ZONES: [(&str, &[u8]); 5] = [
    ("plain.test.", include_bytes!("../../tests/corpus/zones/plain.test.zone")),
    ("nsec.test.", include_bytes!("../../tests/corpus/zones/nsec.test.zone")),
    ("child.nsec.test.", include_bytes!("../../tests/corpus/zones/child.nsec.test.zone")),
    ("nsec3.test.", include_bytes!("../../tests/corpus/zones/nsec3.test.zone")),
    ("optout.test.", include_bytes!("../../tests/corpus/zones/optout.test.zone")),
];

/// Octets of a message header (RFC 1035 §4.1.1).
const HEADER_BYTES: usize = 12;
/// The largest reply over UDP to a client without EDNS (RFC 1035 §4.2.1).
const PLAIN_UDP_BYTES_MAX: usize = 512;

/// The one source that canaries are answered to.
const CANARY_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 100));

/// Puts octets to the answer as a query. The first octet chooses the transport, the settings, the source and the
/// worker.
///
/// # Panics
/// Where the reply is longer than the client takes, does not belong to the query, or cannot be read.
pub(crate) fn packet(input: &[u8]) {
    let Some((choice, query)) = input.split_first() else { return };
    let transport = if choice & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let source = if choice & 4 == 0 { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { CANARY_SOURCE };
    let context = RequestContext { transport, source, worker: u16::from(choice >> 3), now: Duration::ZERO, tls: None };
    let snapshot = if choice & 2 == 0 { &snapshots()[0] } else { &snapshots()[1] };
    let is_dropped = query.len() < HEADER_BYTES || query[2] & 0x80 != 0;
    // Two buffers with different rubbish: what is sent must not depend on what lay there.
    let (mut first, mut second) = (vec![0x55; MESSAGE_BYTES_MAX], vec![0xAA; MESSAGE_BYTES_MAX]);
    let verdict = respond(snapshot, query, &context, &mut first);
    // The second time in steps, as workers do, behind another query for the same zone.
    let mut read = Read::new();
    read_ahead(snapshot, [query, query].into_iter(), &mut read);
    let stepwise = read.pop().flatten().map(|mut asked| asked.respond(snapshot, &context, &mut second));
    assert_eq!(stepwise.unwrap_or(Response::Drop), verdict, "one query, one verdict");
    let Response::Reply { length, rcode, is_truncated, .. } = verdict else {
        assert!(is_dropped, "only what is short or a response is dropped");
        return;
    };
    assert!(!is_dropped, "what is short or a response is never answered");
    assert!(first[..length] == second[..length], "a reply has octets that were not written");
    let reply = &first[..length];
    check_size(query, reply.len(), transport, &snapshot.settings);
    assert_eq!(reply[..2], query[..2], "the ID is that of the query");
    assert_eq!(reply[2] & 0xF9, query[2] & 0x79 | 0x80, "QR is set, OPCODE and RD are kept");
    assert_eq!(reply[2] & 0x02 != 0, is_truncated, "TC says what the verdict says");
    assert_eq!(reply[3] & 0xF0, 0, "RA, Z, AD and CD are clear");
    assert_eq!(u16::from(reply[3] & 0x0F), rcode & 0x0F, "the header has the verdict's RCODE");
    assert_eq!(end_of_records(reply), Some(length), "the records end where the reply ends");
    let message = Message::from_vec(reply).unwrap_or_else(|error| panic!("the reply cannot be read: {error}"));
    assert_eq!(u16::from(message.metadata.response_code), rcode, "the RCODE, its upper bits in the OPT record");
    let record_count = message.answers.len() + message.authorities.len() + message.additionals.len();
    assert!(!is_truncated || record_count == 0, "what is truncated carries no records");
}

/// The snapshots that queries are put to: one with the default settings, one with names and a large size.
fn snapshots() -> &'static [Arc<Snapshot>; 2] {
    static SNAPSHOTS: OnceLock<[Arc<Snapshot>; 2]> = OnceLock::new();
    SNAPSHOTS.get_or_init(|| {
        let zones = || ZoneSet::new(ZONES.iter().map(|(name, text)| Arc::new(embedded_zone(name, text))).collect());
        let settings = Settings {
            identity: Some(b"fuzz".to_vec()),
            version: Some(b"fated".to_vec()),
            udp_payload_bytes_max: 4096,
            follow_across_zones: true,
            canary: Some(Canary { nonce: SEED.0[0], sources: vec![CANARY_SOURCE], reserved: Vec::new() }),
            ..Settings::default()
        };
        [Settings::default(), settings]
            .map(|settings| Arc::new(Snapshot { zones: zones(), settings, ..Snapshot::default() }))
    })
}

/// Loads one of [`ZONES`].
fn embedded_zone(name: &str, text: &[u8]) -> Zone {
    let (zone, faults) = load_zone(&[text], name.parse().expect("a good name"));
    zone.unwrap_or_else(|| panic!("{name} has errors: {:?}", faults.iter().next()))
}

/// Checks that a reply is no longer than client and transport take.
fn check_size(query: &[u8], length: usize, transport: Transport, settings: &Settings) {
    if transport == Transport::Tcp {
        return assert!(length <= MESSAGE_BYTES_MAX);
    }
    assert!(length <= usize::from(settings.udp_payload_bytes_max), "longer than the operator allows");
    if length > PLAIN_UDP_BYTES_MAX
        && let Ok(message) = Message::from_vec(query)
    {
        let edns = message.edns.expect("over 512 octets only for a client with EDNS");
        assert!(length <= usize::from(edns.max_payload()), "longer than the client takes");
    }
}

/// Walks over question and records by the counts of the header; returns where they end.
fn end_of_records(message: &[u8]) -> Option<usize> {
    let count = |at: usize| Some(usize::from(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?])));
    let mut at = HEADER_BYTES;
    for _ in 0..count(4)? {
        at = end_of_name(message, at)? + 4;
    }
    for _ in 0..count(6)? + count(8)? + count(10)? {
        at = end_of_name(message, at)? + 10;
        at += count(at - 2)?;
    }
    Some(at)
}

/// The offset behind the first encoding of a name (RFC 1035 §4.1.4).
fn end_of_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return Some(at + 2),
        }
    }
}

/// Files that stand in the input: the zone's file, then `1.inc`, `2.inc` and so on.
struct InputFiles<'a>(&'a [&'a [u8]]);

impl Files for InputFiles<'_> {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, FileError> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(FileError::Missing)?;
        let index = if name == "input.zone" { Some(0) } else { name.strip_suffix(".inc").and_then(|n| n.parse().ok()) };
        let text = index.and_then(|index: usize| self.0.get(index)).ok_or(FileError::Missing)?;
        Ok(text.to_vec())
    }
}

/// Loads the zone in the first of `files`.
pub(crate) fn load_zone(files: &[&[u8]], name: Name) -> (Option<Zone>, Faults) {
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let file = ZoneFile {
        path: Path::new("input.zone"),
        name: name.as_ref(),
        seed: SEED,
        previous: None,
        limits: Limits::default(),
        now: 0,
    };
    let zone = load(&file, &mut InputFiles(files), &Inline, &mut sources, &mut faults);
    (zone, faults)
}

/// Reads octets as a zone file of `example.`, perhaps with others that it includes, parted by [`FILE_MARK`].
///
/// # Panics
/// Where a zone that loads is written as text that does not load again as the same zone.
pub(crate) fn zone(input: &[u8]) {
    if asks_for_much(input) {
        return;
    }
    let files = parts(input);
    let name: Name = "example.".parse().expect("a good name");
    let (zone, faults) = load_zone(&files, name);
    assert_eq!(zone.is_none(), faults.error_count() > 0, "a zone is refused for errors, and only for them");
    let Some(zone) = zone else { return };
    let text = text_of(&zone);
    let (again, faults) = load_zone(&[text.as_bytes()], name);
    let again = again.unwrap_or_else(|| panic!("what was written has errors: {:?}\n{text}", faults.iter().next()));
    assert_eq!(text_of(&again), text, "what was written is read as something else");
    assert_eq!((again.record_count(), again.serial()), (zone.record_count(), zone.serial()));
}

/// The zone as text.
pub(crate) fn text_of(zone: &Zone) -> String {
    let mut text = String::new();
    zone.write_text(&mut text).expect("a String takes everything");
    text
}

/// Parts the input at each [`FILE_MARK`].
fn parts(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(FILE_MARK.len()).position(|window| window == FILE_MARK) {
        parts.push(&rest[..at]);
        rest = &rest[at + FILE_MARK.len()..];
    }
    parts.push(rest);
    parts
}

/// Whether `$GENERATE` or nested `$INCLUDE` would make far more of the input than it is: honest work, but slow.
fn asks_for_much(input: &[u8]) -> bool {
    let text = input.to_ascii_lowercase();
    let count = |word: &[u8]| text.windows(word.len()).filter(|window| *window == word).count();
    let has_large_number = text.split(|octet| !octet.is_ascii_digit()).any(|digits| digits.len() > 3);
    let generates = count(b"$generate");
    generates > 4 || (generates > 0 && has_large_number) || count(b"$include") > 4
}

/// Reads octets as RDATA: the first two are the type; behind them stands, as the third says, wire or text.
///
/// # Panics
/// Where RDATA that is well-formed is not what its text says, or text is read as RDATA that is not well-formed.
pub(crate) fn rdata(input: &[u8]) {
    let [high, low, form, octets @ ..] = input else { return };
    let rtype = Type(u16::from_be_bytes([*high, *low]));
    if rtype.is_meta() {
        return; // No zone file holds it.
    }
    let wire = if form & 1 == 0 {
        if rdata::check(rtype, octets).is_err() {
            return;
        }
        octets.to_vec()
    } else {
        match read_line(rtype, octets) {
            Some(wire) => wire,
            None => return,
        }
    };
    rdata::check(rtype, &wire).unwrap_or_else(|error| panic!("{rtype}: text made what is not well-formed: {error:?}"));
    let mut text = String::new();
    rdata::write_text(rtype, &wire, &mut text);
    assert!(!text.contains('\n'), "{rtype}: the text has a line break: {text:?}");
    let again = read_line(rtype, text.as_bytes());
    assert_eq!(again.as_deref(), Some(&*wire), "{rtype} {text} does not read back");
    check_names(rtype, &wire);
}

/// Checks the names that are found in RDATA, and its canonical form.
fn check_names(rtype: Type, wire: &[u8]) {
    for embedded in rdata::names(rtype, wire) {
        let octets = embedded.name.as_bytes();
        assert_eq!(
            wire.get(embedded.offset..embedded.offset + octets.len()),
            Some(octets),
            "{rtype}: a name is elsewhere"
        );
    }
    let mut canonical = Vec::new();
    rdata::write_canonical(rtype, wire, &mut canonical);
    assert!(canonical.eq_ignore_ascii_case(wire), "{rtype}: the canonical form differs in more than letter case");
}

/// Types and RDATA.
#[derive(Default)]
struct Records(Vec<(Type, Vec<u8>)>);

impl Sink for Records {
    fn take(&mut self, record: &Record<'_>) {
        self.0.push((record.rtype, record.rdata.to_vec()));
    }

    fn fork(&self, _text_bytes: usize) -> Self {
        Self::default()
    }

    fn join(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

/// The RDATA of a zone file's one line that has `text` behind the type; `None` where it has a fault.
fn read_line(rtype: Type, text: &[u8]) -> Option<Vec<u8>> {
    let line = [format!("owner.example. 60 IN TYPE{} ", rtype.0).as_bytes(), text, b"\n"].concat();
    let (mut sources, mut faults, mut records) = (Sources::default(), Faults::default(), Records::default());
    let origin: Name = "example.".parse().expect("a good name");
    let (mut files, path) = (InputFiles(&[&line]), Path::new("input.zone"));
    let master = MasterFile { path, origin: origin.as_ref(), limits: Limits::default() };
    read_zone(&mut files, master, &Inline, &mut sources, &mut faults, &mut records);
    match (faults.error_count(), records.0.pop(), records.0.is_empty()) {
        (0, Some((read, wire)), true) if read == rtype => Some(wire),
        _ => None,
    }
}

/// The time at which transfers are signed.
const NOW: u64 = 1_800_000_000;
/// The ID of transfers.
const ID: u16 = 0x1234;

/// The key of transfers.
fn key() -> Arc<Key> {
    let name: Name = "key.".parse().expect("a good name");
    Arc::new(Key::new(name.as_ref(), Algorithm::Sha256, b"secret"))
}

/// Takes a stream as the transfer of `plain.test.`: the first octet says what was asked for and whether the messages
/// are signed; behind it stand messages, each with its length in front.
///
/// # Panics
/// Where what is taken is sent or put into changes as something else.
pub(crate) fn transfer(input: &[u8]) {
    static BASE: OnceLock<Zone> = OnceLock::new();
    let Some((choice, mut rest)) = input.split_first() else { return };
    let base = BASE.get_or_init(|| embedded_zone(ZONES[0].0, ZONES[0].1));
    let (asked, mut request) = ((choice & 1 != 0).then(|| base.serial()), Signer::of_request(key()));
    let mut octets = vec![0; 1024];
    request.sign(&mut octets, HEADER_BYTES, NOW);
    let verifier = (choice & 2 != 0).then(|| Verifier::of_reply(&request));
    let mut server = request;
    let mut incoming = incoming(base, asked, verifier);
    let mut is_ended = false;
    while let Some(([high, low], behind)) = rest.split_first_chunk::<2>()
        && !is_ended
    {
        let (message, behind) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(behind.len()));
        rest = behind;
        let mut message = message.to_vec();
        if choice & 2 != 0 && message.len() >= HEADER_BYTES && message[10..HEADER_BYTES] != [0xFF; 2] {
            let length = message.len();
            message.resize(length + server.record_bytes_max(), 0);
            let length = server.sign(&mut message, length, NOW);
            message.truncate(length);
        }
        match incoming.take(&message, NOW) {
            Ok(ended) => is_ended = ended,
            Err(_) => return,
        }
    }
    let received = incoming.finish();
    assert_eq!(received.is_ok(), is_ended, "the last message was signed, as all were");
    if let Ok(received) = received {
        check_received(base, received);
    }
}

/// Waits for the transfer of a zone.
fn incoming(zone: &Zone, asked: Option<u32>, verifier: Option<Verifier>) -> Incoming {
    let limits = TransferLimits { octets_max: 1 << 20, records_max: 10_000, ..TransferLimits::DEFAULT };
    Incoming::new(zone.apex(), ID, asked, limits, verifier, Builder::new(SEED))
}

/// Makes the zone of what came, and checks that it is sent as it is, whole and as a change.
fn check_received(base: &Zone, received: Received) {
    let mut faults = Faults::default();
    let zone = match received {
        Received::Current => return,
        Received::Whole { builder, .. } => build(*builder, base, &mut faults),
        Received::Changes(changes) => apply(base, &changes, 0, &Inline, &mut faults).ok(),
    };
    let Some(zone) = zone.map(Arc::new) else { return };
    assert_eq!(faults.error_count(), 0, "a zone with errors is refused");
    let (again, text) = (sent(Outgoing::whole(Arc::clone(&zone), envelope(None)), base), text_of(&zone));
    let Received::Whole { builder, .. } = again else { panic!("a whole zone was sent") };
    let again = build(*builder, base, &mut Faults::default()).expect("it was good before");
    assert_eq!(text_of(&again), text, "what was sent is another zone");
    let change = Change::between(base, &zone);
    if is_serial_before(change.from.serial(), change.to.serial()) {
        let next = apply(base, &[change], 0, &Inline, &mut Faults::default()).expect("it is what differs");
        assert!(text_of(&next).eq_ignore_ascii_case(&text), "the change makes another zone");
    }
}

/// Makes the zone.
fn build(builder: Builder, base: &Zone, faults: &mut Faults) -> Option<Zone> {
    builder.finish(Plan { name: base.apex(), previous: Some(base), now: 0 }, &Inline, faults)
}

/// What stands around the records of a transfer.
fn envelope(signer: Option<Signer>) -> Envelope {
    Envelope { id: ID, flags: 0x8400, question: Box::default(), opt: Box::default(), signer }
}

/// Sends messages and takes them.
fn sent(mut outgoing: Outgoing, base: &Zone) -> Received {
    let (mut incoming, mut message) = (incoming(base, None, None), vec![0; MESSAGE_BYTES_MAX]);
    while let Some(length) = outgoing.write_next(NOW, &mut message) {
        let _is_last = incoming.take(&message[..length], NOW).expect("we send what we take");
    }
    incoming.finish().expect("it was sent to its end")
}

/// Signs octets as a message, and reads octets as a TSIG record. The first three say which bit of the message changes
/// under way.
///
/// # Panics
/// Where a signature does not hold, holds for another message, or a record is not written as it was read.
pub(crate) fn tsig(input: &[u8]) {
    let Some(([high, low, bit], message)) = input.split_first_chunk::<3>() else { return };
    if let Some(tsig) = Tsig::read(message, 0) {
        let mut octets = vec![0; tsig.record_bytes()];
        tsig.write(&mut octets);
        let again = Tsig::read(&octets, 0).expect("it was written");
        assert_eq!(format!("{again:?}"), format!("{tsig:?}"), "it is written as it was read");
        assert!(verify_request(Some(&key()), message, 0, &tsig, NOW).is_err(), "there is no message to be signed");
    }
    if message.len() < HEADER_BYTES || message[10..HEADER_BYTES] == [0xFF; 2] {
        return;
    }
    let (mut signer, length) = (Signer::of_request(key()), message.len());
    let mut octets = [message, &vec![0; signer.record_bytes_max()]].concat();
    let end = signer.sign(&mut octets, length, NOW);
    octets.truncate(end);
    let verify = |octets: &[u8]| {
        let tsig = Tsig::read(octets, length)?;
        verify_request(Some(&key()), octets, length, &tsig, NOW).ok()
    };
    let server = verify(&octets);
    assert!(server.is_some(), "what was signed is right");
    // All of it but the ID is signed: the record has the ID that was.
    let at = 2 + usize::from(u16::from_be_bytes([*high, *low])) % (length - 2);
    let mut changed = octets.clone();
    changed[at] ^= 1 << (bit & 7);
    assert!(verify(&changed).is_none(), "octet {at} of {length} is another");
    // The reply is signed with the request, which is why another request's does not verify it.
    let (mut server, mut reply) = (server.expect("seen above"), message.to_vec());
    reply.resize(length + server.record_bytes_max(), 0);
    let end = server.sign(&mut reply, length, NOW);
    reply.truncate(end);
    let record = Tsig::read(&reply, length).expect("it was written");
    assert!(Verifier::of_reply(&signer).take(&reply, Some((length, &record)), NOW).is_ok());
    let other = Signer::of_request(key());
    assert!(Verifier::of_reply(&other).take(&reply, Some((length, &record)), NOW).is_err());
}

/// What a store had on the disk, and the texts of the versions that were in it.
struct Stored {
    octets: Vec<u8>,
    versions: [String; 2],
}

/// Where a store keeps everything, in its folder.
const STORE_FILE: &str = "transfers.redb";

/// Reads octets as records, and puts them into the file of a store: each five of them say where (4) and how (1) it is
/// damaged; a change of nothing ends the file there.
///
/// # Panics
/// Where records make a zone that is not written as it was read, or a store gives a version that never was in it.
pub(crate) fn store(input: &[u8]) {
    static STORED: OnceLock<Stored> = OnceLock::new();
    if let Some(records) = transfer::Records::from_octets(input.to_vec()) {
        let (zone, mut builder): (Name, _) = (ZONES[0].0.parse().expect("a good name"), Builder::new(SEED));
        records.iter().for_each(|record| builder.take(&record));
        let plan = Plan { name: zone.as_ref(), previous: None, now: 0 };
        let _zone = builder.finish(plan, &Inline, &mut Faults::default());
        assert_eq!(records.octets(), input, "records are kept as they are");
    }
    let stored = STORED.get_or_init(fill_store);
    let mut octets = stored.octets.clone();
    for [at @ .., change] in input.as_chunks::<5>().0 {
        let at = u32::from_be_bytes(*at) as usize % octets.len().max(1);
        match change {
            0 => octets.truncate(at),
            change => octets[at] ^= change,
        }
        if octets.is_empty() {
            break;
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(STORE_FILE), octets).expect("there is room");
    match read_store(&open_store(folder.path())) {
        Ok(text) => assert!(stored.versions.contains(&text), "it never was in the store:\n{text}"),
        Err(NotStored::Absent | NotStored::Damaged(_)) => {}
        Err(why @ NotStored::Refused(_)) => panic!("a damaged file is put aside: {why}"),
    }
}

/// Opens the store of a folder.
fn open_store(folder: &Path) -> Store {
    Store::open(folder, 1 << 20).expect("the system has a thread")
}

/// Reads the one zone that may be there, as text.
fn read_store(store: &Store) -> Result<String, NotStored> {
    let name = ZONES[0].0.parse().expect("a good name");
    let plan = LoadPlan { seed: SEED, now: 0, executor: &Inline };
    store.load(&[name], plan).remove(0).map(|stored| text_of(&stored.zone))
}

/// Stores a zone and a change of it.
fn fill_store() -> Stored {
    let folder = tempfile::tempdir().expect("a folder");
    let base = Arc::new(embedded_zone(ZONES[0].0, ZONES[0].1));
    let (deleted, mut added) = (transfer::Records::default(), transfer::Records::default());
    let www: Name = "www.plain.test.".parse().expect("a good name");
    let record = |rdata| Record { owner: www.as_ref(), rtype: Type::HINFO, ttl: 60, rdata, position: None };
    added.push(&record(b"\x01a\x01b"));
    let from = Soa::of(&base);
    let mut rdata = from.rdata().to_vec();
    let at = rdata.len() - 20;
    rdata[at..at + 4].copy_from_slice(&(from.serial() + 1).to_be_bytes());
    let to = Soa::new(from.ttl, &rdata).expect("it was one before");
    let change = Change { from, to, deleted, added };
    let next = apply(&base, std::slice::from_ref(&change), 0, &Inline, &mut Faults::default()).expect("it follows");
    let (next, times) = (Arc::new(next), Times::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let versions = [text_of(&base), text_of(&next)];
    runtime.block_on(async {
        let store = open_store(folder.path());
        store.put_zone(base, times).await.expect("there is room");
        store.put_changes(next, vec![Arc::new(change)], times).await.expect("it follows");
    });
    Stored { octets: std::fs::read(folder.path().join(STORE_FILE)).expect("it is there"), versions }
}
