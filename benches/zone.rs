//! What it costs to load a zone of many names, afresh and as the next version of one that differs in one record; and
//! what it costs to make that next version from the one before and the record.
//!
//! `BENCH_NAMES` says how many names (default 100,000); throughput is in records. Fails if a change of one record takes
//! more than 5 ms for a million names, or more than a two-hundredth of a load.

#[path = "common/zone.rs"]
mod zone;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fated::fault::Faults;
use fated::wire::{Name, Type};
use fated::zone::Zone;
use fated::zonebuild::{Delta, Inline, Record};

/// Samples for a measurement, each of which takes a good part of a second.
const SAMPLES: usize = 10;

/// Measures loading, writing and dropping.
fn loads(criterion: &mut Criterion) {
    let count = zone::name_count();
    let text = zone::text(count);
    let loaded = zone::load(&text, None);
    let changed = text.replacen("host7 A", "host7 60 A", 1);
    let mut group = criterion.benchmark_group(format!("zone, {count} names"));
    group.sample_size(SAMPLES).throughput(Throughput::Elements(loaded.record_count() as u64));
    group.bench_function("load", |bencher| {
        bencher.iter_batched(|| (), |()| zone::load(&text, None), BatchSize::PerIteration);
    });
    group.bench_function("load the next version, one record changed", |bencher| {
        bencher.iter_batched(|| (), |()| zone::load(&changed, Some(&loaded)), BatchSize::PerIteration);
    });
    group.bench_function("write as text", |bencher| {
        bencher.iter(|| {
            let mut out = String::new();
            loaded.write_text(&mut out).expect("a String takes everything");
            out.len()
        });
    });
    group.finish();
}

/// The longest that a change of one record may take, for up to a million names.
const CHANGE_MAX: Duration = Duration::from_millis(5);
/// As many such changes at least take as long as a load.
const CHANGES_PER_LOAD_MIN: u32 = 200;
/// Changes of which the mean is taken, each of another name.
const CHANGES: u32 = 200;

/// The next version, in which `goes` is not and `comes` is at that host.
fn change(zone: &Zone, host: &str, goes: Option<[u8; 4]>, comes: Option<[u8; 4]>) -> Zone {
    let owner: Name = format!("{host}.bench.test.").parse().expect("a good name");
    let record = |rdata| Record { owner: owner.as_ref(), rtype: Type::A, ttl: 3_600, rdata, position: None };
    let mut delta = Delta::new(zone);
    goes.iter().for_each(|rdata| delta.delete(&record(rdata)).expect("it is there"));
    comes.iter().for_each(|rdata| delta.add(&record(rdata)).expect("it is not there"));
    delta.finish(0, &Inline, &mut Faults::default()).expect("it is a good zone")
}

/// Compares changes of one record with a load; each version is made from the one before, which is then dropped.
fn changes(_: &mut Criterion) {
    let count = zone::name_count();
    let text = zone::text(count);
    let before = Instant::now();
    let mut zone = zone::load(&text, None);
    let load = before.elapsed();
    let address = |number: u32| {
        let [_, high, middle, low] = number.to_be_bytes();
        [10, high, middle, low]
    };
    let mut measure = |what: &str, step: &dyn Fn(&Zone, u32) -> Zone| {
        let mut longest = Duration::ZERO;
        let before = Instant::now();
        for number in 0..CHANGES {
            let start = Instant::now();
            zone = black_box(step(&zone, number * (count as u32 / CHANGES)));
            longest = longest.max(start.elapsed());
        }
        let mean = before.elapsed() / CHANGES;
        let ratio = load.as_secs_f64() / mean.as_secs_f64();
        println!("{what}: mean {mean:?}, longest {longest:?}; a load, {load:?}, takes {ratio:.0} times as long");
        assert!(mean * CHANGES_PER_LOAD_MIN <= load, "{what}: more than a part in {CHANGES_PER_LOAD_MIN} of a load");
        assert!(count > 1_000_000 || mean <= CHANGE_MAX, "{what}: more than {CHANGE_MAX:?}");
    };
    measure("an address changed", &|zone, n| change(zone, &format!("host{n}"), Some(address(n)), Some([192, 0, 2, 9])));
    measure("a name added", &|zone, n| change(zone, &format!("new.child{n}"), None, Some([192, 0, 2, 9])));
    measure("a name deleted", &|zone, n| change(zone, &format!("new.child{n}"), Some([192, 0, 2, 9]), None));
}

criterion_group!(benches, changes, loads);
criterion_main!(benches);
