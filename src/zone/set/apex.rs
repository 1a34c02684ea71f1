//! One name of a zone set and what is there: a zone, or the fact that it can't be served.

use std::sync::Arc;

use crate::wire::{NameRef, SharedName};
use crate::zone::Zone;
use crate::zone::hash::NameHash;

/// The name of a zone in a set, and what is there.
#[derive(Clone, Debug)]
pub struct Apex {
    /// The hash of the name.
    pub(super) hash: NameHash,
    pub(super) state: State,
    /// Whether another apex of the set lies below it.
    pub(super) is_above: bool,
}

/// What is at an apex.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// A zone.
    Served(Arc<Zone>),
    /// The name of a zone that can't be served.
    Broken(SharedName),
}

impl State {
    /// The apex's name.
    #[inline]
    pub(super) fn name(&self) -> NameRef<'_> {
        match self {
            Self::Served(zone) => zone.apex(),
            Self::Broken(name) => name.as_ref(),
        }
    }

    /// The zone, if there is one.
    #[inline]
    pub(super) fn zone(&self) -> Option<&Arc<Zone>> {
        match self {
            Self::Served(zone) => Some(zone),
            Self::Broken(_) => None,
        }
    }
}

impl Apex {
    /// The name.
    #[inline]
    pub fn name(&self) -> NameRef<'_> {
        self.state.name()
    }

    /// Whether another apex of the set lies below it.
    pub fn is_above(&self) -> bool {
        self.is_above
    }

    /// The zone, if it can be served.
    #[inline]
    pub fn zone(&self) -> Option<&Arc<Zone>> {
        self.state.zone()
    }
}
