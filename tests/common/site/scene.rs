//! What the tests of anycast and of BGP share: a site whose nodes run fated, and what node1 says of itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::unistd::Pid;
use serde_json::Value;

use super::load::Report;
use super::node::Node;
use super::subject::{Fated, workers_of_fated};
use super::{Family, Fault, NodeNumber, Plan, Round, Routing, Site, Subject, clock};

/// How long anything may take that has no bound of its own in the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// Within this a withdrawal that health decides on is seen at the router. The promise is 300 ms, and the lab holds it;
/// here a busy machine may not fail what is right.
pub(crate) const WITHDRAWN: Duration = Duration::from_secs(4);
/// Within this a lease of one second is over: 2.1 s at worst, on an idle machine.
pub(crate) const LAPSED: Duration = Duration::from_secs(6);
/// The name of the nft table that holds a test's own rules.
const TABLE: &str = "anycast_test";

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fated");

/// How much of the machine a test takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Share {
    /// Half: it waits more than it works.
    Half,
    /// All: it keeps the CPUs busy, and would be another test's fault.
    All,
}

impl Share {
    /// In halves.
    fn halves(self) -> usize {
        self as usize + 1
    }
}

/// Who has what of the machine. Whoever comes first is next, so that those who want all of it get it.
struct Turns {
    /// The number of who comes next, and of whose turn it is.
    numbers: (u64, u64),
    /// Halves that nobody has.
    free: usize,
}

static TURNS: Mutex<Turns> = Mutex::new(Turns { numbers: (0, 0), free: 2 });
static TURN_OVER: Condvar = Condvar::new();

/// A test's share of the machine, until it is dropped.
pub(crate) struct Turn(Share);

impl Turn {
    /// Waits for it.
    pub(crate) fn take(share: Share) -> Self {
        let mut turns = Self::turns();
        let number = turns.numbers.0;
        turns.numbers.0 += 1;
        while turns.numbers.1 != number || turns.free < share.halves() {
            turns = TURN_OVER.wait(turns).unwrap_or_else(PoisonError::into_inner);
        }
        turns.numbers.1 += 1;
        turns.free -= share.halves();
        TURN_OVER.notify_all();
        Self(share)
    }

    /// A test that failed has left nothing behind that the next one would see.
    fn turns() -> MutexGuard<'static, Turns> {
        TURNS.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        Self::turns().free += self.0.halves();
        TURN_OVER.notify_all();
    }
}

/// A site with fated on both nodes.
pub(crate) struct Scene {
    pub(crate) site: Site,
    _turn: Turn,
}

impl Scene {
    /// Builds a site with fated as it is shipped; `None`, said loudly, where that can't be.
    pub(crate) fn build(test: &str, routing: Routing) -> Option<Self> {
        Self::build_with(test, routing, Fated::new(PROGRAM))
    }

    /// Builds a site with fated set in a special way.
    pub(crate) fn build_with(test: &str, routing: Routing, fated: Fated) -> Option<Self> {
        Self::build_from(test, &Plan::new(Subject::Fated(fated), routing), Share::Half)
    }

    /// The same for a test that keeps the CPUs busy.
    pub(crate) fn build_alone(test: &str, fated: Fated) -> Option<Self> {
        Self::build_from(test, &Plan::new(Subject::Fated(fated), Routing::BirdBgp), Share::All)
    }

    /// Builds a site from a plan.
    pub(crate) fn build_from(test: &str, plan: &Plan, share: Share) -> Option<Self> {
        if plan.must_skip(test) {
            return None;
        }
        let turn = Turn::take(share);
        Some(Self { site: Site::build(plan), _turn: turn })
    }

    /// node1, on which the faults are put.
    pub(crate) fn node(&mut self) -> &mut Node {
        &mut self.site.nodes[0]
    }

    /// The process id of node1's server.
    pub(crate) fn process(&mut self) -> Pid {
        self.node().server().id()
    }

    /// The threads of node1 that serve UDP, the replaced ones too.
    pub(crate) fn workers(&mut self) -> Vec<Pid> {
        workers_of_fated(self.process())
    }

    /// Runs `fated WORDS --control SOCKET` for node1; returns the exit code and what it wrote to stdout and stderr.
    pub(crate) fn ask(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(PROGRAM);
        command.args(words).arg("--control").arg(self.site.nodes[0].folder.join("control.sock"));
        let output = command.output().expect("fated starts");
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// What node1 says of itself; `None` while it does not.
    pub(crate) fn try_status(&self) -> Option<Value> {
        let (code, out, _) = self.ask(&["status", "--json"]);
        let status: Value = serde_json::from_str(&out).ok().filter(|_| code == Some(0))?;
        Some(status["result"].clone())
    }

    /// What node1 says of itself.
    pub(crate) fn status(&self) -> Value {
        self.try_status().unwrap_or_else(|| panic!("node1 does not report its status: {}", self.site.logs()))
    }

    /// What node1 says of a service address.
    pub(crate) fn address(&self, family: Family) -> Value {
        self.status()["anycast"]["addresses"][family as usize].clone()
    }

    /// What node1 says of the routers that it speaks BGP to; nothing while it says nothing.
    pub(crate) fn try_neighbors(&self) -> Vec<Value> {
        let status = self.try_status().unwrap_or_default();
        status["anycast"]["neighbors"].as_array().cloned().unwrap_or_default()
    }

    /// What node1 says of the routers that it speaks BGP to.
    pub(crate) fn neighbors(&self) -> Vec<Value> {
        let neighbors = self.try_neighbors();
        assert!(!neighbors.is_empty(), "{}", self.site.logs());
        neighbors
    }

    /// Starts the router's daemons anew, and returns how long it took until node1 answered everything again.
    pub(crate) fn restart_router(&mut self) -> Duration {
        let start = clock::now();
        self.site.restart_router();
        self.until_well();
        clock::now() - start
    }

    /// How often node1 has withdrawn each address, IPv4 first.
    pub(crate) fn withdrawals(&self) -> [u64; 2] {
        Family::ALL.map(|family| self.address(family)["withdrawals"].as_u64().expect("a number"))
    }

    /// How often node1 has replaced threads.
    pub(crate) fn repairs(&self) -> u64 {
        let status = self.status();
        let workers = status["anycast"]["workers"].as_array().expect("workers").clone();
        workers.iter().map(|worker| worker["repairs"].as_u64().expect("a number")).sum()
    }

    /// A number of node1's page for Prometheus; the node listens on port 9153 of its loopback then.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.site.nodes[0].space.run(|| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 9153)).expect("the page is there");
            stream.set_read_timeout(Some(PATIENCE)).expect("a stream takes a timeout");
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node1\r\nConnection: close\r\n\r\n").expect("it reads");
            let mut page = String::new();
            stream.read_to_string(&mut page).expect("it writes text");
            page
        });
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// A count of the route driver's since the start.
    pub(crate) fn route_count(&self, what: &str) -> u64 {
        let status = self.status();
        status["anycast"]["route"][what].as_u64().unwrap_or_else(|| panic!("no {what} in {status}"))
    }

    /// What node1's server has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.site.nodes[0].log()).unwrap_or_default()
    }

    /// Waits until something holds and returns how long that took.
    pub(crate) fn until(&mut self, what: &str, bound: Duration, mut holds: impl FnMut(&mut Self) -> bool) -> Duration {
        let start = clock::now();
        let is_so = clock::wait_until(bound, || holds(self));
        let status = self.ask(&["status"]).1;
        assert!(is_so, "{what}: not within {bound:?}: {status}\n{}", self.site.logs());
        clock::now() - start
    }

    /// Whether the router sends a family's queries elsewhere than to node1.
    pub(crate) fn is_away(&self, family: Family) -> bool {
        self.site.watch.current(family) != Some(NodeNumber::FIRST)
    }

    /// Waits until the router sends both families' queries elsewhere, and returns how long that took.
    pub(crate) fn until_away(&mut self, bound: Duration) -> Duration {
        self.until("the route goes", bound, |scene| Family::ALL.into_iter().all(|family| scene.is_away(family)))
    }

    /// Waits until node1 answers everything.
    pub(crate) fn until_well(&mut self) {
        assert!(self.site.wait_well(PATIENCE), "node1 does not come back: {}", self.site.logs());
    }

    /// Starts node1's server anew, so that it has forgotten its withdrawals and the next hold-down is the shortest.
    pub(crate) fn restart(&mut self) {
        Fault::Kill.put(self.node());
        Fault::Kill.lift(self.node());
        self.until_well();
    }

    /// What came of the queries since a moment, once all replies are there.
    pub(crate) fn report_since(&self, from: Duration) -> Report {
        let to = clock::now();
        self.site.wait_final(to);
        self.site.load.report(from, to)
    }

    /// Whether the route to node1 was left alone since a moment.
    pub(crate) fn assert_route_untouched(&self, since: Duration) {
        let changes: Vec<_> = self.site.watch.changes().into_iter().filter(|change| change.at >= since).collect();
        assert!(changes.is_empty(), "{changes:?}: {}", self.site.logs());
    }

    /// Puts a filter on node1: rules for a chain that looks at what comes in.
    pub(crate) fn filter(&mut self, rules: &str) {
        let text = format!("table inet {TABLE} {{ chain input {{ type filter hook input priority 0; {rules}; }}; }}");
        self.node().space.output(Command::new("nft").arg(text));
    }

    /// Puts an nft table on node1, which [`Scene::unfilter`] removes.
    pub(crate) fn table(&mut self, chains: &str) {
        self.node().space.output(Command::new("nft").arg(format!("table inet {TABLE} {{ {chains} }}")));
    }

    /// Removes it.
    pub(crate) fn unfilter(&mut self) {
        self.node().space.output(Command::new("nft").args(["delete", "table", "inet", TABLE]));
    }
}

/// Says a measure, for whoever looks at the figures.
pub(crate) fn measured(what: &str, took: Duration) {
    eprintln!("measured: {what}: {} ms", took.as_millis());
}

/// What must hold of a round in which the route went, node2 took over, and node1 came back.
pub(crate) fn assert_taken_over(scene: &Scene, round: &Round, bound: Duration) {
    let fault = round.fault;
    let change = round.route_change.unwrap_or_else(|| panic!("{fault}: the route stays: {}", scene.site.logs()));
    eprintln!(
        "measured: {fault}: route {} ms, dark {} ms, {} of {} lost, back {} ms after the lift",
        change.as_millis(),
        round.during.dark.as_millis(),
        round.during.lost,
        round.during.sent,
        round.back_at.map_or(0, |at| (at - round.lifted_at).as_millis())
    );
    assert!(change < bound, "{fault}: the route goes after {change:?}");
    assert!(round.during.dark < bound, "{fault}: {:?}", round.during);
    assert!(round.during.by_node.contains_key(&NodeNumber::SECOND), "{fault}: {:?}", round.during);
    assert_eq!((round.during.wrong, round.during.duplicates), (0, 0), "{fault}: {:?}", round.during);
    assert!(round.back_at.is_some(), "{fault}: node1 does not come back: {}", scene.site.logs());
}

/// What must hold of a round in which node1 stayed.
pub(crate) fn assert_stayed(scene: &Scene, round: &Round) {
    let fault = round.fault;
    eprintln!(
        "measured: {fault}: {} of {} lost, dark {} ms, slowest {} ms",
        round.during.lost,
        round.during.sent,
        round.during.dark.as_millis(),
        round.during.slowest.as_millis()
    );
    assert_eq!(round.route_change, None, "{fault}: {}", scene.site.logs());
    scene.assert_route_untouched(round.at);
    assert!(round.back_at.is_some(), "{fault}: node1 is not well after it: {}", scene.site.logs());
    assert_eq!(scene.withdrawals(), [0, 0], "{fault}: {}", scene.site.logs());
}
