//! IPv4 and IPv6 addresses in RDATA: text → wire → text.

use core::fmt::Write as _;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::error::{TextCause, TextError};
use super::tokens::Tokens;

/// Reads an IPv4 address: four decimal numbers, no zeros in front.
pub(super) fn read_address4(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "an IPv4 address";
    let octets = address4(input.take(EXPECTED)?).ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))?;
    out.extend_from_slice(&octets);
    Ok(())
}

/// Reads an IPv6 address (RFC 4291 §2.2).
pub(super) fn read_address6(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    const EXPECTED: &str = "an IPv6 address";
    let octets = address6(input.take(EXPECTED)?).ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))?;
    out.extend_from_slice(&octets);
    Ok(())
}

/// The octets of an IPv4 address, as `core::net` reads it, for less.
fn address4(text: &[u8]) -> Option<[u8; 4]> {
    let (mut octets, mut count, mut value, mut has_digits) = ([0; 4], 0, 0_u8, false);
    for octet in text {
        match octet {
            b'.' if has_digits && count < 3 => {
                octets[count] = value;
                (count, value, has_digits) = (count + 1, 0, false);
            }
            // No digit stands behind a zero in front.
            b'0'..=b'9' if value > 0 || !has_digits => {
                value = value.checked_mul(10)?.checked_add(octet - b'0')?;
                has_digits = true;
            }
            _ => return None,
        }
    }
    octets[3] = value;
    (count == 3 && has_digits).then_some(octets)
}

/// The octets of an IPv6 address, as `core::net` reads it, for less; the rare ones with a dotted end are left to it.
fn address6(text: &[u8]) -> Option<[u8; 16]> {
    const GROUPS: usize = 8;
    let (mut groups, mut count, mut value, mut digits) = ([0_u16; GROUPS + 1], 0, 0, 0);
    let (rest, mut gap) = text.strip_prefix(b"::").map_or((text, None), |rest| (rest, Some(0)));
    let mut is_behind_colon = false;
    for octet in rest {
        match octet {
            b'.' => return Some(core::str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok()?.octets()),
            b':' if digits > 0 && count < GROUPS => {
                groups[count] = value;
                (count, value, digits, is_behind_colon) = (count + 1, 0, 0, true);
            }
            b':' if is_behind_colon && gap.is_none() => (gap, is_behind_colon) = (Some(count), false),
            _ => {
                value = value << 4 | char::from(*octet).to_digit(16).filter(|_| digits < 4)? as u16;
                (digits, is_behind_colon) = (digits + 1, false);
            }
        }
    }
    if is_behind_colon {
        return None;
    }
    groups[count] = value;
    count += usize::from(digits > 0);
    // A gap stands for one group at least.
    let missing = GROUPS.checked_sub(count).filter(|missing| gap.is_some() == (*missing > 0))?;
    let gap = gap.unwrap_or(0);
    groups[gap..GROUPS].rotate_right(missing);
    let mut octets = [0; 2 * GROUPS];
    octets.as_chunks_mut().0.iter_mut().zip(groups).for_each(|(two, group)| *two = group.to_be_bytes());
    Some(octets)
}

/// Writes an IPv4 address.
pub(super) fn write_address4(octets: &[u8], out: &mut String) {
    if let [a, b, c, d] = *octets {
        let _ = write!(out, "{}", Ipv4Addr::new(a, b, c, d)); // Writing into a String cannot fail.
    }
}

/// Writes an IPv6 address as RFC 5952 says, and the old compatible addresses with the dotted end that BIND gives them.
pub(super) fn write_address6(address: Ipv6Addr, out: &mut String) {
    let [a, b, c, d] = match address.octets() {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end @ ..] if end[0] | end[1] != 0 => end,
        _ => {
            let _ = write!(out, "{address}");
            return;
        }
    };
    let _ = write!(out, "::{}", Ipv4Addr::new(a, b, c, d));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_standard_library_reads_them() {
        let mut texts: Vec<String> = vec![String::new()];
        // All texts of up to four parts: what is good, and what is wrong in one place or in many.
        let parts = [":", "::", "0", "1", ".", "255", "256", "01", "fFfF", "10000", "g"];
        for _ in 0..4 {
            let longer = texts.iter().flat_map(|text| parts.iter().map(move |part| format!("{text}{part}")));
            let longer: Vec<String> = longer.collect();
            texts.extend(longer);
        }
        let groups = |count: usize| vec!["12ab"; count].join(":");
        for (front, back) in (0..10).flat_map(|front| (0..10).map(move |back| (front, back))) {
            for gap in ["", ":", "::", ":::"] {
                for end in ["", ".", "192.0.2.1", ":192.0.2.1", ":192.0.2.1:"] {
                    texts.push(format!("{}{gap}{}{end}", groups(front), groups(back)));
                }
            }
        }
        for first in ["0", "9", "00", "09", "10", "99", "199", "249", "250", "260", "300", "999", "1000", "", "+1", "é"]
        {
            for rest in [".0.2.1", ".0.2", ".0.2.1.4", ".0.2.1.", ".0..1", ".256.2.1", ".0.2.01", " .0.2.1"] {
                texts.push(format!("{first}{rest}"));
            }
        }
        for text in texts {
            assert_eq!(address4(text.as_bytes()), text.parse().ok().map(|read: Ipv4Addr| read.octets()), "{text}");
            assert_eq!(address6(text.as_bytes()), text.parse().ok().map(|read: Ipv6Addr| read.octets()), "{text}");
        }
        assert_eq!((address4(b"1.2.3.\xFF"), address6(b"::\xFF")), (None, None));
    }
}
