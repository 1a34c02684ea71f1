//! The OPT record of a reply: sizes, DO, and the options that were asked for or that explain (RFC 6891 §6.1).

use crate::answer::code::{ExtendedError, Rcode};
use crate::answer::{Settings, Transport};
use crate::wire::Type;
use crate::wire::message::{Edns, OPT_BYTES, option};

/// Octets of an option in front of its data: code, length.
const OPTION_HEAD_BYTES: usize = 4;
/// The longest NSID that is sent.
const NSID_BYTES_MAX: usize = 255;
/// Octets of data of the keepalive and the extended-error option (RFC 7828 §3.1, RFC 8914 §2, without text).
const SHORT_DATA_BYTES: usize = 2;
/// The longest OPT record that is made.
const OPT_BYTES_MAX: usize = OPT_BYTES + 3 * OPTION_HEAD_BYTES + NSID_BYTES_MAX + 2 * SHORT_DATA_BYTES;

/// An OPT record that is being made; empty where the query had none.
pub(super) struct Opt {
    octets: [u8; OPT_BYTES_MAX],
    length: usize,
}

impl Opt {
    /// Answers the OPT of a query, within `room` octets: options that do not fit are left out.
    ///
    /// ```text
    /// 00 | TYPE 41 | CLASS: our payload size | TTL: extended RCODE (8), version (8), DO (1), Z (15) | RDLENGTH | options
    /// ```
    pub(super) fn new(edns: Option<&Edns>, settings: &Settings, transport: Transport, room: usize) -> Self {
        let mut opt = Self { octets: [0; OPT_BYTES_MAX], length: 0 };
        let Some(edns) = edns else { return opt };
        opt.octets[1..3].copy_from_slice(&Type::OPT.0.to_be_bytes());
        opt.octets[3..5].copy_from_slice(&settings.udp_payload_bytes_max.to_be_bytes());
        opt.octets[7] = if edns.is_dnssec_ok { 0x80 } else { 0 };
        opt.length = OPT_BYTES;
        if let (true, Some(identity)) = (edns.wants_nsid, &settings.identity) {
            opt.add(option::NSID, &identity[..identity.len().min(NSID_BYTES_MAX)], room);
        }
        // A server must not send it over UDP (RFC 7828 §3.3.2).
        if edns.wants_keepalive && transport == Transport::Tcp {
            opt.add(option::TCP_KEEPALIVE, &settings.tcp_idle_timeout_100ms.to_be_bytes(), room);
        }
        opt
    }

    /// Appends an option, if the record then still has at most `room` octets.
    fn add(&mut self, code: u16, octets: &[u8], room: usize) {
        let end = self.length + OPTION_HEAD_BYTES + octets.len();
        if end > room.min(OPT_BYTES_MAX) {
            return;
        }
        let head = &mut self.octets[self.length..];
        head[0..2].copy_from_slice(&code.to_be_bytes());
        head[2..4].copy_from_slice(&(octets.len() as u16).to_be_bytes());
        head[4..4 + octets.len()].copy_from_slice(octets);
        self.length = end;
        self.octets[9..11].copy_from_slice(&((end - OPT_BYTES) as u16).to_be_bytes());
    }

    /// Says how it ended; the extended error is told where there is `room` for it.
    pub(super) fn conclude(&mut self, rcode: Rcode, extended_error: Option<ExtendedError>, room: usize) {
        if self.length == 0 {
            return;
        }
        self.octets[5] = rcode.high();
        if let Some(ExtendedError(code)) = extended_error {
            self.add(option::EXTENDED_ERROR, &code.to_be_bytes(), room);
        }
    }

    /// The record.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// Octets of the record.
    pub(super) fn len(&self) -> usize {
        self.length
    }
}
