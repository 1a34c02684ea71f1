//! Requests to other servers: for a zone, for what changed in it, and that it has changed here.

use super::change::Soa;
use crate::wire::message::{HEADER_BYTES, flag, opcode, option};
use crate::wire::tsig::Signer;
use crate::wire::{Class, NameRef, Type};

/// What our OPT record says of UDP, as everywhere (RFC 9715 §3.1).
pub(super) const PAYLOAD_BYTES: u16 = 1232;

/// What is asked or said.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// The whole zone, please.
    Whole,
    /// What changed since the version with this SOA, please.
    Changes(&'a Soa),
    /// The zone has changed; its SOA is this now.
    Notify(&'a Soa),
    /// The zone's records of this type have changed (RFC 9859 §4).
    NotifyOf(Type),
}

/// Writes a request, signed at `now` (seconds since the Unix epoch) where there is a signer. Those for zones have an
/// OPT record that asks for the expiry (RFC 7314); notifications have none, as from most servers.
pub fn write_request(
    request: Request<'_>,
    zone: NameRef<'_>,
    id: u16,
    signer: Option<&mut Signer>,
    now: u64,
) -> Vec<u8> {
    let notify = u16::from(opcode::NOTIFY) << 11 | flag::AA;
    let (flags, qtype, soa, section) = match request {
        Request::Whole => (0, Type::AXFR, None, 2),
        Request::Changes(soa) => (0, Type::IXFR, Some(soa), 2),
        Request::Notify(soa) => (notify, Type::SOA, Some(soa), 1),
        Request::NotifyOf(rtype) => (notify, rtype, None, 1),
    };
    let has_opt = flags != notify;
    let mut counts = [1, 0, 0, u16::from(has_opt)];
    counts[section] = u16::from(soa.is_some());
    let mut message = Vec::with_capacity(HEADER_BYTES + 2 * zone.len() + 600);
    for word in [id, flags, counts[0], counts[1], counts[2], counts[3]] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(zone.as_bytes());
    message.extend_from_slice(&qtype.0.to_be_bytes());
    message.extend_from_slice(&Class::IN.0.to_be_bytes());
    if let Some(soa) = soa {
        message.extend_from_slice(&[0xC0, HEADER_BYTES as u8]);
        message.extend_from_slice(&Type::SOA.0.to_be_bytes());
        message.extend_from_slice(&Class::IN.0.to_be_bytes());
        message.extend_from_slice(&soa.ttl.to_be_bytes());
        message.extend_from_slice(&(soa.rdata().len() as u16).to_be_bytes());
        message.extend_from_slice(soa.rdata());
    }
    if has_opt {
        let [size_high, size_low] = PAYLOAD_BYTES.to_be_bytes();
        let [code_high, code_low] = option::EXPIRE.to_be_bytes();
        let [type_high, type_low] = Type::OPT.0.to_be_bytes();
        message.extend_from_slice(&[
            0, type_high, type_low, size_high, size_low, 0, 0, 0, 0, 0, 4, code_high, code_low, 0, 0,
        ]);
    }
    if let Some(signer) = signer {
        let length = message.len();
        message.resize(length + signer.record_bytes_max(), 0);
        let end = signer.sign(&mut message, length, now);
        message.truncate(end);
    }
    message
}
