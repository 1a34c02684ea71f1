//! Names made ready for lookup: labels counted, and one seeded hash for each suffix, letter case ignored.
//!
//! The hash of a name is made from that of its parent, so one pass from the root gives the hashes of all ancestors.
//! It is keyed: who sends names can't aim them at one bucket (not a cryptographic promise, and none is needed: a
//! match is always confirmed octet by octet).

use crate::wire::name::{WORD_BYTES as WORD, lowercase};
use crate::wire::{Name, NameRef};

/// The key of the name hash: one per process, chosen at random, shared by all zones that are served together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

/// The hash of one name under a [`Seed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameHash(pub u64);

/// Where the labels of a name start, that of the root among them: kept in registers.
#[derive(Clone, Copy, Default)]
pub struct Starts {
    /// How many there are.
    count: u8,
    /// The last [`STARTS_MAX`], an octet each, the root's lowest.
    last: u128,
}

/// Starts that are kept: of most names all, of the longest common ones, those of IPv6 addresses with 34 labels (RFC
/// 3596 §2.5), the half where searches begin.
const STARTS_MAX: usize = size_of::<u128>();

impl Starts {
    /// Notes the next one from the left.
    #[inline]
    pub fn note(&mut self, start: u8) {
        self.last = self.last << 8 | u128::from(start);
        self.count += 1; // A name has 128 labels at most.
    }
}

/// A name with the start of each label, ready to be hashed and looked up. Allocates and copies nothing.
#[derive(Clone)]
pub struct LookupName<'n> {
    name: NameRef<'n>,
    /// The name, and what else stands behind it, so that words can be read over its end.
    octets: &'n [u8],
    starts: Starts,
}

impl<'n> LookupName<'n> {
    /// Makes `name` ready. Cost: one step a label.
    pub fn new(name: NameRef<'n>) -> Self {
        Self::at_start_of(name.as_bytes(), name)
    }

    /// Makes `name` ready, of which words can be read over its end.
    pub fn of(name: &'n Name) -> Self {
        Self::at_start_of(name.as_padded(), name.as_ref())
    }

    /// Makes `name` ready, which is where `octets` begin.
    fn at_start_of(octets: &'n [u8], name: NameRef<'n>) -> Self {
        let mut starts = Starts::default();
        let parsed = NameRef::parse_noting(octets, |start| starts.note(start));
        debug_assert!(parsed.is_ok(), "it is a name");
        Self { name, octets, starts }
    }

    /// Makes a name ready of which the `starts` were noted, and that is where `octets` begin.
    #[inline]
    pub fn noted(name: NameRef<'n>, starts: Starts, octets: &'n [u8]) -> Self {
        Self { name, octets, starts }
    }

    /// Labels, the root not counted.
    pub fn label_count(&self) -> usize {
        usize::from(self.starts.count) - 1 // The root's.
    }

    /// Where the last `count` labels start. `count` is at most [`Self::label_count`].
    #[inline]
    fn start(&self, count: usize) -> usize {
        if count < STARTS_MAX { (self.starts.last >> (8 * count)) as usize & 0xFF } else { self.far_start(count) }
    }

    /// The same where it was not kept.
    #[inline]
    fn far_start(&self, count: usize) -> usize {
        (count..self.label_count()).fold(0, |at, _| at + 1 + usize::from(self.octets[at]))
    }

    /// The whole name, letter case as it came.
    pub fn name(&self) -> NameRef<'n> {
        self.name
    }

    /// The octets of the last `count` labels, root label included. `count` is at most [`Self::label_count`].
    pub fn suffix_octets(&self, count: usize) -> &'n [u8] {
        &self.name.as_bytes()[self.start(count)..]
    }

    /// The octets in front of the last `count` labels.
    pub fn prefix_octets(&self, count: usize) -> &'n [u8] {
        &self.name.as_bytes()[..self.start(count)]
    }

    /// The hash of the last `count` labels, from `hash`, that of the last `depth` of them.
    ///
    /// `depth` is at most `count`, and that at most [`Self::label_count`].
    pub fn descend(&self, seed: Seed, mut hash: NameHash, mut depth: usize, count: usize) -> NameHash {
        while depth < count {
            depth += 1;
            hash = child_hash(seed, hash, self.octets, self.start(depth));
        }
        hash
    }

    /// The hash of the last `count` labels.
    pub fn hash_of_suffix(&self, seed: Seed, count: usize) -> NameHash {
        self.descend(seed, Self::root_hash(seed), 0, count)
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

/// The hash of the child that the label at `start` makes of `parent`.
#[inline]
fn child_hash(seed: Seed, parent: NameHash, octets: &[u8], start: usize) -> NameHash {
    let (mut left, mut at) = (usize::from(octets[start]), start + 1);
    let mut state = parent.0 ^ left as u64;
    while left > WORD {
        state = fold(state ^ seed.0[0], word_at(octets, at) ^ seed.0[1]);
        at += WORD;
        left -= WORD;
    }
    // `left` is 1 to 8: a label is never empty.
    let word = word_at(octets, at) & (u64::MAX >> (u64::BITS as usize - 8 * left));
    NameHash(fold(state ^ seed.0[0], word ^ seed.0[1]))
}

/// The hash of `*` below the name whose hash is `parent`: what [`LookupName::hash`] gives for that name.
pub fn wildcard_hash(seed: Seed, parent: NameHash) -> NameHash {
    NameHash(fold(parent.0 ^ 1 ^ seed.0[0], u64::from(b'*') ^ seed.0[1]))
}

/// The octets from `at` on as a word, the first lowest, the letters A to Z in lower case; what is behind the end is
/// zero.
#[inline]
fn word_at(octets: &[u8], at: usize) -> u64 {
    let rest = &octets[at..];
    lowercase(match rest.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet)),
    })
}

/// Multiplies to 128 bits and folds the halves: every input bit reaches every output bit.
#[inline]
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
        assert_ne!(hash_of("\\010.a."), hash_of("*.a."), "not every octet that looks like a letter is one");
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
