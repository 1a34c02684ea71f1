//! The kinds of fields that RDATA is made of.
//!
//! Owns where each kind ends in wire form, and what it may hold. Knows nothing of text: `read` and `write` do; which
//! type has which fields is the matter of `rows`.

use super::super::name::NameRef;
use super::error::WireError;
use super::gateway::Kind;
use super::parts::string;
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
