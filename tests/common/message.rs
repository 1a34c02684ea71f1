//! DNS messages of the tests: questions written with every oddity that a test wants, replies read without mercy.
//!
//! Carries out RFC 1035 §4 and RFC 6891 §6.1 a second time, apart from `fated::wire`. Reading fails on the first octet
//! that no correct server would send.

use std::collections::BTreeSet;
use std::fmt;

use fated::wire::Type;

use super::name;

/// TYPE OPT.
pub(crate) const OPT: u16 = 41;
/// TYPE RRSIG.
pub(crate) const RRSIG: u16 = 46;
/// CLASS IN.
pub(crate) const IN: u16 = 1;
/// The bit QR in the second pair of header octets.
pub(crate) const QR: u16 = 0x8000;
/// The bit AA.
pub(crate) const AA: u16 = 0x0400;
/// The bit TC.
pub(crate) const TC: u16 = 0x0200;
/// The bit RD.
pub(crate) const RD: u16 = 0x0100;
/// The bit RA.
pub(crate) const RA: u16 = 0x0080;
/// The bit Z, which must be zero.
pub(crate) const Z: u16 = 0x0040;
/// The bit AD.
pub(crate) const AD: u16 = 0x0020;
/// The bit CD.
pub(crate) const CD: u16 = 0x0010;

/// The OPT record of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The UDP payload size that is offered.
    pub(crate) payload_bytes: u16,
    /// Extended RCODE, VERSION and flags as they stand in the TTL field.
    pub(crate) ttl: u32,
    /// The options, encoded.
    pub(crate) options: Vec<u8>,
}

impl Edns {
    /// Version 0 with a payload size and DO as given, no options.
    pub(crate) fn new(payload_bytes: u16, is_do: bool) -> Self {
        Self { payload_bytes, ttl: if is_do { 0x8000 } else { 0 }, options: Vec::new() }
    }

    /// Whether DO is set.
    pub(crate) fn is_do(&self) -> bool {
        self.ttl & 0x8000 != 0
    }

    /// Adds an option.
    pub(crate) fn with_option(mut self, code: u16, octets: &[u8]) -> Self {
        self.options.extend_from_slice(&code.to_be_bytes());
        self.options.extend_from_slice(&(octets.len() as u16).to_be_bytes());
        self.options.extend_from_slice(octets);
        self
    }

    /// Appends the record.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.extend_from_slice(&OPT.to_be_bytes());
        out.extend_from_slice(&self.payload_bytes.to_be_bytes());
        out.extend_from_slice(&self.ttl.to_be_bytes());
        out.extend_from_slice(&(self.options.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.options);
    }
}

/// One ordinary query: one question, perhaps an OPT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// The second pair of header octets.
    pub(crate) flags: u16,
    /// QNAME, letter case kept.
    pub(crate) qname: Vec<u8>,
    /// QTYPE.
    pub(crate) qtype: u16,
    /// QCLASS.
    pub(crate) qclass: u16,
    /// The OPT record.
    pub(crate) edns: Option<Edns>,
}

impl Query {
    /// A question in class IN without EDNS, RD clear.
    pub(crate) fn new(qname: &[u8], qtype: u16) -> Self {
        Self { flags: 0, qname: qname.to_vec(), qtype, qclass: IN, edns: None }
    }

    /// The same with an OPT record.
    pub(crate) fn with_edns(mut self, edns: Edns) -> Self {
        self.edns = Some(edns);
        self
    }

    /// The message.
    pub(crate) fn encode(&self, id: u16) -> Vec<u8> {
        let mut out = header(id, self.flags, [1, 0, 0, u16::from(self.edns.is_some())]);
        out.extend_from_slice(&self.qname);
        out.extend_from_slice(&self.qtype.to_be_bytes());
        out.extend_from_slice(&self.qclass.to_be_bytes());
        if let Some(edns) = &self.edns {
            edns.write(&mut out);
        }
        out
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", name::text(&self.qname), Type(self.qtype))?;
        match &self.edns {
            None => Ok(()),
            Some(edns) if edns.ttl & 0x8000 != 0 => write!(f, " +do bufsize={}", edns.payload_bytes),
            Some(edns) => write!(f, " +edns bufsize={}", edns.payload_bytes),
        }
    }
}

/// The twelve octets of a header.
pub(crate) fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags, counts[0], counts[1], counts[2], counts[3]].iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// One question of a message, as it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// QNAME, letter case kept.
    pub(crate) qname: Vec<u8>,
    /// QTYPE.
    pub(crate) qtype: u16,
    /// QCLASS.
    pub(crate) qclass: u16,
}

/// One record, compression undone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Record {
    /// The owner, letter case kept in what [`Message::parse`] gives, lower in [`Message::sets`].
    pub(crate) owner: Vec<u8>,
    /// TYPE.
    pub(crate) rtype: u16,
    /// CLASS, or the payload size of an OPT record.
    pub(crate) class: u16,
    /// TTL.
    pub(crate) ttl: u32,
    /// RDATA with its names written out.
    pub(crate) rdata: Vec<u8>,
}

impl Record {
    /// The record with the owner and all names in RDATA in lower case.
    pub(crate) fn canonical(&self) -> Self {
        let mut rdata = self.rdata.clone();
        for (start, end) in names_in(self.rtype, &self.rdata) {
            rdata[start..end].make_ascii_lowercase();
        }
        Self { owner: name::lower(&self.owner), rdata, ..*self }
    }

    /// The type that an RRSIG covers.
    pub(crate) fn covered(&self) -> Option<u16> {
        (self.rtype == RRSIG).then(|| u16::from_be_bytes([self.rdata[0], self.rdata[1]]))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", name::text(&self.owner), self.ttl, Type(self.rtype))?;
        let names = names_in(self.rtype, &self.rdata);
        if let Some(covered) = self.covered() {
            return write!(f, "{} …", Type(covered));
        }
        if let (1, [a, b, c, d]) = (self.rtype, &self.rdata[..]) {
            return write!(f, "{a}.{b}.{c}.{d}");
        }
        for (start, end) in &names {
            write!(f, "{} ", name::text(&self.rdata[*start..*end]))?;
        }
        if names.is_empty() || matches!(self.rtype, 47 | 64 | 65) {
            let shown = &self.rdata[names.last().map_or(0, |last| last.1)..];
            for octet in shown.iter().take(48) {
                write!(f, "{octet:02x}")?;
            }
        }
        Ok(())
    }
}

/// The three sections as sets, OPT taken out, everything that has no letter case in lower case.
pub(crate) type Sets = [BTreeSet<Record>; 3];

/// A message that was read.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// ID.
    pub(crate) id: u16,
    /// The second pair of header octets: QR, OPCODE, AA, TC, RD, RA, Z, AD, CD, RCODE.
    pub(crate) flags: u16,
    /// The question section.
    pub(crate) questions: Vec<Question>,
    /// Answer, authority, additional, in the order in which the records came.
    pub(crate) sections: [Vec<Record>; 3],
    /// How many octets the whole message has.
    pub(crate) bytes: usize,
    /// Records whose RDATA held a compression pointer though RFC 3597 §4 does not list the type.
    pub(crate) wrongly_compressed: Vec<u16>,
}

/// Why a message is none.
pub(crate) type Fault = String;

impl Message {
    /// Reads a whole message; octets behind the last record are a fault.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Fault> {
        if octets.len() < 12 {
            return Err(format!("{} octets are no header", octets.len()));
        }
        let word = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        let mut message = Self {
            id: word(0),
            flags: word(2),
            questions: Vec::new(),
            sections: Default::default(),
            bytes: octets.len(),
            wrongly_compressed: Vec::new(),
        };
        let mut at = 12;
        for _ in 0..word(4) {
            let (qname, end) = read_name(octets, at)?;
            let [qtype, qclass] = [read_word(octets, end)?, read_word(octets, end + 2)?];
            message.questions.push(Question { qname, qtype, qclass });
            at = end + 4;
        }
        for section in 0..3 {
            for _ in 0..word(6 + 2 * section) {
                at = message.read_record(octets, at, section)?;
            }
        }
        if at != octets.len() {
            return Err(format!("{} octets behind the message", octets.len() - at));
        }
        Ok(message)
    }

    /// Reads one record at `at` into a section; returns where the next one begins.
    fn read_record(&mut self, octets: &[u8], at: usize, section: usize) -> Result<usize, Fault> {
        let (owner, at) = read_name(octets, at)?;
        let [rtype, class, high, low, length] = [
            read_word(octets, at)?,
            read_word(octets, at + 2)?,
            read_word(octets, at + 4)?,
            read_word(octets, at + 6)?,
            read_word(octets, at + 8)?,
        ];
        let start = at + 10;
        let end = start + usize::from(length);
        if end > octets.len() {
            return Err(format!("RDATA of a {} record ends behind the message", Type(rtype)));
        }
        let (rdata, is_compressed) = read_rdata(octets, start, end, rtype)?;
        if is_compressed && !matches!(rtype, 2..=9 | 12 | 14 | 15) {
            self.wrongly_compressed.push(rtype);
        }
        self.sections[section].push(Record { owner, rtype, class, ttl: u32::from(high) << 16 | u32::from(low), rdata });
        Ok(end)
    }

    /// RCODE with the upper bits of the OPT record (RFC 6891 §6.1.3).
    pub(crate) fn rcode(&self) -> u16 {
        let upper = self.opt().map_or(0, |opt| (opt.ttl >> 24) as u16);
        upper << 4 | self.flags & 15
    }

    /// OPCODE.
    pub(crate) fn opcode(&self) -> u16 {
        self.flags >> 11 & 15
    }

    /// Whether a bit of the header is set.
    pub(crate) fn has(&self, bit: u16) -> bool {
        self.flags & bit != 0
    }

    /// The OPT record.
    pub(crate) fn opt(&self) -> Option<&Record> {
        self.sections[2].iter().find(|record| record.rtype == OPT)
    }

    /// The options of the OPT record: code and octets.
    pub(crate) fn options(&self) -> Vec<(u16, Vec<u8>)> {
        let mut rest = self.opt().map_or(&[][..], |opt| &opt.rdata[..]);
        let mut options = Vec::new();
        while let [a, b, c, d, tail @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*c, *d]));
            assert!(length <= tail.len(), "an EDNS option ends behind its record");
            options.push((u16::from_be_bytes([*a, *b]), tail[..length].to_vec()));
            rest = &tail[length..];
        }
        assert!(rest.is_empty(), "octets behind the last EDNS option");
        options
    }

    /// The octets of one EDNS option.
    pub(crate) fn option(&self, code: u16) -> Option<Vec<u8>> {
        self.options().into_iter().find(|(found, _)| *found == code).map(|(_, octets)| octets)
    }

    /// The sections as sets.
    pub(crate) fn sets(&self) -> Sets {
        let set = |section: &Vec<Record>| {
            section.iter().filter(|record| record.rtype != OPT).map(Record::canonical).collect()
        };
        [set(&self.sections[0]), set(&self.sections[1]), set(&self.sections[2])]
    }
}

/// Two octets at `at`.
fn read_word(octets: &[u8], at: usize) -> Result<u16, Fault> {
    octets.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).ok_or_else(|| "cut short".to_owned())
}

/// Reads a name, following pointers strictly back; returns it and where its first encoding ends.
pub(crate) fn read_name(octets: &[u8], start: usize) -> Result<(Vec<u8>, usize), Fault> {
    let mut out = Vec::new();
    let (mut at, mut end, mut bound) = (start, None, start);
    loop {
        let length = *octets.get(at).ok_or("a name is cut short")?;
        match length {
            0 => {
                out.push(0);
                break;
            }
            1..=63 => {
                out.extend_from_slice(octets.get(at..at + 1 + usize::from(length)).ok_or("a label is cut short")?);
                at += 1 + usize::from(length);
            }
            192.. => {
                let target = usize::from(read_word(octets, at)? & 0x3FFF);
                if target >= bound || target < 12 {
                    return Err(format!("a pointer at {at} leads to {target}"));
                }
                end.get_or_insert(at + 2);
                (at, bound) = (target, target);
            }
            _ => return Err(format!("label type {length:#x}")),
        }
        if out.len() > 254 {
            return Err("a name over 255 octets".to_owned());
        }
    }
    Ok((out, end.unwrap_or(at + 1)))
}

/// One piece of RDATA that has names in it.
#[derive(Clone, Copy)]
enum Field {
    /// A name.
    Name,
    /// So many octets.
    Fixed(usize),
    /// A character-string.
    Text,
}

/// The pieces up to the last name in RDATA of a type; the rest is plain octets.
fn layout(rtype: u16) -> &'static [Field] {
    use Field::{Fixed, Name, Text};
    match rtype {
        2..=5 | 7..=9 | 12 | 23 | 30 | 39 | 47 => &[Name],
        6 | 14 | 17 => &[Name, Name],
        15 | 18 | 21 | 36 | 64 | 65 | 107 => &[Fixed(2), Name],
        24 | 46 => &[Fixed(18), Name],
        26 => &[Fixed(2), Name, Name],
        33 => &[Fixed(6), Name],
        35 => &[Fixed(4), Text, Text, Text, Name],
        _ => &[],
    }
}

/// Reads RDATA with its names written out, and whether any of them was compressed.
fn read_rdata(octets: &[u8], start: usize, end: usize, rtype: u16) -> Result<(Vec<u8>, bool), Fault> {
    let (mut out, mut at, mut is_compressed) = (Vec::with_capacity(end - start), start, false);
    for field in layout(rtype) {
        match field {
            Field::Name => {
                let (plain, next) = read_name(octets, at)?;
                is_compressed |= next - at != plain.len();
                out.extend_from_slice(&plain);
                at = next;
            }
            Field::Fixed(length) => {
                out.extend_from_slice(octets.get(at..at + length).ok_or("RDATA is cut short")?);
                at += length;
            }
            Field::Text => {
                let length = 1 + usize::from(*octets.get(at).ok_or("RDATA is cut short")?);
                out.extend_from_slice(octets.get(at..at + length).ok_or("RDATA is cut short")?);
                at += length;
            }
        }
    }
    out.extend_from_slice(octets.get(at..end).ok_or_else(|| format!("RDATA of {} is too short", Type(rtype)))?);
    Ok((out, is_compressed))
}

/// Where names stand in plain RDATA: start and end of each.
pub(crate) fn names_in(rtype: u16, rdata: &[u8]) -> Vec<(usize, usize)> {
    let (mut names, mut at) = (Vec::new(), 0);
    for field in layout(rtype) {
        match field {
            Field::Name => {
                let length: usize = name::labels(&rdata[at..]).iter().map(|label| label.len() + 1).sum::<usize>() + 1;
                names.push((at, at + length));
                at += length;
            }
            Field::Fixed(length) => at += length,
            Field::Text => at += 1 + usize::from(rdata[at]),
        }
    }
    names
}
