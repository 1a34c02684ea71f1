//! How much memory there is for zones that are yet to be read, asked for before they are: a process that has none left
//! is ended by itself or by the kernel, and takes along what it served.
//!
//! An estimate of what a file will take stands against what the limits of the process, its memory cgroup and the host
//! leave. Refuses to know what is in the files. Reads below a folder that stands for `/`, so that tests bring their
//! own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::fault::FileError;

/// What a zone takes at the most while it is read, for each octet of its text, in quarters: measured are 2.3 to 3.1
/// (`docs/loading.md`).
const QUARTERS_PER_OCTET: u64 = 13;
/// What any zone takes besides.
const ZONE_BYTES: u64 = 8 << 10;
/// What is left to everything else by zones that take more than [`SMALL_BYTES`]; those that take less leave half of
/// what there is.
const MARGIN_BYTES: u64 = 32 << 20;
const SMALL_BYTES: u64 = 1 << 20;
/// The address space that the allocator sets aside for each CPU.
const ARENA_BYTES: u64 = 64 << 20;
/// The most memory cgroups above each other that are looked at.
const CGROUPS_MAX: usize = 64;

/// The memory that may be reserved for zones.
#[derive(Debug)]
pub(super) struct Budget {
    root: PathBuf,
    state: Mutex<State>,
}

/// What was asked for.
#[derive(Debug, Default)]
struct State {
    /// What may still be reserved without a look.
    left: u64,
    /// What those reserved who are still reading.
    reserved: u64,
}

/// Memory that is set apart for one zone until this is dropped.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    budget: &'a Budget,
    bytes: u64,
}

/// There is not enough memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not read, for want of memory: it may take {} MiB, and {} MiB are left \
    below {limit}", needed >> 20, left >> 20)]
pub(super) struct Short {
    /// What would be needed.
    needed: u64,
    /// What is left.
    left: u64,
    /// What sets the limit.
    limit: &'static str,
}

impl Budget {
    /// That of the host whose files stand below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), state: Mutex::default() }
    }

    /// Reserves memory for a zone of so many octets of text.
    ///
    /// # Errors
    /// [`Short`].
    pub(super) fn reserve(&self, text_bytes: u64) -> Result<Reservation<'_>, Short> {
        let mut reservation = Reservation { budget: self, bytes: 0 };
        reservation.extend(text_bytes)?;
        Ok(reservation)
    }

    /// Takes so much more away from what is left.
    fn take(&self, needed: u64) -> Result<(), Short> {
        // Whole after each step.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if needed > state.left {
            let (left, limit) = left(&self.root);
            let left = left.saturating_sub(state.reserved);
            state.left = left.saturating_sub(MARGIN_BYTES);
            let is_small = needed <= SMALL_BYTES && needed <= left / 2;
            if needed > state.left && !is_small {
                return Err(Short { needed, left: state.left, limit });
            }
        }
        state.left = state.left.saturating_sub(needed);
        state.reserved += needed;
        Ok(())
    }
}

impl Reservation<'_> {
    /// Makes it large enough for a zone of so many octets of text in all.
    ///
    /// # Errors
    /// [`Short`]; then it stays as it was.
    pub(super) fn extend(&mut self, text_bytes: u64) -> Result<(), Short> {
        let needed = (text_bytes / 4).saturating_mul(QUARTERS_PER_OCTET).saturating_add(ZONE_BYTES);
        if let Some(more) = needed.checked_sub(self.bytes).filter(|more| *more > 0) {
            self.budget.take(more)?;
            self.bytes = needed;
        }
        Ok(())
    }
}

impl From<Short> for FileError {
    fn from(Short { needed, left, limit }: Short) -> Self {
        Self::NoMemory { needed: needed >> 20, left: left >> 20, limit }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        // What is kept of it is seen at the next look.
        self.budget.state.lock().unwrap_or_else(PoisonError::into_inner).reserved -= self.bytes;
    }
}

/// What is left, and what sets the limit. What can't be read sets none.
fn left(root: &Path) -> (u64, &'static str) {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (limits, status) = (read("proc/self/limits"), read("proc/self/status"));
    let under = |limit: &str, used: &str| {
        Some(soft_limit(&limits, limit)?.saturating_sub(field(&status, used)?.saturating_mul(1024)))
    };
    let space = under("Max address space", "VmSize:").map(|left| {
        let arenas = thread::available_parallelism().map_or(1, usize::from) as u64 * ARENA_BYTES;
        // What is set aside already stands in the process's size, and is there to be used.
        (left + set_aside(&read("proc/self/maps"))).saturating_sub(arenas)
    });
    let all = [
        (
            field(&read("proc/meminfo"), "MemAvailable:").map(|kibibytes| kibibytes.saturating_mul(1024)),
            "what the host has",
        ),
        (space, "RLIMIT_AS"),
        (under("Max data size", "VmData:"), "RLIMIT_DATA"),
        (cgroups(root, &read("proc/self/cgroup")), "the limit of the memory cgroup"),
    ];
    let known = all.into_iter().filter_map(|(left, limit)| Some((left?, limit)));
    known.min().unwrap_or((u64::MAX, "any limit"))
}

/// The address space that the allocator has set aside and not used yet: mappings of no file that nobody may touch.
fn set_aside(maps: &str) -> u64 {
    let bytes = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let is_meant = words.next() == Some("---p") && words.nth(2) == Some("0") && words.next().is_none();
        let bytes = u64::from_str_radix(end, 16).ok()?.checked_sub(u64::from_str_radix(start, 16).ok()?)?;
        is_meant.then_some(bytes).filter(|bytes| *bytes <= ARENA_BYTES)
    };
    maps.lines().filter_map(bytes).sum()
}

/// The number behind a word at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// The soft limit of that name in `/proc/self/limits`; `None` for none.
fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?.parse().ok()
}

/// What the memory cgroups of the process leave, its own and those above, of either version.
fn cgroups(root: &Path, memberships: &str) -> Option<u64> {
    let of = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (folder, limit, used) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max", "memory.current"),
            "memory" => ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
            _ => return None,
        };
        let top = root.join(folder);
        let own = top.join(path.trim_start_matches('/'));
        // In a container the path may be that of the host, and what is here is that of the top.
        let own = if own.is_dir() { own } else { top.clone() };
        let groups = own.ancestors().take_while(|group| group.starts_with(&top)).take(CGROUPS_MAX);
        groups.filter_map(|group| cgroup(group, limit, used)).min()
    };
    memberships.lines().filter_map(of).min()
}

/// What one of them leaves. Its files' pages that are in memory are given back when they are needed.
fn cgroup(group: &Path, limit: &str, used: &str) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let files = ["inactive_file ", "active_file "].iter().filter_map(|name| field(&stat, name)).sum();
    Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const GIB: u64 = 1 << 30;

    /// A host with these files.
    fn host(files: &[(&str, String)]) -> TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("writes");
        }
        root
    }

    #[test]
    fn the_tightest_limit_is_the_one_that_counts() {
        let meminfo = ("proc/meminfo", format!("MemTotal: 99999999 kB\nMemAvailable:   {} kB\n", 4 * GIB / 1024));
        let status = ("proc/self/status", "VmPeak: 9 kB\nVmSize:  1048576 kB\nVmData:  524288 kB\n".to_owned());
        let limits = |space: &str, data: &str| {
            let text = format!(
                "Limit  Soft  Hard\nMax data size  {data}  unlimited  bytes\n\
                 Max address space  {space} unlimited bytes\n"
            );
            ("proc/self/limits", text)
        };
        let member = |text: &str| ("proc/self/cgroup", text.to_owned());
        let file = |path: &'static str, number: u64| (path, format!("{number}\n"));
        let arenas = thread::available_parallelism().map_or(1, usize::from) as u64 * ARENA_BYTES;
        let (two, three) = ((2 * GIB + arenas).to_string(), (3 * GIB + arenas).to_string());
        let maps = "7f0000000000-7f0000400000 rw-p 00000000 00:00 0 \n\
                    7f0000400000-7f0001000000 ---p 00000000 00:00 0 \n\
                    7f0002000000-7f0003000000 ---p 00000000 fe:00 77                         /lib/x.so\n";
        let maps = ("proc/self/maps", maps.to_owned());
        let unlimited = || limits("unlimited", "unlimited");
        for (files, expected) in [
            (vec![], (u64::MAX, "any limit")),
            (vec![meminfo.clone(), status.clone(), unlimited()], (4 * GIB, "what the host has")),
            (vec![meminfo.clone(), status.clone(), limits(&two, "unlimited")], (GIB, "RLIMIT_AS")),
            (vec![meminfo.clone(), status.clone(), maps, limits(&two, "unlimited")], (GIB + (12 << 20), "RLIMIT_AS")),
            (vec![meminfo.clone(), status.clone(), limits(&three, &(GIB / 2).to_string())], (0, "RLIMIT_DATA")),
            // Version 2: the group above is tighter, and the own one has no limit.
            (
                vec![
                    meminfo.clone(),
                    member("0::/a/b\n"),
                    ("sys/fs/cgroup/a/b/memory.max", "max\n".to_owned()),
                    file("sys/fs/cgroup/a/b/memory.current", 7),
                    file("sys/fs/cgroup/a/memory.max", 3 * GIB),
                    file("sys/fs/cgroup/a/memory.current", 2 * GIB),
                    (
                        "sys/fs/cgroup/a/memory.stat",
                        format!("anon 5\ninactive_file {}\nactive_file 24\n", GIB / 2 - 24),
                    ),
                ],
                (3 * GIB / 2, "the limit of the memory cgroup"),
            ),
            // Version 1, in a container that sees its own group at the top.
            (
                vec![
                    meminfo.clone(),
                    member("5:cpu:/x\n4:memory:/of/the/host\n0::/\n"),
                    file("sys/fs/cgroup/memory/memory.limit_in_bytes", GIB),
                    file("sys/fs/cgroup/memory/memory.usage_in_bytes", 3 * GIB),
                ],
                (0, "the limit of the memory cgroup"),
            ),
        ] {
            assert_eq!(left(host(&files).path()), expected, "{files:?}");
        }
    }

    #[test]
    fn what_was_reserved_is_not_given_twice_and_comes_back() {
        let root = host(&[("proc/meminfo", format!("MemAvailable: {} kB\n", (MARGIN_BYTES + (100 << 20)) / 1024))]);
        let budget = Budget::new(root.path());
        let first = budget.reserve(16 << 20).expect("52 of 100 MiB");
        let short = budget.reserve(16 << 20).expect_err("48 are left");
        assert!(short.to_string().contains("may take 52 MiB, and 47 MiB are left below what the host has"), "{short}");
        budget.reserve(8 << 20).expect("26 of 48 MiB");
        drop(first);
        budget.reserve(16 << 20).expect("as at the beginning");
        assert!(budget.reserve(u64::MAX).is_err(), "no size is too large to be judged");
        // Where nearly all is reserved, small zones are read still, and big ones are not.
        let root = host(&[("proc/meminfo", "MemAvailable: 8192 kB\n".to_owned())]);
        let budget = Budget::new(root.path());
        let kept: Vec<_> = (0..6).map(|_| budget.reserve(200 << 10).expect("small")).collect();
        assert!(budget.reserve(4 << 20).is_err());
        assert!(
            (0..30).map(|_| budget.reserve(200 << 10)).collect::<Result<Vec<_>, _>>().is_err(),
            "half is left to others"
        );
        drop(kept);
    }
}
