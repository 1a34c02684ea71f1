//! The routing daemons of a site, configured with the examples that the package ships.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::namespace::{Daemon, Namespace};
use super::speaker::Speaking;
use super::{NodeNumber, clock};

/// How long a daemon may take until its socket is there.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(10);
/// Where FRR's daemons are.
const FRR_DAEMONS: &str = "/usr/lib/frr";

/// Who FRR's daemons run as.
const FRR_USER: &str = "frr";

/// How routes get from the nodes to the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routing {
    /// BIRD 2 on all, eBGP between them.
    BirdBgp,
    /// BIRD 2 on all, OSPF between them.
    BirdOspf,
    /// FRR on all, eBGP between them.
    Frr,
    /// No daemon on the nodes: fated speaks BGP itself.
    Own(Speaking),
}

impl Routing {
    /// The programs that have to be installed; FRR's daemons are looked for when they start.
    pub(crate) fn programs(self) -> Vec<&'static str> {
        match self {
            Self::BirdBgp | Self::BirdOspf => vec!["bird", "birdc"],
            Self::Frr => vec!["vtysh"],
            Self::Own(speaking) => speaking.router.programs(),
        }
    }

    /// What stands about it in the configuration of a node's fated.
    pub(crate) fn fated_config(self, node: NodeNumber) -> String {
        match self {
            Self::BirdBgp | Self::BirdOspf | Self::Frr => String::new(),
            Self::Own(speaking) => speaking.config(node),
        }
    }

    /// Starts the router's daemons.
    pub(crate) fn start_router(self, space: &Namespace, folder: &Path) -> Vec<Daemon> {
        let folder = folder.join("router");
        fs::create_dir_all(&folder).expect("the folder can be written to");
        match self {
            Self::BirdBgp | Self::BirdOspf => vec![start_bird(space, &folder, include_str!("router.bird.conf"))],
            Self::Frr => start_frr(space, &folder, include_str!("router.frr.conf"), &["zebra", "bgpd"]),
            Self::Own(speaking) => speaking.start_router(space, &folder),
        }
    }

    /// Starts a node's daemons, which announce what stands on `interface`.
    pub(crate) fn start_node(self, node: NodeNumber, space: &Namespace, folder: &Path, interface: &str) -> Vec<Daemon> {
        match self {
            Self::BirdBgp => {
                let text = for_node(&example("bird/fated-bgp.conf"), node, interface);
                vec![start_bird(space, folder, &text)]
            }
            Self::BirdOspf => {
                let metric = format!("define METRIC = {};", 100 * u32::from(node.0));
                let text = for_node(&example("bird/fated-ospf.conf"), node, interface);
                vec![start_bird(space, folder, &replace(&text, "define METRIC = 100;", &metric))]
            }
            Self::Frr => {
                let text = for_node(&example("frr/frr.conf"), node, interface);
                start_frr(space, folder, &text, &["zebra", "bgpd"])
            }
            Self::Own(_) => Vec::new(),
        }
    }
}

/// An example of the package.
fn example(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Puts a node's own addresses in the place of those that the example names, which are node1's.
fn for_node(text: &str, node: NodeNumber, interface: &str) -> String {
    let first = NodeNumber::FIRST;
    let mut text = replace(text, &first.own4().to_string(), &node.own4().to_string());
    for (from, to) in [
        (first.router4().to_string(), node.router4().to_string()),
        (first.router6().to_string(), node.router6().to_string()),
        ("interface \"fated0\"".to_owned(), format!("interface \"{interface}\"")),
        ("match interface fated0".to_owned(), format!("match interface {interface}")),
    ] {
        text = text.replace(&from, &to);
    }
    text
}

/// Replaces what must be there.
fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the example has no `{from}`");
    text.replace(from, to)
}

/// Starts BIRD in the foreground and waits for its control socket.
pub(crate) fn start_bird(space: &Namespace, folder: &Path, text: &str) -> Daemon {
    let config = folder.join("bird.conf");
    fs::write(&config, text).expect("the folder can be written to");
    let socket = folder.join("bird.ctl");
    let program = super::super::program("bird").expect("BIRD is installed; run tests/needs.sh");
    let mut command = Command::new(program);
    command.args(["-f", "-c"]).arg(&config).arg("-s").arg(&socket).arg("-P").arg(folder.join("bird.pid"));
    let log = folder.join("bird.log");
    let mut daemon = space.start(&mut command, &log);
    let answers = || {
        let mut status = Command::new("birdc");
        status.arg("-s").arg(&socket).args(["show", "status"]).stdin(Stdio::null()).stdout(Stdio::null());
        status.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let is_up = clock::wait_until(START_PATIENCE, || daemon.ended().is_some() || answers());
    let log = fs::read_to_string(&log).unwrap_or_default();
    assert!(is_up && daemon.ended().is_none(), "BIRD does not start with {}: {log}", config.display());
    hurry(&daemon);
    daemon
}

/// OpenBGPD with a configuration, in the foreground. Its processes lock themselves into their user's folder, which its
/// service makes elsewhere.
pub(crate) fn openbgpd(config: &Path) -> Command {
    let user = nix::unistd::User::from_name("_openbgpd").ok().flatten();
    fs::create_dir_all(user.expect("OpenBGPD is installed; run tests/needs.sh").dir).expect("root may make folders");
    let mut command = Command::new("/usr/sbin/bgpd");
    command.arg("-d").arg("-f").arg(config);
    command
}

/// Starts FRR's daemons with sockets of their own, and gives them the integrated configuration as vtysh does at boot.
pub(crate) fn start_frr(space: &Namespace, folder: &Path, text: &str, daemons: &[&str]) -> Vec<Daemon> {
    fs::write(folder.join("frr.conf"), text).expect("the folder can be written to");
    // The daemons drop their rights and make their sockets as this user.
    let user = nix::unistd::User::from_name(FRR_USER).ok().flatten().expect("FRR is installed; run tests/needs.sh");
    std::os::unix::fs::chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("root may chown");
    let log = folder.join("frr.log");
    let start = |name: &&str| {
        // What is left of an earlier one is not yet this one's.
        let _ = fs::remove_file(folder.join(format!("{name}.vty")));
        let mut command = Command::new(Path::new(FRR_DAEMONS).join(name));
        command.args([
            "-u",
            FRR_USER,
            "-g",
            FRR_USER,
            "-A",
            "127.0.0.1",
            "-P",
            "0",
            "-f",
            "/dev/null",
            "--log",
            "stdout",
        ]);
        command.arg("--vty_socket").arg(folder).arg("-i").arg(folder.join(format!("{name}.pid")));
        command.arg("-z").arg(folder.join("zserv.api"));
        let daemon = space.start(&mut command, &log);
        wait_for(&folder.join(format!("{name}.vty")), &log);
        hurry(&daemon);
        daemon
    };
    let daemons = daemons.iter().map(start).collect();
    let mut vtysh = Command::new("vtysh");
    vtysh.arg("--vty_socket").arg(folder).arg("--config_dir").arg(folder).arg("-b");
    space.output(&mut vtysh);
    daemons
}

/// Waits for a daemon's socket.
fn wait_for(socket: &Path, log: &Path) {
    let is_there = clock::wait_until(START_PATIENCE, || socket.exists());
    assert!(is_there, "{} does not appear: {}", socket.display(), fs::read_to_string(log).unwrap_or_default());
}

/// Gives a routing daemon a real-time priority: the fault is to be the server's, not the network's.
pub(super) fn hurry(daemon: &Daemon) {
    let process = daemon.id().to_string();
    let mut command = Command::new("chrt");
    // Where it is refused, measurements under CPU pressure are less exact and nothing else changes.
    let _ = command.args(["-f", "-p", "10", &process]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}
