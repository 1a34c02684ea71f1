//! Where fated differs on purpose: a closed list, each entry with the RFC that allows it.

use super::compare::Case;

/// One allowed difference.
#[derive(Debug)]
pub(crate) struct Entry {
    /// A short name, for the count.
    pub(crate) id: &'static str,
    /// The RFC and section.
    pub(crate) rfc: &'static str,
    /// Whether it allows what the tested server said.
    pub(crate) allows: fn(&Case<'_>) -> bool,
}

/// All of them.
pub(crate) const ENTRIES: &[Entry] = &[];
