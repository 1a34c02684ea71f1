//! Type bitmaps: windows of NSEC, NSEC3 and CSYNC (RFC 4034 §4.1.2), and the plain bitmap of NXT (RFC 2535 §5.2).
//!
//! Owns reading, checking and writing them. Readers take what is well-formed and end at the first window that is not.

use super::super::rtype::Type;
use super::error::WireError;

/// The most octets of one window.
const WINDOW_BYTES_MAX: usize = 32;
/// The largest type that a NXT bitmap can hold (RFC 2535 §5.2).
pub(super) const NXT_TYPE_MAX: u16 = 127;

/// The types that a bitmap of windows holds, in ascending order.
pub fn types(bitmap: &[u8]) -> impl Iterator<Item = Type> {
    windows(bitmap).flat_map(|(window, bits)| {
        bits_of(bits).map(move |bit| Type(u16::from(window) << 8 | bit)) // At most 256 bits a window.
    })
}

/// Whether a bitmap of windows holds `rtype`. Cost: one step a window.
pub fn has_type(bitmap: &[u8], rtype: Type) -> bool {
    let [wanted, low] = rtype.0.to_be_bytes();
    windows(bitmap)
        .find(|(window, _)| *window == wanted)
        .and_then(|(_, bits)| bits.get(usize::from(low / 8)))
        .is_some_and(|octet| octet & (0x80 >> (low % 8)) != 0)
}

/// Appends the bitmap of `types`, given in any order; a type given twice counts once.
pub fn write_bitmap(types: &[Type], out: &mut Vec<u8>) {
    let mut sorted = types.to_vec();
    sorted.sort_unstable();
    for group in sorted.chunk_by(|left, right| left.0 >> 8 == right.0 >> 8) {
        let [window, _] = group.first().map_or(0, |rtype| rtype.0).to_be_bytes();
        let mut bits = [0; WINDOW_BYTES_MAX];
        let length = set_bits(group, &mut bits);
        out.extend_from_slice(&[window, length as u8]);
        out.extend_from_slice(&bits[..length]);
    }
}

/// Appends the bitmap of a NXT record; the types are at most [`NXT_TYPE_MAX`].
pub(super) fn write_nxt_bitmap(types: &[Type], out: &mut Vec<u8>) {
    let mut bits = [0; WINDOW_BYTES_MAX];
    let length = set_bits(types, &mut bits);
    out.extend_from_slice(&bits[..length]);
}

/// The types that the bitmap of a NXT record holds, in ascending order.
pub(super) fn nxt_types(bitmap: &[u8]) -> impl Iterator<Item = Type> {
    bits_of(bitmap).map(Type)
}

/// Checks a bitmap of windows: ascending, 1 to 32 octets each, the last of them not zero. It may be empty.
///
/// # Errors
/// [`WireError::Short`], [`WireError::Bitmap`].
pub(super) fn check(bitmap: &[u8]) -> Result<(), WireError> {
    let (mut rest, mut last) = (bitmap, None);
    while let [window, tail @ ..] = rest {
        let (length, tail) = tail.split_first().ok_or(WireError::Short)?;
        let (bits, tail) = tail.split_at_checked(usize::from(*length)).ok_or(WireError::Short)?;
        if bits.len() > WINDOW_BYTES_MAX || matches!(bits, [] | [.., 0]) || last >= Some(*window) {
            return Err(WireError::Bitmap);
        }
        (rest, last) = (tail, Some(*window));
    }
    Ok(())
}

/// Checks the bitmap of a NXT record: 1 to 16 octets, the last of them not zero, bit 0 clear (RFC 2535 §5.2).
///
/// # Errors
/// [`WireError::Bitmap`].
pub(super) fn check_nxt(bitmap: &[u8]) -> Result<(), WireError> {
    match bitmap {
        [] | [0x80..=0xFF, ..] | [.., 0] => Err(WireError::Bitmap),
        _ if bitmap.len() > usize::from(NXT_TYPE_MAX / 8 + 1) => Err(WireError::Bitmap),
        _ => Ok(()),
    }
}

/// The windows of a bitmap, each with its number, up to the first one that is cut short.
fn windows(bitmap: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bitmap;
    core::iter::from_fn(move || {
        let [window, length, tail @ ..] = rest else { return None };
        let (bits, tail) = tail.split_at_checked(usize::from(*length))?;
        rest = tail;
        Some((*window, bits.get(..WINDOW_BYTES_MAX).unwrap_or(bits)))
    })
}

/// The numbers of the bits that are set, counted from the left; at most 65535 octets are looked at.
fn bits_of(bits: &[u8]) -> impl Iterator<Item = u16> {
    (0_u16..).zip(bits).take(WINDOW_BYTES_MAX).flat_map(|(index, octet)| {
        (0..8_u16).filter(move |bit| octet & (0x80 >> bit) != 0).map(move |bit| index * 8 + bit)
    })
}

/// Sets the bit of the low octet of each type; comes back with how many octets are in use.
fn set_bits(types: &[Type], bits: &mut [u8; WINDOW_BYTES_MAX]) -> usize {
    let mut length = 0;
    for rtype in types {
        let [_, low] = rtype.0.to_be_bytes();
        let index = usize::from(low / 8);
        bits[index] |= 0x80 >> (low % 8); // A low octet over 8 is below 32.
        length = length.max(index + 1);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bitmap of the example in RFC 4034 §4.3: A MX RRSIG NSEC TYPE1234.
    const EXAMPLE: &[u8] = b"\x00\x06\x40\x01\x00\x00\x00\x03\
        \x04\x1b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20";

    #[test]
    fn example_of_rfc_4034_reads_and_writes() {
        let expected = [Type::A, Type::MX, Type::RRSIG, Type::NSEC, Type(1234)];
        assert_eq!(check(EXAMPLE), Ok(()));
        assert_eq!(types(EXAMPLE).collect::<Vec<_>>(), expected);
        let mut out = Vec::new();
        write_bitmap(&[Type(1234), Type::NSEC, Type::MX, Type::A, Type::RRSIG, Type::A], &mut out);
        assert_eq!(out, EXAMPLE);
        for number in 0..=u16::MAX {
            assert_eq!(has_type(EXAMPLE, Type(number)), expected.contains(&Type(number)), "{number}");
        }
    }

    #[test]
    fn edges_of_windows_read_back() {
        for list in [&[][..], &[Type(0)], &[Type(255), Type(256)], &[Type(65_280), Type(65_535)]] {
            let mut out = Vec::new();
            write_bitmap(list, &mut out);
            assert_eq!(check(&out), Ok(()));
            assert_eq!(types(&out).collect::<Vec<_>>(), list);
        }
    }

    #[test]
    fn malformed_bitmaps_are_refused() {
        for (bitmap, error) in [
            (&b"\x00"[..], WireError::Short),
            (b"\x00\x01", WireError::Short),
            (b"\x00\x00", WireError::Bitmap),
            (b"\x00\x01\x00", WireError::Bitmap),
            (b"\x00\x02\x40\x00", WireError::Bitmap),
            (b"\x01\x01\x40\x00\x01\x40", WireError::Bitmap),
            (b"\x01\x01\x40\x01\x01\x40", WireError::Bitmap),
        ] {
            assert_eq!(check(bitmap), Err(error), "{bitmap:?}");
        }
        let mut long = vec![0, 33];
        long.resize(2 + 33, 1);
        assert_eq!(check(&long), Err(WireError::Bitmap));
        assert!(!has_type(b"\x00\x09\x40", Type::A));
    }

    #[test]
    fn nxt_bitmaps_are_bounded() {
        let mut out = Vec::new();
        write_nxt_bitmap(&[Type::A, Type(127)], &mut out);
        assert_eq!(out.len(), 16);
        assert_eq!(check_nxt(&out), Ok(()));
        assert_eq!(nxt_types(&out).collect::<Vec<_>>(), [Type::A, Type(127)]);
        for bitmap in [&[][..], &[0x80], &[0x40, 0], &[1; 17]] {
            assert_eq!(check_nxt(bitmap), Err(WireError::Bitmap), "{bitmap:?}");
        }
    }
}
