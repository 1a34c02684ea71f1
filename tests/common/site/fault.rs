//! What can befall a node, put on from outside and taken away again.

use std::fmt;
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::namespace::Daemon;
use super::node::Node;
use super::subject::{self, Subject};

/// Busy processes per CPU that a saturated node has.
const BURNERS_PER_CPU: usize = 4;
/// Seconds after which a busy process ends by itself, whatever happens to the test.
const BURN_SECONDS: &str = "60";
/// The name of the nft table that holds a node's faults.
const TABLE: &str = "site_fault";

/// A fault of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server is killed, all its processes at once; lifted by starting it again.
    Kill,
    /// The server is stopped, all its processes at once (SIGSTOP); lifted by SIGCONT.
    Freeze,
    /// One of the workers is held still in the middle of whatever it does.
    WedgeOne,
    /// The node's packet filter drops what comes for port 53.
    Mute,
    /// The same for TCP alone.
    MuteTcp,
    /// Somebody deletes the service addresses; lifted by adding them again, unless they are back already.
    AddressGone,
    /// Other work takes all CPUs.
    Saturate,
    /// The server is asked to end (SIGTERM); lifted by starting it again.
    Terminate,
    /// The operator takes the node out; lifted by taking it in again.
    Drain,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Kill,
        Self::Freeze,
        Self::WedgeOne,
        Self::Mute,
        Self::MuteTcp,
        Self::AddressGone,
        Self::Saturate,
        Self::Terminate,
        Self::Drain,
    ];

    /// One word for options and files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::WedgeOne => "wedge",
            Self::Mute => "mute",
            Self::MuteTcp => "mute-tcp",
            Self::AddressGone => "address",
            Self::Saturate => "saturate",
            Self::Terminate => "terminate",
            Self::Drain => "drain",
        }
    }

    /// How long it lasts at least where the bound is not shorter, so that what comes late is seen: the end of a drain,
    /// a lease, a check; and with one worker wedged, what is lost while nobody withdraws.
    pub(crate) fn hold(self) -> Duration {
        Duration::from_secs(match self {
            Self::WedgeOne => 20,
            Self::Terminate | Self::Drain => 7,
            Self::Saturate => 5,
            Self::Kill | Self::Freeze | Self::Mute | Self::MuteTcp | Self::AddressGone => 2,
        })
    }

    /// Puts it on a node.
    pub(crate) fn put(self, node: &mut Node) {
        match self {
            Self::Kill => {
                node.server().signal(Signal::SIGKILL);
                node.subject.after_death(node);
            }
            Self::Freeze => node.server().signal(Signal::SIGSTOP),
            Self::WedgeOne => {
                let subject = node.subject.clone();
                let workers = subject.workers(node.server());
                let worker = *workers.last().unwrap_or_else(|| panic!("{} has no worker", node.number));
                node.wedge = Some(Wedge::put(worker));
            }
            Self::Mute => mute(node, "{ udp, tcp }"),
            Self::MuteTcp => mute(node, "tcp"),
            Self::AddressGone => {
                subject::remove_addresses(node, node.subject.interface().unwrap_or("lo"));
            }
            Self::Saturate => {
                let cpus = std::thread::available_parallelism().map_or(1, usize::from);
                node.burners = (0..cpus * BURNERS_PER_CPU).map(|_| burner(node)).collect();
            }
            Self::Terminate => node.server().signal(Signal::SIGTERM),
            Self::Drain => node.subject.drain(node),
        }
    }

    /// Takes it away.
    pub(crate) fn lift(self, node: &mut Node) {
        match self {
            Self::Kill | Self::Terminate => {
                let is_orderly = self == Self::Terminate;
                // Dropping kills what has not ended by itself.
                drop(node.server.take());
                // As if somebody had looked at the crash: each fault of a site stands alone.
                let _ = std::fs::remove_file(node.folder.join("hold-down.json"));
                if is_orderly {
                    node.subject.after_death(node);
                }
                node.start_server();
            }
            Self::Freeze => node.server().signal(Signal::SIGCONT),
            Self::WedgeOne => drop(node.wedge.take()),
            Self::Mute | Self::MuteTcp => {
                node.space.output(Command::new("nft").args(["delete", "table", "inet", TABLE]));
            }
            Self::AddressGone => {
                if !matches!(node.subject, Subject::Fated(_)) {
                    subject::add_addresses(node, node.subject.interface().unwrap_or("lo"));
                }
            }
            Self::Saturate => node.burners.clear(),
            Self::Drain => node.subject.resume(node),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Drops what comes for port 53, on every interface.
fn mute(node: &Node, protocols: &str) {
    let rules = format!(
        "table inet {TABLE} {{ chain input {{ type filter hook input priority 0; \
         meta l4proto {protocols} th dport 53 drop; }}; }}"
    );
    node.space.output(Command::new("nft").arg(rules));
}

/// Starts a process that keeps a CPU busy for a bounded time.
fn burner(node: &Node) -> Daemon {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", BURN_SECONDS, "sh", "-c", "while :; do :; done"]);
    node.space.start(&mut command, &node.folder.join("burner.log"))
}

/// A thread or process that is held still by ptrace until the value is dropped. It gets no signal: to the server it
/// looks as if that thread had hung.
#[derive(Debug)]
pub(crate) struct Wedge {
    /// Ends the tracer when dropped.
    release: Option<mpsc::Sender<()>>,
    /// The tracer: the kernel lets the tracee go on when this thread ends.
    tracer: Option<JoinHandle<()>>,
}

impl Wedge {
    /// Holds a thread still; returns when it stands.
    ///
    /// # Panics
    /// If the kernel does not allow it.
    pub(crate) fn put(thread: Pid) -> Self {
        let (release, released) = mpsc::channel::<()>();
        let (stands, is_standing) = mpsc::channel();
        let tracer = std::thread::spawn(move || {
            ptrace::seize(thread, ptrace::Options::empty()).unwrap_or_else(|error| panic!("seize {thread}: {error}"));
            ptrace::interrupt(thread).unwrap_or_else(|error| panic!("interrupt {thread}: {error}"));
            let status = waitpid(thread, Some(WaitPidFlag::__WALL));
            let _ = stands.send(status);
            // Ends with an error, when the sender is dropped.
            let _ = released.recv();
            // Where the thread is dead, its end is all that is left to be read.
            if ptrace::detach(thread, None).is_err() {
                let _ = waitpid(thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
            }
        });
        let status = is_standing.recv().expect("the tracer stands");
        status.unwrap_or_else(|error| panic!("{thread} does not stop: {error}"));
        Self { release: Some(release), tracer: Some(tracer) }
    }
}

impl Drop for Wedge {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
    }
}
