//! What serves on the nodes: fated, what operators run today, or a stand-in that proves the site itself.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Pid;

use super::Family;
use super::namespace::Daemon;
use super::node::Node;

/// Workers of a server under test.
pub(crate) const WORKERS: usize = 2;

/// The file of the second, big zone in the folder of the site; `../` of a node's.
pub(crate) const BULK_FILE: &str = "bulk.test.zone";

/// What serves on both nodes.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// fated, whose route shares its fate.
    Fated(Fated),
    /// NSD beside a routing daemon, on addresses that the site itself puts on a device and takes away.
    StandIn,
    /// NSD beside ExaBGP, whose healthcheck asks with dig.
    Pair(Tuning),
}

/// How fated is started.
#[derive(Clone, Debug)]
pub(crate) struct Fated {
    /// The program.
    pub(crate) program: PathBuf,
    /// The interface of [anycast]; the routing daemon watches it.
    pub(crate) interface: &'static str,
    /// More lines for [anycast].
    pub(crate) anycast: String,
    /// More text behind the last line of the file, which stands in `[anycast]`: further tables.
    pub(crate) more: String,
}

impl Fated {
    /// fated as it is shipped, on a tun device of its own.
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), interface: "fated0", anycast: String::new(), more: String::new() }
    }
}

/// How ExaBGP's healthcheck is set. Either way the check itself is as quick as dig can be made: one try, one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tuning {
    /// As it comes: every 5 s, three failures a second apart.
    Default,
    /// As fast as is sensible: every second, two failures 0.2 s apart.
    Tuned,
}

impl Subject {
    /// The name that tables show.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Fated(_) => "fated",
            Self::StandIn => "stand-in",
            Self::Pair(Tuning::Default) => "NSD + ExaBGP, default",
            Self::Pair(Tuning::Tuned) => "NSD + ExaBGP, tuned",
        }
    }

    /// The programs that have to be installed.
    pub(crate) fn programs(&self) -> Vec<&'static str> {
        match self {
            Self::Fated(_) => Vec::new(),
            Self::StandIn => vec!["nsd"],
            Self::Pair(_) => vec!["nsd", "exabgp", "dig"],
        }
    }

    /// The interface whose addresses the node's routing daemon announces; `None` where the node has no such daemon.
    pub(crate) fn interface(&self) -> Option<&'static str> {
        match self {
            Self::Fated(fated) => Some(fated.interface),
            Self::StandIn => Some("fated0"),
            Self::Pair(_) => None,
        }
    }

    /// Writes what the server needs into the node's folder and puts addresses where they stay for good.
    pub(crate) fn prepare(&self, node: &Node) {
        let zone = node.folder.join("site.test.zone");
        fs::write(&zone, include_str!("site.test.zone")).expect("the folder can be written to");
        match self {
            Self::Fated(fated) => write(&node.folder.join("fated.toml"), &fated_config(node, fated)),
            Self::StandIn => {
                write(&node.folder.join("nsd.conf"), &nsd_config(node));
                // With these they are received; on fated0 they are announced.
                for family in Family::ALL {
                    node.space.ip(&format!("route add local {} dev lo table local", family.prefix()));
                }
            }
            Self::Pair(tuning) => {
                write(&node.folder.join("nsd.conf"), &nsd_config(node));
                write(&node.folder.join("exabgp.conf"), &exabgp_config(node));
                add_addresses(node, "lo");
                for family in Family::ALL {
                    write(&check_file(node, family), &check_config(node, family, *tuning));
                }
            }
        }
    }

    /// Starts the server.
    pub(crate) fn start(&self, node: &Node) -> Daemon {
        match self {
            Self::Fated(fated) => {
                let mut command = Command::new(&fated.program);
                command.args(["serve", "--config"]).arg(node.folder.join("fated.toml")).current_dir(&node.folder);
                node.space.start(&mut command, &node.log())
            }
            Self::StandIn | Self::Pair(_) => {
                let program = super::super::program("nsd").expect("NSD is installed; run tests/needs.sh");
                let mut command = Command::new(program);
                command.args(["-d", "-c"]).arg(node.folder.join("nsd.conf"));
                let server = node.space.start(&mut command, &node.log());
                if matches!(self, Self::StandIn) {
                    announce_by_hand(node);
                }
                server
            }
        }
    }

    /// Starts ExaBGP where it belongs to what serves.
    pub(crate) fn start_checker(&self, node: &Node) -> Option<Daemon> {
        let Self::Pair(_) = self else { return None };
        let mut command =
            Command::new(super::super::program("exabgp").expect("ExaBGP is installed; run tests/needs.sh"));
        for (key, value) in [("daemon_drop", "false"), ("api_cli", "false"), ("log_level", "INFO")] {
            command.env(format!("exabgp_{key}"), value);
        }
        command.arg(node.folder.join("exabgp.conf")).current_dir(&node.folder);
        Some(node.space.start(&mut command, &node.folder.join("exabgp.log")))
    }

    /// Does by hand what fated's own end does by itself.
    pub(crate) fn after_death(&self, node: &Node) {
        if matches!(self, Self::StandIn) {
            node.space.ip("link del fated0");
        }
    }

    /// Makes the node leave as its operator would.
    pub(crate) fn drain(&self, node: &Node) {
        match self {
            Self::Fated(fated) => fated_command(fated, node, "drain"),
            Self::StandIn => remove_addresses(node, "fated0"),
            Self::Pair(_) => write(&disable_file(node), ""),
        }
    }

    /// Makes the node come back as its operator would.
    pub(crate) fn resume(&self, node: &Node) {
        match self {
            Self::Fated(fated) => fated_command(fated, node, "resume"),
            Self::StandIn => add_addresses(node, "fated0"),
            Self::Pair(_) => fs::remove_file(disable_file(node)).expect("the file that disables is there"),
        }
    }

    /// The processes or threads that serve UDP, one of which a fault may hold still.
    pub(crate) fn workers(&self, server: &Daemon) -> Vec<Pid> {
        match self {
            Self::Fated(_) => workers_of_fated(server.id()),
            // Behind NSD's first process stands the one that transfers zones, then come those that serve.
            Self::StandIn | Self::Pair(_) => {
                let group = server.group();
                group[group.len().saturating_sub(WORKERS)..].to_vec()
            }
        }
    }
}

/// The threads of fated that serve UDP.
pub(crate) fn workers_of_fated(process: Pid) -> Vec<Pid> {
    threads_of(process, "udp-")
}

/// The threads of a process whose names begin like that.
pub(crate) fn threads_of(process: Pid, prefix: &str) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let is_meant =
        |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with(prefix));
    let found = tasks.filter(is_meant).filter_map(|task| task.file_name().to_str()?.parse().ok());
    found.map(Pid::from_raw).collect()
}

/// Writes a zone of so many names.
pub(crate) fn write_bulk_zone(path: &Path, names: usize) {
    let file = fs::File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut out = std::io::BufWriter::new(file);
    let mut say = |text: String| out.write_all(text.as_bytes()).expect("the folder can be written to");
    say("$ORIGIN bulk.test.\n$TTL 300\n@ SOA ns.site.test. hostmaster 1 3600 900 604800 300\n@ NS ns.site.test.\n"
        .into());
    for host in 0..names {
        say(format!("host{host} A 10.{}.{}.{}\n", host >> 16 & 0xFF, host >> 8 & 0xFF, host & 0xFF));
    }
    out.flush().expect("the folder can be written to");
}

/// Writes a file.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Puts the service addresses on a device with fated's name. A tun device that nobody holds open has no carrier, which
/// FRR wants to see, so it is one end of a cable.
fn announce_by_hand(node: &Node) {
    node.space.ip("link add name fated0 type veth peer name fated0peer");
    node.space.ip("link set fated0peer up");
    node.space.ip("link set fated0 up");
    add_addresses(node, "fated0");
}

/// Adds the service addresses to a device.
pub(super) fn add_addresses(node: &Node, device: &str) {
    for family in Family::ALL {
        node.space.ip(&format!("addr add {} dev {device} nodad", family.prefix()));
    }
}

/// Deletes the service addresses from a device.
pub(super) fn remove_addresses(node: &Node, device: &str) {
    for family in Family::ALL {
        node.space.ip(&format!("addr del {} dev {device}", family.prefix()));
    }
}

/// Runs `fated drain` or `resume`.
fn fated_command(fated: &Fated, node: &Node, verb: &str) {
    let mut command = Command::new(&fated.program);
    node.space.output(command.args([verb, "--control"]).arg(node.folder.join("control.sock")));
}

/// The configuration of fated.
fn fated_config(node: &Node, fated: &Fated) -> String {
    let (folder, number) = (node.folder.display(), node.number);
    let [v4, v6] = Family::ALL.map(Family::prefix);
    let Fated { interface, anycast, more, .. } = fated;
    let own = node.routing.fated_config(number);
    let bulk = if node.has_bulk {
        format!("[[zone]]\nname = \"bulk.test\"\nfile = \"{folder}/../{BULK_FILE}\"\n\n")
    } else {
        String::new()
    };
    format!(
        "[server]\nlisten = [\"127.0.0.1:5300\"]\nworkers = {WORKERS}\nidentity = \"{number}\"\n\
         control = \"{folder}/control.sock\"\nstate-dir = \"{folder}\"\n\n\
         [[zone]]\nname = \"site.test\"\nfile = \"{folder}/site.test.zone\"\n\n{bulk}\
         [anycast]\naddresses = [\"{v4}\", \"{v6}\"]\ninterface = \"{interface}\"\n{anycast}\n{more}\n{own}"
    )
}

/// The configuration of NSD: as many servers as fated has workers, each with its own socket.
fn nsd_config(node: &Node) -> String {
    let (folder, number) = (node.folder.display(), node.number);
    let [v4, v6] = Family::ALL.map(Family::service);
    let bulk =
        if node.has_bulk { format!("zone:\n  name: bulk.test\n  zonefile: ../{BULK_FILE}\n") } else { String::new() };
    format!(
        "server:\n  ip-address: {v4}\n  ip-address: {v6}\n  ip-freebind: yes\n  reuseport: yes\n  \
         server-count: {WORKERS}\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  zonesdir: \"{folder}\"\n  \
         pidfile: \"{folder}/nsd.pid\"\n  xfrdfile: \"{folder}/xfrd.state\"\n  zonelistfile: \"{folder}/zone.list\"\n  \
         xfrdir: \"{folder}\"\n  minimal-responses: yes\n  nsid: \"ascii_{number}\"\n  rrl-ratelimit: 0\n\
         remote-control:\n  control-enable: no\nzone:\n  name: site.test\n  zonefile: site.test.zone\n{bulk}"
    )
}

/// Where the settings of a family's healthcheck stand.
fn check_file(node: &Node, family: Family) -> PathBuf {
    node.folder.join(format!("check-{family:?}.conf"))
}

/// The file that takes the node out as long as it is there.
fn disable_file(node: &Node) -> PathBuf {
    node.folder.join("disabled")
}

/// The settings of a family's healthcheck.
fn check_config(node: &Node, family: Family, tuning: Tuning) -> String {
    let (service, prefix) = (family.service(), family.prefix());
    let disable = disable_file(node);
    let tuned = match tuning {
        Tuning::Default => "",
        Tuning::Tuned => "interval = 1\nfast-interval = 0.2\ntimeout = 1\nrise = 1\nfall = 2\n",
    };
    format!(
        "command = dig +tries=1 +time=1 +short @{service} site.test. SOA | grep -q hostmaster\nip = {prefix}\n\
         no-ip-setup\n\
         withdraw-on-down\ndisable = {}\nno-syslog\n{tuned}",
        disable.display()
    )
}

/// The configuration of ExaBGP: a session for each family, straight to the router.
fn exabgp_config(node: &Node) -> String {
    let number = node.number;
    let mut text = String::new();
    for (family, router, own) in [
        (Family::V4, number.router4().to_string(), number.own4().to_string()),
        (Family::V6, number.router6().to_string(), number.own6().to_string()),
    ] {
        let (check, id) = (check_file(node, family), number.own4());
        let name = if family == Family::V4 { "ipv4" } else { "ipv6" };
        text.push_str(&format!(
            "process check-{name} {{\n  run /usr/bin/python3 -m exabgp healthcheck --config {};\n  encoder text;\n}}\n\
             neighbor {router} {{\n  router-id {id};\n  local-address {own};\n  local-as 65001;\n  peer-as 65000;\n  \
             family {{ {name} unicast; }}\n  api {{ processes [ check-{name} ]; }}\n}}\n",
            check.display()
        ));
    }
    text
}
