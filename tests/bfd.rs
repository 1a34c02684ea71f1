//! BFD against the real BIRD and FRR in network namespaces: up, given up after a silence, up again; and what they once
//! said, replayed. `FATED_RECORD=1` records that anew in `tests/corpus/bfd`, as inputs of the fuzz target `bfd`.
//!
//! Needs root.

#[path = "common/mod.rs"]
mod common;
#[allow(unreachable_pub)] // For the fuzz targets it is a crate of its own.
#[path = "../fuzz/src/bfd.rs"]
mod course;

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::site::is_root;
use common::site::namespace::{Daemon, Folder, Namespace, guard};
use common::site::routing::start_frr;
use common::{must_skip, skip_loudly};
use fated::bfd::{Action, Diagnostic, Event, Session, State};

/// 50 ms × 3 both ways; the session is 0x0a0b0c0d. The head of a recording.
const HEAD: [u8; 9] = [0, 50, 0, 50, 3, 0x0A, 0x0B, 0x0C, 0x0D];
/// How long a router may take to bring a session up, or back up.
const UP_PATIENCE: Duration = Duration::from_secs(15);
/// How long a session stays as it is before the next act.
const STEADY: Duration = Duration::from_millis(600);
/// The bounds of a router's detection of 50 ms × 3, seen from here, on a machine that others use too.
const DETECTED: std::ops::Range<u128> = 90..400;

/// Our end of a session: its socket, its machine, and what happened.
struct Node {
    session: Session,
    socket: UdpSocket,
    start: Instant,
    /// The steps so far, as the fuzz target reads them.
    record: Vec<u8>,
    /// When the last step was.
    last: Duration,
    /// Each change, as it is seen here.
    changes: Vec<(Duration, State, Diagnostic)>,
}

impl Node {
    /// Opens the socket in the calling thread's namespace.
    fn new() -> Self {
        let (session, _) = course::session(&HEAD).expect("a session");
        let socket = UdpSocket::bind("10.99.1.2:3784").expect("the port is free");
        Self {
            session,
            socket,
            start: Instant::now(),
            record: HEAD.to_vec(),
            last: Duration::ZERO,
            changes: Vec::new(),
        }
    }

    /// Gives the session an event, which is recorded, and sends what it says.
    fn tell(&mut self, kind: u8, event: Event<'_>, sender: &UdpSocket) {
        let tenths = (self.start.elapsed() - self.last).as_micros() / 100;
        self.last += Duration::from_micros(tenths as u64 * 100);
        self.record.push(kind);
        self.record.extend(u16::try_from(tenths).expect("short steps").to_be_bytes());
        if let Event::Received(octets) = event {
            self.record.push(u8::try_from(octets.len()).expect("short packets"));
            self.record.extend(octets);
        }
        let mut out = Vec::new();
        self.session.handle(self.last, event, &mut out);
        for action in out {
            match action {
                Action::Send(octets) => drop(sender.send_to(&octets, "10.99.1.1:3784").expect("it can be sent")),
                Action::Changed { to, diagnostic, .. } => self.changes.push((self.last, to, diagnostic)),
            }
        }
    }

    /// Lets it run until `is_so`; whether it was in time.
    fn run(&mut self, bound: Duration, sender: &UdpSocket, is_so: impl Fn(&Self) -> bool) -> bool {
        let (start, mut buffer) = (Instant::now(), [0; 100]);
        while !is_so(self) {
            if start.elapsed() > bound {
                return false;
            }
            let now = self.start.elapsed();
            let wait = self.session.deadline().map_or(STEADY, |at| at.saturating_sub(now));
            let wait = wait.clamp(Duration::from_micros(200), STEADY / 4);
            self.socket.set_read_timeout(Some(wait)).expect("not zero");
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.tell(1, Event::Received(&buffer[..length]), sender),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.tell(0, Event::Tick, sender);
                }
                Err(error) => panic!("receiving: {error}"),
            }
        }
        true
    }

    /// Says whether there is a proof.
    fn prove(&mut self, is_proven: bool, sender: &UdpSocket) {
        self.tell(if is_proven { 2 } else { 3 }, Event::Proven(is_proven), sender);
    }
}

/// Where a router's recording is.
fn recording(router: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bfd").join(router)
}

/// Brings a session up with a router, is silent, and comes back.
fn session_with(router: &str, programs: &[&str], number: usize, start: fn(&Namespace, &Path) -> Vec<Daemon>) {
    if !is_root() {
        return skip_loudly(router, "network namespaces need root");
    }
    if must_skip(router, programs) {
        return;
    }
    guard();
    let folder = Folder::new(number);
    let (there, here) = (Namespace::new(number, "router"), Namespace::new(number, "node"));
    there.ip(&format!("link add name node type veth peer name eth0 netns {}", here.name()));
    there.ip("addr add 10.99.1.1/24 dev node");
    here.ip("addr add 10.99.1.2/24 dev eth0");
    there.ip("link set node up");
    here.ip("link set eth0 up");
    let _daemons = start(&there, folder.path());
    let record = here.run(|| speak(router));
    if std::env::var_os("FATED_RECORD").is_some() {
        fs::write(recording(router), record).expect("the recording can be written");
    }
}

/// Our side of it; returns what was recorded.
fn speak(router: &str) -> Vec<u8> {
    let mut node = Node::new();
    let sender = UdpSocket::bind("10.99.1.2:49152").expect("the port is free");
    sender.set_ttl(255).expect("a TTL can be set");
    node.prove(true, &sender);
    node.tell(4, Event::Begin, &sender);
    assert!(node.run(UP_PATIENCE, &sender, |node| node.session.state() == State::Up), "{router} does not come up");
    let up_at = node.last;
    node.run(STEADY, &sender, |node| node.last > up_at + STEADY);
    let facts = node.session.facts();
    assert_eq!(node.session.state(), State::Up, "{:?}", node.changes);
    assert_eq!(facts.detection_time, Some(Duration::from_millis(150)), "{facts:?}");
    assert_eq!(facts.remote_detection_time, Some(Duration::from_millis(150)), "{facts:?}");
    assert_eq!((facts.refused, facts.withheld), (0, 0), "{facts:?}");

    node.prove(false, &sender);
    let silent_at = node.last;
    assert!(node.run(UP_PATIENCE, &sender, |node| node.session.state() != State::Up), "{router} does not notice");
    let took = (node.last - silent_at).as_millis();
    assert!(DETECTED.contains(&took), "{router} took {took} ms");
    let facts = node.session.facts();
    assert_eq!(facts.remote_diagnostic, Diagnostic::DETECTION_TIME_EXPIRED, "{facts:?}");
    node.run(STEADY * 2, &sender, |node| node.last > silent_at + STEADY * 2);
    assert_eq!(node.session.facts().sent, facts.sent, "silence is silence");

    node.prove(true, &sender);
    assert!(node.run(UP_PATIENCE, &sender, |node| node.session.state() == State::Up), "{router} does not come back");
    let back_at = node.last;
    node.run(STEADY, &sender, |node| node.last > back_at + STEADY);
    assert_eq!(node.session.state(), State::Up, "{:?}", node.changes);
    println!("{router}: {took} ms until it noticed the silence");
    node.record
}

#[test]
fn bird_comes_up_notices_a_silence_and_comes_back() {
    session_with("bird", &["bird", "ip"], 0, |space, folder| {
        let config = folder.join("bird.conf");
        let text = "router id 10.99.1.1;\nprotocol device { }\nprotocol bfd {\n  interface \"*\" { min rx interval \
                    50 ms; min tx interval 50 ms; multiplier 3; };\n  neighbor 10.99.1.2 dev \"node\";\n}\n";
        fs::write(&config, text).expect("the folder can be written to");
        let mut command = Command::new(common::program("bird").expect("looked for before"));
        command.args(["-f", "-c"]).arg(&config).arg("-s").arg(folder.join("bird.ctl"));
        vec![space.start(&mut command, &folder.join("bird.log"))]
    });
}

#[test]
fn frr_comes_up_notices_a_silence_and_comes_back() {
    session_with("frr", &["vtysh", "ip"], 1, |space, folder| {
        let text = "bfd\n peer 10.99.1.2 interface node\n  detect-multiplier 3\n  receive-interval 50\n  \
                    transmit-interval 50\n  no shutdown\n";
        start_frr(space, folder, text, &["zebra", "bfdd"])
    });
}

#[test]
fn recorded_sessions_go_the_same_way_again() {
    for router in ["bird", "frr"] {
        let record = fs::read(recording(router)).expect("there is a recording");
        let (mut session, mut steps) = course::session(&record).expect("a session");
        let (mut now, mut changes, mut polls, mut finals) = (Duration::ZERO, Vec::new(), 0, 0);
        while let Some((delay, event)) = course::step(&mut steps) {
            now += delay;
            let mut out = Vec::new();
            session.handle(now, event, &mut out);
            let is_poll = matches!(event, Event::Received(octets) if octets[1] & 0x20 != 0);
            let is_final = |action: &Action| matches!(action, Action::Send(octets) if octets[1] & 0x10 != 0);
            let is_answered = out.iter().any(is_final);
            (polls, finals) = (polls + usize::from(is_poll), finals + usize::from(is_answered));
            changes.extend(out.iter().filter_map(|action| match action {
                Action::Changed { to, .. } => Some(*to),
                Action::Send(_) => None,
            }));
        }
        assert_eq!((changes.first(), changes.last()), (Some(&State::Down), Some(&State::Up)), "{router}: {changes:?}");
        let ups = changes.iter().filter(|state| **state == State::Up).count();
        assert_eq!(ups, 2, "{router}: {changes:?}");
        assert!(polls > 0 && finals > 0 && session.facts().refused == 0, "{router}: {polls} polls, {finals} answered");
    }
}
