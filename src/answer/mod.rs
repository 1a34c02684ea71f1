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
use core::num::NonZeroU16;

use crate::wire::message::{
    Edns, HEADER_BYTES, Header, OPCODE_QUERY, OPT_BYTES, PLAIN_UDP_BYTES_MAX, Question, Trailer, flag, read_trailer,
};
use crate::wire::tsig::{BADKEY, Tsig};
use crate::wire::{Class, Type};
use crate::zone::hash::{LookupName, NameHash, Starts};
use crate::zone::node::Node;
use crate::zone::{Bucket, Entry, Located, Names, Place, Trail, Zone, ZoneSet};
use code::{ExtendedError, Rcode};
use opt::Opt;
use reply::Reply;
use walk::{Outcome, Scope};

pub use crate::wire::message::MESSAGE_BYTES_MAX;
pub use canary::{
    Canary, Claim, NAME_BYTES as CANARY_NAME_BYTES, TOKEN_BYTES as PROBE_TOKEN_BYTES,
    TRAILER_BYTES as STEER_TRAILER_BYTES,
};

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
    /// Whether an alias of one zone is followed into another that is served too: for those who own them all.
    pub follow_across_zones: bool,
    /// What proves that a worker answers; `None` where nobody asks for it.
    pub canary: Option<Canary>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            identity: None,
            version: None,
            udp_payload_bytes_max: 1232,
            tcp_idle_timeout_100ms: 100,
            follow_across_zones: false,
            canary: None,
        }
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
    Asked::read(query).map_or(Verdict::Drop, |mut asked| asked.respond(snapshot, asker, reply))
}

/// A query that was read, and as much of the search for its answer as was done.
///
/// [`respond`] does all at once. Whoever has several queries reads them all first, takes each step of the search with all, and lets
/// what the next one reads be fetched meanwhile: the [`Self::tops`] that [`Self::locate`] leads to, the [`Self::heads`], what
/// [`Self::sight`] tells, and where the [`Self::leads`] go. What is not in the caches is then waited for once a step, and not once
/// for each. Where there are very many zones, the [`Self::places`] of all and then the zones there come first.
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
    name: LookupName<'q>,
    qtype: Type,
    qclass: Class,
    edns: Option<Edns>,
    /// Where the TSIG record starts in the query.
    tsig_at: Option<NonZeroU16>,
    search: Search<'z>,
}

/// How far the search for an answer is.
enum Search<'z> {
    /// It has not begun.
    Ahead,
    /// Nothing that is asked for is in a zone that is served.
    Nowhere,
    /// It is in a zone that should be served and can't.
    Broken,
    /// In this zone, with these first steps.
    Within(&'z Zone, Trail<'z>),
}

impl<'q, 'z> Message<'q, 'z> {
    /// Reads what stands behind the header.
    ///
    /// # Errors
    /// The RCODE that says what is wrong.
    #[inline]
    fn read(query: &'q [u8], header: Header) -> Result<Self, Rcode> {
        if header.opcode() != OPCODE_QUERY {
            return Err(Rcode::NOTIMP);
        }
        if header.counts[0] != 1 {
            return Err(Rcode::FORMERR);
        }
        let mut starts = Starts::default();
        let question = Question::read(query, |start| starts.note(start)).ok_or(Rcode::FORMERR)?;
        let Trailer { edns, tsig_at } = read_trailer(query, header, question.end()).map_err(|_| Rcode::FORMERR)?;
        let Question { name, qtype, qclass } = question;
        let name = LookupName::noted(name, starts, &query[HEADER_BYTES..]);
        Ok(Self { name, qtype, qclass, edns, tsig_at, search: Search::Ahead })
    }

    /// The question.
    fn question(&self) -> Question<'q> {
        Question { name: self.name.name(), qtype: self.qtype, qclass: self.qclass }
    }

    /// Whether the question is one for a zone: of a class that zones have, and not for a transfer.
    fn is_for_zones(&self) -> bool {
        matches!(self.qclass, Class::IN | Class::ANY) && !matches!(self.qtype, Type::AXFR | Type::IXFR)
    }
}

impl<'q, 'z> Asked<'q, 'z> {
    /// Reads a query. `None` for what is not to be answered: too short for a header, or itself a response, since two servers
    /// would otherwise answer each other for ever.
    #[inline]
    pub fn read(query: &'q [u8]) -> Option<Self> {
        let header = Header::read(query).filter(|header| !header.is_response())?;
        Some(Self { query, id: header.id, flags: header.flags, message: Message::read(query, header) })
    }

    /// What the search for the zone reads first: where it is told which zone that is.
    pub fn places(&self, zones: &'z ZoneSet) -> impl Iterator<Item = &'z Place> {
        self.message.iter().flat_map(|message| zones.places(&message.name))
    }

    /// Finds the zone, unless that was done. `last` is what was found for the query before, if anything was.
    #[inline]
    pub fn locate(&mut self, zones: &'z ZoneSet, last: &mut Option<&'z Entry>) {
        let Ok(message) = &mut self.message else { return };
        if matches!(message.search, Search::Ahead) {
            let found =
                if message.is_for_zones() { walk::locate(zones, &message.name, message.qtype, last) } else { None };
            message.search = match found {
                Some(Located::Within(zone, trail)) => Search::Within(zone, trail),
                Some(Located::Broken) => Search::Broken,
                None => Search::Nowhere,
            };
        }
    }

    /// The zone in which the answer is looked for, and the first steps there.
    #[inline]
    fn within(&mut self) -> Option<(&'z Zone, &mut Trail<'z>)> {
        match &mut self.message {
            Ok(Message { search: Search::Within(zone, trail), .. }) => Some((zone, trail)),
            _ => None,
        }
    }

    /// What the search for the answer reads first.
    #[inline]
    pub fn tops(&mut self) -> Option<[&'z Bucket; 2]> {
        self.within().map(|(zone, trail)| zone.tops(trail))
    }

    /// What it reads next; the tops are read for that.
    #[inline]
    pub fn heads(&mut self) -> Option<[&'z [u8]; 2]> {
        self.within().map(|(zone, trail)| zone.heads(trail))
    }

    /// What it will find, most likely; the heads are read for that.
    #[inline]
    pub fn sight(&mut self) -> Option<Node<'z>> {
        self.within().and_then(|(zone, trail)| zone.sight(trail))
    }

    /// The other names that are looked for because of that, by their hashes, and where; what was sighted is read for that.
    #[inline]
    pub fn leads(&self) -> Option<(&'z Names, impl Iterator<Item = NameHash> + use<'z>)> {
        let Ok(Message { search: Search::Within(zone, trail), qtype, .. }) = &self.message else { return None };
        let lead = zone.lead(trail, *qtype)?;
        Some((zone.names(), lead.targets().map(|target| target.hash)))
    }

    /// Answers, as [`respond`] does. `snapshot` has the zones with which the search began, if it did.
    pub fn respond(&mut self, snapshot: &'z Snapshot, asker: &Asker, reply: &mut [u8]) -> Verdict {
        self.locate(&snapshot.zones, &mut snapshot.zones.only());
        let message = match &self.message {
            Ok(message) => message,
            Err(rcode) => return self.refuse(*rcode, reply),
        };
        let (settings, transport, edns) = (&snapshot.settings, asker.transport, message.edns.as_ref());
        if let Some(at) = message.tsig_at
            && edns.is_none_or(is_known_version)
        {
            return self.refuse_key(at, settings, asker, reply);
        }
        let question = message.question();
        let limit = reply_bytes_max(settings, edns, transport);
        let mut opt = Opt::new(edns, settings, transport, limit - question.end());
        let mut draft = Reply::new(reply, self.query, &question, limit - opt.len());
        let outcome = match edns {
            Some(edns) if !is_known_version(edns) => Outcome::error(Rcode::BADVERS),
            _ => {
                draft.wants_signatures = edns.is_some_and(|edns| edns.is_dnssec_ok);
                answer(snapshot, self.query, message, asker, &mut draft)
            }
        };
        opt.conclude(outcome.rcode, outcome.extended_error, limit - draft.len());
        let flags = self.reply_flags(outcome.rcode)
            | if outcome.is_authoritative { flag::AA } else { 0 }
            | if outcome.is_truncated { flag::TC } else { 0 };
        let length = draft.finish(self.id, flags, &opt);
        Verdict::Reply { length, rcode: outcome.rcode.0, qtype: question.qtype.0, is_truncated: outcome.is_truncated }
    }

    /// Replies to a query that is signed with a key, of which none is known: NOTAUTH, and why in a TSIG record that is not signed
    /// (RFC 8945 §5.2.1, §5.3.2). Where that has no room, TC tells to ask over TCP.
    #[cold]
    fn refuse_key(&self, at: NonZeroU16, settings: &Settings, asker: &Asker, reply: &mut [u8]) -> Verdict {
        let (Ok(message), Some(tsig)) = (&self.message, Tsig::read(self.query, at.get().into())) else {
            return self.refuse(Rcode::FORMERR, reply);
        };
        let (question, edns) = (message.question(), message.edns.as_ref());
        let limit = reply_bytes_max(settings, edns, asker.transport);
        let room = (limit - question.end()).checked_sub(tsig.refusal_bytes());
        let is_truncated = room.is_none_or(|room| room < OPT_BYTES);
        let opt = Opt::new(edns, settings, asker.transport, room.filter(|_| !is_truncated).unwrap_or(OPT_BYTES));
        let draft = Reply::new(reply, self.query, &question, limit - opt.len());
        let flags = self.reply_flags(Rcode::NOTAUTH) | if is_truncated { flag::TC } else { 0 };
        let mut length = draft.finish(self.id, flags, &opt);
        if !is_truncated {
            let end = length + tsig.refusal_bytes();
            tsig.write_refusal(self.id, BADKEY, &mut reply[length..end]);
            reply[HEADER_BYTES - 1] += 1; // ARCOUNT: OPT at most stood there.
            length = end;
        }
        Verdict::Reply { length, rcode: Rcode::NOTAUTH.0, qtype: message.qtype.0, is_truncated }
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
    query: &[u8],
    message: &Message<'_, '_>,
    asker: &Asker,
    draft: &mut Reply<'_>,
) -> Outcome {
    #[cfg(feature = "panic-name")]
    assert_ne!(message.name.name().as_bytes(), b"\x05panic\x05fated\x04test\0", "the name that panics was asked for");
    match (message.qclass, message.qtype, &message.search) {
        (Class::CH, ..) => canary::answer(snapshot.settings.canary.as_ref(), query, &message.question(), asker, draft)
            .unwrap_or_else(|| chaos::answer(&snapshot.settings, &message.question(), draft)),
        (Class::IN | Class::ANY, Type::AXFR | Type::IXFR, _) => {
            Outcome { extended_error: Some(ExtendedError::PROHIBITED), ..Outcome::refused() }
        }
        (class @ (Class::IN | Class::ANY), qtype, Search::Within(zone, trail)) => {
            let scope = Scope { zones: &snapshot.zones, is_across: snapshot.settings.follow_across_zones };
            let outcome = walk::walk(scope, (zone, trail), &message.name, qtype, draft);
            // RFC 1035 §6.2: what stands for several classes is never authoritative.
            Outcome { is_authoritative: outcome.is_authoritative && class == Class::IN, ..outcome }
        }
        (Class::IN | Class::ANY, _, Search::Broken) => Outcome::broken(),
        _ => Outcome::refused(),
    }
}

/// Whether what the query says by EDNS can be understood (RFC 6891 §6.1.3).
fn is_known_version(edns: &Edns) -> bool {
    edns.version == 0
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
