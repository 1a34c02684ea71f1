//! fated as its own BGP and BFD speaker, against real routers in network namespaces: BIRD, FRR, GoBGP, OpenBGPD.
//!
//! The nodes have no routing daemon. Behaviour is proved here, with bounds that a busy machine keeps; milliseconds are
//! the lab's (`cargo bench --bench lab`). Needs root and the programs of `tests/needs.sh`.

#[path = "bgp/beside.rs"]
mod beside;
mod common;
#[path = "bgp/faults.rs"]
mod faults;
#[path = "bgp/options.rs"]
mod options;

use common::site::scene;
