//! What is wrong with RDATA, in wire form ([`WireError`]) and in presentation form ([`TextError`]).
//!
//! Owns the words that an operator reads; knows nothing of files and lines, only of tokens and octets.

use super::super::name::NameError;

/// What is wrong with RDATA in wire form. `Copy`, so that it may travel on the packet path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The octets end inside a field.
    #[error("the RDATA ends inside a field")]
    Short,
    /// Octets stand behind the last field.
    #[error("octets are left over behind the last field")]
    Trailing,
    /// Over [`super::RDATA_BYTES_MAX`] octets.
    #[error("the RDATA is longer than 65535 octets")]
    TooLong,
    /// A field that must hold something holds nothing.
    #[error("a field that must hold something is empty")]
    Empty,
    /// A name is broken, or compressed where it must not be.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A CAA tag holds other octets than letters and digits (RFC 8659 §4.1).
    #[error("a CAA tag holds letters and digits only")]
    Tag,
    /// A PSDN address is no run of at least four digits (RFC 1183 §3.1).
    #[error("a PSDN address has at least four digits and nothing else")]
    PsdnAddress,
    /// A type bitmap has windows out of order, of a bad length or with zero octets at the end (RFC 4034 §4.1.2).
    #[error("the type bitmap is malformed")]
    Bitmap,
    /// A LOC field is out of its range, or the version is not 0 (RFC 1876 §2).
    #[error("the location is out of range")]
    Location,
    /// An APL item has an unknown family, too long a prefix or zero octets at its end (RFC 3123 §4).
    #[error("an address prefix is malformed")]
    AddressPrefix,
    /// The kind of a gateway or relay is not registered (RFC 4025 §2.3, RFC 8777 §4.2.3).
    #[error("the kind of the gateway is unknown")]
    Gateway,
    /// A digest, fingerprint or hash has not the length of its algorithm.
    #[error("the length of the digest is not that of its algorithm")]
    DigestLength,
    /// SVCB parameters do not stand in strictly ascending order of their keys (RFC 9460 §2.2).
    #[error("service parameters are not in ascending order, or one stands twice")]
    ParamOrder,
    /// The key 65535 is reserved (RFC 9460 §14.3.2).
    #[error("65535 is no key of a service parameter")]
    ParamKey,
    /// The value of a SVCB parameter is not what its key asks for.
    #[error("the value of service parameter {0} is malformed")]
    ParamValue(u16),
    /// A key that `mandatory` lists is absent, or one that it must not list is there (RFC 9460 §8).
    #[error("`mandatory` lists service parameter {0}, which is absent or may not be listed")]
    ParamMandatory(u16),
    /// `no-default-alpn` without `alpn` (RFC 9460 §7.1.1).
    #[error("`no-default-alpn` needs `alpn` beside it")]
    ParamAlpn,
}

/// What is wrong with a token; its text says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextCause {
    /// The record ends where a field was expected.
    #[error("expected {0}, but the record ends here")]
    Missing(&'static str),
    /// The token is no such field.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The field may not stand in quotes.
    #[error("expected {0}, without quotes")]
    Quoted(&'static str),
    /// A number is over its limit.
    #[error("expected a number from 0 to {0}")]
    TooLarge(u32),
    /// Tokens are left over.
    #[error("expected the end of the record: all its fields are there")]
    Leftover,
    /// A name is broken, or an escape is.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A character-string is over 255 octets (RFC 1035 §3.3).
    #[error("expected at most 255 octets in a character-string")]
    StringTooLong,
    /// The type has no presentation form of its own.
    #[error("this type has no text form: expected `\\# length hex` (RFC 3597)")]
    NoTextForm,
    /// `\#` gives another length than its hex has.
    #[error("expected {declared} octets of hex as declared, found {found}")]
    GenericLength {
        /// What the record says.
        declared: u16,
        /// What it holds.
        found: usize,
    },
    /// A service parameter stands twice.
    #[error("expected each service parameter once")]
    ParamTwice,
    /// The fields are good one by one, or in `\#` form, and the whole is not.
    #[error("{0}")]
    Invalid(WireError),
}

/// What is wrong with RDATA in presentation form, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct TextError {
    /// What is wrong.
    pub cause: TextCause,
    /// The index of the token at fault; the number of tokens when one is missing.
    pub token: usize,
    /// Octets into that token's text.
    pub offset: usize,
}
