//! Names of the tests: uncompressed wire form as plain octets, to and from text. Independent of `fated::wire`.

/// Turns presentation form into wire form; a missing dot at the end is taken as there. `\DDD` and `\X` are known.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut label = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' => push_label(&mut wire, &mut label),
            b'\\' => {
                let first = octets.next().expect("an escape is followed by something");
                if first.is_ascii_digit() {
                    let rest = [octets.next(), octets.next()].map(|digit| digit.expect("three digits") - b'0');
                    label.push((first - b'0') * 100 + rest[0] * 10 + rest[1]);
                } else {
                    label.push(first);
                }
            }
            other => label.push(other),
        }
    }
    push_label(&mut wire, &mut label);
    wire.push(0);
    assert!(wire.len() <= 255, "{text} is too long for a name");
    wire
}

/// Appends a label if there is one.
fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) {
    if !label.is_empty() {
        wire.push(u8::try_from(label.len()).expect("a label is short"));
        wire.append(label);
    }
}

/// Presentation form of a wire name, for people.
pub(crate) fn text(wire: &[u8]) -> String {
    let mut out = String::new();
    for label in labels(wire) {
        for &octet in label {
            match octet {
                b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                    out.push('\\');
                    out.push(char::from(octet));
                }
                0x21..=0x7E => out.push(char::from(octet)),
                other => out.push_str(&format!("\\{other:03}")),
            }
        }
        out.push('.');
    }
    if out.is_empty() {
        out.push('.');
    }
    out
}

/// The labels of a wire name from the left, without the root.
pub(crate) fn labels(wire: &[u8]) -> Vec<&[u8]> {
    let mut labels = Vec::new();
    let mut rest = wire;
    while let [length, tail @ ..] = rest {
        let length = usize::from(*length);
        if length == 0 || length > tail.len() {
            break;
        }
        labels.push(&tail[..length]);
        rest = &tail[length..];
    }
    labels
}

/// The name in lower case. Length octets are below 64 and so never letters.
pub(crate) fn lower(wire: &[u8]) -> Vec<u8> {
    wire.to_ascii_lowercase()
}

/// The name without its first label; `None` for the root.
pub(crate) fn parent(wire: &[u8]) -> Option<&[u8]> {
    match wire.first() {
        None | Some(0) => None,
        Some(&length) => wire.get(1 + usize::from(length)..),
    }
}

/// Whether `wire` is `above` or stands below it; both in lower case.
pub(crate) fn is_at_or_below(wire: &[u8], above: &[u8]) -> bool {
    let mut at = Some(wire);
    while let Some(here) = at {
        if here == above {
            return true;
        }
        at = parent(here);
    }
    false
}

/// `label.wire`, or `None` where that is longer than 255 octets.
pub(crate) fn below(label: &[u8], wire: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![u8::try_from(label.len()).ok()?];
    out.extend_from_slice(label);
    out.extend_from_slice(wire);
    (label.len() < 64 && out.len() <= 255).then_some(out)
}

/// A key that sorts names in canonical order (RFC 4034 §6.1): the labels from the right, in lower case.
pub(crate) fn canonical_key(wire: &[u8]) -> Vec<Vec<u8>> {
    labels(wire).iter().rev().map(|label| label.to_ascii_lowercase()).collect()
}
