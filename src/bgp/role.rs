//! What two neighbours are to each other, so that routes do not leak (RFC 9234 §4, §5).

use core::fmt;

/// What this side is to the neighbour, on a session between autonomous systems. In the order of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It gives the neighbour transit.
    Provider,
    /// It is a route server, the neighbour a client of it.
    RouteServer,
    /// The neighbour is a route server.
    RouteServerClient,
    /// It gets transit from the neighbour: what an announcing node is where the neighbour is a router of a provider.
    Customer,
    /// Neither gives transit to the other.
    Peer,
}

impl Role {
    /// All, in the order of their numbers.
    const ALL: [Self; 5] = [Self::Provider, Self::RouteServer, Self::RouteServerClient, Self::Customer, Self::Peer];

    /// Returns the role's number in the capability.
    pub(super) fn number(self) -> u8 {
        self as u8
    }

    /// Returns the role that a number means.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Returns the one role that the neighbour may have.
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Peer => Self::Peer,
        }
    }

    /// Whether what this side sends is for customers only from there on, which the attribute OTC says (§5).
    pub(super) fn marks_routes(self) -> bool {
        match self {
            Self::Provider | Self::RouteServer | Self::Peer => true,
            Self::RouteServerClient | Self::Customer => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Provider => "provider",
            Self::RouteServer => "route server",
            Self::RouteServerClient => "route server client",
            Self::Customer => "customer",
            Self::Peer => "peer",
        })
    }
}
