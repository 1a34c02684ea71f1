//! An hour of random faults under load: every one has to be seen and repaired, and nothing may be withdrawn in between.
//!
//! `cargo bench --bench soak -- --minutes 60 --seed 1`. Needs root, for network namespaces; ends by itself, and cleans
//! up after itself, also when interrupted.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "soak/crowd.rs"]
mod crowd;
#[path = "soak/fault.rs"]
mod fault;
#[path = "soak/run.rs"]
mod run;
#[path = "soak/sample.rs"]
mod sample;
#[path = "soak/table.rs"]
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use common::site::subject::Fated;
use common::site::{self, Plan, Routing, Site, Subject};
use crowd::TCP_CLIENTS_MAX;
use fault::Kind;
use run::{Outcome, Soak};

/// Names of the second zone.
const BULK_NAMES: usize = 1000;

/// Random faults under load.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// How long, in minutes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=24 * 60))]
    minutes: u32,
    /// What the faults are drawn from; the same seed draws the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these faults: kill, freeze, wedge, wedge-all, mute-udp, mute-v4, mute-v6, mute-tcp, address, drain, reload,
    /// reload-broken, saturate, hangup, idle-tcp, policy-route, narrow-filter, bogon-filter, absent-neighbours, flood
    #[arg(long, value_name = "FAULT", value_delimiter = ',', value_parser = kind_of)]
    only: Vec<Kind>,
    /// Queries a second
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=50_000))]
    rate: u32,
    /// Write every fault to this file, anew after each
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The program to soak [default: the one built with this]
    #[arg(long, value_name = "PROGRAM", default_value = env!("CARGO_BIN_EXE_fated"), hide_default_value = true)]
    fated: PathBuf,
    /// Cargo gives it; without it, nothing is done
    #[arg(long, hide = true)]
    bench: bool,
}

/// The fault that a word names.
fn kind_of(word: &str) -> Result<Kind, String> {
    let words = || Kind::ALL.map(Kind::word).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(|| format!("one of {}", words()))
}

impl Options {
    /// The site.
    fn plan(&self) -> Plan {
        let clients = format!("[server.tcp]\nclients-max = {TCP_CLIENTS_MAX}\n");
        let subject = Subject::Fated(Fated { more: clients, ..Fated::new(&self.fated) });
        Plan { rate: self.rate, bulk_names: BULK_NAMES, ..Plan::new(subject, Routing::BirdBgp) }
    }

    /// Writes what came of the soak so far where that is wanted.
    fn write(&self, outcome: &Outcome) -> std::io::Result<()> {
        let Some(file) = &self.json else { return Ok(()) };
        std::fs::write(file, table::json(outcome, self.seed))
            .inspect_err(|error| eprintln!("soak: {} can't be written: {error}", file.display()))
    }

    /// What is missing on this machine, if anything.
    fn obstacle(&self) -> Option<String> {
        if !site::is_root() {
            return Some("the soak makes network namespaces: run it as root".into());
        }
        let mut missing = self.plan().programs();
        missing.retain(|program| !common::has_program(program));
        (!missing.is_empty()).then(|| format!("{} not installed: run tests/needs.sh", missing.join(", ")))
    }
}

/// Runs the soak.
fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        eprintln!("nothing is done: run `cargo bench --bench soak`, as root");
        return ExitCode::SUCCESS;
    }
    if let Some(obstacle) = options.obstacle() {
        eprintln!("soak: {obstacle}");
        return ExitCode::from(2);
    }
    println!("soak: {} minutes, seed {}, {} queries a second", options.minutes, options.seed, options.rate);
    let site = Site::build(&options.plan());
    let soak = Soak::new(site, options.seed, &options.only);
    let outcome = soak.run(Duration::from_secs(u64::from(options.minutes) * 60), |outcome| {
        // Only what stands at the end decides.
        let _ = options.write(outcome);
    });
    print!("{}", table::text(&outcome));
    let is_written = options.write(&outcome).is_ok();
    if is_written && outcome.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
