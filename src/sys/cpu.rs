//! Which CPUs this process may use, and pinning a thread to one of them.
//!
//! Refuses to know what the threads are for. `sched_getaffinity` sees cgroup cpusets and `taskset`, so that a
//! container with two CPUs of a big host reports two.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The number of one CPU, as the kernel counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(usize);

impl Cpu {
    /// Returns the kernel's number of this CPU.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// Lists the CPUs that the calling thread may run on, lowest first.
///
/// # Errors
/// What `sched_getaffinity` says, for instance on a host with more than [`CPUS_MAX`] CPUs.
pub fn allowed() -> io::Result<Vec<Cpu>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CPUS_MAX).filter(|&index| set.is_set(index)).map(Cpu).collect())
}

/// Pins the calling thread to `cpu`.
///
/// # Errors
/// What `sched_setaffinity` says: `EINVAL` when the CPU has been taken away since, `EPERM` in some sandboxes.
pub fn pin(cpu: Cpu) -> io::Result<()> {
    if cpu.0 >= CPUS_MAX {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut set = CpuSet::new();
    set.set(cpu.0);
    Ok(sched_setaffinity(None, &set)?)
}

/// The most CPUs that a fixed `cpu_set_t` can name.
pub const CPUS_MAX: usize = CpuSet::MAX_CPU;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_may_run_on_that_cpu_only() {
        let cpus = allowed().expect("affinity can be read");
        let last = *cpus.last().expect("at least one CPU runs this");
        let seen = std::thread::spawn(move || {
            pin(last).expect("an allowed CPU can be pinned to");
            allowed().expect("affinity can be read")
        });
        assert_eq!(seen.join().expect("the thread does not panic"), vec![last]);
    }

    #[test]
    fn a_cpu_beyond_the_set_is_refused() {
        let error = pin(Cpu(CPUS_MAX)).expect_err("no such CPU can be named");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
