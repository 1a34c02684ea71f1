//! UDP workers: receive a batch, answer it from one snapshot, send the replies.
//!
//! One pinned thread each, on a socket of its own for each address. Refuses to know what a query means.

mod io;
mod pool;
mod sockets;
mod worker;

pub(super) use pool::UdpPool;

#[cfg(test)]
mod tests;
