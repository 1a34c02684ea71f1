//! What real routers sent in a session, in `tests/corpus/bgp`, is replayed: the machine of a session makes the same of
//! it, however the stream is cut.
//!
//! Made by `cargo test --test bgp_records -- --ignored`, as root, with BIRD, FRR, GoBGP and OpenBGPD installed: the
//! session speaks to each in a network namespace, over a socket of the kernel, announces a prefix of each family, asks
//! for nothing, takes what the router announces, sees it stopped, and leaves its octets in the corpus.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::site::is_root;
use common::site::namespace::{self, Daemon, Folder, Namespace};
use common::site::routing::{self, start_bird, start_frr};
use fated::bgp::{
    Action, AsNumber, Attributes, ConnectFailure, Event, Facts, Families, Link, NextHop, ReceivedRoute, Route, Session,
    SessionSettings, State,
};
use ipnet::IpNet;
use nix::sys::signal::Signal;

/// The addresses of the router and of the node.
const ADDRESSES: [[u8; 4]; 2] = [[10, 99, 1, 1], [10, 99, 1, 2]];
/// The port of BGP.
const PORT: u16 = 179;
/// How long a router may take to be there, and to say what it has to say.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a recorded session lasts from Established until the router is stopped: some KEEPALIVEs.
const LASTS: Duration = Duration::from_secs(4);
/// What the routers announce.
const THEIRS: [&str; 2] = ["203.0.113.0/24", "2001:db8:77::/48"];
/// What the node announces.
const OURS: [&str; 2] = ["192.0.2.0/24", "2001:db8:53::/48"];

/// A router that is recorded: its name in the corpus, and the codes of the capabilities in its OPEN.
struct Router {
    name: &'static str,
    capabilities: &'static [u8],
    start: fn(&Namespace, &Path) -> Vec<Daemon>,
}

const ROUTERS: [Router; 4] = [
    Router { name: "bird", capabilities: &[1, 2, 64, 65, 70, 71], start: bird },
    Router { name: "frr", capabilities: &[1, 128, 2, 70, 65, 6, 69, 73, 64, 71], start: frr },
    Router { name: "gobgp", capabilities: &[2, 73, 1, 65, 5], start: gobgp },
    Router { name: "openbgpd", capabilities: &[1, 2, 64, 65], start: openbgpd },
];

/// Starts BIRD with two static routes.
fn bird(space: &Namespace, folder: &Path) -> Vec<Daemon> {
    let text = "router id 10.99.1.1;\nprotocol device { }\n\
                protocol static four { ipv4; route 203.0.113.0/24 blackhole { bgp_community.add((65001, 7)); \
                bgp_large_community.add((65001, 7, 8)); bgp_med = 30; }; }\n\
                protocol static six { ipv6; route 2001:db8:77::/48 blackhole; }\n\
                protocol bgp node { local 10.99.1.1 as 65001; neighbor 10.99.1.2 as 65002; passive on;\n\
                ipv4 { import all; export all; };\n\
                ipv6 { import all; export all; next hop address 2001:db8:99::1; }; }\n";
    vec![start_bird(space, folder, text)]
}

/// Starts FRR with two networks.
fn frr(space: &Namespace, folder: &Path) -> Vec<Daemon> {
    let text = "frr defaults traditional\n!\nrouter bgp 65001\n bgp router-id 10.99.1.1\n \
                no bgp ebgp-requires-policy\n no bgp network import-check\n neighbor 10.99.1.2 remote-as 65002\n \
                neighbor 10.99.1.2 passive\n address-family ipv4 unicast\n  network 203.0.113.0/24\n \
                exit-address-family\n address-family ipv6 unicast\n  network 2001:db8:77::/48\n  \
                neighbor 10.99.1.2 activate\n exit-address-family\nexit\n";
    start_frr(space, folder, text, &["zebra", "bgpd"])
}

/// Starts GoBGP and gives it two routes.
fn gobgp(space: &Namespace, folder: &Path) -> Vec<Daemon> {
    let family = |name: &str| {
        format!(
            "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"{name}-unicast\"\n"
        )
    };
    let text = format!(
        "[global.config]\n  as = 65001\n  router-id = \"10.99.1.1\"\n[[neighbors]]\n  [neighbors.config]\n    \
         neighbor-address = \"10.99.1.2\"\n    peer-as = 65002\n  [neighbors.transport.config]\n    \
         passive-mode = true\n{}{}",
        family("ipv4"),
        family("ipv6")
    );
    let config = folder.join("gobgp.toml");
    fs::write(&config, text).expect("the folder can be written to");
    let mut command = Command::new("gobgpd");
    command.arg("-f").arg(config).args(["--api-hosts", "127.0.0.1:50051", "-p"]);
    let daemon = space.start(&mut command, &folder.join("gobgp.log"));
    let add = |words: &str| {
        let start = Instant::now();
        let words: Vec<&str> = words.split(' ').collect();
        while !space
            .run(|| Command::new("gobgp").args(["global", "rib", "add"]).args(&words).status())
            .is_ok_and(|status| status.success())
        {
            assert!(start.elapsed() < PATIENCE, "gobgp does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    add("203.0.113.0/24 community 65001:7");
    add("2001:db8:77::/48 -a ipv6 nexthop 2001:db8:99::1");
    vec![daemon]
}

/// Starts OpenBGPD with two networks.
fn openbgpd(space: &Namespace, folder: &Path) -> Vec<Daemon> {
    let text = format!(
        "AS 65001\nrouter-id 10.99.1.1\nfib-update no\nsocket \"{}\"\nnetwork 203.0.113.0/24 set community 65001:7\n\
         network 2001:db8:77::/48\nneighbor 10.99.1.2 {{\n  remote-as 65002\n  passive\n  announce IPv4 unicast\n  \
         announce IPv6 unicast\n}}\nallow from any\nallow to any\n",
        folder.join("bgpd.sock").display()
    );
    let config = folder.join("bgpd.conf");
    fs::write(&config, text).expect("the folder can be written to");
    vec![space.start(&mut routing::openbgpd(&config), &folder.join("bgpd.log"))]
}

/// The settings of the node.
fn settings() -> SessionSettings {
    let mut settings =
        SessionSettings::new(AsNumber(65002), AsNumber(65001), Ipv4Addr::from(ADDRESSES[1]), Duration::from_secs(1));
    settings.kept = THEIRS.map(|text| text.parse().expect("a prefix")).to_vec();
    settings.hold_time = Duration::from_secs(3);
    settings
}

/// The addresses of its connection.
fn link() -> Link {
    let [peer, local] = ADDRESSES.map(IpAddr::from);
    Link { local, peer, link_local: None, global: Some("2001:db8:99::2".parse().expect("an address")) }
}

/// What the node wants, proven at a time.
fn wanted(proven: Duration) -> Vec<Route> {
    let attributes = |prefix: &IpNet| Attributes {
        next_hop: match prefix {
            IpNet::V4(_) => NextHop::Session,
            IpNet::V6(_) => NextHop::Address("2001:db8:99::2".parse().expect("an address")),
        },
        local_pref: 100,
        communities: vec![Attributes::NO_EXPORT],
        ..Attributes::default()
    };
    let route = |prefix: IpNet| Route { prefix, wanted: Some(attributes(&prefix)), proven: Some(proven) };
    OURS.map(|text| route(text.parse().expect("a prefix"))).to_vec()
}

/// Where the recording of a router is.
fn recording(router: &Router) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bgp").join(format!("{}.bin", router.name))
}

/// Checks what is known in the middle of a session: what the router said of itself, and what it announces.
fn assert_known(router: &Router, facts: &Facts) {
    assert_eq!(facts.state, State::Established, "{}: {facts:?}", router.name);
    let peer = facts.peer.as_ref().expect("an OPEN");
    assert_eq!((peer.as_number, peer.router_id), (AsNumber(65001), Ipv4Addr::from(ADDRESSES[0])), "{}", router.name);
    let agreed = facts.agreed.expect("an agreement");
    assert!(agreed.is_four_octet && agreed.families == Families { ipv4: true, ipv6: true }, "{}", router.name);
    assert_eq!(agreed.hold_time, Duration::from_secs(3));
    let is_theirs = |route: &ReceivedRoute| {
        let is_known = THEIRS.iter().any(|theirs| route.prefix.to_string() == *theirs);
        is_known && route.as_path == [AsNumber(65001)] && route.next_hop.is_some()
    };
    assert!(facts.routes.len() == THEIRS.len() && facts.routes.iter().all(is_theirs), "{}: {facts:?}", router.name);
}

#[test]
fn recorded_sessions_of_real_routers_replay_however_they_are_cut() {
    for router in &ROUTERS {
        let path = recording(router);
        let octets = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for part in [1, 7, 19, 64, octets.len()] {
            let mut now = Duration::from_secs(1);
            let mut session = Session::new(now, settings(), 1);
            let mut out = Vec::new();
            session.handle(now, Event::Begin, &mut out);
            session.handle(now, Event::Connected(link()), &mut out);
            session.handle(now, Event::Wanted(&wanted(now)), &mut out);
            let mut middle = None;
            for octets in octets.chunks(part) {
                now += Duration::from_micros(1);
                session.handle(now, Event::Received(octets), &mut out);
                middle = Some(session.facts()).filter(|facts| facts.routes.len() == THEIRS.len()).or(middle);
            }
            let end = session.facts();
            // In one piece the end comes with all the rest, before anything is announced.
            if part < octets.len() {
                let middle = middle.unwrap_or_else(|| panic!("{}: no routes came", router.name));
                assert_known(router, &middle);
                let capabilities = middle.peer.map(|peer| peer.capabilities);
                assert_eq!(capabilities.as_deref(), Some(router.capabilities), "{}", router.name);
            }
            assert_eq!((end.state, end.received.notifications, end.sent.notifications), (State::Active, 1, 0));
            assert_eq!((end.established, end.sent.updates > 0), (1, part < octets.len()), "{}", router.name);
            let said = end.last_received.expect("it said why").text;
            assert!(said.contains("(6/"), "{}: {said}", router.name);
            assert!(!out.iter().any(|action| matches!(action, Action::Noticed(_))), "{}: {out:?}", router.name);
        }
    }
}

/// A session over sockets, and the octets that came in over the last one.
struct Recorder<'a> {
    space: &'a Namespace,
    start: Instant,
    session: Session,
    stream: Option<TcpStream>,
    octets: Vec<u8>,
}

impl<'a> Recorder<'a> {
    /// Lets a session begin in a namespace.
    fn begin(space: &'a Namespace) -> Self {
        let session = Session::new(Duration::ZERO, settings(), 1);
        let mut recorder = Self { space, start: Instant::now(), session, stream: None, octets: Vec::new() };
        recorder.event(Event::Begin);
        recorder
    }

    /// The time of the session.
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Lets something happen, and does what the session asks for.
    fn event(&mut self, event: Event<'_>) {
        let mut out = Vec::new();
        self.session.handle(self.now(), event, &mut out);
        for action in out {
            match (action, &mut self.stream) {
                (Action::Connect, _) => self.connect(),
                // Where it fails, the end of the stream is read next.
                (Action::Send(octets), Some(stream)) => drop(stream.write_all(&octets)),
                (Action::Disconnect | Action::Abort, _) => self.stream = None,
                _ => {}
            }
        }
    }

    /// Connects; a router that is not there yet says no at once.
    fn connect(&mut self) {
        match self.space.run(|| TcpStream::connect((IpAddr::from(ADDRESSES[0]), PORT))) {
            Ok(stream) => {
                stream.set_read_timeout(Some(Duration::from_millis(10))).expect("a bound");
                (self.stream, self.octets) = (Some(stream), Vec::new());
                self.event(Event::Connected(link()));
            }
            Err(_) => self.event(Event::ConnectFailed(ConnectFailure::Refused)),
        }
    }

    /// Lets the session run, its routes proven all the time, until it is as wanted; returns whether it came so far.
    fn run(&mut self, bound: Duration, mut is_done: impl FnMut(&Facts) -> bool) -> bool {
        let end = self.now() + bound;
        let mut buffer = [0; 4096];
        while !is_done(&self.session.facts()) {
            if self.now() > end {
                return false;
            }
            self.event(Event::Wanted(&wanted(self.now())));
            self.event(Event::Tick);
            let Some(stream) = &mut self.stream else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            match stream.read(&mut buffer) {
                Ok(0) => {
                    self.stream = None;
                    self.event(Event::Disconnected);
                }
                Ok(count) => {
                    self.octets.extend_from_slice(&buffer[..count]);
                    self.event(Event::Received(&buffer[..count]));
                }
                Err(_) => {}
            }
        }
        true
    }
}

#[test]
#[ignore = "makes the recordings anew: as root, `cargo test --test bgp_records -- --ignored`"]
fn sessions_of_real_routers_are_recorded() {
    assert!(is_root(), "namespaces take root");
    namespace::guard();
    for (number, router) in ROUTERS.iter().enumerate() {
        let folder = Folder::new(900 + number);
        let (space, node) = (Namespace::new(900 + number, "router"), Namespace::new(900 + number, "node"));
        space.ip(&format!("link add name node type veth peer name eth0 netns {}", node.name()));
        for (space, interface, last) in [(&space, "node", 1), (&node, "eth0", 2)] {
            space.ip(&format!("addr add 10.99.1.{last}/24 dev {interface}"));
            space.ip(&format!("addr add 2001:db8:99::{last}/64 dev {interface} nodad"));
            space.ip(&format!("link set {interface} up"));
        }
        let daemons = (router.start)(&space, folder.path());
        let mut recorder = Recorder::begin(&node);
        let has_all = |facts: &Facts| facts.routes.len() == THEIRS.len() && facts.announced == OURS.len();
        let is_up = recorder.run(PATIENCE, has_all);
        let facts = recorder.session.facts();
        println!("{}: {facts:?}", router.name);
        assert!(is_up, "{}: it comes up", router.name);
        assert_known(router, &facts);
        assert!(!recorder.run(LASTS, |facts| facts.state != State::Established), "{}: it lasts", router.name);
        daemons.iter().rev().for_each(|daemon| daemon.signal(Signal::SIGTERM));
        assert!(recorder.run(PATIENCE, |facts| facts.state == State::Active), "{}: it ends", router.name);
        println!("{}: {:?}", router.name, recorder.session.facts().last_received);
        let path = recording(router);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&path, &recorder.octets).expect("the recording can be written");
    }
}
