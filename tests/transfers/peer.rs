//! NSD, Knot DNS, BIND and PowerDNS as secondaries of fated.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::client;
use super::common::ask::ask_until;
use super::common::message::{Query, Record};
use super::common::name::name;
use super::common::program;
use super::common::server::{Process, free_port};
use super::primary::{KEY, Primary, SECRET};

/// What these tests need.
pub(crate) const PROGRAMS: [&str; 7] =
    ["nsd", "knotd", "named", "pdns_server", "pdnsutil", "dnssec-signzone", "dnssec-keygen"];
/// How often another port is tried where the one found was taken in between.
const START_TRIES_MAX: usize = 4;

/// Which program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nsd,
    Knot,
    Named,
    Pdns,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Nsd, Self::Knot, Self::Named, Self::Pdns];
}

/// A secondary.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
    process: Process,
}

impl Peer {
    /// Starts a secondary for zones of a primary.
    pub(crate) fn start(kind: Kind, primary: &Primary, zones: &[&str]) -> Self {
        for _ in 0..START_TRIES_MAX {
            let mut peer = Self::spawn(kind, primary, zones);
            // Any answer will do: REFUSED and SERVFAIL too.
            let query = Query::new(&name("started.test."), 6);
            let end = Instant::now() + super::PATIENCE;
            while peer.process.ended().is_none() && Instant::now() < end {
                if ask_until(peer.address, &query, Duration::from_millis(200), |_| true) {
                    return peer;
                }
            }
            eprintln!("{kind:?} did not start, trying another port:\n{}", peer.log());
        }
        panic!("{kind:?} did not start");
    }

    fn spawn(kind: Kind, primary: &Primary, zones: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (path, ports) = (folder.path(), [address.port(), primary.address().port()]);
        let algorithm = primary.algorithm.0;
        let (tool, arguments, text) = match kind {
            Kind::Nsd => ("nsd", vec!["-d", "-c", "server.conf"], nsd(path, ports, algorithm, zones)),
            Kind::Knot => ("knotd", vec!["-c", "server.conf"], knot(path, ports, algorithm, zones)),
            Kind::Named => ("named", vec!["-g", "-n", "1", "-c", "server.conf"], named(path, ports, algorithm, zones)),
            Kind::Pdns => ("pdns_server", vec!["--config-dir=."], pdns(path, ports, algorithm, zones)),
        };
        let config = if kind == Kind::Pdns { "pdns.conf" } else { "server.conf" };
        fs::write(path.join(config), text).expect("writes");
        if kind == Kind::Pdns {
            prepare_pdns(path, algorithm, zones);
        }
        let log = fs::File::create(path.join("log")).expect("writes");
        let mut command = Command::new(program(tool).expect("it was looked for"));
        command.args(arguments).current_dir(path).stdout(log.try_clone().expect("a file")).stderr(log);
        let process = Process::start(&mut command);
        Self { kind, address, folder, process }
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// All records of that version of a zone. A process of NSD's that is about to end may still send an older one, or
    /// none.
    pub(crate) fn records(&self, zone: &str, serial: u32) -> Vec<Record> {
        let end = Instant::now() + super::PATIENCE;
        loop {
            let sent = client::whole(self.address, client::ALLOWED, zone);
            match sent {
                Ok(records) if client::serial(&records[0]) == serial => return records,
                other => assert!(Instant::now() < end, "{:?} sends {other:?} of {zone}:\n{}", self.kind, self.log()),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it serves that version.
    pub(crate) fn wait_for(&self, zone: &str, serial: u32, bound: Duration) {
        let query = Query::new(&name(zone), client::SOA);
        let mut seen = None;
        let is_there = ask_until(self.address, &query, bound, |reply| {
            seen = reply.sections[0].first().map(client::serial);
            seen == Some(serial)
        });
        assert!(is_there, "{:?} has serial {seen:?} of {zone} and not {serial}:\n{}", self.kind, self.log());
    }
}

/// The configuration of NSD.
fn nsd(folder: &Path, [port, primary]: [u16; 2], algorithm: &str, zones: &[&str]) -> String {
    let folder = folder.display();
    let mut text = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
         database: \"\"\n  zonesdir: \"{folder}\"\n  pidfile: \"{folder}/nsd.pid\"\n  \
         xfrdfile: \"{folder}/xfrd.state\"\n  zonelistfile: \"{folder}/zone.list\"\n  xfrdir: \"{folder}\"\n  \
         xfrd-reload-timeout: 0\n  rrl-ratelimit: 0\n  verbosity: 2\n\
         remote-control:\n  control-enable: no\n\
         key:\n  name: \"{KEY}\"\n  algorithm: {algorithm}\n  secret: \"{SECRET}\"\n"
    );
    for (index, zone) in zones.iter().enumerate() {
        text += &format!(
            "zone:\n  name: \"{zone}\"\n  zonefile: \"{index}.zone\"\n  request-xfr: 127.0.0.1@{primary} {KEY}\n  \
             allow-notify: 127.0.0.1 {KEY}\n  provide-xfr: 127.0.0.0/8 NOKEY\n"
        );
    }
    text
}

/// The configuration of Knot DNS.
fn knot(folder: &Path, [port, primary]: [u16; 2], algorithm: &str, zones: &[&str]) -> String {
    let folder = folder.display();
    let mut text = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{folder}\"\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\ncontrol:\n  listen: \"{folder}/knot.sock\"\ndatabase:\n  storage: \"{folder}\"\n\
         log:\n- target: stderr\n  any: info\n\
         key:\n- id: {KEY}\n  algorithm: {algorithm}\n  secret: {SECRET}\n\
         remote:\n- id: primary\n  address: 127.0.0.1@{primary}\n  key: {KEY}\n\
         acl:\n- id: notify\n  address: 127.0.0.1\n  key: {KEY}\n  action: notify\n\
         - id: transfer\n  address: 127.0.0.0/8\n  action: transfer\nzone:\n"
    );
    for (index, zone) in zones.iter().enumerate() {
        text += &format!(
            "- domain: \"{zone}\"\n  file: \"{folder}/{index}.zone\"\n  zonefile-sync: -1\n  master: primary\n  \
             acl: [notify, transfer]\n"
        );
    }
    text
}

/// The configuration of BIND.
fn named(folder: &Path, [port, primary]: [u16; 2], algorithm: &str, zones: &[&str]) -> String {
    let folder = folder.display();
    let mut text = format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         recursion no; notify no; dnssec-validation no; pid-file \"{folder}/named.pid\"; \
         session-keyfile \"{folder}/session.key\"; masterfile-format text; empty-zones-enable no; \
         allow-transfer {{ 127.0.0.0/8; }}; check-names secondary ignore; }};\ncontrols {{ }};\n\
         key \"{KEY}\" {{ algorithm {algorithm}; secret \"{SECRET}\"; }};\n"
    );
    for (index, zone) in zones.iter().enumerate() {
        text += &format!(
            "zone \"{zone}\" {{ type secondary; file \"{index}.zone\"; \
             primaries {{ 127.0.0.1 port {primary} key \"{KEY}\"; }}; allow-notify {{ key \"{KEY}\"; }}; }};\n"
        );
    }
    text
}

/// The configuration of PowerDNS; its zones stand in a file beside it.
fn pdns(folder: &Path, [port, primary]: [u16; 2], _algorithm: &str, zones: &[&str]) -> String {
    let path = folder.display();
    let zone = |(index, zone): (usize, &&str)| {
        let zone = if *zone == "." { "." } else { zone.trim_end_matches('.') };
        format!(
            "zone \"{zone}\" {{ type slave; file \"{path}/{index}.zone\"; masters {{ 127.0.0.1:{primary}; }}; }};\n"
        )
    };
    let list: String = zones.iter().enumerate().map(zone).collect();
    fs::write(folder.join("named.conf"), list).expect("writes");
    format!(
        "launch=bind\nbind-config={path}/named.conf\nbind-dnssec-db={path}/keys.db\nlocal-address=127.0.0.1\n\
         local-port={port}\nslave=yes\nallow-axfr-ips=127.0.0.0/8\nslave-cycle-interval=60\nsocket-dir={path}\n\
         daemon=no\nguardian=no\nwrite-pid=no\nconsistent-backends=yes\nloglevel=6\nlog-dns-queries=no\n\
         cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n"
    )
}

/// Puts the key where PowerDNS keeps such.
fn prepare_pdns(folder: &Path, algorithm: &str, zones: &[&str]) {
    let run = |arguments: &[&str]| {
        let output = Command::new("pdnsutil").arg("--config-dir=.").args(arguments).current_dir(folder).output();
        let output = output.expect("pdnsutil runs");
        assert!(output.status.success(), "pdnsutil {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = KEY.trim_end_matches('.');
    run(&["create-bind-db", "keys.db"]);
    run(&["import-tsig-key", key, algorithm, SECRET]);
    for zone in zones {
        run(&["activate-tsig-key", zone, key, "slave"]);
    }
}
