//! One round: a world, four servers that serve it, questions in every way, a verdict on each, and a proof that each
//! answer came from the server that was meant.

use std::collections::BTreeMap;
use std::path::Path;

use super::asks;
use super::common::message::{Message, Query};
use super::common::server::{Kind, Server, ZoneFile};
use super::common::sign::sign;
use super::common::{Dice, ask, name};
use super::compare::Case;
use super::judge::{Verdict, judge};
use super::questions::Ways;
use super::record::Record;
use super::server_identity;
use super::world;

/// Zones of a round besides their children.
const ZONES: usize = 6;
/// The servers of a round; the last is the tested one.
const NAMES: [&str; 4] = ["nsd", "knot", "named", "fated"];
/// How many examples of each kind of fault are kept in mind.
const EXAMPLES_MAX: usize = 3;
/// Where so many of a hundred answers of one way are faults, that is no fault of an answer.
const FLOOD_PERCENT: usize = 50;

/// What was found in some rounds, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answers.
    pub(crate) answers: usize,
    /// Those that are well, by reason.
    well: BTreeMap<String, usize>,
    /// As one peer alone, by shape, with examples.
    alone: BTreeMap<String, (usize, Vec<String>)>,
    /// As no peer has it, by shape, with examples.
    pub(crate) faults: BTreeMap<String, (usize, Vec<String>)>,
    /// What is wrong about who answered.
    pub(crate) strangers: Vec<String>,
}

/// A round at work.
struct Round {
    seed: u64,
    serial: u32,
    origins: Vec<String>,
    servers: [Server; 4],
    identities: [String; 4],
    record: Record,
}

/// Runs the round of a seed with so many questions; what it found is added to `tally`, everything is kept below
/// `keep`.
pub(crate) fn run(seed: u64, questions: usize, keep: &Path, tally: &mut Tally) {
    let mut dice = Dice::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let record = Record::new(keep, seed);
    // Low bits of the seed alone would repeat between runs; every serial is good, since zones begin with it.
    let serial = (dice.roll() >> 33) as u32;
    let zones = world::zones(&mut dice, ZONES, serial);
    let work = tempfile::tempdir().expect("a temporary folder can be made");
    let files: Vec<ZoneFile> = zones
        .iter()
        .map(|zone| {
            let text = zone
                .denial
                .map_or_else(|| zone.text.clone(), |denial| sign(work.path(), &zone.origin, &zone.text, denial).text);
            ZoneFile::new(&zone.origin, record.file(&format!("{}zone", zone.origin), &text))
        })
        .collect();
    let identities = NAMES.map(|server| format!("{server}-{seed}"));
    let servers = start(&files, &identities, &record);
    let mut round = Round {
        seed,
        serial,
        origins: zones.iter().map(|zone| zone.origin.clone()).collect(),
        servers,
        identities,
        record,
    };
    round.check_who(tally, "before");
    let names = asks::names(&zones);
    for way in asks::WAYS {
        let queries = asks::draw(&mut dice, &names, way, questions.div_ceil(asks::WAYS.len()));
        round.compare(way, &queries, tally);
    }
    round.check_who(tally, "after");
    round.end();
}

/// Starts all servers.
fn start(files: &[ZoneFile], identities: &[String; 4], record: &Record) -> [Server; 4] {
    let config = record.file("fated.toml", &format!("[server]\nidentity = \"{}\"\n", identities[3]));
    let arguments = ["--config", config.to_str().expect("the folder's name is UTF-8")];
    let kinds = [Kind::Nsd, Kind::Knot, Kind::Named, Kind::under_test()];
    let mut started = kinds.iter().zip(identities).map(|(&kind, identity)| {
        let server = Server::start_as(kind, files, identity, &arguments);
        eprintln!("{identity}: process group {}, {}", server.process_id(), server.address);
        server
    });
    std::array::from_fn(|_| started.next().expect("four kinds"))
}

impl Round {
    /// Looks who answers at each server's port.
    fn check_who(&mut self, tally: &mut Tally, when: &str) {
        for (server, identity) in self.servers.iter_mut().zip(&self.identities) {
            let found = server_identity::faults_of(server, identity, &self.origins, self.serial);
            tally.strangers.extend(found.into_iter().map(|fault| format!("seed {}, {when}: {fault}", self.seed)));
        }
    }

    /// Asks all servers at the same time and judges the replies.
    fn compare(&mut self, way: Ways, queries: &[Query], tally: &mut Tally) {
        let addresses = [0, 1, 2, 3].map(|index: usize| self.servers[index].address);
        let fetch = |index: usize| {
            let address = addresses[index];
            if way.is_tcp { ask::tcp_many(address, queries) } else { ask::udp_many(address, queries) }
        };
        let replies: [Vec<Vec<u8>>; 4] = std::thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|index| scope.spawn(move || fetch(index)));
            threads.map(|thread| thread.join().expect("the client does not panic"))
        });
        let mut faults = 0;
        for (index, query) in queries.iter().enumerate() {
            let these = [0, 1, 2, 3].map(|server: usize| (NAMES[server], &replies[server][index][..]));
            let verdict = self.verdict(query, way, these);
            let word = match &verdict {
                Verdict::Well(reason) => reason.clone(),
                Verdict::Alone { shape, .. } => format!("ALONE {shape}"),
                Verdict::Fault { shape, .. } => format!("FAULT {shape}"),
            };
            faults += usize::from(matches!(verdict, Verdict::Fault { .. }));
            self.record.answer(query, way, &word, these);
            tally.add(verdict, query, way, self.seed);
        }
        if faults * 100 > queries.len() * FLOOD_PERCENT {
            tally.strangers.push(format!(
                "seed {}: {faults} of {} answers of one way differ: see who answered",
                self.seed,
                queries.len()
            ));
            self.check_who(tally, "as most answers differed");
        }
    }

    /// Judges one answer.
    fn verdict(&self, query: &Query, way: Ways, replies: [(&str, &[u8]); 4]) -> Verdict {
        let mut parsed = Vec::new();
        for ((server, octets), identity) in replies.iter().zip(&self.identities) {
            match Message::parse(octets) {
                Ok(message) => {
                    let who = message.option(asks::NSID);
                    if query.edns.is_some() && who.as_deref() != Some(identity.as_bytes()) {
                        let shape = format!("{server} did not say that it is who was asked");
                        return Verdict::Fault { shape, detail: format!("{who:?} instead of {identity}") };
                    }
                    parsed.push(message);
                }
                Err(fault) => {
                    let shape = format!("{server}: no reply, or unreadable");
                    return Verdict::Fault { shape, detail: format!("{fault}: {octets:02x?}") };
                }
            }
        }
        let [nsd, knot, named, tested] = &parsed[..] else { unreachable!("four servers") };
        let addresses = [self.servers[0].address, self.servers[1].address, self.servers[3].address];
        judge(&Case { query, way, nsd, knot, tested, addresses }, named)
    }

    /// Writes what is left and ends the servers.
    fn end(mut self) {
        self.record.flush();
        for (server, identity) in self.servers.into_iter().zip(&self.identities) {
            let log = server.log();
            let lines = server.end();
            self.record.file(&format!("{identity}.log"), &format!("{log}{}\n", lines.join("\n")));
        }
    }
}

impl Tally {
    /// Counts one verdict.
    fn add(&mut self, verdict: Verdict, query: &Query, way: Ways, seed: u64) {
        self.answers += 1;
        let (map, shape, detail) = match verdict {
            Verdict::Well(reason) => {
                *self.well.entry(reason).or_default() += 1;
                return;
            }
            Verdict::Alone { shape, detail } => (&mut self.alone, shape, detail),
            Verdict::Fault { shape, detail } => (&mut self.faults, shape, detail),
        };
        let (count, examples) = map.entry(shape).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            let transport = if way.is_tcp { "TCP" } else { "UDP" };
            examples.push(format!("{} ({query}) over {transport}, seed {seed}\n{detail}", name::text(&query.qname)));
        }
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("\n{:>9}  answers\n", self.answers);
        for (reason, count) in &self.well {
            out.push_str(&format!("{count:>9}  {reason}\n"));
        }
        for (word, map) in [("LISTED, no fault", &self.alone), ("DIFFERS", &self.faults)] {
            for (shape, (count, examples)) in map {
                out.push_str(&format!("{count:>9}  {word}: {shape}\n"));
                for example in examples {
                    out.push_str(&format!("           - {}\n", example.replace('\n', "\n             ")));
                }
            }
        }
        for stranger in &self.strangers {
            out.push_str(&format!("  WHO ANSWERED: {stranger}\n"));
        }
        out
    }
}
