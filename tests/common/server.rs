//! Servers of the tests: fated and its peers as real processes in folders of their own, on ports that the kernel gave.
//!
//! A server is stopped, its whole process group with it, when its value is dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use super::ask;
use super::message::Query;
use super::name;

/// How long a server may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How often another port is tried where the one found was taken in between.
const START_TRIES_MAX: usize = 4;

/// What the servers say about themselves.
pub(crate) const IDENTITY: &str = "peer.test";
/// What the servers say about their version.
pub(crate) const VERSION: &str = "one";

/// A zone to serve.
#[derive(Clone, Debug)]
pub(crate) struct ZoneFile {
    /// The zone's name, with its dot.
    pub(crate) origin: String,
    /// The file.
    pub(crate) file: PathBuf,
}

impl ZoneFile {
    /// A zone and its file.
    pub(crate) fn new(origin: &str, file: impl Into<PathBuf>) -> Self {
        Self { origin: origin.to_owned(), file: file.into() }
    }
}

/// Which program serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program of this crate.
    Fated,
    /// NSD, with minimal responses.
    Nsd,
    /// Knot DNS.
    Knot,
    /// BIND.
    Named,
}

impl Kind {
    /// The name that messages show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fated => "fated",
            Self::Nsd => "nsd",
            Self::Knot => "knot",
            Self::Named => "named",
        }
    }

    /// Who is tested: fated, or the peer that `FATED_PEERS_AS` lets stand in for it, to prove the tests themselves.
    pub(crate) fn under_test() -> Self {
        match std::env::var("FATED_PEERS_AS").as_deref() {
            Ok("nsd") => Self::Nsd,
            Ok("knot") => Self::Knot,
            Ok("named") => Self::Named,
            Ok(other) => panic!("FATED_PEERS_AS={other}: nsd, knot or named"),
            Err(_) => Self::Fated,
        }
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Which program it is.
    pub(crate) kind: Kind,
    /// Where it answers, UDP and TCP.
    pub(crate) address: SocketAddr,
    /// Its folder; the control socket of fated is `control.sock` in it.
    pub(crate) folder: tempfile::TempDir,
    /// The process.
    process: Process,
    /// What fated says on stderr since it serves; nothing of the peers.
    lines: Mutex<mpsc::Receiver<String>>,
}

/// A child process that leads a group of its own, which ends with this value.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command as the leader of a new process group.
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.process_group(0).stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// How the process ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child can be waited for")
    }

    /// Sends a signal to the whole group.
    pub(crate) fn signal(&self, signal: &str) {
        let group = format!("-{}", self.0.id());
        // The group may be gone already, which is what most signals here want.
        let _ = Command::new("kill").args(["-s", signal, "--", &group]).stderr(Stdio::null()).status();
    }

    /// Waits for the end, up to a bound.
    pub(crate) fn wait(&mut self, bound: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if start.elapsed() > bound {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("TERM");
        if self.wait(STOP_PATIENCE).is_none() {
            self.signal("KILL");
            let _ = self.0.wait();
        }
    }
}

impl Server {
    /// Starts a server for `zones` and waits until it answers for each of them.
    pub(crate) fn start(kind: Kind, zones: &[ZoneFile]) -> Self {
        Self::start_with(kind, zones, &[])
    }

    /// The same with more arguments for fated; the peers don't take any.
    pub(crate) fn start_with(kind: Kind, zones: &[ZoneFile], arguments: &[&str]) -> Self {
        Self::start_as(kind, zones, IDENTITY, arguments)
    }

    /// The same for a peer that says another identity; fated takes its own from a configuration among `arguments`.
    pub(crate) fn start_as(kind: Kind, zones: &[ZoneFile], identity: &str, arguments: &[&str]) -> Self {
        for _ in 0..START_TRIES_MAX {
            let started = match kind {
                Kind::Fated => Ok(start_fated(zones, arguments)),
                Kind::Nsd | Kind::Knot | Kind::Named => start_peer(kind, zones, identity),
            };
            match started {
                Ok(server) => return server,
                Err(log) => eprintln!("{} did not start, trying another port:\n{log}", kind.name()),
            }
        }
        panic!("{} did not start", kind.name());
    }

    /// The control socket of fated.
    pub(crate) fn control(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Ends the server and returns all that it said since it serves.
    pub(crate) fn end(mut self) -> Vec<String> {
        self.process.signal("TERM");
        assert!(self.process.wait(STOP_PATIENCE).is_some(), "{} does not end", self.kind.name());
        // The lines end with the process.
        self.lines.into_inner().expect("nobody else holds the lines").iter().collect()
    }

    /// What a peer has logged; nothing of fated.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The process id, which is that of its group too.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The process of the server.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A port of loopback that is free for UDP and TCP now.
pub(crate) fn free_port() -> u16 {
    for _ in 0..64 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let port = tcp.local_addr().expect("a bound socket has an address").port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of loopback is free for both UDP and TCP");
}

/// Starts the program of this crate on a port of the kernel's choice and reads the port from its first lines.
fn start_fated(zones: &[ZoneFile], arguments: &[&str]) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--control"]);
    command.arg(folder.path().join("control.sock"));
    for zone in zones {
        command.arg("--zone").arg(format!("{}={}", zone.origin, zone.file.display()));
    }
    command.args(arguments).current_dir(folder.path()).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut process = Process::start(&mut command);
    let stderr = process.0.stderr.take().expect("stderr is a pipe");
    let (sender, receiver) = mpsc::channel();
    // The thread goes on reading, so that a talkative server never blocks on its pipe; it ends with the server.
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if std::env::var_os("FATED_TESTS_SHOW").is_some() {
                eprintln!("fated: {line}");
            }
            let _ = sender.send(line);
        }
    });
    let start = Instant::now();
    let mut log = String::new();
    loop {
        match receiver.recv_timeout(START_PATIENCE.saturating_sub(start.elapsed())) {
            Ok(line) => {
                if line.contains("serving")
                    && let Some(address) = loopback_address(&line)
                {
                    return Server { kind: Kind::Fated, address, folder, process, lines: Mutex::new(receiver) };
                }
                log.push_str(&line);
                log.push('\n');
            }
            Err(_) => panic!("fated does not say that it is serving; it said:\n{log}"),
        }
    }
}

/// The first `127.0.0.1:PORT` in a line.
fn loopback_address(line: &str) -> Option<SocketAddr> {
    let from = line.find("127.0.0.1:")?;
    let text = &line[from..];
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(text.len());
    text[..end].trim_end_matches([':', '.']).parse().ok()
}

/// Starts a peer on a free port; the log where it ended or did not answer.
fn start_peer(kind: Kind, zones: &[ZoneFile], identity: &str) -> Result<Server, String> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let config = folder.path().join("server.conf");
    let (program, arguments, text) = match kind {
        Kind::Nsd => ("nsd", vec!["-d", "-c"], nsd_config(folder.path(), address.port(), zones, identity)),
        Kind::Knot => ("knotd", vec!["-c"], knot_config(folder.path(), address.port(), zones, identity)),
        Kind::Named => {
            ("named", vec!["-g", "-n", "1", "-c"], named_config(folder.path(), address.port(), zones, identity))
        }
        Kind::Fated => unreachable!("fated is no peer of itself"),
    };
    fs::write(&config, text).expect("the folder can be written to");
    let log = folder.path().join("log");
    let out = fs::File::create(&log).expect("the folder can be written to");
    let program = super::program(program).unwrap_or_else(|| panic!("{program} not installed; run tests/needs.sh"));
    let mut command = Command::new(program);
    command.args(arguments).arg(&config).stdout(out.try_clone().expect("a file can be cloned")).stderr(out);
    let mut process = Process::start(&mut command);
    for zone in zones {
        let query = Query::new(&name::name(&zone.origin), 6);
        let start = Instant::now();
        while !ask::ask_until(address, &query, Duration::from_secs(1), |reply| {
            reply.rcode() == 0 && reply.flags & 0x0400 != 0
        }) {
            if process.ended().is_some() || start.elapsed() > START_PATIENCE {
                return Err(format!("{}: {}", zone.origin, fs::read_to_string(&log).unwrap_or_default()));
            }
        }
    }
    Ok(Server { kind, address, folder, process, lines: Mutex::new(mpsc::channel().1) })
}

/// The configuration of NSD.
fn nsd_config(folder: &Path, port: u16, zones: &[ZoneFile], identity: &str) -> String {
    let folder = folder.display();
    let mut text = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: \"\"\n  \
         chroot: \"\"\n  database: \"\"\n\
         \x20 zonesdir: \"{folder}\"\n  pidfile: \"{folder}/nsd.pid\"\n  xfrdfile: \"{folder}/xfrd.state\"\n  \
         zonelistfile: \"{folder}/zone.list\"\n  xfrdir: \"{folder}\"\n  minimal-responses: yes\n  refuse-any: no\n  \
         round-robin: no\n  identity: \"{identity}\"\n  version: \"{VERSION}\"\n  nsid: \"ascii_{identity}\"\n  \
         tcp-count: 200\n  rrl-ratelimit: 0\n  verbosity: 1\nremote-control:\n  control-enable: no\n"
    );
    for zone in zones {
        let line = format!("zone:\n  name: \"{}\"\n  zonefile: \"{}\"\n", zone.origin, zone.file.display());
        text.push_str(&line);
    }
    text
}

/// The configuration of Knot DNS.
fn knot_config(folder: &Path, port: u16, zones: &[ZoneFile], identity: &str) -> String {
    let folder = folder.display();
    let mut text = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{folder}\"\n  identity: \"{identity}\"\n  \
         version: \"{VERSION}\"\n  nsid: \"{identity}\"\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         control:\n  listen: \"{folder}/knot.sock\"\ndatabase:\n  storage: \"{folder}\"\n\
         log:\n- target: stderr\n  any: warning\nzone:\n"
    );
    for zone in zones {
        let line = format!(
            "- domain: \"{}\"\n  file: \"{}\"\n  journal-content: none\n  zonefile-sync: -1\n",
            zone.origin,
            zone.file.display()
        );
        text.push_str(&line);
    }
    text
}

/// The configuration of BIND.
fn named_config(folder: &Path, port: u16, zones: &[ZoneFile], identity: &str) -> String {
    let folder = folder.display();
    let mut text = format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         recursion no; minimal-responses yes; minimal-any yes; notify no; dnssec-validation no; server-id \
         \"{identity}\"; version \"{VERSION}\"; pid-file \"{folder}/named.pid\"; session-keyfile \
         \"{folder}/session.key\"; check-names primary ignore; masterfile-format text; check-integrity no; \
         max-types-per-name 0; max-records-per-type 0; empty-zones-enable no; querylog no; }};\ncontrols {{ }};\n"
    );
    for zone in zones {
        let line = format!("zone \"{}\" {{ type primary; file \"{}\"; }};\n", zone.origin, zone.file.display());
        text.push_str(&line);
    }
    text
}
