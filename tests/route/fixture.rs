//! What the tests stand on: a network namespace each, `ip` in it, proofs that keep coming, and children to kill.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fated::announce::kernel::{Driver, Interface, KernelSettings, RouteError, Seen};
use fated::health::{SOURCE_V4, SOURCE_V6};
use fated::policy::{Proof, Stance};
use fated::sys::tun::{Tun, TunError};
use nix::sched::{CloneFlags, unshare};

/// Runs `body` in a network namespace of its own, in which `lo` is up; says so where that is not possible.
pub(crate) fn in_namespace(body: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            eprintln!("SKIPPED: no network namespace can be made here ({error}); run the tests as root");
            return;
        }
        if let Err(error @ TunError::Path(_)) = Tun::open("fated-try0") {
            eprintln!("SKIPPED: no tun device can be made here ({error})");
            return;
        }
        ip("link set lo up");
        body();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` in the calling thread's namespace and returns what it prints.
pub(crate) fn ip(arguments: &str) -> String {
    let (is_well, text) = try_ip(arguments);
    assert!(is_well, "ip {arguments}: {text}");
    text
}

/// Runs `ip`; whether it went well, and what it prints.
pub(crate) fn try_ip(arguments: &str) -> (bool, String) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    let text = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    (output.status.success(), text.into_owned())
}

/// Whether the address stands on the device.
pub(crate) fn stands(device: &str, address: &str) -> bool {
    // A device that is gone has no address.
    try_ip(&format!("-o addr show dev {device}")).1.contains(&format!(" {address} "))
}

/// The routes of table `local` for both families.
pub(crate) fn local_routes() -> String {
    ip("-4 route show table local") + &ip("-6 route show table local")
}

/// Waits until `is_so`, at most [`PATIENCE`], and returns how long it took.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(POLL_EVERY);
    }
    start.elapsed()
}

/// KernelSettings for `addresses` on `fated0` with a lease of one second.
pub(crate) fn settings(addresses: &[&str]) -> KernelSettings {
    KernelSettings {
        addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
        announce: Vec::new(),
        interface: Interface::Tun("fated0".into()),
        lease: Some(Duration::from_secs(1)),
        // The machines that run this are slow and shared; what is tested does not depend on it.
        proof_slack: Duration::from_millis(400),
        probe_sources: vec![SOURCE_V4.into(), SOURCE_V6.into()],
        kernel_route: None,
        is_dry_run: false,
    }
}

/// A driver whose addresses are proven for as long as it is wanted.
pub(crate) struct Node {
    /// The driver.
    pub(crate) driver: Driver,
    /// What proves.
    prover: Prover,
    /// How many addresses there are.
    count: usize,
}

/// A thread that proves; it ends with this value.
struct Prover {
    /// Whether proofs come.
    proving: Arc<AtomicBool>,
    /// Whether the thread ends.
    ending: Arc<AtomicBool>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts one; a fatal end fails the test.
    pub(crate) fn start(settings: KernelSettings) -> Self {
        Self::try_start(settings, |message| panic!("fatal: {message}")).expect("it starts")
    }

    /// Starts one that reports its fatal end.
    pub(crate) fn try_start(
        settings: KernelSettings,
        fatal: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, RouteError> {
        let (origin, count) = (Instant::now(), settings.addresses.len());
        let proof = Arc::new(Proof::new(count));
        let (proving, ending) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let driver = Driver::start_with(settings, origin, Arc::clone(&proof), Box::new(fatal))?;
        let (is_proving, is_ending) = (Arc::clone(&proving), Arc::clone(&ending));
        let thread = thread::spawn(move || {
            while !is_ending.load(Ordering::Relaxed) {
                if is_proving.load(Ordering::Relaxed) {
                    (0..count).for_each(|index| proof.note(index, origin.elapsed()));
                }
                thread::sleep(PROVE_EVERY);
            }
        });
        Ok(Self { driver, prover: Prover { proving, ending, thread: Some(thread) }, count })
    }

    /// Wants the same of all addresses.
    pub(crate) fn want_all(&self, stance: Stance) {
        self.driver.want(&vec![stance; self.count]);
    }

    /// Wants all announced, and waits until they are.
    pub(crate) fn announce(&self) {
        self.want_all(Stance::Announce);
        let is_so = self
            .driver
            .wait(PATIENCE, |seen| seen.is_settled && seen.addresses.iter().all(|address| address.is_announced));
        assert!(is_so, "not announced: {:?}", self.driver.seen());
    }

    /// Wants all withdrawn, and waits until they are.
    pub(crate) fn withdraw(&self) {
        self.want_all(Stance::Withdraw);
        let is_so = self
            .driver
            .wait(PATIENCE, |seen| seen.is_settled && seen.addresses.iter().all(|address| !address.is_announced));
        assert!(is_so, "not withdrawn: {:?}", self.driver.seen());
    }

    /// Closes the driver.
    pub(crate) fn close(self) -> Arc<Seen> {
        self.driver.close()
    }

    /// No more proofs.
    pub(crate) fn stop_proving(&self) {
        self.prover.proving.store(false, Ordering::Relaxed);
    }

    /// Proofs again.
    pub(crate) fn prove(&self) {
        self.prover.proving.store(true, Ordering::Relaxed);
    }
}

impl Drop for Prover {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the prover does not panic");
        }
    }
}

/// A process of its own that announces; it is killed with this value.
pub(crate) struct Process {
    /// The process.
    pub(crate) child: Child,
    /// It ends when this is closed, so that nothing survives the test.
    _stdin: ChildStdin,
}

impl Process {
    /// Starts this test binary once more, in the calling thread's namespace, and waits until it announces.
    pub(crate) fn announce(addresses: &str, device: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.args(["--exact", CHILD_TEST, "--nocapture", "--test-threads=1"]);
        command.env(CHILD_ADDRESSES, addresses).env(CHILD_DEVICE, device);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("this binary runs");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let is_announced = BufReader::new(stdout).lines().any(|line| line.is_ok_and(|line| line.contains(ANNOUNCED)));
        assert!(is_announced, "the child ended before it announced");
        Self { child, _stdin: stdin }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(status.success(), "kill {signal}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed by the test already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child does: announces until its input ends.
pub(crate) fn child() {
    let (Ok(addresses), Ok(device)) = (std::env::var(CHILD_ADDRESSES), std::env::var(CHILD_DEVICE)) else { return };
    let mut settings = settings(&addresses.split(' ').collect::<Vec<_>>());
    if device == "lo" {
        settings.interface = Interface::Device(device);
    }
    let node = Node::start(settings);
    node.announce();
    println!("{ANNOUNCED}");
    let mut line = String::new();
    // Nothing is ever written there: this ends with the parent.
    let _ = std::io::stdin().read_line(&mut line);
}

/// How long anything may take on a slow machine before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether something became so.
const POLL_EVERY: Duration = Duration::from_millis(5);
/// How often an address is proven.
const PROVE_EVERY: Duration = Duration::from_millis(20);
/// The test that is the child's body.
const CHILD_TEST: &str = "child_that_announces";
/// What the child prints once all is announced.
const ANNOUNCED: &str = "child: announced";
/// The variable with the child's addresses.
const CHILD_ADDRESSES: &str = "FATED_TEST_ROUTE_ADDRESSES";
/// The variable with the child's device.
const CHILD_DEVICE: &str = "FATED_TEST_ROUTE_DEVICE";
