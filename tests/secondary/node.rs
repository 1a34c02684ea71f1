//! fated as a secondary, and what is asked of it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::command::{Said, Server, Site};
use super::common::message::{Edns, Message, Query};
use super::common::{ask, name, program};
use super::keys::Key;
use super::zones::Zone;

/// How long anything may take that has no bound of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a zone is fetched from a primary until it is the version that is compared.
const FETCHES_MAX: usize = 20;

/// A primary as the configuration has it.
pub(crate) type Source = (SocketAddr, Option<Key>);

/// One that runs.
pub(crate) struct Node {
    site: Site,
    server: Server,
    /// The lines of its log so far.
    seen: RefCell<Vec<String>>,
}

impl Node {
    /// Starts one at `address` for zones that come from `sources`; a zone's own key stands in for that of each source.
    /// `template` holds more keys for all zones.
    pub(crate) fn start(address: SocketAddr, zones: &[Zone], sources: &[Source], template: &str) -> Self {
        let site = Site::new();
        let mut keys: Vec<Key> = zones.iter().filter_map(|zone| zone.key.clone()).collect();
        keys.extend(sources.iter().filter_map(|(_, key)| key.clone()));
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        keys.dedup_by(|a, b| a.name == b.name);
        let mut text = String::new();
        for Key { name, algorithm, secret } in keys {
            text.push_str(&format!("[[key]]\nname = \"{name}\"\nalgorithm = \"{algorithm}\"\nsecret = \"{secret}\"\n"));
        }
        text.push_str(&format!(
            "[[template]]\nname = \"secondary\"\nallow-transfer = [{{ prefix = \"127.0.0.1\" }}]\n{template}\n"
        ));
        for zone in zones {
            let primaries: Vec<String> = sources
                .iter()
                .map(|(address, key)| match zone.key.as_ref().or(key.as_ref()) {
                    Some(key) => format!("{{ address = \"{address}\", key = \"{}\" }}", key.name),
                    None => format!("{{ address = \"{address}\" }}"),
                })
                .collect();
            let primaries = primaries.join(", ");
            let origin = &zone.origin;
            text.push_str(&format!(
                "[[zone]]\nname = \"{origin}\"\ntemplate = \"secondary\"\nprimaries = [{primaries}]\n"
            ));
        }
        Self::run(site, &text, address)
    }

    /// One that has a zone from a file instead.
    pub(crate) fn start_with_file(address: SocketAddr, origin: &str, file: &Path) -> Self {
        let text = format!("[[zone]]\nname = \"{origin}\"\nfile = \"{}\"\n", file.display());
        Self::run(Site::new(), &text, address)
    }

    /// Runs it with that configuration.
    fn run(site: Site, text: &str, address: SocketAddr) -> Self {
        site.write("fated.toml", text);
        std::fs::set_permissions(site.path("fated.toml"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("the file is ours");
        let (control, address) = (site.control(), address.to_string());
        let control = control.to_str().expect("UTF-8");
        let arguments = ["--config", "fated.toml", "--listen", &address, "--workers", "1", "--control", control];
        let server = Server::start(site.command(&[&["serve"][..], &arguments].concat()));
        Self { site, server, seen: RefCell::default() }
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Puts one word of the configuration in the place of another, and reloads it.
    pub(crate) fn reload(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.site.path("fated.toml")).expect("it was written");
        assert!(text.contains(from), "{from:?} is missing in:\n{text}");
        self.site.write("fated.toml", text.replace(from, to));
        self.site.ask(&["reload"]).expect(0, &[]);
    }

    /// What `fated zone status` says of a zone.
    pub(crate) fn status(&self, origin: &str) -> Said {
        self.site.ask(&["zone", "status", origin])
    }

    /// Stops or continues the process.
    pub(crate) fn signal(&self, signal: &str) {
        self.server.signal(signal);
    }

    /// Its process.
    pub(crate) fn process_id(&self) -> u32 {
        self.server.child.id()
    }

    /// The lines of its log so far that hold `part`.
    pub(crate) fn log(&self, part: &str) -> Vec<String> {
        let mut seen = self.seen.borrow_mut();
        seen.extend(self.server.lines.try_iter());
        seen.iter().filter(|line| line.contains(part)).cloned().collect()
    }

    /// Waits for a line of its log that holds `part`.
    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        if let Some(line) = self.log(part).pop() {
            return line;
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let line = self.server.lines.recv_timeout(end.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("no line with {part:?} in:\n{}", self.log("").join("\n")));
            self.seen.borrow_mut().push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits until it has a serial of a zone; returns how long that took.
    pub(crate) fn wait_for_serial(&self, origin: &str, serial: u32, bound: Duration) -> Duration {
        let start = Instant::now();
        let query = Query::new(&name::name(origin), 6);
        let is_there = ask::ask_until(self.address(), &query, bound, |reply| serial_of(reply) == Some(serial));
        let found = self.serial(origin);
        assert!(is_there, "{origin}: {found:?} is no {serial} after {bound:?}:\n{}", self.log("").join("\n"));
        start.elapsed()
    }

    /// The serial that it answers.
    pub(crate) fn serial(&self, origin: &str) -> Option<u32> {
        serial(self.address(), origin)
    }

    /// Waits until it answers SERVFAIL for a zone; returns the code of the extended error.
    pub(crate) fn wait_for_failure(&self, origin: &str, bound: Duration) -> Option<u16> {
        let query = Query::new(&name::name(origin), 6).with_edns(Edns::new(1232, false));
        let is_failing = ask::ask_until(self.address(), &query, bound, |reply| reply.rcode() == 2);
        assert!(is_failing, "{origin} is answered after {bound:?}:\n{}", self.log("").join("\n"));
        let reply = ask::ask_udp(self.address(), &query);
        reply.option(15).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// Fails where a primary and this node do not have the same records of a zone. Returns how many there are.
    pub(crate) fn compare(&self, primary: SocketAddr, zone: &Zone, is_case_kept: bool) -> usize {
        let fold = |lines: Vec<String>| match is_case_kept {
            true => lines,
            false => lines.into_iter().map(|line| line.to_lowercase()).collect(),
        };
        let ours = transfer(self.address(), zone);
        // For a moment two processes of NSD answer, one with the version before.
        let fresh = (0..FETCHES_MAX).map(|_| transfer(primary, zone)).find(|theirs| theirs[0] == ours[0]);
        let fresh = fresh.unwrap_or_else(|| panic!("{}: the primary never has {}", zone.origin, ours[0]));
        let [theirs, ours] = [fresh, ours].map(|records| {
            let mut records = fold(records);
            records.sort();
            records
        });
        assert!(theirs.len() > 3, "{}: {theirs:?}", zone.origin);
        let differing = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours);
        assert_eq!((differing, ours.len()), (None, theirs.len()), "{}", zone.origin);
        theirs.len()
    }
}

/// The serial that a server answers.
pub(crate) fn serial(server: SocketAddr, origin: &str) -> Option<u32> {
    serial_of(&ask::ask_udp(server, &Query::new(&name::name(origin), 6)))
}

/// The serial in an answer.
fn serial_of(reply: &Message) -> Option<u32> {
    let soa = reply.sections[0].iter().find(|record| record.rtype == 6)?;
    let at = soa.rdata.len().checked_sub(20)?;
    soa.rdata[at..].first_chunk().copied().map(u32::from_be_bytes)
}

/// All records of a zone as `kdig` shows them, in the order in which they came.
fn transfer(server: SocketAddr, zone: &Zone) -> Vec<String> {
    let mut command = Command::new(program("kdig").expect("the test has looked for it"));
    command.args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), &zone.origin, "AXFR"]);
    command.args(["+noall", "+answer", "+timeout=60"]);
    if let Some(key) = &zone.key {
        command.args(["-y", &key.argument()]);
    }
    let output = command.output().expect("kdig runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("kdig writes ASCII");
    let records = text.lines().filter(|line| !line.starts_with(';') && !line.is_empty());
    records.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
