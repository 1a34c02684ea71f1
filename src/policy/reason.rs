//! Why an address has its stance: for people, and as a stable word for logs and metrics.

use core::fmt;
use core::time::Duration;

use super::SharedFault;

/// Why an address has its stance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing is proven yet.
    Starting,
    /// The operator ended a drain or a hold-down; the address is to be proven again.
    Resumed,
    /// Enough workers answer right.
    Proven,
    /// All is well again, and is to stay so for a while.
    Rising {
        /// Good rounds in a row.
        rounds: u32,
        /// As many as there must be.
        needed: u32,
    },
    /// Fewer workers gave a right answer than must.
    TooFewWorkers {
        /// Workers that did.
        proven: u16,
        /// Workers that must.
        needed: u16,
    },
    /// Workers answered what is not right.
    WrongAnswer {
        /// How many.
        workers: u16,
    },
    /// Zones have never come from their primaries, and are waited for before the first announcement.
    ZonesAwaited {
        /// How many.
        zones: usize,
    },
    /// No zone can be served.
    NoZone,
    /// Probes do not come through the way of clients, though workers answer.
    PathFault,
    /// The same, and the clients have stopped coming at the same time.
    PathBlocked,
    /// Queries over TCP went unanswered.
    TcpDead,
    /// More queries come than can be answered, or the workers wait for a CPU.
    Overload,
    /// A fault that other sites are likely to have too.
    Shared(SharedFault),
    /// It should be withdrawn for a fault that other sites are likely to have too, but no path to another site is seen.
    LastSite,
    /// All is well again, but an earlier withdrawal still holds the address down.
    HoldDown {
        /// Until when, on the clock of `now`.
        until: Duration,
    },
    /// No round was judged or a proof for too long: the prover is silent.
    Unproven,
    /// The operator drained the node.
    Drained,
    /// The server ends.
    Stopping,
}

impl Reason {
    /// Whether other sites are likely to have the same at the same time.
    #[must_use]
    pub fn may_be_shared(self) -> bool {
        matches!(self, Self::PathFault | Self::PathBlocked | Self::Overload | Self::Shared(_))
    }

    /// Returns the word for logs and metrics. It stays the same from version to version.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Resumed => "resumed",
            Self::Proven => "proven",
            Self::Rising { .. } => "rising",
            Self::TooFewWorkers { .. } => "too-few-workers",
            Self::WrongAnswer { .. } => "wrong-answer",
            Self::ZonesAwaited { .. } => "zones-awaited",
            Self::NoZone => "no-zone",
            Self::PathFault => "path-fault",
            Self::PathBlocked => "path-blocked",
            Self::TcpDead => "tcp-dead",
            Self::Overload => "overload",
            Self::Shared(SharedFault::Zone) => "shared-zone",
            Self::Shared(SharedFault::Expired) => "shared-expired",
            Self::Shared(SharedFault::Primary) => "shared-primary",
            Self::LastSite => "last-site",
            Self::HoldDown { .. } => "hold-down",
            Self::Unproven => "unproven",
            Self::Drained => "drained",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "nothing is proven yet",
            Self::Resumed => "resumed, and to be proven again",
            Self::Proven => "enough workers answer right",
            Self::TooFewWorkers { proven, needed } => {
                return write!(f, "{proven} workers answer right over this address, {needed} must");
            }
            Self::Rising { rounds, needed } => return write!(f, "well for {rounds} of {needed} rounds"),
            Self::WrongAnswer { workers } => return write!(f, "{workers} workers answer what is not right"),
            Self::ZonesAwaited { zones } => {
                return write!(f, "zones that have not come from their primaries yet: {zones}");
            }
            Self::NoZone => "no zone can be served",
            Self::PathFault => {
                "probes do not come through the way of clients, though workers answer: \
                 a filter, rate limit or routing rule?"
            }
            Self::PathBlocked => {
                "neither probes nor clients come through any more, though workers answer: a filter or routing rule?"
            }
            Self::TcpDead => "queries over TCP are not answered",
            Self::Overload => "more queries come than can be answered, or workers wait for a CPU",
            Self::Shared(SharedFault::Zone) => "a zone is answered with an error or with data that is not ours",
            Self::Shared(SharedFault::Expired) => "a zone has expired",
            Self::Shared(SharedFault::Primary) => "zones are late: no primary confirms them",
            Self::LastSite => "no other site is seen to be well, so that this one stays, for all its fault",
            Self::HoldDown { .. } => "well again, but held down for a while after a withdrawal",
            Self::Unproven => "the prover is silent",
            Self::Drained => "drained by the operator",
            Self::Stopping => "the server ends",
        })
    }
}
