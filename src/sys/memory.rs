//! Huge pages for memory that is there already, and memory that goes back to the kernel when it is free.
//!
//! The kernel frees memory before it closes files, so that a big process dies slowly, and a route that hangs on a
//! descriptor stays that long: with pages of 4 KiB about 35 ms for each GiB, with 2 MiB a tenth of it.

use std::fs;
use std::io;
use std::ops::Range;

/// The size of a huge page in octets, on every architecture that matters here.
const HUGE: usize = 2 << 20;

/// The most mappings that are looked at.
const MAPPINGS_MAX: usize = 65_536;

/// Collapses the well-filled anonymous memory of this process into huge pages, as far as the kernel has them, and asks
/// for them where that memory grows. Returns the octets that were collapsed. Takes 0.1 to 0.3 s for each GiB; other
/// threads go on meanwhile, on other CPUs.
///
/// # Errors
/// `/proc/self/smaps` can't be read. A kernel without huge pages (or before 6.1) is no error: nothing is collapsed.
pub fn use_huge_pages() -> io::Result<usize> {
    Ok(dense_pages()?.filter(|&start| collapse(start)).count() * HUGE)
}

/// The same, one page for each step of what comes back, which says whether it was collapsed: for threads beside which
/// others answer. A step keeps the CPU from them for some 0.5 ms where the kernel does not interrupt itself.
///
/// # Errors
/// As for [`use_huge_pages`].
pub fn huge_pages() -> io::Result<impl Iterator<Item = bool>> {
    let spare = SparePage::new();
    Ok(dense_pages()?.map(move |start| {
        spare.prepare();
        collapse(start)
    }))
}

/// The smallest block that is a mapping of its own, so that it goes back to the kernel as soon as it is freed.
const OWN_MAPPING_BYTES: libc::c_int = 128 << 10;

/// The most blocks that are mappings of their own; the kernel allows a process some 65,000 mappings in all.
const OWN_MAPPINGS_MAX: libc::c_int = 16_384;

/// The most arenas of small blocks, each of which takes 64 MiB of address space: as many as load zones at once.
const ARENAS_MAX: usize = 16;

/// Makes the allocator map each big block by itself for good. By default the first big block that is freed raises the
/// limit up to 32 MiB, and what loading a zone takes then stays with the process. And bounds what it sets aside for
/// small blocks, which by default is eight times as much as there are CPUs to use it.
pub fn map_big_blocks() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, OWN_MAPPING_BYTES),
        (libc::M_MMAP_MAX, OWN_MAPPINGS_MAX),
        (libc::M_ARENA_MAX, std::thread::available_parallelism().map_or(1, usize::from).min(ARENAS_MAX) as libc::c_int),
    ] {
        // SAFETY: `mallopt` takes two numbers, locks what it changes, and keeps what it has if it refuses the value.
        let _is_set = unsafe { libc::mallopt(parameter, value) };
    }
}

/// Gives free memory back to the kernel, also where it lies between blocks that are in use. Takes some milliseconds
/// for each hundred MiB that were freed; threads that allocate meanwhile may wait for that.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` touches only memory that the allocator holds as free, under the allocator's own locks.
    let _is_any_given = unsafe { libc::malloc_trim(0) };
}

/// Where there could be huge pages, the kernel being asked for them mapping by mapping.
fn dense_pages() -> io::Result<impl Iterator<Item = usize>> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mappings = dense_mappings(&smaps).into_iter().take(MAPPINGS_MAX);
    let asked = mappings.filter(|range| advise(range.start, range.len(), Advice::HugePages));
    Ok(asked.flat_map(|range| range.step_by(HUGE)))
}

/// Collapses one page, which is aligned to [`HUGE`], and returns whether the kernel did so.
fn collapse(start: usize) -> bool {
    advise(start, HUGE, Advice::Collapse)
}

/// Gives the kernel advice, and returns whether it took it.
fn advise(start: usize, length: usize, advice: Advice) -> bool {
    // SAFETY: no such advice changes contents or protection of whatever is mapped there, also where another thread has
    // unmapped or replaced it since: then it fails, or the new memory gets the pages.
    unsafe { libc::madvise(start as *mut libc::c_void, length, advice as libc::c_int) == 0 }
}

/// Advice about memory that holds something.
#[repr(i32)]
#[derive(Clone, Copy)]
enum Advice {
    /// Use huge pages where it grows.
    HugePages = libc::MADV_HUGEPAGE,
    /// Put it into huge pages now (`include/uapi/asm-generic/mman-common.h`, Linux 6.1).
    Collapse = 25,
}

/// A huge page that comes and goes.
///
/// The kernel collapses a page in one go, and where it does not interrupt itself, it lets nobody else on that CPU
/// meanwhile. What a virtual machine touches first may have to be fetched from its host, piece by piece, and that
/// takes ten times as long. A page that is faulted in is touched in steps, between which others have their turn; given
/// back, it is the next to be taken.
struct SparePage(Vec<u8>);

impl SparePage {
    /// Address space for one, wherever it is aligned; or none, where there is no more.
    fn new() -> Self {
        let mut space = Vec::new();
        // Without it, others wait longer.
        let _is_there = space.try_reserve_exact(2 * HUGE);
        Self(space)
    }

    /// Has the kernel touch a huge page and take it back, for the next collapse.
    fn prepare(&self) {
        if self.0.capacity() < 2 * HUGE {
            return;
        }
        let start = (self.0.as_ptr() as usize).next_multiple_of(HUGE) as *mut libc::c_void;
        for advice in [libc::MADV_HUGEPAGE, libc::MADV_POPULATE_WRITE, libc::MADV_DONTNEED] {
            // SAFETY: the page lies wholly in the memory that `self.0` owns, which holds nothing that could be lost. A
            // kernel that does not know the advice does nothing.
            let _is_done = unsafe { libc::madvise(start, HUGE, advice) };
        }
    }
}

/// Finds the private anonymous mappings of which at least seven eighths are in memory, cut to whole huge pages.
///
/// Stacks and what is only reserved are not among them: those would grow.
fn dense_mappings(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(range) = anonymous(line) {
            candidate = Some(range);
        } else if let Some(resident) = line.strip_prefix("Rss:") {
            let kibibytes: usize = resident.trim().trim_end_matches(" kB").parse().unwrap_or(0);
            let dense = candidate.take().filter(|range| kibibytes * 1024 >= range.len() / 8 * 7);
            found.extend(dense.and_then(|range| whole_pages(&range)));
        } else if line.starts_with(|first: char| first.is_ascii_hexdigit() && !first.is_ascii_uppercase()) {
            candidate = None;
        }
    }
    found
}

/// Reads the head line of a mapping that is private, writable and backed by no file; `None` for all other lines.
fn anonymous(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (rights, _offset, _device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_ours = rights == "rw-p" && inode == "0" && matches!(words.next(), None | Some("[heap]"));
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    is_ours.then_some(range)
}

/// Cuts a range to the huge pages that lie in it wholly; `None` where there is none.
fn whole_pages(range: &Range<usize>) -> Option<Range<usize>> {
    let (start, end) = (range.start.next_multiple_of(HUGE), range.end / HUGE * HUGE);
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0c0000000-55d0c0e00000 rw-p 00000000 00:00 0                          [heap]
Size:              14336 kB
Rss:               14000 kB
7f0000000000-7f0000800000 rw-p 00000000 00:00 0 
Size:               8192 kB
Rss:                  12 kB
7f0000900000-7f0001000000 rw-p 00000000 00:00 0 
Rss:                7168 kB
7f0001000000-7f0001800000 r--p 00000000 fe:00 77                         /lib/x.so
Rss:                8192 kB
7f0002000000-7f0002080000 rw-p 00000000 00:00 0 
Rss:                 512 kB
7ffd00000000-7ffd00800000 rw-p 00000000 00:00 0                          [stack]
Rss:                8192 kB
VmFlags: rd wr mr mw me gd ac
";

    #[test]
    fn only_dense_anonymous_memory_is_taken_in_whole_pages() {
        let expected = [0x55d0_c000_0000..0x55d0_c0e0_0000, 0x7f00_00a0_0000..0x7f00_0100_0000];
        assert_eq!(dense_mappings(SMAPS), expected);
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn free_memory_between_blocks_in_use_goes_back() {
        let resident = || {
            let status = fs::read_to_string("/proc/self/status").expect("reads");
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it is there");
            line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number")
        };
        let mut blocks: Vec<Option<Box<[u8]>>> = (0..1 << 15).map(|_| Some(vec![1; 4 << 10].into())).collect();
        blocks.iter_mut().enumerate().filter(|(at, _)| at % 64 != 0).for_each(|(_, block)| *block = None);
        let before = resident();
        trim_heap();
        // 126 MiB are free; other tests may take some meanwhile.
        assert!(resident() + (64 << 10) < before, "{before} kB before, {} kB behind", resident());
        assert!(blocks.iter().flatten().all(|block| block[0] == 1));
    }

    #[test]
    fn memory_is_collapsed_and_keeps_what_it_holds() {
        collapse_some(false);
    }

    #[test]
    fn memory_is_collapsed_page_by_page_and_keeps_what_it_holds() {
        collapse_some(true);
    }

    /// Collapses a block, at once or step by step, and looks at it again.
    fn collapse_some(is_stepwise: bool) {
        let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        let memory: Vec<u64> = (0..(16 << 20) / 8).collect();
        let collapsed = match is_stepwise {
            false => use_huge_pages().expect("smaps can be read"),
            true => huge_pages().expect("smaps can be read").filter(|is_done| *is_done).count() * HUGE,
        };
        assert!(memory.iter().enumerate().all(|(at, &word)| word == at as u64));
        if enabled.is_empty() || enabled.contains("[never]") {
            eprintln!("SKIPPED: this kernel has no huge pages to give");
        } else {
            assert!(collapsed >= 8 << 20, "{collapsed} octets");
        }
    }
}
