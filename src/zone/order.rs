//! Nodes in an order, for denial of existence: canonical (NSEC, RFC 4034 §6.1) or by hash (NSEC3, RFC 5155 §3.1.7).
//!
//! Each entry has the first eight octets of its key beside it, so that a search seldom has to look at a node. Entries
//! lie in runs that versions of a zone share: to change one copies a run and the list of runs.

use core::cmp::Ordering;
use std::sync::Arc;

use crate::wire::NameRef;
use crate::zone::names::NodeRef;

/// Entries of one run.
const RUN_ENTRIES: usize = 512;

/// One node in the order: the start of its key, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) key: u64,
    pub(crate) node: NodeRef,
}

/// Nodes in ascending order.
#[derive(Clone, Debug, Default)]
pub struct Order {
    runs: Vec<Arc<[Entry]>>,
}

impl Entry {
    /// Whether it is not above what is sought; see [`Order::at_or_before`].
    #[inline]
    fn is_not_above(&self, key: u64, compare: &impl Fn(NodeRef) -> Ordering) -> bool {
        match self.key.cmp(&key) {
            Ordering::Equal => compare(self.node) != Ordering::Greater,
            decided => decided == Ordering::Less,
        }
    }
}

impl Order {
    /// Takes entries in ascending order.
    pub(crate) fn new(entries: &[Entry]) -> Self {
        Self { runs: entries.chunks(RUN_ENTRIES).map(Arc::from).collect() }
    }

    /// Takes an entry out. `compare` says how a node stands to its own.
    pub(crate) fn remove(&mut self, key: u64, compare: impl Fn(NodeRef) -> Ordering) {
        let (run, at) = self.behind(key, compare);
        let Some(at) = at.checked_sub(1) else { return };
        let mut entries = self.runs[run].to_vec();
        entries.remove(at);
        self.put(run, &entries);
    }

    /// Puts an entry in its place. `compare` says how a node stands to its own.
    pub(crate) fn insert(&mut self, entry: Entry, compare: impl Fn(NodeRef) -> Ordering) {
        let (run, at) = self.behind(entry.key, compare);
        let mut entries = self.runs.get(run).map_or_else(Vec::new, |run| run.to_vec());
        entries.insert(at, entry);
        self.put(run, &entries);
    }

    /// Puts entries in the place of a run: none at all, or two runs where they are too many for one.
    fn put(&mut self, run: usize, entries: &[Entry]) {
        let parts = if entries.len() > RUN_ENTRIES { 2 } else { 1 };
        let runs = entries.chunks(entries.len().div_ceil(parts).max(1)).map(Arc::from);
        let end = self.runs.len().min(run + 1);
        self.runs.splice(run..end, runs);
    }

    /// The run of the last entry that is not above the one that is sought, and where in it the next one is.
    fn behind(&self, key: u64, compare: impl Fn(NodeRef) -> Ordering) -> (usize, usize) {
        let is_not_above = |entry: &Entry| entry.is_not_above(key, &compare);
        let run = self.runs.partition_point(|run| is_not_above(&run[0])).saturating_sub(1);
        (run, self.runs.get(run).map_or(0, |run| run.partition_point(is_not_above)))
    }

    /// The nodes in their order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeRef> {
        self.runs.iter().flat_map(|run| run.iter()).map(|entry| entry.node)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The last node that is not above the one that is sought; the very last where all are above it, since the chain
    /// is a ring. `None` only if the order is empty.
    ///
    /// `key` is the start of the sought key; where it ties, `compare` says how a node stands to what is sought.
    pub fn at_or_before(&self, key: u64, compare: impl Fn(NodeRef) -> Ordering) -> Option<NodeRef> {
        let is_not_above = |entry: &Entry| entry.is_not_above(key, &compare);
        let behind = self.runs.partition_point(|run| is_not_above(&run[0]));
        match behind.checked_sub(1) {
            Some(index) => {
                let run = &self.runs[index];
                Some(run[run.partition_point(is_not_above) - 1].node)
            }
            None => self.runs.last().and_then(|run| run.last()).map(|entry| entry.node),
        }
    }
}

/// The start of a name's place in the canonical order, below an apex: never falls where the order rises.
///
/// `octets` are those of the name, of which `relative` are in front of the apex. Labels count from the right; each
/// octet is raised by one, so that the end of a label (0) is below all of them. The two highest values fall together,
/// and the key ends there, so that they tie.
fn canonical_key(octets: &[u8], relative: usize) -> u64 {
    let mut starts = [0_u8; crate::wire::name::LABELS_MAX];
    let (mut at, mut count) = (0, 0);
    while at < relative {
        starts[count] = at as u8;
        count += 1;
        at += 1 + usize::from(octets[at]);
    }
    let (mut key, mut room) = (0_u64, 64_u32);
    for start in starts[..count].iter().rev() {
        let start = usize::from(*start);
        let label = &octets[start + 1..=start + usize::from(octets[start])];
        for value in label.iter().map(|octet| octet.to_ascii_lowercase().saturating_add(1)).chain([0]) {
            if room == 0 {
                return key;
            }
            room -= 8;
            key |= u64::from(value) << room;
            if value == u8::MAX {
                return key;
            }
        }
    }
    key
}

/// The start of an NSEC3 hash as a key.
pub(crate) fn hash_key(hash: &[u8]) -> u64 {
    hash.first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
}

/// [`canonical_key`] of a name that stands at or below `apex`.
pub(crate) fn name_key(name: NameRef<'_>, apex: NameRef<'_>) -> u64 {
    canonical_key(name.as_bytes(), name.len() - apex.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn keys_never_fall_where_the_canonical_order_rises() {
        let apex: Name = "example.".parse().expect("good");
        let mut names: Vec<Name> = [
            "example.",
            "a.example.",
            "A\\000.example.",
            "aa.example.",
            "b.a.example.",
            "abcdefg.example.",
            "abcdefgh.example.",
            "abcdefghi.example.",
            "\\253.example.",
            "\\254.example.",
            "\\255.example.",
            "\\254z.example.",
            "\\255a.example.",
            "\\001.example.",
            "z.\\255.example.",
            "*.example.",
            "x.abcdefg.example.",
        ]
        .iter()
        .map(|text| text.parse().expect("good"))
        .collect();
        names.sort();
        let keys: Vec<u64> = names.iter().map(|name| name_key(name.as_ref(), apex.as_ref())).collect();
        assert!(keys.is_sorted(), "{names:?} {keys:x?}");
        assert_eq!(keys[0], 0);
    }
}
