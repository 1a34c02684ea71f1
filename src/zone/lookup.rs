//! Where a name stands in a zone: the search of RFC 1034 §4.3.2 step 3, without the answering.

use crate::wire::name::is_same;
use crate::wire::{NameRef, Type};
use crate::zone::hash::{LookupName, NameHash, wildcard_hash};
use crate::zone::names::Bucket;
use crate::zone::node::{Flags, Node, Rrset};
use crate::zone::{Denial, Zone};

/// Where a name stands.
#[derive(Clone, Copy)]
pub enum Found<'z> {
    /// The name exists and is authoritative; an empty non-terminal has no RRset (RFC 4592 §2.2.2).
    Exact(Node<'z>),
    /// The name is, or stands below, the zone cut `cut` (RFC 1034 §4.2.1).
    Delegation {
        /// The topmost cut on the way.
        cut: Node<'z>,
        /// Labels of the cut's name.
        labels: usize,
    },
    /// The name stands below `owner`, which has a DNAME (RFC 6672 §2.3).
    Redirected {
        /// The topmost DNAME owner on the way.
        owner: Node<'z>,
        /// Labels of its name.
        labels: usize,
    },
    /// The name does not exist.
    Missing(Missing<'z>),
}

/// What there is around a name that does not exist.
#[derive(Clone, Copy)]
pub struct Missing<'z> {
    /// The closest encloser (RFC 4592 §3.3.1).
    pub encloser: Node<'z>,
    /// Labels of its name.
    pub labels: usize,
    hash: NameHash,
}

/// The first steps towards a name: what its search will look for, perhaps what it will find. `Copy`.
#[derive(Clone, Copy)]
pub struct Trail<'z> {
    /// The hash of the name just below the apex, where cuts most often are.
    below_apex: NameHash,
    /// The hash of the whole name, or again that of the name below the apex.
    whole: NameHash,
    /// Whether `whole` is that of the whole name: such a name may exist, one that is longer than any of the zone does not.
    is_whole: bool,
    /// A node whose hash looks like `whole`, or else one whose hash looks like `below_apex`.
    candidate: Option<Node<'z>>,
}

impl Zone {
    /// Finds where `name` stands, which is at or below the apex.
    ///
    /// Cost: one probe for a name that exists, else one for each label from the apex down to the closest encloser.
    pub fn lookup(&self, name: &LookupName<'_>) -> Found<'_> {
        self.lookup_along(name, &self.trail(name))
    }

    /// The first steps of [`Self::lookup`], apart from it, so that those of several names can wait for memory together.
    pub fn trail(&self, name: &LookupName<'_>) -> Trail<'_> {
        let (depth, top) = (name.label_count(), self.apex_labels + 1);
        let below_apex = name.descend(self.seed, self.apex_hash, self.apex_labels, depth.min(top));
        let is_whole = depth <= self.labels_max;
        let whole = if is_whole && depth > top { name.descend(self.seed, below_apex, top, depth) } else { below_apex };
        Trail { below_apex, whole, is_whole, candidate: None }
    }

    /// The hash of `name`; `trail` is its own.
    pub fn hash_along(&self, name: &LookupName<'_>, trail: &Trail<'_>) -> NameHash {
        if trail.is_whole { trail.whole } else { name.hash(self.seed) }
    }

    /// Where the search along `trail` begins: two buckets, of which the second is most often the first again.
    #[inline]
    pub fn tops(&self, trail: &Trail<'_>) -> [&Bucket; 2] {
        [self.names.top(trail.whole), self.names.top(trail.below_apex)]
    }

    /// The octets that it reads next, for which the tops are read.
    #[inline]
    pub fn heads(&self, trail: &Trail<'_>) -> [&[u8]; 2] {
        [self.names.head(trail.whole), self.names.head(trail.below_apex)]
    }

    /// Looks for the node that it will most likely find, for which the heads are read.
    #[inline]
    pub fn sight<'z>(&'z self, trail: &mut Trail<'z>) -> Option<Node<'z>> {
        let like = |hash| self.names.find_by(hash, |_| true);
        let above = || if trail.below_apex == trail.whole { None } else { like(trail.below_apex) };
        trail.candidate = like(trail.whole).or_else(above);
        trail.candidate
    }

    /// The RRset of type `qtype`, or that of a delegation, of the node that was sighted, if other names of the zone are looked for
    /// because of it.
    #[inline]
    pub fn lead<'z>(&'z self, trail: &Trail<'z>, qtype: Type) -> Option<Rrset<'z>> {
        let node = trail.candidate.filter(|node| node.flags().has(Flags::LEADS_ON))?;
        let rrset = node.rrset(if node.flags().has(Flags::IS_CUT) { Type::NS } else { qtype })?;
        rrset.has_targets().then_some(rrset)
    }

    /// Finds where `name` stands; `trail` is its own.
    #[inline]
    pub fn lookup_along<'z>(&'z self, name: &LookupName<'_>, trail: &Trail<'z>) -> Found<'z> {
        if trail.is_whole
            && let Some(node) = self.find_sighted(trail, trail.whole, name.name().as_bytes())
            && !node.flags().has(Flags::IS_OCCLUDED)
        {
            return if node.flags().has(Flags::IS_CUT) {
                Found::Delegation { cut: node, labels: name.label_count() }
            } else {
                Found::Exact(node)
            };
        }
        self.enclose(name, trail)
    }

    /// The node whose name is `octets` and hashes to `hash`; most often the one that was sighted.
    #[inline]
    fn find_sighted<'z>(&'z self, trail: &Trail<'z>, hash: NameHash, octets: &[u8]) -> Option<Node<'z>> {
        let sighted = trail.candidate.filter(|node| is_same(node.name_octets(), octets));
        sighted.or_else(|| self.names.find(hash, octets))
    }

    /// Walks from the apex towards `name`, which is no name of its own here, until a cut, a DNAME, or a gap.
    fn enclose<'z>(&'z self, name: &LookupName<'_>, trail: &Trail<'z>) -> Found<'z> {
        let mut node = self.apex_node();
        let mut hash = self.apex_hash;
        let mut labels = self.apex_labels;
        loop {
            if node.flags().has(Flags::IS_CUT) {
                return Found::Delegation { cut: node, labels };
            }
            if node.flags().has(Flags::HAS_DNAME) {
                return Found::Redirected { owner: node, labels };
            }
            let is_first = labels == self.apex_labels;
            let below = if is_first { trail.below_apex } else { name.descend(self.seed, hash, labels, labels + 1) };
            // The whole name was looked for already.
            let is_between = labels + 1 < name.label_count();
            let next = is_between.then(|| self.find_sighted(trail, below, name.suffix_octets(labels + 1)));
            let Some(next) = next.flatten() else {
                return Found::Missing(Missing { encloser: node, labels, hash });
            };
            (node, hash, labels) = (next, below, labels + 1);
        }
    }

    /// The node at the apex.
    pub fn apex_node(&self) -> Node<'_> {
        self.names.node(self.apex_ref)
    }

    /// The node of exactly that name, whether it is authoritative or not.
    pub fn node(&self, name: &LookupName<'_>) -> Option<Node<'_>> {
        self.names.find(name.hash(self.seed), name.name().as_bytes())
    }

    /// The node of the last `labels` labels of `name`; `None` above the apex, or where there is none.
    pub fn ancestor(&self, name: &LookupName<'_>, labels: usize) -> Option<Node<'_>> {
        if labels < self.apex_labels {
            return None;
        }
        self.names.find(name.hash_of_suffix(self.seed, labels), name.suffix_octets(labels))
    }

    /// The source of synthesis below a closest encloser: the node `*` (RFC 4592 §3.3.1).
    pub fn wildcard<'z>(&'z self, missing: &Missing<'z>) -> Option<Node<'z>> {
        if !missing.encloser.flags().has(Flags::HAS_WILDCARD) {
            return None;
        }
        let encloser = missing.encloser.name_octets();
        self.names.find_by(wildcard_hash(self.seed, missing.hash), |node| {
            node.name_octets().strip_prefix(b"\x01*").is_some_and(|parent| is_same(parent, encloser))
        })
    }

    /// The node whose NSEC record is at or before `name`, which it then covers or matches (RFC 4034 §4.1).
    pub fn nsec_at_or_before(&self, name: NameRef<'_>) -> Option<Node<'_>> {
        let Denial::Nsec(order) = &self.denial else { return None };
        let key = crate::zone::order::name_key(name, self.apex());
        let at = order.at_or_before(key, |at| self.names.node(at).name().cmp(&name))?;
        Some(self.names.node(at))
    }
}
