//! Pulls the plug on anycast nodes and measures what the client sees: fated beside NSD with ExaBGP's healthcheck, in
//! one run.
//!
//! `cargo bench --bench lab -- --help`. Needs root, for network namespaces; cleans up after itself, also when
//! interrupted.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "lab/table.rs"]
mod table;
#[path = "lab/timeline.rs"]
mod timeline;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use common::site::speaker::{Router, Speaking};
use common::site::subject::{Fated, Tuning};
use common::site::{self, Fault, Plan, Routing, Site, Subject};
use table::Row;
use timeline::Panel;

/// How long a fault may last when the client is not served again: longer than the slowest checker's three timeouts.
const FAULT_SPAN_MAX: Duration = Duration::from_secs(25);

/// Pull the plug on anycast nodes and measure what the client sees.
#[derive(Debug, Parser)]
#[command(name = "lab")]
struct Options {
    /// How often each fault is put on each server
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Only these faults: kill, freeze, wedge, mute, mute-tcp, address, saturate, terminate, drain
    #[arg(long, value_name = "FAULT", value_delimiter = ',', value_parser = fault_of)]
    only: Vec<Fault>,
    /// What to measure
    #[arg(long, value_name = "SERVER", value_delimiter = ',', default_values = ["fated", "tuned", "default"])]
    servers: Vec<Server>,
    /// How routes get to the router
    #[arg(long, default_value = "bird")]
    routing: Routes,
    /// Queries a second
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=50_000))]
    rate: u32,
    /// Names of a second zone that makes the servers as big as real ones
    #[arg(long, default_value_t = 0)]
    names: usize,
    /// Write every round to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the first round of each fault into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The program to measure [default: the one built with this]
    #[arg(long, value_name = "PROGRAM", default_value = env!("CARGO_BIN_EXE_fated"), hide_default_value = true)]
    fated: PathBuf,
    /// Cargo gives it; without it, nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Server {
    /// fated on a tun device
    Fated,
    /// fated with leased addresses on lo
    FatedLo,
    /// fated as its own BGP speaker, with a hold time of 3 s
    Bgp,
    /// The same with BFD beside, 50 ms × 3
    BgpBfd,
    /// NSD and ExaBGP's healthcheck, as fast as is sensible
    Tuned,
    /// NSD and ExaBGP's healthcheck as it comes
    Default,
    /// NSD on a device that the lab itself removes: what routing alone takes
    StandIn,
}

/// How routes get to the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Routes {
    /// BIRD 2, eBGP
    Bird,
    /// BIRD 2, OSPF
    Ospf,
    /// FRR, eBGP
    Frr,
}

/// The fault that a word names.
fn fault_of(word: &str) -> Result<Fault, String> {
    let words = || Fault::ALL.map(Fault::word).join(", ");
    Fault::ALL.into_iter().find(|fault| fault.word() == word).ok_or_else(|| format!("one of {}", words()))
}

impl Options {
    /// The faults to put on.
    fn faults(&self) -> Vec<Fault> {
        if self.only.is_empty() { Fault::ALL.to_vec() } else { self.only.clone() }
    }

    /// The site for a server.
    fn plan(&self, server: Server) -> Plan {
        let subject = match server {
            Server::Fated | Server::Bgp | Server::BgpBfd => Subject::Fated(Fated::new(&self.fated)),
            Server::FatedLo => Subject::Fated(Fated { interface: "lo", ..Fated::new(&self.fated) }),
            Server::Tuned => Subject::Pair(Tuning::Tuned),
            Server::Default => Subject::Pair(Tuning::Default),
            Server::StandIn => Subject::StandIn,
        };
        let router = if self.routing == Routes::Frr { Router::Frr } else { Router::Bird };
        let speaking = Speaking { is_forgiving: true, ..Speaking::with(router) };
        let routing = match (server, self.routing) {
            (Server::Bgp, _) => Routing::Own(speaking),
            (Server::BgpBfd, _) => Routing::Own(Speaking { has_bfd: true, ..speaking }),
            (_, Routes::Bird) => Routing::BirdBgp,
            (_, Routes::Ospf) => Routing::BirdOspf,
            (_, Routes::Frr) => Routing::Frr,
        };
        Plan { rate: self.rate, bulk_names: self.names, ..Plan::new(subject, routing) }
    }

    /// What is missing on this machine, if anything.
    fn obstacle(&self) -> Option<String> {
        if !site::is_root() {
            return Some("the lab makes network namespaces: run it as root".into());
        }
        let mut missing: Vec<&str> = self.servers.iter().flat_map(|server| self.plan(*server).programs()).collect();
        missing.retain(|program| !common::has_program(program));
        missing.sort_unstable();
        missing.dedup();
        (!missing.is_empty()).then(|| format!("{} not installed: run tests/needs.sh", missing.join(", ")))
    }
}

/// Measures one server; rows in the order of the faults.
fn measure(options: &Options, server: Server, panels: &mut Vec<Panel>) -> Vec<Row> {
    let plan = options.plan(server);
    let name = match server {
        Server::Bgp => "fated, BGP alone",
        Server::BgpBfd => "fated, BGP + BFD",
        Server::Fated | Server::FatedLo | Server::Tuned | Server::Default | Server::StandIn => plan.subject.name(),
    };
    eprintln!("{name}: building the site");
    let mut site = Site::build(&plan);
    let mut rows: Vec<Row> = options.faults().into_iter().map(|fault| Row::new(name, fault)).collect();
    for number in 0..options.rounds {
        for row in &mut rows {
            let round = site.round(row.fault, FAULT_SPAN_MAX);
            eprintln!(
                "{}: {}, round {} of {}: {}",
                row.server,
                row.fault,
                number + 1,
                options.rounds,
                table::line(&round)
            );
            if number == 0 && options.svg.is_some() {
                panels.push(Panel::of(&site, row.server, &round));
            }
            row.rounds.push(round);
        }
    }
    rows
}

/// Runs the lab.
fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        eprintln!("nothing is measured: run `cargo bench --bench lab`, as root");
        return ExitCode::SUCCESS;
    }
    if let Some(obstacle) = options.obstacle() {
        eprintln!("lab: {obstacle}");
        return ExitCode::from(2);
    }
    let mut panels = Vec::new();
    let rows: Vec<Row> = options.servers.iter().flat_map(|server| measure(&options, *server, &mut panels)).collect();
    print!("{}", table::text(&rows, &options.faults()));
    let mut code = ExitCode::SUCCESS;
    for (file, text) in [(&options.json, table::json(&rows)), (&options.svg, timeline::svg(&panels))] {
        let Some(file) = file else { continue };
        if let Err(error) = std::fs::write(file, text) {
            eprintln!("lab: {} can't be written: {error}", file.display());
            code = ExitCode::FAILURE;
        }
    }
    code
}
