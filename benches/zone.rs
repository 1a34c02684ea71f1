//! What it costs to load a zone of many names, afresh and as the next version of one that differs in one record.
//!
//! `BENCH_NAMES` says how many names (default 100,000); throughput is in records.

#[path = "common/zone.rs"]
mod zone;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

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

criterion_group!(benches, loads);
criterion_main!(benches);
