//! APL: lists of address prefixes (RFC 3123).
//!
//! Owns both forms of the list for the families 1 (IPv4) and 2 (IPv6).
//!
//! ```text
//! | family (2) | prefix | N, length | address without zero octets at its end |
//! ```

use core::fmt::Write as _;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::address::write_address6;
use super::error::{TextCause, TextError, WireError};
use super::tokens::{Tokens, number};

/// One item of the list.
struct Item<'a> {
    /// 1 is IPv4, 2 is IPv6.
    family: u16,
    /// How many bits of the address count.
    prefix: u8,
    /// Whether what the item covers is taken out.
    is_negated: bool,
    /// The address without zero octets at its end.
    address: &'a [u8],
}

/// Checks the list; an empty one is good.
///
/// # Errors
/// [`WireError::Short`], [`WireError::AddressPrefix`].
pub(super) fn check(rest: &[u8]) -> Result<(), WireError> {
    let mut rest = rest;
    while !rest.is_empty() {
        let (item, tail) = split(rest).ok_or(WireError::Short)?;
        rest = tail;
        let (prefix_max, bytes_max) = match item.family {
            1 => (32, 4),
            2 => (128, 16),
            _ => return Err(WireError::AddressPrefix),
        };
        if item.prefix > prefix_max || item.address.len() > bytes_max || matches!(item.address, [.., 0]) {
            return Err(WireError::AddressPrefix);
        }
    }
    Ok(())
}

/// Reads the presentation form: any number of `[!]family:address/prefix`.
pub(super) fn read(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    while !input.is_done() {
        let text = input.take(EXPECTED)?;
        let item = read_item(text).map_err(|cause| input.fail(cause, 0))?;
        out.extend_from_slice(&item);
    }
    Ok(())
}

/// Writes the presentation form of a list that passed [`check`].
pub(super) fn write(rest: &[u8], out: &mut String) {
    let (mut rest, mut separator) = (rest, "");
    while let Some((item, tail)) = split(rest) {
        rest = tail;
        let sign = if item.is_negated { "!" } else { "" };
        let _ = write!(out, "{separator}{sign}{}:", item.family); // Writing into a String cannot fail.
        let mut address = [0; 16];
        for (octet, given) in address.iter_mut().zip(item.address) {
            *octet = *given;
        }
        match item.family {
            1 => {
                let [a, b, c, d, ..] = address;
                let _ = write!(out, "{}", Ipv4Addr::new(a, b, c, d));
            }
            _ => write_address6(Ipv6Addr::from(address), out),
        }
        let _ = write!(out, "/{}", item.prefix);
        separator = " ";
    }
}

/// Cuts one item off; `None` if it is too short.
fn split(rest: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let [high, low, prefix, length, rest @ ..] = rest else { return None };
    let (address, rest) = rest.split_at_checked(usize::from(length & 0x7F))?;
    let family = u16::from_be_bytes([*high, *low]);
    Some((Item { family, prefix: *prefix, is_negated: length & 0x80 != 0, address }, rest))
}

/// Reads one item into its wire form.
fn read_item(text: &[u8]) -> Result<Vec<u8>, TextCause> {
    let text = core::str::from_utf8(text).map_err(|_| TextCause::Expected(EXPECTED))?;
    let (is_negated, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
    let (family, text) = text.split_once(':').ok_or(TextCause::Expected(EXPECTED))?;
    let (address, prefix) = text.rsplit_once('/').ok_or(TextCause::Expected(EXPECTED))?;
    let (prefix_max, family, address) = match family {
        "1" => (32, 1, address.parse::<Ipv4Addr>().ok().map(|address| address.octets().to_vec())),
        "2" => (128, 2, address.parse::<Ipv6Addr>().ok().map(|address| address.octets().to_vec())),
        _ => return Err(TextCause::Expected("the address family 1 (IPv4) or 2 (IPv6)")),
    };
    let mut address = address.ok_or(TextCause::Expected("an address of the family in front of the colon"))?;
    let prefix = number(prefix.as_bytes(), prefix_max).map_err(|(cause, _)| cause)?;
    while let [.., 0] = address[..] {
        address.pop();
    }
    let length = address.len() as u8 | if is_negated { 0x80 } else { 0 };
    let mut item = vec![0, family, prefix as u8, length]; // The prefix is at most 128.
    item.append(&mut address);
    Ok(item)
}

/// What an item is called in errors.
const EXPECTED: &str = "an address prefix as [!]family:address/prefix";
