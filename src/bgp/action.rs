//! What a session asks of its driver, and what it says about itself.

use core::fmt;

use ipnet::IpNet;

use super::{ConnectFailure, Family, Notification, State};

/// What the driver is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to the neighbour; [`Event::Connected`](super::Event::Connected) or
    /// [`Event::ConnectFailed`](super::Event::ConnectFailed) follows. An older connection that is still being closed is
    /// let go first.
    Connect,
    /// Write octets behind all that was sent before. What the socket does not take at once is kept, and told by
    /// [`Event::Sent`](super::Event::Sent).
    Send(Vec<u8>),
    /// Close the connection once what was sent has left; how long that may take is the driver's bound.
    Disconnect,
    /// Close at once, with RST if it is up: a connection, or the attempt at one.
    Abort,
    /// The state is another one.
    Changed {
        /// What it was.
        from: State,
        /// What it is.
        to: State,
        /// Why.
        cause: Cause,
    },
    /// Something an operator wants to know, at most once in a session for each kind.
    Noticed(Notice),
    /// The routes of [`Facts::routes`](super::Facts::routes) are others than before.
    RoutesReceived,
}

/// Why a state changed. Its text is a sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The driver let the session begin.
    Begun,
    /// It is time to try.
    Due,
    /// A connection is there.
    Connected,
    /// None came up.
    ConnectFailed(ConnectFailure),
    /// None came up in time, and nobody said why.
    ConnectTimedOut,
    /// The neighbour's OPEN is there, and good.
    OpenReceived,
    /// The neighbour takes this side's OPEN.
    KeepaliveReceived,
    /// The neighbour closed the connection.
    Closed {
        /// Whether it did so before its OPEN.
        is_before_open: bool,
    },
    /// The neighbour's OPEN did not come.
    OpenTimedOut,
    /// This side ended it, for the reason in words.
    Ended(Notification, String),
    /// This side reset the connection: a withdrawal would have waited behind what the neighbour does not take.
    Reset,
    /// The neighbour ended it; the words say what is likely behind it, if anything is known.
    EndedByPeer(Notification, &'static str),
    /// Proofs are back.
    Proven,
    /// The driver ended it before there was a session.
    Stopped,
}

/// What an operator wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Routes of a family are not announced.
    NotAnnounced {
        /// The family.
        family: Family,
        /// Why.
        obstacle: Obstacle,
    },
    /// A route was withdrawn: its service was not proven in time.
    Unproven {
        /// Its prefix.
        prefix: IpNet,
    },
    /// The neighbour sent a malformed UPDATE, which costs it what was in it and not the session (RFC 7606).
    Malformed {
        /// What is wrong.
        fault: &'static str,
        /// Whether its routes count as withdrawn; otherwise an attribute was disregarded.
        is_withdrawn: bool,
    },
    /// The neighbour sends more routes within the kept prefixes than are kept.
    RoutesCut,
}

/// Why a route is not announced in a session that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// The neighbour did not offer its family.
    Family,
    /// The next hop is IPv6, and the neighbour did not offer to take that for IPv4 (capability 5).
    ExtendedNextHop,
    /// The session's own address is IPv4, and no IPv6 address is known that could be the next hop.
    NoNextHop,
    /// The attributes leave no room for a prefix in a message.
    TooLong,
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun => out.write_str("begun"),
            Self::Due => out.write_str("time to connect"),
            Self::Connected => out.write_str("connected"),
            Self::ConnectFailed(failure) => failure.fmt(out),
            Self::ConnectTimedOut => ConnectFailure::TimedOut.fmt(out),
            Self::OpenReceived => out.write_str("the neighbour sent its OPEN"),
            Self::KeepaliveReceived => out.write_str("the neighbour took the OPEN"),
            Self::Closed { is_before_open: true } => out.write_str(
                "closed by the neighbour before its OPEN: not ready yet, it knows no neighbour of this address, or it \
                 keeps this one out, as some do for about a minute after a session was lost",
            ),
            Self::Closed { is_before_open: false } => out.write_str("closed by the neighbour without a word"),
            Self::OpenTimedOut => out.write_str(
                "connected, then silence: the neighbour is busy, or does not see what is sent, as with a TTL that its \
                 GTSM, or its setting for neighbours some hops away, does not let pass",
            ),
            Self::Ended(notification, why) if why.is_empty() => write!(out, "ended by this side: {notification}"),
            Self::Ended(notification, why) => write!(out, "ended by this side: {notification}: {why}"),
            Self::Reset => {
                out.write_str("reset by this side: a withdrawal can't wait for what the neighbour does not take")
            }
            Self::EndedByPeer(notification, "") => write!(out, "ended by the neighbour: {notification}"),
            Self::EndedByPeer(notification, why) => write!(out, "ended by the neighbour: {notification}: {why}"),
            Self::Proven => out.write_str("the service is proven again"),
            Self::Stopped => out.write_str("stopped"),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnnounced { family, obstacle } => write!(out, "{family} is not announced: {obstacle}"),
            Self::Unproven { prefix } => write!(out, "{prefix} withdrawn: its service was not proven in time"),
            Self::Malformed { fault, is_withdrawn: true } => {
                write!(out, "malformed UPDATE, its routes count as withdrawn: {fault}")
            }
            Self::Malformed { fault, is_withdrawn: false } => {
                write!(out, "malformed UPDATE, an attribute is disregarded: {fault}")
            }
            Self::RoutesCut => out.write_str("the neighbour sends more routes for the service prefixes than are kept"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Family => "the neighbour does not have the family in this session",
            Self::ExtendedNextHop => {
                "the neighbour does not take IPv6 next hops for it (capability 5): set one of its own family, allow \
                 extended next hops there, or use a session over IPv4"
            }
            Self::NoNextHop => "no IPv6 address of the interface is known to be its next hop: set one",
            Self::TooLong => "its attributes do not fit into a message",
        })
    }
}
