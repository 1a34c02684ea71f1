//! The arrays of a worker go back to the system with it, whoever made and whoever freed them: repairs cost no memory.
//!
//! A program of its own, since it looks at the memory of the whole process.

use std::thread;

use fated::sys::mmsg::Batch;

/// Workers that are replaced one after the other.
const REPLACED: usize = 200;
/// What may stay in KiB; the arrays of one worker are about 530.
const LEFT_KIB_MAX: u64 = 2 * 1024;

/// Octets of what a reload frees.
const FREED_BYTES: usize = 8 * 1024 * 1024;

/// Resident memory in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for resident memory");
    line.split_whitespace().next().expect("a number").parse().expect("a number")
}

#[test]
fn workers_that_are_replaced_leave_no_memory_behind() {
    // As after a reload: from then on the allocator keeps what is smaller than what was freed.
    drop(std::hint::black_box(vec![1_u8; FREED_BYTES]));
    // As in a repair: the new arrays are made while the old ones stand, and their thread frees them.
    let prover = thread::spawn(|| {
        let mut batch = Batch::new();
        let mut small = Vec::new();
        let before = resident_kib();
        for size in 0..REPLACED {
            let old = std::mem::replace(&mut batch, Batch::new());
            // What is kept lies between the old arrays and the next.
            small.push(vec![1_u8; 100 + size]);
            thread::spawn(move || drop(old)).join().expect("dropping works");
        }
        (before, resident_kib())
    });
    let (before, after) = prover.join().expect("no panic");
    assert!(after < before + LEFT_KIB_MAX, "{REPLACED} replacements: {before} KiB became {after} KiB");
}
