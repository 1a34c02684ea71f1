//! What fields of several kinds are made of: character-strings, names, base64.

use core::fmt::Write as _;

use data_encoding::{BASE64, Encoding};

use super::super::name::NameRef;
use super::error::WireError;

/// The content of the character-string at the start of `rest`.
pub(super) fn string(rest: &[u8]) -> Result<&[u8], WireError> {
    let (length, rest) = rest.split_first().ok_or(WireError::Short)?;
    rest.get(..usize::from(*length)).ok_or(WireError::Short)
}

/// Writes the name at the start of `octets`, absolute.
pub(super) fn write_name(octets: &[u8], out: &mut String) {
    if let Ok(name) = NameRef::parse(octets) {
        let _ = write!(out, "{name}");
    }
}

/// Writes octets in quotes, escaped so that a reader gets them back (RFC 1035 §5.1).
pub(super) fn write_quoted(octets: &[u8], out: &mut String) {
    out.push('"');
    for octet in octets {
        match octet {
            b'"' | b'\\' => out.extend(['\\', char::from(*octet)]),
            0x20..=0x7E => out.push(char::from(*octet)),
            _ => {
                let _ = write!(out, "\\{octet:03}");
            }
        }
    }
    out.push('"');
}

/// Decodes base64 in one piece, with its padding.
///
/// # Errors
/// The offset of the first character at fault.
pub(super) fn decode_base64(text: &[u8], out: &mut Vec<u8>) -> Result<(), usize> {
    // The decoder takes a second text behind the padding of a first one; a zone file must not.
    if let Some(padding) = text.iter().position(|octet| *octet == b'=') {
        let is_at_end = text.len() - padding <= 2 && text.ends_with(b"=");
        if !is_at_end {
            return Err(padding);
        }
    }
    decode_with(&BASE64, text, out)
}

/// Decodes `text` and appends the octets; the error is the offset of the first character at fault.
pub(super) fn decode_with(encoding: &Encoding, text: &[u8], out: &mut Vec<u8>) -> Result<(), usize> {
    let start = out.len();
    let length = encoding.decode_len(text.len()).map_err(|error| error.position)?;
    out.resize(start + length, 0);
    match encoding.decode_mut(text, out.get_mut(start..).unwrap_or_default()) {
        Ok(written) => out.truncate(start + written),
        Err(partial) => {
            out.truncate(start);
            return Err(partial.error.position);
        }
    }
    Ok(())
}
