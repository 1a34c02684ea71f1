//! Parameters of SVCB and HTTPS (RFC 9460 §2, §7, §8, appendix A), with those of RFC 9461, RFC 9540 and RFC 9953.
//!
//! Owns the list of parameters in both forms: keys ascending, none twice, each value as its key asks for it. The
//! checks bind AliasMode too, as they do in BIND: a client ignores its parameters, a broken list is broken.

use core::fmt::Write as _;
use core::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use super::address::write_address6;
use super::error::{TextCause, TextError, WireError};
use super::parts::{decode_base64, string, write_quoted};
use super::tokens::{Tokens, number};

/// `mandatory` (RFC 9460 §8).
const MANDATORY: u16 = 0;
/// `alpn` (RFC 9460 §7.1).
const ALPN: u16 = 1;
/// `no-default-alpn` (RFC 9460 §7.1).
const NO_DEFAULT_ALPN: u16 = 2;
/// `port` (RFC 9460 §7.2).
const PORT: u16 = 3;
/// `ipv4hint` (RFC 9460 §7.3).
const IPV4HINT: u16 = 4;
/// `ech` (RFC 9848).
const ECH: u16 = 5;
/// `ipv6hint` (RFC 9460 §7.3).
const IPV6HINT: u16 = 6;
/// `dohpath` (RFC 9461 §5).
const DOHPATH: u16 = 7;
/// `ohttp` (RFC 9540 §4).
const OHTTP: u16 = 8;
/// `tls-supported-groups` (IANA "Service Parameter Keys").
const TLS_SUPPORTED_GROUPS: u16 = 9;
/// `docpath` (RFC 9953 §3).
const DOCPATH: u16 = 10;
/// Reserved: no key (RFC 9460 §14.3.2).
const INVALID: u16 = 65_535;

/// The keys that have names, in the order of the numbers.
const KEYS: [(&str, u16); 11] = [
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", PORT),
    ("ipv4hint", IPV4HINT),
    ("ech", ECH),
    ("ipv6hint", IPV6HINT),
    ("dohpath", DOHPATH),
    ("ohttp", OHTTP),
    ("tls-supported-groups", TLS_SUPPORTED_GROUPS),
    ("docpath", DOCPATH),
];

/// The last key that is written by its name: peers of today read the later ones as `keyNNNNN` only.
const WRITTEN_BY_NAME_LAST: u16 = IPV6HINT;

/// What a parameter is called in errors.
const PARAM: &str = "a service parameter: a registered key in lower case, or key0 to key65534, and `=value`";

/// Checks a list of parameters; an empty one is good.
///
/// # Errors
/// [`WireError::Short`], [`WireError::ParamOrder`], [`WireError::ParamKey`], [`WireError::ParamValue`],
/// [`WireError::ParamMandatory`], [`WireError::ParamAlpn`].
pub(super) fn check(list: &[u8]) -> Result<(), WireError> {
    let (mut rest, mut last) = (list, None);
    while !rest.is_empty() {
        let (key, value, tail) = split(rest).ok_or(WireError::Short)?;
        if last >= Some(key) {
            return Err(WireError::ParamOrder);
        }
        check_value(key, value)?;
        (rest, last) = (tail, Some(key));
    }
    check_mandatory(list)?;
    match has_key(list, NO_DEFAULT_ALPN) && !has_key(list, ALPN) {
        true => Err(WireError::ParamAlpn),
        false => Ok(()),
    }
}

/// Reads parameters to the end of the record, in any order.
pub(super) fn read(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    let mut params = Vec::new();
    while !input.is_done() {
        let (key, value) = read_param(input)?;
        // The position comes along, so that a fault of the whole list points at the parameter behind it.
        params.push((key, input.fail(TextCause::ParamTwice, 0), value));
    }
    params.sort_by_key(|(key, ..)| *key);
    if let Some([_, (_, error, _)]) = params.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(*error);
    }
    let start = out.len();
    for (key, error, value) in &params {
        let length = u16::try_from(value.len());
        let length = length.map_err(|_| TextError { cause: TextCause::Invalid(WireError::TooLong), ..*error })?;
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value);
    }
    check(out.get(start..).unwrap_or_default()).map_err(|cause| {
        let culprit = match cause {
            WireError::ParamMandatory(_) => MANDATORY,
            WireError::ParamValue(key) => key,
            _ => NO_DEFAULT_ALPN,
        };
        let place = params.iter().find(|(key, ..)| *key == culprit).map(|(_, error, _)| *error);
        TextError { cause: TextCause::Invalid(cause), ..place.unwrap_or_else(|| input.fail(TextCause::ParamTwice, 0)) }
    })
}

/// Writes a list that passed [`check`].
pub(super) fn write(list: &[u8], out: &mut String) {
    let (mut rest, mut separator) = (list, "");
    while let Some((key, value, tail)) = split(rest) {
        rest = tail;
        out.push_str(separator);
        separator = " ";
        write_key(key, out);
        if !value.is_empty() {
            out.push('=');
            write_value(key, value, out);
        }
    }
}

/// Cuts one parameter off: key, value, rest.
fn split(rest: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let [key_high, key_low, high, low, rest @ ..] = rest else { return None };
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((u16::from_be_bytes([*key_high, *key_low]), value, rest))
}

/// The parameters of a list up to the first one that is cut short.
fn params(list: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = list;
    core::iter::from_fn(move || {
        let (key, value, tail) = split(rest)?;
        rest = tail;
        Some((key, value))
    })
}

/// Whether the list has a parameter of this key.
fn has_key(list: &[u8], wanted: u16) -> bool {
    params(list).any(|(key, _)| key == wanted)
}

/// The numbers of 16 bits that a value holds.
fn numbers(value: &[u8]) -> impl Iterator<Item = u16> {
    value.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// Checks that what `mandatory` lists is there. Cost: one pass, as both lists are sorted.
fn check_mandatory(list: &[u8]) -> Result<(), WireError> {
    let Some((MANDATORY, value)) = params(list).next() else { return Ok(()) };
    let mut present = params(list).skip(1);
    match numbers(value).find(|wanted| !present.any(|(key, _)| key == *wanted)) {
        Some(absent) => Err(WireError::ParamMandatory(absent)),
        None => Ok(()),
    }
}

/// Checks the value of one parameter.
fn check_value(key: u16, value: &[u8]) -> Result<(), WireError> {
    let is_list_of = |bytes: usize| !value.is_empty() && value.len().is_multiple_of(bytes);
    let is_good = match key {
        MANDATORY if numbers(value).any(|listed| listed == MANDATORY) => {
            return Err(WireError::ParamMandatory(MANDATORY));
        }
        MANDATORY => is_list_of(2) && numbers(value).is_sorted_by(|left, right| left < right),
        ALPN => !value.is_empty() && are_strings(value, 1),
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4HINT => is_list_of(4),
        ECH => !value.is_empty(),
        IPV6HINT => is_list_of(16),
        DOHPATH => is_template(value),
        TLS_SUPPORTED_GROUPS => is_list_of(2) && are_distinct(value),
        DOCPATH => are_strings(value, 0),
        INVALID => return Err(WireError::ParamKey),
        _ => true,
    };
    if is_good { Ok(()) } else { Err(WireError::ParamValue(key)) }
}

/// Whether no number of 16 bits stands twice.
fn are_distinct(value: &[u8]) -> bool {
    let mut sorted: Vec<u16> = numbers(value).collect();
    sorted.sort_unstable();
    sorted.is_sorted_by(|left, right| left < right)
}

/// Whether the value is a run of strings with a length octet each, of `bytes_min` octets at least.
fn are_strings(value: &[u8], bytes_min: usize) -> bool {
    let mut rest = value;
    while !rest.is_empty() {
        match string(rest) {
            Ok(item) if item.len() >= bytes_min => rest = rest.get(1 + item.len()..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

/// Whether the value is a relative URI template with the variable `dns` (RFC 9461 §5).
fn is_template(value: &[u8]) -> bool {
    let text = core::str::from_utf8(value).unwrap_or_default();
    text.starts_with('/') && text.split('{').skip(1).any(|expression| expression.contains("dns"))
}

/// Reads one parameter: its key and its value in wire form.
fn read_param(input: &mut Tokens<'_>) -> Result<(u16, Vec<u8>), TextError> {
    let text = input.take(PARAM)?;
    let (name, value) = match text.iter().position(|octet| *octet == b'=') {
        Some(at) => text.split_at(at),
        None => (text, &[][..]),
    };
    let key = key_of(name).ok_or_else(|| input.fail(TextCause::Expected(PARAM), 0))?;
    let value = value.strip_prefix(b"=").unwrap_or(value);
    // The reader of the file takes quotes off whole tokens only; those around a value are kept as written.
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    // What stands in front of the value: the key, the equals sign and maybe a quote.
    let offset = match text.get(name.len()..) {
        Some([b'=', b'"', ..]) => name.len() + 2,
        Some([b'=', ..]) => name.len() + 1,
        _ => name.len(),
    };
    let octets =
        input.unescaped(value).map_err(|error| TextError { offset: error.offset.saturating_add(offset), ..error })?;
    let is_generic = name.starts_with(b"key");
    let read = if is_generic { Ok(octets.into_owned()) } else { read_value(key, &octets) };
    let value = read.map_err(|expected| input.fail(TextCause::Expected(expected), offset.min(text.len())))?;
    match check_value(key, &value) {
        Ok(()) => Ok((key, value)),
        Err(error) => Err(input.fail(TextCause::Invalid(error), offset.min(text.len()))),
    }
}

/// The number of a key: a registered name, or `keyNNNNN` without zeros in front.
fn key_of(name: &[u8]) -> Option<u16> {
    if let Some((_, key)) = KEYS.iter().find(|(registered, _)| registered.as_bytes() == name) {
        return Some(*key);
    }
    let digits = name.strip_prefix(b"key")?;
    if matches!(digits, [b'0', _, ..]) {
        return None;
    }
    let key = number(digits, u32::from(INVALID) - 1).ok()?;
    u16::try_from(key).ok()
}

/// Reads the value of a key that was given by its name; the error says what was expected.
fn read_value(key: u16, text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut value = Vec::new();
    match key {
        MANDATORY => {
            let keys: Option<Vec<u16>> = text.split(|octet| *octet == b',').map(key_of).collect();
            let mut keys = keys.ok_or("keys of service parameters with commas between them")?;
            keys.sort_unstable();
            keys.iter().for_each(|key| value.extend_from_slice(&key.to_be_bytes()));
        }
        ALPN => write_items(read_items(text)?, &mut value)?,
        DOCPATH if text.is_empty() => {}
        DOCPATH => write_items(read_items(text)?, &mut value)?,
        PORT => value.extend_from_slice(&number16(text).ok_or("a port from 0 to 65535")?.to_be_bytes()),
        IPV4HINT => {
            for item in text.split(|octet| *octet == b',') {
                let address: Ipv4Addr = parsed(item).ok_or("IPv4 addresses with commas between them")?;
                value.extend_from_slice(&address.octets());
            }
        }
        IPV6HINT => {
            for item in text.split(|octet| *octet == b',') {
                let address: Ipv6Addr = parsed(item).ok_or("IPv6 addresses with commas between them")?;
                value.extend_from_slice(&address.octets());
            }
        }
        ECH => decode_base64(text, &mut value).map_err(|_| "base64 with its padding")?,
        TLS_SUPPORTED_GROUPS => {
            for item in text.split(|octet| *octet == b',') {
                let group = number16(item).ok_or("numbers from 0 to 65535 with commas between them")?;
                value.extend_from_slice(&group.to_be_bytes());
            }
        }
        _ => value.extend_from_slice(text),
    }
    Ok(value)
}

/// Reads a number of 16 bits.
fn number16(text: &[u8]) -> Option<u16> {
    number(text, u16::MAX.into()).ok().and_then(|value| u16::try_from(value).ok())
}

/// Parses ASCII text.
fn parsed<T: core::str::FromStr>(text: &[u8]) -> Option<T> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// Cuts a list at its commas; `\,` and `\\` stand for themselves (RFC 9460 appendix A.1).
fn read_items(text: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let (mut items, mut item, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some((octet, tail)) = rest.split_first() {
        rest = tail;
        match (octet, rest) {
            (b'\\', [escaped @ (b',' | b'\\'), tail @ ..]) => {
                item.push(*escaped);
                rest = tail;
            }
            (b'\\', _) => return Err("`\\,` or `\\\\`, each backslash written twice, inside a list"),
            (b',', _) => items.push(core::mem::take(&mut item)),
            _ => item.push(*octet),
        }
    }
    items.push(item);
    Ok(items)
}

/// Appends items with a length octet each.
fn write_items(items: Vec<Vec<u8>>, value: &mut Vec<u8>) -> Result<(), &'static str> {
    for item in items {
        value.push(u8::try_from(item.len()).map_err(|_| "at most 255 octets in an item of a list")?);
        value.extend_from_slice(&item);
    }
    Ok(())
}

/// Writes a key.
fn write_key(key: u16, out: &mut String) {
    match KEYS.iter().find(|(_, known)| *known == key && key <= WRITTEN_BY_NAME_LAST) {
        Some((name, _)) => out.push_str(name),
        None => {
            let _ = write!(out, "key{key}"); // Writing into a String cannot fail.
        }
    }
}

/// Writes the value of a parameter; it is not empty.
fn write_value(key: u16, value: &[u8], out: &mut String) {
    let separator = |index: usize| if index == 0 { "" } else { "," };
    match key {
        MANDATORY => numbers(value).enumerate().for_each(|(index, listed)| {
            out.push_str(separator(index));
            write_key(listed, out);
        }),
        ALPN => write_quoted(&joined(value), out),
        PORT => numbers(value).for_each(|port| {
            let _ = write!(out, "{port}"); // As above.
        }),
        IPV4HINT => value.as_chunks::<4>().0.iter().enumerate().for_each(|(index, octets)| {
            let _ = write!(out, "{}{}", separator(index), Ipv4Addr::from(*octets)); // As above.
        }),
        ECH => BASE64.encode_append(value, out),
        IPV6HINT => value.as_chunks::<16>().0.iter().enumerate().for_each(|(index, octets)| {
            out.push_str(separator(index));
            write_address6(Ipv6Addr::from(*octets), out);
        }),
        _ => write_quoted(value, out),
    }
}

/// The strings of a value as a list with commas, its own commas and backslashes escaped.
fn joined(value: &[u8]) -> Vec<u8> {
    let (mut list, mut rest) = (Vec::new(), value);
    while let Ok(item) = string(rest) {
        if rest.len() < value.len() {
            list.push(b',');
        }
        for octet in item {
            if matches!(octet, b',' | b'\\') {
                list.push(b'\\');
            }
            list.push(*octet);
        }
        rest = rest.get(1 + item.len()..).unwrap_or_default();
    }
    list
}
