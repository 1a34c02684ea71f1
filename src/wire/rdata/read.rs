//! Fields from presentation form to wire form.
//!
//! Owns the reading of every kind of field but those with a file of their own. Checks what can be seen in the text
//! alone; the table checks the rest.

use data_encoding::{BASE32HEX_NOPAD, HEXUPPER_PERMISSIVE};

use super::super::name::Name;
use super::super::rtype::Type;
use super::address::{read_address4, read_address6};
use super::error::{TextCause, TextError, WireError};
use super::field::Field;
use super::mnemonic::{KEY_FLAGS, Register, number_of};
use super::parts::{decode_base64, decode_with};
use super::time::{parse_seconds, parse_timestamp};
use super::tokens::{Tokens, number};
use super::{apl, bitmap, loc, svcb};

impl Field {
    /// Reads one field and appends its wire form.
    pub(super) fn read(self, input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
        match self {
            Self::U8 => out.push(input.take_number(u8::MAX.into())? as u8),
            Self::U16 => push16(input.take_number(u16::MAX.into())?, out),
            Self::U32 => push32(input.take_number(u32::MAX)?, out),
            Self::Seconds => push32(read_seconds(input)?, out),
            Self::Timestamp => push32(read_timestamp(input)?, out),
            Self::Mnemonic8(register) | Self::Named8(register) => {
                out.push(read_mnemonic(input, register, u8::MAX.into())? as u8);
            }
            Self::Named16(register) => push16(read_mnemonic(input, register, u16::MAX.into())?, out),
            Self::KeyFlags => push16(read_key_flags(input)?, out),
            Self::RrType => push16(read_type(input)?.0.into(), out),
            Self::Address4 => return read_address4(input, out),
            Self::Address6 => return read_address6(input, out),
            Self::Name(_) => return read_name(input, out),
            Self::Names => {
                while !input.is_done() {
                    read_name(input, out)?;
                }
            }
            Self::StringOptional if input.is_done() => {}
            Self::String | Self::StringOptional => return read_string(input, "a character-string", out),
            Self::Strings => {
                read_string(input, "a character-string", out)?;
                while !input.is_done() {
                    read_string(input, "a character-string", out)?;
                }
            }
            Self::PsdnAddress => return read_checked(self, input, "at least four digits", out),
            Self::Tag => return read_tag(input, out),
            Self::Text => {
                let token = input.take_any("a quoted string")?;
                out.extend_from_slice(&input.unescaped(token.text)?);
            }
            Self::Base64 => return read_base64(input, false, out),
            Self::Base64Optional => return read_base64(input, true, out),
            Self::Base64OrDash => match input.peek() {
                Some(token) if token.text == b"-" && !token.is_quoted => drop(input.take_any("`-`")?),
                _ => return read_base64(input, false, out),
            },
            Self::Hex => return read_hex(input, out),
            Self::Nsap => return read_nsap(input, out),
            Self::Salt => return read_salt(input, out),
            Self::Hash => return read_hash(input, out),
            Self::Bitmap => bitmap::write_bitmap(&read_types(input)?, out),
            Self::NxtBitmap => return read_nxt_bitmap(input, out),
            Self::Locator64 => return read_locator64(input, out),
            Self::Eui48 => return read_eui::<6>(input, "an EUI-48 as xx-xx-xx-xx-xx-xx", out),
            Self::Eui64 => return read_eui::<8>(input, "an EUI-64 as xx-xx-xx-xx-xx-xx-xx-xx", out),
            Self::Location => return loc::read(input, out),
            Self::Prefixes => return apl::read(input, out),
            Self::Gateway(kind) => return kind.read(input, out),
            Self::HostIdentity => return read_host_identity(input, out),
            Self::Params => return svcb::read(input, out),
        }
        Ok(())
    }
}

/// Reads the form `\# length hex`, whose first token is taken already (RFC 3597 §5).
pub(super) fn read_generic(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    let declared = input.take_number(u16::MAX.into())? as u16; // Checked against the limit.
    let start = out.len();
    if !input.is_done() {
        read_hex(input, out)?;
    }
    match out.len() - start {
        found if found == usize::from(declared) => Ok(()),
        found => Err(input.fail(TextCause::GenericLength { declared, found }, 0)),
    }
}

/// Reads an interval.
fn read_seconds(input: &mut Tokens<'_>) -> Result<u32, TextError> {
    const EXPECTED: &str = "seconds, or a time as 1w2d3h4m5s, up to 4294967295 seconds";
    let text = input.take(EXPECTED)?;
    parse_seconds(text).ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))
}

/// Reads a point in time.
fn read_timestamp(input: &mut Tokens<'_>) -> Result<u32, TextError> {
    let text = input.take("a date as YYYYMMDDHHMMSS")?;
    parse_timestamp(text).map_err(|(cause, offset)| input.fail(cause, offset))
}

/// Reads a number up to `max` or a mnemonic.
fn read_mnemonic(input: &mut Tokens<'_>, register: Register, max: u32) -> Result<u32, TextError> {
    const EXPECTED: &str = "a number or a registered mnemonic";
    let text = input.take(EXPECTED)?;
    if text.first().is_some_and(u8::is_ascii_digit) {
        return number(text, max).map_err(|(cause, offset)| input.fail(cause, offset));
    }
    number_of(register, text).map(u32::from).ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))
}

/// Reads the flags of a key: a number, or mnemonics joined by `|` (RFC 2535 §7.1).
fn read_key_flags(input: &mut Tokens<'_>) -> Result<u32, TextError> {
    const EXPECTED: &str = "flags: a number from 0 to 65535, or mnemonics joined by `|`";
    let text = input.take(EXPECTED)?;
    if text.first().is_some_and(u8::is_ascii_digit) {
        return number(text, u16::MAX.into()).map_err(|(cause, offset)| input.fail(cause, offset));
    }
    text.split(|octet| *octet == b'|')
        .try_fold(0, |flags, name| Some(flags | u32::from(number_of(KEY_FLAGS, name)?)))
        .ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))
}

/// Reads a type: a mnemonic or `TYPEnnn`.
fn read_type(input: &mut Tokens<'_>) -> Result<Type, TextError> {
    const EXPECTED: &str = "a record type";
    let text = input.take(EXPECTED)?;
    Type::from_text(text).ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))
}

/// Reads types to the end of the record.
fn read_types(input: &mut Tokens<'_>) -> Result<Vec<Type>, TextError> {
    let mut types = Vec::new();
    while !input.is_done() {
        types.push(read_type(input)?);
    }
    Ok(types)
}

/// Reads the types of NXT, one at least, none over its limit.
fn read_nxt_bitmap(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "a record type from 1 to 127";
    let mut types = Vec::new();
    while types.is_empty() || !input.is_done() {
        if input.is_done() {
            return Err(input.missing(EXPECTED));
        }
        let rtype = read_type(input)?;
        if !(1..=bitmap::NXT_TYPE_MAX).contains(&rtype.0) {
            return Err(input.fail(TextCause::Expected(EXPECTED), 0));
        }
        types.push(rtype);
    }
    bitmap::write_nxt_bitmap(&types, out);
    Ok(())
}

/// Reads a name; a relative one is completed with the origin.
fn read_name(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    let text = input.take("a domain name")?;
    let name = Name::from_text(text, input.origin).map_err(|error| input.fail(error.into(), 0))?;
    out.extend_from_slice(name.as_ref().as_bytes());
    Ok(())
}

/// Reads a character-string with its length octet.
fn read_string(input: &mut Tokens<'_>, expected: &'static str, out: &mut Vec<u8>) -> Result<(), TextError> {
    let octets = input.take_string(expected)?;
    out.push(octets.len() as u8); // At most 255, as `take_string` promises.
    out.extend_from_slice(&octets);
    Ok(())
}

/// Reads a character-string that the table checks further.
fn read_checked(
    field: Field,
    input: &mut Tokens<'_>,
    expected: &'static str,
    out: &mut Vec<u8>,
) -> Result<(), TextError> {
    let start = out.len();
    read_string(input, expected, out)?;
    match field.span(out.get(start..).unwrap_or_default()) {
        Ok(_) => Ok(()),
        Err(_) => Err(input.fail(TextCause::Expected(expected), 0)),
    }
}

/// Reads the tag of CAA, which stands without quotes (RFC 8659 §4.1.1).
fn read_tag(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "a tag of letters and digits";
    match input.peek() {
        Some(token) if token.is_quoted => input.take(EXPECTED).map(drop), // Fails with the right cause.
        _ => read_checked(Field::Tag, input, EXPECTED, out),
    }
}

/// Reads base64 to the end of the record.
fn read_base64(input: &mut Tokens<'_>, may_be_empty: bool, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "base64 with its padding";
    let (first, text) = input.take_joined(EXPECTED)?;
    if text.is_empty() && !may_be_empty {
        return Err(input.missing(EXPECTED));
    }
    decode_base64(&text, out).map_err(|position| input.fail_joined(first, position, TextCause::Expected(EXPECTED)))
}

/// Reads hex to the end of the record, one octet at least.
fn read_hex(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "hex digits, an even count of them";
    let (first, text) = input.take_joined(EXPECTED)?;
    if text.is_empty() {
        return Err(input.missing(EXPECTED));
    }
    decode_with(&HEXUPPER_PERMISSIVE, &text, out)
        .map_err(|position| input.fail_joined(first, position, TextCause::Expected(EXPECTED)))
}

/// Reads an NSAP address: `0x` and hex, with dots anywhere (RFC 1706 §7).
fn read_nsap(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "an NSAP address: 0x and an even count of hex digits";
    let text = input.take(EXPECTED)?;
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X"));
    let digits: Vec<u8> = digits.unwrap_or_default().iter().copied().filter(|octet| *octet != b'.').collect();
    match decode_with(&HEXUPPER_PERMISSIVE, &digits, out) {
        Ok(()) if !digits.is_empty() => Ok(()),
        _ => Err(input.fail(TextCause::Expected(EXPECTED), 0)),
    }
}

/// Reads a salt: hex in one token, `-` for none (RFC 5155 §3.3).
fn read_salt(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "a salt in hex of at most 255 octets, or `-` for none";
    let text = input.take(EXPECTED)?;
    let mut salt = Vec::new();
    if text != b"-" {
        decode_with(&HEXUPPER_PERMISSIVE, text, &mut salt)
            .map_err(|offset| input.fail(TextCause::Expected(EXPECTED), offset))?;
        if salt.is_empty() {
            return Err(input.fail(TextCause::Expected(EXPECTED), 0));
        }
    }
    out.push(u8::try_from(salt.len()).map_err(|_| input.fail(TextCause::Expected(EXPECTED), 0))?);
    out.append(&mut salt);
    Ok(())
}

/// Reads a hash: base32hex in one token, without padding, in any letter case (RFC 5155 §3.3).
fn read_hash(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "a hash in base32hex without padding";
    let mut text = input.take(EXPECTED)?.to_vec();
    text.make_ascii_uppercase();
    let mut hash = Vec::new();
    decode_with(&BASE32HEX_NOPAD, &text, &mut hash)
        .map_err(|offset| input.fail(TextCause::Expected(EXPECTED), offset))?;
    match u8::try_from(hash.len()) {
        Ok(length @ 1..) => out.push(length),
        _ => return Err(input.fail(TextCause::Expected(EXPECTED), 0)),
    }
    out.append(&mut hash);
    Ok(())
}

/// Reads octets in hex, two digits each, with hyphens between them (RFC 7043 §3.2, §4.2).
fn read_eui<const BYTES: usize>(
    input: &mut Tokens<'_>,
    expected: &'static str,
    out: &mut Vec<u8>,
) -> Result<(), TextError> {
    let text = input.take(expected)?;
    let mut octets = [0; BYTES];
    let mut groups = text.split(|octet| *octet == b'-');
    for octet in octets.chunks_mut(1) {
        let group = groups.next().filter(|group| group.len() == 2);
        let is_good = group.is_some_and(|group| HEXUPPER_PERMISSIVE.decode_mut(group, octet).is_ok());
        if !is_good {
            return Err(input.fail(TextCause::Expected(expected), 0));
        }
    }
    if groups.next().is_some() {
        return Err(input.fail(TextCause::Expected(expected), 0));
    }
    out.extend_from_slice(&octets);
    Ok(())
}

/// Reads four groups of 16 bits with colons between them (RFC 6742 §2.1.2).
///
/// BIND writes them without zeros in front, Knot asks for four digits: both are read, and four are written.
fn read_locator64(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "four groups of up to four hex digits, with colons between them";
    let text = input.take(EXPECTED)?;
    let mut groups = [0; 4];
    let mut parts = text.split(|octet| *octet == b':');
    for group in &mut groups {
        let part = parts.next().filter(|part| part.len() <= 4 && part.iter().all(u8::is_ascii_hexdigit));
        let part = part.and_then(|part| core::str::from_utf8(part).ok());
        let value = part.and_then(|part| u16::from_str_radix(part, 16).ok());
        *group = value.ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))?;
    }
    if parts.next().is_some() {
        return Err(input.fail(TextCause::Expected(EXPECTED), 0));
    }
    groups.iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    Ok(())
}

/// Reads `algorithm tag key` of HIP (RFC 8005 §6).
fn read_host_identity(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const TAG: &str = "a host identity tag in hex of 1 to 255 octets";
    const KEY: &str = "a public key in base64, in one piece";
    let algorithm = input.take_number(u8::MAX.into())?;
    let (mut tag, mut key) = (Vec::new(), Vec::new());
    let text = input.take(TAG)?;
    decode_with(&HEXUPPER_PERMISSIVE, text, &mut tag).map_err(|offset| input.fail(TextCause::Expected(TAG), offset))?;
    let Ok(tag_length @ 1..) = u8::try_from(tag.len()) else {
        return Err(input.fail(TextCause::Expected(TAG), 0));
    };
    let text = input.take(KEY)?;
    decode_base64(text, &mut key).map_err(|offset| input.fail(TextCause::Expected(KEY), offset))?;
    let Ok(key_length @ 1..) = u16::try_from(key.len()) else {
        return Err(input.fail(TextCause::Invalid(WireError::TooLong), 0));
    };
    out.extend_from_slice(&[tag_length, algorithm as u8]); // Checked against its limit.
    out.extend_from_slice(&key_length.to_be_bytes());
    out.append(&mut tag);
    out.append(&mut key);
    Ok(())
}

/// Appends the low 16 bits of a number that was checked to have no others.
fn push16(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&(value as u16).to_be_bytes());
}

/// Appends a number of 32 bits.
fn push32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}
