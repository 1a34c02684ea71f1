//! All nodes of a zone, found by the hash of their name: a persistent hash map.
//!
//! ```text
//! pages ──▶ page: 256 buckets ──▶ bucket: │ count u16 │ tags count × u8, padded to 8 │ ends count × u32 │ nodes … │
//!           the high bits of a hash choose the bucket, the low 8 are the tag; the padding is zeros
//! ```
//!
//! A bucket holds four to eight nodes on the average in one run of octets, its head most often in one cache line.
//! Buckets are shared between versions, and so are pages: what did not change is in memory once, and to change one name
//! copies a page and the list of pages. A lookup waits for the page, the head of the bucket and the node; the list of
//! pages is small and hot.

use std::sync::Arc;

use crate::wire::NameRef;
use crate::wire::name::is_same;
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zone::node::Node;

/// Nodes that a bucket holds on the average when the map is built.
const BUCKET_NODES_MEAN: usize = 8;
/// Buckets of a page, as a power of two.
const PAGE_BITS: u32 = 8;
/// Buckets of a page.
const PAGE_BUCKETS: usize = 1 << PAGE_BITS;
/// Slots of a bucket that a [`NodeRef`] can name.
const BUCKET_NODES_MAX: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 6;
const COUNT_BYTES: usize = 2;
/// Tags that are compared in one step; a tag is one octet.
const TAGS_AT_ONCE: usize = size_of::<u64>();
const END_BYTES: usize = 4;

/// Some nodes, the tags of their hashes in front.
pub type Bucket = Arc<[u8]>;

/// Where a node stands in its map: bucket and slot. Stays true as long as neither is rewritten with fewer names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeRef(u32);

impl NodeRef {
    /// The place behind it. Behind the last slot of a bucket is the next bucket.
    pub(crate) fn behind(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The nodes of one version of a zone.
#[derive(Clone)]
pub struct Names {
    buckets: Buckets,
    /// `hash >> shift` is the bucket; 64 stands for "one bucket".
    shift: u32,
    node_count: usize,
}

/// Which bucket a hash belongs to, of [`buckets_of`].
fn bucket_index(hash: NameHash, shift: u32) -> usize {
    hash.0.checked_shr(shift).unwrap_or(0) as usize
}

/// The buckets of a map. A small zone is one bucket, which is then reached without a step in between: where there are
/// very many small zones, none of them is in the caches.
#[derive(Clone)]
enum Buckets {
    One(Bucket),
    /// Fewer than fill a page.
    Some(Arc<[Bucket]>),
    Many(Box<[Page]>),
}

/// Neighbouring buckets that versions share.
type Page = Arc<[Bucket; PAGE_BUCKETS]>;

impl Buckets {
    /// Takes buckets, as many as a power of two.
    fn new(mut buckets: Vec<Bucket>) -> Self {
        match buckets.len() {
            1 => Self::One(buckets.remove(0)),
            count if count < PAGE_BUCKETS => Self::Some(buckets.into()),
            _ => {
                let mut rest = buckets.into_iter();
                let pages = core::iter::from_fn(|| {
                    let first = rest.next()?;
                    let mut next = Some(first);
                    Some(Arc::new(core::array::from_fn(|_| {
                        next.take().or_else(|| rest.next()).expect("pages are full")
                    })))
                });
                Self::Many(pages.collect())
            }
        }
    }

    /// The bucket with that number.
    #[inline]
    fn get(&self, index: usize) -> &Bucket {
        match self {
            Self::One(bucket) => bucket,
            Self::Some(buckets) => &buckets[index],
            Self::Many(pages) => &pages[index >> PAGE_BITS][index % PAGE_BUCKETS],
        }
    }

    /// Puts a bucket in the place of another. Copies what other versions share.
    fn replace(&mut self, index: usize, bucket: Bucket) {
        match self {
            Self::One(only) => *only = bucket,
            Self::Some(buckets) => Arc::make_mut(buckets)[index] = bucket,
            Self::Many(pages) => Arc::make_mut(&mut pages[index >> PAGE_BITS])[index % PAGE_BUCKETS] = bucket,
        }
    }
}

/// How many buckets there are.
fn buckets_of(shift: u32) -> usize {
    1 << (64 - shift)
}

/// Whether buckets are neither half empty nor twice as full as they are meant to be; one may be as empty as it likes.
fn is_fitting(count: usize, shift: u32) -> bool {
    let mean = buckets_of(shift) * BUCKET_NODES_MEAN;
    (mean / 2..=mean * 2).contains(&count) || (shift == 64 && count <= mean)
}

/// The shift that spreads so many names over a fitting number of buckets. That of the previous version is kept while it
/// is fitting. `is_crowded` says whether some bucket would hold more than [`BUCKET_NODES_MAX`] nodes.
fn shift_for(count: usize, is_crowded: impl Fn(u32) -> bool, previous: Option<&Names>) -> u32 {
    let ideal = 64 - (count / BUCKET_NODES_MEAN).next_power_of_two().trailing_zeros();
    let mut shift = previous.map(|names| names.shift).filter(|shift| is_fitting(count, *shift)).unwrap_or(ideal);
    while is_crowded(shift) {
        shift -= 1;
    }
    shift
}

/// Whether some bucket would hold more nodes than a [`NodeRef`] can name; the hashes ascend.
pub(crate) fn has_crowd(hashes: impl Iterator<Item = NameHash>, shift: u32) -> bool {
    let (mut bucket, mut count) = (0, 0);
    for index in hashes.map(|hash| bucket_index(hash, shift)) {
        (bucket, count) = if index == bucket { (bucket, count + 1) } else { (index, 1) };
        if count > BUCKET_NODES_MAX {
            return true;
        }
    }
    false
}

impl Names {
    /// How many names there are, empty non-terminals included.
    pub fn count(&self) -> usize {
        self.node_count
    }

    /// Finds the node whose name is `octets` (wire form, any letter case), which hashes to `hash`.
    pub fn find(&self, hash: NameHash, octets: &[u8]) -> Option<Node<'_>> {
        self.find_by(hash, |node| is_same(node.name_octets(), octets))
    }

    /// Finds the node of that hash whose name satisfies `is_it`.
    #[inline]
    pub fn find_by(&self, hash: NameHash, is_it: impl Fn(Node<'_>) -> bool) -> Option<Node<'_>> {
        BucketView::new(self.bucket(bucket_index(hash, self.shift))).find(hash, is_it).map(|(_, node)| node)
    }

    /// Where the node of that name stands.
    pub fn find_ref(&self, hash: NameHash, octets: &[u8]) -> Option<NodeRef> {
        let index = bucket_index(hash, self.shift);
        let found = BucketView::new(self.bucket(index)).find(hash, |node| is_same(node.name_octets(), octets));
        found.map(|(slot, _)| node_ref(index, slot))
    }

    /// Where a search for that hash begins.
    pub fn top(&self, hash: NameHash) -> &Bucket {
        self.bucket(bucket_index(hash, self.shift))
    }

    /// The octets that a search for that hash reads behind [`Self::top`].
    pub fn head(&self, hash: NameHash) -> &[u8] {
        let bucket = self.top(hash);
        &bucket[..bucket.len().min(COUNT_BYTES + TAGS_AT_ONCE + BUCKET_NODES_MEAN * END_BYTES)]
    }

    /// The node at a place that [`Self::find_ref`] or [`Self::iter`] gave.
    pub fn node(&self, at: NodeRef) -> Node<'_> {
        let bucket = self.bucket((at.0 >> SLOT_BITS) as usize);
        BucketView::new(bucket).node(at.0 as usize & (BUCKET_NODES_MAX - 1)).expect("the place is one of this map")
    }

    /// All nodes with their places, in no useful order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeRef, Node<'_>)> {
        self.iter_from(NodeRef(0))
    }

    /// The same from a place on, which need not be one of this version.
    pub fn iter_from(&self, start: NodeRef) -> impl Iterator<Item = (NodeRef, Node<'_>)> {
        let (first, mut from) = ((start.0 >> SLOT_BITS) as usize, start.0 as usize & (BUCKET_NODES_MAX - 1));
        (first..buckets_of(self.shift)).flat_map(move |index| {
            let view = BucketView::new(self.bucket(index));
            let slots = core::mem::take(&mut from)..view.count();
            slots.filter_map(move |slot| Some((node_ref(index, slot), view.node(slot)?)))
        })
    }

    /// The nodes in the buckets that are not the very same in another version.
    pub fn unshared<'z>(&'z self, other: &'z Self) -> impl Iterator<Item = Node<'z>> {
        let is_shared =
            move |index: usize| self.shift == other.shift && Arc::ptr_eq(self.bucket(index), other.bucket(index));
        let indices = (0..buckets_of(self.shift)).filter(move |index| !is_shared(*index));
        indices.flat_map(|index| {
            let view = BucketView::new(self.bucket(index));
            (0..view.count()).filter_map(move |slot| view.node(slot))
        })
    }

    /// How many buckets are the very same as in another version, of how many.
    #[cfg(test)]
    pub(crate) fn shared_buckets(&self, other: &Self) -> (usize, usize) {
        let count = buckets_of(self.shift);
        let is_same = |index: &usize| Arc::ptr_eq(self.bucket(*index), other.bucket(*index));
        (if other.shift == self.shift { (0..count).filter(is_same).count() } else { 0 }, count)
    }

    fn bucket(&self, index: usize) -> &Bucket {
        self.buckets.get(index)
    }

    /// The version with these nodes in the place of those of the same names; `edits` ascend by hash.
    ///
    /// `None` where the buckets would be too full, or too empty, so that it is to be laid out anew.
    pub(crate) fn edited(&self, seed: Seed, edits: &[Edit<'_>]) -> Option<Edited> {
        let mut made = Edited { names: self.clone(), buckets: Vec::new() };
        let mut writer = BucketWriter::default();
        let index_of = |edit: &Edit<'_>| bucket_index(edit.hash, self.shift);
        for edits in edits.chunk_by(|a, b| index_of(a) == index_of(b)) {
            let index = index_of(&edits[0]);
            let old = BucketView::new(self.bucket(index));
            let is_kept = |node: &Node<'_>| !edits.iter().any(|edit| is_same(edit.name.as_bytes(), node.name_octets()));
            let kept = (0..old.count()).filter_map(|slot| old.node(slot)).filter(is_kept);
            let kept = kept.map(|node| (LookupName::new(node.name()).hash(seed), node.octets()));
            let put = edits.iter().filter_map(|edit| Some((edit.hash, edit.node.as_deref()?)));
            let mut nodes: Vec<(NameHash, &[u8])> = kept.chain(put).collect();
            nodes.sort_by_key(|(hash, _)| *hash);
            if nodes.len() > BUCKET_NODES_MAX {
                return None;
            }
            made.names.node_count = made.names.node_count + nodes.len() - old.count();
            nodes.into_iter().for_each(|(hash, octets)| writer.push(hash, |out| out.extend_from_slice(octets)));
            made.names.buckets.replace(index, writer.finish().into());
            made.buckets.push(index);
        }
        // Half as many as are fitting will do: what goes may come again.
        let count = made.names.node_count;
        (is_fitting(count, self.shift) || is_fitting(2 * count, self.shift)).then_some(made)
    }

    /// The nodes of one bucket, with their places.
    pub(crate) fn of_bucket(&self, index: usize) -> impl Iterator<Item = (NodeRef, Node<'_>)> {
        self.iter_from(node_ref(index, 0)).take_while(move |(at, _)| (at.0 >> SLOT_BITS) as usize == index)
    }
}

/// What a new version has of one name.
pub(crate) struct Edit<'a> {
    pub(crate) hash: NameHash,
    pub(crate) name: NameRef<'a>,
    /// The octets of the node; `None` where there is none.
    pub(crate) node: Option<Vec<u8>>,
}

/// A version that was made from another.
pub(crate) struct Edited {
    pub(crate) names: Names,
    /// The buckets that are not those of the other: all other places stayed.
    pub(crate) buckets: Vec<usize>,
}

fn node_ref(bucket: usize, slot: usize) -> NodeRef {
    NodeRef(((bucket as u32) << SLOT_BITS) | slot as u32)
}

/// Octets of the tags of so many nodes, in whole vectors: what is behind the last tag is zero.
fn tags_bytes(count: usize) -> usize {
    count.next_multiple_of(TAGS_AT_ONCE)
}

/// Which of some tags are `tag`: the highest bit of an octet is set for each that is, and no other bit.
#[inline]
fn matches(tags: &[u8; TAGS_AT_ONCE], tag: u8) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const LOW_BITS: u64 = 0x7F * EACH;
    let differing = u64::from_le_bytes(*tags) ^ (u64::from(tag) * EACH);
    !(((differing & LOW_BITS) + LOW_BITS) | differing | LOW_BITS)
}

/// Reads one bucket.
#[derive(Clone, Copy)]
struct BucketView<'z> {
    tags: &'z [[u8; TAGS_AT_ONCE]],
    ends: &'z [[u8; END_BYTES]],
    nodes: &'z [u8],
}

impl<'z> BucketView<'z> {
    #[inline]
    fn new(bytes: &'z [u8]) -> Self {
        let (count, rest) = bytes.split_first_chunk().expect("a bucket begins with a count");
        let count = usize::from(u16::from_le_bytes(*count));
        let (tags, rest) = rest.split_at(tags_bytes(count));
        let (ends, nodes) = rest.split_at(count * END_BYTES);
        Self { tags: tags.as_chunks().0, ends: ends.as_chunks().0, nodes }
    }

    fn count(self) -> usize {
        self.ends.len()
    }

    /// The node of that hash which satisfies `is_it`, and its slot.
    #[inline]
    fn find(self, hash: NameHash, is_it: impl Fn(Node<'z>) -> bool) -> Option<(usize, Node<'z>)> {
        for (index, tags) in self.tags.iter().enumerate() {
            let mut hits = matches(tags, hash.0 as u8);
            while hits != 0 {
                let slot = index * TAGS_AT_ONCE + hits.trailing_zeros() as usize / 8;
                hits &= hits - 1;
                // The last tags may be padding.
                if let Some(node) = self.node(slot).filter(|node| is_it(*node)) {
                    return Some((slot, node));
                }
            }
        }
        None
    }

    /// The node in `slot`; `None` behind the last.
    #[inline]
    fn node(self, slot: usize) -> Option<Node<'z>> {
        let end = u32::from_le_bytes(*self.ends.get(slot)?);
        let before = slot.checked_sub(1).map_or(0, |before| u32::from_le_bytes(self.ends[before]));
        Some(Node::new(&self.nodes[before as usize..end as usize]))
    }
}

/// How a map is to be laid out: into how many buckets, and which version's it may share.
pub(crate) struct NamesPlan<'p> {
    previous: Option<&'p Names>,
    shift: u32,
}

/// Lays out neighbouring buckets from nodes whose hashes ascend. What is as it was in the previous version is shared.
pub(crate) struct NamesWriter<'p> {
    previous: Option<&'p Names>,
    shift: u32,
    /// The buckets to be written, all.
    range: core::ops::Range<usize>,
    made: Vec<Bucket>,
    bucket: BucketWriter,
    node_count: usize,
}

/// Buckets that a [`NamesWriter`] has finished.
pub(crate) struct NamesPart {
    buckets: Vec<Bucket>,
    node_count: usize,
}

impl<'p> NamesPlan<'p> {
    /// Plans a map for `count` names; `is_crowded` says whether a bucket would have too many with that shift.
    pub(crate) fn new(count: usize, is_crowded: impl Fn(u32) -> bool, previous: Option<&'p Names>) -> Self {
        let shift = shift_for(count, is_crowded, previous);
        Self { previous: previous.filter(|names| names.shift == shift), shift }
    }

    /// How many buckets there are, as a power of two.
    pub(crate) fn bucket_bits(&self) -> u32 {
        64 - self.shift
    }

    /// Starts the `number`th of `1 << part_bits` equal parts, which are no more than there are buckets.
    pub(crate) fn writer(&self, number: usize, part_bits: u32) -> NamesWriter<'p> {
        let count = buckets_of(self.shift) >> part_bits;
        let range = number * count..(number + 1) * count;
        let (made, bucket) = (Vec::with_capacity(count), BucketWriter::default());
        NamesWriter { previous: self.previous, shift: self.shift, range, made, bucket, node_count: 0 }
    }

    /// Puts the parts together, of which none is missing.
    pub(crate) fn finish(&self, parts: Vec<NamesPart>) -> Names {
        let node_count = parts.iter().map(|part| part.node_count).sum();
        let buckets = Buckets::new(parts.into_iter().flat_map(|part| part.buckets).collect());
        Names { buckets, shift: self.shift, node_count }
    }
}

impl NamesWriter<'_> {
    /// Adds a node whose name hashes to `hash`; `write` appends its octets.
    pub(crate) fn push(&mut self, hash: NameHash, write: impl FnOnce(&mut Vec<u8>)) {
        let index = bucket_index(hash, self.shift);
        while self.range.start + self.made.len() < index {
            self.finish_bucket();
        }
        self.bucket.push(hash, write);
        self.node_count += 1;
    }

    /// Finishes the part.
    pub(crate) fn finish(mut self) -> NamesPart {
        while self.made.len() < self.range.len() {
            self.finish_bucket();
        }
        NamesPart { buckets: self.made, node_count: self.node_count }
    }

    fn finish_bucket(&mut self) {
        let index = self.range.start + self.made.len();
        let octets = self.bucket.finish();
        let before = self.previous.map(|names| names.bucket(index));
        self.made.push(match before {
            Some(before) if **before == *octets => Arc::clone(before),
            _ => octets.into(),
        });
    }
}

/// Collects the nodes of one bucket; its buffers are used again for the next.
#[derive(Default)]
struct BucketWriter {
    tags: Vec<u8>,
    ends: Vec<u8>,
    nodes: Vec<u8>,
    /// The bucket that was finished last.
    octets: Vec<u8>,
}

impl BucketWriter {
    /// Adds a node.
    fn push(&mut self, hash: NameHash, write: impl FnOnce(&mut Vec<u8>)) {
        self.tags.push(hash.0 as u8);
        write(&mut self.nodes);
        let end = u32::try_from(self.nodes.len()).expect("the nodes of one bucket stay under 4 GiB");
        self.ends.extend_from_slice(&end.to_le_bytes());
    }

    /// Finishes the bucket and starts the next.
    fn finish(&mut self) -> &[u8] {
        let count = self.tags.len() as u16;
        self.tags.resize(tags_bytes(usize::from(count)), 0);
        self.octets.clear();
        self.octets.extend_from_slice(&count.to_le_bytes());
        for part in [&mut self.tags, &mut self.ends, &mut self.nodes] {
            self.octets.extend_from_slice(part);
            part.clear();
        }
        &self.octets
    }
}

impl core::fmt::Debug for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Names").field("node_count", &self.node_count).finish_non_exhaustive()
    }
}
