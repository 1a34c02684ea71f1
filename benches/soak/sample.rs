//! What the processes take, second by second, and whether it grows.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::unistd::Pid;

use crate::common::site::NodeNumber;
use crate::common::site::subject::{WORKERS, workers_of_fated};

/// A life with fewer samples is too short to show anything about growth.
const SAMPLES_MIN: usize = 40;
/// Growth that is none: KiB of memory over a life, beside a tenth of it.
const MEMORY_SLACK_KIB: u64 = 2048;
/// Growth that is none: files and threads that come and go with clients of the control socket.
const COUNT_SLACK: u64 = 2;

/// What a process takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Resident memory in KiB.
    pub(crate) memory: u64,
    /// Open files.
    pub(crate) files: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Threads that serve UDP.
    pub(crate) workers: usize,
    /// How long the one of these that waited most has waited for a CPU in its life.
    pub(crate) waited: Duration,
}

impl Sample {
    /// Looks at a process; `None` if it is gone.
    pub(crate) fn take(process: Pid) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let workers = workers_of_fated(process);
        Some(Self {
            waited: workers.iter().filter_map(|worker| waited(process, *worker)).max().unwrap_or_default(),
            memory: field("VmRSS:")?,
            threads: field("Threads:")?,
            files: fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64,
            workers: workers.len(),
        })
    }
}

/// How long a thread was ready to run and had no CPU (the second number of `schedstat`, in ns).
fn waited(process: Pid, thread: Pid) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat")).ok()?;
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// All samples of one process.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// In order.
    pub(crate) samples: Vec<Sample>,
}

/// What a life came to: medians of the first and the last quarter of its samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    /// Memory in KiB.
    pub(crate) memory: (u64, u64),
    /// Open files.
    pub(crate) files: (u64, u64),
    /// Threads.
    pub(crate) threads: (u64, u64),
}

impl Life {
    /// How it grew; `None` where it was too short.
    pub(crate) fn growth(&self) -> Option<Growth> {
        let quarter = self.samples.len() / 4;
        if self.samples.len() < SAMPLES_MIN {
            return None;
        }
        let (first, last) = (&self.samples[..quarter], &self.samples[self.samples.len() - quarter..]);
        let both = |of: fn(&Sample) -> u64| (median(first, of), median(last, of));
        Some(Growth {
            memory: both(|sample| sample.memory),
            files: both(|sample| sample.files),
            threads: both(|sample| sample.threads),
        })
    }

    /// The longest that a worker waited for a CPU from one of the last so many samples to the next.
    pub(crate) fn wait_worst(&self, count: usize) -> Duration {
        let last = &self.samples[self.samples.len().saturating_sub(count)..];
        let waits = last.windows(2).map(|pair| pair[1].waited.saturating_sub(pair[0].waited));
        waits.max().unwrap_or_default()
    }

    /// Whether old workers still stand around in the last sample.
    pub(crate) fn has_left_threads(&self) -> bool {
        self.samples.last().is_some_and(|sample| sample.workers > WORKERS)
    }
}

impl Growth {
    /// Whether that is a leak.
    pub(crate) fn is_leak(&self) -> bool {
        let (before, after) = self.memory;
        let has_grown = |(before, after): (u64, u64)| after > before + COUNT_SLACK;
        after > before + before / 10 + MEMORY_SLACK_KIB || has_grown(self.files) || has_grown(self.threads)
    }
}

/// The median of a figure.
fn median(samples: &[Sample], of: fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

/// The lives of all processes, by node and process.
pub(crate) type Lives = BTreeMap<(NodeNumber, i32), Life>;
