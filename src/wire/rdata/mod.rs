//! RDATA of every type: presentation form → wire form → presentation form.
//!
//! Owns one table with a row a type; reading, checking, writing, finding names, canonical form and decompression all
//! walk the same row. Types without a row, and RDATA that does not fit its row, are opaque octets and written as
//! `\# length hex` (RFC 3597). Knows nothing of owners, TTLs, zones or files.

mod address;
mod apl;
mod bitmap;
mod error;
mod field;
mod gateway;
mod loc;
mod mnemonic;
mod parts;
mod read;
mod rows;
mod svcb;
mod time;
mod tokens;
mod write;

pub use bitmap::{has_type, types, write_bitmap};
pub use error::{TextCause, TextError, WireError};
pub use time::{TtlError, parse_ttl};
pub use tokens::Token;

use super::name::{Name, NameRef, encoded_bytes};
use super::rtype::Type;
use field::{Field, NameKind};
use rows::Row;
use tokens::Tokens;

/// The most octets of RDATA: RDLENGTH has 16 bits (RFC 1035 §3.2.1).
pub const RDATA_BYTES_MAX: usize = 65_535;

/// A name inside RDATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedName<'a> {
    /// Where it starts, in octets from the start of the RDATA.
    pub offset: usize,
    /// The name.
    pub name: NameRef<'a>,
    /// Whether a sender may compress it: the types of RFC 1035 only (RFC 3597 §4).
    pub is_compressible: bool,
}

/// Reads the presentation form of RDATA and appends its wire form; `out` is left as it was on an error.
///
/// `\# length hex` is taken for every type and checked for the known ones; the others have no other form
/// (RFC 3597 §5). `origin` completes relative names.
///
/// # Errors
/// [`TextError`] with the token at fault.
pub fn parse(
    rtype: Type,
    tokens: &[Token<'_>],
    origin: Option<NameRef<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), TextError> {
    let start = out.len();
    let parsed = parse_at(rtype, tokens, origin, out);
    if parsed.is_err() {
        out.truncate(start);
    }
    parsed
}

/// Does the work of [`parse`]; leaves in `out` what was read before an error.
fn parse_at(
    rtype: Type,
    tokens: &[Token<'_>],
    origin: Option<NameRef<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), TextError> {
    let start = out.len();
    let mut input = Tokens::new(tokens, origin);
    if input.peek().is_some_and(|token| token.text == b"\\#" && !token.is_quoted) {
        input.take_any("`\\#`")?;
        read::read_generic(&mut input, out)?;
        return check(rtype, out.get(start..).unwrap_or_default())
            .map_err(|error| input.fail(TextCause::Invalid(error), 0));
    }
    let row = rows::row(rtype).ok_or(TextError { cause: TextCause::NoTextForm, token: 0, offset: 0 })?;
    for field in row.fields {
        field.read(&mut input, out)?;
    }
    if !input.is_done() {
        return Err(input.leftover());
    }
    let rdata = out.get(start..).unwrap_or_default();
    match (row.rule)(rdata) {
        _ if rdata.len() > RDATA_BYTES_MAX => Err(input.fail(TextCause::Invalid(WireError::TooLong), 0)),
        Err(WireError::Empty) => Err(input.missing("a key in base64")),
        Err(error) => Err(input.fail(TextCause::Invalid(error), 0)),
        Ok(()) => Ok(()),
    }
}

/// Checks uncompressed RDATA: every field, and that nothing is left over. RDATA of an unknown type is good.
///
/// # Errors
/// [`WireError`].
pub fn check(rtype: Type, rdata: &[u8]) -> Result<(), WireError> {
    if rdata.len() > RDATA_BYTES_MAX {
        return Err(WireError::TooLong);
    }
    match rows::row(rtype) {
        Some(row) => check_row(row, rdata),
        None => Ok(()),
    }
}

/// Checks RDATA against its row.
fn check_row(row: &Row, rdata: &[u8]) -> Result<(), WireError> {
    let mut rest = rdata;
    for field in row.fields {
        (_, rest) = rest.split_at_checked(field.span(rest)?).ok_or(WireError::Short)?;
    }
    if !rest.is_empty() {
        return Err(WireError::Trailing);
    }
    (row.rule)(rdata)
}

/// Writes the presentation form: names absolute, strings quoted, octet strings in one piece.
///
/// RDATA that does not pass [`check`], and that of unknown types, is written as `\# length hex`.
pub fn write_text(rtype: Type, rdata: &[u8], out: &mut String) {
    let row = match rows::row(rtype) {
        Some(row) if check_row(row, rdata).is_ok() => row,
        _ => return write::write_generic(rdata, out),
    };
    let (start, mut rest) = (out.len(), rdata);
    for field in row.fields {
        let Some((octets, tail)) = field.span(rest).ok().and_then(|span| rest.split_at_checked(span)) else { return };
        rest = tail;
        let before = out.len();
        if before > start {
            out.push(' ');
        }
        let separated = out.len();
        field.write(octets, out);
        if out.len() == separated {
            out.truncate(before); // The field is absent, and so is the space in front of it.
        }
    }
}

/// The names inside uncompressed RDATA that passed [`check`], in order; ends early inside RDATA that did not.
pub fn names(rtype: Type, rdata: &[u8]) -> impl Iterator<Item = EmbeddedName<'_>> {
    kinds_and_names(rtype, rdata).map(|(kind, offset, name)| {
        let is_compressible = kind == NameKind::WellKnown;
        EmbeddedName { offset, name, is_compressible }
    })
}

/// The names inside RDATA, each with its kind and offset.
fn kinds_and_names(rtype: Type, rdata: &[u8]) -> impl Iterator<Item = (NameKind, usize, NameRef<'_>)> {
    let mut fields = match rows::row(rtype) {
        Some(row) if row.has_names => row.fields,
        _ => &[],
    };
    let mut offset = 0;
    core::iter::from_fn(move || {
        while let Some((field, later)) = fields.split_first() {
            let (rest, at) = (rdata.get(offset..)?, offset);
            match field {
                Field::Names if !rest.is_empty() => {
                    let name = NameRef::parse(rest).ok()?;
                    offset += name.len();
                    return Some((NameKind::Plain, at, name)); // The field stays: more names may follow.
                }
                Field::Name(kind) => {
                    let name = NameRef::parse(rest).ok()?;
                    (fields, offset) = (later, offset + name.len());
                    return Some((*kind, at, name));
                }
                _ => (fields, offset) = (later, offset + field.span(rest).ok()?),
            }
            if let Field::Gateway(gateway) = field
                && let Some((skip, name)) = gateway.name(rest)
            {
                return Some((NameKind::Plain, at + skip, name));
            }
        }
        None
    })
}

/// Whether a sender may compress names in the RDATA of the type: the types of RFC 1035 only (RFC 3597 §4).
pub fn is_compressible(rtype: Type) -> bool {
    rows::row(rtype).is_some_and(|row| row.fields.iter().any(|field| matches!(field, Field::Name(NameKind::WellKnown))))
}

/// A piece of RDATA as it stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Octets that hold no name.
    Octets(&'a [u8]),
    /// A name that may be compressed, and where it starts in the RDATA.
    Name(usize),
}

/// The pieces of RDATA in which the names that may be compressed perhaps are.
pub fn pieces(rtype: Type, rdata: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut fields = rows::row(rtype).map_or(&[][..], |row| row.fields);
    let mut at = 0;
    core::iter::from_fn(move || {
        let rest = rdata.get(at..).filter(|rest| !rest.is_empty())?;
        let (field, later) = fields.split_first().map_or((None, fields), |(field, later)| (Some(field), later));
        fields = later;
        let (bytes, piece) = match field {
            Some(Field::Name(NameKind::WellKnown)) => (encoded_bytes(rest)?, Piece::Name(at)),
            _ => {
                let bytes = field.map_or(Ok(rest.len()), |field| field.span(rest)).ok()?;
                (bytes, Piece::Octets(rest.get(..bytes)?))
            }
        };
        at += bytes;
        Some(piece)
    })
}

/// Appends the canonical form: names of the types that RFC 4034 §6.2 lists, as RFC 6840 §5.1 amends it, in lower case.
///
/// `rdata` is uncompressed and passed [`check`].
pub fn write_canonical(rtype: Type, rdata: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(rdata);
    for (kind, offset, name) in kinds_and_names(rtype, rdata) {
        let range = start + offset..start + offset + name.len();
        if kind != NameKind::Plain
            && let Some(octets) = out.get_mut(range)
        {
            octets.make_ascii_lowercase(); // Length octets are below `A`.
        }
    }
}

/// Appends the RDATA of `length` octets at `start` of `message` with its names uncompressed, and checked.
///
/// Names are followed where RFC 3597 §4 lets a receiver do so: the types of RFC 1035, and RP, AFSDB, RT, SIG, PX,
/// NXT, NAPTR and SRV. `out` is left as it was on an error.
///
/// # Errors
/// [`WireError`]; [`super::NameError::Pointer`] for a name that must not be compressed and is.
pub fn decompress(
    rtype: Type,
    message: &[u8],
    start: usize,
    length: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let before = out.len();
    let expanded =
        expand(rtype, message, start, length, out).and_then(|()| check(rtype, out.get(before..).unwrap_or_default()));
    if expanded.is_err() {
        out.truncate(before);
    }
    expanded
}

/// Does the work of [`decompress`], the last check left out.
fn expand(rtype: Type, message: &[u8], start: usize, length: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let end = start.checked_add(length).ok_or(WireError::Short)?;
    // Nothing is read behind the RDATA, and pointers lead back, so that the rest of the message may be cut off.
    let message = message.get(..end).ok_or(WireError::Short)?;
    let mut at = start;
    // Where there are no names, all of it is taken along below.
    for field in rows::row(rtype).filter(|row| row.has_names).map_or(&[][..], |row| row.fields) {
        let rest = message.get(at..).ok_or(WireError::Short)?;
        if let Field::Name(NameKind::WellKnown | NameKind::Old) = field {
            let (name, behind) = Name::read(message, at)?;
            out.extend_from_slice(name.as_ref().as_bytes());
            at = behind;
        } else {
            let span = field.span(rest)?;
            out.extend_from_slice(rest.get(..span).ok_or(WireError::Short)?);
            at += span;
        }
    }
    // What is left over is taken along: all of it where the type is unknown, else the check finds it.
    out.extend_from_slice(message.get(at..).ok_or(WireError::Short)?);
    Ok(())
}
