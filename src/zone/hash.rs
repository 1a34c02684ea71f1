//! Names made ready for lookup: labels counted, and one seeded hash for each suffix, letter case ignored.
//!
//! The hash of a name is made from that of its parent, so one pass from the root gives the hashes of all ancestors.
//! It is keyed: who sends names can't aim them at one bucket (not a cryptographic promise, and none is needed: a
//! match is always confirmed octet by octet).

use arrayvec::ArrayVec;

use crate::wire::{Name, NameRef};

/// Octets that are hashed at once.
const WORD: usize = size_of::<u64>();

/// The key of the name hash: one per process, chosen at random, shared by all zones that are served together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

/// The hash of one name under a [`Seed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameHash(pub u64);

/// A name with the start of each label, ready to be hashed and looked up. Allocates and copies nothing.
#[derive(Clone)]
pub struct LookupName<'n> {
    name: NameRef<'n>,
    label_count: u8,
    /// Where the first labels start, from the left, that of the root among them.
    starts: ArrayVec<u8, STARTS_MAX>,
}

/// Starts that are noted: those of all names but the strangest. The longest common ones are those of IPv6 addresses, with 34
/// labels (RFC 3596 §2.5).
const STARTS_MAX: usize = 39;

impl<'n> LookupName<'n> {
    /// Makes `name` ready. Cost: one step a label.
    #[inline]
    pub fn new(name: NameRef<'n>) -> Self {
        let octets = name.as_bytes();
        let mut ready = Self { name, label_count: 0, starts: ArrayVec::new() };
        let mut at = 0;
        loop {
            // What does not fit is found by walking from the last that does.
            let _fits = ready.starts.try_push(at as u8);
            if octets[at] == 0 {
                return ready;
            }
            ready.label_count += 1;
            at += 1 + usize::from(octets[at]);
        }
    }

    /// Labels, the root not counted.
    pub fn label_count(&self) -> usize {
        usize::from(self.label_count)
    }

    /// Where the label starts that has `index` labels in front of it.
    #[inline]
    fn start(&self, index: usize) -> usize {
        match self.starts.get(index) {
            Some(start) => usize::from(*start),
            None => self.far_start(index),
        }
    }

    /// The same where it was not noted.
    #[cold]
    fn far_start(&self, index: usize) -> usize {
        let octets = self.name.as_bytes();
        let near = usize::from(self.starts[STARTS_MAX - 1]);
        (STARTS_MAX - 1..index).fold(near, |at, _| at + 1 + usize::from(octets[at]))
    }

    /// The whole name, letter case as it came.
    pub fn name(&self) -> NameRef<'n> {
        self.name
    }

    /// The octets of the last `count` labels, root label included. `count` is at most [`Self::label_count`].
    pub fn suffix_octets(&self, count: usize) -> &'n [u8] {
        &self.name.as_bytes()[self.offset_of_suffix(count)..]
    }

    /// The octets in front of the last `count` labels.
    pub fn prefix_octets(&self, count: usize) -> &'n [u8] {
        &self.name.as_bytes()[..self.offset_of_suffix(count)]
    }

    /// How many octets stand in front of the last `count` labels.
    fn offset_of_suffix(&self, count: usize) -> usize {
        self.start(self.label_count() - count)
    }

    /// The hash of the child that the label in front of the last `depth` labels makes, from the hash of those.
    ///
    /// `depth` is below [`Self::label_count`].
    #[inline]
    pub fn descend(&self, seed: Seed, parent: NameHash, depth: usize) -> NameHash {
        let octets = self.name.as_bytes();
        let start = self.start(self.label_count() - depth - 1);
        let length = usize::from(octets[start]);
        let mut state = parent.0 ^ length as u64;
        let mut at = start + 1;
        let mut left = length;
        while left > WORD {
            state = fold(state ^ seed.0[0], word_at(octets, at) ^ seed.0[1]);
            at += WORD;
            left -= WORD;
        }
        // `left` is 1 to 8: a label is never empty.
        let word = word_at(octets, at) & (u64::MAX >> (u64::BITS as usize - 8 * left));
        NameHash(fold(state ^ seed.0[0], word ^ seed.0[1]))
    }

    /// The hash of the last `count` labels.
    pub fn hash_of_suffix(&self, seed: Seed, count: usize) -> NameHash {
        (0..count).fold(Self::root_hash(seed), |hash, depth| self.descend(seed, hash, depth))
    }

    /// The hash of the whole name.
    pub fn hash(&self, seed: Seed) -> NameHash {
        self.hash_of_suffix(seed, self.label_count())
    }

    /// The hash of the root.
    pub fn root_hash(seed: Seed) -> NameHash {
        NameHash(fold(seed.0[0], seed.0[1] | 1))
    }

    /// The name `*` under the last `count` labels, which is `None` where it would be too long.
    pub fn wildcard(&self, count: usize) -> Option<Name> {
        Name::child(b"*", self.name.suffix(count)).ok()
    }
}

/// The hash of `*` below the name whose hash is `parent`: what [`LookupName::descend`] gives for the label `*`.
pub fn wildcard_hash(seed: Seed, parent: NameHash) -> NameHash {
    NameHash(fold(parent.0 ^ 1 ^ seed.0[0], u64::from(b'*') ^ seed.0[1]))
}

/// The octets from `at` on as a word, the first lowest, the letters A to Z in lower case; what is behind the end is zero.
#[inline]
fn word_at(octets: &[u8], at: usize) -> u64 {
    let word = match (octets.get(at..).and_then(|rest| rest.first_chunk()), octets.last_chunk()) {
        (Some(chunk), _) => u64::from_le_bytes(*chunk),
        (None, Some(chunk)) => u64::from_le_bytes(*chunk) >> (8 * (at + WORD - octets.len())),
        (None, None) => octets[at..].iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet)),
    };
    lowercase(word)
}

/// Eight octets at once, the letters A to Z in lower case, and nothing else changed: names that differ have to go on
/// to differ.
#[inline]
fn lowercase(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let low_bits = word & !HIGH;
    // The high bit of an octet of each sum tells whether its low bits reach `A`, and whether they pass `Z`.
    let reaches_a = low_bits + (0x80 - b'A' as u64) * EACH;
    let passes_z = low_bits + (0x7F - b'Z' as u64) * EACH;
    let is_upper = (reaches_a ^ passes_z) & !word & HIGH;
    word | is_upper >> 2
}

/// Multiplies to 128 bits and folds the halves: every input bit reaches every output bit.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::{LABELS_MAX, NAME_BYTES_MAX};

    const SEED: Seed = Seed([0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03]);

    fn hash_of(text: &str) -> NameHash {
        LookupName::new(text.parse::<Name>().expect("a good name").as_ref()).hash(SEED)
    }

    #[test]
    fn letter_case_does_not_change_the_hash() {
        for (mixed, lower) in [("WWW.eXample.", "www.example."), ("A.", "a."), ("AbCdEfGhIjK.X.", "abcdefghijk.x.")] {
            assert_eq!(hash_of(mixed), hash_of(lower), "{mixed}");
        }
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
        assert_ne!(hash_of("\\010.a."), hash_of("*.a."));
    }

    #[test]
    fn labels_and_their_borders_change_the_hash() {
        let names = [
            "a.b.",
            "ab.",
            "b.a.",
            "a.",
            ".",
            "abcdefgh.",
            "abcdefghi.",
            "abcdefgh.i.",
            "abcdefghabcdefgh.",
            "\\000a.",
            "a\\000.",
        ];
        let hashes: std::collections::HashSet<_> = names.iter().map(|name| hash_of(name)).collect();
        assert_eq!(hashes.len(), names.len());
    }

    #[test]
    fn suffixes_hash_as_the_names_that_they_are() {
        let name: Name = "a.bc.*.example.".parse().expect("good");
        let ready = LookupName::new(name.as_ref());
        for count in 0..=ready.label_count() {
            let suffix = name.as_ref().suffix(count);
            assert_eq!(ready.hash_of_suffix(SEED, count), LookupName::new(suffix).hash(SEED));
            assert_eq!(ready.suffix_octets(count), suffix.as_bytes());
        }
        assert_eq!(ready.wildcard(1).expect("short"), "*.example.".parse().expect("good"));
        assert_eq!(wildcard_hash(SEED, ready.hash_of_suffix(SEED, 1)), hash_of("*.example."));
    }

    #[test]
    fn the_longest_names_and_labels_are_read_within_bounds() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}.", &label[..61]);
        assert_eq!(longest.parse::<Name>().expect("good").as_ref().len(), NAME_BYTES_MAX);
        assert_ne!(hash_of(&longest), hash_of(&"a.".repeat(LABELS_MAX)));
        let deepest: Name = "a.".repeat(LABELS_MAX).parse().expect("good");
        let ready = LookupName::new(deepest.as_ref());
        for count in 0..=LABELS_MAX {
            assert_eq!(
                (ready.suffix_octets(count).len(), ready.prefix_octets(count).len()),
                (2 * count + 1, 254 - 2 * count)
            );
        }
        assert_eq!(ready.hash_of_suffix(SEED, 100), hash_of(&"A.".repeat(100)));
    }
}
