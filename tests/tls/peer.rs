//! NSD and BIND with TLS, as secondaries of fated and as its primaries.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::authority::{Authority, Issued};
use super::command::zone;
use super::common::ask::ask_until;
use super::common::message::{Query, Record};
use super::common::name::name;
use super::common::program;
use super::common::server::{Process, free_port};
use super::node::{PATIENCE, SOA, serial_of, whole};

/// How often another port is tried where the one found was taken in between.
const START_TRIES_MAX: usize = 4;

/// Which program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nsd,
    Named,
}

/// What it is to fated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// It has the zone from this address, whose certificate is for `dot.test`.
    Secondary(SocketAddr),
    /// It gives the zone to whoever speaks TLS.
    Primary,
    /// The same to whoever has a certificate of the authority.
    StrictPrimary,
}

/// One that runs.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    /// Where it speaks TLS.
    pub(crate) tls: SocketAddr,
    folder: tempfile::TempDir,
    process: Process,
}

impl Peer {
    /// Starts one that shows `shown`, and waits until it answers anything at all.
    pub(crate) fn start(kind: Kind, role: Role, authority: &Authority, shown: &Issued) -> Self {
        for _ in 0..START_TRIES_MAX {
            let mut peer = Self::spawn(kind, role, authority, shown);
            let (query, end) = (Query::new(&name("started.test."), 6), Instant::now() + PATIENCE);
            while peer.process.ended().is_none() && Instant::now() < end {
                if ask_until(peer.address, &query, Duration::from_millis(200), |_| true) {
                    return peer;
                }
            }
            eprintln!("{kind:?} did not start, trying other ports:\n{}", peer.log());
        }
        panic!("{kind:?} did not start");
    }

    fn spawn(kind: Kind, role: Role, authority: &Authority, shown: &Issued) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [address, tls] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let (path, ports) = (folder.path(), [address.port(), tls.port()]);
        if !matches!(role, Role::Secondary(_)) {
            fs::write(path.join("example.test.zone"), zone(7)).expect("writes");
        }
        let (tool, arguments, text) = match kind {
            Kind::Nsd => ("nsd", vec!["-d", "-c", "server.conf"], nsd(path, ports, role, authority, shown)),
            Kind::Named => {
                ("named", vec!["-g", "-n", "1", "-c", "server.conf"], named(path, ports, role, authority, shown))
            }
        };
        fs::write(path.join("server.conf"), text).expect("writes");
        let log = fs::File::create(path.join("log")).expect("writes");
        let mut command = Command::new(program(tool).expect("it was looked for"));
        command.args(arguments).current_dir(path).stdout(log.try_clone().expect("a file")).stderr(log);
        let process = Process::start(&mut command);
        Self { kind, address, tls, folder, process }
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until it says something.
    pub(crate) fn wait_for_log(&self, part: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(part) {
            assert!(Instant::now() < end, "{:?} does not say {part:?}:\n{}", self.kind, self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it serves that version of the zone, and returns all records.
    pub(crate) fn records(&self, serial: u32) -> Vec<Record> {
        let (query, mut seen) = (Query::new(&name("example.test."), SOA), None);
        let is_there = ask_until(self.address, &query, PATIENCE, |reply| {
            seen = reply.sections[0].first().map(|soa| serial_of(&soa.rdata));
            seen == Some(serial)
        });
        assert!(is_there, "{:?} has serial {seen:?} and not {serial}:\n{}", self.kind, self.log());
        let mut stream = std::net::TcpStream::connect(self.address).expect("it listens");
        whole(&mut stream, "example.test.").expect("it gives the zone to everybody")
    }
}

/// The configuration of NSD.
fn nsd(folder: &Path, [port, tls]: [u16; 2], role: Role, authority: &Authority, shown: &Issued) -> String {
    let folder = folder.display();
    let (certificate, key, ca) = (shown.certificate.display(), shown.key.display(), authority.file());
    let mut text = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
         database: \"\"\n  zonesdir: \"{folder}\"\n  pidfile: \"{folder}/nsd.pid\"\n  \
         xfrdfile: \"{folder}/xfrd.state\"\n  zonelistfile: \"{folder}/zone.list\"\n  xfrdir: \"{folder}\"\n  \
         xfrd-reload-timeout: 0\n  rrl-ratelimit: 0\n  verbosity: 2\n  tls-cert-bundle: \"{}\"\n",
        ca.display()
    );
    let zone = match role {
        Role::Secondary(primary) => {
            text += "remote-control:\n  control-enable: no\n";
            text += &format!(
                "tls-auth:\n  name: fated\n  auth-domain-name: dot.test\n  client-cert: \"{certificate}\"\n  \
                 client-key: \"{key}\"\n"
            );
            format!("request-xfr: 127.0.0.1@{} NOKEY fated\n  allow-notify: 127.0.0.1 NOKEY", primary.port())
        }
        Role::Primary | Role::StrictPrimary => {
            text += &format!(
                "  ip-address: 127.0.0.1@{tls}\n  tls-port: {tls}\n  tls-service-pem: \"{certificate}\"\n  \
                 tls-service-key: \"{key}\"\nremote-control:\n  control-enable: no\n"
            );
            String::new()
        }
    };
    let file = "zonefile: \"example.test.zone\"";
    text + &format!("zone:\n  name: example.test\n  {file}\n  provide-xfr: 127.0.0.0/8 NOKEY\n  {zone}\n")
}

/// The configuration of BIND.
fn named(folder: &Path, [port, tls]: [u16; 2], role: Role, authority: &Authority, shown: &Issued) -> String {
    let folder = folder.display();
    let own = format!("cert-file {:?}; key-file {:?};", shown.certificate, shown.key);
    let ca = format!("ca-file {:?};", authority.file());
    let (blocks, listen, zone) = match role {
        Role::Secondary(primary) => (
            format!("tls fated {{ {own} {ca} remote-hostname \"dot.test\"; }};"),
            String::new(),
            format!("type secondary; primaries {{ 127.0.0.1 port {} tls fated; }};", primary.port()),
        ),
        Role::Primary => (format!("tls own {{ {own} }};"), listen_tls(tls), "type primary;".to_owned()),
        Role::StrictPrimary => (format!("tls own {{ {own} {ca} }};"), listen_tls(tls), "type primary;".to_owned()),
    };
    format!(
        "{blocks}\noptions {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; {listen} \
         listen-on-v6 {{ none; }}; recursion no; notify no; dnssec-validation no; pid-file \"{folder}/named.pid\"; \
         session-keyfile \"{folder}/session.key\"; masterfile-format text; empty-zones-enable no; \
         allow-transfer {{ 127.0.0.0/8; }}; }};\ncontrols {{ }};\n\
         zone \"example.test\" {{ {zone} file \"example.test.zone\"; }};\n"
    )
}

/// Where BIND speaks TLS.
fn listen_tls(port: u16) -> String {
    format!("listen-on port {port} tls own {{ 127.0.0.1; }};")
}
