//! Every `unsafe` line of the crate, behind safe types that own their descriptors and buffers.
//!
//! Owns the system calls that no crate of ours offers in the shape that is needed: batched datagrams, a few socket
//! options, CPU affinity, resource limits, scheduling classes, tun devices, network namespaces, epoll and the file lock.
//! Refuses to know what the bytes mean.
#![allow(unsafe_code)]

pub mod cpu;
pub mod epoll;
pub mod limits;
pub mod lock;
pub mod mmsg;
pub mod namespace;
pub mod socket;
pub mod thread;
pub mod tun;
