//! Names made ready for lookup: letters in lower case, labels counted, one seeded hash for each suffix.
//!
//! The hash of a name is made from that of its parent, so one pass from the root gives the hashes of all ancestors.
//! It is keyed: who sends names can't aim them at one bucket (not a cryptographic promise, and none is needed: a
//! match is always confirmed octet by octet).

use crate::wire::name::{LABELS_MAX, NAME_BYTES_MAX};
use crate::wire::{Name, NameRef};

/// Octets behind the name that may be read, so that labels are loaded eight octets at a time.
const PADDING: usize = 8;

/// The key of the name hash: one per process, chosen at random, shared by all zones that are served together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

/// The hash of one name under a [`Seed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameHash(pub u64);

/// A name in lower case with the start of each label, ready to be hashed and looked up. Allocates nothing.
#[derive(Clone)]
pub struct LookupName {
    octets: [u8; NAME_BYTES_MAX + 1 + PADDING],
    /// Octets in use, root label included.
    len: u8,
    label_count: u8,
    /// Where label `i` from the left starts; the entry behind the last label is the root label's.
    starts: [u8; LABELS_MAX + 1],
}

impl LookupName {
    /// Makes `name` ready. Cost: one pass over its octets.
    pub fn new(name: NameRef<'_>) -> Self {
        let bytes = name.as_bytes();
        let mut made = Self {
            octets: [0; NAME_BYTES_MAX + 1 + PADDING],
            len: bytes.len() as u8,
            label_count: 0,
            starts: [0; LABELS_MAX + 1],
        };
        for (to, from) in made.octets.iter_mut().zip(bytes) {
            *to = from.to_ascii_lowercase(); // Length octets are below `A`.
        }
        let mut at = 0_usize;
        let mut count = 0_usize;
        while bytes[at] != 0 {
            made.starts[count] = at as u8;
            count += 1;
            at += 1 + usize::from(bytes[at]);
        }
        made.starts[count] = at as u8;
        made.label_count = count as u8;
        made
    }

    /// Labels, the root not counted.
    pub fn label_count(&self) -> usize {
        usize::from(self.label_count)
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
        &self.octets[self.offset_of_suffix(count)..usize::from(self.len)]
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
            let chunk: [u8; 8] = self.octets[at..at + 8].try_into().expect("eight octets");
            let word = u64::from_le_bytes(chunk);
            if left <= 8 {
                // `left` is 1 to 8: a label is never empty.
                return NameHash(fold(state ^ seed.0[0], (word & (u64::MAX >> (64 - 8 * left))) ^ seed.0[1]));
            }
            state = fold(state ^ seed.0[0], word ^ seed.0[1]);
            at += 8;
            left -= 8;
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
