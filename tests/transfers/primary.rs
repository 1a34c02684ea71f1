//! fated as a primary, with a configuration that can be written anew.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use super::client;
use super::common::ask::ask_until;
use super::common::message::{Query, Record};
use super::common::name::name;
use super::common::server::{self, Server};
use super::peer::{Kind, Peer};

/// The name of the key that all know.
pub(crate) const KEY: &str = "xfr.test.";
/// Its secret.
pub(crate) const SECRET: &str = "YSBzZWNyZXQgdGhhdCBhbGwga25vdywgNjQgb2N0ZXRzIGxvbmcsIGFzIFNIQS01MTIgd2FudHMuLi4hIQ==";

/// TYPE NSEC3PARAM.
const NSEC3PARAM: u16 = 51;

/// The algorithm of the key.
#[derive(Clone, Copy)]
pub(crate) struct Algorithm(pub(crate) &'static str);

/// What is used where none is asked for.
pub(crate) const SHA256: Algorithm = Algorithm("hmac-sha256");

/// fated and its zones.
pub(crate) struct Primary {
    pub(crate) server: Server,
    pub(crate) algorithm: Algorithm,
    folder: tempfile::TempDir,
    /// Each zone with where it comes from, as the configuration has it.
    zones: Vec<(String, String)>,
}

impl Primary {
    /// Serves zones: each its name and text.
    pub(crate) fn start(algorithm: Algorithm, zones: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in zones {
            fs::write(folder.path().join(file(name)), text).expect("writes");
        }
        let source = |(name, _): &(&str, String)| ((*name).to_owned(), format!("file = \"{}\"", file(name)));
        Self::start_in(folder, algorithm, zones.iter().map(source).collect())
    }

    /// Serves a zone that comes from another, which it asks once an hour.
    pub(crate) fn between(above: &Self, zone: &str) -> Self {
        let source = format!("primaries = [{{ address = \"{}\", key = \"{KEY}\" }}]", above.address());
        let folder = tempfile::tempdir().expect("a folder");
        let started = Self::start_in(folder, above.algorithm, vec![(zone.to_owned(), source)]);
        let query = Query::new(&name(zone), client::SOA);
        let is_there = ask_until(started.address(), &query, super::PATIENCE, |reply| reply.rcode() == 0);
        assert!(is_there, "{zone} does not come");
        started
    }

    fn start_in(folder: tempfile::TempDir, algorithm: Algorithm, zones: Vec<(String, String)>) -> Self {
        let path = folder.path().join("fated.toml");
        fs::write(&path, config(algorithm, &zones, &[])).expect("writes");
        let arguments = ["--config", path.to_str().expect("UTF-8")];
        let server = Server::start_with(server::Kind::Fated, &[], &arguments);
        Self { server, algorithm, folder, zones }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Writes the text of a zone.
    pub(crate) fn write(&self, zone: &str, text: &str) {
        fs::write(self.folder.path().join(file(zone)), text).expect("writes");
    }

    /// Has these told of changes from now on.
    pub(crate) fn notify(&mut self, servers: &[SocketAddr]) {
        let text = config(self.algorithm, &self.zones, servers);
        fs::write(self.folder.path().join("fated.toml"), text).expect("writes");
        self.command(&["reload"]);
    }

    /// Reads one zone again.
    pub(crate) fn reload(&self, zone: &str) {
        self.command(&["reload", zone]);
    }

    /// Runs a command that talks to the server; returns what it says.
    fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
        let output = command.args(arguments).arg("--control").arg(self.server.control()).output().expect("runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// A counter, with its labels as they are printed.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let status: serde_json::Value = serde_json::from_str(&self.command(&["status", "--json"])).expect("JSON");
        let counters = status["result"]["counters"].as_array().expect("counters");
        let found = counters.iter().find(|counter| counter["name"] == name);
        found.and_then(|counter| counter["value"].as_u64()).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// How many requests over TCP were answered in that way.
    pub(crate) fn transfers(&self, kind: &str) -> u64 {
        self.counter(&format!("fated_transfers_total{{transport=\"tcp\",kind=\"{kind}\"}}"))
    }

    /// Waits until a counter has that value.
    pub(crate) fn wait_for_counter(&self, name: &str, value: u64) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.counter(name) != value {
            assert!(Instant::now() < end, "{name} is {}, and not {value}", self.counter(name));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All records of a zone as it sends them.
    pub(crate) fn records(&self, zone: &str) -> Vec<Record> {
        client::whole(self.address(), client::ALLOWED, zone).expect("it may be had")
    }

    /// Asserts that a peer has every record of a zone, and no other.
    pub(crate) fn compare(&self, peer: &Peer, zone: &str) {
        let ours = self.records(zone);
        let theirs = peer.records(zone, client::serial(&ours[0]));
        let canonical = |records: Vec<Record>| {
            let record = |record: &Record| match (peer.kind, record.rtype) {
                // The bind backend of PowerDNS takes a TTL of 0 for none, and puts MINIMUM in its place.
                (Kind::Pdns, NSEC3PARAM) => Record { ttl: 0, ..record.canonical() },
                _ => record.canonical(),
            };
            client::sorted(records.iter().map(record).collect())
        };
        let (ours, theirs) = (canonical(ours), canonical(theirs));
        let missing: Vec<_> = ours.iter().filter(|record| theirs.binary_search(record).is_err()).collect();
        let added: Vec<_> = theirs.iter().filter(|record| ours.binary_search(record).is_err()).collect();
        let is_equal = missing.is_empty() && added.is_empty() && ours.len() == theirs.len();
        assert!(is_equal, "{:?} has {zone} without {missing:#?} and with {added:#?}\n{}", peer.kind, peer.log());
    }
}

/// The file of a zone.
fn file(zone: &str) -> String {
    format!("zone{zone}zone")
}

/// The configuration.
fn config(algorithm: Algorithm, zones: &[(String, String)], notify: &[SocketAddr]) -> String {
    let md5 = if algorithm.0 == "hmac-md5" { "allow-md5 = true\n" } else { "" };
    // The root zone that is archived lacks its signatures, and so its ZONEMD is wrong.
    let mut text = format!("[[key]]\nname = \"{KEY}\"\nalgorithm = \"{}\"\nsecret = \"{SECRET}\"\n{md5}", algorithm.0);
    let told: Vec<_> = notify.iter().map(|to| format!("{{ address = \"{to}\", key = \"{KEY}\" }}")).collect();
    for (zone, source) in zones {
        text += &format!(
            "[[zone]]\nname = \"{zone}\"\n{source}\nzonemd = \"ignore\"\nnotify = [{}]\n\
             allow-transfer = [{{ prefix = \"127.0.0.1\", key = \"{KEY}\" }}, {{ prefix = \"{}\" }}]\n",
            told.join(", "),
            client::ALLOWED,
        );
    }
    text
}
