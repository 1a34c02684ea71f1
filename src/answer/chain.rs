//! The names of a chain of aliases: the one that is asked for, and the target of each alias.

use crate::answer::reply::NamePosition;
use crate::zone::Zone;
use crate::zone::hash::LookupName;

/// The most aliases that are followed. A chain over it is answered as far as it goes.
pub(super) const CHAIN_MAX: usize = 16;

/// One name of a chain, and the zone that answers for it.
#[derive(Clone, Copy)]
pub(super) struct ChainName<'z, 'n> {
    pub(super) zone: &'z Zone,
    pub(super) name: &'n LookupName<'n>,
    /// Where the name stands in the reply.
    pub(super) position: NamePosition,
}
