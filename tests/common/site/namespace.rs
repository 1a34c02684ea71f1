//! Network namespaces of a run, what lives in them, and their end: dropped, interrupted, or left behind by a killed
//! run.
//!
//! Names are `fatedsite-PID-NUMBER-ROLE`. Nothing without that prefix is touched, and of what has it, only what belongs
//! to this process or to one that is gone.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::common::interrupt::on_interrupt;

/// What all names begin with.
const PREFIX: &str = "fatedsite-";
/// Where named namespaces stand.
const NAMESPACES: &str = "/run/netns";
/// How often the end of killed processes is looked for, and how long.
const KILL_POLL: Duration = Duration::from_millis(5);
/// How long killed processes may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What has to be removed should this process be interrupted.
static HELD: Mutex<Held> = Mutex::new(Held { namespaces: Vec::new(), folders: Vec::new() });

/// The namespaces and folders that stand.
struct Held {
    /// Names of namespaces.
    namespaces: Vec<String>,
    /// Temporary folders.
    folders: Vec<PathBuf>,
}

/// A temporary folder that ends with this value, or with the process.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes an empty folder whose name ends with `number`.
    pub(crate) fn new(number: usize) -> Self {
        let path = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{} can't be made: {error}", path.display()));
        held.folders.push(path.clone());
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("FATED_TESTS_KEEP").is_some() {
            eprintln!("kept: {}", self.0.display());
            return;
        }
        let _ = fs::remove_dir_all(&self.0);
        HELD.lock().unwrap_or_else(PoisonError::into_inner).folders.retain(|folder| *folder != self.0);
    }
}

/// A network namespace; whatever runs in it is killed, and it is removed, when the value is dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Its name.
    name: String,
}

impl Namespace {
    /// Makes a namespace whose `lo` is up.
    pub(crate) fn new(number: usize, role: &str) -> Self {
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        {
            // Held while the namespace is made, so that an interruption comes before or after, not in between.
            let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
            held.namespaces.push(name.clone());
            ip(&format!("netns add {name}"));
        }
        let namespace = Self { name };
        namespace.set(&[
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv6/conf/all/accept_dad", "0"),
            ("net/ipv6/conf/default/accept_dad", "0"),
            ("net/ipv6/conf/default/disable_ipv6", "0"),
            ("net/ipv6/conf/all/disable_ipv6", "0"),
        ]);
        namespace.ip("link set lo up");
        namespace
    }

    /// The name, as `ip netns` knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Moves the calling thread into the namespace, for good; threads and processes that it starts are there too.
    pub(crate) fn enter(&self) {
        let path = Path::new(NAMESPACES).join(&self.name);
        let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        setns(file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("setns {}: {error}", self.name));
    }

    /// Does something in the namespace, on a thread of its own. Sockets made there stay there.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let done = scope.spawn(|| {
                self.enter();
                work()
            });
            done.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Writes sysctls, named by their paths below `/proc/sys`.
    pub(crate) fn set(&self, values: &[(&str, &str)]) {
        self.run(|| {
            for (path, value) in values {
                let path = Path::new("/proc/sys").join(path);
                fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        });
    }

    /// Runs `ip` with these words in the namespace.
    ///
    /// # Panics
    /// Whether somebody listens on a TCP port in it.
    pub(crate) fn has_listener(&self, port: u16) -> bool {
        let end = format!(":{port:04X}");
        let is_one = |line: &str| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            fields.next().is_some_and(|local| local.ends_with(&end)) && fields.nth(1) == Some(LISTENING)
        };
        self.run(|| {
            ["tcp", "tcp6"].iter().any(|table| {
                let table = fs::read_to_string(format!("/proc/thread-self/net/{table}"));
                table.is_ok_and(|table| table.lines().any(is_one))
            })
        })
    }

    /// If it fails.
    pub(crate) fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.name));
    }

    /// Runs a command in the namespace and returns what it wrote.
    ///
    /// # Panics
    /// If it does not start or fails.
    pub(crate) fn output(&self, command: &mut Command) -> String {
        let output = self.run(|| command.stdin(Stdio::null()).output());
        let output = output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Starts a daemon in the namespace as the leader of a new process group; what it says goes to `log`.
    pub(crate) fn start(&self, command: &mut Command, log: &Path) -> Daemon {
        let out = File::options().create(true).append(true).open(log);
        let out = out.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a file can be cloned"))
            .stderr(out)
            .process_group(0);
        let child = self.run(|| command.spawn());
        Daemon(child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
        HELD.lock().unwrap_or_else(PoisonError::into_inner).namespaces.retain(|name| *name != self.name);
    }
}

/// A process with a group of its own, which is killed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Daemon(Child);

impl Daemon {
    /// The process id.
    pub(crate) fn id(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    /// Sends a signal to the whole group, which may be gone already.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = killpg(self.id(), signal);
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child can be waited for")
    }

    /// The processes of the group, the leader first.
    pub(crate) fn group(&self) -> Vec<Pid> {
        let leader = self.id();
        let mut found: Vec<Pid> = processes().filter(|pid| group_of(*pid) == Some(leader)).collect();
        found.sort_by_key(|pid| (*pid != leader, *pid));
        found
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// The ids of all processes.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw)
}

/// The process group of a process that is alive, not a zombie.
fn group_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; behind it stand state, parent and group.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    let is_zombie = words.next()? == "Z";
    let group = words.nth(1)?.parse().ok()?;
    (!is_zombie).then(|| Pid::from_raw(group))
}

/// Runs `ip`.
fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("ip does not start: {error}"));
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Kills whatever runs in a namespace and removes it. Quiet where it is gone.
fn remove(name: &str) {
    let Ok(namespace) = fs::metadata(Path::new(NAMESPACES).join(name)) else { return };
    let own = Pid::this();
    let lives_in = |pid: &Pid| {
        let link = fs::metadata(format!("/proc/{pid}/ns/net"));
        *pid != own && link.is_ok_and(|link| (link.dev(), link.ino()) == (namespace.dev(), namespace.ino()))
    };
    let start = Instant::now();
    // One may have started another between the look and the kill: look until nobody is left.
    while start.elapsed() < KILL_PATIENCE {
        let left: Vec<Pid> = processes().filter(lives_in).collect();
        if left.is_empty() {
            break;
        }
        for pid in left {
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(KILL_POLL);
    }
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

/// Sees to it that an interruption of this process removes what it made, and removes what killed runs left. Once.
pub(crate) fn guard() {
    static GUARD: Once = Once::new();
    GUARD.call_once(|| {
        sweep();
        on_interrupt(remove_all);
    });
}

/// Removes what this process made.
fn remove_all() {
    // Never given back: whoever would make another namespace waits for the exit.
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    for name in &held.namespaces {
        remove(name);
    }
    for folder in &held.folders {
        let _ = fs::remove_dir_all(folder);
    }
    std::mem::forget(held);
}

/// Removes namespaces and folders of runs whose process is gone.
pub(crate) fn sweep() {
    let is_stale = |name: &str| {
        let pid = name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()?;
        group_of(Pid::from_raw(pid)).is_none().then_some(())
    };
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        if let Some(name) = entry.file_name().to_str().filter(|name| is_stale(name).is_some()) {
            remove(name);
        }
    }
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| is_stale(name).is_some()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The state of a listener in the kernel's tables of TCP (Linux `tcp_states.h`: TCP_LISTEN).
const LISTENING: &str = "0A";
