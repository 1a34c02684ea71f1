//! Zones and their changes → the messages of a transfer (RFC 5936 §2.2, RFC 1995 §4).
//!
//! A message is closed at [`MESSAGE_BYTES_GOOD`] octets; a record that has more goes alone. A transfer holds the
//! version that it sends, and a place in it: its own memory does not grow with the zone.

use std::sync::Arc;

use super::change::{Change, Soa};
use super::journal::StepsFrom;
use crate::wire::message::{HEADER_BYTES, MESSAGE_BYTES_MAX};
use crate::wire::tsig::Signer;
use crate::wire::{Class, NameRef, Type};
use crate::zone::compress::{Packer, Suffixes};
use crate::zone::node::{NAMED_RDATA_BYTES_MAX, Node, Rrset};
use crate::zone::{NodeCursor, Zone};
use crate::zonebuild::Record;
use arrayvec::ArrayVec;

/// At how many octets a message is closed: what a compression pointer reaches.
const MESSAGE_BYTES_GOOD: usize = 16 << 10;

/// What stands around the records of a transfer.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The ID of the request.
    pub id: u16,
    /// The second word of the header.
    pub flags: u16,
    /// The question as it came, which the first message repeats.
    pub question: Box<[u8]>,
    /// The OPT record of the first message; empty for none.
    pub opt: Box<[u8]>,
    /// Signs each message, where the request was signed.
    pub signer: Option<Signer>,
}

/// What is sent between the first and the last SOA.
#[derive(Clone, Debug)]
enum Content {
    /// All records but the SOA, from a place on.
    Whole(NodePlace),
    /// Changes, each with the SOAs before and behind it.
    Changes { steps: StepsFrom, under_way: Option<(Arc<Change>, StepPlace)> },
}

/// A place between the records of a zone.
#[derive(Clone, Copy, Debug, Default)]
struct NodePlace {
    /// The node of the next record is the one here.
    cursor: NodeCursor,
    /// Records of it that were sent, SOA among them.
    sent: usize,
}

/// A place between the records of a change.
#[derive(Clone, Copy, Debug)]
enum StepPlace {
    /// In front of the SOA before.
    From,
    /// Among the records that go, at an offset.
    Deleted(usize),
    /// In front of the SOA behind.
    To,
    /// Among the records that come, at an offset.
    Added(usize),
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    First,
    Between,
    Last,
    End,
}

/// A transfer under way.
#[derive(Debug)]
pub struct Outgoing {
    zone: Arc<Zone>,
    soa: Soa,
    envelope: Envelope,
    content: Content,
    stage: Stage,
    is_first_message: bool,
    suffixes: Box<Suffixes>,
}

/// A message has no room for the next record.
struct Full;

/// Puts records into messages, and counts them.
struct Writer<'m> {
    packer: Packer<'m>,
    count: u16,
    count_max: u16,
}

impl Writer<'_> {
    /// Puts a record, or leaves the message as it was.
    fn put(&mut self, record: &Record<'_>) -> Result<(), Full> {
        if self.count == self.count_max {
            return Err(Full);
        }
        let before = self.packer.length();
        let mut head = [0; 8];
        head[..2].copy_from_slice(&record.rtype.0.to_be_bytes());
        head[2..4].copy_from_slice(&Class::IN.0.to_be_bytes());
        head[4..].copy_from_slice(&record.ttl.to_be_bytes());
        if self.packer.push_record(record.owner, &head, record.rdata).is_none() {
            self.packer.take_back(before);
            return Err(Full);
        }
        self.count += 1;
        Ok(())
    }
}

impl Outgoing {
    /// Sends a whole zone.
    pub fn whole(zone: Arc<Zone>, envelope: Envelope) -> Self {
        Self::new(zone, envelope, Content::Whole(NodePlace::default()))
    }

    /// Sends the changes that led to this version.
    pub fn changes(zone: Arc<Zone>, steps: StepsFrom, envelope: Envelope) -> Self {
        Self::new(zone, envelope, Content::Changes { steps, under_way: None })
    }

    /// The version that is sent.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether all of it is sent, and not changes.
    pub fn is_whole(&self) -> bool {
        matches!(self.content, Content::Whole(_))
    }

    fn new(zone: Arc<Zone>, envelope: Envelope, content: Content) -> Self {
        let (soa, suffixes) = (Soa::of(&zone), Suffixes::exact(zone.seed()));
        Self { zone, soa, envelope, content, stage: Stage::First, is_first_message: true, suffixes: Box::new(suffixes) }
    }

    /// Writes the next message to the start of `message`, which has [`MESSAGE_BYTES_MAX`] octets, and signs it at `now`
    /// (seconds since the Unix epoch). Returns its length; `None` behind the last, and where a record is too long for
    /// any message: then the closing SOA was never sent.
    pub fn write_next(&mut self, now: u64, message: &mut [u8]) -> Option<usize> {
        if self.stage == Stage::End {
            return None;
        }
        let question = if self.is_first_message { &self.envelope.question[..] } else { &[] };
        let opt = if self.is_first_message { &self.envelope.opt[..] } else { &[] };
        let start = HEADER_BYTES + question.len();
        message[HEADER_BYTES..start].copy_from_slice(question);
        let reserved = opt.len() + self.envelope.signer.as_ref().map_or(0, Signer::record_bytes_max);
        let question_count = u16::from(!question.is_empty());
        let (mut end, count) = [(MESSAGE_BYTES_GOOD, u16::MAX), (MESSAGE_BYTES_MAX, 1)].into_iter().find_map(
            |(bytes_max, count_max)| {
                let packer = Packer::behind(&mut message[..bytes_max - reserved], start, &mut self.suffixes);
                let mut writer = Writer { packer, count: 0, count_max };
                fill(&self.zone, &self.soa, &mut self.content, &mut self.stage, &mut writer);
                (writer.count > 0).then(|| (writer.packer.length(), writer.count))
            },
        )?;
        let opt = &self.envelope.opt[..opt.len()];
        message[end..end + opt.len()].copy_from_slice(opt);
        end += opt.len();
        let words = [self.envelope.id, self.envelope.flags, question_count, count, 0, u16::from(!opt.is_empty())];
        for (to, word) in message[..HEADER_BYTES].chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        self.is_first_message = false;
        Some(match &mut self.envelope.signer {
            Some(signer) => signer.sign(message, end, now),
            None => end,
        })
    }
}

/// Puts as many records as there is room for: none where the next one alone is too long.
fn fill(zone: &Zone, soa: &Soa, content: &mut Content, stage: &mut Stage, writer: &mut Writer<'_>) {
    let soa = soa.record(zone.apex());
    while *stage != Stage::End {
        let (put, next) = match stage {
            Stage::First => (writer.put(&soa), Stage::Between),
            Stage::Between => (content.put_all(zone, writer), Stage::Last),
            Stage::Last => (writer.put(&soa), Stage::End),
            Stage::End => break,
        };
        if put.is_err() {
            break;
        }
        *stage = next;
    }
}

impl Content {
    /// Puts all that is left.
    fn put_all(&mut self, zone: &Zone, writer: &mut Writer<'_>) -> Result<(), Full> {
        match self {
            Self::Whole(place) => {
                for (node, behind) in zone.nodes_from(place.cursor) {
                    put_node(node, &mut place.sent, writer)?;
                    *place = NodePlace { cursor: behind, sent: 0 };
                }
                Ok(())
            }
            Self::Changes { steps, under_way } => {
                while let Some((step, place)) =
                    under_way.take().or_else(|| steps.next().map(|step| (step, StepPlace::From)))
                {
                    let (step, place) = under_way.insert((step, place));
                    put_step(step, zone.apex(), place, writer)?;
                    *under_way = None;
                }
                Ok(())
            }
        }
    }
}

/// Puts the records of a node but the SOA, the first `sent` left out, and counts in `sent` those that were put.
fn put_node(node: Node<'_>, sent: &mut usize, writer: &mut Writer<'_>) -> Result<(), Full> {
    let mut skipped = 0;
    for rrset in node.rrsets() {
        for rrset in [rrset, rrset.as_signatures()] {
            let count = usize::from(rrset.record_count);
            if skipped + count > *sent && rrset.rtype != Type::SOA {
                put_rrset(node.name(), rrset, *sent - skipped, sent, writer)?;
            }
            skipped += count;
            *sent = (*sent).max(skipped);
        }
    }
    Ok(())
}

/// Puts the records of an RRset, the first `skip` left out.
fn put_rrset(
    owner: NameRef<'_>,
    rrset: Rrset<'_>,
    skip: usize,
    sent: &mut usize,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    for record in rrset.records().skip(skip) {
        let mut scratch = ArrayVec::<u8, NAMED_RDATA_BYTES_MAX>::new();
        let rdata = rrset.plain_rdata(owner.as_bytes(), &record, &mut scratch);
        writer.put(&Record { owner, rtype: rrset.rtype, ttl: record.ttl, rdata, position: None })?;
        *sent += 1;
    }
    Ok(())
}

/// Puts what is left of a change.
fn put_step(step: &Change, apex: NameRef<'_>, place: &mut StepPlace, writer: &mut Writer<'_>) -> Result<(), Full> {
    loop {
        *place = match *place {
            StepPlace::From => {
                writer.put(&step.from.record(apex))?;
                StepPlace::Deleted(0)
            }
            StepPlace::Deleted(at) => {
                for (record, behind) in step.deleted.iter_from(at) {
                    writer.put(&record)?;
                    *place = StepPlace::Deleted(behind);
                }
                StepPlace::To
            }
            StepPlace::To => {
                writer.put(&step.to.record(apex))?;
                StepPlace::Added(0)
            }
            StepPlace::Added(at) => {
                for (record, behind) in step.added.iter_from(at) {
                    writer.put(&record)?;
                    *place = StepPlace::Added(behind);
                }
                return Ok(());
            }
        };
    }
}
