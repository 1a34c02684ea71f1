//! The sockets: queries in, replies out, over UDP and TCP.
//!
//! Owns the threads, their sockets and the exchange of snapshots. Refuses to know what a query means: that is
//! [`answer::respond`](crate::answer::respond). Carries out RFC 7766 and the transport side of RFC 6891 and RFC 8906.
//!
//! ```text
//!   udp-0 … udp-N   one std thread per worker, pinned; one SO_REUSEPORT socket per address each
//!   tcp-0 … tcp-3   one std thread and epoll set each; all of them accept from the same listeners
//!   tls-0 … tls-3   the same for DNS over TLS, with listeners of their own
//!        ▲ one ArcSwap<Snapshot>, one guard per batch            │ one block of counters each
//!     publish                                                    ▼ Metrics
//! ```

mod admission;
pub mod ahead;
mod bind;
mod exchange;
mod limits;
mod publish;
mod running;
mod supervisor;
mod tcp;
mod thread;
mod throttle;
mod udp;
#[cfg(test)]
mod wedges;

pub use bind::{BindCause, BindError, Bound, ListenAddress, bind, listen_at};
pub use exchange::unix_now;
pub use limits::TcpLimits;
pub use publish::publish;
pub use running::{Running, STOP_TIME_MAX};
pub use supervisor::ThreadSupervisor;
pub use tcp::TcpQueue;
pub use thread::ReplaceError;
pub use throttle::Throttle;
