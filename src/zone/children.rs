//! Which names stand right below which, so that it is known whether a name that loses its records stays as an empty
//! non-terminal (RFC 4592 §2.2.2), and what a new cut hides.
//!
//! A name right below the apex is not listed: the apex stays whatever is below it, and most zones have no others.

use crate::persistent::List;
use crate::zone::hash::NameHash;

/// A name, and its parent in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Link {
    pub(crate) parent: NameHash,
    pub(crate) child: NameHash,
}

/// The links of one version of a zone, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children(List<Link>);

impl Children {
    /// Takes links in any order, some perhaps more than once.
    pub(crate) fn new(mut links: Vec<Link>) -> Self {
        links.sort();
        links.dedup();
        Self(links.into_iter().collect())
    }

    /// The names right below a name.
    pub(crate) fn of(&self, parent: NameHash) -> impl Iterator<Item = NameHash> {
        let (Ok(first) | Err(first)) = self.0.search(|link| link.cmp(&Link { parent, child: NameHash(0) }));
        self.0.iter_from(first).take_while(move |link| link.parent == parent).map(|link| link.child)
    }

    /// Lists a link that is not listed.
    pub(crate) fn insert(&mut self, link: Link) {
        if let Err(at) = self.0.search(|other| other.cmp(&link)) {
            self.0.insert(at, link);
        }
    }

    /// Forgets a link.
    pub(crate) fn remove(&mut self, link: Link) {
        if let Ok(at) = self.0.search(|other| other.cmp(&link)) {
            self.0.remove(at);
        }
    }
}
