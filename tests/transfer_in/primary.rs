//! A primary that sends what it is told to, and what a secondary makes of it, both as short text.
//!
//! Messages are parted by ` / `, records by `; `. `S7` is the SOA with serial 7; other records are lines of a zone file
//! of `test.` with TTL 300. In front of the records of a message words in brackets say what is odd about it.

use std::fmt::Write;
use std::path::Path;

use fated::fault::{Faults, FileError, Sources};
use fated::transfer::{Incoming, Received, TransferError, TransferLimits, apply};
use fated::wire::tsig::{Signer, Verifier};
use fated::wire::{Name, Type, rdata};
use fated::zone::hash::Seed;
use fated::zone::{NodeCursor, Zone};
use fated::zonebuild::{Builder, Inline, Plan, Record, Sink};
use fated::zonefile::{Files, Limits, MasterFile, read_zone};

/// The zone's name.
pub(crate) const APEX: &str = "test.";
/// The ID of the request.
pub(crate) const ID: u16 = 0x1234;
/// When all this is.
pub(crate) const NOW: u64 = 1_800_000_000;
/// The version that a secondary has that asks for changes.
pub(crate) const BASE: &str = "S5; @ NS ns; ns A 192.0.2.53; www A 192.0.2.1";
/// The key of the name hash.
const SEED: Seed = Seed([3, 4]);
/// TTL of records that have none.
const TTL: u32 = 300;

/// One text as a file.
struct Text<'a>(&'a str);

impl Files for Text<'_> {
    fn read(&mut self, _path: &Path) -> Result<Vec<u8>, FileError> {
        Ok(self.0.as_bytes().to_vec())
    }
}

/// Records as they stand in a message, uncompressed.
#[derive(Default)]
struct Encoded(Vec<Vec<u8>>);

impl Sink for Encoded {
    fn take(&mut self, record: &Record<'_>) {
        self.0.push(encoded(record.owner.as_bytes(), record.rtype.0, 1, record.ttl, record.rdata));
    }

    fn fork(&self, _text_bytes: usize) -> Self {
        Self::default()
    }

    fn join(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

/// A record, encoded.
pub(crate) fn encoded(owner: &[u8], rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rdata.len()).expect("RDATA has a length of 16 bits");
    let [rtype, class, length] = [rtype, class, length].map(u16::to_be_bytes);
    [owner, &rtype, &class, &ttl.to_be_bytes(), &length, rdata].concat()
}

/// Records of the text.
pub(crate) fn records(text: &str) -> Vec<Vec<u8>> {
    let soa = |serial: &str| format!("@ SOA ns admin {serial} 3600 600 86400 60");
    let line = |word: &str| word.strip_prefix('S').filter(|serial| serial.parse::<u32>().is_ok()).map(soa);
    let lines = text.split("; ").map(|word| line(word).unwrap_or_else(|| word.to_owned()));
    let file = format!("$TTL {TTL}\n{}\n", lines.collect::<Vec<_>>().join("\n"));
    let apex: Name = APEX.parse().expect("a good name");
    let (mut sources, mut faults, mut sink) = (Sources::default(), Faults::default(), Encoded::default());
    let master = MasterFile { path: Path::new("test"), origin: apex.as_ref(), limits: Limits::default() };
    read_zone(&mut Text(&file), master, &Inline, &mut sources, &mut faults, &mut sink);
    assert_eq!(faults.error_count(), 0, "{text}: {:?}", faults.iter().next());
    sink.0
}

/// A message of a transfer.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// As they stand in the message, and how many.
    pub(crate) questions: (u16, Vec<u8>),
    pub(crate) answers: Vec<Vec<u8>>,
    pub(crate) authority: Vec<Vec<u8>>,
    pub(crate) additional: Vec<Vec<u8>>,
}

impl Message {
    /// A message with those answers and nothing odd.
    pub(crate) fn of(answers: Vec<Vec<u8>>) -> Self {
        let questions = (1, question(APEX, 252, 1));
        Self { id: ID, flags: 0x8400, questions, answers, authority: vec![], additional: vec![] }
    }

    /// The octets.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let sections = [&self.answers, &self.authority, &self.additional];
        let counts = sections.map(|section| u16::try_from(section.len()).expect("few"));
        let words = [self.id, self.flags, self.questions.0, counts[0], counts[1], counts[2]];
        let mut octets: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        octets.extend_from_slice(&self.questions.1);
        sections.into_iter().flatten().for_each(|record| octets.extend_from_slice(record));
        octets
    }

    /// Makes it odd as a word says.
    fn set(&mut self, word: &str) {
        match word {
            "no-aa" => self.flags &= !0x0400,
            "tc" => self.flags |= 0x0200,
            "query" => self.flags &= !0x8000,
            "notify" => self.flags |= 4 << 11,
            "id" => self.id ^= 1,
            "no-question" => self.questions = (0, vec![]),
            "ixfr" => self.questions = (1, question(APEX, 251, 1)),
            "asks-soa" => self.questions = (1, question(APEX, 6, 1)),
            "asks-other" => self.questions = (1, question("other.", 252, 1)),
            "asks-chaos" => self.questions = (1, question(APEX, 252, 3)),
            "asks-twice" => self.questions = (2, question(APEX, 252, 1).repeat(2)),
            "authority" => self.authority = records("stray A 192.0.2.99"),
            "opt" => self.additional.push(opt(0, &[0, 9, 0, 4, 0, 1, 0, 0])),
            "badvers" => self.additional.push(opt(1, &[])),
            "two-opts" => self.additional = vec![opt(0, &[]); 2],
            _ => {
                let rcode = word.strip_prefix("rcode=").unwrap_or_else(|| panic!("{word}"));
                self.flags |= rcode.parse::<u16>().expect("a number");
            }
        }
    }
}

/// A question.
fn question(name: &str, qtype: u16, qclass: u16) -> Vec<u8> {
    let name: Name = name.parse().expect("a good name");
    [name.as_ref().as_bytes(), &qtype.to_be_bytes(), &qclass.to_be_bytes()].concat()
}

/// An OPT record.
fn opt(extended_rcode: u32, options: &[u8]) -> Vec<u8> {
    encoded(&[0], 41, 1232, extended_rcode << 24, options)
}

/// The messages of a text.
pub(crate) fn messages(text: &str) -> Vec<Message> {
    let message = |text: &str| {
        let (odd, text) = text.strip_prefix('[').and_then(|text| text.split_once(']')).unwrap_or(("", text));
        let mut message = Message::of(if text.trim().is_empty() { vec![] } else { records(text.trim()) });
        odd.split_whitespace().for_each(|word| message.set(word));
        message
    };
    text.split(" / ").map(message).collect()
}

/// The zone of the text; `None` where it has errors.
pub(crate) fn zone(text: &str) -> Option<Zone> {
    let stream: Vec<Vec<u8>> =
        messages(&format!("{text}; {}", text.split("; ").next().expect("a SOA"))).iter().map(Message::octets).collect();
    match take(Secondary::new(None), &stream).1 {
        Ok(Received::Whole { builder, .. }) => build(*builder, None),
        _ => panic!("{text} is no zone"),
    }
}

/// Makes the zone.
fn build(builder: Builder, previous: Option<&Zone>) -> Option<Zone> {
    let apex: Name = APEX.parse().expect("a good name");
    builder.finish(Plan { name: apex.as_ref(), previous, now: 0 }, &Inline, &mut Faults::default())
}

/// Who asks.
pub(crate) struct Secondary {
    /// The serial of what it has, if it asks for changes.
    pub(crate) serial: Option<u32>,
    pub(crate) limits: TransferLimits,
    pub(crate) verifier: Option<Verifier>,
}

impl Secondary {
    /// Asks for the whole zone, or for changes.
    pub(crate) fn new(serial: Option<u32>) -> Self {
        Self { serial, limits: TransferLimits::DEFAULT, verifier: None }
    }

    /// Asks for the whole zone, signed.
    pub(crate) fn signed(request: &Signer) -> Self {
        Self { verifier: Some(Verifier::of_reply(request)), ..Self::new(None) }
    }
}

/// Takes messages up to the last or the first error; where they end earlier, the connection has.
pub(crate) fn take(who: Secondary, stream: &[Vec<u8>]) -> (usize, Result<Received, TransferError>) {
    let apex: Name = APEX.parse().expect("a good name");
    let mut incoming = Incoming::new(apex.as_ref(), ID, who.serial, who.limits, who.verifier, Builder::new(SEED));
    for message in stream {
        match incoming.take(message, NOW) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => return (incoming.foreign().count, Err(error)),
        }
    }
    (incoming.foreign().count, incoming.finish())
}

/// What becomes of what was taken: the zone as text, with the records that were dropped behind it, or why not.
pub(crate) fn outcome(who: Secondary, stream: &[Vec<u8>]) -> String {
    let base = zone(BASE).expect("it is good");
    let (foreign, taken) = take(who, stream);
    let (form, zone) = match taken {
        Ok(Received::Current) => return "current".to_owned(),
        Ok(Received::Whole { builder, .. }) => {
            ("whole", build(*builder, Some(&base)).ok_or("it has errors".to_owned()))
        }
        Ok(Received::Changes(changes)) => {
            let made = apply(&base, &changes, 0, &Inline, &mut Faults::default());
            ("changes", made.map_err(|error| error.to_string()))
        }
        Err(error) => return error.to_string(),
    };
    let dropped = if foreign == 0 { String::new() } else { format!(" ({foreign} dropped)") };
    match zone {
        Ok(zone) => format!("{form}: {}{dropped}", text(&zone)),
        Err(error) => format!("{form}: {error}"),
    }
}

/// The zone as text, sorted.
pub(crate) fn text(zone: &Zone) -> String {
    let mut lines = Vec::new();
    for (node, _) in zone.nodes_from(NodeCursor::default()) {
        let owner = node.name().to_name().to_string();
        let owner = owner.strip_suffix("test.").map_or(&*owner, |front| front.trim_end_matches('.'));
        node.visit_records(|rtype, ttl, octets| {
            let mut line = String::new();
            if rtype == Type::SOA {
                lines.push(format!("S{}", zone.serial()));
                return;
            }
            let ttl = if ttl == TTL { String::new() } else { format!("{ttl} ") };
            write!(line, "{} {ttl}{rtype} ", if owner.is_empty() { "@" } else { owner }).expect("text");
            rdata::write_text(rtype, octets, &mut line);
            lines.push(line.replace(".test.", "").replace("test.", "@"));
        });
    }
    lines.sort_by_key(|line| (!line.starts_with('S'), line.clone()));
    lines.join("; ")
}

/// Octets of messages.
pub(crate) fn octets(messages: &[Message]) -> Vec<Vec<u8>> {
    messages.iter().map(Message::octets).collect()
}
