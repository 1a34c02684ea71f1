//! TCP threads: accept, answer pipelined queries, close whoever is idle or slow (RFC 7766, RFC 1035 §4.2.2).
//!
//! One thread waits for all its connections, the listeners and a waker with one epoll set. It owns the big buffers; an
//! idle connection owns no buffer at all: input is read into the thread's, and only an unfinished message or replies
//! that the client does not take yet are copied aside. Refuses to know what a query means.
//!
//! ```text
//!   listeners ─accept4─▶ Connection in a Slab          per batch of pipelined queries:
//!   waker ─────┐             │ ▲                         epoll_wait ─▶ recv ─▶ exchange … ─▶ send
//!              └─▶ epoll ◀───┘ └─ deadlines, by class
//! ```
//!
//! Connections are watched for input as long as there is some, so that a read that did not fill the buffer is the last
//! one; only one whose client does not take its replies is watched for output, and then for nothing else.

mod channel;
mod close;
mod connection;
mod listener;
mod messages;
mod pool;
mod slab;
mod state;
mod thread;
mod tls;

pub(super) use channel::Plain;
pub(super) use listener::Listener;
pub use listener::TcpQueue;
pub(super) use pool::TcpPool;
pub(super) use tls::Tls;

#[cfg(test)]
mod tests;
