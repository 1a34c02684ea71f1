//! Where a name stands in a zone: the search of RFC 1034 §4.3.2 step 3, without the answering.

use crate::wire::NameRef;
use crate::wire::name::is_same;
use crate::zone::hash::{LookupName, NameHash, wildcard_hash};
use crate::zone::names::Ahead;
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

impl Zone {
    /// Finds where `name` stands, which is at or below the apex.
    ///
    /// Cost: one probe for a name that exists, else one for each label from the apex down to the closest encloser.
    pub fn lookup(&self, name: &LookupName<'_>) -> Found<'_> {
        let depth_max = name.label_count();
        if depth_max > self.apex_labels + 1 && depth_max <= self.labels_max {
            let hash =
                (self.apex_labels..depth_max).fold(self.apex_hash, |hash, depth| name.descend(self.seed, hash, depth));
            if let Some(node) = self.names.find(hash, name.suffix_octets(depth_max))
                && !node.flags().has(Flags::IS_OCCLUDED)
            {
                return if node.flags().has(Flags::IS_CUT) {
                    Found::Delegation { cut: node, labels: depth_max }
                } else {
                    Found::Exact(node)
                };
            }
        }
        self.descend(name)
    }

    /// What the lookup of `name`, which is at or below the apex, will read first: the name just below the apex, where cuts
    /// most often are, and the name itself.
    pub fn ahead(&self, name: &LookupName<'_>) -> [Option<Ahead<'_>>; 2] {
        let (top, depth_max) = (self.apex_labels + 1, name.label_count());
        if depth_max < top {
            return [None; 2];
        }
        let below_apex = name.descend(self.seed, self.apex_hash, self.apex_labels);
        let whole = (top..depth_max).fold(below_apex, |hash, depth| name.descend(self.seed, hash, depth));
        let is_deeper = depth_max > top && depth_max <= self.labels_max;
        [Some(self.names.ahead(below_apex)), is_deeper.then(|| self.names.ahead(whole))]
    }

    /// Walks from the apex towards `name` until a cut, a DNAME, a gap, or the name itself.
    fn descend(&self, name: &LookupName<'_>) -> Found<'_> {
        let mut node = self.apex_node();
        let mut hash = self.apex_hash;
        let mut labels = self.apex_labels;
        loop {
            if node.flags().has(Flags::IS_CUT) {
                return Found::Delegation { cut: node, labels };
            }
            if labels == name.label_count() {
                return Found::Exact(node);
            }
            if node.flags().has(Flags::HAS_DNAME) {
                return Found::Redirected { owner: node, labels };
            }
            let below = name.descend(self.seed, hash, labels);
            let Some(next) = self.names.find(below, name.suffix_octets(labels + 1)) else {
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
