//! What it costs to change one of very many zones: to read it, to put it into the registry, and to publish what is
//! served then.
//!
//! `cargo bench --bench registry`, with `--quick` for a tenth of the zones and wide bounds. The bounds hold for the
//! median; the same changes among a hundred zones stand beside, since the number of zones is to make no difference but
//! for the caches. Exit code: 0 if the bounds hold, 1 if one does not.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use clap::Parser;
use fated::answer::{Settings, Snapshot};
use fated::config::ZoneSources;
use fated::fault::report::Style;
use fated::load::{Change, Loader, Registry, Scope};
use fated::wire::Name;
use fated::zone::ZoneSet;
use fated::zone::hash::Seed;

/// Zones that there are, and with `--quick`.
const ZONES: usize = 100_000;
const ZONES_QUICK: usize = 10_000;
/// Zones beside which the others are measured.
const ZONES_FEW: usize = 100;
/// Changes of each kind.
const CHANGES: usize = 201;
/// How long it may take from a zone being built to its being served, and with `--quick`.
const PUBLISH_MAX: Duration = Duration::from_millis(1);
const PUBLISH_MAX_QUICK: Duration = Duration::from_millis(20);

/// Measure how long it takes to change one of many zones.
#[derive(Debug, Parser)]
struct Options {
    /// Fewer zones, wider bounds
    #[arg(long)]
    quick: bool,
    /// Cargo gives it; without it, nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
}

/// A kind of change: what is done to the file, and what a reload has to say of it.
struct Kind {
    name: &'static str,
    /// The zone of change number n, of so many zones.
    zone: fn(usize, usize) -> String,
    /// Whether the file is written, and not removed.
    is_written: bool,
    change: Change,
}

/// The kinds of change, in the order in which they are made.
const KINDS: [Kind; 3] = [
    Kind {
        name: "replace",
        zone: |n, zones| name(n * (zones / CHANGES).max(1) % zones),
        is_written: true,
        change: Change::Changed,
    },
    Kind { name: "add", zone: |n, _| format!("fresh{n}.test"), is_written: true, change: Change::Added },
    Kind { name: "remove", zone: |n, _| format!("fresh{n}.test"), is_written: false, change: Change::Removed },
];

/// The name of a zone that there is from the start.
fn name(number: usize) -> String {
    format!("z{number:06}.test")
}

/// The file of a zone.
fn text(serial: usize) -> String {
    format!("$TTL 300\n@ SOA ns admin {serial} 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n")
}

/// A folder of zones, and a server's state with all of them loaded.
struct Server {
    folder: tempfile::TempDir,
    sources: Arc<ZoneSources>,
    loader: Loader,
    current: ArcSwap<Snapshot>,
    /// What status, metrics and pages read.
    shown: ArcSwap<Registry>,
}

/// What the steps of one change took.
#[derive(Clone, Copy)]
struct Took {
    /// All of the reload: the file is read, the zone built, and put into the registry.
    reload: Duration,
    /// What came after: it is served, and shown.
    publish: Duration,
}

impl Server {
    /// Makes and loads so many zones.
    fn new(zones: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        (0..zones).for_each(|number| write(folder.path(), &name(number), 1));
        let sources = Arc::new(ZoneSources { dir: Some(folder.path().into()), ..ZoneSources::default() });
        let mut loader = Loader::new(Seed([1, 2]), Style::Plain);
        let start = Instant::now();
        let report = loader.reload(&sources, Scope::All, false).expect("loads");
        assert_eq!(report.count(Change::Added), zones);
        println!("{zones} zones are loaded in {:?}", start.elapsed());
        let start = Instant::now();
        loader.reload(&sources, Scope::All, false).expect("loads");
        println!("  and looked at again in {:?}", start.elapsed());
        let shown = ArcSwap::from_pointee(loader.registry().clone());
        Self { folder, sources, loader, current: ArcSwap::from_pointee(Snapshot::default()), shown }
    }

    /// Makes one change.
    fn change(&mut self, kind: &Kind, number: usize, zones: usize) -> Took {
        let zone = (kind.zone)(number, zones);
        match kind.is_written {
            true => write(self.folder.path(), &zone, number + 2),
            false => fs::remove_file(file(self.folder.path(), &zone)).expect("removes"),
        }
        let name: Name = zone.parse().expect("a name");
        let start = Instant::now();
        let report = self.loader.reload(&self.sources, Scope::Zone(name), false).expect("reloads");
        let reload = start.elapsed();
        assert_eq!(report.zones.iter().map(|zone| zone.change).collect::<Vec<_>>(), [kind.change]);
        let start = Instant::now();
        let zones = self.loader.registry().zones().clone();
        let old = self.current.swap(Arc::new(Snapshot { zones, settings: Settings::default(), ..Snapshot::default() }));
        let old_shown = self.shown.swap(Arc::new(self.loader.registry().clone()));
        drop((old, old_shown));
        Took { reload, publish: start.elapsed() }
    }
}

/// Where the file of a zone is.
fn file(folder: &Path, zone: &str) -> std::path::PathBuf {
    folder.join(format!("{zone}.zone"))
}

/// Writes the file of a zone.
fn write(folder: &Path, zone: &str, serial: usize) {
    fs::write(file(folder, zone), text(serial)).expect("writes");
}

/// The middle one of some times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What it takes to put a zone that is built into a copy of a set of zones, and to drop the version before.
fn put_into_set(set: &mut ZoneSet, number: usize) -> Duration {
    let zone = set.at_or_behind(number * 7919).cloned().expect("there are zones");
    let start = Instant::now();
    let mut next = set.clone();
    next.put(zone);
    drop(std::mem::replace(set, next));
    start.elapsed()
}

/// Measures all kinds, among many zones and among few; whether the bound holds.
fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        eprintln!("nothing is measured: run `cargo bench --bench registry`");
        return ExitCode::SUCCESS;
    }
    let (zones, bound) = if options.quick { (ZONES_QUICK, PUBLISH_MAX_QUICK) } else { (ZONES, PUBLISH_MAX) };
    let (mut many, mut few) = (Server::new(zones), Server::new(ZONES_FEW));
    let mut is_good = true;
    println!(
        "| one zone, median of {CHANGES} | reload, {zones} zones | reload, {ZONES_FEW} zones | publish, \
         {zones} | bound for both | |"
    );
    println!("|---|---:|---:|---:|---:|---|");
    for kind in &KINDS {
        let measure = |server: &mut Server, zones| -> (Duration, Duration) {
            let took: Vec<Took> = (0..CHANGES).map(|number| server.change(kind, number, zones)).collect();
            let of = |step: fn(&Took) -> Duration| median(took.iter().map(step).collect());
            (of(|took| took.reload), of(|took| took.publish))
        };
        let (few_reload, _) = measure(&mut few, ZONES_FEW);
        let (reload, publish) = measure(&mut many, zones);
        let is_held = reload + publish <= bound;
        is_good &= is_held;
        let word = if is_held { "held" } else { "**missed**" };
        println!("| {} | {reload:?} | {few_reload:?} | {publish:?} | {bound:?} | {word} |", kind.name);
    }
    let mut set = many.loader.registry().zones().clone();
    let put = median((0..CHANGES).map(|number| put_into_set(&mut set, number)).collect());
    println!("| put into the set of zones alone | {put:?} | | | | |");
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
