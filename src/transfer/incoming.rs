//! The messages of a transfer → a zone, or changes of one (RFC 5936 §2.2, RFC 1995 §4), whatever a primary sends.
//!
//! Nothing of a transfer may be used before [`Incoming::finish`] gives it: until then its end, and the signature of its
//! last message, are missing. Letter for letter as peers send it: AA is not needed, nor a question; a record may stand
//! in a message of its own; records in other sections are passed over.

use super::change::{Change, Records, Soa, is_serial_before};
use super::settings::TransferLimits;
use crate::wire::message::{Header, Question, Trailer, read_trailer};
use crate::wire::tsig::{TsigError, Verifier};
use crate::wire::{Class, Name, NameError, NameRef, Type, rdata};
use crate::zonebuild::{Builder, Record, Sink};

/// The most messages of a transfer without a record. A stream of such would otherwise never end.
const EMPTY_MESSAGES_MAX: usize = 100;
/// From so many records on a zone is one that several threads put together.
const RECORDS_MANY: u64 = 30_000;
/// The highest TTL; one above it counts as 0 (RFC 2181 §8).
const TTL_MAX: u32 = i32::MAX as u32;
/// Octets of type, class, TTL and RDLENGTH.
const HEAD_BYTES: usize = 10;

/// Why a transfer is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The primary refuses, or fails.
    #[error("the primary answers {}", rcode_word(*.0))]
    Refused(u16),
    /// A signature is missing or wrong.
    #[error(transparent)]
    Signature(#[from] TsigError),
    /// The message is not a response to what was asked.
    #[error("the message is no response to the question")]
    NoResponse,
    /// TC is set, which no message of a transfer has.
    #[error("a message is truncated")]
    Truncated,
    /// The message ends within a record, or names cannot be read.
    #[error("a message cannot be read")]
    Malformed,
    /// A record's data is not what its type has.
    #[error("a record of type {0} has malformed data")]
    BadData(Type),
    /// A record is of a type that stands in no zone.
    #[error("a record of type {0}, which no zone has")]
    NoData(Type),
    /// A record is of another class.
    #[error("a record of type {0} is not of class IN")]
    WrongClass(Type),
    /// The first record is not the zone's SOA.
    #[error("the first record is not the SOA of the zone")]
    NoSoa,
    /// A SOA within changes does not follow.
    #[error("the SOA with serial {found} stands where serial {expected} must be")]
    WrongOrder {
        /// The serial that is there.
        found: u32,
        /// The serial that should be.
        expected: u32,
    },
    /// The zone's last SOA is not its first.
    #[error("the last SOA differs from the first")]
    OtherSoa,
    /// Records stand behind the last SOA.
    #[error("records stand behind the last SOA")]
    BehindEnd,
    /// The connection ended before the transfer did.
    #[error("the SOA is missing at the end")]
    Unfinished,
    /// More octets than are allowed.
    #[error("the transfer has more than {0} octets (transfer-octets-max)")]
    TooManyOctets(u64),
    /// More records than are allowed.
    #[error("the transfer has more than {0} records (transfer-records-max)")]
    TooManyRecords(u64),
    /// Too many messages without records.
    #[error("more than {EMPTY_MESSAGES_MAX} messages have no record")]
    Empty,
    /// The primary has an older version than we have.
    #[error("the primary has serial {0}, which is before ours")]
    Older(u32),
}

/// An RCODE for people.
pub(super) fn rcode_word(rcode: u16) -> String {
    let word = match rcode {
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        9 => "NOTAUTH",
        16 => "BADVERS",
        other => return format!("with RCODE {other}"),
    };
    word.to_owned()
}

/// What came.
pub enum Received {
    /// The version that we have is the current one.
    Current,
    /// All records of a version.
    Whole {
        /// They, to be built.
        builder: Box<Builder>,
        /// The SOA.
        soa: Soa,
    },
    /// Changes from the version that we have, one after the other.
    Changes(Vec<Change>),
}

/// Records of other zones, which are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// How many.
    pub count: usize,
    /// The owner of the first.
    pub first: Option<Name>,
}

/// How far a transfer is.
enum Stage {
    /// Nothing came.
    Begun,
    /// The first SOA came; what follows says whether the zone comes whole.
    Undecided,
    /// Records of the whole zone.
    Whole(Box<Builder>),
    /// Changes, the last of which is under way.
    Changes(Vec<Change>, Part),
    /// The last SOA came.
    Ended(Received),
}

/// Which part of a change is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Deleted,
    Added,
}

/// A transfer that comes in.
pub struct Incoming {
    zone: Name,
    id: u16,
    /// The serial of our version, where changes were asked for.
    serial: Option<u32>,
    limits: TransferLimits,
    verifier: Option<Verifier>,
    /// Makes the builder of a whole zone.
    builder: Option<Box<Builder>>,
    stage: Stage,
    soa: Option<Soa>,
    octets: u64,
    /// Octets of the records with all names written out, which is what they take in memory.
    octets_expanded: u64,
    records: u64,
    empty_messages: usize,
    foreign: Foreign,
    /// What the primary says of the expiry (RFC 7314), in seconds.
    expire: Option<u32>,
}

impl Incoming {
    /// Waits for the response to the request for that zone with this ID: for changes since `serial`, or for all of it.
    /// `builder` takes a whole zone.
    pub fn new(
        zone: NameRef<'_>,
        id: u16,
        serial: Option<u32>,
        limits: TransferLimits,
        verifier: Option<Verifier>,
        builder: Builder,
    ) -> Self {
        Self {
            zone: zone.to_name(),
            id,
            serial,
            limits,
            verifier,
            builder: Some(Box::new(builder.with_lowest_ttls())),
            stage: Stage::Begun,
            soa: None,
            octets: 0,
            octets_expanded: 0,
            records: 0,
            empty_messages: 0,
            foreign: Foreign::default(),
            expire: None,
        }
    }

    /// Octets so far.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Records that were dropped because they belong to other zones.
    pub fn foreign(&self) -> Foreign {
        self.foreign
    }

    /// In how many seconds the zone expires, if the primary says so.
    pub fn expire(&self) -> Option<u32> {
        self.expire
    }

    /// The serial that the primary has, as soon as it is known.
    pub fn primary_serial(&self) -> Option<u32> {
        self.soa.as_ref().map(Soa::serial)
    }

    /// Takes the next message, received at `now` (seconds since the Unix epoch). Whether it was the last.
    ///
    /// # Errors
    /// [`TransferError`]; then the connection is of no use any more.
    pub fn take(&mut self, message: &[u8], now: u64) -> Result<bool, TransferError> {
        if matches!(self.stage, Stage::Ended(_)) {
            return Err(TransferError::BehindEnd);
        }
        self.octets += message.len() as u64;
        if self.octets > self.limits.octets_max {
            return Err(TransferError::TooManyOctets(self.limits.octets_max));
        }
        let (header, at, trailer) = self.read_head(message)?;
        let refused = rcode_of(header, trailer);
        if let Some(verifier) = &mut self.verifier {
            let tsig = trailer.tsig(message).zip(trailer.tsig_at).map(|(tsig, at)| (usize::from(at.get()), tsig));
            match verifier.take(message, tsig.as_ref().map(|(at, tsig)| (*at, tsig)), now) {
                // What refuses without a signature says more by its RCODE than by what it lacks.
                Err(TsigError::Missing) if refused != 0 => return Err(TransferError::Refused(refused)),
                taken => taken?,
            }
        } else if trailer.tsig_at.is_some() && refused == 0 {
            return Err(TransferError::NoResponse);
        }
        if refused != 0 {
            return Err(TransferError::Refused(refused));
        }
        self.expire = self.expire.or(trailer.edns.and_then(|edns| edns.expire));
        let answers = header.counts[1];
        if answers == 0 {
            self.empty_messages += 1;
            return match self.stage {
                Stage::Begun => Err(TransferError::NoSoa),
                _ if self.empty_messages > EMPTY_MESSAGES_MAX => Err(TransferError::Empty),
                _ => Ok(false),
            };
        }
        self.take_records(message, at, answers)?;
        self.end_if_current()?;
        Ok(matches!(self.stage, Stage::Ended(_)))
    }

    /// Gives what came, if it came whole, and its last message was signed where the first had to be.
    ///
    /// # Errors
    /// [`TransferError::Unfinished`] and [`TransferError::Signature`].
    pub fn finish(self) -> Result<Received, TransferError> {
        let Stage::Ended(received) = self.stage else { return Err(TransferError::Unfinished) };
        match self.verifier {
            Some(verifier) if !verifier.is_signed() => Err(TsigError::Missing.into()),
            _ => Ok(received),
        }
    }

    /// Reads the header, the question and what stands behind the answers; returns where those start.
    fn read_head(&self, message: &[u8]) -> Result<(Header, usize, Trailer), TransferError> {
        let header = Header::read(message).filter(|header| header.is_response() && header.id == self.id);
        let header = header.filter(|header| header.opcode() == 0).ok_or(TransferError::NoResponse)?;
        if header.is_truncated() {
            return Err(TransferError::Truncated);
        }
        let at = match header.counts[0] {
            0 => crate::wire::message::HEADER_BYTES,
            1 => {
                let question = Question::read(message, |_| {}).ok_or(TransferError::Malformed)?;
                // The type may be that of another form of the answer.
                let is_ours = question.name == self.zone.as_ref() && question.qclass == Class::IN;
                if !is_ours || !matches!(question.qtype, Type::AXFR | Type::IXFR) {
                    return Err(TransferError::NoResponse);
                }
                question.end()
            }
            _ => return Err(TransferError::Malformed),
        };
        let trailer = read_trailer(message, header, at).map_err(|_| TransferError::Malformed)?;
        Ok((header, at, trailer))
    }

    /// Takes the records of the answer section.
    fn take_records(&mut self, message: &[u8], mut at: usize, count: u16) -> Result<(), TransferError> {
        let mut plain = Vec::new();
        for _ in 0..count {
            let (owner, head_at) = Name::read(message, at).map_err(|_: NameError| TransferError::Malformed)?;
            let head = message.get(head_at..).and_then(|rest| rest.first_chunk::<HEAD_BYTES>());
            let &[t0, t1, c0, c1, l0, l1, l2, l3, r0, r1] = head.ok_or(TransferError::Malformed)?;
            let (rtype, class) = (Type(u16::from_be_bytes([t0, t1])), Class(u16::from_be_bytes([c0, c1])));
            let (start, length) = (head_at + HEAD_BYTES, usize::from(u16::from_be_bytes([r0, r1])));
            at = start + length;
            if message.len() < at {
                return Err(TransferError::Malformed);
            }
            if class != Class::IN {
                return Err(TransferError::WrongClass(rtype));
            }
            if rtype.is_meta() {
                return Err(TransferError::NoData(rtype));
            }
            self.records += 1;
            if self.records > self.limits.records_max {
                return Err(TransferError::TooManyRecords(self.limits.records_max));
            }
            plain.clear();
            let read = rdata::decompress(rtype, message, start, length, &mut plain);
            read.map_err(|_| TransferError::BadData(rtype))?;
            self.octets_expanded += (owner.as_ref().len() + HEAD_BYTES + plain.len()) as u64;
            if self.octets_expanded > self.limits.octets_max {
                return Err(TransferError::TooManyOctets(self.limits.octets_max));
            }
            let ttl = Some(u32::from_be_bytes([l0, l1, l2, l3])).filter(|ttl| *ttl <= TTL_MAX).unwrap_or(0);
            self.take_record(&Record { owner: owner.as_ref(), rtype, ttl, rdata: &plain, position: None })?;
        }
        Ok(())
    }

    /// Takes one record.
    fn take_record(&mut self, record: &Record<'_>) -> Result<(), TransferError> {
        if matches!(self.stage, Stage::Ended(_)) {
            return Err(TransferError::BehindEnd);
        }
        if !record.owner.is_at_or_below(self.zone.as_ref()) {
            self.foreign.count += 1;
            self.foreign.first.get_or_insert(record.owner.to_name());
            return if matches!(self.stage, Stage::Begun) { Err(TransferError::NoSoa) } else { Ok(()) };
        }
        let soa = (record.rtype == Type::SOA && record.owner == self.zone.as_ref())
            .then(|| Soa::new(record.ttl, record.rdata))
            .flatten();
        let stage = std::mem::replace(&mut self.stage, Stage::Undecided);
        self.stage = match (stage, &self.soa, soa) {
            (Stage::Begun, _, Some(soa)) => {
                self.soa = Some(soa);
                Stage::Undecided
            }
            (Stage::Begun, ..) => return Err(TransferError::NoSoa),
            (Stage::Undecided, Some(last), found) => self.decide(record, last.clone(), found)?,
            (Stage::Whole(builder), Some(last), Some(soa)) => end_of_whole(builder, last, soa)?,
            (Stage::Whole(mut builder), ..) => {
                if self.records == RECORDS_MANY {
                    builder.expect_many();
                }
                builder.take(record);
                Stage::Whole(builder)
            }
            (Stage::Changes(changes, part), Some(last), Some(soa)) => turn(changes, part, last, soa)?,
            (Stage::Changes(mut changes, part), _, None) => {
                let change = changes.last_mut().expect("one is under way");
                if part == Part::Deleted {
                    change.deleted.push(record)
                } else {
                    change.added.push(record)
                }
                Stage::Changes(changes, part)
            }
            (Stage::Undecided | Stage::Changes(..), None, _) => return Err(TransferError::NoSoa),
            (Stage::Ended(_), ..) => return Err(TransferError::BehindEnd),
        };
        Ok(())
    }

    /// Learns from the record behind the first SOA whether changes come.
    fn decide(&mut self, record: &Record<'_>, last: Soa, found: Option<Soa>) -> Result<Stage, TransferError> {
        if self.serial.is_some_and(|serial| is_older(last.serial(), serial)) {
            return Err(TransferError::Older(last.serial()));
        }
        match (self.serial, found) {
            (Some(serial), Some(soa)) if soa.serial() != last.serial() => {
                if soa.serial() != serial {
                    return Err(TransferError::WrongOrder { found: soa.serial(), expected: serial });
                }
                Ok(Stage::Changes(vec![begun(soa)], Part::Deleted))
            }
            (_, found) => {
                let mut builder = self.builder.take().ok_or(TransferError::NoSoa)?;
                builder.take(&last.record(self.zone.as_ref()));
                match found {
                    Some(soa) => end_of_whole(builder, &last, soa),
                    None => {
                        builder.take(record);
                        Ok(Stage::Whole(builder))
                    }
                }
            }
        }
    }

    /// Ends a transfer of one SOA alone that says that there is nothing new.
    fn end_if_current(&mut self) -> Result<(), TransferError> {
        let (Stage::Undecided, Some(serial), Some(soa)) = (&self.stage, self.serial, &self.soa) else { return Ok(()) };
        if soa.serial() == serial {
            self.stage = Stage::Ended(Received::Current);
        } else if is_older(soa.serial(), serial) {
            return Err(TransferError::Older(soa.serial()));
        }
        Ok(())
    }
}

/// Whether a serial is before ours, and not also behind it.
fn is_older(serial: u32, ours: u32) -> bool {
    serial != ours && !is_serial_before(ours, serial)
}

/// The RCODE of the header, and its upper bits in the OPT record.
fn rcode_of(header: Header, trailer: Trailer) -> u16 {
    header.flags & 0xF | trailer.edns.map_or(0, |edns| u16::from(edns.extended_rcode) << 4)
}

/// A change of which only the SOA before is known: the one behind stands for it until then.
fn begun(soa: Soa) -> Change {
    Change { from: soa.clone(), to: soa, deleted: Records::default(), added: Records::default() }
}

/// Ends a whole zone at its last SOA.
fn end_of_whole(builder: Box<Builder>, first: &Soa, last: Soa) -> Result<Stage, TransferError> {
    if !first.is_same(&last) {
        return Err(TransferError::OtherSoa);
    }
    Ok(Stage::Ended(Received::Whole { builder, soa: last }))
}

/// Goes on at a SOA within changes: to what comes, to the next change, or to the end.
fn turn(mut changes: Vec<Change>, part: Part, last: &Soa, soa: Soa) -> Result<Stage, TransferError> {
    let change = changes.last_mut().expect("one is under way");
    if part == Part::Deleted {
        let before = change.from.serial();
        if !is_serial_before(before, soa.serial()) {
            return Err(TransferError::WrongOrder { found: soa.serial(), expected: before.wrapping_add(1) });
        }
        change.to = soa;
        return Ok(Stage::Changes(changes, Part::Added));
    }
    let expected = change.to.serial();
    if soa.serial() != expected {
        return Err(TransferError::WrongOrder { found: soa.serial(), expected });
    }
    // The last SOA stands where the next change would begin with it.
    if expected == last.serial() {
        let is_same = change.to.is_same(last) && soa.is_same(last);
        return if is_same { Ok(Stage::Ended(Received::Changes(changes))) } else { Err(TransferError::OtherSoa) };
    }
    changes.push(begun(soa));
    Ok(Stage::Changes(changes, Part::Deleted))
}
