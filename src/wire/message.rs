//! The fixed parts of a message and what a query says: header, question, OPT (RFC 1035 §4.1, RFC 6891 §6.1).
//!
//! Owns reading queries. Writing replies is `answer`'s; what an RCODE means is, too.

use core::num::NonZeroU16;

use crate::wire::name::encoded_bytes;
use crate::wire::tsig::Tsig;
use crate::wire::{Class, NameRef, Type};

/// Octets of the header.
pub const HEADER_BYTES: usize = 12;
/// The largest message: what a 16-bit length prefix can say (RFC 1035 §4.2.2).
pub const MESSAGE_BYTES_MAX: usize = 65_535;
/// The largest UDP message without EDNS (RFC 1035 §4.2.1).
pub const PLAIN_UDP_BYTES_MAX: usize = 512;
/// Octets of an OPT record without options: root owner, type, class, TTL, RDLENGTH.
pub const OPT_BYTES: usize = 11;

/// Bits of the header's second word (RFC 1035 §4.1.1, RFC 4035 §3.2).
///
/// ```text
///   0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
/// +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
/// |QR|   Opcode  |AA|TC|RD|RA| Z|AD|CD|   RCODE   |
/// +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
/// ```
pub mod flag {
    /// The message is a response.
    pub const QR: u16 = 0x8000;
    /// The answer is authoritative.
    pub const AA: u16 = 0x0400;
    /// The message was truncated.
    pub const TC: u16 = 0x0200;
    /// Recursion was asked for.
    pub const RD: u16 = 0x0100;
    /// Where the OPCODE stands.
    pub const OPCODE: u16 = 0x7800;
}

/// OPCODEs (IANA "DNS OpCodes").
pub mod opcode {
    /// A standard query (RFC 1035 §4.1.1).
    pub const QUERY: u8 = 0;
    /// A zone changed elsewhere (RFC 1996).
    pub const NOTIFY: u8 = 4;
    /// A zone is to be changed (RFC 2136).
    pub const UPDATE: u8 = 5;
}

/// EDNS option codes (IANA "DNS EDNS0 Option Codes").
pub mod option {
    /// NSID (RFC 5001).
    pub const NSID: u16 = 3;
    /// EXPIRE (RFC 7314 §3).
    pub const EXPIRE: u16 = 9;
    /// TCP keepalive (RFC 7828).
    pub const TCP_KEEPALIVE: u16 = 11;
    /// Padding (RFC 7830).
    pub const PADDING: u16 = 12;
    /// Extended DNS error (RFC 8914).
    pub const EXTENDED_ERROR: u16 = 15;
    /// ZONEVERSION (RFC 9660 §2).
    pub const ZONEVERSION: u16 = 19;
    /// Which worker is to answer a probe of our own: a code for local use (RFC 6891 §9). Ignored when it is read.
    pub const STEER: u16 = 65_001;
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The ID, to be copied.
    pub id: u16,
    /// The second word; see [`flag`].
    pub flags: u16,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
    pub counts: [u16; 4],
}

impl Header {
    /// Reads the header; `None` if the message is shorter than one.
    pub fn read(message: &[u8]) -> Option<Self> {
        let octets: &[u8; HEADER_BYTES] = message.first_chunk()?;
        let word = |index: usize| u16::from_be_bytes([octets[2 * index], octets[2 * index + 1]]);
        Some(Self { id: word(0), flags: word(1), counts: [word(2), word(3), word(4), word(5)] })
    }

    /// Whether QR is set.
    pub fn is_response(self) -> bool {
        self.flags & flag::QR != 0
    }

    /// Whether TC is set.
    pub fn is_truncated(self) -> bool {
        self.flags & flag::TC != 0
    }

    /// The OPCODE, 0 to 15.
    pub fn opcode(self) -> u8 {
        ((self.flags & flag::OPCODE) >> 11) as u8
    }
}

/// The question of a query.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// QNAME, letter case as it came.
    pub name: NameRef<'a>,
    /// QTYPE.
    pub qtype: Type,
    /// QCLASS.
    pub qclass: Class,
}

impl<'a> Question<'a> {
    /// Reads the question that follows the header; a compressed QNAME is refused, as nothing precedes it. `note` is
    /// called with where each label starts in the name, from the left, that of the root among them.
    #[inline]
    pub fn read(message: &'a [u8], note: impl FnMut(u8)) -> Option<Self> {
        let rest = message.get(HEADER_BYTES..)?;
        let name = NameRef::parse_noting(rest, note).ok()?;
        let tail: &[u8; 4] = rest.get(name.len()..)?.first_chunk()?;
        let [type_high, type_low, class_high, class_low] = *tail;
        Some(Self {
            name,
            qtype: Type(u16::from_be_bytes([type_high, type_low])),
            qclass: Class(u16::from_be_bytes([class_high, class_low])),
        })
    }

    /// Where the first record after the question starts in the message.
    pub fn end(&self) -> usize {
        HEADER_BYTES + self.name.len() + 4
    }
}

/// What the OPT record of a query says (RFC 6891 §6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The requestor's UDP payload size in octets, as written: values below 512 mean 512.
    pub payload_bytes_max: u16,
    /// The upper bits of the RCODE of a response.
    pub extended_rcode: u8,
    /// The EDNS version; only 0 is known.
    pub version: u8,
    /// DNSSEC OK.
    pub is_dnssec_ok: bool,
    /// NSID was asked for.
    pub wants_nsid: bool,
    /// TCP keepalive was asked for.
    pub wants_keepalive: bool,
    /// The expiry of the zone was asked for (RFC 7314).
    pub wants_expire: bool,
    /// The query is padded, and so the reply may be (RFC 7830).
    pub wants_padding: bool,
    /// The version of the zone was asked for (RFC 9660). Data that come with it mean nothing (§3.2).
    pub wants_zone_version: bool,
    /// In how many seconds the zone expires, where a response says so.
    pub expire: Option<u32>,
}

/// What stands behind the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The OPT record, if there is one.
    pub edns: Option<Edns>,
    /// Where the TSIG record starts in the message, if there is one. It is the last record, and whole.
    pub tsig_at: Option<NonZeroU16>,
}

impl Trailer {
    /// What the TSIG record says, if there is one, of the message in which it was found.
    pub fn tsig<'m>(&self, message: &'m [u8]) -> Option<Tsig<'m>> {
        self.tsig_at.and_then(|at| Tsig::read(message, at.get().into()))
    }
}

/// The records behind the question cannot be read, or say what they must not: FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTrailer;

/// Reads the records behind the question, `start` octets into the message, as far as a query's meaning needs them.
///
/// Octets behind the last record are ignored. At most as many records are read as octets allow (11 a record).
///
/// # Errors
/// [`BadTrailer`] where a record is cut short, OPT is not in the additional section, not owned by the root, there
/// twice (RFC 6891 §6.1.1), or its options are cut short; and where TSIG is not the last record of all, or malformed
/// (RFC 8945 §5.2).
pub fn read_trailer(message: &[u8], header: Header, start: usize) -> Result<Trailer, BadTrailer> {
    let rest = message.get(start..).ok_or(BadTrailer)?;
    match (header.counts, rest) {
        ([_, 0, 0, 0], _) => Ok(Trailer { edns: None, tsig_at: None }),
        // As nearly every query ends: OPT is the only record.
        ([_, 0, 0, 1], [0, record @ ..]) if record.starts_with(&Type::OPT.0.to_be_bytes()) => {
            let (head, tail) = record.split_first_chunk().ok_or(BadTrailer)?;
            let rdata = tail.get(..rdata_bytes(head)).ok_or(BadTrailer)?;
            Ok(Trailer { edns: Some(read_opt(head, rdata)?), tsig_at: None })
        }
        (counts, _) => read_records(message, start, counts),
    }
}

/// Octets of a record behind its owner and in front of its RDATA: type, class, TTL, RDLENGTH.
type RecordHead = [u8; OPT_BYTES - 1];

/// The type that a record has.
fn record_type(head: &RecordHead) -> Type {
    Type(u16::from_be_bytes([head[0], head[1]]))
}

/// The RDLENGTH that a record has.
fn rdata_bytes(head: &RecordHead) -> usize {
    usize::from(u16::from_be_bytes([head[8], head[9]]))
}

/// Reads any records behind the question, for [`read_trailer`].
fn read_records(
    message: &[u8],
    start: usize,
    [_, answers, authorities, additionals]: [u16; 4],
) -> Result<Trailer, BadTrailer> {
    let mut rest = message.get(start..).ok_or(BadTrailer)?;
    let mut trailer = Trailer { edns: None, tsig_at: None };
    for (section, count) in [(1, answers), (2, authorities), (3, additionals)] {
        for _ in 0..count {
            if trailer.tsig_at.is_some() {
                return Err(BadTrailer);
            }
            let at = message.len() - rest.len();
            let is_root = rest.first() == Some(&0);
            let owner = if is_root { 1 } else { encoded_bytes(rest).ok_or(BadTrailer)? };
            rest = rest.get(owner..).ok_or(BadTrailer)?;
            let (head, tail) = rest.split_first_chunk().ok_or(BadTrailer)?;
            let (rdata, tail) = tail.split_at_checked(rdata_bytes(head)).ok_or(BadTrailer)?;
            rest = tail;
            if record_type(head) == Type::OPT {
                if section != 3 || !is_root || trailer.edns.is_some() {
                    return Err(BadTrailer);
                }
                trailer.edns = Some(read_opt(head, rdata)?);
            }
            if record_type(head) == Type::TSIG {
                let _whole = Tsig::read(message, at).filter(|_| section == 3).ok_or(BadTrailer)?;
                trailer.tsig_at = u16::try_from(at).ok().and_then(NonZeroU16::new);
            }
        }
    }
    Ok(trailer)
}

/// Reads an OPT record: `head` is type, class, TTL and RDLENGTH.
///
/// ```text
/// CLASS: requestor's UDP payload size
/// TTL:   extended RCODE (8) | version (8) | DO (1) | Z (15)
/// ```
fn read_opt(head: &RecordHead, mut options: &[u8]) -> Result<Edns, BadTrailer> {
    let mut edns = Edns {
        payload_bytes_max: u16::from_be_bytes([head[2], head[3]]),
        extended_rcode: head[4],
        version: head[5],
        is_dnssec_ok: head[6] & 0x80 != 0,
        wants_nsid: false,
        wants_keepalive: false,
        wants_expire: false,
        wants_padding: false,
        wants_zone_version: false,
        expire: None,
    };
    while !options.is_empty() {
        let ([code_high, code_low, length_high, length_low], tail) =
            options.split_first_chunk::<4>().ok_or(BadTrailer)?;
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        let (data, behind) = tail.split_at_checked(length).ok_or(BadTrailer)?;
        options = behind;
        match u16::from_be_bytes([*code_high, *code_low]) {
            option::NSID => edns.wants_nsid = true,
            option::TCP_KEEPALIVE => edns.wants_keepalive = true,
            option::EXPIRE => {
                (edns.wants_expire, edns.expire) = (true, data.try_into().ok().map(u32::from_be_bytes));
            }
            option::PADDING => edns.wants_padding = true,
            option::ZONEVERSION => edns.wants_zone_version = true,
            _ => {} // RFC 6891 §6.1.2: unknown options are ignored.
        }
    }
    Ok(edns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(counts: [u16; 4]) -> Header {
        Header { id: 1, flags: 0, counts }
    }

    const OPT: &[u8] = &[0, 0, 41, 0x04, 0xD0, 0, 0, 0x80, 0, 0, 0];

    #[test]
    fn reads_header_and_question() {
        let message = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01a\0\0\x1C\0\x01trailing";
        let header = Header::read(message).expect("whole");
        assert_eq!((header.id, header.flags, header.counts), (0x1234, flag::RD, [1, 0, 0, 0]));
        let question = Question::read(message, |_| ()).expect("whole");
        assert_eq!((question.qtype, question.qclass, question.end()), (Type::AAAA, Class::IN, 19));
        for length in 0..19 {
            assert!(Question::read(&message[..length], |_| ()).is_none(), "{length}");
        }
        assert!(Header::read(&message[..11]).is_none());
    }

    #[test]
    fn reads_opt_with_its_options() {
        let mut message = OPT.to_vec();
        message[10] = 4 + 4 + 4;
        message.extend_from_slice(&[0, 3, 0, 0, 0, 11, 0, 0, 0xFF, 0xFE, 0, 0]);
        let trailer = read_trailer(&message, header([1, 0, 0, 1]), 0).expect("good");
        let edns = trailer.edns.expect("there is one");
        assert_eq!((edns.payload_bytes_max, edns.version), (1232, 0));
        assert!(edns.is_dnssec_ok && edns.wants_nsid && edns.wants_keepalive);
        for length in 0..message.len() {
            assert_eq!(read_trailer(&message[..length], header([1, 0, 0, 1]), 0), Err(BadTrailer), "{length}");
        }
    }

    #[test]
    fn refuses_opt_twice_elsewhere_or_with_an_owner() {
        let twice = [OPT, OPT].concat();
        assert_eq!(read_trailer(&twice, header([1, 0, 0, 2]), 0), Err(BadTrailer));
        assert_eq!(read_trailer(OPT, header([1, 0, 1, 0]), 0), Err(BadTrailer));
        assert_eq!(read_trailer(&[b"\x01a", OPT].concat(), header([1, 0, 0, 1]), 0), Err(BadTrailer));
        assert!(read_trailer(b"trailing", header([1, 0, 0, 0]), 0).is_ok());
    }
}
