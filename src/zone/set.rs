//! All zones that are served, found by the deepest apex that matches.

use std::sync::Arc;

use super::Zone;

/// An immutable set of zones.
#[derive(Debug, Default)]
pub struct ZoneSet {
    zones: Vec<Arc<Zone>>,
}

impl ZoneSet {
    /// Makes a set.
    pub fn new(zones: Vec<Arc<Zone>>) -> Self {
        Self { zones }
    }

    /// The zones.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.zones.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }
}
