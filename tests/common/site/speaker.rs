//! fated as its own BGP speaker: what its configuration says, and the routers that it speaks to.
//!
//! BIRD and FRR put what they learn into their kernel. GoBGP and OpenBGPD do not: a BIRD beside them learns from them
//! and does, so that what is seen is what their other peers see.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::namespace::{Daemon, Namespace};
use super::routing::{START_PATIENCE, hurry, openbgpd, start_bird, start_frr};
use super::{NodeNumber, clock};

/// The router's AS, and that of the nodes.
const AS_NUMBERS: (u32, u32) = (65_000, 65_001);
/// Where the BIRD beside a router listens.
const COLLECTOR_PORT: u16 = 1790;

/// A router that fated speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Router {
    /// BIRD 2.
    Bird,
    /// FRR.
    Frr,
    /// GoBGP.
    GoBgp,
    /// OpenBGPD.
    OpenBgpd,
}

/// How fated and the router speak to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speaking {
    /// The router.
    pub(crate) router: Router,
    /// The hold time that fated offers, in seconds.
    pub(crate) hold_s: u32,
    /// Whether BFD runs beside, 50 ms × 3.
    pub(crate) has_bfd: bool,
    /// The key of TCP MD5 signatures.
    pub(crate) password: Option<&'static str>,
    /// Whether both sides ask for GTSM.
    pub(crate) has_gtsm: bool,
    /// Whether the router forgets at once that a session was lost, where it else keeps the peer out for a minute.
    pub(crate) is_forgiving: bool,
    /// Whether the routers connect, not fated.
    pub(crate) is_passive: bool,
    /// Whether both families go over the session over IPv4.
    pub(crate) is_one_session: bool,
    /// Whether the sessions are internal.
    pub(crate) is_internal: bool,
    /// Whether the router tells the nodes what it prefers; BIRD and FRR.
    pub(crate) tells_back: bool,
}

impl Router {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Bird, Self::Frr, Self::GoBgp, Self::OpenBgpd];

    /// The programs that have to be installed; FRR's daemons are looked for when they start.
    pub(crate) fn programs(self) -> Vec<&'static str> {
        match self {
            Self::Bird => vec!["bird", "birdc"],
            Self::Frr => vec!["vtysh"],
            Self::GoBgp => vec!["gobgpd", "gobgp", "bird", "birdc"],
            Self::OpenBgpd => vec!["bgpctl", "bird", "birdc"],
        }
    }
}

impl Speaking {
    /// With a router as it comes, a session for each family, and a hold time of three seconds.
    pub(crate) fn with(router: Router) -> Self {
        Self {
            router,
            hold_s: 3,
            has_bfd: false,
            password: None,
            has_gtsm: false,
            is_forgiving: false,
            is_passive: false,
            is_one_session: false,
            is_internal: false,
            tells_back: false,
        }
    }

    /// The AS of the nodes.
    fn node_as(self) -> u32 {
        if self.is_internal { AS_NUMBERS.0 } else { AS_NUMBERS.1 }
    }

    /// What stands in a node's configuration; node2 is less attractive.
    pub(crate) fn config(self, node: NodeNumber) -> String {
        let (own_as, remote_as, id) = (self.node_as(), AS_NUMBERS.0, node.own4());
        let mut text = format!("[bgp]\nlocal-as = {own_as}\nrouter-id = \"{id}\"\n");
        let routers = [node.router4().to_string(), node.router6().to_string()];
        let count = if self.is_one_session { 1 } else { 2 };
        for router in routers.iter().take(count) {
            text.push_str(&format!(
                "[[bgp.neighbor]]\naddress = \"{router}\"\nremote-as = {remote_as}\nhold-time = \"{}s\"\n\
                 passive = {}\nbfd = {}\n",
                self.hold_s, self.is_passive, self.has_bfd
            ));
            if self.is_one_session {
                text.push_str(&format!("families = [\"ipv4\", \"ipv6\"]\nnext-hop-v6 = \"{}\"\n", node.own6()));
            }
            if let Some(password) = self.password {
                text.push_str(&format!("password = \"{password}\"\n"));
            }
            if self.has_gtsm {
                text.push_str("ttl-security = 1\n");
            }
            if node == NodeNumber::SECOND {
                text.push_str("prepend = 2\nlocal-pref = 50\n");
            }
            text.push_str("degraded-prepend = 5\n");
        }
        text
    }

    /// Starts the router's daemons.
    pub(crate) fn start_router(self, space: &Namespace, folder: &Path) -> Vec<Daemon> {
        match self.router {
            Router::Bird => vec![start_bird(space, folder, &self.bird())],
            Router::Frr => {
                let daemons: &[&str] = if self.has_bfd { &["zebra", "bfdd", "bgpd"] } else { &["zebra", "bgpd"] };
                start_frr(space, folder, &self.frr(), daemons)
            }
            Router::GoBgp => {
                let config = folder.join("gobgp.toml");
                fs::write(&config, self.gobgp()).expect("the folder can be written to");
                let mut command = Command::new("gobgpd");
                command.arg("-f").arg(&config).args(["--api-hosts", "127.0.0.1:50051", "-p"]);
                let collector = collector(space, folder);
                vec![collector, self.start(space, folder, &mut command, "gobgp.log")]
            }
            Router::OpenBgpd => {
                let config = folder.join("bgpd.conf");
                fs::write(&config, self.openbgpd(folder)).expect("the folder can be written to");
                // Who does not find it at once tries again after two minutes.
                let collector = collector(space, folder);
                vec![collector, self.start(space, folder, &mut openbgpd(&config), "bgpd.log")]
            }
        }
    }

    /// Starts a daemon that stays in the foreground.
    fn start(self, space: &Namespace, folder: &Path, command: &mut Command, log: &str) -> Daemon {
        let log = folder.join(log);
        let mut daemon = space.start(command, &log);
        let is_listening = || space.has_listener(179);
        let is_up = clock::wait_until(START_PATIENCE, || daemon.ended().is_some() || is_listening());
        let text = fs::read_to_string(&log).unwrap_or_default();
        assert!(is_up && daemon.ended().is_none(), "{:?} does not start: {text}", self.router);
        hurry(&daemon);
        daemon
    }

    /// The peers of the router: their addresses, IPv4 first, by node.
    fn peers(self) -> Vec<(String, String, bool)> {
        let mut peers = Vec::new();
        for node in [NodeNumber::FIRST, NodeNumber::SECOND] {
            peers.push((format!("{node}_4"), node.own4().to_string(), true));
            if !self.is_one_session {
                peers.push((format!("{node}_6"), node.own6().to_string(), false));
            }
        }
        peers
    }

    /// The configuration of BIRD.
    fn bird(self) -> String {
        let (own_as, node_as) = (AS_NUMBERS.0, self.node_as());
        let mut text = format!("router id 198.51.100.1;\n{BIRD_KERNEL}template bgp to_node {{\n  local as {own_as};\n");
        if self.is_forgiving {
            text.push_str("  error wait time 1, 5;\n  connect delay time 1;\n  connect retry time 1;\n");
        }
        for (is_set, line) in [
            (self.has_bfd, "bfd on;".to_owned()),
            (self.has_gtsm, "ttl security on;".to_owned()),
            (!self.is_passive, "passive on;".to_owned()),
            (self.is_internal, "direct;".to_owned()),
            (self.password.is_some(), format!("password \"{}\";", self.password.unwrap_or_default())),
        ] {
            if is_set {
                text.push_str(&format!("  {line}\n"));
            }
        }
        text.push_str("}\n");
        if self.has_bfd {
            text.push_str(BIRD_BFD);
        }
        for (name, address, is_ipv4) in self.peers() {
            let exported = if self.tells_back { "all" } else { "none" };
            let channel = |family: &str| format!("{family} {{ import all; export {exported}; }};");
            let channels = match (self.is_one_session, is_ipv4) {
                (true, _) => channel("ipv4") + " " + &channel("ipv6"),
                (false, true) => channel("ipv4"),
                (false, false) => channel("ipv6"),
            };
            text.push_str(&format!(
                "protocol bgp {name} from to_node {{ neighbor {address} as {node_as}; {channels} }}\n"
            ));
        }
        text
    }

    /// The configuration of FRR.
    fn frr(self) -> String {
        let (own_as, node_as) = (AS_NUMBERS.0, self.node_as());
        let mut text = format!(
            "frr defaults traditional\n!\nrouter bgp {own_as}\n bgp router-id 198.51.100.1\n \
             no bgp ebgp-requires-policy\n"
        );
        for (_, address, _) in self.peers() {
            text.push_str(&format!(" neighbor {address} remote-as {node_as}\n neighbor {address} timers connect 1\n"));
            if !self.is_passive {
                text.push_str(&format!(" neighbor {address} passive\n"));
            }
            if self.has_bfd {
                text.push_str(&format!(" neighbor {address} bfd 3 50 50\n"));
            }
            if self.has_gtsm {
                text.push_str(&format!(" neighbor {address} ttl-security hops 1\n"));
            }
            if let Some(password) = self.password {
                text.push_str(&format!(" neighbor {address} password {password}\n"));
            }
        }
        for (family, is_of_family) in [("ipv4", true), ("ipv6", false)] {
            text.push_str(&format!(" address-family {family} unicast\n"));
            for (_, address, is_ipv4) in self.peers() {
                let no = if self.is_one_session || is_ipv4 == is_of_family { "" } else { "no " };
                text.push_str(&format!("  {no}neighbor {address} activate\n"));
            }
            text.push_str(" exit-address-family\n");
        }
        text + "exit\n"
    }

    /// The configuration of GoBGP.
    fn gobgp(self) -> String {
        let (own_as, node_as) = (AS_NUMBERS.0, self.node_as());
        let family = |name: &str| {
            format!(
                "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n    \
                 afi-safi-name = \"{name}-unicast\"\n"
            )
        };
        let both = family("ipv4") + &family("ipv6");
        let mut text = format!(
            "[global.config]\n  as = {own_as}\n  router-id = \"198.51.100.1\"\n\n\
             [[neighbors]]\n  [neighbors.config]\n    \
             neighbor-address = \"127.0.0.2\"\n    peer-as = {own_as}\n  [neighbors.transport.config]\n    \
             remote-port = {COLLECTOR_PORT}\n    local-address = \"127.0.0.1\"\n  [neighbors.timers.config]\n    \
             connect-retry = 1\n{both}"
        );
        for (_, address, is_ipv4) in self.peers() {
            text.push_str(&format!(
                "\n[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{address}\"\n    \
                 peer-as = {node_as}\n"
            ));
            if let Some(password) = self.password {
                text.push_str(&format!("    auth-password = \"{password}\"\n"));
            }
            text.push_str(&format!("  [neighbors.transport.config]\n    passive-mode = {}\n", !self.is_passive));
            if self.has_gtsm {
                text.push_str("  [neighbors.ttl-security.config]\n    enabled = true\n    ttl-min = 255\n");
            }
            text.push_str(&match (self.is_one_session, is_ipv4) {
                (true, _) => both.clone(),
                (false, true) => family("ipv4"),
                (false, false) => family("ipv6"),
            });
        }
        text
    }

    /// The configuration of OpenBGPD.
    fn openbgpd(self, folder: &Path) -> String {
        let (own_as, node_as) = (AS_NUMBERS.0, self.node_as());
        let mut text = format!(
            "AS {own_as}\nrouter-id 198.51.100.1\nfib-update no\nsocket \"{}\"\nneighbor 127.0.0.2 {{\n  \
             remote-as {own_as}\n  port {COLLECTOR_PORT}\n  local-address 127.0.0.1\n  announce IPv4 unicast\n  \
             announce IPv6 unicast\n}}\n",
            folder.join("bgpd.sock").display()
        );
        for (_, address, is_ipv4) in self.peers() {
            text.push_str(&format!("neighbor {address} {{\n  remote-as {node_as}\n"));
            for (is_set, line) in [
                (!self.is_passive, "passive".to_owned()),
                // It tells internal peers of each other's routes, as the BIRD beside it is one.
                (self.is_internal, "route-reflector".to_owned()),
                (self.has_gtsm, "ttl-security yes".to_owned()),
                (self.password.is_some(), format!("tcp md5sig password {}", self.password.unwrap_or_default())),
                (self.is_one_session || is_ipv4, "announce IPv4 unicast".to_owned()),
                (self.is_one_session || !is_ipv4, "announce IPv6 unicast".to_owned()),
            ] {
                if is_set {
                    text.push_str(&format!("  {line}\n"));
                }
            }
            text.push_str("}\n");
        }
        text + "allow from any\nallow to any\n"
    }
}

/// Starts the BIRD beside a router that has no kernel routes of its own.
fn collector(space: &Namespace, folder: &Path) -> Daemon {
    let own_as = AS_NUMBERS.0;
    let text = format!(
        "router id 198.51.100.200;\n{BIRD_KERNEL}protocol direct {{ ipv4; ipv6; interface \"node*\"; }}\n\
         protocol bgp from_router {{\n  local 127.0.0.2 port {COLLECTOR_PORT} as {own_as};\n  \
         neighbor 127.0.0.1 as {own_as};\n  passive on;\n  ipv4 {{ import all; export none; }};\n  \
         ipv6 {{ import all; export none; }};\n}}\n"
    );
    start_bird(space, folder, &text)
}

/// What each BIRD begins with: what it learns goes to its kernel.
const BIRD_KERNEL: &str = "log stderr { warning, error, auth, fatal, bug };\n\
    protocol device { }\n\
    protocol kernel kernel4 { ipv4 { import none; export where source = RTS_BGP; }; }\n\
    protocol kernel kernel6 { ipv6 { import none; export where source = RTS_BGP; }; }\n";

/// BFD as fast as fated does it.
const BIRD_BFD: &str = "protocol bfd { interface \"node*\" { min rx interval 50 ms; min tx interval 50 ms; \
    multiplier 3; }; }\n";
