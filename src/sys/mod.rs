//! Every `unsafe` line of the crate, behind safe types that own their descriptors and buffers.
//!
//! Owns the system calls that no crate of ours offers in the shape that is needed: batched datagrams, a few socket
//! options, those of sessions with routers, accepting, the reuseport filter, tun devices, CPU affinity, scheduling
//! classes, waking threads, resource limits, tables of open files, huge pages, network namespaces, epoll, poll and the
//! file lock. Refuses to know what the bytes mean.
#![allow(unsafe_code)]

pub mod cpu;
pub mod epoll;
pub mod fd_table;
pub mod interrupt;
pub mod limits;
pub mod lock;
pub mod memory;
pub mod mmsg;
pub mod peering;
pub mod poll;
pub mod prefetch;
pub mod sched;
pub mod socket;
pub mod steer;
pub mod tun;
pub mod waker;
