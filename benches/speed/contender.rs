//! Who is measured, and how each is set up: one thread or process for answers, no logs, minimal answers.
//!
//! What a server does by default stays, above all PowerDNS's caches. Each runs in a folder of its own, on a port of
//! loopback that the kernel gave, and ends with its value.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use fated::sys::cpu::{self, Cpu};

use super::common;
use super::common::message::{AA, Message, Query};
use super::common::server::{ZoneFile, free_port};
use super::keep::{Child, Folder};
use super::meter::Meter;
use super::sample::SILENCE;
use super::zones::{Material, Signing};

/// How long a server may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(600);
/// How often a server that starts is asked.
const START_POLL: Duration = Duration::from_millis(2);
/// How often another port is tried where the one found was taken in between.
const START_TRIES_MAX: usize = 4;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Contender {
    /// The server of this crate
    Fated,
    /// A program that only sends datagrams back, or prepared octets over TCP
    Floor,
    /// NSD
    Nsd,
    /// Knot DNS
    Knot,
    /// PowerDNS with its backend for BIND's files
    #[value(name = "pdns")]
    PowerDns,
    /// BIND
    #[value(name = "named")]
    Bind,
}

impl Contender {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 6] = [Self::Fated, Self::Floor, Self::Nsd, Self::Knot, Self::PowerDns, Self::Bind];
    /// The servers to compare with.
    pub(crate) const PEERS: [Self; 4] = [Self::Nsd, Self::Knot, Self::PowerDns, Self::Bind];

    /// The name that people see.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fated => "fated",
            Self::Floor => "floor",
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::PowerDns => "PowerDNS",
            Self::Bind => "BIND",
        }
    }

    /// Whether it is one of the servers to compare with.
    pub(crate) fn is_peer(self) -> bool {
        Self::PEERS.contains(&self)
    }

    /// The programs that a peer needs, the server first.
    pub(crate) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Fated | Self::Floor => &[],
            Self::Nsd => &["nsd"],
            Self::Knot => &["knotd"],
            Self::PowerDns => &["pdns_server", "pdnsutil"],
            Self::Bind => &["named"],
        }
    }

    /// The version of a peer, as its program prints it.
    pub(crate) fn version(self) -> Option<String> {
        let argument = match self {
            Self::Fated | Self::Floor => return None,
            Self::Nsd | Self::Bind => "-v",
            Self::Knot => "-V",
            Self::PowerDns => "--version",
        };
        let output = Command::new(common::program(self.programs()[0])?).arg(argument).stdin(Stdio::null()).output();
        let output = output.ok()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.matches('.').count() >= 2;
        said.split_whitespace().find(is_version).map(str::to_owned)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a server is started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    /// The program under test.
    pub(crate) fated: &'a Path,
    /// What is served.
    pub(crate) material: &'a Material,
    /// How it is signed.
    pub(crate) signing: Signing,
    /// The CPU that the server stays on; `None` for all of them.
    pub(crate) cpu: Option<Cpu>,
    /// Octets of the floor's replies.
    pub(crate) floor_bytes: usize,
    /// Questions that must be answered with authority and without error before the server counts as started.
    pub(crate) ready: &'a [Query],
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Running {
    /// Who it is.
    pub(crate) contender: Contender,
    /// Where it answers, UDP and TCP.
    pub(crate) address: SocketAddr,
    /// What it uses.
    pub(crate) meter: Meter,
    /// The time from its start to its first answer for every question of [`Setup::ready`].
    pub(crate) start_time: Duration,
    /// Its process; ends before the folder does.
    _child: Child,
    /// Its folder.
    folder: Folder,
}

impl Running {
    /// Starts a server and waits for its first answers.
    ///
    /// # Errors
    /// It does not start, or does not answer in time; with the end of its log.
    pub(crate) fn start(contender: Contender, setup: &Setup<'_>) -> io::Result<Self> {
        let mut last = None;
        for _ in 0..START_TRIES_MAX {
            match Self::try_start(contender, setup) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
                outcome => return outcome,
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }

    /// Starts a server once; [`io::ErrorKind::AddrInUse`] where it ended and its log says so.
    fn try_start(contender: Contender, setup: &Setup<'_>) -> io::Result<Self> {
        let folder = Folder::new()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let site = Place { folder: folder.path(), address, setup };
        let mut command = site.command(contender)?;
        let log = folder.path().join("log");
        let out = File::create(&log)?;
        command.current_dir(folder.path()).stdout(out.try_clone()?).stderr(out);
        let begin = Instant::now();
        let mut child = start_on(setup.cpu, &mut command)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        for query in setup.ready {
            while !is_answered(contender, address, query) {
                if child.process.ended().is_some() || begin.elapsed() > START_PATIENCE {
                    let said = said();
                    let is_taken = said.contains("in use");
                    let kind = if is_taken { io::ErrorKind::AddrInUse } else { io::ErrorKind::Other };
                    let end: Vec<&str> = said.lines().rev().take(20).collect();
                    let end: Vec<&str> = end.into_iter().rev().collect();
                    let text = format!("{contender} does not answer {query}; it said:\n{}", end.join("\n"));
                    return Err(io::Error::new(kind, text));
                }
                std::thread::sleep(START_POLL);
            }
        }
        let start_time = begin.elapsed();
        let meter = Meter::of(child.process.id());
        Ok(Self { contender, address, meter, start_time, _child: child, folder })
    }

    /// The control socket of fated.
    pub(crate) fn control(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }
}

/// Starts a command on a CPU: a child inherits where its parent may run.
fn start_on(cpu: Option<Cpu>, command: &mut Command) -> io::Result<Child> {
    let start = move || {
        if let Some(cpu) = cpu {
            cpu::pin(cpu)?;
        }
        Ok(Child::start(command))
    };
    std::thread::scope(|scope| scope.spawn(start).join()).map_err(|_| io::Error::other("the server does not start"))?
}

/// Runs a command on a CPU and returns what it said on stdout.
///
/// # Errors
/// It does not start, or ends with another code than 0; with what it said on stderr.
pub(crate) fn output_on(cpu: Cpu, command: &mut Command) -> io::Result<String> {
    let out = tempfile::tempfile()?;
    let said = tempfile::tempfile()?;
    command.stdout(out.try_clone()?).stderr(said.try_clone()?);
    let mut child = start_on(Some(cpu), command)?;
    let status = child.process.wait(START_PATIENCE);
    let read = |mut file: File| {
        let mut text = String::new();
        io::Seek::rewind(&mut file)?;
        io::Read::read_to_string(&mut file, &mut text).map(|_| text)
    };
    if status.is_some_and(|status| status.success()) {
        return read(out);
    }
    Err(io::Error::other(format!("{command:?}: {status:?}: {}{}", read(out)?, read(said)?)))
}

/// Whether a server answers a query as one that has loaded does.
fn is_answered(contender: Contender, address: SocketAddr, query: &Query) -> bool {
    let socket = common::ask::udp_socket(address);
    let mut buffer = [0; 4096];
    socket.set_read_timeout(Some(SILENCE)).expect("a timeout can be set");
    if socket.send(&query.encode(7)).is_err() {
        return false;
    }
    let Ok(length) = socket.recv(&mut buffer) else { return false };
    contender == Contender::Floor
        || Message::parse(&buffer[..length])
            .is_ok_and(|reply| reply.rcode() == 0 && reply.has(AA) && !reply.sections[0].is_empty())
}

/// Where a server is put.
struct Place<'a> {
    /// Its folder.
    folder: &'a Path,
    /// Its address.
    address: SocketAddr,
    /// What it is started with.
    setup: &'a Setup<'a>,
}

impl Place<'_> {
    /// The command that starts a server, its configuration written.
    fn command(&self, contender: Contender) -> io::Result<Command> {
        if contender == Contender::Fated {
            return Ok(self.fated());
        }
        if contender == Contender::Floor {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--bench", "--serve-floor", &format!("{}@{}", self.setup.floor_bytes, self.address)]);
            return Ok(command);
        }
        let (arguments, text) = match contender {
            Contender::Nsd => (vec!["-d", "-c"], self.nsd()),
            Contender::Knot => (vec!["-c"], self.knot()),
            Contender::Bind => (vec!["-f", "-n", "1", "-c"], self.bind()),
            Contender::PowerDns => return self.powerdns(),
            Contender::Fated | Contender::Floor => unreachable!("returned above"),
        };
        let config = self.folder.join("server.conf");
        fs::write(&config, text)?;
        let mut command = Command::new(program(contender.programs()[0])?);
        command.args(arguments).arg(config);
        Ok(command)
    }

    /// The zones.
    fn zones(&self) -> &[ZoneFile] {
        &self.setup.material.zones
    }

    /// fated with one UDP worker, which also means one TCP thread.
    fn fated(&self) -> Command {
        let mut command = Command::new(self.setup.fated);
        command.args(["serve", "--workers", "1", "--listen", &self.address.to_string(), "--control"]);
        command.arg(self.folder.join("control.sock"));
        match &self.setup.material.folder {
            Some(folder) => {
                command.arg("--zones").arg(folder);
            }
            None => {
                for zone in self.zones() {
                    command.arg("--zone").arg(format!("{}={}", zone.origin, zone.file.display()));
                }
            }
        }
        command
    }

    /// The configuration of NSD.
    fn nsd(&self) -> String {
        let (folder, port) = (self.folder.display(), self.address.port());
        let mut text = format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
             database: \"\"\n  zonesdir: \"{folder}\"\n  pidfile: \"{folder}/nsd.pid\"\n  \
             xfrdfile: \"{folder}/xfrd.state\"\n  zonelistfile: \"{folder}/zone.list\"\n  xfrdir: \"{folder}\"\n  \
             minimal-responses: yes\n  tcp-count: 200\n  rrl-ratelimit: 0\n  verbosity: 0\n\
             remote-control:\n  control-enable: no\n"
        );
        for zone in self.zones() {
            text.push_str(&format!("zone:\n  name: \"{}\"\n  zonefile: \"{}\"\n", zone.origin, zone.file.display()));
        }
        text
    }

    /// The configuration of Knot DNS; zones are read by as many threads as there are CPUs.
    fn knot(&self) -> String {
        let (folder, port) = (self.folder.display(), self.address.port());
        let readers = if self.setup.cpu.is_some() { 1 } else { cpu::allowed().map_or(1, |cpus| cpus.len()) };
        let mut text = format!(
            "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{folder}\"\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: {readers}\ncontrol:\n  listen: \"{folder}/knot.sock\"\n\
             database:\n  storage: \"{folder}\"\nlog:\n- target: stderr\n  any: error\n\
             template:\n- id: default\n  journal-content: none\n  zonefile-sync: -1\nzone:\n"
        );
        for zone in self.zones() {
            text.push_str(&format!("- domain: \"{}\"\n  file: \"{}\"\n", zone.origin, zone.file.display()));
        }
        text
    }

    /// The configuration of BIND.
    fn bind(&self) -> String {
        let (folder, port) = (self.folder.display(), self.address.port());
        let mut text = format!(
            "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             recursion no; minimal-responses yes; notify no; dnssec-validation no; \
             pid-file \"{folder}/named.pid\"; session-keyfile \"{folder}/session.key\"; check-names primary ignore; \
             masterfile-format text; empty-zones-enable no; querylog no; }};\ncontrols {{ }};\n\
             logging {{ channel errors {{ stderr; severity error; }}; category default {{ errors; }}; }};\n"
        );
        text.push_str(&self.bind_zones());
        text
    }

    /// The zones as BIND, and PowerDNS's backend, have them.
    fn bind_zones(&self) -> String {
        let line = |zone: &ZoneFile| {
            format!("zone \"{}\" {{ type primary; file \"{}\"; }};\n", zone.origin, zone.file.display())
        };
        self.zones().iter().map(line).collect()
    }

    /// PowerDNS: the caches as they come, one receiver, no distributor; signed zones are marked as such in its
    /// configuration.
    fn powerdns(&self) -> io::Result<Command> {
        let (folder, port) = (self.folder.display(), self.address.port());
        let named = self.folder.join("named.conf");
        let mut out = io::BufWriter::new(File::create(&named)?);
        writeln!(out, "options {{ directory \"{folder}\"; }};")?;
        // It knows the older word only.
        out.write_all(self.bind_zones().replace("type primary", "type master").as_bytes())?;
        out.flush()?;
        let mut text = format!(
            "launch=bind\nbind-config={folder}/named.conf\nlocal-address=127.0.0.1\nlocal-port={port}\n\
             socket-dir={folder}\nguardian=no\ndaemon=no\ndisable-syslog=yes\nloglevel=3\nreceiver-threads=1\n\
             distributor-threads=1\nsecurity-poll-suffix=\n"
        );
        let is_signed = self.setup.signing != Signing::Unsigned;
        let keys = self.folder.join("dnssec.sqlite3");
        if is_signed {
            text.push_str(&format!("bind-dnssec-db={}\n", keys.display()));
        }
        fs::write(self.folder.join("pdns.conf"), text)?;
        let tool = |arguments: &[&str]| {
            let mut command = Command::new(program("pdnsutil")?);
            command.arg(format!("--config-dir={folder}")).args(arguments).stdin(Stdio::null());
            let output = command.output()?;
            let said = || String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {}", said()))) }
        };
        if is_signed {
            tool(&["create-bind-db", &keys.display().to_string()])?;
            for zone in self.zones() {
                let origin = zone.origin.trim_end_matches('.');
                if self.setup.signing == Signing::Nsec3 {
                    tool(&["set-nsec3", origin, "1 0 0 -"])?;
                }
                tool(&["set-presigned", origin])?;
            }
        }
        let mut command = Command::new(program("pdns_server")?);
        command.arg(format!("--config-dir={folder}"));
        Ok(command)
    }
}

/// The path of a program that was looked for before.
fn program(name: &str) -> io::Result<PathBuf> {
    common::program(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name} is not installed")))
}
