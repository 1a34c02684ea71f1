//! What a node needs and is refused without, what it does without it, and what it leaves to whom.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::site::namespace::{self, Daemon, Namespace};
use crate::common::site::{clock, is_root};
use crate::common::{must_skip, skip_loudly};
use crate::scene::{PATIENCE, PROGRAM, Share, Turn};

/// CAP_NET_ADMIN in the bit masks of /proc (linux/capability.h).
const CAP_NET_ADMIN: u64 = 1 << 12;
/// What the kernel keeps a lease beyond its end at most.
const LEASE_SLACK: Duration = Duration::from_secs(10);
/// The service addresses.
const SERVICE: [&str; 2] = ["192.0.2.53/32", "2001:db8:53::53/128"];

/// A host without a network: a namespace and a folder with a zone and a configuration.
pub(crate) struct Host {
    pub(crate) space: Namespace,
    folder: TempDir,
    _turn: Turn,
}

impl Host {
    /// Makes one; `None`, said loudly, where that can't be.
    pub(crate) fn new(test: &str) -> Option<Self> {
        /// Apart from the numbers of sites.
        static COUNT: AtomicUsize = AtomicUsize::new(1000);
        if !is_root() {
            let reason = "network namespaces need root";
            assert!(std::env::var_os("FATED_TESTS_MAY_SKIP").is_some(), "{test}: {reason}");
            skip_loudly(test, reason);
            return None;
        }
        if must_skip(test, &["ip", "unshare", "setpriv"]) {
            return None;
        }
        let turn = Turn::take(Share::Half);
        namespace::guard();
        let space = Namespace::new(COUNT.fetch_add(1, Ordering::Relaxed), "host");
        let folder = tempfile::tempdir().expect("a folder");
        // Read by a server that is not root's.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let zones = folder.path().join("zones");
        fs::create_dir(&zones).expect("a folder");
        let zone = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/site/site.test.zone");
        fs::copy(zone, zones.join("site.test.zone")).expect("the zone is there");
        fs::copy(PROGRAM, folder.path().join("program")).expect("the program is there");
        let host = Self { space, folder, _turn: turn };
        host.configure("");
        Some(host)
    }

    /// Writes the configuration, with more lines for `[anycast]`.
    pub(crate) fn configure(&self, anycast: &str) {
        let [v4, v6] = SERVICE;
        let text = format!(
            "[server]\nworkers = 2\nlisten = [\"127.0.0.1:5300\"]\nzones-dir = \"zones\"\ncontrol = \"control.sock\"\n\
             [anycast]\naddresses = [\"{v4}\", \"{v6}\"]\n{anycast}\n"
        );
        fs::write(self.path("fated.toml"), text).expect("the folder can be written to");
    }

    /// A file of the folder.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// `fated serve --config`, behind the words of another command that starts it.
    pub(crate) fn command(&self, before: &[&str]) -> Command {
        let program = self.path("program").display().to_string();
        let words: Vec<&str> = [before, &[program.as_str(), "serve", "--config", "fated.toml"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.folder.path());
        command
    }

    /// Starts a server.
    pub(crate) fn start(&self, command: &mut Command) -> Daemon {
        self.space.start(command, &self.path("server.log"))
    }

    /// Starts a server that must say why it does not start; returns the exit code and what it said.
    fn refusal(&self, before: &[&str]) -> (Option<i32>, String) {
        let mut command = self.command(before);
        // Without it, a device that is taken or down is waited for.
        command.arg("--strict").stdin(Stdio::null()).stdout(Stdio::null());
        let output = self.space.run(|| command.output()).expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        assert!(!said.contains("serving "), "{said}");
        (output.status.code(), said)
    }

    /// What the servers said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// What the server says of its service addresses; `None` while it says nothing.
    pub(crate) fn addresses(&self) -> Option<Vec<Value>> {
        let mut command = Command::new(PROGRAM);
        command.args(["status", "--json", "--control"]).arg(self.path("control.sock"));
        let status: Value = serde_json::from_slice(&command.output().expect("fated starts").stdout).ok()?;
        status["result"]["anycast"]["addresses"].as_array().cloned()
    }

    /// Waits until every service address has this stance and is announced, or is not.
    pub(crate) fn until(&self, stance: &str, is_announced: bool) {
        let is_so = |address: &Value| address["stance"] == stance && address["announced"] == is_announced;
        let holds = || self.addresses().is_some_and(|addresses| addresses.iter().all(is_so));
        assert!(clock::wait_until(PATIENCE, holds), "{:?}: {}", self.addresses(), self.log());
    }

    /// What `ip` shows.
    pub(crate) fn shown(&self, words: &str) -> String {
        let mut command = Command::new("ip");
        self.space.output(command.args(words.split_whitespace()))
    }

    /// Whether the service addresses stand on a device.
    pub(crate) fn stand(&self, device: &str) -> bool {
        let shown = self.shown(&format!("addr show dev {device}"));
        SERVICE.iter().all(|address| shown.contains(address))
    }
}

/// Asserts that a start was refused with that code and these words, in one line besides warnings.
fn assert_refused((code, said): (Option<i32>, String), expected: i32, parts: &[&str]) {
    assert_eq!(code, Some(expected), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    assert_eq!(said.matches("fated: ").count(), 1, "one error:\n{said}");
}

#[test]
fn what_a_node_needs_is_named_when_it_is_missing() {
    let Some(host) = Host::new("what_a_node_needs_is_named_when_it_is_missing") else { return };
    let without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    assert_refused(host.refusal(&without), 3, &["CAP_NET_ADMIN", "AmbientCapabilities", "--dry-run"]);
    let hidden = ["unshare", "--mount", "sh", "-e", "-c", "mount -t tmpfs none /dev/net; exec \"$0\" \"$@\""];
    assert_refused(host.refusal(&hidden), 3, &["/dev/net/tun", "modprobe tun", "interface = \"lo\""]);
    for device in ["fated0", "fated0rx"] {
        host.space.ip(&format!("tuntap add {device} mode tun"));
        let parts = [&format!("a device `{device}` exists already"), "ip link del", "change `interface`"];
        assert_refused(host.refusal(&["env"]), 3, &parts);
        host.space.ip(&format!("link del {device}"));
    }
    host.space.ip("link add eth0 type veth peer name eth1");
    host.configure("interface = \"eth0\"");
    assert_refused(host.refusal(&["env"]), 3, &["`eth0` is down", "ip link set eth0 up"]);
    host.configure("interface = \"eth0\"\nlease = \"off\"");
    assert_refused(host.refusal(&["env"]), 2, &["`anycast.lease` is \"off\"", "eth0 is a device of this host"]);
    host.configure("interface = \"eth9\"");
    assert_refused(host.refusal(&["env"]), 2, &["\"eth9\"", "no such device", "begins with \"fated\""]);
    host.configure("interface = \"fated-long-name\"");
    assert_refused(host.refusal(&["env"]), 2, &["fated-long-name", "13 octets at most"]);
    host.configure("");
    host.space.ip("addr add 192.0.2.53/24 dev eth0");
    assert_refused(host.refusal(&["env"]), 3, &["192.0.2.53/32 overlaps 192.0.2.53 on `eth0`", "[anycast]"]);
    host.space.ip("addr del 192.0.2.53/24 dev eth0");
    let links = host.shown("link");
    assert!(!links.contains("fated0"), "nothing is left behind: {links}");
    // After all that was refused, it starts.
    let _server = host.start(&mut host.command(&["env"]));
    host.until("announce", true);
    assert!(host.stand("fated0"), "{}", host.log());
}

#[test]
fn a_dry_run_proves_and_announces_nothing_without_any_privilege() {
    let Some(host) = Host::new("a_dry_run_proves_and_announces_nothing_without_any_privilege") else { return };
    // The one thing that it needs of the host, whoever runs it, is that it may bind port 53.
    host.space.set(&[("net/ipv4/ip_unprivileged_port_start", "0")]);
    fs::set_permissions(host.folder.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    let mut server = host.start(host.command(&[&nobody[..], &["--inh-caps=-all"]].concat()).arg("--dry-run"));
    host.until("announce", false);
    let log = host.log();
    assert!(log.contains("dry run"), "{log}");
    assert!(!host.shown("link").contains("fated0"), "{}", host.shown("link"));
    assert!(!host.shown("addr").contains("192.0.2.53"), "{}", host.shown("addr"));
    server.signal(Signal::SIGTERM);
    assert!(clock::wait_until(PATIENCE, || server.ended().is_some()), "{}", host.log());
    assert_eq!(server.ended().and_then(|status| status.code()), Some(0), "{}", host.log());
}

#[test]
fn only_the_route_thread_may_change_routes() {
    let Some(host) = Host::new("only_the_route_thread_may_change_routes") else { return };
    let server = host.start(&mut host.command(&["env"]));
    host.until("announce", true);
    let threads = may_change_routes(server.id());
    assert!(threads.len() > 5, "{threads:?}");
    let able: Vec<&str> = threads.iter().filter(|(_, is_able)| *is_able).map(|(name, _)| name.as_str()).collect();
    assert_eq!(able, ["route"], "{threads:?}");
    // Sockets were bound while it was there: they keep more replies than the kernel gives without it.
    let sockets = host.space.output(Command::new("ss").args(["-uamnH", "sport = :53"]));
    assert!(
        sockets.contains("skmem") && sockets.matches("tb33554432").count() == sockets.matches("skmem").count(),
        "{sockets}"
    );
}

/// The threads of a process by name, and whether each has CAP_NET_ADMIN or may take it.
fn may_change_routes(process: Pid) -> Vec<(String, bool)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the process is there");
    let read = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let has = |key: &str| value(key).is_some_and(|mask| u64::from_str_radix(mask, 16).is_ok_and(is_in));
        let is_able = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"].into_iter().any(has);
        Some((value("Name:")?.to_owned(), is_able))
    };
    tasks.flatten().filter_map(read).collect()
}

/// Whether CAP_NET_ADMIN is in a mask.
fn is_in(mask: u64) -> bool {
    mask & CAP_NET_ADMIN != 0
}

#[test]
fn what_a_killed_run_left_on_lo_is_purged_and_proven_anew() {
    let Some(host) = Host::new("what_a_killed_run_left_on_lo_is_purged_and_proven_anew") else { return };
    // A lease that outlasts the test, so that what is gone was purged.
    host.configure("interface = \"lo\"\nlease = \"3600s\"");
    let server = host.start(&mut host.command(&["env"]));
    host.until("announce", true);
    assert!(host.stand("lo"));
    drop(server);
    assert!(host.stand("lo"), "a lease of an hour is not over");
    assert!(host.shown("route show table local").contains("proto 84"), "{}", host.shown("route show table local"));
    host.configure("interface = \"lo\"\nlease = \"1s\"");
    let server = host.start(&mut host.command(&["env"]));
    let is_purged = || host.log().matches("an address of an earlier run removed").count() == SERVICE.len();
    assert!(clock::wait_until(PATIENCE, is_purged), "{}", host.log());
    host.until("announce", true);
    drop(server);
    let start = clock::now();
    let is_gone = || !SERVICE.iter().any(|address| host.shown("addr show dev lo").contains(address));
    assert!(clock::wait_until(LEASE_SLACK, is_gone), "{}", host.shown("addr"));
    crate::scene::measured("killed on lo: addresses gone", clock::now() - start);
}

#[test]
fn without_arguments_it_serves_on_loopback_and_knows_no_anycast() {
    let Some(host) = Host::new("without_arguments_it_serves_on_loopback_and_knows_no_anycast") else { return };
    // The control socket stands there.
    fs::set_permissions(host.folder.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]);
    command.arg(host.path("program")).current_dir(host.folder.path()).env("XDG_RUNTIME_DIR", host.folder.path());
    let server = host.start(&mut command);
    let is_serving = || host.log().contains("serving ");
    assert!(clock::wait_until(PATIENCE, is_serving), "{}", host.log());
    let log = host.log();
    assert!(log.contains("127.0.0.1:5300") && log.contains("[::1]:5300"), "{log}");
    let threads: Vec<String> = may_change_routes(server.id()).into_iter().map(|(name, _)| name).collect();
    assert!(threads.iter().any(|name| name.starts_with("udp-")), "{threads:?}");
    assert!(!threads.iter().any(|name| name.starts_with("prover") || name.starts_with("route")), "{threads:?}");
    assert_eq!(host.shown("link").lines().count(), 2, "only lo: {}", host.shown("link"));
}
