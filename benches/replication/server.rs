//! A server under measurement, in a folder of its own, with one zone from a file or from a primary.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::PATIENCE;
use crate::primary::{listen, query, serial};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fated,
    Nsd,
    Knot,
}

/// Where its zone comes from.
pub(crate) enum Role<'a> {
    Primary {
        text: &'a str,
    },
    Secondary {
        primary: SocketAddr,
    },
    /// The members of a catalog.
    Consumer {
        primary: SocketAddr,
    },
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Fated, Self::Nsd, Self::Knot];

    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fated => "fated",
            Self::Nsd => "NSD",
            Self::Knot => "Knot DNS",
        }
    }

    /// Its program.
    fn program(self) -> &'static str {
        match self {
            Self::Fated => env!("CARGO_BIN_EXE_fated"),
            Self::Nsd => "nsd",
            Self::Knot => "knotd",
        }
    }

    /// Whether it knows catalogs (RFC 9432). NSD does from 4.9 on.
    pub(crate) fn reads_catalogs(self) -> bool {
        self != Self::Nsd
    }

    /// Whether this machine has it; said loudly where not.
    pub(crate) fn is_there(self) -> bool {
        let output = Command::new(self.program()).arg(if self == Self::Nsd { "-v" } else { "--version" }).output();
        if output.is_err() {
            eprintln!("*** {} is left out: there is no {}", self.word(), self.program());
        }
        output.is_ok()
    }

    /// Its arguments and its configuration.
    fn configuration(self, folder: &Path, port: u16, role: &Role<'_>) -> (&'static [&'static str], String) {
        match self {
            Self::Fated => (&["serve", "--config", "config"], fated(port, role)),
            Self::Nsd => (&["-d", "-c", "config"], nsd(folder, port, role)),
            Self::Knot => (&["-c", "config"], knot(folder, port, role)),
        }
    }
}

/// The configuration of fated.
fn fated(port: u16, role: &Role<'_>) -> String {
    let zones = match role {
        Role::Primary { .. } => {
            "[[zone]]\nname = \"bench.test\"\nfile = \"zone\"\nallow-transfer = [{ prefix = \"127.0.0.1\" }]".to_owned()
        }
        Role::Secondary { primary } => {
            format!("[[zone]]\nname = \"bench.test\"\nprimaries = [{{ address = \"{primary}\" }}]")
        }
        Role::Consumer { primary } => format!(
            "[[template]]\nname = \"fleet\"\nprimaries = [{{ address = \"{primary}\" }}]\n\
             [[catalog]]\nname = \"catalog.test\"\ntemplate = \"fleet\""
        ),
    };
    format!("[server]\nlisten = [\"127.0.0.1:{port}\"]\nstate-dir = \"state\"\ncontrol = \"control\"\n{zones}\n")
}

/// The configuration of NSD.
fn nsd(folder: &Path, port: u16, role: &Role<'_>) -> String {
    let folder = folder.display();
    let zone = match role {
        Role::Primary { .. } => "provide-xfr: 127.0.0.1 NOKEY".to_owned(),
        Role::Secondary { primary } | Role::Consumer { primary } => {
            format!("request-xfr: 127.0.0.1@{} NOKEY\n allow-notify: 127.0.0.1 NOKEY", primary.port())
        }
    };
    format!(
        "server:\n ip-address: 127.0.0.1@{port}\n server-count: 2\n username: \"\"\n chroot: \"\"\n \
         database: \"\"\n zonesdir: \"{folder}\"\n pidfile: \"{folder}/pid\"\n \
         xfrdfile: \"{folder}/xfrd\"\n zonelistfile: \"{folder}/list\"\n xfrdir: \"{folder}\"\n \
         xfrd-reload-timeout: 0\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n\
         zone:\n name: bench.test\n zonefile: zone\n {zone}\n"
    )
}

/// The configuration of Knot DNS. A primary of a file keeps no journal of it.
fn knot(folder: &Path, port: u16, role: &Role<'_>) -> String {
    let folder = folder.display();
    let remote = match role {
        Role::Primary { .. } => String::new(),
        Role::Secondary { primary } | Role::Consumer { primary } => {
            format!("remote:\n  - id: primary\n    address: 127.0.0.1@{}\n", primary.port())
        }
    };
    let kept = "zonefile-sync: -1\n    journal-content: all\n    master: primary\n    acl: notify\n";
    let zones = match role {
        Role::Primary { .. } => format!("zone:\n  - domain: bench.test\n    file: {folder}/zone\n    acl: transfer\n"),
        Role::Secondary { .. } => format!("zone:\n  - domain: bench.test\n    file: {folder}/zone\n    {kept}"),
        Role::Consumer { .. } => format!(
            "template:\n  - id: member\n    storage: {folder}/db\n    {kept}zone:\n  - domain: catalog.test\n    \
             storage: {folder}/db\n    {kept}    catalog-role: interpret\n    catalog-template: member\n"
        ),
    };
    format!(
        "server:\n  rundir: {folder}\n  listen: 127.0.0.1@{port}\ncontrol:\n  listen: {folder}/control\n\
         database:\n  storage: {folder}/db\n{remote}acl:\n  - id: transfer\n    address: 127.0.0.1\n    \
         action: transfer\n  - id: notify\n    address: 127.0.0.1\n    action: notify\n{zones}"
    )
}

/// It runs until it is dropped.
pub(crate) struct Server {
    kind: Kind,
    pub(crate) address: SocketAddr,
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts it.
    pub(crate) fn start(kind: Kind, role: &Role<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let address = free_address();
        let (arguments, text) = kind.configuration(folder.path(), address.port(), role);
        fs::write(folder.path().join("config"), text).expect("the folder can be written to");
        fs::create_dir(folder.path().join("db")).expect("the folder can be written to");
        if let Role::Primary { text } = role {
            fs::write(folder.path().join("zone"), text).expect("the folder can be written to");
        }
        let log = fs::File::create(folder.path().join("log")).expect("the folder can be written to");
        let mut command = Command::new(kind.program());
        command.args(arguments).current_dir(folder.path()).process_group(0).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a descriptor")).stderr(log);
        let child = command.spawn().expect("it starts");
        Self { kind, address, child, folder }
    }

    /// Waits until it answers with that serial.
    pub(crate) fn wait_for_serial(&self, wanted: u32) {
        const PAUSE: Duration = Duration::from_micros(200);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
        socket.connect(self.address).expect("loopback");
        let (start, query) = (Instant::now(), query(2, 6));
        let mut reply = [0; 512];
        loop {
            // Before it listens, an error comes back.
            let length = socket.send(&query).and_then(|_| socket.recv(&mut reply));
            let seen = length.ok().and_then(|length| serial(&reply[..length]));
            if seen == Some(wanted) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{}: {seen:?}, not {wanted}:\n{}", self.kind.word(), self.log());
            thread::sleep(PAUSE);
        }
    }

    /// CPU time that its processes have used, those that have ended among them.
    pub(crate) fn cpu_time(&self) -> Duration {
        /// Ticks a second (`getconf CLK_TCK`), the same on every Linux.
        const TICKS: u32 = 100;
        let ticks: u64 = self.processes().iter().map(|stat| (13..17).map(|at| number(stat, at)).sum::<u64>()).sum();
        Duration::from_secs(ticks) / TICKS
    }

    /// Resident memory of its processes in MiB; what they share is counted once.
    pub(crate) fn memory_mib(&self) -> f64 {
        let of = |stat: &Vec<String>| {
            let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", stat[0])).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or("0").to_owned();
            line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default()
        };
        self.processes().iter().map(of).sum::<f64>() / 1024.0
    }

    /// The fields of `/proc/PID/stat` of its processes (proc(5)): those of its process group.
    fn processes(&self) -> Vec<Vec<String>> {
        let entries = fs::read_dir("/proc").expect("Linux").flatten();
        let stats = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let fields = stats.filter_map(|stat| {
            // The name stands in parentheses and may hold blanks.
            let (pid, rest) = stat.split_once(" (")?;
            let (name, rest) = rest.rsplit_once(") ")?;
            Some([pid, name].into_iter().chain(rest.split_whitespace()).map(str::to_owned).collect::<Vec<_>>())
        });
        fields.filter(|stat| stat.get(4).is_some_and(|group| *group == self.child.id().to_string())).collect()
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ours, and its children.
        let _is_gone = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _is_reaped = self.child.wait();
    }
}

/// A number among the fields of a process.
fn number(stat: &[String], at: usize) -> u64 {
    stat.get(at).and_then(|field| field.parse().ok()).unwrap_or_default()
}

/// An address of loopback whose port is free for both transports now.
fn free_address() -> SocketAddr {
    listen().0.local_addr().expect("it is bound")
}
