//! What one answer costs, by kind, in a zone of many names; `BENCH_NAMES` says how many (default 100,000).
//!
//! Read ratios between kinds and between two versions on one machine, not the numbers alone.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "common/zone.rs"]
mod zone;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use common::message::{Edns, Query, RD};
use common::name::name as wire_name;
use criterion::{Criterion, criterion_group, criterion_main};
use fated::answer::{MESSAGE_BYTES_MAX, RequestContext, Response, Snapshot, Transport, respond};
use fated::zone::ZoneSet;

/// Different names that each kind of question goes through in turn, so that not one node alone is in the cache.
const QUESTIONS: usize = 4096;

/// Who asks.
const CONTEXT: RequestContext = RequestContext {
    transport: Transport::Udp,
    source: IpAddr::V4(Ipv4Addr::LOCALHOST),
    worker: 0,
    now: Duration::ZERO,
    tls: None,
};

/// A query for `name`, with an OPT record of 1232 octets.
fn query(name: &str, qtype: u16) -> Vec<u8> {
    let query = Query::new(&wire_name(name), qtype).with_edns(Edns::new(1232, false));
    Query { flags: RD, ..query }.encode(0x1234)
}

/// Name of the kind, question number n, QTYPE, RCODE, records in the answer section.
type Kind = (&'static str, fn(usize) -> String, u16, u16, u8);

/// Measures `respond` for every kind of answer, and checks once that it is that kind.
fn answers(criterion: &mut Criterion) {
    let count = zone::name_count();
    let snapshot = Arc::new(Snapshot {
        zones: ZoneSet::new(vec![Arc::new(zone::load(&zone::text(count), None))]),
        ..Snapshot::default()
    });
    let kinds: [Kind; 7] = [
        ("exact match", |n| format!("host{n}.bench.test"), 1, 0, 1),
        ("no data", |n| format!("host{n}.bench.test"), 16, 0, 0),
        ("no such name", |n| format!("no{n}.host{n}.bench.test"), 1, 3, 0),
        ("wildcard", |n| format!("name{n}.wild.bench.test"), 1, 0, 1),
        ("referral", |n| format!("www.child{}.bench.test", n / 10 * 10), 1, 0, 0),
        ("alias", |n| format!("alias{}.bench.test", n / 10 * 10), 1, 0, 4),
        ("refused", |n| format!("host{n}.elsewhere.test"), 1, 5, 0),
    ];
    let mut group = criterion.benchmark_group(format!("answer, {count} names"));
    for (kind, name, qtype, rcode, answers) in kinds {
        let spread = count / QUESTIONS.min(count);
        let queries: Vec<Vec<u8>> =
            (0..QUESTIONS.min(count)).map(|index| query(&name(index * spread), qtype)).collect();
        let mut reply = vec![0; MESSAGE_BYTES_MAX];
        let verdict = respond(&snapshot, &queries[0], &CONTEXT, &mut reply);
        assert!(matches!(verdict, Response::Reply { rcode: found, .. } if found == rcode), "{kind}: {verdict:?}");
        assert_eq!(reply[7], answers, "{kind}: records in the answer section");
        let mut index = 0;
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                index = (index + 1) % queries.len();
                respond(black_box(&snapshot), &queries[index], &CONTEXT, &mut reply)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, answers);
criterion_main!(benches);
