//! Communities as they are written (RFC 1997, RFC 4360, RFC 5668, RFC 8092) → those that a route carries.

use crate::bgp::Attributes;

/// What may be written.
pub(super) const FORMS: &str = "a community such as \"65000:1\", \"65000:1:2\" (large), \"rt:65000:1\", \"ro:65000:1\" \
                                (extended), \"no-export\" or \"graceful-shutdown\"";

/// The communities with names (the registry of well-known ones).
const NAMED: [(&str, u32); 8] = [
    ("graceful-shutdown", Attributes::GRACEFUL_SHUTDOWN),
    ("accept-own", 0xffff_0001),
    ("blackhole", 0xffff_029a),
    ("no-export", Attributes::NO_EXPORT),
    ("no-advertise", 0xffff_ff02),
    ("no-export-subconfed", 0xffff_ff03),
    ("no-peer", 0xffff_ff04),
    ("llgr-stale", 0xffff_0006),
];
/// The subtypes of extended communities that have names here: route target and route origin (RFC 4360 §4, §5).
const SUBTYPES: [(&str, u8); 2] = [("rt", 0x02), ("ro", 0x03)];

/// Adds one to what a route carries; `None` where it is none.
pub(super) fn add(attributes: &mut Attributes, text: &str) -> Option<()> {
    if let Some((_, value)) = NAMED.iter().find(|(name, _)| *name == text) {
        push(&mut attributes.communities, *value);
        return Some(());
    }
    let parts: Vec<&str> = text.split(':').collect();
    if let Some((_, subtype)) = SUBTYPES.iter().find(|(name, _)| parts.first() == Some(name)) {
        let [_, global, local] = parts[..] else { return None };
        push(&mut attributes.extended, extended(*subtype, number(global)?, number(local)?)?);
        return Some(());
    }
    let numbers: Vec<u32> = parts.into_iter().map(number).collect::<Option<_>>()?;
    match numbers[..] {
        [high, low] => {
            let (high, low) = (u16::try_from(high).ok()?, u16::try_from(low).ok()?);
            push(&mut attributes.communities, u32::from(high) << 16 | u32::from(low));
        }
        [global, first, second] => push(&mut attributes.large, [global, first, second]),
        _ => return None,
    }
    Some(())
}

/// One of an AS in two octets with a number in four, or the other way round (RFC 4360 §3.1, RFC 5668).
fn extended(subtype: u8, global: u32, local: u32) -> Option<[u8; 8]> {
    const TWO_OCTETS: u8 = 0x00;
    const FOUR_OCTETS: u8 = 0x02;
    let mut octets = [0; 8];
    match u16::try_from(global) {
        Ok(global) => {
            octets[..2].copy_from_slice(&[TWO_OCTETS, subtype]);
            octets[2..4].copy_from_slice(&global.to_be_bytes());
            octets[4..].copy_from_slice(&local.to_be_bytes());
        }
        Err(_) => {
            octets[..2].copy_from_slice(&[FOUR_OCTETS, subtype]);
            octets[2..6].copy_from_slice(&global.to_be_bytes());
            octets[6..].copy_from_slice(&u16::try_from(local).ok()?.to_be_bytes());
        }
    }
    Some(octets)
}

/// A decimal number without a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Adds what is not there yet.
fn push<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_the_community_that_it_names_and_nothing_else_is_one() {
        let mut attributes = Attributes::default();
        let written = [
            "65000:1",
            "0:0",
            "no-export",
            "graceful-shutdown",
            "65535:0",
            "4200000000:1:2",
            "rt:65000:7",
            "ro:4200000000:65535",
        ];
        assert!(written.iter().all(|text| add(&mut attributes, text).is_some()));
        assert_eq!(attributes.communities, [0xfde8_0001, 0, 0xffff_ff01, 0xffff_0000], "one that is there stays one");
        assert_eq!(attributes.large, [[4_200_000_000, 1, 2]]);
        let extended = [[0, 2, 0xfd, 0xe8, 0, 0, 0, 7], [2, 3, 0xfa, 0x56, 0xea, 0, 0xff, 0xff]];
        assert_eq!(attributes.extended, extended);
        let before = attributes.clone();
        for text in
            ["", "1", "65536:1", "1:65536", "+1:2", "1:2:3:4", "rt:1", "rt:4200000000:65536", "a:b", "1:", "gshut"]
        {
            assert_eq!(add(&mut attributes, text), None, "{text}");
        }
        assert_eq!(attributes, before);
    }
}
