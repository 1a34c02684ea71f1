//! The table: one row a type, with the fields of its RDATA in order.
//!
//! Owns the kinds of fields and where each ends in wire form. Knows nothing of text: `read` and `write` do. A type
//! without a row is opaque (RFC 3597 §3).

use super::super::name::NameRef;
use super::super::rtype::Type;
use super::error::WireError;
use super::gateway::Kind;
use super::{apl, bitmap, loc, mnemonic, svcb};

/// What happens to a name when it is compressed, and when it is made canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    /// May be compressed in a message; lower case in canonical form (RFC 3597 §4, RFC 1035 types).
    WellKnown,
    /// Never compressed by us, read compressed all the same; lower case (RFC 3597 §4, RFC 4034 §6.2).
    Old,
    /// Never compressed; lower case in canonical form (RFC 4034 §6.2, RFC 6840 §5.1).
    Lowered,
    /// Never compressed, left as it is.
    Plain,
}

/// One field of RDATA.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    /// A number of 8 bits.
    U8,
    /// A number of 16 bits.
    U16,
    /// A number of 32 bits.
    U32,
    /// An interval of 32 bits in seconds, with units in text.
    Seconds,
    /// A point in time, `YYYYMMDDHHMMSS` in text.
    Timestamp,
    /// A number of 8 bits that is read as a mnemonic too; written as a number.
    Mnemonic8(mnemonic::Register),
    /// A number of 8 bits, written as a mnemonic where there is one.
    Named8(mnemonic::Register),
    /// A number of 16 bits, written as a mnemonic where there is one.
    Named16(mnemonic::Register),
    /// The flags of a key: a number, or mnemonics joined by `|`.
    KeyFlags,
    /// A type.
    RrType,
    /// An IPv4 address.
    Address4,
    /// An IPv6 address.
    Address6,
    /// A domain name.
    Name(NameKind),
    /// Names to the end of the RDATA, plain ones; maybe none.
    Names,
    /// A character-string.
    String,
    /// A character-string that may be absent at the end of the RDATA.
    StringOptional,
    /// One or more character-strings to the end of the RDATA.
    Strings,
    /// A character-string of digits, four at least.
    PsdnAddress,
    /// A character-string of letters and digits, written without quotes.
    Tag,
    /// All octets that are left, as one quoted string without limit.
    Text,
    /// All octets that are left in base64, one at least.
    Base64,
    /// All octets that are left in base64, maybe none; the row's rule says when.
    Base64Optional,
    /// All octets that are left in base64; `-` for none.
    Base64OrDash,
    /// All octets that are left in hex, one at least.
    Hex,
    /// Hex behind `0x`, dots ignored, to the end of the RDATA.
    Nsap,
    /// A length octet and hex; `-` for none.
    Salt,
    /// A length octet and base32hex, one octet at least.
    Hash,
    /// A type bitmap in windows, maybe empty.
    Bitmap,
    /// The plain type bitmap of NXT.
    NxtBitmap,
    /// Four groups of 16 bits.
    Locator64,
    /// Six octets.
    Eui48,
    /// Eight octets.
    Eui64,
    /// The whole of a LOC.
    Location,
    /// Address prefixes to the end of the RDATA.
    Prefixes,
    /// The gateway of IPSECKEY or AMTRELAY with the octets in front of it.
    Gateway(Kind),
    /// HIP up to the servers: lengths, algorithm, host identity tag, public key.
    HostIdentity,
    /// SVCB parameters to the end of the RDATA.
    Params,
}

/// One row of the table.
pub(super) struct Row {
    /// The type.
    rtype: Type,
    /// Its fields in order.
    pub(super) fields: &'static [Field],
    /// What binds several fields; looked at when each field is good.
    pub(super) rule: fn(&[u8]) -> Result<(), WireError>,
    /// Whether any field holds names.
    pub(super) has_names: bool,
}

/// The row of a type; `None` if the type is opaque.
pub(super) fn row(rtype: Type) -> Option<&'static Row> {
    let index = match INDEX.get(usize::from(rtype.0)) {
        Some(index) => usize::from(*index),
        None => ROWS.iter().position(|row| row.rtype == rtype)?,
    };
    ROWS.get(index)
}

impl Field {
    /// Checks the field at the start of `rest` and says how many octets it has.
    pub(super) fn span(self, rest: &[u8]) -> Result<usize, WireError> {
        let length = match self {
            Self::U8 | Self::Mnemonic8(_) | Self::Named8(_) => 1,
            Self::U16 | Self::Named16(_) | Self::KeyFlags | Self::RrType => 2,
            Self::U32 | Self::Seconds | Self::Timestamp | Self::Address4 => 4,
            Self::Eui48 => 6,
            Self::Eui64 | Self::Locator64 => 8,
            Self::Address6 => 16,
            Self::Name(_) => NameRef::parse(rest)?.len(),
            Self::Names => span_of_all(rest, |rest| Ok(NameRef::parse(rest)?.len()))?,
            Self::StringOptional if rest.is_empty() => 0,
            Self::String | Self::StringOptional | Self::Salt => string(rest)?.len() + 1,
            Self::Strings => span_of_all(not_empty(rest)?, |rest| Ok(string(rest)?.len() + 1))?,
            Self::PsdnAddress => match string(rest)? {
                digits if digits.len() >= 4 && digits.iter().all(u8::is_ascii_digit) => digits.len() + 1,
                _ => return Err(WireError::PsdnAddress),
            },
            Self::Tag => match not_empty(string(rest)?)? {
                tag if tag.iter().all(u8::is_ascii_alphanumeric) => tag.len() + 1,
                _ => return Err(WireError::Tag),
            },
            Self::Hash => not_empty(string(rest)?)?.len() + 1,
            Self::Text | Self::Base64Optional | Self::Base64OrDash => rest.len(),
            Self::Base64 | Self::Hex | Self::Nsap => not_empty(rest)?.len(),
            Self::Bitmap => bitmap::check(rest).map(|()| rest.len())?,
            Self::NxtBitmap => bitmap::check_nxt(rest).map(|()| rest.len())?,
            Self::Location => loc::check(rest).map(|()| loc::LOC_BYTES)?,
            Self::Prefixes => apl::check(rest).map(|()| rest.len())?,
            Self::Gateway(kind) => kind.span(rest)?,
            Self::HostIdentity => host_identity(rest)?.span,
            Self::Params => svcb::check(rest).map(|()| rest.len())?,
        };
        match length <= rest.len() {
            true => Ok(length),
            false => Err(WireError::Short),
        }
    }
}

/// The parts of [`Field::HostIdentity`] (RFC 8005 §5).
///
/// ```text
/// | HIT length | algorithm | key length (2) | HIT | key |
/// ```
pub(super) struct HostIdentity<'a> {
    /// The number of the key's algorithm.
    pub(super) algorithm: u8,
    /// The host identity tag.
    pub(super) tag: &'a [u8],
    /// The public key.
    pub(super) key: &'a [u8],
    /// Octets of all.
    span: usize,
}

/// Cuts [`Field::HostIdentity`] at the start of `rest`.
pub(super) fn host_identity(rest: &[u8]) -> Result<HostIdentity<'_>, WireError> {
    let [tag_length, algorithm, high, low, body @ ..] = rest else { return Err(WireError::Short) };
    let (tag, body) = body.split_at_checked(usize::from(*tag_length)).ok_or(WireError::Short)?;
    let key_length = usize::from(u16::from_be_bytes([*high, *low]));
    let (key, _) = body.split_at_checked(key_length).ok_or(WireError::Short)?;
    let span = 4 + not_empty(tag)?.len() + not_empty(key)?.len();
    Ok(HostIdentity { algorithm: *algorithm, tag, key, span })
}

/// The content of the character-string at the start of `rest`.
pub(super) fn string(rest: &[u8]) -> Result<&[u8], WireError> {
    let (length, rest) = rest.split_first().ok_or(WireError::Short)?;
    rest.get(..usize::from(*length)).ok_or(WireError::Short)
}

/// Refuses emptiness.
fn not_empty(octets: &[u8]) -> Result<&[u8], WireError> {
    if octets.is_empty() { Err(WireError::Empty) } else { Ok(octets) }
}

/// Walks over fields of one kind up to the end of `rest`; comes back with its length.
fn span_of_all(rest: &[u8], span: fn(&[u8]) -> Result<usize, WireError>) -> Result<usize, WireError> {
    let mut tail = rest;
    while !tail.is_empty() {
        tail = tail.get(span(tail)?..).ok_or(WireError::Short)?;
    }
    Ok(rest.len())
}

/// The rule of rows whose fields are good whatever the others hold.
fn no_rule(_: &[u8]) -> Result<(), WireError> {
    Ok(())
}

/// DS and its like: the digest has the length of its algorithm (IANA "Delegation Signer Digest Algorithms").
fn digest_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [_, _, _, digest_type, digest @ ..] = rdata else { return Err(WireError::Short) };
    is_of_length(
        digest,
        match digest_type {
            1 => 20,
            2 | 3 | 5 | 6 => 32,
            4 => 48,
            _ => digest.len(),
        },
    )
}

/// SSHFP: the fingerprint has the length of its algorithm (RFC 4255 §3.1.2, RFC 6594 §3.2).
fn fingerprint_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [_, hash, fingerprint @ ..] = rdata else { return Err(WireError::Short) };
    is_of_length(
        fingerprint,
        match hash {
            1 => 20,
            2 => 32,
            _ => fingerprint.len(),
        },
    )
}

/// ZONEMD: the digest has the length of its algorithm, and twelve octets at least (RFC 8976 §2.2.4).
fn zonemd_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [_, _, _, _, _, hash, digest @ ..] = rdata else { return Err(WireError::Short) };
    is_of_length(
        digest,
        match hash {
            1 => 48,
            2 => 64,
            _ => digest.len().max(12),
        },
    )
}

/// NSEC3: the hash has the length of its algorithm (RFC 5155 §3.1.6, §11).
fn nsec3_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [algorithm, _, _, _, rest @ ..] = rdata else { return Err(WireError::Short) };
    let salt = string(rest)?;
    let hash = string(rest.get(1 + salt.len()..).ok_or(WireError::Short)?)?;
    is_of_length(hash, if *algorithm == 1 { 20 } else { hash.len() })
}

/// KEY: the key is absent only where the flags say so (RFC 2535 §3.1.2).
fn key_rule(rdata: &[u8]) -> Result<(), WireError> {
    match rdata {
        [flags, _, _, _] if flags & 0xC0 != 0xC0 => Err(WireError::Empty),
        _ => Ok(()),
    }
}

/// IPSECKEY: the key is absent only where its algorithm is 0 (RFC 4025 §2.4, §2.6).
fn ipseckey_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [_, gateway @ ..] = rdata else { return Err(WireError::Short) };
    let has_key = Kind::Ipseckey.span(gateway)? < gateway.len();
    match gateway {
        [_, 0, ..] => Ok(()),
        _ if has_key => Ok(()),
        _ => Err(WireError::Empty),
    }
}

/// Refuses octets of another length.
fn is_of_length(octets: &[u8], length: usize) -> Result<(), WireError> {
    if octets.len() == length { Ok(()) } else { Err(WireError::DigestLength) }
}

/// A row without a rule.
const fn plain(rtype: Type, fields: &'static [Field]) -> Row {
    ruled(rtype, fields, no_rule)
}

/// A row with a rule.
const fn ruled(rtype: Type, fields: &'static [Field], rule: fn(&[u8]) -> Result<(), WireError>) -> Row {
    let (mut has_names, mut index) = (false, 0);
    while index < fields.len() {
        has_names |= matches!(fields[index], Field::Name(_) | Field::Names | Field::Gateway(_));
        index += 1;
    }
    Row { rtype, fields, rule, has_names }
}

/// For each type below the bound its row; those without a row point behind the table.
const INDEX: [u8; 272] = {
    let mut index = [u8::MAX; 272];
    let mut at = 0;
    while at < ROWS.len() {
        let number = ROWS[at].rtype.0 as usize;
        if number < index.len() {
            index[number] = at as u8;
        }
        at += 1;
    }
    index
};

use Field::*;
use NameKind::{Lowered, Old, Plain, WellKnown};
use mnemonic::{ALGORITHMS, CERTIFICATES, DIGESTS, PROTOCOLS, SCHEMES};

/// What DS, CDS, DLV and TA have in common (RFC 4034 §5.1).
const DELEGATION: &[Field] = &[U16, Mnemonic8(ALGORITHMS), Mnemonic8(DIGESTS), Hex];
/// What DNSKEY, CDNSKEY and RKEY have in common (RFC 4034 §2.1).
const PUBLIC_KEY: &[Field] = &[KeyFlags, Mnemonic8(PROTOCOLS), Mnemonic8(ALGORITHMS), Base64];
/// What SVCB and HTTPS have in common (RFC 9460 §2.2).
const SERVICE: &[Field] = &[U16, Name(Plain), Params];
/// What TLSA and SMIMEA have in common (RFC 6698 §2.1, RFC 8162 §2).
const ASSOCIATION: &[Field] = &[U8, U8, U8, Hex];

/// Every type with a presentation form, in the order of the numbers.
const ROWS: &[Row] = &[
    plain(Type::A, &[Address4]),
    plain(Type::NS, &[Name(WellKnown)]),
    plain(Type::MD, &[Name(WellKnown)]),
    plain(Type::MF, &[Name(WellKnown)]),
    plain(Type::CNAME, &[Name(WellKnown)]),
    plain(Type::SOA, &[Name(WellKnown), Name(WellKnown), U32, Seconds, Seconds, Seconds, Seconds]),
    plain(Type::MB, &[Name(WellKnown)]),
    plain(Type::MG, &[Name(WellKnown)]),
    plain(Type::MR, &[Name(WellKnown)]),
    plain(Type::PTR, &[Name(WellKnown)]),
    plain(Type::HINFO, &[String, String]),
    plain(Type::MINFO, &[Name(WellKnown), Name(WellKnown)]),
    plain(Type::MX, &[U16, Name(WellKnown)]),
    plain(Type::TXT, &[Strings]),
    plain(Type::RP, &[Name(Old), Name(Old)]),
    plain(Type::AFSDB, &[U16, Name(Old)]),
    plain(Type::X25, &[PsdnAddress]),
    plain(Type::ISDN, &[String, StringOptional]),
    plain(Type::RT, &[U16, Name(Old)]),
    plain(Type::NSAP, &[Nsap]),
    plain(Type::NSAP_PTR, &[Name(Plain)]),
    plain(Type::SIG, &[RrType, Mnemonic8(ALGORITHMS), U8, U32, Timestamp, Timestamp, U16, Name(Old), Base64]),
    ruled(Type::KEY, &[KeyFlags, Mnemonic8(PROTOCOLS), Mnemonic8(ALGORITHMS), Base64Optional], key_rule),
    plain(Type::PX, &[U16, Name(Old), Name(Old)]),
    plain(Type::GPOS, &[String, String, String]),
    plain(Type::AAAA, &[Address6]),
    plain(Type::LOC, &[Location]),
    plain(Type::NXT, &[Name(Old), NxtBitmap]),
    plain(Type::EID, &[Hex]),
    plain(Type::NIMLOC, &[Hex]),
    plain(Type::SRV, &[U16, U16, U16, Name(Old)]),
    plain(Type::NAPTR, &[U16, U16, String, String, String, Name(Old)]),
    plain(Type::KX, &[U16, Name(Lowered)]),
    plain(Type::CERT, &[Named16(CERTIFICATES), U16, Named8(ALGORITHMS), Base64]),
    plain(Type::DNAME, &[Name(Lowered)]),
    plain(Type::APL, &[Prefixes]),
    ruled(Type::DS, DELEGATION, digest_rule),
    ruled(Type::SSHFP, &[U8, U8, Hex], fingerprint_rule),
    ruled(Type::IPSECKEY, &[U8, Gateway(Kind::Ipseckey), Base64Optional], ipseckey_rule),
    plain(Type::RRSIG, &[RrType, Mnemonic8(ALGORITHMS), U8, U32, Timestamp, Timestamp, U16, Name(Lowered), Base64]),
    plain(Type::NSEC, &[Name(Plain), Bitmap]),
    plain(Type::DNSKEY, PUBLIC_KEY),
    plain(Type::DHCID, &[Base64]),
    ruled(Type::NSEC3, &[U8, U8, U16, Salt, Hash, Bitmap], nsec3_rule),
    plain(Type::NSEC3PARAM, &[U8, U8, U16, Salt]),
    plain(Type::TLSA, ASSOCIATION),
    plain(Type::SMIMEA, ASSOCIATION),
    plain(Type::HIP, &[HostIdentity, Names]),
    plain(Type::NINFO, &[Strings]),
    plain(Type::RKEY, PUBLIC_KEY),
    plain(Type::TALINK, &[Name(Plain), Name(Plain)]),
    ruled(Type::CDS, DELEGATION, digest_rule),
    plain(Type::CDNSKEY, PUBLIC_KEY),
    plain(Type::OPENPGPKEY, &[Base64]),
    plain(Type::CSYNC, &[U32, U16, Bitmap]),
    ruled(Type::ZONEMD, &[U32, U8, U8, Hex], zonemd_rule),
    plain(Type::SVCB, SERVICE),
    plain(Type::HTTPS, SERVICE),
    plain(Type::DSYNC, &[RrType, Named8(SCHEMES), U16, Name(Plain)]),
    plain(Type::HHIT, &[Base64]),
    plain(Type::BRID, &[Base64]),
    plain(Type::SPF, &[Strings]),
    plain(Type::NID, &[U16, Locator64]),
    plain(Type::L32, &[U16, Address4]),
    plain(Type::L64, &[U16, Locator64]),
    plain(Type::LP, &[U16, Name(Plain)]),
    plain(Type::EUI48, &[Eui48]),
    plain(Type::EUI64, &[Eui64]),
    plain(Type::URI, &[U16, U16, Text]),
    plain(Type::CAA, &[U8, Tag, Text]),
    plain(Type::AVC, &[Strings]),
    plain(Type::DOA, &[U32, U32, U8, String, Base64OrDash]),
    plain(Type::AMTRELAY, &[U8, Gateway(Kind::Amtrelay)]),
    plain(Type::RESINFO, &[Strings]),
    plain(Type::WALLET, &[Strings]),
    plain(Type::CLA, &[Strings]),
    ruled(Type::TA, DELEGATION, digest_rule),
    ruled(Type::DLV, DELEGATION, digest_rule),
];
