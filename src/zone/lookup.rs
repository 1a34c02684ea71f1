//! Where a name stands in a zone: the search of RFC 1034 §4.3.2 step 3, without the answering.

use crate::wire::name::is_same;
use crate::wire::{NameRef, Type};
use crate::zone::hash::{LookupName, NameHash, wildcard_hash};
use crate::zone::names::{Bucket, Names};
use crate::zone::node::{Flags, Node};
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
    Dname {
        /// The topmost DNAME owner on the way.
        owner: Node<'z>,
        /// Labels of its name.
        labels: usize,
    },
    /// The name does not exist.
    NoMatch(NoMatch<'z>),
}

/// What there is around a name that does not exist.
#[derive(Clone, Copy)]
pub struct NoMatch<'z> {
    /// The closest encloser (RFC 4592 §3.3.1).
    pub encloser: Node<'z>,
    /// Labels of its name.
    pub labels: usize,
    hash: NameHash,
}

/// A search for a name that is under way: what it looks for, how far it is, perhaps what it will find. `Copy`.
///
/// [`Zone::lookup_with`] ends the search, however far it is. Whoever has several searches lets each [`Self::advance`]
/// before the first ends, and fetches what it yields: then all wait for memory together, once a step.
#[derive(Clone, Copy)]
pub struct LookupCursor<'z> {
    /// The hash of the name just below the apex, where cuts most often are.
    below_apex: NameHash,
    /// The hash of the whole name, or again that of the name below the apex.
    whole: NameHash,
    /// Whether `whole` is that of the whole name: such a name may exist, one that is longer than any of the zone does
    /// not.
    is_whole: bool,
    step: Step,
    /// A node whose hash looks like `whole`, or else one whose hash looks like `below_apex`.
    candidate: Option<Node<'z>>,
}

/// What [`LookupCursor::advance`] does next.
#[derive(Clone, Copy)]
enum Step {
    /// Choose the buckets.
    Buckets,
    /// Read where each bucket is.
    Heads,
    /// Read the heads of the buckets, and look for a candidate.
    Candidate,
    /// Nothing: what is left to be read is the candidate.
    Done,
}

/// What a search reads at its next step.
#[derive(Clone, Copy)]
pub enum NextRead<'z> {
    /// Where a bucket is.
    Bucket(&'z Bucket),
    /// Octets of a bucket.
    Octets(&'z [u8]),
}

impl<'z> LookupCursor<'z> {
    /// How often [`Self::advance`] yields something.
    pub const STEPS: usize = 3;

    /// The search for the name with the hash `hash`, whatever is above it.
    fn for_hash(hash: NameHash) -> Self {
        Self { below_apex: hash, whole: hash, is_whole: true, step: Step::Buckets, candidate: None }
    }

    /// Takes one step of the search in `names`, the names of its zone, and yields what the next step reads. Reads what
    /// the step before yielded.
    #[inline]
    pub fn advance(&mut self, names: &'z Names) -> [Option<NextRead<'z>>; 2] {
        let hashes = [Some(self.whole), Some(self.below_apex).filter(|below_apex| *below_apex != self.whole)];
        match self.step {
            Step::Buckets => {
                self.step = Step::Heads;
                hashes.map(|hash| hash.map(|hash| NextRead::Bucket(names.top(hash))))
            }
            Step::Heads => {
                self.step = Step::Candidate;
                hashes.map(|hash| hash.map(|hash| NextRead::Octets(names.head(hash))))
            }
            Step::Candidate => {
                self.step = Step::Done;
                self.candidate = hashes.into_iter().flatten().find_map(|hash| names.find_by(hash, |_| true));
                [self.candidate.map(|node| NextRead::Octets(node.octets())), None]
            }
            Step::Done => [None; 2],
        }
    }
}

impl Zone {
    /// Finds where `name` stands, which is at or below the apex.
    ///
    /// Cost: one probe for a name that exists, else one for each label from the apex down to the closest encloser.
    pub fn lookup(&self, name: &LookupName<'_>) -> Found<'_> {
        self.lookup_with(name, &self.cursor(name))
    }

    /// Begins the search for `name`, which is at or below the apex. Cost: one hash step for each label below the apex.
    #[inline]
    pub fn cursor(&self, name: &LookupName<'_>) -> LookupCursor<'_> {
        let (depth, top) = (name.label_count(), self.apex_labels + 1);
        let below_apex = name.descend(self.seed, self.apex_hash, self.apex_labels, depth.min(top));
        let is_whole = depth <= self.labels_max;
        let whole = if is_whole && depth > top { name.descend(self.seed, below_apex, top, depth) } else { below_apex };
        LookupCursor { below_apex, whole, is_whole, step: Step::Buckets, candidate: None }
    }

    /// The hash of `name`; `cursor` is its own.
    pub fn hash_with(&self, name: &LookupName<'_>, cursor: &LookupCursor<'_>) -> NameHash {
        if cursor.is_whole { cursor.whole } else { name.hash(self.seed) }
    }

    /// The searches for other names of the zone that follow from the node that `cursor` has found, if `qtype` is asked
    /// for: their addresses, most often. None where no node was found.
    #[inline]
    pub fn target_cursors<'z>(
        &'z self,
        cursor: &LookupCursor<'z>,
        qtype: Type,
    ) -> impl Iterator<Item = LookupCursor<'z>> + use<'z> {
        let node = cursor.candidate.filter(|node| node.flags().has(Flags::LEADS_ON));
        let is_cut = |node: Node<'_>| node.flags().has(Flags::IS_CUT);
        let rrset = node.and_then(|node| node.rrset(if is_cut(node) { Type::NS } else { qtype }));
        rrset.into_iter().flat_map(|rrset| rrset.targets().map(|target| LookupCursor::for_hash(target.hash)))
    }

    /// Finds where `name` stands; `cursor` is its own.
    #[inline]
    pub fn lookup_with<'z>(&'z self, name: &LookupName<'_>, cursor: &LookupCursor<'z>) -> Found<'z> {
        if cursor.is_whole
            && let Some(node) = self.find_candidate(cursor, cursor.whole, name.name().as_bytes())
            && !node.flags().has(Flags::IS_OCCLUDED)
        {
            return if node.flags().has(Flags::IS_CUT) {
                Found::Delegation { cut: node, labels: name.label_count() }
            } else {
                Found::Exact(node)
            };
        }
        self.enclose(name, cursor)
    }

    /// The node whose name is `octets` and hashes to `hash`; most often the candidate of the search.
    #[inline]
    fn find_candidate<'z>(&'z self, cursor: &LookupCursor<'z>, hash: NameHash, octets: &[u8]) -> Option<Node<'z>> {
        let candidate = cursor.candidate.filter(|node| is_same(node.name_octets(), octets));
        candidate.or_else(|| self.names.find(hash, octets))
    }

    /// Walks from the apex towards `name`, which is no name of its own here, until a cut, a DNAME, or a gap.
    fn enclose<'z>(&'z self, name: &LookupName<'_>, cursor: &LookupCursor<'z>) -> Found<'z> {
        let mut node = self.apex_node();
        let mut hash = self.apex_hash;
        let mut labels = self.apex_labels;
        loop {
            if node.flags().has(Flags::IS_CUT) {
                return Found::Delegation { cut: node, labels };
            }
            if node.flags().has(Flags::HAS_DNAME) {
                return Found::Dname { owner: node, labels };
            }
            let is_first = labels == self.apex_labels;
            let below = if is_first { cursor.below_apex } else { name.descend(self.seed, hash, labels, labels + 1) };
            // The whole name was looked for already.
            let is_between = labels + 1 < name.label_count();
            let next = is_between.then(|| self.find_candidate(cursor, below, name.suffix_octets(labels + 1)));
            let Some(next) = next.flatten() else {
                return Found::NoMatch(NoMatch { encloser: node, labels, hash });
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
    pub fn wildcard<'z>(&'z self, no_match: &NoMatch<'z>) -> Option<Node<'z>> {
        if !no_match.encloser.flags().has(Flags::HAS_WILDCARD) {
            return None;
        }
        let encloser = no_match.encloser.name_octets();
        self.names.find_by(wildcard_hash(self.seed, no_match.hash), |node| {
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
