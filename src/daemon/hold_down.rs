//! What the policies remember over a restart, in a file of the state folder: a server that crashes again and again is
//! held down as one that fails again and again.
//!
//! Owns the file and the thread that writes it. Refuses to know what a hold-down is. Whoever has something to be
//! written never waits for the disk. Ages are written, and when: within one boot of the host they go on by the clock
//! that no one sets, and over a reboot by the wall clock, which may be wrong. What is held down is bounded by the
//! policy, whatever the file says.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use super::state;
use crate::policy::{LastStance, PolicyMemory};
use crate::serve::unix_now;

/// The file in the state folder.
const FILE: &str = "hold-down.json";
/// The most octets that are read of it; 64 addresses take a tenth of that.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// When it was written.
    written: Moment,
    /// What is remembered, by service address.
    addresses: BTreeMap<IpAddr, Row>,
}

/// A moment on two clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moment {
    /// Which boot of the host it was, as the kernel names it.
    boot: String,
    /// How long that had lasted, in milliseconds.
    uptime_ms: u64,
    /// Seconds since 1970.
    wall_s: u64,
}

/// One address.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    withdrawals: u32,
    /// Since when it was announced, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    announced_ms: Option<u64>,
    /// For how long it was still to stay away, where it was not announced.
    #[serde(default)]
    held_ms: u64,
}

/// Reads what is remembered of each address. What cannot be read is logged, and then nothing is remembered.
pub(super) fn read(folder: &Path, addresses: &[IpAddr]) -> Vec<Option<PolicyMemory>> {
    let path = folder.join(FILE);
    let found = match read_file(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return vec![None; addresses.len()],
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "what is held down can't be read; nothing is");
            return vec![None; addresses.len()];
        }
    };
    let passed = passed(&found.written, &Moment::now());
    let of = |address: &IpAddr| found.addresses.get(address).map(|row| row.memory().later(passed));
    addresses.iter().map(of).collect()
}

/// Reads the file.
fn read_file(path: &Path) -> io::Result<Written> {
    let mut text = String::new();
    // A FIFO there must not hold up the start.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(io::Error::other)
}

/// How long it is from one moment to another. Where clocks say that it is less than nothing, it is nothing.
fn passed(from: &Moment, to: &Moment) -> Duration {
    if !from.boot.is_empty() && from.boot == to.boot {
        Duration::from_millis(to.uptime_ms.saturating_sub(from.uptime_ms))
    } else {
        Duration::from_secs(to.wall_s.saturating_sub(from.wall_s))
    }
}

impl Moment {
    /// Reads the clocks.
    fn now() -> Self {
        // /proc/uptime counts what the host sleeps through, as CLOCK_BOOTTIME does.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: f64 = uptime.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
        let wall = unix_now();
        Self { boot: boot.trim().to_owned(), uptime_ms: (seconds * 1000.0) as u64, wall_s: wall.as_secs() }
    }
}

impl Row {
    /// As it is written.
    fn new(memory: PolicyMemory) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (announced_ms, held_ms) = match memory.last {
            LastStance::Announced { ago } => (Some(millis(ago)), 0),
            LastStance::Held { left } => (None, millis(left)),
        };
        Self { withdrawals: memory.withdrawals, announced_ms, held_ms }
    }

    /// As it was when it was written.
    fn memory(&self) -> PolicyMemory {
        let last = match self.announced_ms {
            Some(ago) => LastStance::Announced { ago: Duration::from_millis(ago) },
            None => LastStance::Held { left: Duration::from_millis(self.held_ms) },
        };
        PolicyMemory { withdrawals: self.withdrawals, last }
    }
}

/// The thread that writes the file.
pub(super) struct HoldDownWriter {
    /// What is to be written next; what came before it need not be.
    latest: Arc<ArcSwapOption<Noted>>,
    thread: JoinHandle<()>,
    /// Gets a message when the last memory is written.
    finished: Mutex<Receiver<()>>,
}

/// Something to be written.
struct Noted {
    at: Instant,
    memories: Vec<PolicyMemory>,
    /// Whether nothing comes after it.
    is_last: bool,
}

impl HoldDownWriter {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start(folder: PathBuf, addresses: Vec<IpAddr>) -> io::Result<Self> {
        let latest = Arc::<ArcSwapOption<Noted>>::default();
        let (finish, finished) = sync_channel(1);
        let shared = Arc::clone(&latest);
        let body = move || write_all(&folder, &addresses, &shared, &finish);
        let thread = thread::Builder::new().name("hold-down".into()).spawn(body)?;
        Ok(Self { latest, thread, finished: Mutex::new(finished) })
    }

    /// Has what is remembered now written, in the order of the addresses. Never waits.
    pub(super) fn note(&self, memories: Vec<PolicyMemory>, is_last: bool) {
        self.latest.store(Some(Arc::new(Noted { at: Instant::now(), memories, is_last })));
        self.thread.thread().unpark();
    }

    /// Waits until the last memory is written, at most `timeout`; returns whether it is.
    pub(super) fn is_finished_within(&self, timeout: Duration) -> bool {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(timeout).is_ok()
    }
}

/// The body of the thread.
fn write_all(folder: &Path, addresses: &[IpAddr], latest: &ArcSwapOption<Noted>, finish: &SyncSender<()>) {
    loop {
        let Some(noted) = latest.swap(None) else {
            thread::park();
            continue;
        };
        if let Err(error) = write(folder, addresses, &noted) {
            let path = folder.join(FILE);
            tracing::warn!(path = %path.display(), %error, "a hold-down will not outlive a restart");
        }
        if noted.is_last {
            // Who would wait for it may be gone.
            let _ = finish.send(());
            return;
        }
    }
}

/// Writes the file anew, whole or not at all.
///
/// It is to outlive the process, not the host: nothing waits for the disk, so that the file is there as soon as the
/// address is announced. What a power cut leaves of it is read as what it is.
fn write(folder: &Path, addresses: &[IpAddr], noted: &Noted) -> io::Result<()> {
    let passed = noted.at.elapsed();
    let rows =
        addresses.iter().zip(&noted.memories).map(|(address, memory)| (*address, Row::new(memory.later(passed))));
    let written = Written { written: Moment::now(), addresses: rows.collect() };
    let mut text = serde_json::to_vec_pretty(&written)?;
    text.push(b'\n');
    state::write_whole(folder, FILE, &text, |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [&str; 2] = ["192.0.2.53", "2001:db8::53"];

    fn addresses() -> Vec<IpAddr> {
        ADDRESSES.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn what_is_noted_last_is_what_is_read_later() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path(), &addresses()), [None, None], "there is no file yet");
        let writer = HoldDownWriter::start(folder.path().to_owned(), addresses()).expect("a thread");
        let held = PolicyMemory { withdrawals: 3, last: LastStance::Held { left: seconds(1000) } };
        let announced = PolicyMemory { withdrawals: 0, last: LastStance::Announced { ago: seconds(50) } };
        writer.note(vec![announced, announced], false);
        writer.note(vec![held, announced], true);
        assert!(writer.is_finished_within(seconds(60)));
        let other: IpAddr = "198.51.100.1".parse().expect("an address");
        let found = read(folder.path(), &[addresses(), vec![other]].concat());
        assert_eq!(found[2], None, "of an address that was not there nothing is known");
        let [Some(first), Some(second)] = found[..2] else { panic!("{found:?}") };
        assert_eq!((first.withdrawals, second.withdrawals), (3, 0));
        assert!(
            matches!(first.last, LastStance::Held { left } if left <= seconds(1000) && left > seconds(900)),
            "{first:?}"
        );
        assert!(matches!(second.last, LastStance::Announced { ago } if ago >= seconds(50)), "{second:?}");
    }

    #[test]
    fn time_goes_on_by_the_clock_that_can_be_trusted() {
        let moment = |boot: &str, uptime_ms, wall_s| Moment { boot: boot.into(), uptime_ms, wall_s };
        let from = moment("a", 10_000, 5000);
        for (to, expected) in [
            (moment("a", 12_500, 5002), 2500),
            (moment("a", 12_500, 9_999_999), 2500),
            (moment("a", 12_500, 0), 2500),
            (moment("a", 9000, 5002), 0),
            (moment("b", 1, 5003), 3000),
            (moment("b", 1, 0), 0),
            (moment("", 12_500, 5003), 3000),
        ] {
            assert_eq!(passed(&from, &to), Duration::from_millis(expected), "{to:?}");
        }
        let unknown = moment("", 10_000, 5000);
        assert_eq!(passed(&unknown, &moment("", 99_000, 5003)), seconds(3), "two boots that have no name are two");
    }

    #[test]
    fn what_is_no_such_file_is_reported_and_remembers_nothing() {
        for content in [
            &b""[..],
            b"{",
            b"\xff\xfe",
            br#"{"written":{"boot":"a","uptime_ms":1,"wall_s":2},"addresses":{"192.0.2.53":{"withdrawals":-1}}}"#,
            br#"{"written":{"boot":"a","uptime_ms":1,"wall_s":2},"addresses":{"nobody":{"withdrawals":1}}}"#,
            br#"{"written":{"boot":"a"},"addresses":{}}"#,
            br#"{"written":{"boot":"a","uptime_ms":1,"wall_s":2},"addresses":{},"more":1}"#,
            &[b' '; FILE_BYTES_MAX as usize + 1],
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join(FILE), content).expect("writes");
            assert_eq!(read(folder.path(), &addresses()), [None, None], "{content:?}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(FILE)).expect("makes");
        assert_eq!(read(folder.path(), &addresses()), [None, None], "a folder");
    }

    #[test]
    fn a_folder_that_takes_nothing_stops_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let gone = folder.path().join("gone");
        let writer = HoldDownWriter::start(gone, addresses()).expect("a thread");
        writer.note(vec![PolicyMemory { withdrawals: 1, last: LastStance::Held { left: seconds(1) } }; 2], true);
        assert!(writer.is_finished_within(seconds(60)));
    }
}
