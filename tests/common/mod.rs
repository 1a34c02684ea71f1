//! What the tests that start real servers share: messages, clients, servers, signing.
//!
//! Owns nothing of the product: messages are read by a decoder of its own, so that a fault of `wire` can't hide itself.

// Each test program uses a part of this and would warn about the rest.
#![allow(dead_code)]

pub(crate) mod ask;
pub(crate) mod interrupt;
pub(crate) mod message;
pub(crate) mod name;
pub(crate) mod proof;
pub(crate) mod server;
pub(crate) mod sign;
pub(crate) mod site;
pub(crate) mod zonetext;

use std::path::PathBuf;

/// Says on stderr, in capitals, that a test could not run here and why.
pub(crate) fn skip_loudly(test: &str, reason: &str) {
    eprintln!("\n*** SKIPPED {test}: {reason} ***\n");
}

/// The folder with the zones of these tests.
pub(crate) fn zones_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/zones")
}

/// Whether a program is there, looked up as a shell would, and in the folders of the daemons.
pub(crate) fn has_program(name: &str) -> bool {
    program(name).is_some()
}

/// The path of a program, looked up as a shell would, and in the folders of the daemons.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The programs of `names` that are missing; where there are any, the test must fail or skip loudly.
///
/// `tests/needs.sh` installs them; with `FATED_TESTS_MAY_SKIP=1` a missing program skips the test instead of failing
/// it.
pub(crate) fn must_skip(test: &str, names: &[&str]) -> bool {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !has_program(name)).collect();
    if missing.is_empty() {
        return false;
    }
    let reason = format!("{} not installed; run tests/needs.sh", missing.join(", "));
    assert!(std::env::var_os("FATED_TESTS_MAY_SKIP").is_some(), "{test}: {reason}");
    skip_loudly(test, &reason);
    true
}

/// A small generator of numbers that is the same for the same seed on every machine (xorshift64*).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Starts from a seed; 0 is taken as 1.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// The next number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.roll() >> 11) % bound as u64) as usize
    }
}
