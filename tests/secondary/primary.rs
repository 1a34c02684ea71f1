//! NSD, Knot DNS, BIND and PowerDNS as primaries, in folders of their own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::common::message::Query;
use super::common::server::{Process, free_port};
use super::common::{ask, name, program};
use super::keys::Key;
use super::zones::{Changing, Edit, Zone};

/// How long a primary may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NSD, which makes differences when it reads a file again.
    Nsd,
    /// Knot DNS, edited over its control socket.
    Knot,
    /// The same, and it signs.
    KnotSigning,
    /// BIND, edited by dynamic updates.
    Bind,
    /// PowerDNS with its backend for zone files.
    PowerDns,
}

impl Kind {
    /// The programs that it needs.
    pub(crate) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Nsd => &["nsd", "nsd-control"],
            Self::Knot | Self::KnotSigning => &["knotd", "knotc"],
            Self::Bind => &["named", "nsupdate"],
            Self::PowerDns => &["pdns_server", "pdnsutil", "pdns_control"],
        }
    }
}

/// A primary.
#[derive(Debug)]
pub(crate) struct Primary {
    pub(crate) kind: Kind,
    /// Where it answers.
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
    zones: Vec<Zone>,
    process: Option<Process>,
}

impl Primary {
    /// Starts one for `zones` that tells `notified` of changes.
    pub(crate) fn start(kind: Kind, zones: &[Zone], notified: SocketAddr) -> Self {
        Self::start_at(kind, zones, notified, free_port(), "")
    }

    /// The same on that port; Knot takes `lines` at each zone, such as the `master` that it has the zone from.
    pub(crate) fn start_at(kind: Kind, zones: &[Zone], notified: SocketAddr, port: u16, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("the folder is ours");
        // Knot has its journal and keys there.
        fs::create_dir(folder.path().join("db")).expect("the folder can be written to");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut primary = Self { kind, address, folder, zones: zones.to_vec(), process: None };
        for zone in zones {
            primary.write(&zone.origin, &zone.text);
        }
        let text = match kind {
            Kind::Nsd => primary.nsd(notified),
            Kind::Knot | Kind::KnotSigning => primary.knot(notified, lines),
            Kind::Bind => primary.bind(notified),
            Kind::PowerDns => primary.powerdns(notified),
        };
        let config = if kind == Kind::PowerDns { "pdns.conf" } else { "server.conf" };
        fs::write(primary.folder.path().join(config), text).expect("the folder can be written to");
        if kind == Kind::PowerDns {
            primary.teach_powerdns();
        }
        primary.run();
        primary
    }

    /// Starts the program and waits until it answers for all zones that it has the files of.
    pub(crate) fn run(&mut self) {
        let folder = self.folder.path().display().to_string();
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a log");
        let config = format!("{folder}/server.conf");
        let (name, arguments): (&str, Vec<&str>) = match self.kind {
            Kind::Nsd => ("nsd", vec!["-d", "-c", &config]),
            Kind::Knot | Kind::KnotSigning => ("knotd", vec!["-c", &config]),
            Kind::Bind => ("named", vec!["-g", "-n", "1", "-c", &config]),
            Kind::PowerDns => ("pdns_server", vec![]),
        };
        let mut command = Command::new(program(name).expect("the test has looked for it"));
        if self.kind == Kind::PowerDns {
            command.arg(format!("--config-dir={folder}"));
        }
        command.args(arguments).stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
        let mut process = Process::start(&mut command);
        for zone in self.zones.iter().filter(|zone| !zone.text.is_empty()) {
            let (query, start) = (Query::new(&name::name(&zone.origin), 6), Instant::now());
            while !ask::ask_until(self.address, &query, Duration::from_secs(1), |reply| {
                reply.rcode() == 0 && reply.flags & 0x0400 != 0
            }) {
                let is_late = process.ended().is_some() || start.elapsed() > PATIENCE;
                assert!(!is_late, "{:?} {}: {}", self.kind, zone.origin, self.log());
            }
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

    /// Writes the file of a zone.
    pub(crate) fn write(&self, origin: &str, text: &str) {
        if !text.is_empty() {
            fs::write(self.file(origin), text).expect("the folder can be written to");
        }
    }

    /// Lets the program take the next version of a zone.
    pub(crate) fn change(&self, zone: &mut Changing) {
        let edits = zone.step();
        let origin = &zone.origin;
        match self.kind {
            Kind::Nsd => {
                self.write(origin, &zone.text());
                self.nsd_control(&["reload", origin]);
            }
            Kind::PowerDns => {
                self.write(origin, &zone.text());
                for what in ["bind-reload-now", "notify"] {
                    self.command("pdns_control", &["--config-dir=.", what, origin.trim_end_matches('.')], "");
                }
            }
            Kind::Knot | Kind::KnotSigning => {
                self.knotc(&["zone-begin", origin]);
                for edit in edits {
                    match edit {
                        Edit::Delete(owner, rtype) => self.knotc(&["zone-unset", origin, &owner, rtype]),
                        Edit::Add(owner, ttl, rtype, data) => {
                            self.knotc(&["zone-set", origin, &owner, &ttl.to_string(), rtype, &data]);
                        }
                    }
                }
                self.knotc(&["zone-commit", origin]);
            }
            Kind::Bind => {
                let mut script = format!("server 127.0.0.1 {}\nzone {origin}\n", self.address.port());
                for edit in edits {
                    script.push_str(&match edit {
                        Edit::Delete(owner, rtype) => format!("update delete {owner} {rtype}\n"),
                        Edit::Add(owner, ttl, rtype, data) => format!("update add {owner} {ttl} {rtype} {data}\n"),
                    });
                }
                let key = Key::new("hmac-sha256").argument();
                self.command("nsupdate", &["-y", &key], &(script + "send\n"));
            }
        }
    }

    /// Tells NSD something over its control socket.
    pub(crate) fn nsd_control(&self, arguments: &[&str]) {
        self.command("nsd-control", &[&["-c", "server.conf"], arguments].concat(), "");
    }

    /// Tells Knot something over its control socket.
    pub(crate) fn knotc(&self, arguments: &[&str]) {
        self.command("knotc", &[&["-c", "server.conf", "-b"], arguments].concat(), "");
    }

    /// Runs a program in the folder; fails with what it says.
    fn command(&self, name: &str, arguments: &[&str], input: &str) {
        fs::write(self.folder.path().join("input"), input).expect("the folder can be written to");
        let input = fs::File::open(self.folder.path().join("input")).expect("it was written");
        let path = program(name).unwrap_or_else(|| panic!("{name} not installed; run tests/needs.sh"));
        let output = Command::new(path).args(arguments).current_dir(self.folder.path()).stdin(input).output();
        let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(output.status.success(), "{name} {arguments:?}: {output:?}\n{}", self.log());
    }

    fn file(&self, origin: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("zone-{}", origin.trim_end_matches('.')))
    }

    /// The keys of all zones, each once.
    fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for key in self.zones.iter().filter_map(|zone| zone.key.clone()).chain([Key::new("hmac-sha256")]) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn nsd(&self, notified: SocketAddr) -> String {
        let (folder, port) = (self.folder.path().display(), self.address.port());
        let mut text = format!(
            "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n \
             username: \"\"\n chroot: \"\"\n database: \"\"\n \
             zonesdir: \"{folder}\"\n pidfile: \"{folder}/pid\"\n xfrdfile: \"{folder}/xfrd\"\n \
             zonelistfile: \"{folder}/list\"\n xfrdir: \"{folder}\"\n rrl-ratelimit: 0\n tcp-count: 200\n \
             xfrd-reload-timeout: 0\nremote-control:\n control-enable: yes\n control-interface: \"{folder}/control\"\n"
        );
        for Key { name, algorithm, secret } in self.keys() {
            text.push_str(&format!("key:\n name: {name}\n algorithm: {algorithm}\n secret: \"{secret}\"\n"));
        }
        for zone in &self.zones {
            let key = zone.key.as_ref().map_or("NOKEY", |key| &key.name);
            text.push_str(&format!(
                "zone:\n name: \"{}\"\n zonefile: \"{}\"\n provide-xfr: 127.0.0.1 {key}\n \
                 notify: 127.0.0.1@{} {key}\n store-ixfr: yes\n create-ixfr: yes\n ixfr-number: 200\n \
                 ixfr-size: 100000000\n",
                zone.origin,
                self.file(&zone.origin).display(),
                notified.port()
            ));
        }
        text
    }

    fn knot(&self, notified: SocketAddr, lines: &str) -> String {
        let (folder, port) = (self.folder.path().display(), self.address.port());
        let mut text = format!(
            "server:\n  rundir: {folder}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\ncontrol:\n  listen: {folder}/control\nlog:\n  - target: stderr\n    any: info\n\
             database:\n  storage: {folder}/db\npolicy:\n  - id: short\n    nsec3: on\n"
        );
        let (mut keys, mut remotes, mut acls) = ("key:\n".to_owned(), "remote:\n".to_owned(), "acl:\n".to_owned());
        for Key { name, algorithm, secret } in self.keys() {
            keys.push_str(&format!("  - id: {name}\n    algorithm: {algorithm}\n    secret: {secret}\n"));
            remotes.push_str(&format!("  - id: to-{name}\n    address: {}\n    key: {name}\n", knot(notified)));
            acls.push_str(&format!("  - id: by-{name}\n    key: {name}\n    action: transfer\n"));
        }
        remotes.push_str(&format!("  - id: to-none\n    address: {}\n", knot(notified)));
        acls.push_str("  - id: by-none\n    address: 127.0.0.1\n    action: [transfer, notify]\n");
        text += &(keys + &remotes);
        if let Some(address) = lines.strip_prefix("master ") {
            text.push_str(&format!("  - id: above\n    address: {address}\n"));
        }
        text += &(acls + "zone:\n");
        for zone in &self.zones {
            let key = zone.key.as_ref().map_or("none", |key| &key.name);
            text.push_str(&format!(
                "  - domain: {}\n    file: {}\n    notify: to-{key}\n    acl: by-{key}\n    zonefile-sync: -1\n    \
                 zonefile-load: {}\n    journal-content: changes\n    journal-max-depth: 100\n\
                 \x20   dnssec-signing: {}\n    dnssec-policy: short\n",
                zone.origin,
                self.file(&zone.origin).display(),
                if lines.is_empty() { "whole" } else { "none" },
                if self.kind == Kind::KnotSigning { "on\n    zonemd-generate: zonemd-sha384" } else { "off" },
            ));
            if !lines.is_empty() {
                text.push_str("    master: above\n");
            }
        }
        text
    }

    fn bind(&self, notified: SocketAddr) -> String {
        let (folder, port) = (self.folder.path().display(), self.address.port());
        let mut text = format!(
            "options {{ directory \"{folder}\"; pid-file \"{folder}/pid\"; session-keyfile \"{folder}/session\"; \
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify explicit; \
             notify-delay 0; notify-rate 1000; startup-notify-rate 1000; max-ixfr-ratio unlimited; }};\n\
             controls {{ }};\n"
        );
        for Key { name, algorithm, secret } in self.keys() {
            text.push_str(&format!("key \"{name}\" {{ algorithm {algorithm}; secret \"{secret}\"; }};\n"));
        }
        for zone in &self.zones {
            let (signed, who) = match &zone.key {
                Some(key) => (format!("key \"{}\"", key.name), format!("key \"{}\"", key.name)),
                None => (String::new(), "127.0.0.1".to_owned()),
            };
            text.push_str(&format!(
                "zone \"{}\" {{ type primary; file \"{}\"; allow-transfer {{ {who}; }}; allow-update {{ {}; }}; \
                 also-notify {{ 127.0.0.1 port {} {signed}; }}; check-names ignore; \
                 check-mx ignore; check-integrity no; }};\n",
                zone.origin,
                self.file(&zone.origin).display(),
                "key \"key-of-hmac-sha256.test\"",
                notified.port()
            ));
        }
        text
    }

    fn powerdns(&self, notified: SocketAddr) -> String {
        let (folder, port) = (self.folder.path().display(), self.address.port());
        let mut named = format!("options {{ directory \"{folder}\"; }};\n");
        for zone in &self.zones {
            let file = self.file(&zone.origin);
            named.push_str(&format!("zone \"{}\" {{ type master; file \"{}\"; }};\n", zone.origin, file.display()));
        }
        fs::write(self.folder.path().join("named.conf"), named).expect("the folder can be written to");
        format!(
            "launch=bind\nbind-config={folder}/named.conf\nbind-dnssec-db={folder}/dnssec.sqlite3\n\
             local-address=127.0.0.1\nlocal-port={port}\nsocket-dir={folder}\nguardian=no\ndaemon=no\n\
             disable-syslog=yes\nloglevel=5\nsecurity-poll-suffix=\nmaster=yes\nallow-axfr-ips=\n\
             also-notify={notified}\nonly-notify=127.0.0.1/32\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n"
        )
    }

    /// Puts keys, and which zones are signed, into PowerDNS's database.
    fn teach_powerdns(&self) {
        let folder = self.folder.path();
        let tool = |arguments: &[&str]| self.command("pdnsutil", &[&["--config-dir=."], arguments].concat(), "");
        tool(&["create-bind-db", &path(&folder.join("dnssec.sqlite3"))]);
        for Key { name, algorithm, secret } in self.keys() {
            tool(&["import-tsig-key", &name, algorithm, &secret]);
        }
        for zone in &self.zones {
            let origin = if zone.origin == "." { "." } else { zone.origin.trim_end_matches('.') };
            match &zone.key {
                Some(key) => tool(&["set-meta", origin, "TSIG-ALLOW-AXFR", &key.name]),
                None => tool(&["set-meta", origin, "ALLOW-AXFR-FROM", "127.0.0.0/8"]),
            }
            if zone.text.contains("RRSIG") {
                tool(&["set-presigned", origin]);
            }
        }
    }
}

/// An address as Knot writes it.
pub(crate) fn knot(address: SocketAddr) -> String {
    format!("{}@{}", address.ip(), address.port())
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
