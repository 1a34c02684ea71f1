//! The promise itself: real processes in network namespaces, real routers, faults put on from outside, and what the
//! client sees. One test for each row of the fault table that needs neither BGP nor BFD of our own.
//!
//! Behaviour is proved here, with bounds that a busy machine keeps; milliseconds are the lab's
//! (`cargo bench --bench lab`). Needs root and the programs of `tests/needs.sh`. At most two tests at a
//! time have a site, and one where it keeps the CPUs busy.

mod common;
#[path = "anycast/host_changes.rs"]
mod host_changes;
#[path = "anycast/operator.rs"]
mod operator;
#[path = "anycast/path.rs"]
mod path;
#[path = "anycast/ports.rs"]
mod ports;
#[path = "anycast/process.rs"]
mod process;
#[path = "anycast/restart.rs"]
mod restart;
#[path = "anycast/start.rs"]
mod start;
#[path = "anycast/streams.rs"]
mod streams;
#[path = "anycast/threads.rs"]
mod threads;

use common::site::scene;
