//! Hints to the processor about what will be read soon, so that several waits for memory become one.

/// Starts to bring a value into the nearest cache; at most eight cache lines from its start on. Does nothing where
/// the processor has no such instruction that we know of.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    prefetch_lines(value, LINES_MAX);
}

/// Does that for so many cache lines at most.
#[inline]
pub fn prefetch_lines<T: ?Sized>(value: &T, lines_max: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = (&raw const *value).cast::<u8>();
        let end = start.addr() + size_of_val(value);
        // From the start of a line on: the last octets may lie in a line of their own.
        let mut line = start.map_addr(|addr| addr & !(LINE_BYTES - 1));
        for _ in 0..lines_max {
            // SAFETY: a hint, which reads nothing that the program could see and never faults, whatever the address.
            // Every x86-64 processor has the instruction.
            unsafe { _mm_prefetch(line.cast(), _MM_HINT_T0) };
            line = line.wrapping_add(LINE_BYTES);
            if line.addr() >= end {
                break;
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _no_hint = (value, lines_max);
}

/// Octets of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// The most cache lines that are asked for at once: those of a whole batch are to fit into the first cache.
const LINES_MAX: usize = 8;
