//! One run: servers up, questions out in portions, every reply judged, a table at the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::common::message::{Message, Query};
use super::common::server::{Kind, Server, ZoneFile};
use super::common::{Dice, ask};
use super::compare::{self, Case, Outcome};
use super::questions::Ways;

/// How many questions are under judgement at once.
const PORTION: usize = 16_384;
/// How many examples of each kind of fault are shown.
const EXAMPLES_MAX: usize = 3;
/// How many kinds of fault are shown.
const SHAPES_MAX: usize = 40;
/// The seed of the sample where none is given.
const SEED: u64 = 20_260_101;

/// What is compared.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The title of the table.
    pub(crate) title: String,
    /// The zones that all servers serve.
    pub(crate) zones: Vec<ZoneFile>,
    /// The names that are asked.
    pub(crate) names: Vec<Vec<u8>>,
    /// The types that are asked.
    pub(crate) types: &'static [u16],
    /// The ways in which each is asked.
    pub(crate) ways: &'static [Ways],
    /// One of so many questions is asked; `FATED_PEERS_SHARE` overrides it.
    pub(crate) share: usize,
}

/// The servers of a run.
#[derive(Debug)]
struct Servers {
    nsd: Server,
    knot: Server,
    tested: Option<Server>,
}

/// What was found, counted.
#[derive(Debug, Default)]
struct Tally {
    outcomes: BTreeMap<String, usize>,
    faults: BTreeMap<String, (usize, Vec<String>)>,
}

impl Suite {
    /// Runs it; fails where an answer differs and nothing allows it.
    pub(crate) fn run(&self) {
        let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
        let seed = number("FATED_PEERS_SEED").unwrap_or(SEED);
        let share = number("FATED_PEERS_SHARE").map_or(self.share, |share| (share as usize).max(1));
        let is_alone = std::env::var_os("FATED_PEERS_ONLY").is_some();
        // Zones that were archived without their signatures have a ZONEMD that is wrong.
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let config = folder.path().join("fated.toml");
        std::fs::write(&config, "[[template]]\nname = \"default\"\nzonemd = \"ignore\"\n").expect("can be written");
        let config = config.to_str().expect("UTF-8");
        let servers = Servers {
            nsd: Server::start(Kind::Nsd, &self.zones),
            knot: Server::start(Kind::Knot, &self.zones),
            tested: (!is_alone).then(|| Server::start_with(Kind::under_test(), &self.zones, &["--config", config])),
        };
        let mut tally = Tally::default();
        let mut asked = 0;
        let start = std::time::Instant::now();
        for &way in self.ways {
            let queries = self.sample(way, seed, share);
            for portion in queries.chunks(PORTION) {
                asked += portion.len();
                servers.compare(way, portion, &mut tally);
            }
        }
        eprintln!("{}", tally.table(&self.title, asked, seed, share, start.elapsed().as_secs_f64()));
        assert!(tally.faults.is_empty() || is_alone, "{}: answers differ, see the table above", self.title);
    }

    /// The questions of one way: all of them, or one of `share`, the same for the same seed.
    fn sample(&self, way: Ways, seed: u64, share: usize) -> Vec<Query> {
        let mut dice = Dice::new(seed ^ (way.limit() as u64) << 8 ^ u64::from(way.edns.is_some()));
        let mut queries = Vec::new();
        for name in &self.names {
            for &rtype in self.types {
                if share == 1 || dice.below(share) == 0 {
                    queries.push(way.query(name, rtype));
                }
            }
        }
        queries
    }
}

impl Servers {
    /// Asks all servers a portion at the same time and judges the replies.
    fn compare(&self, way: Ways, queries: &[Query], tally: &mut Tally) {
        let fetch = |server: &Server| fetch(server.address, way, queries);
        let [nsd, knot, tested] = std::thread::scope(|scope| {
            let tested = self.tested.as_ref().map(|server| scope.spawn(|| fetch(server)));
            let knot = scope.spawn(|| fetch(&self.knot));
            let nsd = fetch(&self.nsd);
            let tested = tested.map(|thread| thread.join().expect("the client does not panic"));
            [nsd, knot.join().expect("the client does not panic"), tested.unwrap_or_default()]
        });
        for (index, query) in queries.iter().enumerate() {
            let mut replies = vec![&nsd[index], &knot[index]];
            replies.extend(tested.get(index));
            let parsed: Vec<Result<Message, String>> = replies.iter().map(|reply| Message::parse(reply)).collect();
            let outcome = match &parsed[..] {
                [Ok(nsd), Ok(knot)] => compare::peers(nsd, knot),
                [Ok(nsd), Ok(knot), Ok(tested)] => {
                    let addresses = [
                        self.nsd.address,
                        self.knot.address,
                        self.tested.as_ref().map_or(self.nsd.address, |server| server.address),
                    ];
                    compare::judge(&Case { query, way, nsd, knot, tested, addresses })
                }
                _ => Outcome::Fault { shape: "unreadable or no reply".to_owned(), detail: format!("{parsed:?}") },
            };
            tally.add(outcome, query, way);
        }
    }
}

/// Asks one server.
fn fetch(address: SocketAddr, way: Ways, queries: &[Query]) -> Vec<Vec<u8>> {
    if way.is_tcp { ask::tcp_many(address, queries) } else { ask::udp_many(address, queries) }
}

impl Tally {
    /// Counts one outcome.
    fn add(&mut self, outcome: Outcome, query: &Query, way: Ways) {
        match outcome {
            Outcome::Same => self.count("as both peers"),
            Outcome::AsNsd => self.count("as NSD, where Knot differs"),
            Outcome::AsKnot => self.count("as Knot, where NSD differs"),
            Outcome::Sized => self.count("TC by the size of the full reply, where the peers part or compress worse"),
            Outcome::Meant(entry) => self.count(&format!("meant: {} ({})", entry.id, entry.rfc)),
            Outcome::Fault { shape, detail } => {
                let (count, examples) = self.faults.entry(shape).or_default();
                *count += 1;
                if examples.len() < EXAMPLES_MAX {
                    let transport = if way.is_tcp { "TCP" } else { "UDP" };
                    examples.push(format!("{query} over {transport}\n{detail}"));
                }
            }
        }
    }

    /// Counts one answer that is well.
    fn count(&mut self, what: &str) {
        *self.outcomes.entry(what.to_owned()).or_default() += 1;
    }

    /// The table for people.
    fn table(&self, title: &str, asked: usize, seed: u64, share: usize, seconds: f64) -> String {
        let mut out = format!("\n== {title}: {asked} questions in {seconds:.1} s (one of {share}, seed {seed})\n");
        for (what, count) in &self.outcomes {
            out.push_str(&format!("{count:>9}  {what}\n"));
        }
        let mut faults: Vec<_> = self.faults.iter().collect();
        faults.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for (shape, (count, examples)) in faults.iter().take(SHAPES_MAX) {
            out.push_str(&format!("{count:>9}  DIFFERS: {shape}\n"));
            for example in examples {
                out.push_str(&format!("           - {}\n", example.replace('\n', "\n             ")));
            }
        }
        out
    }
}
