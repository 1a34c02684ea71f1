//! Fields from wire form to presentation form.
//!
//! Owns the writing of every kind of field but those with a file of their own. What comes in passed the table's check;
//! what does not fit all the same writes less, and never fails.

use core::fmt::Write as _;
use core::net::Ipv6Addr;

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXLOWER, HEXUPPER};

use super::super::name::NameRef;
use super::super::rtype::Type;
use super::address::{write_address4, write_address6};
use super::field::{Field, host_identity};
use super::mnemonic::{Register, name_of};
use super::parts::{string, write_name, write_quoted};
use super::time::civil;
use super::{apl, bitmap, loc, svcb};

impl Field {
    /// Writes the field whose span is `octets`.
    pub(super) fn write(self, octets: &[u8], out: &mut String) {
        match self {
            Self::U8 | Self::U16 | Self::U32 | Self::Seconds | Self::KeyFlags | Self::Mnemonic8(_) => {
                write_number(number(octets), out);
            }
            Self::Named8(register) | Self::Named16(register) => write_mnemonic(register, number(octets), out),
            Self::Timestamp => write_timestamp(number(octets), out),
            Self::RrType => write_types(core::iter::once(Type(number(octets) as u16)), out), // Two octets.
            Self::Address4 => write_address4(octets, out),
            Self::Address6 => octets.try_into().ok().into_iter().for_each(|octets: [u8; 16]| {
                write_address6(Ipv6Addr::from(octets), out);
            }),
            Self::Name(_) => write_name(octets, out),
            Self::Names => write_all(octets, out, |rest, out| {
                write_name(rest, out);
                NameRef::parse(rest).map_or(0, NameRef::len)
            }),
            Self::String | Self::StringOptional | Self::Strings | Self::PsdnAddress => {
                write_all(octets, out, |rest, out| {
                    let content = string(rest).unwrap_or_default();
                    write_quoted(content, out);
                    1 + content.len()
                });
            }
            Self::Tag => string(octets).unwrap_or_default().iter().for_each(|octet| out.push(char::from(*octet))),
            Self::Text => write_quoted(octets, out),
            Self::Base64OrDash if octets.is_empty() => out.push('-'),
            Self::Base64 | Self::Base64Optional | Self::Base64OrDash => BASE64.encode_append(octets, out),
            Self::Hex => HEXUPPER.encode_append(octets, out),
            Self::Nsap => {
                out.push_str("0x");
                HEXLOWER.encode_append(octets, out); // As BIND has it, the one peer that knows the type.
            }
            Self::Salt => match string(octets) {
                Ok(salt @ [_, ..]) => HEXUPPER.encode_append(salt, out),
                _ => out.push('-'),
            },
            Self::Hash => BASE32HEX_NOPAD.encode_append(string(octets).unwrap_or_default(), out),
            Self::Bitmap => write_types(bitmap::types(octets), out),
            Self::NxtBitmap => write_types(bitmap::nxt_types(octets), out),
            Self::Locator64 => write_groups(octets, 2, ':', out),
            Self::Eui48 | Self::Eui64 => write_groups(octets, 1, '-', out),
            Self::Location => loc::write(octets, out),
            Self::Prefixes => apl::write(octets, out),
            Self::Gateway(kind) => kind.write(octets, out),
            Self::HostIdentity => write_host_identity(octets, out),
            Self::Params => svcb::write(octets, out),
        }
    }
}

/// Writes the form `\# length hex` (RFC 3597 §5).
pub(super) fn write_generic(rdata: &[u8], out: &mut String) {
    out.push_str("\\# ");
    let _ = write!(out, "{}", rdata.len()); // Writing into a String cannot fail.
    if !rdata.is_empty() {
        out.push(' ');
        HEXUPPER.encode_append(rdata, out);
    }
}

/// The octets as a big-endian number; four of them at most.
fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet))
}

/// Writes a decimal number.
fn write_number(value: u32, out: &mut String) {
    let _ = write!(out, "{value}"); // As above.
}

/// Writes the mnemonic of a number, or the number.
fn write_mnemonic(register: Register, value: u32, out: &mut String) {
    match u16::try_from(value).ok().and_then(|number| name_of(register, number)) {
        Some(name) => out.push_str(name),
        None => write_number(value, out),
    }
}

/// Writes `YYYYMMDDHHMMSS`.
fn write_timestamp(timestamp: u32, out: &mut String) {
    let [year, month, day, hour, minute, second] = civil(timestamp);
    let _ = write!(out, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"); // As above.
}

/// Writes types with spaces between them.
fn write_types(types: impl Iterator<Item = Type>, out: &mut String) {
    let mut separator = "";
    for rtype in types {
        let _ = write!(out, "{separator}{rtype}"); // As above.
        separator = " ";
    }
}

/// Writes item after item with spaces between them; `write` says how many octets it took.
fn write_all(octets: &[u8], out: &mut String, write: fn(&[u8], &mut String) -> usize) {
    let mut rest = octets;
    while !rest.is_empty() {
        if rest.len() < octets.len() {
            out.push(' ');
        }
        rest = match write(rest, out) {
            0 => return,
            taken => rest.get(taken..).unwrap_or_default(),
        };
    }
}

/// Writes octets in lower hex, in groups of `bytes` octets with `separator` between them.
fn write_groups(octets: &[u8], bytes: usize, separator: char, out: &mut String) {
    for (index, group) in octets.chunks(bytes).enumerate() {
        if index > 0 {
            out.push(separator);
        }
        HEXLOWER.encode_append(group, out);
    }
}

/// Writes `algorithm tag key` of HIP.
fn write_host_identity(octets: &[u8], out: &mut String) {
    let Ok(identity) = host_identity(octets) else { return };
    write_number(identity.algorithm.into(), out);
    out.push(' ');
    HEXUPPER.encode_append(identity.tag, out);
    out.push(' ');
    BASE64.encode_append(identity.key, out);
}
