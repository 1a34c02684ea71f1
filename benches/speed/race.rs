//! The rows in which servers are asked as fast as it goes, in turn, several rounds.

use std::io;
use std::time::Duration;

use super::Plan;
use super::client::{self, Load, Transport};
use super::common::message::Query;
use super::common::name::name;
use super::contender::{Contender, Running, Setup};
use super::meter::busy_time;
use super::results::{Number, Results};
use super::row::{Row, What};
use super::sample::{Said, Sample};
use super::zones::{Material, Signing};

/// A round that lost a greater share of its queries is thrown away.
const LOST_SHARE_MAX: f64 = 0.001;
/// A round whose share of names that are not there is further from the file's is thrown away: dnsperf may end anywhere
/// in it.
const CODE_SHARE_SLACK: f64 = 0.01;
/// A server that used less of its CPU was not the limit.
const BUSY_SHARE_MIN: f64 = 0.95;
/// Where others had a greater share of the server's CPU, it is noted.
const DISTURBED_SHARE_MAX: f64 = 0.03;
/// How many zones have to answer before a server of many counts as started.
const READY_ZONES_MAX: usize = 16;
/// TYPE SOA.
const SOA: u16 = 6;

/// One who runs, and with what.
#[derive(Debug)]
pub(crate) struct Entrant<'a> {
    /// Who.
    pub(crate) who: Contender,
    /// What it serves and is asked.
    pub(crate) material: &'a Material,
    /// As what the CPU time of a query is noted. Other figures are noted for [`What::Cpu`] alone.
    pub(crate) cpu_as: What,
}

/// Servers that are compared.
#[derive(Debug)]
pub(crate) struct Race<'a> {
    /// The row.
    pub(crate) row: Row,
    /// How queries travel.
    pub(crate) transport: Transport,
    /// How the zones are signed.
    pub(crate) signing: Signing,
    /// Who runs. All with one query file, or fated alone.
    pub(crate) entrants: Vec<Entrant<'a>>,
    /// Whether servers stay up between rounds, since they start slowly; idle ones are asked nothing.
    pub(crate) is_kept: bool,
}

/// What fated said to the sample, which the others have to say too.
struct Reference {
    /// The questions.
    sample: Sample,
    /// The answers.
    said: Said,
}

/// The questions that must be answered before a server counts as started.
pub(crate) fn ready_queries(material: &Material) -> Vec<Query> {
    let zones = &material.zones;
    let count = zones.len().min(READY_ZONES_MAX);
    // The first, the last, and some between them.
    let indexes = (0..count).map(|index| if count == 1 { 0 } else { index * (zones.len() - 1) / (count - 1) });
    indexes.map(|index| Query::new(&name(&zones[index].origin), SOA)).collect()
}

impl Race<'_> {
    /// Runs all rounds.
    ///
    /// # Errors
    /// fated does not start or answers nonsense, or a client fails. What goes wrong with a peer is noted.
    pub(crate) fn run(&self, plan: &Plan, results: &mut Results) -> io::Result<()> {
        let mut up: Vec<Option<Running>> = self.entrants.iter().map(|_| None).collect();
        let mut is_out = vec![false; self.entrants.len()];
        let mut is_checked: Vec<bool> = self.entrants.iter().map(|entrant| !entrant.who.is_peer()).collect();
        let reference = self.reference(plan, &mut up)?;
        results.add(self.reply_bytes(Contender::Fated, &reference.said));
        for round in 0..plan.rounds {
            for turn in 0..self.entrants.len() {
                let index = (turn + round) % self.entrants.len();
                if is_out[index] {
                    continue;
                }
                let entrant = &self.entrants[index];
                let running = match up[index].take() {
                    Some(running) => running,
                    None => match self.start(plan, entrant, reference.said.reply_bytes) {
                        Ok(running) => running,
                        Err(error) if entrant.who.is_peer() => {
                            is_out[index] = true;
                            results.note(format!("{}: {} is left out: {error}", self.row, entrant.who));
                            continue;
                        }
                        Err(error) => return Err(error),
                    },
                };
                if !is_checked[index] {
                    is_checked[index] = true;
                    is_out[index] = !self.agrees(entrant, &running, &reference, results);
                    if is_out[index] {
                        continue;
                    }
                }
                match self.round(plan, entrant, &running, round, &reference, results) {
                    Err(error) if entrant.who.is_peer() => {
                        is_out[index] = true;
                        results.note(format!("{}: {} is left out from here on: {error}", self.row, entrant.who));
                        continue;
                    }
                    outcome => outcome?,
                }
                if self.is_kept {
                    up[index] = Some(running);
                }
            }
        }
        Ok(())
    }

    /// Asks fated the sample. Where servers stay up, it is the one that is measured later.
    fn reference(&self, plan: &Plan, up: &mut [Option<Running>]) -> io::Result<Reference> {
        let own = self.entrants.iter().position(|entrant| entrant.who == Contender::Fated);
        let material = self.entrants[own.unwrap_or_default()].material;
        let entrant = Entrant { who: Contender::Fated, material, cpu_as: What::Cpu };
        let sample = Sample::read(&material.queries, self.transport == Transport::UdpDo)?;
        let running = self.start(plan, &entrant, 0.0)?;
        let said = sample.ask(running.address, self.is_tcp());
        let missing = said.share_of(3);
        let is_sound = said.share_of(0) + missing > 0.999 && (missing - material.missing_share).abs() < 0.05;
        if !is_sound {
            return Err(io::Error::other(format!("{}: fated answers with {:?}", self.row, said.codes())));
        }
        if let Some(own) = own.filter(|_| self.is_kept) {
            up[own] = Some(running);
        }
        Ok(Reference { sample, said })
    }

    /// Starts a server.
    fn start(&self, plan: &Plan, entrant: &Entrant<'_>, floor_bytes: f64) -> io::Result<Running> {
        let ready = ready_queries(entrant.material);
        let setup = Setup {
            fated: &plan.fated,
            material: entrant.material,
            signing: self.signing,
            cpu: Some(plan.server_cpu),
            floor_bytes: floor_bytes.round() as usize,
            ready: &ready,
        };
        Running::start(entrant.who, &setup)
    }

    /// Whether a peer says what fated says; noted where it does not.
    fn agrees(&self, entrant: &Entrant<'_>, running: &Running, reference: &Reference, results: &mut Results) -> bool {
        let said = reference.sample.ask(running.address, self.is_tcp());
        let differences = reference.sample.differences(&reference.said, &said);
        if differences.is_empty() {
            results.add(self.reply_bytes(entrant.who, &said));
            return true;
        }
        let text = differences.join("\n");
        results.note(format!("{}: {} is left out, it answers differently:\n{text}", self.row, entrant.who));
        false
    }

    /// The mean length of what a server said.
    fn reply_bytes(&self, who: Contender, said: &Said) -> Number {
        Number { row: self.row, what: What::ReplyBytes, who, value: said.reply_bytes, is_limited: false }
    }

    /// Measures one server once.
    fn round(
        &self,
        plan: &Plan,
        entrant: &Entrant<'_>,
        running: &Running,
        round: usize,
        reference: &Reference,
        results: &mut Results,
    ) -> io::Result<()> {
        let (before, all_before) = (running.meter.cpu_time()?, busy_time(plan.server_cpu)?);
        let (address, queries) = (running.address, reference.sample.queries());
        let load =
            client::load(address, self.transport, &entrant.material.queries, queries, plan.time, plan.client_cpu)?;
        let used = running.meter.cpu_time()?.saturating_sub(before);
        let others = busy_time(plan.server_cpu)?.saturating_sub(all_before).saturating_sub(used);
        let place = format!("{}: {}, round {} of {}", self.row, entrant.who, round + 1, plan.rounds);
        if let Some(fault) = fault(&load, entrant) {
            results.note(format!("{place} is thrown away: {fault}"));
            return Ok(());
        }
        let busy = used.as_secs_f64() / load.time.as_secs_f64();
        let cpu = used.as_secs_f64() * 1e6 / load.answered as f64;
        let disturbed = others.as_secs_f64() / load.time.as_secs_f64();
        if disturbed > DISTURBED_SHARE_MAX {
            results.note(format!("{place} counts, but others had {:.0} % of the server's CPU", disturbed * 100.0));
        }
        eprintln!("{place}: {cpu:.2} µs a query, {:.0} a second, {:.0} % busy", load.per_second(), busy * 100.0);
        let mut add = |what, value| {
            let is_limited = busy < BUSY_SHARE_MIN;
            results.add(Number { row: self.row, what, who: entrant.who, value, is_limited });
        };
        add(entrant.cpu_as, cpu);
        if entrant.cpu_as == What::Cpu {
            add(What::PerSecond, load.per_second());
            add(What::Latency, millis(load.mean_latency));
        }
        Ok(())
    }

    /// Whether queries travel over streams.
    fn is_tcp(&self) -> bool {
        matches!(self.transport, Transport::Tcp | Transport::TcpNew)
    }
}

/// Why a round does not count.
fn fault(load: &Load, entrant: &Entrant<'_>) -> Option<String> {
    if load.answered == 0 || load.lost_share() > LOST_SHARE_MAX {
        return Some(format!("{} of {} queries lost", load.lost, load.answered + load.lost));
    }
    if load.codes.is_empty() || entrant.who == Contender::Floor {
        return None;
    }
    let missing = load.share_of("NXDOMAIN");
    let is_odd = load.share_of("NOERROR") + missing < 1.0 - LOST_SHARE_MAX
        || (missing - entrant.material.missing_share).abs() > CODE_SHARE_SLACK;
    is_odd.then(|| format!("RCODEs {:?}", load.codes))
}

/// Milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
