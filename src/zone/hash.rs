//! Names made ready for lookup: letters in lower case, labels counted, one seeded hash for each suffix.
//!
//! The hash of a name is made from that of its parent, so one pass from the root gives the hashes of all ancestors.
//! It is keyed: who sends names can't aim them at one bucket (not a cryptographic promise, and none is needed: a
//! match is always confirmed octet by octet).

use arrayvec::ArrayVec;

use crate::wire::name::{LABELS_MAX, NAME_BYTES_MAX};
use crate::wire::{Name, NameRef};

/// Octets that are read at once. So many zeros stand behind the name, so that each label can be read in such words.
const WORD: usize = size_of::<u64>();
/// Room for the longest name and the zeros, in whole words.
const ROOM: usize = (NAME_BYTES_MAX + WORD).next_multiple_of(WORD);

/// The key of the name hash: one per process, chosen at random, shared by all zones that are served together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

/// The hash of one name under a [`Seed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameHash(pub u64);

/// A name in lower case with the start of each label, ready to be hashed and looked up. Allocates nothing.
#[derive(Clone)]
pub struct LookupName {
    /// The name, then zeros.
    octets: ArrayVec<u8, ROOM>,
    /// Octets of the name, root label included.
    len: usize,
    /// Where each label starts, from the left; that of the root is the last.
    starts: ArrayVec<u8, { LABELS_MAX + 1 }>,
}

impl LookupName {
    /// Makes `name` ready. Cost: one pass over its octets.
    pub fn new(name: NameRef<'_>) -> Self {
        let len = name.len();
        let mut octets = ArrayVec::new();
        // Neither fails: a name is at most as long as the room less one word.
        let _fits = octets.try_extend_from_slice(name.as_bytes());
        let _fits = octets.try_extend_from_slice(&[0; 2 * WORD][..(len + WORD).next_multiple_of(WORD) - len]);
        for word in octets.as_chunks_mut::<WORD>().0 {
            *word = lowercase(u64::from_le_bytes(*word)).to_le_bytes(); // Length octets are below `A`.
        }
        let mut starts = ArrayVec::new();
        let mut at = 0;
        while octets[at] != 0 {
            starts.push(at as u8);
            at += 1 + usize::from(octets[at]);
        }
        starts.push(at as u8);
        Self { octets, len, starts }
    }

    /// Labels, the root not counted.
    pub fn label_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The whole name in lower case.
    pub fn name(&self) -> NameRef<'_> {
        self.suffix(self.label_count())
    }

    /// The name made of the last `count` labels. `count` is at most [`Self::label_count`].
    pub fn suffix(&self, count: usize) -> NameRef<'_> {
        let start = self.offset_of_suffix(count);
        NameRef::parse(&self.octets[start..]).expect("a suffix of a name is a name")
    }

    /// The octets of the last `count` labels, root label included.
    pub fn suffix_octets(&self, count: usize) -> &[u8] {
        &self.octets[self.offset_of_suffix(count)..self.len]
    }

    /// How many octets stand in front of the last `count` labels.
    pub fn offset_of_suffix(&self, count: usize) -> usize {
        usize::from(self.starts[self.label_count() - count])
    }

    /// The hash of the child that the label in front of the last `depth` labels makes, from the hash of those.
    ///
    /// `depth` is below [`Self::label_count`].
    pub fn descend(&self, seed: Seed, parent: NameHash, depth: usize) -> NameHash {
        let start = usize::from(self.starts[self.label_count() - depth - 1]);
        let length = usize::from(self.octets[start]);
        let mut state = parent.0 ^ length as u64;
        let mut at = start + 1;
        let mut left = length;
        loop {
            let chunk = self.octets[at..].first_chunk().expect("zeros stand behind the name");
            let word = u64::from_le_bytes(*chunk);
            if left <= WORD {
                // `left` is 1 to 8: a label is never empty.
                return NameHash(fold(
                    state ^ seed.0[0],
                    (word & (u64::MAX >> (u64::BITS as usize - 8 * left))) ^ seed.0[1],
                ));
            }
            state = fold(state ^ seed.0[0], word ^ seed.0[1]);
            at += WORD;
            left -= WORD;
        }
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
        Name::child(b"*", self.suffix(count)).ok()
    }
}

/// The hash of `*` below the name whose hash is `parent`: what [`LookupName::descend`] gives for the label `*`.
pub fn wildcard_hash(seed: Seed, parent: NameHash) -> NameHash {
    NameHash(fold(parent.0 ^ 1 ^ seed.0[0], u64::from(b'*') ^ seed.0[1]))
}

/// Eight octets at once, the letters A to Z in lower case.
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

    const SEED: Seed = Seed([0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03]);

    fn ready(text: &str) -> LookupName {
        LookupName::new(text.parse::<Name>().expect("a good name").as_ref())
    }

    #[test]
    fn letter_case_does_not_change_the_hash() {
        assert_eq!(ready("WWW.eXample.").hash(SEED), ready("www.example.").hash(SEED));
    }

    #[test]
    fn every_octet_is_lowered_as_the_standard_library_does() {
        for octet in 0..=u8::MAX {
            for neighbour in [0, b'A', b'Z', 0x7F, 0xFF] {
                let octets = [neighbour, octet, neighbour, neighbour, octet, neighbour, neighbour, octet];
                assert_eq!(
                    lowercase(u64::from_le_bytes(octets)),
                    u64::from_le_bytes(octets.map(|o| o.to_ascii_lowercase()))
                );
            }
        }
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
        let hashes: std::collections::HashSet<_> = names.iter().map(|name| ready(name).hash(SEED)).collect();
        assert_eq!(hashes.len(), names.len());
    }

    #[test]
    fn suffixes_hash_as_the_names_that_they_are() {
        let name = ready("a.bc.*.example.");
        for count in 0..=name.label_count() {
            let suffix = name.suffix(count);
            assert_eq!(name.hash_of_suffix(SEED, count), LookupName::new(suffix).hash(SEED));
            assert_eq!(name.suffix_octets(count), suffix.as_bytes());
        }
        assert_eq!(name.wildcard(1).expect("short"), "*.example.".parse().expect("good"));
        assert_eq!(wildcard_hash(SEED, name.hash_of_suffix(SEED, 1)), ready("*.example.").hash(SEED));
    }

    #[test]
    fn the_longest_names_and_labels_are_read_within_bounds() {
        let label = "a".repeat(63);
        let longest = ready(&format!("{label}.{label}.{label}.{}.", &label[..61]));
        assert_eq!(longest.name().len(), NAME_BYTES_MAX);
        let most_labels = ready(&"a.".repeat(LABELS_MAX));
        assert_eq!(most_labels.label_count(), LABELS_MAX);
        assert_ne!(longest.hash(SEED), most_labels.hash(SEED));
    }
}
