//! Telling the processor what will be read soon, so that several waits for memory become one.

/// Starts to bring octets into the nearest cache; at most four cache lines from the start on. Does nothing where
/// the processor has no such instruction that we know of.
#[inline]
pub fn prefetch(octets: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in octets.chunks(LINE_BYTES).take(LINES_MAX) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing that the program could see and never faults, whatever the address; and
        // this one lies in a live slice. Every x86-64 processor has the instruction.
        unsafe { _mm_prefetch(line.as_ptr().cast(), _MM_HINT_T0) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _no_hint = octets;
}

/// Octets of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// The most cache lines that are asked for at once: those of a whole batch are to fit into the first cache.
#[cfg(target_arch = "x86_64")]
const LINES_MAX: usize = 4;
