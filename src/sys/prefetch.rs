//! Telling the processor what will be read soon, so that several waits for memory become one.

/// Starts to bring a value into the nearest cache; at most eight cache lines from its start on. Does nothing where
/// the processor has no such instruction that we know of.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // From the start of a line on: the last octets may lie in a line of their own.
        let start = (&raw const *value).cast::<u8>();
        let skew = start.addr() % LINE_BYTES;
        for at in (0..skew + size_of_val(value)).step_by(LINE_BYTES).take(LINES_MAX) {
            // SAFETY: a hint, which reads nothing that the program could see and never faults, whatever the address. Every
            // x86-64 processor has the instruction.
            unsafe { _mm_prefetch(start.wrapping_sub(skew).wrapping_add(at).cast(), _MM_HINT_T0) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _no_hint = value;
}

/// Octets of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// The most cache lines that are asked for at once: those of a whole batch are to fit into the first cache.
#[cfg(target_arch = "x86_64")]
const LINES_MAX: usize = 8;
