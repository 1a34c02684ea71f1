//! What an answer costs in process, no socket in between: the mixes of the table of speed, alone and on two threads at
//! once.
//!
//! `cargo bench --bench respond`. Two threads that write to no line of memory in common give twice the answers of one,
//! as far as the two CPUs are two: two threads that have not even the zone in common show how far. Exit code: 0 if
//! the bounds hold, 1 if one does not, 2 for an error.

#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the other benches load their own zone")]
#[path = "common/zone.rs"]
mod zone;
#[allow(dead_code, reason = "signed zones and second versions are for the table of speed")]
#[path = "speed/zones.rs"]
mod zones;

use std::fs;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use clap::Parser;
use common::message::{Edns, Query};
use common::name::name;
use common::server::ZoneFile;
use fated::answer::{RequestContext, Response, Snapshot, Transport, respond};
use fated::metrics::{Metrics, UdpBlock};
use fated::serve::ahead::{GROUP, Read, read_ahead};
use fated::sys::cpu::{self, Cpu};
use fated::zone::ZoneSet;
use zones::{Many, Material, Recipe, Signing};

/// Threads that answer at once.
const THREADS: usize = 2;
/// How many times the answers of one thread two give, at least …
const SCALING_MIN: f64 = 1.9;
/// … or what share of those that two give which have nothing in common, where the CPUs are not two.
const SHARE_MIN: f64 = 0.97;
/// Answers of one measurement.
const ANSWERS: usize = 1 << 20;
/// Octets of a reply buffer; all replies of the mixes are shorter.
const REPLY_BYTES: usize = 4096 + 64;
/// The mix of the small zone, in the table.
const SMALL: &str = "10,000 names";
/// The same, where threads have not even the zone in common.
const APART: &str = "10,000 names, twice";
/// Small zones of the row `many`.
const ZONES: usize = 100_000;
/// Exit code where a bound does not hold.
const EXIT_MISSED: u8 = 1;
/// Exit code for an error.
const EXIT_ERROR: u8 = 2;

/// Measure answers in process.
#[derive(Debug, Parser)]
#[command(name = "respond")]
struct Options {
    /// How often each mix is measured
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// What zones and queries are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only mixes whose names have this in them
    #[arg(default_value = "")]
    only: String,
    /// Cargo gives it; without it, nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is asked of which zones.
#[derive(Clone)]
struct Mix {
    /// Its name in the table.
    name: String,
    /// The most nanoseconds of a mean answer.
    bound: Option<f64>,
    /// Whether what a batch will read is fetched ahead.
    is_fetched: bool,
    /// The zones of each thread, which are the same ones but where the mix says otherwise.
    snapshots: [Arc<ArcSwap<Snapshot>>; THREADS],
    /// The queries, one behind the other.
    queries: Arc<Vec<u8>>,
    /// Where each query ends.
    ends: Arc<Vec<u32>>,
}

/// What one thread needs besides: nothing of it is another's.
struct Worker {
    /// Which thread it is.
    number: usize,
    cpu: Cpu,
    replies: Vec<u8>,
    block: Arc<UdpBlock>,
    /// The query that comes next.
    next: usize,
}

impl Worker {
    /// A place for thread `number`, which begins where no other does.
    fn new(metrics: &Metrics, number: usize, cpu: Cpu, queries: usize) -> Self {
        let block = Arc::clone(&metrics.udp()[number]);
        Self { number, cpu, replies: vec![0; GROUP * REPLY_BYTES], block, next: number * queries / THREADS }
    }
}

impl Mix {
    /// Reads zones and queries.
    fn new(name: &str, bound: Option<f64>, material: &Material) -> io::Result<Self> {
        let zones = Arc::new(ArcSwap::from_pointee(read(material)?));
        let (mut queries, mut ends) = (Vec::new(), Vec::new());
        for line in fs::read_to_string(&material.queries)?.lines() {
            queries.extend_from_slice(&query(line).ok_or_else(|| io::Error::other(format!("no query: {line}")))?);
            ends.push(u32::try_from(queries.len()).map_err(io::Error::other)?);
        }
        let (queries, ends) = (queries.into(), ends.into());
        Ok(Self {
            name: name.to_owned(),
            bound,
            is_fetched: false,
            snapshots: [Arc::clone(&zones), zones],
            queries,
            ends,
        })
    }

    /// The same, but with what a batch reads fetched ahead.
    fn fetched(&self) -> Self {
        Self { name: format!("{}, fetched ahead", self.name), is_fetched: true, ..self.clone() }
    }

    /// Query number `number`, from the first on again behind the last.
    fn query(&self, number: usize) -> &[u8] {
        let number = number % self.ends.len();
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.queries[start..self.ends[number] as usize]
    }

    /// Answers [`ANSWERS`] queries in groups and returns the nanoseconds that one took, on the average.
    fn run(&self, worker: &mut Worker) -> f64 {
        let context = RequestContext {
            transport: Transport::Udp,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            worker: 0,
            now: Duration::ZERO,
            tls: None,
        };
        let begun = Instant::now();
        for _ in 0..ANSWERS / GROUP {
            let snapshot = self.snapshots[worker.number].load();
            let mut read = Read::new();
            if self.is_fetched {
                read_ahead(&snapshot, (worker.next..).map(|number| self.query(number)), &mut read);
            }
            for (place, reply) in worker.replies.chunks_exact_mut(REPLY_BYTES).enumerate() {
                let answers = &worker.block.answers;
                answers.queries.add(1);
                let verdict = match read.get_mut(place).and_then(Option::as_mut) {
                    Some(asked) => asked.respond(&snapshot, &context, reply),
                    None => respond(&snapshot, self.query(worker.next + place), &context, reply),
                };
                if let Response::Reply { rcode, qtype, is_truncated, .. } = verdict {
                    answers.count_reply(rcode, qtype, is_truncated);
                }
                black_box(reply);
            }
            worker.next = (worker.next + GROUP) % self.ends.len();
        }
        begun.elapsed().as_secs_f64() * 1e9 / ANSWERS as f64
    }
}

/// A query from a line of a query file, with an OPT record of 1232 octets.
fn query(line: &str) -> Option<Vec<u8>> {
    let (qname, qtype) = line.split_once(' ')?;
    let known = [("A", 1), ("CNAME", 5), ("MX", 15), ("TXT", 16), ("AAAA", 28)];
    let (_, qtype) = known.into_iter().find(|(name, _)| *name == qtype)?;
    Some(Query::new(&name(qname), qtype).with_edns(Edns::new(1232, false)).encode(0x1D1D))
}

/// Reads zones.
fn read(material: &Material) -> io::Result<Snapshot> {
    let mut zones = Vec::with_capacity(material.zones.len());
    for ZoneFile { origin, file } in &material.zones {
        zones.push(Arc::new(zone::load_as(origin, &fs::read_to_string(file)?, None)));
    }
    Ok(Snapshot { zones: ZoneSet::new(zones), ..Snapshot::default() })
}

/// Nanoseconds of an answer: on one thread alone, and on each of two at once.
#[derive(Clone, Copy, Debug)]
struct Sample {
    alone: f64,
    beside: f64,
}

impl Sample {
    /// How many times the answers of one thread two give.
    fn scaling(self) -> f64 {
        THREADS as f64 * self.alone / self.beside
    }
}

/// Answers on one CPU after the other and then on both at once.
fn measure(mix: &Mix, workers: &mut [Worker; THREADS]) -> io::Result<Sample> {
    let panicked = |_| io::Error::other("an answer panicked");
    let answer = |worker: &mut Worker, start: &Barrier| {
        cpu::pin(worker.cpu)?;
        mix.run(worker); // Brings in what this thread will need.
        start.wait();
        io::Result::Ok(mix.run(worker))
    };
    let alone = |worker: &mut Worker| thread::scope(|scope| scope.spawn(|| answer(worker, &Barrier::new(1))).join());
    let mut sum_alone = 0.0;
    for worker in &mut *workers {
        sum_alone += alone(worker).map_err(panicked)??;
    }
    let start = Barrier::new(THREADS);
    let beside = thread::scope(|scope| {
        let threads = workers.each_mut().map(|worker| scope.spawn(|| answer(worker, &start)));
        threads.map(thread::ScopedJoinHandle::join)
    });
    let mut sum_beside = 0.0;
    for outcome in beside {
        sum_beside += outcome.map_err(panicked)??;
    }
    Ok(Sample { alone: sum_alone / THREADS as f64, beside: sum_beside / THREADS as f64 })
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The mixes that were chosen, each one by one and fetched ahead, and the one whose threads have nothing in common.
fn mixes(options: &Options) -> io::Result<Vec<Mix>> {
    let seed = options.seed;
    let of_names = |names| Recipe::new(seed, names).material(Signing::Unsigned);
    let many = Many { seed, count: ZONES };
    let mut mixes = Vec::new();
    let mut add = |name: &'static str, bound, material: &dyn Fn() -> io::Result<Material>| {
        if !name.contains(&options.only) {
            return Ok(());
        }
        let material = material()?;
        let mix = Mix::new(name, bound, &material)?;
        if name == SMALL {
            let own = Arc::new(ArcSwap::from_pointee(read(&material)?));
            mixes.push(Mix {
                name: APART.to_owned(),
                bound: None,
                snapshots: [own, mix.snapshots[1].clone()],
                ..mix.clone()
            });
        }
        mixes.push(mix.fetched());
        mixes.push(mix);
        io::Result::Ok(())
    };
    add(SMALL, Some(120.0), &|| of_names(10_000))?;
    add("a million names", Some(350.0), &|| of_names(1_000_000))?;
    add("100,000 zones", None, &|| many.apart())?;
    add("one zone with their names", None, &|| many.together())?;
    Ok(mixes)
}

/// Measures the mixes in turn, round by round, and prints the table. Returns whether the bounds hold.
fn table(options: &Options) -> io::Result<bool> {
    let &[first, second, ..] = &cpu::allowed()?[..] else { return Err(io::Error::other("two CPUs are needed")) };
    let mixes = mixes(options)?;
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); mixes.len()];
    fated::sys::memory::use_huge_pages()?;
    let metrics = Metrics::new(THREADS, 0);
    for _ in 0..options.rounds {
        for (mix, samples) in mixes.iter().zip(&mut samples) {
            let mut workers =
                [(0, first), (1, second)].map(|(number, cpu)| Worker::new(&metrics, number, cpu, mix.ends.len()));
            samples.push(measure(mix, &mut workers)?);
        }
    }
    println!("| zones | ns an answer, one thread | each of two at once | times the answers of one | bound |");
    println!("|---|---:|---:|---:|---|");
    let scaling_of = |samples: &[Sample]| median(samples.iter().map(|sample| sample.scaling()).collect());
    let apart = mixes.iter().zip(&samples).find(|(mix, _)| mix.name == APART).map(|(_, samples)| scaling_of(samples));
    let mut holds = true;
    for (mix, samples) in mixes.iter().zip(&samples) {
        let alone = median(samples.iter().map(|sample| sample.alone).collect());
        let beside = median(samples.iter().map(|sample| sample.beside).collect());
        let scaling = scaling_of(samples);
        let is_fast = mix.bound.is_none_or(|bound| alone <= bound);
        let scales =
            mix.name != SMALL || scaling >= SCALING_MIN || apart.is_some_and(|apart| scaling >= SHARE_MIN * apart);
        holds &= is_fast && scales;
        let bound = mix.bound.map_or(String::new(), |bound| format!("{bound:.0} ns: {}", verdict(is_fast)));
        let scaling_bound =
            if mix.name == SMALL { format!(", {SCALING_MIN} times: {}", verdict(scales)) } else { String::new() };
        println!("| {} | {alone:.0} | {beside:.0} | {scaling:.2} | {bound}{scaling_bound} |", mix.name);
    }
    Ok(holds)
}

/// A bound as the table shows it.
fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "MISSED" }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        return ExitCode::SUCCESS;
    }
    match table(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_MISSED),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}
