//! What the tests know of zone files: enough to repeat a line and to list owners, no more.
//!
//! The zones of the tests keep to one record a line with its owner in front, or white space for the same owner again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use fated::wire::Type;

use super::name;

/// The types at each owner, names in lower case.
pub(crate) type Owners = BTreeMap<Vec<u8>, BTreeSet<u16>>;

/// Reads a zone of `tests/zones` with its repetitions written out, since NSD and Knot know no `$GENERATE`.
pub(crate) fn read(file: &str) -> String {
    let path = super::zones_folder().join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    written_out(&text)
}

/// Writes out `$GENERATE FROM-TO …` with `$` for the number and `${N}` for the number and N more.
pub(crate) fn written_out(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("$GENERATE ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let (range, pattern) = rest.split_once(' ').expect("a range, then a record");
        let (from, to) = range.split_once('-').expect("FROM-TO");
        let [from, to] = [from, to].map(|bound| bound.parse::<usize>().expect("a number"));
        for number in from..=to {
            out.push_str(&repeated(pattern.trim_start(), number));
            out.push('\n');
        }
    }
    out
}

/// One line of a repetition.
fn repeated(pattern: &str, number: usize) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        let mut value = number;
        if let Some((offset, behind)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            value += offset.parse::<usize>().expect("an offset");
            rest = behind;
        }
        out.push_str(&value.to_string());
    }
    out + rest
}

/// The owners of a zone file with their types.
pub(crate) fn owners(text: &str, origin: &str) -> Owners {
    let origin = name::name(origin);
    let mut owners = Owners::new();
    let mut last = origin.clone();
    for line in text.lines() {
        if line.trim_start().is_empty() || line.trim_start().starts_with([';', '$']) {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        if !line.starts_with([' ', '\t']) {
            last = absolute(words.next().expect("the line is not empty"), &origin);
        }
        let rtype = words.find_map(|word| {
            let is_type = word != "IN" && !word.bytes().all(|octet| octet.is_ascii_digit());
            is_type.then(|| Type::from_text(word.as_bytes()).unwrap_or_else(|| panic!("no type in {line:?}")))
        });
        owners.entry(name::lower(&last)).or_default().insert(rtype.expect("a record has a type").0);
    }
    owners
}

/// The wire name of an owner field.
fn absolute(word: &str, origin: &[u8]) -> Vec<u8> {
    if word == "@" {
        return origin.to_vec();
    }
    let mut wire = name::name(word);
    if !word.ends_with('.') || word.ends_with("\\.") {
        wire.pop();
        wire.extend_from_slice(origin);
    }
    wire
}
