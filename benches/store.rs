//! What it costs to keep transferred zones: one of many names whole, changed once and again and read back, beside
//! reading its text; and very many small ones that come at once.
//!
//! `BENCH_NAMES` says how many names (default 100,000); a tenth as many small zones come at once. All is done by one
//! thread. Fails if opening the store and reading the zone back takes more of a CPU than loading the text.

#[path = "common/zone.rs"]
mod zone;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fated::store::{LoadPlan, Store, StoredZone};
use fated::transfer::{Change, Times, apply};
use fated::wire::{Name, Type};
use fated::zone::Zone;
use fated::zone::hash::Seed;
use fated::zonebuild::{Delta, Inline, Record};
use futures_util::future::join_all;
use nix::time::{ClockId, clock_gettime};

/// Changes of one record, each waited for.
const CHANGES: u32 = 300;
/// Octets of steps that are kept.
const JOURNAL_BYTES_MAX: usize = 64 << 20;

/// The next version, in which one host has another address and the SOA another serial.
fn next(zone: &Zone, number: u32) -> (Arc<Zone>, Arc<Change>) {
    let owner: Name = format!("new{number}.bench.test.").parse().expect("a good name");
    let mut delta = Delta::new(zone);
    let mut soa = fated::transfer::Soa::of(zone);
    delta.delete(&soa.record(zone.apex())).expect("it is there");
    let mut rdata = soa.rdata().to_vec();
    let at = rdata.len() - 20;
    rdata[at..at + 4].copy_from_slice(&(zone.serial() + 1).to_be_bytes());
    soa = fated::transfer::Soa::new(3_600, &rdata).expect("a SOA");
    delta.add(&soa.record(zone.apex())).expect("it is new");
    let record = Record { owner: owner.as_ref(), rtype: Type::A, ttl: 3_600, rdata: &[10, 0, 0, 1], position: None };
    delta.add(&record).expect("it is new");
    let next = delta.finish(0, &Inline, &mut Default::default()).expect("a good zone");
    let change = Change::between(zone, &next);
    (Arc::new(next), Arc::new(change))
}

/// Octets that this process had written to disks.
fn written() -> u64 {
    let text = fs::read_to_string("/proc/self/io").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("a line");
    line.parse().expect("a number")
}

/// Time that this process had a CPU.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("Linux").into()
}

/// Does something and says what it took.
///
/// Returns the outcome and the time on a CPU, which says more than the other on a machine that does other things too.
fn measure<T>(what: &str, folder: &Path, work: impl FnOnce() -> T) -> (T, Duration) {
    let (start, cpu_before, before) = (Instant::now(), cpu(), written());
    let done = work();
    let (took, cpu_took) = (start.elapsed(), cpu() - cpu_before);
    let size = fs::metadata(folder.join("transfers.redb")).map_or(0, |file| file.len());
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "| {what} | {took:.1?} | {cpu_took:.1?} | {:.1} | {:.1} |",
        megabytes(written() - before),
        megabytes(size)
    );
    (done, cpu_took)
}

/// Opens the store.
fn open(folder: &Path) -> Store {
    Store::open(folder, JOURNAL_BYTES_MAX).expect("a thread is there to be had")
}

/// Reads zones back.
fn load(store: &Store, names: &[Name]) -> Vec<StoredZone> {
    let plan = LoadPlan { seed: Seed([1, 2]), now: 0, executor: &Inline };
    store.load(names, plan).into_iter().map(|stored| stored.expect("it is stored")).collect()
}

/// One big zone.
fn big(folder: &Path, runtime: &tokio::runtime::Runtime) -> bool {
    let text = zone::text(zone::name_count());
    let (loaded, text_took) = measure("load the text", folder, || Arc::new(zone::load(&text, None)));
    let records = loaded.record_count();
    let store = open(folder);
    let times = Times::default();
    measure(&format!("store it whole, {records} records"), folder, || {
        runtime.block_on(store.put_zone(Arc::clone(&loaded), times)).expect("it is stored");
    });
    measure("store it whole again", folder, || {
        runtime.block_on(store.put_zone(Arc::clone(&loaded), times)).expect("it is stored");
    });
    let mut zone = loaded;
    let mut steps = Vec::new();
    for number in 0..CHANGES {
        let (changed, step) = next(&zone, number);
        steps.push((Arc::clone(&changed), step));
        zone = changed;
    }
    measure(&format!("store {CHANGES} changes, each waited for"), folder, || {
        for (zone, step) in steps.drain(..) {
            runtime.block_on(store.put_changes(zone, vec![step], times)).expect("it is stored");
        }
    });
    measure("close", folder, || drop(store));
    let (store, open_took) = measure("open", folder, || open(folder));
    let name = zone.apex().to_name();
    let (stored, took) = measure("read it back", folder, || load(&store, &[name]).remove(0));
    assert_eq!((stored.zone.serial(), stored.zone.record_count()), (zone.serial(), zone.record_count()));
    let (old, new) = next(&zone, u32::MAX);
    assert_eq!(
        apply(&stored.zone, &[Change::clone(&new)], 0, &Inline, &mut Default::default()).map(|zone| zone.serial()),
        Ok(old.serial())
    );
    open_took + took <= text_took
}

/// Many small zones that come at once.
fn small(folder: &Path, runtime: &tokio::runtime::Runtime) {
    let names: Vec<String> = (0..zone::name_count() / 10).map(|number| format!("zone{number}.test.")).collect();
    let text = "@ SOA ns admin 1 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n@ MX 10 www\n";
    let zone = |name: &String| Arc::new(zone::load_as(name, &format!("$TTL 3600\n$ORIGIN {name}\n{text}"), None));
    let zones: Vec<Arc<Zone>> = names.iter().map(zone).collect();
    let count = zones.len();
    let store = open(folder);
    measure(&format!("store {count} small zones, asked for at once"), folder, || {
        let asked = zones.iter().map(|zone| store.put_zone(Arc::clone(zone), Times::default()));
        let outcomes = runtime.block_on(join_all(asked));
        assert!(outcomes.iter().all(Result::is_ok));
    });
    measure("note the times of all", folder, || {
        let asked = zones.iter().map(|zone| store.put_times(zone.apex(), Times::default()));
        assert!(runtime.block_on(join_all(asked)).iter().all(Result::is_ok));
    });
    measure("close", folder, || drop(store));
    let (store, _) = measure("open", folder, || open(folder));
    let names: Vec<Name> = zones.iter().map(|zone| zone.apex().to_name()).collect();
    measure("read all back", folder, || load(&store, &names));
}

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        eprintln!("nothing is measured: run `cargo bench --bench store`");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let parent = std::env::var_os("BENCH_FOLDER").map_or_else(std::env::temp_dir, Into::into);
    let folders = [(); 2].map(|()| tempfile::tempdir_in(&parent).expect("a folder"));
    println!("| | time | CPU | written, MB | file, MB |\n|---|---:|---:|---:|---:|");
    let is_good = big(folders[0].path(), &runtime);
    small(folders[1].path(), &runtime);
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
