//! The part of ASN.1's basic encoding that Kerberos and LDAP need (X.690 §8): tags of one octet, definite lengths.

/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub(super) const OCTET_STRING: u8 = 0x04;
/// ENUMERATED.
pub(super) const ENUMERATED: u8 = 0x0A;
/// BOOLEAN.
pub(super) const BOOLEAN: u8 = 0x01;
/// BIT STRING.
pub(super) const BIT_STRING: u8 = 0x03;
/// GeneralizedTime.
pub(super) const GENERALIZED_TIME: u8 = 0x18;
/// GeneralString.
pub(super) const GENERAL_STRING: u8 = 0x1B;

/// Writes a value with its tag and length in front.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut written = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7F) => written.push(short),
        _ => {
            let length = u32::try_from(content.len()).expect("no request is that long").to_be_bytes();
            written.push(0x84);
            written.extend(length);
        }
    }
    written.extend(content);
    written
}

/// Writes an explicit tag of context class around a value.
pub(super) fn context(number: u8, inner: &[u8]) -> Vec<u8> {
    value(0xA0 | number, &[inner])
}

/// Writes an integer that is not negative.
pub(super) fn integer(number: u32) -> Vec<u8> {
    // One more octet in front keeps the sign bit clear.
    let octets = [&[0], &number.to_be_bytes()[..]].concat();
    let idle = octets.windows(2).take_while(|pair| pair[0] == 0 && pair[1] < 0x80).count();
    value(INTEGER, &[&octets[idle..]])
}

/// Takes the next value off `octets`: its tag and content. `None` where there is none that is whole.
pub(super) fn take<'a>(octets: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (header, length) = header(octets)?;
    let tag = *octets.first()?;
    let content = octets.get(header..header.checked_add(length)?)?;
    *octets = octets.get(header + length..)?;
    Some((tag, content))
}

/// How many octets of header and of content the value has that `octets` begin with; `None` where the header is not
/// whole or not of the known kind.
pub(super) fn header(octets: &[u8]) -> Option<(usize, usize)> {
    let tag = *octets.first()?;
    if tag & 0x1F == 0x1F {
        return None;
    }
    match *octets.get(1)? {
        short @ 0..=0x7F => Some((2, short.into())),
        long @ 0x81..=0x84 => {
            let count = usize::from(long & 0x7F);
            let length = octets.get(2..2 + count)?.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
            Some((2 + count, length))
        }
        _ => None,
    }
}

/// Takes the next value off if it has this tag.
pub(super) fn expect<'a>(octets: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let mut rest = *octets;
    let (found, content) = take(&mut rest)?;
    (found == tag).then(|| {
        *octets = rest;
        content
    })
}

/// Reads the content of an integer of at most four octets.
pub(super) fn number(content: &[u8]) -> Option<i32> {
    let first = *content.first().filter(|_| content.len() <= 4)?;
    let sign = if first & 0x80 == 0 { 0 } else { -1 };
    Some(content.iter().fold(sign, |number, octet| number << 8 | i32::from(*octet)))
}
