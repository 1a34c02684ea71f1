//! The soak: quiet stretch, fault, return, and again until the time is up.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use fated::admin::Request;
use fated::admin::client::Client;
use fated::admin::reply::{State, Status};
use serde::de::DeserializeOwned;

use crate::common::Dice;
use crate::common::site::load::Report;
use crate::common::site::node::Node;
use crate::common::site::watch::RouteChange;
use crate::common::site::{Fault, NodeNumber, Site, clock};
use crate::fault::{self, Evidence, Held, Kind};
use crate::sample::{Lives, Sample};

/// How long a node that is not held down may take until it is back.
const RETURN_MAX: Duration = Duration::from_secs(20);
/// How long a hold-down is waited for before the operator ends it: long enough for the first two of a life.
const HOLD_DOWN_PATIENCE: Duration = Duration::from_secs(15);
/// The same for one fault in [`PATIENT_PART`], so that longer ones are seen to end by themselves too.
const HOLD_DOWN_PATIENCE_LONG: Duration = Duration::from_secs(60);
/// See [`HOLD_DOWN_PATIENCE_LONG`].
const PATIENT_PART: usize = 4;
/// How long one look whether the node is back takes at most.
const LOOK: Duration = Duration::from_millis(500);
/// How far back such a look goes; nobody is back in less.
const LOOK_BACK: Duration = Duration::from_millis(850);
/// The shortest and the longest quiet stretch in milliseconds.
const QUIET: (usize, usize) = (3000, 15_000);
/// From one sample to the next.
const SAMPLE_PACE: Duration = Duration::from_secs(1);
/// How long the server may take to show a zone as it should be.
const ZONE_PATIENCE: Duration = Duration::from_secs(5);
/// In the last part of so many nothing is killed, so that one life of node1 is long.
const KILL_FREE_PART: u32 = 3;
/// The most stuck states before the soak gives up.
const STUCK_MAX: usize = 5;
/// How the reason of an address begins that is held down.
const HELD_DOWN: &str = "well again, but held down";

/// Asks a node over its control socket; `None` where there is no good answer.
pub(crate) fn ask<T: DeserializeOwned>(node: &Node, request: &Request) -> Option<T> {
    let mut client = Client::connect(&node.folder.join("control.sock")).ok()?;
    client.ask::<T>(request).ok().map(|(_, reply)| reply)
}

/// Waits until the zone is in this state and, unless 0 is given, has this serial.
pub(crate) fn zone_is(node: &Node, state: State, serial: u32) -> bool {
    clock::wait_until(ZONE_PATIENCE, || {
        let Some(status) = ask::<Status>(node, &Request::Status) else { return false };
        let zone = status.zones.iter().find(|zone| zone.name.trim_end_matches('.') == "site.test");
        zone.is_some_and(|zone| zone.state == state && (serial == 0 || zone.serial == Some(serial)))
    })
}

/// How node1 came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// By itself, so long after the fault was taken away.
    ByItself(Duration),
    /// Held down for longer than was waited; so long after the operator ended that.
    Released(Duration),
    /// Not within the bounds.
    Stuck,
}

/// What came of one fault.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its kind.
    pub(crate) kind: Kind,
    /// When, since the start of the soak.
    pub(crate) at: Duration,
    /// How long it lasted.
    pub(crate) span: Duration,
    /// Whether it was seen; `None` where nothing has to be.
    pub(crate) seen: Option<bool>,
    /// What came of the queries from the fault until node1 was back.
    pub(crate) report: Report,
    /// How long after the fault the first route to node1 went.
    pub(crate) route_gone: Option<Duration>,
    /// How node1 came back.
    pub(crate) back: Return,
    /// Threads that were replaced.
    pub(crate) repairs: usize,
    /// Causes of withdrawals, in order.
    pub(crate) causes: Vec<String>,
    /// Withdrawals of addresses that the fault did not touch.
    pub(crate) unneeded: usize,
}

/// What came of one quiet stretch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quiet {
    /// When it began, since the start of the soak.
    pub(crate) at: Duration,
    /// How long it was.
    pub(crate) span: Duration,
    /// Queries sent.
    pub(crate) sent: usize,
    /// Queries lost.
    pub(crate) lost: usize,
    /// Those of them that were answered after all, too late.
    pub(crate) late: usize,
    /// The longest that a worker of node1 waited for a CPU from one second to the next: what other work did.
    pub(crate) cpu_wait: Duration,
    /// Queries that another than node1 answered.
    pub(crate) strayed: usize,
    /// Changes of routes.
    pub(crate) route_changes: usize,
    /// Withdrawals that a node logged.
    pub(crate) withdrawals: usize,
}

impl Quiet {
    /// Whether it was quiet.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.strayed + self.route_changes + self.withdrawals == 0
    }
}

/// What came of the soak.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How long it was.
    pub(crate) span: Duration,
    /// Every fault.
    pub(crate) events: Vec<Event>,
    /// Every quiet stretch.
    pub(crate) quiets: Vec<Quiet>,
    /// What the processes took.
    pub(crate) lives: Lives,
    /// Old workers that still stood around at the end of a quiet stretch.
    pub(crate) left_threads: usize,
    /// Withdrawals of node2, on which no fault was put.
    pub(crate) withdrawals_of_second: usize,
    /// Lines of the logs at level ERROR, but for those about the broken zone and the path of probes, and panics.
    pub(crate) errors: Vec<String>,
    /// Queries of the whole time.
    pub(crate) total: Report,
    /// Whether it was given up.
    pub(crate) is_given_up: bool,
}

impl Outcome {
    /// Whether everything was as it should be.
    pub(crate) fn is_clean(&self) -> bool {
        let is_good = |event: &Event| event.seen != Some(false) && event.back != Return::Stuck && event.unneeded == 0;
        let is_leak = |life: &crate::sample::Life| life.growth().is_some_and(|growth| growth.is_leak());
        self.events.iter().all(is_good)
            && self.quiets.iter().all(Quiet::is_clean)
            && !self.lives.values().any(is_leak)
            && self.left_threads == 0
            && self.withdrawals_of_second == 0
            && self.errors.is_empty()
            && !self.is_given_up
    }
}

/// A log that is read on from where it was left.
#[derive(Debug)]
struct Tail {
    path: std::path::PathBuf,
    read: u64,
}

impl Tail {
    fn of(node: &Node) -> Self {
        let path = node.log();
        let read = fs::metadata(&path).map_or(0, |data| data.len());
        Self { path, read }
    }

    /// What was written since the last call.
    fn more(&mut self) -> String {
        let mut octets = Vec::new();
        if let Ok(mut file) = fs::File::open(&self.path) {
            let _ = file.seek(SeekFrom::Start(self.read));
            let _ = file.read_to_end(&mut octets);
        }
        self.read += octets.len() as u64;
        String::from_utf8_lossy(&octets).into_owned()
    }
}

/// A soak at work.
pub(crate) struct Soak {
    site: Site,
    dice: Dice,
    /// What may befall node1.
    kinds: Vec<Kind>,
    /// Kinds that are still to come before all are shuffled again.
    deck: Vec<Kind>,
    /// The serial of the zone.
    serial: u32,
    start: Duration,
    logs: [Tail; 2],
    outcome: Outcome,
}

impl Soak {
    /// A soak on a site that is well; without kinds, with all of them.
    pub(crate) fn new(site: Site, seed: u64, only: &[Kind]) -> Self {
        let logs = [Tail::of(&site.nodes[0]), Tail::of(&site.nodes[1])];
        Self {
            site,
            dice: Dice::new(seed),
            kinds: if only.is_empty() { Kind::ALL.to_vec() } else { only.to_vec() },
            deck: Vec::new(),
            serial: 1,
            start: clock::now(),
            logs,
            outcome: Outcome::default(),
        }
    }

    /// Goes on for so long, and then until the last fault is over. Shows what came of it after each fault.
    pub(crate) fn run(mut self, span: Duration, show: impl Fn(&Outcome)) -> Outcome {
        let kills_until = span - span / KILL_FREE_PART;
        while clock::now() < self.start + span && !self.outcome.is_given_up {
            self.quiet();
            let kind = self.draw(clock::now() < self.start + kills_until);
            self.befall(kind);
            self.sum_up();
            show(&self.outcome);
        }
        self.quiet();
        self.sum_up();
        self.outcome
    }

    /// Counts the queries so far.
    fn sum_up(&mut self) {
        let end = clock::now();
        self.outcome.span = end - self.start;
        self.outcome.total = self.site.load.report(self.start, end.saturating_sub(Duration::from_secs(1)));
    }

    /// The next kind.
    fn draw(&mut self, may_kill: bool) -> Kind {
        loop {
            if self.deck.is_empty() {
                self.deck.clone_from(&self.kinds);
                for last in (1..self.deck.len()).rev() {
                    let other = self.dice.below(last + 1);
                    self.deck.swap(last, other);
                }
            }
            match self.deck.pop() {
                Some(Kind::Kill) if !may_kill && self.kinds.len() > 1 => {}
                Some(kind) => return kind,
                None => {}
            }
        }
    }

    /// Leaves the site alone for a while, and looks that nothing happens.
    fn quiet(&mut self) {
        // What was logged until here belongs to the fault.
        self.read_logs();
        let span = Duration::from_millis((QUIET.0 + self.dice.below(QUIET.1 - QUIET.0)) as u64);
        let from = clock::now();
        let to = from + span;
        let (mut due, mut samples) = (from, 0);
        clock::wait_until(span * 2, || {
            if clock::now() >= due {
                due += SAMPLE_PACE;
                samples += 1;
                self.outcome.sample(&mut self.site);
            }
            clock::now() >= to
        });
        self.outcome.left_threads +=
            self.outcome.lives_now(&mut self.site).into_iter().filter(|life| life.has_left_threads()).count();
        self.site.wait_final(to);
        let [first, second] = self.read_logs();
        let report = self.site.load.report(from, to);
        let by_first = report.by_node.get(&NodeNumber::FIRST).copied().unwrap_or_default();
        let asked = self.site.load.between(from, to);
        let lives = self.outcome.lives_now(&mut self.site);
        let quiet = Quiet {
            late: asked.iter().filter(|asked| !asked.is_answered() && asked.answer.is_some()).count(),
            cpu_wait: lives.first().map_or(Duration::ZERO, |life| life.wait_worst(samples)),
            at: from - self.start,
            span,
            sent: report.sent,
            lost: report.lost,
            strayed: report.sent - report.lost - by_first,
            route_changes: self.changes(from, to).len(),
            withdrawals: fault::withdrawals(&first).count() + fault::withdrawals(&second).count(),
        };
        if !quiet.is_clean() {
            say(&format!("NOT QUIET: {quiet:?}\n{first}{second}{:#?}", self.changes(from, to)));
        }
        self.outcome.quiets.push(quiet);
    }

    /// Changes of routes within a time.
    fn changes(&self, from: Duration, to: Duration) -> Vec<RouteChange> {
        let mut changes = self.site.watch.changes();
        changes.retain(|change| (from..to).contains(&change.at));
        changes
    }

    /// What both nodes have logged since the last call; counts what should not stand there.
    fn read_logs(&mut self) -> [String; 2] {
        let [first, second] = &mut self.logs;
        let texts = [first.more(), second.more()];
        self.outcome.withdrawals_of_second += fault::withdrawals(&texts[1]).count();
        for line in texts.iter().flat_map(|text| text.lines()) {
            let is_due = line.contains("zone site.test") || line.contains(fault::PATH_FAULT);
            let is_error = line.contains("ERROR") && !is_due;
            if is_error || line.contains("panicked") {
                say(&format!("LOGGED: {line}"));
                self.outcome.errors.push(line.to_owned());
            }
        }
        texts
    }

    /// Puts a fault on node1, takes it away, and waits until node1 is back.
    fn befall(&mut self, kind: Kind) {
        let drawn = kind.draw_span(&mut self.dice);
        let is_patient = self.dice.below(PATIENT_PART) == 0;
        if matches!(kind, Kind::Reload | Kind::ReloadBroken | Kind::Hangup) {
            self.serial += 1;
        }
        let at = clock::now();
        let held = Held::put(kind, &mut self.site, self.serial);
        clock::wait_until(drawn * 2, || clock::now() > at + drawn);
        let lifted_at = clock::now();
        let is_as_wanted = held.lift(kind, &mut self.site, self.serial);
        let back = self.wait_back(lifted_at, is_patient);
        let back_at = clock::now();
        self.site.wait_final(back_at);
        let [log, _] = self.read_logs();
        let gone = self.changes(at, back_at).into_iter().find(|change| change.to != Some(NodeNumber::FIRST));
        let evidence = Evidence { log: &log, is_route_gone: gone.is_some(), is_as_wanted };
        let causes = evidence.withdrawals().map(|line| word_after(line, "cause=")).collect();
        let allowed: Vec<String> = kind.may_withdraw().iter().map(|family| family.service().to_string()).collect();
        let is_unneeded = |line: &&str| !allowed.iter().any(|address| word_after(line, "address=") == *address);
        let event = Event {
            kind,
            at: at - self.start,
            span: lifted_at - at,
            seen: kind.is_seen(drawn, &evidence),
            report: self.site.load.report(at, back_at),
            route_gone: gone.map(|change| change.at - at),
            back,
            repairs: evidence.repairs(),
            causes,
            unneeded: evidence.withdrawals().filter(is_unneeded).count(),
        };
        say(&crate::table::line(self.outcome.events.len() + 1, &event));
        let is_bad = event.seen == Some(false) || back == Return::Stuck || event.unneeded > 0;
        self.outcome.events.push(event);
        if is_bad {
            say(&format!("NOT AS IT SHOULD BE, the log of node1:\n{log}"));
        }
        if back == Return::Stuck {
            self.unstick();
        }
    }

    /// Waits until node1 has all queries again; has the operator end a hold-down that takes too long.
    fn wait_back(&mut self, lifted_at: Duration, is_patient: bool) -> Return {
        let patience = if is_patient { HOLD_DOWN_PATIENCE_LONG } else { HOLD_DOWN_PATIENCE };
        let mut held_at = lifted_at;
        // What is looked at must all have been asked after the fault.
        clock::wait_until(LOOK_BACK * 2, || clock::now() > lifted_at + LOOK_BACK);
        loop {
            if self.site.wait_well(LOOK) {
                return Return::ByItself(clock::now() - lifted_at);
            }
            if self.is_held_down() {
                held_at = clock::now();
                if held_at > lifted_at + patience {
                    return self.release();
                }
            } else if clock::now() > held_at + RETURN_MAX {
                say(&format!("STUCK: {:#?}", ask::<Status>(&self.site.nodes[0], &Request::Status)));
                return Return::Stuck;
            }
        }
    }

    /// Whether an address of node1 is held down and all others are announced or held down too.
    fn is_held_down(&self) -> bool {
        let status = ask::<Status>(&self.site.nodes[0], &Request::Status);
        let Some(anycast) = status.and_then(|status| status.anycast) else { return false };
        anycast.addresses.iter().any(|address| address.reason.starts_with(HELD_DOWN))
    }

    /// Resumes, which ends a hold-down, and waits until node1 is back.
    fn release(&mut self) -> Return {
        Fault::Drain.lift(&mut self.site.nodes[0]);
        let from = clock::now();
        if self.site.wait_well(RETURN_MAX) { Return::Released(clock::now() - from) } else { Return::Stuck }
    }

    /// Starts node1 anew after a stuck state, so that the rest of the time is not wasted.
    fn unstick(&mut self) {
        say(&self.site.logs());
        let stuck = self.outcome.events.iter().filter(|event| event.back == Return::Stuck).count();
        Fault::Kill.put(&mut self.site.nodes[0]);
        Fault::Kill.lift(&mut self.site.nodes[0]);
        self.outcome.is_given_up = stuck >= STUCK_MAX || !self.site.wait_well(RETURN_MAX * 2);
    }
}

impl Outcome {
    /// Notes what both processes take.
    fn sample(&mut self, site: &mut Site) {
        for node in &mut site.nodes {
            let (number, process) = (node.number, node.server().id());
            if let Some(sample) = Sample::take(process) {
                self.lives.entry((number, process.as_raw())).or_default().samples.push(sample);
            }
        }
    }

    /// The lives that go on.
    fn lives_now(&self, site: &mut Site) -> Vec<&crate::sample::Life> {
        let keys: Vec<(NodeNumber, i32)> =
            site.nodes.iter_mut().map(|node| (node.number, node.server().id().as_raw())).collect();
        keys.iter().filter_map(|key| self.lives.get(key)).collect()
    }
}

/// The word behind a mark, without quotes.
fn word_after(line: &str, mark: &str) -> String {
    let rest = line.split_once(mark).map_or("", |(_, rest)| rest);
    let word = rest.split_whitespace().next().unwrap_or_default();
    word.trim_matches('"').to_owned()
}

/// Says something at once, also where the output is a file.
fn say(text: &str) {
    println!("{text}");
    let _ = std::io::stdout().flush();
}
