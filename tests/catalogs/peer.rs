//! Knot DNS, BIND and PowerDNS with a configuration of the test's own, in folders of their own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Instant;

use tempfile::TempDir;

use super::PATIENCE;
use super::common::message::{Message, Query};
use super::common::server::{Process, free_port};
use super::common::{ask, name, program};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Knot DNS.
    Knot,
    /// BIND.
    Bind,
    /// PowerDNS.
    PowerDns,
}

impl Kind {
    /// The programs that it needs.
    pub(crate) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Knot => &["knotd", "knotc"],
            Self::Bind => &["named", "rndc"],
            Self::PowerDns => &["pdns_server", "pdnsutil", "pdns_control"],
        }
    }

    /// The name of its configuration file.
    fn config(self) -> &'static str {
        if self == Self::PowerDns { "pdns.conf" } else { "server.conf" }
    }
}

/// A peer.
#[derive(Debug)]
pub(crate) struct Peer {
    kind: Kind,
    /// Where it answers.
    pub(crate) address: SocketAddr,
    folder: TempDir,
    process: Option<Process>,
}

impl Peer {
    /// Makes a folder for one; nothing runs yet.
    pub(crate) fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("the folder is ours");
        fs::create_dir(folder.path().join("db")).expect("the folder can be written to");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        Self { kind, address, folder, process: None }
    }

    /// Writes a file of its folder.
    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).expect("the folder can be written to");
    }

    /// Writes its configuration, in which `FOLDER` and `PORT` stand for its own.
    pub(crate) fn configure(&self, text: &str) {
        let folder = self.folder.path().display().to_string();
        let text = text.replace("FOLDER", &folder).replace("PORT", &self.address.port().to_string());
        self.write(self.kind.config(), &text);
    }

    /// Starts the program and waits until it answers anything at all.
    pub(crate) fn run(&mut self) {
        let folder = self.folder.path();
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
        let config = folder.join(self.kind.config());
        let mut command = match self.kind {
            Kind::Knot => Command::new(program("knotd").expect("the test has looked for it")),
            Kind::Bind => Command::new(program("named").expect("the test has looked for it")),
            Kind::PowerDns => Command::new(program("pdns_server").expect("the test has looked for it")),
        };
        match self.kind {
            Kind::Knot => command.arg("-c").arg(&config),
            Kind::Bind => command.args(["-g", "-n", "1", "-c"]).arg(&config),
            Kind::PowerDns => command.arg(format!("--config-dir={}", folder.display())),
        };
        command.stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
        let mut process = Process::start(&mut command);
        let (query, start) = (Query::new(&name::name("version.bind."), 16), Instant::now());
        while ask::udp(self.address, &query.encode(7)).is_none() {
            let is_late = process.ended().is_some() || start.elapsed() > PATIENCE;
            assert!(!is_late, "{:?}: {}", self.kind, self.log());
        }
        self.process = Some(process);
    }

    /// Ends the program; its folder stays.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a tool of it in its folder.
    pub(crate) fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program(name).expect("the test has looked for it"));
        let output = command.args(arguments).current_dir(self.folder.path()).output().expect("it runs");
        assert!(output.status.success(), "{name} {arguments:?}: {output:?}\n{}", self.log());
        output
    }

    /// Lets it look at its files again.
    pub(crate) fn reload(&self) {
        match self.kind {
            Kind::Knot => drop(self.tool("knotc", &["-s", "control", "reload"])),
            // The only way that needs no key.
            Kind::Bind => self.process.as_ref().expect("it runs").signal("HUP"),
            Kind::PowerDns => drop(self.tool("pdns_control", &["--config-dir=.", "rediscover"])),
        }
    }

    /// Waits until a reply about a zone's SOA is as it should be.
    pub(crate) fn wait(&self, origin: &str, is_it: impl Fn(&Message) -> bool) {
        let query = Query::new(&name::name(origin), 6);
        let is_there = ask::ask_until(self.address, &query, PATIENCE, is_it);
        assert!(is_there, "{:?} {origin}: {}", self.kind, self.log());
    }
}

/// Whether a zone is answered with authority.
pub(crate) fn is_served(reply: &Message) -> bool {
    reply.rcode() == 0 && reply.flags & 0x0400 != 0
}

/// Whether nothing is known of a zone.
pub(crate) fn is_refused(reply: &Message) -> bool {
    reply.rcode() == 5
}
