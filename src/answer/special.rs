//! Requests besides plain queries: those that are signed, transfers, notifications.

use crate::answer::code::Rcode;
use crate::answer::context::{RequestContext, Response};
use crate::answer::opt::{Opt, OptExtras, ZoneVersion};
use crate::answer::query::{PendingQuery, is_known_version};
use crate::answer::request::{Message, Request};
use crate::answer::snapshot::Snapshot;
use crate::answer::status::Status;
use crate::answer::transfer::Decision;
use crate::answer::{notify, transfer};
use crate::transfer::{Envelope, Outgoing, Soa};
use crate::wire::Type;
use crate::wire::message::{HEADER_BYTES, OPT_BYTES, flag};
use crate::wire::tsig::{self, Signer, Tsig, TsigError};

/// Why a signed request is refused.
struct BadSignature<'m> {
    error: TsigError,
    tsig: Tsig<'m>,
    /// Signs the reply, where the request was signed with a key of ours.
    signer: Option<Signer>,
}

impl PendingQuery<'_, '_> {
    /// Responds to a request that is no plain query, with a reply of at most so many octets.
    #[cold]
    pub(super) fn respond_specially(
        &self,
        message: &Message<'_>,
        snapshot: &Snapshot,
        context: &RequestContext,
        (reply, limit): (&mut [u8], usize),
    ) -> Response {
        let has_known_version = message.trailer.edns.as_ref().is_none_or(is_known_version);
        let verified = if has_known_version { self.verify(message, snapshot, context) } else { Ok(None) };
        let mut signer = match verified {
            Ok(signer) => signer,
            Err(Some(bad)) => return self.refuse_signature(message, snapshot, context, *bad, (reply, limit)),
            Err(None) => return self.refuse(Rcode::FORMERR, reply),
        };
        let signature_bytes = signer.as_ref().map_or(0, Signer::record_bytes_max);
        // Over TLS alone: elsewhere everybody sees what is in the reply (RFC 7830 §6).
        let is_padded = context.tls.is_some() && message.trailer.edns.is_some_and(|edns| edns.wants_padding);
        let bare = OptExtras { is_padded, ..OptExtras::default() };
        let question_end = message.question().end();
        if limit < question_end + OPT_BYTES + signature_bytes {
            // Over TCP there is room for everything (RFC 8945 §5.3).
            let truncated = Status { is_truncated: true, ..Status::error(Rcode::NOERROR) };
            return self.compose(message, snapshot, context, (reply, limit), bare, |_| truncated);
        }
        let limit = limit - signature_bytes;
        let key = signer.as_ref().map(Signer::key);
        let expire = expire_of(snapshot, message, context);
        let extras = OptExtras { expire, version: self.version_of(message), ..bare };
        let mut notice = None;
        let mut response = match &self.request {
            Request::Transfer(_) if has_known_version => {
                let decision = transfer::decide(snapshot, self.octets, message, context, key);
                let envelope = |signer| self.envelope(message, snapshot, context, signer, extras);
                let room = (&mut *reply, limit);
                match decision {
                    Decision::Refused(status) => self.compose(message, snapshot, context, room, bare, |_| status),
                    Decision::Current(zone) => self.compose(message, snapshot, context, room, extras, |draft| {
                        transfer::put_soa(&zone, message.name.name(), draft)
                    }),
                    Decision::Whole(zone) => {
                        return transfer::stream(Outgoing::whole(zone, envelope(signer)), message.qtype);
                    }
                    Decision::Changes(zone, steps) => {
                        return transfer::stream(Outgoing::changes(zone, steps, envelope(signer)), message.qtype);
                    }
                }
            }
            Request::Notify(_) if has_known_version => {
                let (status, noticed) = notify::decide(snapshot, message, context, key);
                notice = noticed;
                self.compose(message, snapshot, context, (&mut *reply, limit), bare, |_| status)
            }
            _ => self.compose(message, snapshot, context, (&mut *reply, limit), extras, |draft| {
                self.answer(snapshot, message, context, key, draft)
            }),
        };
        if let (Some(signer), Response::Reply { length, .. }) = (&mut signer, &mut response) {
            *length = signer.sign(reply, *length, context.now.as_secs());
        }
        match (notice, response) {
            (Some(notice), Response::Reply { length, .. }) => Response::Notified { length, notice: Box::new(notice) },
            (_, response) => response,
        }
    }

    /// Verifies the signature of a message. Who signs the reply; nobody where the message is not signed.
    ///
    /// # Errors
    /// What is wrong with it; nothing where its record is malformed.
    fn verify<'m>(
        &'m self,
        message: &Message<'_>,
        snapshot: &Snapshot,
        context: &RequestContext,
    ) -> Result<Option<Signer>, Option<Box<BadSignature<'m>>>> {
        let Some(at) = message.trailer.tsig_at else { return Ok(None) };
        let tsig = message.trailer.tsig(self.octets).ok_or(None)?;
        let key = snapshot.transfers.keys.find(tsig.key.as_ref());
        match tsig::verify_request(key, self.octets, at.get().into(), &tsig, context.now.as_secs()) {
            Ok(signer) => Ok(Some(signer)),
            Err((error, signer)) => Err(Some(Box::new(BadSignature { error, tsig, signer }))),
        }
    }

    /// Replies to a request whose signature is not taken: NOTAUTH, and why in a TSIG record, which is signed where the
    /// time alone was wrong (RFC 8945 §5.2, §5.3.2). Where that has no space, TC is set, so that the client asks over
    /// TCP.
    fn refuse_signature(
        &self,
        message: &Message<'_>,
        snapshot: &Snapshot,
        context: &RequestContext,
        bad: BadSignature<'_>,
        (reply, limit): (&mut [u8], usize),
    ) -> Response {
        let BadSignature { error, tsig, signer } = bad;
        let refusal = tsig.refusal(self.id, error.code());
        let tsig_bytes = signer.as_ref().map_or(refusal.record_bytes(), Signer::record_bytes_max);
        let left = limit.checked_sub(tsig_bytes).filter(|left| *left >= message.question().end() + OPT_BYTES);
        let status = Status { is_truncated: left.is_none(), ..Status::error(Rcode::NOTAUTH) };
        let room = (&mut *reply, left.unwrap_or(limit));
        let mut response = self.compose(message, snapshot, context, room, OptExtras::default(), |_| status);
        if let (Response::Reply { length, .. }, Some(_)) = (&mut response, left) {
            *length = match signer {
                Some(mut signer) => signer.sign_bad_time(reply, *length, &tsig, context.now.as_secs()),
                None => {
                    let end = *length + refusal.record_bytes();
                    refusal.write(&mut reply[*length..end]);
                    reply[HEADER_BYTES - 1] += 1; // ARCOUNT: OPT at most stood there.
                    end
                }
            };
        }
        response
    }

    /// The version of the zone that answers a query, if that is asked for.
    fn version_of(&self, message: &Message<'_>) -> Option<ZoneVersion> {
        let is_asked = message.trailer.edns.is_some_and(|edns| edns.wants_zone_version && is_known_version(&edns));
        self.zone_version().filter(|_| is_asked)
    }

    /// What stands around the records of a transfer.
    fn envelope(
        &self,
        message: &Message<'_>,
        snapshot: &Snapshot,
        context: &RequestContext,
        signer: Option<Signer>,
        extras: OptExtras,
    ) -> Envelope {
        let mut opt = Opt::new(message.trailer.edns.as_ref(), &snapshot.settings, context.transport, usize::MAX);
        opt.set_facts(extras, usize::MAX);
        let mut octets = vec![0; opt.len()];
        opt.write(&mut octets);
        Envelope {
            id: self.id,
            flags: self.reply_flags(Rcode::NOERROR) | flag::AA,
            question: self.octets[HEADER_BYTES..message.question().end()].into(),
            opt: octets.into(),
            signer,
        }
    }
}

/// In how many seconds the zone expires whose SOA or transfer is asked for, if that is asked for too.
fn expire_of(snapshot: &Snapshot, message: &Message<'_>, context: &RequestContext) -> Option<u32> {
    let is_asked = message.trailer.edns.is_some_and(|edns| edns.wants_expire);
    let is_fitting = matches!(message.qtype, Type::SOA | Type::AXFR | Type::IXFR);
    let apex = snapshot.zones.search(&message.name, usize::MAX).filter(|_| is_asked && is_fitting)?;
    let zone = apex.zone().filter(|zone| zone.apex() == message.name.name())?;
    let expiry = snapshot.transfers.find(zone.apex()).and_then(|transfers| transfers.expiry.as_ref());
    Some(expiry.map_or_else(|| Soa::of(zone).timers()[2], |expiry| expiry.left(context.now)))
}
