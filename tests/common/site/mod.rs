//! An anycast site to pull the plug on: a client, a router and two nodes in network namespaces of their own.
//!
//! ```text
//!            198.51.100.0/30            198.51.100.4/30  ┌─────────────────────┐
//!            2001:db8:0::/64            2001:db8:1::/64  │ node1, preferred    │
//!  ┌────────┐  .2        .1  ┌────────┐  .5         .6   │ server, BIRD or FRR │
//!  │ client ├────────────────┤ router ├──────────────────┤                     │
//!  └────────┘                │ BIRD   │                  └─────────────────────┘
//!                            │ or FRR ├──────────────────┐ node2, the same
//!                            └────────┘  .9         .10    198.51.100.8/30, 2001:db8:2::/64
//! ```
//!
//! Both nodes serve 192.0.2.53 and 2001:db8:53::53. A [`Site`] is built from a [`Plan`]; [`Site::round`] puts a
//! [`Fault`] on node1, waits until the client is served again, takes the fault away, and waits until node1 is back.
//! Everything that is noted bears the time of one clock. All of it ends with the value, with a panic, and when the
//! process is interrupted.

pub(crate) mod clock;
pub(crate) mod fault;
pub(crate) mod load;
pub(crate) mod namespace;
pub(crate) mod node;
pub(crate) mod routing;
pub(crate) mod scene;
pub(crate) mod speaker;
pub(crate) mod strangers;
pub(crate) mod subject;
pub(crate) mod watch;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) use fault::Fault;
use load::{Load, Report};
use namespace::{Folder, Namespace};
use node::Node;
pub(crate) use routing::Routing;
pub(crate) use subject::Subject;
use watch::{RouteChange, RouteWatch};

/// How long a site may take from its start until node1 answers every query.
const START_PATIENCE: Duration = Duration::from_secs(40);
/// What each million names may add to that, and to the return after a fault.
const LOAD_PATIENCE: Duration = Duration::from_secs(20);
/// A site is well when no query of this long was lost and node1 gave all answers.
const WELL_SPAN: Duration = Duration::from_millis(500);
/// A fault is over for the client when no query of this long was lost.
const SERVED_SPAN: Duration = Duration::from_millis(1500);
/// Replies are waited for this long before a query counts in a decision that is made while the site runs.
const REPLY_SPAN: Duration = Duration::from_millis(300);

/// An Internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The service address.
    pub(crate) fn service(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(192, 0, 2, 53).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 0x53).into(),
        }
    }

    /// The service address as a prefix, as `ip` and configurations write it.
    pub(crate) fn prefix(self) -> String {
        format!("{}/{}", self.service(), if self == Self::V4 { 32 } else { 128 })
    }

    /// The unspecified address.
    pub(crate) fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// Which node, 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeNumber(pub(crate) u8);

impl NodeNumber {
    /// The node that is preferred.
    pub(crate) const FIRST: Self = Self(1);
    /// The node that takes over.
    pub(crate) const SECOND: Self = Self(2);

    /// The node whose own address this is.
    fn of_gateway(gateway: IpAddr) -> Option<Self> {
        [Self::FIRST, Self::SECOND].into_iter().find(|node| match gateway {
            IpAddr::V4(address) => address == node.own4(),
            // OSPFv3 and, where it likes, BGP name the link-local address, which carries the number too.
            IpAddr::V6(address) => address == node.own6() || address == node.link_local(),
        })
    }

    /// The node that gives this NSID.
    fn of_identity(identity: &[u8]) -> Option<Self> {
        [Self::FIRST, Self::SECOND].into_iter().find(|node| node.to_string().as_bytes() == identity)
    }

    /// Its own IPv4 address.
    pub(crate) fn own4(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, self.0 * 4 + 2)
    }

    /// Its own IPv6 address.
    pub(crate) fn own6(self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, self.0.into(), 0, 0, 0, 0, 2)
    }

    /// Its link-local address.
    fn link_local(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, self.0.into(), 2)
    }

    /// The router's IPv4 address on the link to it.
    pub(crate) fn router4(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, self.0 * 4 + 1)
    }

    /// The router's IPv6 address on the link to it.
    pub(crate) fn router6(self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, self.0.into(), 0, 0, 0, 0, 1)
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node{}", self.0)
    }
}

/// What a site is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What serves on both nodes.
    pub(crate) subject: Subject,
    /// How routes get from the nodes to the router.
    pub(crate) routing: Routing,
    /// Queries a second.
    pub(crate) rate: u32,
    /// Names of a second zone, which nobody asks for: it makes the server as big as a real one. 0: no such zone.
    pub(crate) bulk_names: usize,
}

impl Plan {
    /// A site with a thousand queries a second and a small zone.
    pub(crate) fn new(subject: Subject, routing: Routing) -> Self {
        Self { subject, routing, rate: 1000, bulk_names: 0 }
    }

    /// How long a server may take until it answers.
    fn patience(&self) -> Duration {
        START_PATIENCE + LOAD_PATIENCE * u32::try_from(self.bulk_names / 1_000_000).unwrap_or(u32::MAX)
    }

    /// The programs that have to be installed.
    pub(crate) fn programs(&self) -> Vec<&'static str> {
        let mut programs = vec!["ip", "nft", "chrt"];
        programs.extend(self.routing.programs());
        programs.extend(self.subject.programs());
        programs
    }

    /// Whether the test that wants this site can't run here: says so loudly, and fails it where skipping is not
    /// allowed.
    pub(crate) fn must_skip(&self, test: &str) -> bool {
        if !is_root() {
            let reason = "network namespaces need root";
            assert!(std::env::var_os("FATED_TESTS_MAY_SKIP").is_some(), "{test}: {reason}");
            super::skip_loudly(test, reason);
            return true;
        }
        super::must_skip(test, &self.programs())
    }
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// What came of one fault.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Which fault.
    pub(crate) fault: Fault,
    /// When it was put on: the moment before the first system call that does it.
    pub(crate) at: Duration,
    /// When it was taken away.
    pub(crate) lifted_at: Duration,
    /// When node1 had all queries again; `None` where it did not come back in time.
    pub(crate) back_at: Option<Duration>,
    /// How long after the fault the router's route to node1 was gone, the slower family; `None` where one stayed.
    pub(crate) route_change: Option<Duration>,
    /// What came of the queries from the fault until it was taken away.
    pub(crate) during: Report,
    /// What came of the queries from then until node1 was back.
    pub(crate) after: Report,
}

/// A client, a router, two nodes, and a load that runs.
///
/// The order of the fields is the order in which they end.
#[derive(Debug)]
pub(crate) struct Site {
    /// Who asks, all the time.
    pub(crate) load: Load,
    /// Who watches the router's kernel.
    pub(crate) watch: RouteWatch,
    /// node1 and node2.
    pub(crate) nodes: [Node; 2],
    /// The router's daemons.
    router_daemons: Vec<namespace::Daemon>,
    /// The client's namespace.
    pub(crate) client: Namespace,
    /// The router's namespace.
    pub(crate) router: Namespace,
    /// Configurations, sockets and logs.
    pub(crate) folder: Folder,
    /// How long a node may take until it is back.
    patience: Duration,
}

impl Site {
    /// Builds a site and waits until node1 answers every query over both families, and node2 stands by.
    ///
    /// # Panics
    /// With the logs, if anything fails or takes more than [`START_PATIENCE`].
    pub(crate) fn build(plan: &Plan) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        namespace::guard();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Folder::new(number);
        let client = Namespace::new(number, "client");
        let router = Namespace::new(number, "router");
        router.set(&[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")]);
        let spaces = [NodeNumber::FIRST, NodeNumber::SECOND].map(|node| Namespace::new(number, &node.to_string()));
        join(&router, &client, NodeNumber(0), "client");
        client.ip(&format!("route add default via {}", NodeNumber(0).router4()));
        client.ip(&format!("-6 route add default via {}", NodeNumber(0).router6()));
        for (node, space) in [NodeNumber::FIRST, NodeNumber::SECOND].into_iter().zip(&spaces) {
            join(&router, space, node, &node.to_string());
            space.ip(&format!("route add default via {}", node.router4()));
            space.ip(&format!("-6 route add default via {}", node.router6()));
        }
        if plan.bulk_names > 0 {
            subject::write_bulk_zone(&folder.path().join(subject::BULK_FILE), plan.bulk_names);
        }
        let watch = RouteWatch::start(&router);
        let router_daemons = plan.routing.start_router(&router, folder.path());
        let mut numbers = [NodeNumber::FIRST, NodeNumber::SECOND].into_iter();
        let nodes = spaces.map(|space| {
            let node = numbers.next().expect("two nodes");
            Node::start(node, space, plan, &folder.path().join(node.to_string()))
        });
        let load = Load::start(&client, plan.rate, &Family::ALL);
        let patience = plan.patience();
        let site = Self { load, watch, nodes, router_daemons, client, router, folder, patience };
        assert!(site.wait_well(patience), "the site does not come up: {}", site.logs());
        site
    }

    /// Ends the router's daemons and starts them anew.
    pub(crate) fn restart_router(&mut self) {
        for daemon in &mut self.router_daemons {
            daemon.signal(nix::sys::signal::Signal::SIGTERM);
            assert!(clock::wait_until(START_PATIENCE, || daemon.ended().is_some()), "a daemon does not end");
        }
        self.router_daemons = self.nodes[0].routing.start_router(&self.router, self.folder.path());
    }

    /// Waits until both routes lead to node1, all queries of [`WELL_SPAN`] were answered, and by node1; whether they
    /// were.
    pub(crate) fn wait_well(&self, bound: Duration) -> bool {
        clock::wait_until(bound, || {
            let to = clock::now().saturating_sub(REPLY_SPAN);
            let report = self.load.report(to.saturating_sub(WELL_SPAN), to);
            let is_all_of_first = report.by_node.get(&NodeNumber::FIRST) == Some(&report.sent);
            self.is_routed_to(NodeNumber::FIRST) && report.sent > 0 && report.lost == 0 && is_all_of_first
        })
    }

    /// Waits until no query of [`SERVED_SPAN`] was lost, all of it later than `since`; whether so.
    pub(crate) fn wait_served(&self, since: Duration, bound: Duration) -> bool {
        clock::wait_until(bound, || {
            let to = clock::now().saturating_sub(REPLY_SPAN);
            let from = to.saturating_sub(SERVED_SPAN);
            from > since && self.load.report(from, to).lost == 0
        })
    }

    /// Whether both families are routed to this node.
    pub(crate) fn is_routed_to(&self, node: NodeNumber) -> bool {
        Family::ALL.into_iter().all(|family| self.watch.current(family) == Some(node))
    }

    /// Waits until replies to all that was sent before `moment` have come or never will.
    pub(crate) fn wait_final(&self, moment: Duration) {
        clock::wait_until(load::ANSWER_PATIENCE * 2, || clock::now() > moment + load::ANSWER_PATIENCE);
    }

    /// Puts a fault on node1, waits for [`Fault::hold`] and then until the client is served again but at most `bound`,
    /// takes the fault away, and waits until node1 is back.
    ///
    /// # Panics
    /// With the logs, if the site is not well before, or the fault can't be put on or taken away.
    pub(crate) fn round(&mut self, fault: Fault, bound: Duration) -> Round {
        let hold = fault.hold().min(bound);
        assert!(self.wait_well(self.patience), "the site is not well before {fault}: {}", self.logs());
        let at = clock::now();
        fault.put(&mut self.nodes[0]);
        clock::wait_until(hold, || clock::now() > at + hold);
        self.wait_served(at, bound.saturating_sub(hold));
        // What is sent from here on is the return's.
        let lifted_at = clock::now();
        fault.lift(&mut self.nodes[0]);
        let is_back = self.wait_well(self.patience);
        let back_at = clock::now();
        self.wait_final(back_at);
        Round {
            fault,
            at,
            lifted_at,
            back_at: is_back.then_some(back_at),
            route_change: self.route_change(at, lifted_at),
            during: self.load.report(at, lifted_at),
            after: self.load.report(lifted_at, back_at),
        }
    }

    /// How long after `at` the router's routes to node1 were gone, the slower family; `None` where one stayed until
    /// `end`.
    pub(crate) fn route_change(&self, at: Duration, end: Duration) -> Option<Duration> {
        let changes = self.watch.changes();
        let is_away = |change: &&RouteChange| change.to != Some(NodeNumber::FIRST) && (at..end).contains(&change.at);
        let first = |family: Family| changes.iter().filter(|change| change.family == family).find(is_away);
        let moments = Family::ALL.map(|family| first(family).map(|change| change.at - at));
        Some(moments[0]?.max(moments[1]?))
    }

    /// What went wrong may stand here: routes, states and logs.
    pub(crate) fn logs(&self) -> String {
        let now = clock::now();
        let report = self.load.report(now.saturating_sub(Duration::from_secs(3)), now.saturating_sub(REPLY_SPAN));
        let mut text = format!("the last seconds: {report:?}\nroute changes: {:#?}\n", self.watch.changes());
        for path in node::logs(self.folder.path()) {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            let from = log.char_indices().rev().nth(LOG_SHOWN_MAX).map_or(0, |(at, _)| at);
            text.push_str(&format!("--- {}\n{}\n", path.display(), &log[from..]));
        }
        text
    }
}

/// The most characters of a log that are shown.
const LOG_SHOWN_MAX: usize = 3000;

/// Joins the router and another namespace with a cable; there it is `eth0`, at the router it has the other's name.
fn join(router: &Namespace, other: &Namespace, number: NodeNumber, name: &str) {
    router.ip(&format!("link add name {name} type veth peer name eth0 netns {}", other.name()));
    router.ip(&format!("addr add {}/30 dev {name}", number.router4()));
    router.ip(&format!("addr add {}/64 dev {name} nodad", number.router6()));
    other.ip(&format!("addr add {}/30 dev eth0", number.own4()));
    other.ip(&format!("addr add {}/64 dev eth0 nodad", number.own6()));
    // The kernel makes no link-local address of its own, so that the one that names the node is the only one.
    other.ip("link set eth0 addrgenmode none");
    other.ip(&format!("addr add {}/64 dev eth0 nodad", number.link_local()));
    router.ip(&format!("link set {name} up"));
    other.ip("link set eth0 up");
}
