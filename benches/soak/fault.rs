//! What befalls node1 in the soak: which, for how long, and what must be seen of it.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fated::admin::reply::{Reload, State};
use fated::admin::{self, Request};
use nix::sys::signal::Signal;

use crate::common::Dice;
use crate::common::site::fault::Wedge;
use crate::common::site::node::Node;
use crate::common::site::subject::workers_of_fated;
use crate::common::site::{Family, Fault, NodeNumber, Site};
use crate::crowd::{ABSENT_NETWORK4, Crowd};
use crate::run;

/// The nft table that holds a fault.
const TABLE: &str = "soak_fault";
/// A freeze that is longer than this outlives the lease and the prover's silence, and so has to be seen.
const FREEZE_SEEN: Duration = Duration::from_millis(1600);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Killed, and started again.
    Kill,
    /// Stopped, and continued.
    Freeze,
    /// One worker is held still.
    WedgeOne,
    /// All workers are held still.
    WedgeAll,
    /// The packet filter drops UDP.
    MuteUdp,
    /// The packet filter drops IPv4.
    MuteV4,
    /// The packet filter drops IPv6.
    MuteV6,
    /// The packet filter drops TCP.
    MuteTcp,
    /// The service addresses are deleted.
    Address,
    /// The operator drains and resumes.
    Drain,
    /// The operator reloads a zone that has changed.
    Reload,
    /// The operator reloads a zone that is broken.
    ReloadBroken,
    /// Other work takes all CPUs.
    Saturate,
    /// SIGHUP, with a zone that has changed.
    Hangup,
    /// Idle connections fill all TCP clients that are taken.
    IdleTcp,
    /// A policy rule sends what leaves from the service addresses by another table.
    PolicyRoute,
    /// The packet filter takes port 53 by the card's name only, and drops all that no rule names.
    NarrowFilter,
    /// The packet filter drops sources that nobody has on the Internet.
    BogonFilter,
    /// Queries come from hosts of the node's own networks that are not there.
    AbsentNeighbours,
    /// Many more queries than usual, in bursts, that can all be answered.
    Flood,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 20] = [
        Self::Kill,
        Self::Freeze,
        Self::WedgeOne,
        Self::WedgeAll,
        Self::MuteUdp,
        Self::MuteV4,
        Self::MuteV6,
        Self::MuteTcp,
        Self::Address,
        Self::Drain,
        Self::Reload,
        Self::ReloadBroken,
        Self::Saturate,
        Self::Hangup,
        Self::IdleTcp,
        Self::PolicyRoute,
        Self::NarrowFilter,
        Self::BogonFilter,
        Self::AbsentNeighbours,
        Self::Flood,
    ];

    /// One word for tables and files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::WedgeOne => "wedge",
            Self::WedgeAll => "wedge-all",
            Self::MuteUdp => "mute-udp",
            Self::MuteV4 => "mute-v4",
            Self::MuteV6 => "mute-v6",
            Self::MuteTcp => "mute-tcp",
            Self::Address => "address",
            Self::Drain => "drain",
            Self::Reload => "reload",
            Self::ReloadBroken => "reload-broken",
            Self::Saturate => "saturate",
            Self::Hangup => "hangup",
            Self::IdleTcp => "idle-tcp",
            Self::PolicyRoute => "policy-route",
            Self::NarrowFilter => "narrow-filter",
            Self::BogonFilter => "bogon-filter",
            Self::AbsentNeighbours => "absent-neighbours",
            Self::Flood => "flood",
        }
    }

    /// How long it lasts: drawn from this range of milliseconds.
    fn range(self) -> (usize, usize) {
        match self {
            Self::Kill => (500, 3000),
            Self::Freeze => (200, 4000),
            Self::WedgeOne | Self::WedgeAll => (500, 10_000),
            Self::MuteUdp | Self::MuteV4 | Self::MuteV6 => (500, 5000),
            // Three queries over TCP have to fail, each after its own patience.
            Self::MuteTcp => (6000, 9000),
            // Long enough that a proof that stood in the clients' queue would be missed three times.
            Self::IdleTcp => (9000, 15_000),
            Self::PolicyRoute | Self::NarrowFilter | Self::BogonFilter => (2000, 6000),
            Self::AbsentNeighbours | Self::Flood => (4000, 8000),
            Self::Address => (1000, 2000),
            Self::Drain => (1500, 4000),
            Self::Reload | Self::ReloadBroken | Self::Hangup => (500, 1500),
            Self::Saturate => (2000, 5000),
        }
    }

    /// Draws how long it lasts.
    pub(crate) fn draw_span(self, dice: &mut Dice) -> Duration {
        let (least, most) = self.range();
        Duration::from_millis((least + dice.below(most - least + 1)) as u64)
    }

    /// The service addresses that may be withdrawn for it. One wedged worker of two, a reload, a busy machine, and all
    /// that leaves clients answered: none.
    pub(crate) fn may_withdraw(self) -> &'static [Family] {
        match self {
            Self::WedgeOne | Self::Reload | Self::ReloadBroken | Self::Saturate | Self::Hangup => &[],
            Self::IdleTcp | Self::PolicyRoute | Self::NarrowFilter | Self::BogonFilter => &[],
            Self::AbsentNeighbours | Self::Flood => &[],
            Self::MuteV4 => &[Family::V4],
            Self::MuteV6 => &[Family::V6],
            _ => &Family::ALL,
        }
    }

    /// Whether the words of the log, the routes and the deeds show that it was seen; `None` where nothing has to be.
    pub(crate) fn is_seen(self, span: Duration, evidence: &Evidence<'_>) -> Option<bool> {
        let logged = |words: &str| evidence.log.contains(words);
        let withdrawn_for = |cause: &str| evidence.withdrawals().any(|line| line.contains(cause));
        Some(match self {
            Self::Kill => evidence.is_route_gone,
            Self::Freeze if span < FREEZE_SEEN => return None,
            Self::Freeze => evidence.is_route_gone,
            Self::WedgeOne | Self::WedgeAll => evidence.repairs() > 0,
            Self::MuteUdp | Self::MuteV4 | Self::MuteV6 => withdrawn_for("too-few-workers"),
            Self::MuteTcp => withdrawn_for("tcp-dead"),
            Self::Address => logged("somebody removed the address"),
            Self::Drain => withdrawn_for("drained"),
            Self::Reload | Self::ReloadBroken | Self::Hangup => logged("reloaded") && evidence.is_as_wanted,
            Self::Saturate | Self::PolicyRoute => return None,
            // Nothing is withdrawn, so it has to be said aloud.
            Self::NarrowFilter | Self::BogonFilter => logged(PATH_FAULT),
            // That it was put on at all: connections were taken, packets were sent.
            Self::IdleTcp | Self::AbsentNeighbours | Self::Flood => evidence.is_as_wanted,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What was to be seen of a fault.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    /// What node1 logged since.
    pub(crate) log: &'a str,
    /// Whether a route to node1 went.
    pub(crate) is_route_gone: bool,
    /// Whether a reload, or who presses from outside, did what it should.
    pub(crate) is_as_wanted: bool,
}

impl Evidence<'_> {
    /// The lines that report a withdrawal.
    pub(crate) fn withdrawals(&self) -> impl Iterator<Item = &str> {
        withdrawals(self.log)
    }

    /// Workers whose threads were replaced.
    pub(crate) fn repairs(&self) -> usize {
        self.log.matches("the worker was wedged").count()
    }
}

/// What a node says of a path that lets clients through and no probe.
pub(crate) const PATH_FAULT: &str = "PATH FAULT";

/// The lines of a log that report a withdrawal.
pub(crate) fn withdrawals(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| line.contains("the stance has changed") && line.contains("to=\"withdraw\""))
}

/// What is on node1 now; taken away by [`Held::lift`].
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Workers that are held still.
    wedges: Vec<Wedge>,
    /// Who presses from outside.
    crowd: Option<Crowd>,
    /// Whether a reload did what it should.
    is_as_wanted: bool,
}

impl Held {
    /// Puts a fault on node1.
    pub(crate) fn put(kind: Kind, site: &mut Site, serial: u32) -> Self {
        let mut held = Self { is_as_wanted: true, ..Self::default() };
        match kind {
            Kind::Kill => Fault::Kill.put(&mut site.nodes[0]),
            Kind::Freeze => Fault::Freeze.put(&mut site.nodes[0]),
            Kind::Address => Fault::AddressGone.put(&mut site.nodes[0]),
            Kind::Drain => Fault::Drain.put(&mut site.nodes[0]),
            Kind::Saturate => Fault::Saturate.put(&mut site.nodes[0]),
            Kind::WedgeOne | Kind::WedgeAll => {
                let node = &mut site.nodes[0];
                let mut workers = workers_of_fated(node.server().id());
                if kind == Kind::WedgeOne && !workers.is_empty() {
                    let drawn = serial as usize % workers.len();
                    workers = vec![workers[drawn]];
                }
                held.wedges = workers.into_iter().map(Wedge::put).collect();
            }
            Kind::MuteUdp => mute(&site.nodes[0], "meta l4proto udp udp"),
            Kind::MuteV4 => mute(&site.nodes[0], "meta nfproto ipv4 meta l4proto { udp, tcp } th"),
            Kind::MuteV6 => mute(&site.nodes[0], "meta nfproto ipv6 meta l4proto { udp, tcp } th"),
            Kind::MuteTcp => mute(&site.nodes[0], "meta l4proto tcp tcp"),
            Kind::Reload => held.is_as_wanted = reload_all(site, serial),
            Kind::ReloadBroken => held.is_as_wanted = reload_broken(&site.nodes[0], serial),
            Kind::Hangup => {
                write_zone(&site.nodes[0].folder, &zone_text(serial));
                site.nodes[0].server().signal(Signal::SIGHUP);
            }
            Kind::IdleTcp => held.crowd = Some(Crowd::idle(&site.client)),
            Kind::PolicyRoute => policy(&site.nodes[0], "add"),
            Kind::NarrowFilter => filter(&site.nodes[0], NARROW),
            Kind::BogonFilter => filter(&site.nodes[0], BOGONS),
            Kind::AbsentNeighbours => {
                site.nodes[0].space.ip(&format!("addr add {ABSENT_NETWORK4} dev eth0"));
                held.crowd = Some(Crowd::absent(&site.router));
            }
            Kind::Flood => held.crowd = Some(Crowd::flood(&site.client)),
        }
        held
    }

    /// Takes it away; whether a reload did what it should.
    pub(crate) fn lift(self, kind: Kind, site: &mut Site, serial: u32) -> bool {
        let node = &mut site.nodes[0];
        let Self { wedges, crowd, is_as_wanted } = self;
        drop(wedges);
        let is_as_wanted = crowd.map_or(is_as_wanted, Crowd::end);
        match kind {
            Kind::Kill => Fault::Kill.lift(node),
            Kind::Freeze => Fault::Freeze.lift(node),
            Kind::Address => Fault::AddressGone.lift(node),
            Kind::Drain => Fault::Drain.lift(node),
            Kind::Saturate => Fault::Saturate.lift(node),
            Kind::MuteUdp | Kind::MuteV4 | Kind::MuteV6 | Kind::MuteTcp | Kind::NarrowFilter | Kind::BogonFilter => {
                node.space.output(Command::new("nft").args(["delete", "table", "inet", TABLE]));
            }
            Kind::PolicyRoute => policy(node, "del"),
            Kind::AbsentNeighbours => {
                let neighbours = node.space.output(Command::new("ip").args(["-4", "neigh", "show", "dev", "eth0"]));
                node.space.ip(&format!("addr del {ABSENT_NETWORK4} dev eth0"));
                return is_as_wanted && ["INCOMPLETE", "FAILED"].iter().any(|state| neighbours.contains(state));
            }
            Kind::WedgeOne | Kind::WedgeAll | Kind::Reload | Kind::IdleTcp | Kind::Flood => {}
            Kind::ReloadBroken => {
                write_zone(&node.folder, &zone_text(serial));
                return is_as_wanted && reload(node) && run::zone_is(node, State::Served, serial);
            }
            Kind::Hangup => return run::zone_is(node, State::Served, serial),
        }
        is_as_wanted
    }
}

/// Drops what a rule finds for port 53.
fn mute(node: &Node, matches: &str) {
    filter(node, &format!("{matches} dport 53 drop;"));
}

/// What the card may bring, by its name: questions, BGP, pings and neighbours; `lo` may bring all, and nobody else
/// anything.
const NARROW: &str = "policy drop; iifname \"lo\" accept; \
    iifname \"eth0\" meta l4proto { udp, tcp } th dport 53 accept; \
    iifname \"eth0\" tcp dport 179 accept; iifname \"eth0\" tcp sport 179 accept; \
    meta l4proto { icmp, ipv6-icmp } accept;";
/// Sources that no packet of the Internet may bear, the prober's own among them.
const BOGONS: &str = "ip saddr { 192.0.0.0/24, 240.0.0.0/4 } drop; ip6 saddr 100::/64 drop;";

/// Puts rules on what comes in.
fn filter(node: &Node, rules: &str) {
    let rules = format!("table inet {TABLE} {{ chain input {{ type filter hook input priority 0; {rules} }}; }}");
    node.space.output(Command::new("nft").arg(rules));
}

/// Adds or deletes a rule for each service address, with a table that leads to the router, as hosts with several
/// uplinks have it.
fn policy(node: &Node, verb: &str) {
    let number = node.number;
    for (option, family, router) in
        [("-4", Family::V4, number.router4().to_string()), ("-6", Family::V6, number.router6().to_string())]
    {
        node.space.ip(&format!("{option} route {verb} default via {router} dev eth0 table {POLICY_TABLE}"));
        node.space.ip(&format!("{option} rule {verb} from {} lookup {POLICY_TABLE}", family.service()));
    }
}

/// The routing table of the policy rule.
const POLICY_TABLE: u32 = 100;

/// Names of the zone beside the wildcard.
const NAMES: u32 = 200;

/// The zone with a serial, and other data with every serial.
fn zone_text(serial: u32) -> String {
    let mut text = format!(
        "$ORIGIN site.test.\n$TTL 300\n@ SOA ns hostmaster {serial} 3600 900 604800 300\n@ NS ns\n\
         ns A 192.0.2.53\nns AAAA 2001:db8:53::53\n* A 198.51.100.53\n"
    );
    for name in 0..NAMES {
        text.push_str(&format!("name{name} A 10.{}.{}.{name}\n", serial >> 8 & 0xFF, serial & 0xFF));
    }
    text
}

/// Puts a zone file where the server reads it, at once.
fn write_zone(folder: &Path, text: &str) {
    let (fresh, file) = (folder.join("site.test.zone.new"), folder.join("site.test.zone"));
    std::fs::write(&fresh, text).expect("the folder can be written to");
    std::fs::rename(&fresh, &file).expect("the folder can be written to");
}

/// Reloads; whether nothing was found to be broken.
fn reload(node: &Node) -> bool {
    run::ask::<Reload>(node, &Request::Reload(admin::Reload::default()))
        .is_some_and(|reload| reload.kept + reload.refused == 0)
}

/// Reloads a changed zone on both nodes; whether it is served.
fn reload_all(site: &Site, serial: u32) -> bool {
    let is_done = |node: &&Node| {
        write_zone(&node.folder, &zone_text(serial));
        reload(node) && run::zone_is(node, State::Served, serial)
    };
    site.nodes.iter().filter(is_done).count() == site.nodes.len()
}

/// Reloads a zone that is broken on node1; whether the old one is kept.
fn reload_broken(node: &Node, serial: u32) -> bool {
    assert_eq!(node.number, NodeNumber::FIRST, "only node1 is meant to suffer");
    let text = zone_text(serial).replacen("ns A 192.0.2.53", "ns A 192.0.2.530\n@@ \"", 1);
    write_zone(&node.folder, &text);
    let reply = run::ask::<Reload>(node, &Request::Reload(admin::Reload::default()));
    reply.is_some_and(|reload| reload.kept == 1) && run::zone_is(node, State::Kept, 0)
}
