//! What happens to a session: time, its connection, what is wanted of it.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use super::Route;

/// What the driver tells the session. There is one connection at a time: after `Disconnect` or `Abort` the driver tells
/// nothing of the old one, and whichever comes second while there is one is closed by the driver alone.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The time of [`deadline`](super::Session::deadline) is there. More ticks do no harm.
    Tick,
    /// A connection is there: the one that was asked for, or one from the neighbour.
    Connected(Link),
    /// The connection that was asked for did not come up.
    ConnectFailed(ConnectFailure),
    /// The connection is gone: FIN, RST, or an error of the socket.
    Disconnected,
    /// Octets of the stream, cut anywhere.
    Received(&'a [u8]),
    /// The socket took some of what was sent, or came to a stop.
    Sent {
        /// Octets of what was sent that the socket has not taken.
        unsent: usize,
    },
    /// All that is wanted, always the whole of it. Costs little where nothing changed. Prefixes may come and go with a
    /// reload: what is announced and no longer in it is withdrawn.
    Wanted(&'a [Route]),
    /// What BFD sees of the neighbour. A session is ended by `Down` only where BFD was `Up` before; the neighbour's
    /// AdminDown counts as `Off`.
    Bfd(BfdState),
    /// Ends the session: withdraws all, says why, and stays away until [`Event::Begin`].
    End {
        /// The subcode of the Cease (RFC 4486): 2 for a shutdown, 3 for a neighbour that is taken from the
        /// configuration, 4 for a restart.
        subcode: u8,
        /// The reason; only subcodes 2 and 4 carry it (RFC 9003). What is not ASCII becomes `?`.
        text: &'a str,
    },
    /// Lets the session begin. A new session waits for it.
    Begin,
}

/// The addresses of a connection, as the kernel has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// This side's address.
    pub local: IpAddr,
    /// The neighbour's.
    pub peer: IpAddr,
    /// A link-local address of the interface that leads to the neighbour, if it is on that link.
    pub link_local: Option<Ipv6Addr>,
    /// A global IPv6 address of that interface.
    pub global: Option<Ipv6Addr>,
}

/// Why no connection came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// Nobody answered.
    TimedOut,
    /// RST.
    Refused,
    /// The kernel has no way there.
    Unreachable,
    /// The local address or port could not be had.
    LocalAddress,
    /// Anything else.
    Other,
}

/// What BFD sees of a neighbour (RFC 5880 §6.2), AdminDown and "never started" taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BfdState {
    /// It is not used, or not started yet.
    #[default]
    Off,
    /// The neighbour is not seen.
    Down,
    /// The neighbour is there.
    Up,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TimedOut => {
                "nobody answered: the neighbour is away, a firewall drops it, or the MD5 keys differ, which looks the \
                 same"
            }
            Self::Refused => {
                "refused: no BGP speaker listens there, it knows no neighbour of this address, or it keeps this one \
                 out, as some do for about a minute after a session was lost"
            }
            Self::Unreachable => "the kernel knows no way to the neighbour",
            Self::LocalAddress => "the local address or port is not to be had",
            Self::Other => "the connection failed",
        })
    }
}
