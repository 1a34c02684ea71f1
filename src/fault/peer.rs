//! What keeps other servers from taking a zone, though it can be served: told of zones that others may have. Each was
//! seen with the version that its row in `docs/zone-files.md` names.

use super::Severity;
use crate::wire::{Name, Type};

/// The most records of an RRset, and the most RRsets of a name, that BIND takes (`max-records-per-type`,
/// `max-types-per-name`).
pub const BIND_SETS_MAX: usize = 100;

/// What is refused, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// An RRset with more records than BIND takes.
    #[error("{owner} {rtype} has {count} records: a secondary that is BIND takes no zone with more than 100")]
    BindRecords {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Type,
        /// How many there are.
        count: usize,
    },
    /// A name with more RRsets than BIND takes, the signatures of each counted as another.
    #[error(
        "{owner} has {count} RRsets, signatures of each counted: a secondary that is BIND takes no zone with more \
         than 100"
    )]
    BindTypes {
        /// The owner.
        owner: Name,
        /// How many there are.
        count: usize,
    },
    /// A type number that PowerDNS uses for its own.
    #[error("{owner} has a record of TYPE65401, which a secondary that is PowerDNS takes for its ALIAS")]
    PowerDnsAlias {
        /// The owner.
        owner: Name,
    },
}

impl PeerFault {
    /// Severity and code, one row a kind.
    pub(super) fn row(&self) -> (Severity, &'static str) {
        use Severity::Warning;
        match self {
            Self::BindRecords { .. } => (Warning, "bind-records"),
            Self::BindTypes { .. } => (Warning, "bind-types"),
            Self::PowerDnsAlias { .. } => (Warning, "powerdns-alias"),
        }
    }

    /// What the operator may do.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Self::BindRecords { .. } => "spread them over several names, or raise its `max-records-per-type`",
            Self::BindTypes { .. } => "spread them over several names, or raise its `max-types-per-name`",
            Self::PowerDnsAlias { .. } => {
                "it refuses a zone where the data of such a record is no name; take another type"
            }
        }
    }
}
