//! Domain names: wire form, presentation form, comparison, canonical order.
//!
//! Owns [`Name`], its borrowed twin [`NameRef`] and [`SharedName`]; all are valid by construction (RFC 1035 §3.1:
//! labels of 1 to 63 octets, 255 octets in all, the root last). Knows nothing of messages except how a compressed name
//! is followed (§4.1.4). Letter case is kept and ignored in comparisons (RFC 4343); order is RFC 4034 §6.1.

mod shared;
mod text;

use core::cmp::Ordering;
use core::fmt;

pub use shared::SharedName;

/// The longest name in octets, root label included (RFC 1035 §2.3.4).
pub const NAME_BYTES_MAX: usize = 255;
/// The longest label in octets, length octet not counted (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;
/// The most labels that a name holds, the root label not counted.
pub const LABELS_MAX: usize = 127;
/// The most compression pointers of one name: each but the last has a label in front of it, unless it is there to cost.
const POINTERS_MAX: usize = LABELS_MAX + 1;

/// What is wrong with a name. `Copy`, so that it may travel on the packet path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The bytes end inside the name.
    #[error("the name is cut short")]
    Short,
    /// A compression pointer does not point strictly back, or stands where none may.
    #[error("a compression pointer leads nowhere")]
    Pointer,
    /// A label type other than 00 and 11 (RFC 6891 §5 retired the others).
    #[error("unknown label type")]
    LabelType,
    /// Over [`NAME_BYTES_MAX`] octets.
    #[error("the name is longer than 255 octets")]
    TooLong,
    /// A label over [`LABEL_BYTES_MAX`] octets.
    #[error("a label is longer than 63 octets")]
    LabelTooLong,
    /// Two dots in a row, or a dot in front.
    #[error("a label is empty")]
    EmptyLabel,
    /// `\` at the end, or `\DDD` that is no octet.
    #[error("`\\` must be followed by three digits up to 255 or by one other character")]
    Escape,
    /// A relative name where no origin is known.
    #[error("the name is relative, but there is no origin: end it with a dot, or set $ORIGIN")]
    NoOrigin,
}

/// A borrowed, uncompressed name in wire form, root label included.
#[derive(Clone, Copy)]
pub struct NameRef<'a>(&'a [u8]);

/// An owned, uncompressed name in wire form: 256 bytes in place, no allocation.
#[derive(Clone, Copy)]
pub struct Name {
    /// Octets in use, root label included: 1 to 255.
    len: u8,
    bytes: [u8; NAME_BYTES_MAX],
}

/// Whether the name at `at` in `message`, which may be compressed, is the one whose octets are `name`.
#[inline]
pub fn is_at(message: &[u8], at: usize, name: &[u8]) -> bool {
    is_at_by(message, at, name, is_same)
}

/// The same, labels with their lengths being compared by `is_same`.
#[inline]
pub fn is_at_by(message: &[u8], mut at: usize, mut name: &[u8], is_same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    loop {
        let Some(&length) = message.get(at) else { return false };
        if length >= 0xC0 {
            let Some(&low) = message.get(at + 1) else { return false };
            let target = usize::from(length & 0x3F) << 8 | usize::from(low);
            if target >= at {
                return false;
            }
            at = target;
            continue;
        }
        let end = at + 1 + usize::from(length);
        let (Some(label), Some((other, rest))) = (message.get(at..end), name.split_at_checked(end - at)) else {
            return false;
        };
        if !is_same(label, other) {
            return false;
        }
        if length == 0 {
            return true;
        }
        (at, name) = (end, rest);
    }
}

/// Octets of the name at the start of `bytes`, a compression pointer ending it; `None` where it is cut short.
pub fn encoded_bytes(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xC0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Octets that are looked at as one word.
pub(crate) const WORD_BYTES: usize = size_of::<u64>();

/// Whether two names, or parts of them in whole labels, are the same (RFC 4343): most often, letter case and all.
///
/// Cost: one step for eight octets, no call.
#[inline]
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some(a_end), Some(b_end)) = (a.last_chunk(), b.last_chunk()) else {
        return a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b)); // Length octets are below `A`.
    };
    let words = |octets| <[u8]>::as_chunks::<WORD_BYTES>(octets).0;
    words(a).iter().zip(words(b)).all(|(a, b)| is_same_word(a, b))
        // The last word, of which some octets were compared already.
        && is_same_word(a_end, b_end)
}

/// Whether eight octets are the same, letter case aside.
#[inline]
fn is_same_word(a: &[u8; WORD_BYTES], b: &[u8; WORD_BYTES]) -> bool {
    let (a, b) = (u64::from_le_bytes(*a), u64::from_le_bytes(*b));
    a == b || lowercase(a) == lowercase(b)
}

/// Eight octets at once, the letters A to Z in lower case, and nothing else changed: names that differ have to go on
/// to differ.
#[inline]
pub(crate) fn lowercase(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let low_bits = word & !HIGH;
    // The high bit of an octet of each sum says whether its low bits reach `A`, and whether they pass `Z`.
    let reaches_a = low_bits + (0x80 - b'A' as u64) * EACH;
    let passes_z = low_bits + (0x7F - b'Z' as u64) * EACH;
    let is_upper = (reaches_a ^ passes_z) & !word & HIGH;
    word | is_upper >> 2
}

impl<'a> NameRef<'a> {
    /// The root.
    pub const ROOT: NameRef<'static> = NameRef(&[0]);

    /// Takes the uncompressed name at the start of `bytes`, whatever stands behind it.
    ///
    /// # Errors
    /// [`NameError::Short`], [`NameError::Pointer`] for any compression pointer, [`NameError::LabelType`],
    /// [`NameError::TooLong`]. Source: RFC 1035 §3.1. Cost: one step a label.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NameError> {
        Self::parse_noting(bytes, |_| ())
    }

    /// The same; `note` is called with where each label starts, from the left, that of the root among them.
    ///
    /// # Errors
    /// As [`Self::parse`].
    #[inline]
    pub fn parse_noting(bytes: &'a [u8], mut note: impl FnMut(u8)) -> Result<Self, NameError> {
        let mut at = 0;
        loop {
            let length = usize::from(*bytes.get(at).ok_or(NameError::Short)?);
            note(at as u8); // Below NAME_BYTES_MAX.
            match length {
                0 => break,
                1..=LABEL_BYTES_MAX => at += 1 + length,
                0xC0.. => return Err(NameError::Pointer),
                _ => return Err(NameError::LabelType),
            }
            if at >= NAME_BYTES_MAX {
                return Err(NameError::TooLong);
            }
        }
        bytes.get(..=at).map(NameRef).ok_or(NameError::Short)
    }

    /// The octets, root label included.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Octets, root label included.
    #[allow(clippy::len_without_is_empty)] // A name is never empty: the root is one octet.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether this is the root.
    pub fn is_root(self) -> bool {
        self.0.len() == 1
    }

    /// The labels from the left, the root not among them.
    pub fn labels(self) -> Labels<'a> {
        Labels(self.0)
    }

    /// How many labels there are, the root not counted.
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(self) -> Option<Self> {
        match self.0 {
            [0] | [] => None,
            [length, rest @ ..] => rest.get(usize::from(*length)..).map(NameRef),
        }
    }

    /// The name, then its parent, and so on to the root.
    pub fn ancestors(self) -> impl Iterator<Item = Self> {
        core::iter::successors(Some(self), |name| name.parent())
    }

    /// The last `count` labels; the name itself where it has no more.
    pub fn suffix(self, count: usize) -> Self {
        let skip = self.label_count().saturating_sub(count);
        self.ancestors().nth(skip).unwrap_or(self)
    }

    /// Whether the first label is `*` alone (RFC 4592 §2.1.1).
    pub fn is_wildcard(self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// Whether the name is `ancestor` or stands below it.
    pub fn is_at_or_below(self, ancestor: NameRef<'_>) -> bool {
        let Some(cut) = self.0.len().checked_sub(ancestor.0.len()) else { return false };
        // The cut must fall between two labels, not inside one.
        let mut at = 0;
        while at < cut {
            at += 1 + usize::from(self.0[at]);
        }
        at == cut && self.0[cut..].eq_ignore_ascii_case(ancestor.0)
    }

    /// Whether the name stands strictly below `ancestor`.
    pub fn is_below(self, ancestor: NameRef<'_>) -> bool {
        self.0.len() > ancestor.0.len() && self.is_at_or_below(ancestor)
    }

    /// Copies the name.
    pub fn to_name(self) -> Name {
        let mut name = Name { len: self.0.len() as u8, bytes: [0; NAME_BYTES_MAX] };
        name.bytes[..self.0.len()].copy_from_slice(self.0);
        name
    }

    /// Copies the name with the letters A to Z in lower case (RFC 4034 §6.2).
    pub fn to_lowercase(self) -> Name {
        let mut name = self.to_name();
        name.bytes.make_ascii_lowercase(); // Length octets are below `A`.
        name
    }

    /// Where each label starts, from the left: fills `offsets` and returns the count.
    fn label_offsets(self, offsets: &mut [u8; LABELS_MAX]) -> usize {
        let (mut at, mut count) = (0, 0);
        while self.0[at] != 0 {
            offsets[count] = at as u8;
            count += 1;
            at += 1 + usize::from(self.0[at]);
        }
        count
    }

    /// The label that starts at `offset`.
    fn label_at(self, offset: u8) -> &'a [u8] {
        let start = usize::from(offset) + 1;
        &self.0[start..start + usize::from(self.0[start - 1])]
    }
}

impl PartialEq for NameRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for NameRef<'_> {}

impl PartialOrd for NameRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NameRef<'_> {
    /// The canonical order: label by label from the right, octets in lower case (RFC 4034 §6.1).
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut mine, mut theirs) = ([0; LABELS_MAX], [0; LABELS_MAX]);
        let (my_count, their_count) = (self.label_offsets(&mut mine), other.label_offsets(&mut theirs));
        for depth in 1..=my_count.min(their_count) {
            let left = self.label_at(mine[my_count - depth]);
            let right = other.label_at(theirs[their_count - depth]);
            match cmp_ignore_case(left, right) {
                Ordering::Equal => {}
                decided => return decided,
            }
        }
        my_count.cmp(&their_count)
    }
}

/// Compares two labels as octets in lower case, a prefix before what extends it.
fn cmp_ignore_case(left: &[u8], right: &[u8]) -> Ordering {
    left.iter().map(u8::to_ascii_lowercase).cmp(right.iter().map(u8::to_ascii_lowercase))
}

impl core::hash::Hash for NameRef<'_> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        state.write(self.to_lowercase().as_ref().as_bytes());
    }
}

impl fmt::Display for NameRef<'_> {
    /// Writes the absolute presentation form, escaped as BIND and NSD do (RFC 1035 §5.1, RFC 4343 §2.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for octet in label {
                match octet {
                    b'.' | b';' | b'(' | b')' | b'\\' | b'"' | b'@' | b'$' => write!(f, "\\{}", char::from(*octet))?,
                    0x21..=0x7E => write!(f, "{}", char::from(*octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The labels of a name from the left; see [`NameRef::labels`].
#[derive(Clone)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first()?;
        if *length == 0 {
            return None;
        }
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        Some(label)
    }
}

impl Name {
    /// The root.
    pub const ROOT: Self = Self { len: 1, bytes: [0; NAME_BYTES_MAX] };

    /// Borrows the name.
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.bytes[..usize::from(self.len)])
    }

    /// The octets of the name, and behind them what there is room for.
    pub(crate) fn as_padded(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads one name of `message` starting at `offset`, following compression pointers backwards only.
    ///
    /// `message` is the whole message; `offset` counts from its first octet. Returns the name and the offset just
    /// past its first encoding. Allocates nothing.
    ///
    /// # Errors
    /// [`NameError::Short`] past the end, [`NameError::Pointer`] if a pointer does not point strictly before the
    /// place where the run of labels it ends began, or if there are more than `POINTERS_MAX`,
    /// [`NameError::LabelType`], [`NameError::TooLong`].
    /// Source: RFC 1035 §4.1.4.
    pub fn read(message: &[u8], offset: usize) -> Result<(Self, usize), NameError> {
        let mut name = Self { len: 0, bytes: [0; NAME_BYTES_MAX] };
        let (mut at, mut run_start, mut end, mut pointers) = (offset, offset, None, 0);
        loop {
            let length = *message.get(at).ok_or(NameError::Short)?;
            match length {
                0 => {
                    name.append(&[0])?;
                    return Ok((name, end.unwrap_or(at + 1)));
                }
                1..=63 => {
                    let label = message.get(at..=at + usize::from(length)).ok_or(NameError::Short)?;
                    name.append(label)?;
                    at += label.len();
                }
                0xC0.. => {
                    let low = *message.get(at + 1).ok_or(NameError::Short)?;
                    let target = usize::from(u16::from_be_bytes([length & 0x3F, low]));
                    end = end.or(Some(at + 2));
                    pointers += 1;
                    if target >= run_start || pointers > POINTERS_MAX {
                        return Err(NameError::Pointer);
                    }
                    (at, run_start) = (target, target);
                }
                _ => return Err(NameError::LabelType),
            }
        }
    }

    /// Reads the presentation form; a name without a final dot is completed with `origin`, `@` alone is `origin`.
    ///
    /// `text` holds escapes as written (`\.`, `\DDD`). Raw octets above 126 are taken as they are.
    ///
    /// # Errors
    /// [`NameError::EmptyLabel`] (also for an empty `text`), [`NameError::LabelTooLong`], [`NameError::TooLong`],
    /// [`NameError::Escape`], [`NameError::NoOrigin`]. Source: RFC 1035 §5.1.
    pub fn from_text(text: &[u8], origin: Option<NameRef<'_>>) -> Result<Self, NameError> {
        let mut name = Self::ROOT;
        name.set_text(text, origin).map(|()| name)
    }

    /// Does the work of [`Self::from_text`] for any text: octet by octet, and finds what is wrong.
    fn from_any_text(text: &[u8], origin: Option<NameRef<'_>>) -> Result<Self, NameError> {
        match text {
            b"." => return Ok(Self::ROOT),
            b"@" => return origin.map(NameRef::to_name).ok_or(NameError::NoOrigin),
            _ => {}
        }
        let mut name = Self { len: 0, bytes: [0; NAME_BYTES_MAX] };
        let mut rest = text;
        while !rest.is_empty() {
            let (mut label, mut length) = ([0; 1 + LABEL_BYTES_MAX], 0);
            let mut ended_by_dot = false;
            while let Some((octet, tail)) = rest.split_first() {
                rest = tail;
                let octet = match octet {
                    b'.' => {
                        ended_by_dot = true;
                        break;
                    }
                    b'\\' => unescape(&mut rest)?,
                    _ => *octet,
                };
                length += 1;
                *label.get_mut(length).ok_or(NameError::LabelTooLong)? = octet;
            }
            if length == 0 {
                return Err(NameError::EmptyLabel);
            }
            label[0] = length as u8;
            name.append(&label[..=length])?;
            if ended_by_dot && rest.is_empty() {
                name.append(&[0])?;
                return Ok(name);
            }
        }
        if name.len == 0 {
            return Err(NameError::EmptyLabel);
        }
        name.append(origin.ok_or(NameError::NoOrigin)?.0)?;
        Ok(name)
    }

    /// Puts `label` in front of `parent`.
    ///
    /// # Errors
    /// [`NameError::LabelTooLong`], [`NameError::EmptyLabel`], [`NameError::TooLong`].
    pub fn child(label: &[u8], parent: NameRef<'_>) -> Result<Self, NameError> {
        let length = match label.len() {
            0 => return Err(NameError::EmptyLabel),
            1..=LABEL_BYTES_MAX => label.len() as u8,
            _ => return Err(NameError::LabelTooLong),
        };
        let mut name = Self { len: 0, bytes: [0; NAME_BYTES_MAX] };
        name.append(&[length])?;
        name.append(label)?;
        name.append(parent.0)?;
        Ok(name)
    }

    /// Puts the octets of `labels` (whole labels in wire form, no root) in front of `suffix`.
    ///
    /// # Errors
    /// [`NameError::TooLong`]: for a DNAME this is YXDOMAIN (RFC 6672 §2.2).
    pub fn join(labels: &[u8], suffix: NameRef<'_>) -> Result<Self, NameError> {
        let mut name = Self { len: 0, bytes: [0; NAME_BYTES_MAX] };
        name.append(labels)?;
        name.append(suffix.0)?;
        Ok(name)
    }

    /// Appends octets, up to [`NAME_BYTES_MAX`].
    fn append(&mut self, octets: &[u8]) -> Result<(), NameError> {
        let start = usize::from(self.len);
        let end = start + octets.len();
        self.bytes.get_mut(start..end).ok_or(NameError::TooLong)?.copy_from_slice(octets);
        self.len = end as u8;
        Ok(())
    }
}

/// Reads what follows a backslash: three digits up to 255, or one character that is no digit.
///
/// # Errors
/// [`NameError::Escape`] otherwise.
pub fn unescape(rest: &mut &[u8]) -> Result<u8, NameError> {
    match **rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref tail @ ..] => {
            *rest = tail;
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            u8::try_from(value).map_err(|_| NameError::Escape)
        }
        [b'0'..=b'9', ..] | [] => Err(NameError::Escape),
        [octet, ref tail @ ..] => {
            *rest = tail;
            Ok(octet)
        }
    }
}

impl core::str::FromStr for Name {
    type Err = NameError;

    /// Reads a name that is taken as absolute, with or without the final dot.
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::from_text(text.as_bytes(), Some(NameRef::ROOT))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl core::hash::Hash for Name {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a good name")
    }

    #[test]
    fn letters_are_lowered_as_the_standard_library_does_and_nothing_else_is() {
        for octet in 0..=u8::MAX {
            for other in [0, b'A', b'Z', 0x7F, 0xFF] {
                let octets = [other, octet, other, other, octet, other, other, octet];
                let lowered = octets.map(|octet| octet.to_ascii_lowercase());
                assert_eq!(lowercase(u64::from_le_bytes(octets)), u64::from_le_bytes(lowered), "{octets:?}");
            }
        }
    }

    #[test]
    fn text_and_wire_agree_both_ways() {
        for (text, wire) in [
            (".", &b"\0"[..]),
            ("example.", b"\x07example\0"),
            ("WwW.Example.", b"\x03WwW\x07Example\0"),
            ("a\\.b.", b"\x03a.b\0"),
            ("\\000\\255\\;.", b"\x03\x00\xff;\0"),
            ("*.x.", b"\x01*\x01x\0"),
        ] {
            assert_eq!(name(text).as_ref().as_bytes(), wire, "{text}");
            assert_eq!(NameRef::parse(wire).expect("good").to_string(), text);
        }
        assert_eq!(Name::from_text(b"a", Some(name("b.").as_ref())), Ok(name("a.b.")));
        assert_eq!(Name::from_text(b"@", Some(name("b.").as_ref())), Ok(name("b.")));
    }

    #[test]
    fn bad_text_is_refused_with_its_cause() {
        let long_label = "a".repeat(64);
        let long_name = "abcdefg.".repeat(32);
        for (text, error) in [
            ("", NameError::EmptyLabel),
            ("..", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            ("a\\", NameError::Escape),
            ("a\\25", NameError::Escape),
            ("a\\256", NameError::Escape),
            (long_label.as_str(), NameError::LabelTooLong),
            (long_name.as_str(), NameError::TooLong),
        ] {
            assert_eq!(text.parse::<Name>(), Err(error), "{text}");
        }
        assert_eq!(Name::from_text(b"a", None), Err(NameError::NoOrigin));
        let longest = format!("{}abcde.", "abcdefg.".repeat(31));
        assert_eq!(name(&longest).as_ref().len(), NAME_BYTES_MAX);
    }

    #[test]
    fn pointers_lead_strictly_back() {
        let message = b"\x03www\xC0\x06\x01a\0\xC0\x00\xC0\x09";
        assert_eq!(Name::read(message, 0), Err(NameError::Pointer));
        assert_eq!(Name::read(b"\x01a\0\x01b\xC0\x00", 3), Ok((name("b.a."), 7)));
        assert_eq!(Name::read(b"\x01a\0\xC0\x00\xC0\x03", 5), Ok((name("a."), 7)));
        assert_eq!(Name::read(b"\xC0\x00", 0), Err(NameError::Pointer));
        assert_eq!(Name::read(b"\x01a\xC0\x00", 0), Err(NameError::Pointer));
        assert_eq!(Name::read(b"\x41a\0", 0), Err(NameError::LabelType));
        assert_eq!(Name::read(b"\x02a", 0), Err(NameError::Short));
        assert_eq!(Name::read(b"\xC0", 0), Err(NameError::Short));
    }

    #[test]
    fn canonical_order_is_that_of_rfc_4034_section_6_1() {
        let order = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        for pair in order.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{pair:?}");
        }
        assert_eq!(name("A.b."), name("a.B."));
    }

    #[test]
    fn being_below_respects_label_borders() {
        assert!(name("a.example.").as_ref().is_below(name("EXAMPLE.").as_ref()));
        assert!(!name("anexample.").as_ref().is_at_or_below(name("example.").as_ref()));
        assert!(name("example.").as_ref().is_at_or_below(name("example.").as_ref()));
        assert!(!name("example.").as_ref().is_below(name("example.").as_ref()));
        assert!(name("x.").as_ref().is_below(NameRef::ROOT));
    }
}
