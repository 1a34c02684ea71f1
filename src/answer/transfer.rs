//! Requests for whole zones and for what changed in them (RFC 5936, RFC 1995): who may have them, and in which form.
//!
//! Where peers part, NSD and BIND are followed: REFUSED with an extended error for who may not, NOTAUTH for what is no
//! zone of ours. What an incremental request lacks is never an error: the whole zone is sent.

use core::time::Duration;
use std::sync::Arc;

use crate::answer::code::Rcode;
use crate::answer::context::{RequestContext, Response, Transport};
use crate::answer::reply::{NamePosition, Reply, Section};
use crate::answer::request::Message;
use crate::answer::snapshot::Snapshot;
use crate::answer::status::Status;
use crate::answer::stream::{ReplyStream, StreamedTransfer};
use crate::transfer::{Outgoing, StepsFrom, is_serial_before};
use crate::wire::message::{HEADER_BYTES, Header};
use crate::wire::tsig::Key;
use crate::wire::{Name, NameRef, Type};
use crate::zone::Zone;

/// How a transfer is answered.
pub(super) enum Decision {
    /// Without any record.
    Refused(Status),
    /// With the SOA of the zone alone.
    Current(Arc<Zone>),
    /// With the whole zone.
    Whole(Arc<Zone>),
    /// With the changes since the version that the client has.
    Changes(Arc<Zone>, StepsFrom),
}

/// Decides about a request that is signed with `key`, if it is.
pub(super) fn decide(
    snapshot: &Snapshot,
    octets: &[u8],
    message: &Message<'_>,
    context: &RequestContext,
    key: Option<&Key>,
) -> Decision {
    let (is_incremental, name) = (message.qtype == Type::IXFR, message.name.name());
    if !is_incremental && context.transport == Transport::Udp {
        return Decision::Refused(Status::error(Rcode::FORMERR)); // RFC 5936 §4.2
    }
    let serial = if is_incremental { client_serial(octets, message) } else { None };
    if is_incremental && serial.is_none() {
        return Decision::Refused(Status::error(Rcode::FORMERR)); // RFC 1995 §3
    }
    let apex = snapshot.zones.search(&message.name, usize::MAX).filter(|apex| apex.name() == name);
    let Some(apex) = apex else { return Decision::Refused(Status::error(Rcode::NOTAUTH)) };
    let rules = &snapshot.transfers.settings(name).allow_transfer;
    // RFC 9103 §7.2: never over an older TLS, whoever asks.
    if context.tls.is_some_and(|tls| !tls.is_tls13)
        || !rules.allows(context.source.to_canonical(), key, context.tls, context.now)
    {
        return Decision::Refused(Status::prohibited());
    }
    let Some(zone) = apex.zone().map(Arc::clone) else { return Decision::Refused(Status::broken()) };
    match serial {
        None => Decision::Whole(zone),
        // A client that has what we have, or more, learns that; over UDP any learns only which is the current version.
        Some(serial) if context.transport == Transport::Udp || !is_serial_before(serial, zone.serial()) => {
            Decision::Current(zone)
        }
        Some(serial) => {
            let transfers = snapshot.transfers.find(name);
            let records_max = zone.record_count();
            match transfers.and_then(|known| known.journal.since(serial, zone.serial(), records_max)) {
                Some(steps) => Decision::Changes(zone, steps),
                None => Decision::Whole(zone),
            }
        }
    }
}

/// The serial of the version that the client of an incremental transfer has: that of the SOA in the authority section.
fn client_serial(octets: &[u8], message: &Message<'_>) -> Option<u32> {
    let counts = Header::read(octets)?.counts;
    if counts[1] != 0 || counts[2] == 0 {
        return None;
    }
    let (owner, head_at) = Name::read(octets, message.question().end()).ok()?;
    let head = octets.get(head_at..)?.first_chunk::<10>()?;
    let is_soa = head[..2] == Type::SOA.0.to_be_bytes() && owner.as_ref() == message.name.name();
    let end = head_at + 10 + usize::from(u16::from_be_bytes([head[8], head[9]]));
    let (_, rname_at) = Name::read(octets.get(..end)?, head_at + 10).ok().filter(|_| is_soa)?;
    let (_, serial_at) = Name::read(octets.get(..end)?, rname_at).ok()?;
    octets.get(serial_at..end)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Puts the SOA of a zone as the answer.
pub(super) fn put_soa(zone: &Zone, name: NameRef<'_>, draft: &mut Reply<'_>) -> Status {
    let soa = zone.apex_node().rrset(Type::SOA).expect("a zone has a SOA");
    let position = NamePosition { at: HEADER_BYTES, bytes: name.len() };
    let owner = draft.owner(position, name.len());
    match draft.put(Section::Answer, owner, &soa) {
        Ok(_) => Status::authoritative(Rcode::NOERROR),
        Err(_) => Status { is_truncated: true, ..Status::authoritative(Rcode::NOERROR) },
    }
}

/// The messages of a transfer.
#[derive(Debug)]
struct TransferStream(Outgoing);

impl ReplyStream for TransferStream {
    fn write_next(&mut self, now: Duration, message: &mut [u8]) -> Option<usize> {
        self.0.write_next(now.as_secs(), message)
    }

    fn transfer(&self) -> Option<StreamedTransfer> {
        let zone = self.0.zone();
        Some(StreamedTransfer { zone: zone.apex().to_name(), serial: zone.serial(), is_whole: self.0.is_whole() })
    }
}

/// Makes the messages of a transfer.
pub(super) fn stream(transfer: Outgoing, qtype: Type) -> Response {
    Response::Stream { rcode: Rcode::NOERROR.0, qtype: qtype.0, messages: Box::new(TransferStream(transfer)) }
}
