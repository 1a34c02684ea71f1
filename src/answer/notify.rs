//! Notifications that a zone has changed elsewhere (RFC 1996 §3): who may send them, and what is replied.
//!
//! A serial in the notification is a hint, which nobody has signed for: whoever asks the primaries learns the truth.

use crate::answer::code::Rcode;
use crate::answer::context::{Notice, RequestContext};
use crate::answer::request::Message;
use crate::answer::snapshot::Snapshot;
use crate::answer::status::Status;
use crate::wire::tsig::Key;
use crate::wire::{Class, Type};

/// Decides about a notification that is signed with `key`, if it is: what is replied, and what is to be done.
pub(super) fn decide(
    snapshot: &Snapshot,
    message: &Message<'_>,
    context: &RequestContext,
    key: Option<&Key>,
) -> (Status, Option<Notice>) {
    let name = message.name.name();
    if message.qtype != Type::SOA || !matches!(message.qclass, Class::IN | Class::ANY) {
        return (Status::error(Rcode::NOTIMP), None); // RFC 1996 §3.7 knows SOA alone.
    }
    if snapshot.zones.search(&message.name, usize::MAX).is_none_or(|apex| apex.name() != name) {
        return (Status::error(Rcode::NOTAUTH), None);
    }
    let (settings, source) = (snapshot.transfers.settings(name), context.source.to_canonical());
    if settings.primaries.is_empty() || !settings.allow_notify.allows(source, key, context.tls, context.now) {
        return (Status::prohibited(), None);
    }
    (Status::authoritative(Rcode::NOERROR), Some(Notice { zone: name.to_name(), source }))
}
