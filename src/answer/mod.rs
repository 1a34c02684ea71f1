//! Query in, reply out: the one door of the hot path.
//!
//! Knows no socket, clock or log. What a message says is `wire`'s, where names stand is `zone`'s; which RCODE, flag,
//! record and option goes into a reply is decided here and nowhere else (RFC 1034 §4.3.2, RFC 6891, RFC 8906).

mod canary;
mod chaos;
mod code;
mod denial;
mod opt;
mod reply;
#[cfg(test)]
mod tests;
mod walk;

use core::net::IpAddr;

use crate::wire::message::{
    Edns, HEADER_BYTES, Header, OPCODE_QUERY, PLAIN_UDP_BYTES_MAX, Question, Trailer, flag, read_trailer,
};
use crate::wire::{Class, Type};
use crate::zone::hash::{LookupName, Starts};
use crate::zone::{Bucket, Place, Zone, ZoneSet};
use code::{ExtendedError, Rcode};
use opt::Opt;
use reply::Reply;
use walk::{Located, Outcome};

pub use crate::wire::message::MESSAGE_BYTES_MAX;
pub use canary::{Canary, NAME_BYTES as CANARY_NAME_BYTES, TRAILER_BYTES as STEER_TRAILER_BYTES};

/// What every answer is made from, finished and immutable: a worker takes one pointer to it per batch.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The zones that are served.
    pub zones: ZoneSet,
    /// What the operator set.
    pub settings: Settings,
}

/// What the operator set and an answer needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// NSID, `id.server` and `hostname.bind` (RFC 5001, RFC 4892); `None` hides all three.
    pub identity: Option<Vec<u8>>,
    /// `version.bind` and `version.server`; `None` hides both.
    pub version: Option<Vec<u8>>,
    /// The largest UDP reply in octets, and what our OPT record says (RFC 6891 §6.2.3): 512 to 4096.
    pub udp_payload_bytes_max: u16,
    /// The idle timeout that TCP clients are told (RFC 7828), in units of 100 ms.
    pub tcp_idle_timeout_100ms: u16,
    /// What proves that a worker answers; `None` where nobody asks for it.
    pub canary: Option<Canary>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { identity: None, version: None, udp_payload_bytes_max: 1232, tcp_idle_timeout_100ms: 100, canary: None }
    }
}

/// How the query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A stream with length prefixes (RFC 7766).
    Tcp,
}

/// Who asks, how, and whom: what an answer may depend on besides the query. `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// How the query came.
    pub transport: Transport,
    /// Where it came from.
    pub source: IpAddr,
    /// The number of the thread that answers: N of `udp-N`, or of `tcp-N` over TCP.
    pub worker: u16,
}

/// What is to be done with a query. `Copy`, and all that the counters need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the first `length` octets of the reply buffer.
    Reply {
        /// Octets of the reply.
        length: usize,
        /// The RCODE, extended ones included (0 to 4095).
        rcode: u16,
        /// QTYPE of the question; 0 where there was none.
        qtype: u16,
        /// Whether TC is set.
        is_truncated: bool,
    },
    /// Send nothing: too short for a header, or itself a response.
    Drop,
}

/// Answers one query.
///
/// `query` is the whole message without a length prefix. `reply` has room for the largest reply of the transport:
/// [`Settings::udp_payload_bytes_max`] octets, or [`MESSAGE_BYTES_MAX`] over TCP. Never blocks, never allocates.
///
/// # Panics
/// If `reply` is shorter than that.
pub fn respond(snapshot: &Snapshot, query: &[u8], asker: &Asker, reply: &mut [u8]) -> Verdict {
    Asked::read(snapshot, query).map_or(Verdict::Drop, |asked| asked.respond(snapshot, asker, reply))
}

/// The name that a query asks for, to look ahead at the zones: where there are very many, none of them is in the caches.
///
/// Whoever has several queries fetches the [`Self::places`] of all, then the [`Self::zones`] of all, and then reads each.
pub struct Outlook<'q>(LookupName<'q>);

impl<'q> Outlook<'q> {
    /// Reads the name; `None` where there is none.
    pub fn read(query: &'q [u8]) -> Option<Self> {
        read_question(query).map(|(_, name)| Self(name))
    }

    /// What the search for the zone reads first.
    pub fn places<'z>(&self, snapshot: &'z Snapshot) -> impl Iterator<Item = &'z Place> {
        snapshot.zones.places(&self.0)
    }

    /// The zones that it reads next; the places are read for that.
    pub fn zones<'z>(&self, snapshot: &'z Snapshot) -> impl Iterator<Item = &'z Zone> {
        self.places(snapshot).filter_map(|place| place.as_ref().map(|(_, zone)| &**zone))
    }
}

/// Reads the question, and its name as a search takes it; `None` where they cannot be read.
#[inline]
fn read_question(query: &[u8]) -> Option<(Question<'_>, LookupName<'_>)> {
    let mut starts = Starts::default();
    let question = Question::read_noting(query, |start| starts.note(start))?;
    Some((question, LookupName::noted(question.name, starts, &query[HEADER_BYTES..])))
}

/// A query that was read, and where the search for its answer will begin.
///
/// [`respond`] does all at once. Whoever has several queries reads them all first, fetches the [`Self::tops`] of all, then the
/// [`Self::heads`] of all, then what [`Self::sight`] tells, and then lets each [`Self::respond`]: what is not in the caches is
/// waited for three times, and not three times for each.
pub struct Asked<'q, 'z> {
    query: &'q [u8],
    /// The ID and the second word of the header.
    id: u16,
    flags: u16,
    /// What is asked, or the RCODE for a query that says nothing that can be answered.
    message: Result<Message<'q, 'z>, Rcode>,
}

/// What a query says that can be read.
struct Message<'q, 'z> {
    question: Question<'q>,
    edns: Option<Edns>,
    /// Where the answer is; `None` where it is not in a zone that is served.
    located: Option<Located<'z, 'q>>,
}

impl<'q, 'z> Asked<'q, 'z> {
    /// Reads a query. `None` for what is not to be answered: too short for a header, or itself a response, since two servers
    /// would otherwise answer each other for ever.
    #[inline]
    pub fn read(snapshot: &'z Snapshot, query: &'q [u8]) -> Option<Self> {
        let header = Header::read(query).filter(|header| !header.is_response())?;
        let Header { id, flags, counts } = header;
        let refused = |rcode| Some(Self { query, id, flags, message: Err(rcode) });
        if header.opcode() != OPCODE_QUERY {
            return refused(Rcode::NOTIMP);
        }
        let question = if counts[0] == 1 { read_question(query) } else { None };
        let Some((question, name)) = question else { return refused(Rcode::FORMERR) };
        let Ok(Trailer { edns }) = read_trailer(query, header, question.end()) else {
            return refused(Rcode::FORMERR);
        };
        let is_transfer = matches!(question.qtype, Type::AXFR | Type::IXFR);
        let located = match question.qclass {
            Class::IN | Class::ANY if !is_transfer => Located::find(&snapshot.zones, name, question.qtype),
            _ => None,
        };
        Some(Self { query, id, flags, message: Ok(Message { question, edns, located }) })
    }

    /// Where the answer is looked for, if that is a zone.
    fn located(&self) -> Option<&Located<'z, 'q>> {
        self.message.as_ref().ok()?.located.as_ref()
    }

    /// What the search for the answer reads first.
    #[inline]
    pub fn tops(&self) -> Option<[&'z Bucket; 2]> {
        self.located().map(|located| located.zone.tops(&located.trail))
    }

    /// What it reads next; the tops are read for that.
    #[inline]
    pub fn heads(&self) -> Option<[&'z [u8]; 2]> {
        self.located().map(|located| located.zone.heads(&located.trail))
    }

    /// What it will find, most likely; the heads are read for that.
    #[inline]
    pub fn sight(&mut self) -> Option<&'z [u8]> {
        let located = self.message.as_mut().ok()?.located.as_mut()?;
        located.zone.sight(&mut located.trail)
    }

    /// Answers, as [`respond`] does. `snapshot` is the one with which the query was read.
    pub fn respond(&self, snapshot: &'z Snapshot, asker: &Asker, reply: &mut [u8]) -> Verdict {
        let (settings, transport) = (&snapshot.settings, asker.transport);
        let Message { question, edns, .. } = match &self.message {
            Ok(message) => message,
            Err(rcode) => return self.refuse(*rcode, reply),
        };
        let limit = reply_bytes_max(settings, edns.as_ref(), transport);
        let mut opt = Opt::new(edns.as_ref(), settings, transport, limit - question.end());
        let mut draft = Reply::new(reply, self.query, question, limit - opt.len());
        let outcome = match edns {
            Some(Edns { version: 1.., .. }) => {
                Outcome { is_authoritative: false, ..Outcome::authoritative(Rcode::BADVERS) }
            }
            _ => {
                draft.wants_signatures = edns.is_some_and(|edns| edns.is_dnssec_ok);
                answer(snapshot, question, self.located(), asker, &mut draft)
            }
        };
        opt.conclude(outcome.rcode, outcome.extended_error, limit - draft.len());
        let flags = self.reply_flags(outcome.rcode)
            | if outcome.is_authoritative { flag::AA } else { 0 }
            | if outcome.is_truncated { flag::TC } else { 0 };
        let length = draft.finish(self.id, flags, &opt);
        Verdict::Reply { length, rcode: outcome.rcode.0, qtype: question.qtype.0, is_truncated: outcome.is_truncated }
    }

    /// The second word of a reply's header: QR set, OPCODE and RD as they came, all else clear (RFC 1035 §4.1.1).
    fn reply_flags(&self, rcode: Rcode) -> u16 {
        flag::QR | self.flags & (flag::OPCODE | flag::RD) | rcode.low()
    }

    /// Replies with a header alone: what stands behind it was not, or could not be, read.
    fn refuse(&self, rcode: Rcode, reply: &mut [u8]) -> Verdict {
        let words = [self.id, self.reply_flags(rcode), 0, 0, 0, 0];
        for (to, word) in reply[..HEADER_BYTES].chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        Verdict::Reply { length: HEADER_BYTES, rcode: rcode.0, qtype: 0, is_truncated: false }
    }
}

/// Decides what is asked for, and puts the answer into `draft`.
fn answer(
    snapshot: &Snapshot,
    question: &Question<'_>,
    located: Option<&Located<'_, '_>>,
    asker: &Asker,
    draft: &mut Reply<'_>,
) -> Outcome {
    #[cfg(feature = "panic-name")]
    assert_ne!(question.name.as_bytes(), b"\x05panic\x05fated\x04test\0", "the name that panics was asked for");
    match (question.qclass, question.qtype) {
        (Class::CH, _) => canary::answer(snapshot.settings.canary.as_ref(), question, asker, draft)
            .unwrap_or_else(|| chaos::answer(&snapshot.settings, question, draft)),
        (Class::IN | Class::ANY, Type::AXFR | Type::IXFR) => {
            Outcome { extended_error: Some(ExtendedError::PROHIBITED), ..Outcome::refused() }
        }
        (class @ (Class::IN | Class::ANY), qtype) => match located {
            // RFC 1035 §6.2: what stands for several classes is never authoritative.
            Some(located) => {
                let outcome = walk::walk(&snapshot.zones, located, qtype, draft);
                Outcome { is_authoritative: outcome.is_authoritative && class == Class::IN, ..outcome }
            }
            None => Outcome::refused(),
        },
        _ => Outcome::refused(),
    }
}

/// The most octets that the client takes and we send (RFC 1035 §4.2.1, RFC 6891 §6.2.3).
fn reply_bytes_max(settings: &Settings, edns: Option<&Edns>, transport: Transport) -> usize {
    match (transport, edns) {
        (Transport::Tcp, _) => MESSAGE_BYTES_MAX,
        (Transport::Udp, None) => PLAIN_UDP_BYTES_MAX,
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.payload_bytes_max.min(settings.udp_payload_bytes_max)).max(PLAIN_UDP_BYTES_MAX)
        }
    }
}
