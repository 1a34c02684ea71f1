//! How many instructions an answer takes, by kind, against bounds that are kept beside: a regression fails.
//!
//! `cargo bench --bench instructions`. Counts are those of valgrind's callgrind, so that neither the machine's speed
//! nor what else it does changes them; the key of the name hash is fixed. The compiler's version does change them a
//! little: bounds are taken with slack, and `-- --update` writes the figures of today. Allocations are counted too.
//! Exit code: 0 if all bounds hold, 1 if one does not, 2 for an error.

#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the other benches read how many names they are to have")]
#[path = "common/zone.rs"]
mod zone;

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use common::message::{Edns, Message, Query};
use common::name::name;
use common::sign::{Denial, sign};
use fated::answer::{MESSAGE_BYTES_MAX, RequestContext, Response, Settings, Snapshot, Transport, respond};
use fated::zone::ZoneSet;
use serde::Deserialize;

/// Where the figures stand.
const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");
/// A kind of answer may take so many times its figure.
const SLACK: f64 = 1.08;
/// Below so many times its figure, it is time to write a new one.
const STALE: f64 = 0.9;
/// Hosts of the zone.
const HOSTS: usize = 2_000;
/// Hosts of the signed zones.
const SIGNED_HOSTS: usize = 200;
/// Answers of each kind.
const ANSWERS: usize = 1_000;
/// Exit code where a bound does not hold.
const EXIT_MISSED: u8 = 1;
/// Exit code for an error.
const EXIT_ERROR: u8 = 2;
/// Functions that take memory from the heap, as callgrind names them.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// Count the instructions of answers.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Options {
    /// Write the figures of today instead of comparing with those that stand
    #[arg(long)]
    update: bool,
    /// Be the process that is counted: the folder with the signed zones
    #[arg(long, hide = true)]
    count: Option<PathBuf>,
    /// Cargo gives it; without it, nothing is counted
    #[arg(long, hide = true)]
    bench: bool,
}

/// A kind of answer.
struct Kind {
    /// Its name.
    name: &'static str,
    /// How the zone is signed.
    denial: Option<Denial>,
    /// Question number n.
    qname: fn(usize) -> String,
    /// QTYPE.
    qtype: u16,
    /// RCODE.
    rcode: u16,
    /// Records of the answer section, signatures not counted.
    answers: usize,
}

impl Kind {
    /// A kind of an unsigned zone.
    const fn plain(name: &'static str, qname: fn(usize) -> String, qtype: u16, rcode: u16, answers: usize) -> Self {
        Self { name, denial: None, qname, qtype, rcode, answers }
    }

    /// A kind of a signed zone, asked with DO.
    const fn signed(
        name: &'static str,
        denial: Denial,
        qname: fn(usize) -> String,
        rcode: u16,
        answers: usize,
    ) -> Self {
        Self { name, denial: Some(denial), qname, qtype: 1, rcode, answers }
    }

    /// The query number n.
    fn query(&self, number: usize) -> Vec<u8> {
        let query = Query::new(&name(&(self.qname)(number)), self.qtype);
        query.with_edns(Edns::new(1232, self.denial.is_some())).encode(0x1D1D)
    }
}

/// Every kind that is counted, in the order in which that is done.
const KINDS: [Kind; 11] = [
    Kind::plain("exact match", |n| format!("host{n}.bench.test."), 1, 0, 1),
    Kind::plain("no data", |n| format!("host{n}.bench.test."), 16, 0, 0),
    Kind::plain("no such name", |n| format!("no{n}.host{n}.bench.test."), 1, 3, 0),
    Kind::plain("wildcard", |n| format!("name{n}.wild.bench.test."), 1, 0, 1),
    Kind::plain("referral", |n| format!("www.child{}.bench.test.", n / 10 * 10), 1, 0, 0),
    Kind::plain("alias of three steps", |n| format!("alias{}.bench.test.", n / 10 * 10), 1, 0, 4),
    Kind::plain("refused", |n| format!("host{n}.elsewhere.test."), 1, 5, 0),
    Kind::signed("exact match, signed", Denial::Nsec, |n| format!("host{}.bench.test.", n % SIGNED_HOSTS), 0, 1),
    Kind::signed("no such name, NSEC", Denial::Nsec, |n| format!("no{n}.bench.test."), 3, 0),
    Kind::signed("no such name, NSEC3", Denial::Nsec3, |n| format!("no{n}.bench.test."), 3, 0),
    Kind::signed("wildcard, NSEC3", Denial::Nsec3, |n| format!("name{n}.wild.bench.test."), 0, 1),
];

/// Gives every answer once. Callgrind writes a file at each return from here, and counts anew at each entry.
#[inline(never)]
fn counted(snapshot: &Arc<Snapshot>, queries: &[Vec<u8>], reply: &mut [u8]) -> usize {
    let context = RequestContext {
        transport: Transport::Udp,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        worker: 0,
        now: Duration::ZERO,
        tls: None,
    };
    let mut octets = 0;
    for query in queries {
        if let Response::Reply { length, .. } = respond(snapshot, query, &context, reply) {
            octets += length;
        }
    }
    octets
}

/// The file of a zone in the folder of signed zones.
fn signed_file(folder: &Path, denial: Denial) -> PathBuf {
    folder.join(format!("{denial:?}"))
}

/// Is the process that is counted: gives every kind of answer, once unseen to check it.
fn count(folder: &Path) -> io::Result<()> {
    let snapshot = |text: &str| {
        let zones = ZoneSet::new(vec![Arc::new(zone::load(text, None))]);
        Arc::new(Snapshot { zones, settings: Settings::default(), ..Snapshot::default() })
    };
    let plain = snapshot(&zone::text(HOSTS));
    let nsec = snapshot(&fs::read_to_string(signed_file(folder, Denial::Nsec))?);
    let nsec3 = snapshot(&fs::read_to_string(signed_file(folder, Denial::Nsec3))?);
    let mut reply = vec![0; MESSAGE_BYTES_MAX];
    for kind in &KINDS {
        let snapshot = match kind.denial {
            None => &plain,
            Some(Denial::Nsec) => &nsec,
            Some(_) => &nsec3,
        };
        let queries: Vec<Vec<u8>> = (0..ANSWERS).map(|number| kind.query(number)).collect();
        let context = RequestContext {
            transport: Transport::Udp,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            worker: 0,
            now: Duration::ZERO,
            tls: None,
        };
        let Response::Reply { length, rcode, .. } = respond(snapshot, &queries[0], &context, &mut reply) else {
            panic!("{}: dropped", kind.name);
        };
        let said = Message::parse(&reply[..length]).map_err(io::Error::other)?;
        let answers = said.sections[0].iter().filter(|record| record.covered().is_none()).count();
        assert_eq!((rcode, answers), (kind.rcode, kind.answers), "{}: {:?}", kind.name, said.sections);
        black_box(counted(snapshot, &queries, &mut reply));
    }
    Ok(())
}

/// What an answer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Figure {
    /// Instructions.
    instructions: u64,
    /// How often memory is taken from the heap.
    allocations: u64,
}

/// Runs this program under callgrind; what it saw, in the order of [`KINDS`].
fn run_counted() -> io::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let signed = sign(folder.path(), "bench.test.", &zone::text(SIGNED_HOSTS), denial);
        fs::write(signed_file(folder.path(), denial), signed.text)?;
    }
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--dump-after=*::counted", "--zero-before=*::counted"]);
    command.arg(format!("--callgrind-out-file={}/out", folder.path().display()));
    command.arg(std::env::current_exe()?).args(["--bench", "--count"]).arg(folder.path());
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr))));
    }
    // Files are numbered from 1 on; what comes after the last one has no number.
    let read = |number: usize| fs::read_to_string(folder.path().join(format!("out.{}", number + 1)));
    (0..KINDS.len()).map(|number| seen(&read(number)?)).collect()
}

/// Reads a file of callgrind's.
fn seen(text: &str) -> io::Result<Figure> {
    let sum = |line: &str| line.strip_prefix("summary: ")?.trim().parse::<u64>().ok();
    let total = text.lines().find_map(sum).ok_or_else(|| io::Error::other("callgrind wrote no sum"))?;
    // `fn=(12) malloc` names a function, `fn=(12)` means it again; `cfn=` is one that it calls, `calls=N` how often.
    let (mut names, mut caller, mut callee, mut calls) = (BTreeMap::new(), "", "", 0);
    for line in text.lines() {
        if let Some(count) = line.strip_prefix("calls=") {
            if ALLOCATORS.contains(&callee) && !ALLOCATORS.contains(&caller) {
                calls += count.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
            }
            continue;
        }
        let Some((word, function)) = line.split_once('=').filter(|(word, _)| matches!(*word, "fn" | "cfn")) else {
            continue;
        };
        let (number, name) = function.split_once(' ').unwrap_or((function, ""));
        let name = *names
            .entry(number)
            .and_modify(|known| *known = if name.is_empty() { *known } else { name })
            .or_insert(name);
        *(if word == "fn" { &mut caller } else { &mut callee }) = name;
    }
    Ok(Figure { instructions: total / ANSWERS as u64, allocations: calls.div_ceil(ANSWERS as u64) })
}

/// The figures that stand, by kind.
fn figures() -> io::Result<BTreeMap<String, Figure>> {
    toml::from_str(&fs::read_to_string(FIGURES)?).map_err(io::Error::other)
}

/// Writes the figures of today.
fn update(counts: &[Figure]) -> io::Result<()> {
    let mut text = String::from("# What an answer takes; `cargo bench --bench instructions -- --update` writes it.\n");
    for (kind, Figure { instructions, allocations }) in KINDS.iter().zip(counts) {
        text.push_str(&format!("{:?} = {{ instructions = {instructions}, allocations = {allocations} }}\n", kind.name));
    }
    fs::write(FIGURES, text)
}

/// Compares with the figures that stand; whether all bounds hold.
fn compare(counts: &[Figure], figures: &BTreeMap<String, Figure>) -> bool {
    let mut is_good = true;
    println!("| answer | instructions | figure | allocations | figure | |\n|---|---:|---:|---:|---:|---|");
    for (kind, counted) in KINDS.iter().zip(counts) {
        let Some(figure) = figures.get(kind.name) else {
            println!("| {} | {} | | {} | | **no figure** |", kind.name, counted.instructions, counted.allocations);
            is_good = false;
            continue;
        };
        let ratio = counted.instructions as f64 / figure.instructions as f64;
        let word = if ratio > SLACK || counted.allocations > figure.allocations {
            "**missed**"
        } else if ratio < STALE || counted.allocations < figure.allocations {
            "held; better than its figure: write a new one"
        } else {
            "held"
        };
        is_good &= word.starts_with("held");
        let Figure { instructions, allocations } = figure;
        let name = kind.name;
        println!(
            "| {name} | {} | {instructions} | {} | {allocations} | {word} |",
            counted.instructions, counted.allocations
        );
    }
    is_good
}

/// Counts, then writes or compares.
fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(folder) = &options.count {
        count(folder).expect("the zones are there and the answers are messages");
        return ExitCode::SUCCESS;
    }
    if !options.bench {
        eprintln!("nothing is counted: run `cargo bench --bench instructions`");
        return ExitCode::SUCCESS;
    }
    for program in ["valgrind", "dnssec-signzone"] {
        if !common::has_program(program) {
            eprintln!("instructions: {program} is not installed: run tests/needs.sh");
            return ExitCode::from(EXIT_ERROR);
        }
    }
    let outcome = run_counted().and_then(|counts| {
        if options.update {
            update(&counts)?;
        }
        Ok(compare(&counts, &figures()?))
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_MISSED),
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}
