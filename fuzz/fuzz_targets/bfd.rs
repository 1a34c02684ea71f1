//! The fuzz target `bfd`: see the body of that name.
#![no_main]

#[path = "../src/bfd.rs"]
mod course;

libfuzzer_sys::fuzz_target!(|input: &[u8]| course::bfd(input));
