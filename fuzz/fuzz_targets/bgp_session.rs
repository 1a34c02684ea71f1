//! The fuzz target `bgp_session`: see the body of that name.
#![no_main]

#[path = "../src/bgp.rs"]
mod bgp;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bgp::bgp_session(input));
