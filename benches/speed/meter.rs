//! What a process group has used: CPU time to the nanosecond, and memory. From `/proc` (proc(5)) and the clocks of
//! processes.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use fated::sys::cpu::Cpu;
use nix::time::ClockId;
use nix::unistd::Pid;

/// The processes of a server, as they were when it had started.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// Their ids, the leader first.
    pids: Vec<u32>,
}

impl Meter {
    /// Finds the processes of the group that `leader` leads.
    pub(crate) fn of(leader: u32) -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut pids: Vec<u32> = pids.filter(|pid| group_of(*pid) == Some(leader)).collect();
        pids.sort_by_key(|pid| (*pid != leader, *pid));
        Self { pids }
    }

    /// CPU time of all threads so far, in user mode and in the kernel; threads that have ended included.
    ///
    /// The scheduler counts nanoseconds. What interrupts take is charged to whoever they interrupt, for every server
    /// alike.
    ///
    /// # Errors
    /// A process is gone.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        let time = |pid: &u32| {
            let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.cast_signed()))?;
            Ok(Duration::from(clock.now()?))
        };
        self.pids.iter().map(time).sum::<io::Result<Duration>>()
    }

    /// Resident memory in MiB; what processes share is counted once (their proportional shares).
    ///
    /// # Errors
    /// A process is gone.
    pub(crate) fn memory_mib(&self) -> io::Result<f64> {
        let read = |pid: &u32| kib(Path::new(&format!("/proc/{pid}/smaps_rollup")), "Pss:");
        Ok(self.pids.iter().map(read).sum::<io::Result<f64>>()? / 1024.0)
    }

    /// The most resident memory that any one of the processes has had, in MiB.
    ///
    /// # Errors
    /// A process is gone.
    pub(crate) fn peak_mib(&self) -> io::Result<f64> {
        let peak = |pid: &u32| kib(Path::new(&format!("/proc/{pid}/status")), "VmHWM:");
        let peaks: Vec<f64> = self.pids.iter().map(peak).collect::<io::Result<_>>()?;
        Ok(peaks.into_iter().fold(0.0, f64::max) / 1024.0)
    }

    /// Begins the peak anew.
    ///
    /// # Errors
    /// The kernel refuses, or a process is gone.
    pub(crate) fn reset_peak(&self) -> io::Result<()> {
        self.pids.iter().try_for_each(|pid| fs::write(format!("/proc/{pid}/clear_refs"), "5"))
    }
}

/// How long a CPU was busy so far, for whomever, and time that the hypervisor gave to others; to 10 ms (proc_stat(5)).
///
/// # Errors
/// There is no such CPU.
pub(crate) fn busy_time(cpu: Cpu) -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let label = format!("cpu{} ", cpu.index());
    let line = text.lines().find_map(|line| line.strip_prefix(&label));
    let line = line.ok_or_else(|| io::Error::other(format!("/proc/stat has no {label}")))?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what guests take is in user already.
    let busy: u64 =
        ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, ticks)| ticks).sum();
    Ok(Duration::from_millis(busy * 10))
}

/// The process group of a process.
fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; behind it stand state, parent and group.
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

/// The number of KiB behind a label of a file.
fn kib(path: &Path, label: &str) -> io::Result<f64> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(label)?.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("{} has no {label}", path.display())))
}
