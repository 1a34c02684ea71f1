//! One request from its octets to its response: each kind of [`Request`] has its own way here.

use std::sync::Arc;

use crate::answer::chaos;
use crate::answer::code::Rcode;
use crate::answer::context::{RequestContext, Response, Transport};
#[cfg(any(test, feature = "test-names"))]
use crate::answer::injected;
use crate::answer::opt::{Opt, OptExtras, ZoneVersion};
use crate::answer::reply::Reply;
use crate::answer::request::{Message, Request};
use crate::answer::snapshot::{Settings, Snapshot};
use crate::answer::status::Status;
use crate::answer::walk::{self, Scope};
use crate::wire::Class;
use crate::wire::message::{Edns, HEADER_BYTES, Header, MESSAGE_BYTES_MAX, PLAIN_UDP_BYTES_MAX, flag};
use crate::wire::tsig::Key;
use crate::zone::{Apex, LookupCursor, Names, NextRead, Slot, Zone, ZoneSet};

/// A request that was read, and as much of the search for its answer as was done.
///
/// [`respond`](crate::answer::respond) does all at once. Whoever has several requests reads them all first, lets each
/// [`Self::locate`] its zone and then [`Self::advance`] a step at a time, and fetches what that yields; then the
/// [`Self::target_cursors`] in the same way. What is not in the caches is then waited for once a step, and not once
/// for each request. Where there are very many zones, the [`Self::slots`] of all and then the zones there come first.
pub struct PendingQuery<'q, 'z> {
    pub(super) octets: &'q [u8],
    /// The ID and the second word of the header.
    pub(super) id: u16,
    flags: u16,
    pub(super) request: Request<'q>,
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
    /// In this zone, in which the search for the name is this far.
    Within(&'z Zone, LookupCursor<'z>),
}

impl<'q, 'z> PendingQuery<'q, 'z> {
    /// Reads a request. `None` for what is not to be answered: too short for a header, or itself a response, since two
    /// servers would otherwise answer each other for ever.
    #[inline]
    pub fn read(octets: &'q [u8]) -> Option<Self> {
        let header = Header::read(octets).filter(|header| !header.is_response())?;
        let request = Request::read(octets, header);
        Some(Self { octets, id: header.id, flags: header.flags, request, search: Search::Ahead })
    }

    /// The slots of the set of zones that the search for the zone reads first.
    pub fn slots(&self, zones: &'z ZoneSet) -> impl Iterator<Item = &'z Slot> {
        self.request.message().into_iter().flat_map(|message| zones.slots(&message.name))
    }

    /// Finds the zone, unless that was done. `last` is what was found for the query before, if anything was.
    #[inline]
    pub fn locate(&mut self, zones: &'z ZoneSet, last: &mut Option<&'z Apex>) {
        if !matches!(self.search, Search::Ahead) {
            return;
        }
        let apex = match &self.request {
            Request::Query(Message { name, qtype, qclass: Class::IN | Class::ANY, .. }) => {
                walk::locate(zones, name, *qtype, last).map(|apex| (apex.zone(), name))
            }
            _ => None,
        };
        self.search = match apex {
            Some((Some(zone), name)) => Search::Within(zone, zone.cursor(name)),
            Some((None, _)) => Search::Broken,
            None => Search::Nowhere,
        };
    }

    /// Takes one step of the search for the answer, and yields what the next step reads; see
    /// [`LookupCursor::advance`]. Nothing where no zone was found.
    #[inline]
    pub fn advance(&mut self) -> [Option<NextRead<'z>>; 2] {
        match &mut self.search {
            Search::Within(zone, cursor) => cursor.advance(zone.names()),
            _ => [None; 2],
        }
    }

    /// The searches for other names that follow from what was found, and the names of their zone; see
    /// [`Zone::target_cursors`].
    #[inline]
    pub fn target_cursors(&self) -> Option<(&'z Names, impl Iterator<Item = LookupCursor<'z>> + use<'z>)> {
        let (Request::Query(message), Search::Within(zone, cursor)) = (&self.request, &self.search) else {
            return None;
        };
        Some((zone.names(), zone.target_cursors(cursor, message.qtype)))
    }

    /// Answers, as [`respond`](crate::answer::respond) does. `snapshot` has the zones with which the search began, if
    /// it did.
    pub fn respond(&mut self, snapshot: &'z Arc<Snapshot>, context: &RequestContext, reply: &mut [u8]) -> Response {
        self.locate(&snapshot.zones, &mut snapshot.zones.only());
        let message = match self.request.message() {
            Ok(message) => message,
            Err(rcode) => return self.refuse(rcode, reply),
        };
        #[cfg(any(test, feature = "test-names"))]
        if let Some(response) = injected::respond(snapshot, self.octets, &message.question(), context) {
            return response;
        }
        let limit = reply_bytes_max(&snapshot.settings, message.trailer.edns.as_ref(), context.transport);
        if self.request.is_plain(message) {
            self.compose(message, snapshot, context, (reply, limit), OptExtras::default(), |draft| {
                self.answer(snapshot, message, context, None, draft)
            })
        } else {
            self.respond_specially(message, snapshot, context, (reply, limit))
        }
    }

    /// Writes a reply of at most so many octets, whose records `answer` puts; `extras` are what its OPT says of the
    /// zone.
    #[inline]
    pub(super) fn compose(
        &self,
        message: &Message<'_>,
        snapshot: &Snapshot,
        context: &RequestContext,
        (reply, limit): (&mut [u8], usize),
        extras: OptExtras,
        answer: impl FnOnce(&mut Reply<'_>) -> Status,
    ) -> Response {
        let (question, edns) = (message.question(), message.trailer.edns.as_ref());
        let mut opt = Opt::new(edns, &snapshot.settings, context.transport, limit - question.end());
        opt.set_facts(extras, limit - question.end());
        let mut draft = Reply::new(reply, self.octets, &question, limit - opt.len());
        let status = match edns {
            Some(edns) if !is_known_version(edns) => Status::error(Rcode::BADVERS),
            _ => {
                draft.wants_signatures = edns.is_some_and(|edns| edns.is_dnssec_ok);
                answer(&mut draft)
            }
        };
        opt.conclude(status.rcode, status.extended_error, limit - draft.len());
        if extras.is_padded {
            opt.pad(draft.len(), limit - draft.len());
        }
        let flags = self.reply_flags(status.rcode)
            | if status.is_authoritative { flag::AA } else { 0 }
            | if status.is_truncated { flag::TC } else { 0 };
        let length = draft.finish(self.id, flags, &opt);
        Response::Reply { length, rcode: status.rcode.0, qtype: question.qtype.0, is_truncated: status.is_truncated }
    }

    /// Puts the answer to a query, signed with `key` if it is, into `draft`.
    pub(super) fn answer(
        &self,
        snapshot: &Snapshot,
        message: &Message<'_>,
        context: &RequestContext,
        key: Option<&Key>,
        draft: &mut Reply<'_>,
    ) -> Status {
        match (message.qclass, &self.search) {
            (Class::CH, _) => chaos::answer(&snapshot.settings, self.octets, &message.question(), context, draft),
            (Class::IN | Class::ANY, Search::Within(zone, _))
                if snapshot.is_private(zone) && !may_have(snapshot, zone, context, key) =>
            {
                Status::prohibited()
            }
            (class @ (Class::IN | Class::ANY), Search::Within(zone, cursor)) => {
                let scope = Scope { zones: &snapshot.zones, is_across: snapshot.settings.follow_across_zones };
                let status = walk::answer(scope, (zone, cursor), &message.name, message.qtype, draft);
                // RFC 1035 §6.2: what stands for several classes is never authoritative.
                Status { is_authoritative: status.is_authoritative && class == Class::IN, ..status }
            }
            (Class::IN | Class::ANY, Search::Broken) => Status::broken(),
            _ => Status::refused(),
        }
    }

    /// The version of the zone that answers (RFC 9660 §3.2), that which refers or denies too. `None` where none does.
    pub(super) fn zone_version(&self) -> Option<ZoneVersion> {
        let Search::Within(zone, _) = &self.search else { return None };
        let label_count = u8::try_from(zone.apex().label_count()).ok()?;
        Some(ZoneVersion { label_count, serial: zone.serial() })
    }

    /// The second word of a reply's header: QR set, OPCODE and RD as they came, all else clear (RFC 1035 §4.1.1).
    pub(super) fn reply_flags(&self, rcode: Rcode) -> u16 {
        flag::QR | self.flags & (flag::OPCODE | flag::RD) | rcode.low()
    }

    /// Replies with a header alone: what stands behind it was not, or could not be, read.
    pub(super) fn refuse(&self, rcode: Rcode, reply: &mut [u8]) -> Response {
        let words = [self.id, self.reply_flags(rcode), 0, 0, 0, 0];
        for (to, word) in reply[..HEADER_BYTES].chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        Response::Reply { length: HEADER_BYTES, rcode: rcode.0, qtype: 0, is_truncated: false }
    }
}

/// Whether who asks may have a zone (RFC 9432 §6 asks that of catalogs).
#[cold]
fn may_have(snapshot: &Snapshot, zone: &Zone, context: &RequestContext, key: Option<&Key>) -> bool {
    let settings = snapshot.transfers.settings(zone.apex());
    settings.allow_transfer.allows(context.source.to_canonical(), key, context.tls, context.now)
}

/// Whether what the query says by EDNS can be understood (RFC 6891 §6.1.3).
pub(super) fn is_known_version(edns: &Edns) -> bool {
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
