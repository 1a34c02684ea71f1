//! The table of speed: fated beside NSD, Knot DNS, PowerDNS, BIND and the floor of the system calls, in one run.
//!
//! `cargo bench --bench speed -- --help`. Ends what it started, also when interrupted. Exit code: 0 if every bound
//! holds, 1 if one does not, 2 for an error. `docs/performance.md` says how it measures.

#[path = "speed/chart.rs"]
mod chart;
#[path = "speed/client.rs"]
mod client;
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "speed/contender.rs"]
mod contender;
#[path = "speed/floor.rs"]
mod floor;
#[path = "speed/keep.rs"]
mod keep;
#[path = "speed/meter.rs"]
mod meter;
#[path = "speed/race.rs"]
mod race;
#[path = "speed/results.rs"]
mod results;
#[path = "speed/row.rs"]
mod row;
#[path = "speed/rows.rs"]
mod rows;
#[path = "speed/sample.rs"]
mod sample;
#[path = "speed/table.rs"]
mod table;
#[path = "speed/zones.rs"]
mod zones;

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fated::sys::cpu::{self, Cpu};
use serde_json::json;

use contender::Contender;
use floor::Floor;
use results::Results;
use row::{BOUNDS, BOUNDS_QUICK, Bound, Row, SIZES, Verdict};

/// Exit code where a bound does not hold.
const EXIT_MISSED: u8 = 1;
/// Exit code for an error.
const EXIT_ERROR: u8 = 2;
/// More load than this before anything runs spoils the figures.
const LOAD_AVERAGE_MAX: f64 = 0.5;

/// Measure fated beside other servers.
#[derive(Debug, Parser)]
#[command(name = "speed")]
struct Options {
    /// Only these rows [default: all]
    #[arg(long = "row", value_name = "ROW", value_delimiter = ',')]
    rows: Vec<Row>,
    /// Only these servers [default: all]
    #[arg(long, value_name = "SERVER", value_delimiter = ',')]
    only: Vec<Contender>,
    /// How often each server is measured in each row [default: 5; 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,
    /// How long each time, in seconds [default: 8; 2 with --quick]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: Option<u16>,
    /// What zones and queries are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The small version: few rows, small zones, NSD and Knot alone, short rounds, wide bounds
    #[arg(long)]
    quick: bool,
    /// Ten million names in the row `flat` as well
    #[arg(long)]
    large: bool,
    /// The CPU of the servers
    #[arg(long, value_name = "CPU", default_value_t = 0)]
    server_cpu: usize,
    /// The CPU of the client
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    client_cpu: usize,
    /// Write every number to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table to this file as well
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Draw the CPU time of a query into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The program to measure [default: the one built with this]
    #[arg(long, value_name = "PROGRAM", default_value = env!("CARGO_BIN_EXE_fated"), hide_default_value = true)]
    fated: PathBuf,
    /// Be the floor: OCTETS@ADDRESS:PORT
    #[arg(long, hide = true)]
    serve_floor: Option<Floor>,
    /// Cargo gives it; without it, nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured, all defaults filled in.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The program under test.
    pub(crate) fated: PathBuf,
    /// Who is measured.
    pub(crate) contenders: Vec<Contender>,
    /// The rows.
    pub(crate) rows: Vec<Row>,
    /// The bounds.
    pub(crate) bounds: &'static [Bound],
    /// How often each server is measured in each row.
    pub(crate) rounds: usize,
    /// How long each time.
    pub(crate) time: Duration,
    /// What zones and queries are drawn from.
    pub(crate) seed: u64,
    /// The CPU of the servers.
    pub(crate) server_cpu: Cpu,
    /// The CPU of the client.
    pub(crate) client_cpu: Cpu,
    /// Names of the small zone.
    pub(crate) small_names: usize,
    /// Names of the large zone.
    pub(crate) million_names: usize,
    /// How many zones are many.
    pub(crate) many_zones: usize,
    /// Names of the largest zone of the row `flat`.
    pub(crate) flat_names_max: usize,
}

impl Options {
    /// What is to be measured, and what is left out.
    ///
    /// # Errors
    /// What makes a measurement impossible here.
    fn plan(&self, results: &mut Results) -> Result<Plan, String> {
        let mut contenders = Contender::ALL.to_vec();
        if self.quick {
            contenders.retain(|who| !matches!(who, Contender::PowerDns | Contender::Bind));
        }
        if !self.only.is_empty() {
            contenders = self.only.clone();
        }
        contenders.retain(|who| {
            let mut missing = who.programs().iter().filter(|program| !common::has_program(program));
            missing.next().is_none_or(|program| {
                results.note(format!("{who} is left out: {program} is not installed; run tests/needs.sh"));
                false
            })
        });
        let cpus = cpu::allowed().map_err(|error| error.to_string())?;
        let usable = |index| cpus.iter().copied().find(|cpu| cpu.index() == index);
        let (Some(server_cpu), Some(client_cpu)) = (usable(self.server_cpu), usable(self.client_cpu)) else {
            return Err("these CPUs can't be used: see --server-cpu and --client-cpu".into());
        };
        if server_cpu == client_cpu {
            return Err("server and client need a CPU each".into());
        }
        if !common::has_program("dnsperf") {
            return Err("dnsperf is not installed: run tests/needs.sh".into());
        }
        let fated = fs::canonicalize(&self.fated).map_err(|error| format!("{}: {error}", self.fated.display()))?;
        let all: &[Row] = if self.quick { &Row::QUICK } else { &Row::ALL };
        let or = |given: Option<u16>, quick, usual| given.unwrap_or(if self.quick { quick } else { usual });
        let sized = |quick, usual| if self.quick { quick } else { usual };
        Ok(Plan {
            fated,
            contenders,
            rows: if self.rows.is_empty() { all.to_vec() } else { self.rows.clone() },
            bounds: if self.quick { BOUNDS_QUICK } else { BOUNDS },
            rounds: usize::from(or(self.rounds, 3, 5)),
            time: Duration::from_secs(u64::from(or(self.seconds, 2, 8))),
            seed: self.seed,
            server_cpu,
            client_cpu,
            small_names: sized(2_000, 10_000),
            million_names: sized(20_000, 1_000_000),
            many_zones: sized(500, 100_000),
            flat_names_max: if self.large { SIZES[4] } else { sized(SIZES[1], SIZES[3]) },
        })
    }
}

/// The machine that the figures are from.
fn machine(plan: &Plan) -> serde_json::Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()));
    let versions: serde_json::Map<String, serde_json::Value> =
        plan.contenders.iter().filter_map(|who| Some((who.name().to_owned(), who.version()?.into()))).collect();
    json!({
        "cpu": model,
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "versions": versions,
        "rounds": plan.rounds,
        "seconds": plan.time.as_secs(),
        "seed": plan.seed,
    })
}

/// Measures all rows; what was measured before an error is reported all the same.
fn run(plan: &Plan, results: &mut Results) -> io::Result<()> {
    let average = fs::read_to_string("/proc/loadavg")?;
    let average: f64 = average.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
    if average > LOAD_AVERAGE_MAX {
        results.note(format!("the machine was not idle when this began: load average {average}"));
    }
    plan.rows.iter().try_for_each(|row| rows::measure(*row, plan, results))
}

/// Writes the files that were asked for.
fn write(options: &Options, plan: &Plan, results: &Results, text: &str) -> io::Result<()> {
    let json = || results.json(&machine(plan), plan.bounds, &plan.rows);
    let svg = || chart::svg(results, &plan.rows);
    if let Some(file) = &options.json {
        fs::write(file, json())?;
    }
    if let Some(file) = &options.svg {
        fs::write(file, svg())?;
    }
    options.text.as_ref().map_or(Ok(()), |file| fs::write(file, text))
}

/// Runs the table.
fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(floor) = options.serve_floor {
        let error = floor.serve().err();
        eprintln!("floor: {error:?}");
        return ExitCode::from(EXIT_ERROR);
    }
    if !options.bench {
        eprintln!("nothing is measured: run `cargo bench --bench speed`");
        return ExitCode::SUCCESS;
    }
    let mut results = Results::default();
    let plan = match options.plan(&mut results) {
        Ok(plan) => plan,
        Err(obstacle) => {
            eprintln!("speed: {obstacle}");
            return ExitCode::from(EXIT_ERROR);
        }
    };
    // What tests share fails by panicking.
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&plan, &mut results)));
    let outcome = outcome.unwrap_or_else(|_| Err(io::Error::other("the run broke off")));
    let text = table::text(&results, &plan.rows, plan.bounds);
    print!("{text}");
    if let Err(error) = outcome.and_then(|()| write(&options, &plan, &results, &text)) {
        eprintln!("speed: {error}");
        return ExitCode::from(EXIT_ERROR);
    }
    let is_missed =
        |bound: &&Bound| plan.rows.contains(&bound.row) && matches!(bound.judge(&results), Verdict::Missed(_));
    if plan.bounds.iter().any(|bound| is_missed(&bound)) { ExitCode::from(EXIT_MISSED) } else { ExitCode::SUCCESS }
}
