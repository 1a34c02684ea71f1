//! What transfers cost: records a CPU second of the messages of a whole zone, signed and not, and of a zone that is
//! made of them. `BENCH_NAMES` says how many hosts there are; `cargo bench --bench transfer`.

#[path = "common/zone.rs"]
#[allow(dead_code)] // The other benches use the rest.
mod zone;

use std::fmt::Write;
use std::sync::Arc;

use fated::fault::Faults;
use fated::transfer::{Envelope, Incoming, Outgoing, Received, TransferLimits};
use fated::wire::message::MESSAGE_BYTES_MAX;
use fated::wire::tsig::{Algorithm, Key, Signer};
use fated::zone::Zone;
use fated::zone::hash::Seed;
use fated::zonebuild::{Builder, Inline, Plan};

/// The ID of the transfers.
const ID: u16 = 1;
/// When they are.
const NOW: u64 = 1_800_000_000;
/// Times that each measurement is made; the fastest counts.
const ROUNDS: usize = 3;

/// Seconds of CPU that this thread has used.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|spent| spent.parse::<f64>().ok()).expect("a number") / 1e9
}

/// Makes something a few times; prints what a record costs in the fastest.
fn measure<T>(what: &str, zone: &Zone, mut make: impl FnMut() -> T) -> T {
    let mut best = f64::MAX;
    let mut made = None;
    for _ in 0..ROUNDS {
        drop(made.take());
        let start = cpu_seconds();
        made = Some(make());
        best = best.min(cpu_seconds() - start);
    }
    let records = zone.record_count() as f64;
    println!("{what:28} {:8.3} s of CPU {:10.0} records/s", best, records / best);
    made.expect("it was made")
}

/// Sends the whole zone; returns how many octets and messages it took, and the messages where they are to be kept.
fn send(zone: &Arc<Zone>, signer: Option<Signer>, is_kept: bool) -> (usize, usize, Vec<Vec<u8>>) {
    let envelope = Envelope { id: ID, flags: 0x8400, question: Box::default(), opt: Box::default(), signer };
    let mut outgoing = Outgoing::whole(Arc::clone(zone), envelope);
    let (mut message, mut stream) = (vec![0; MESSAGE_BYTES_MAX], Vec::new());
    let (mut octets, mut count) = (0, 0);
    while let Some(length) = outgoing.write_next(NOW, &mut message) {
        (octets, count) = (octets + length, count + 1);
        if is_kept {
            stream.push(message[..length].to_vec());
        }
    }
    (octets, count, stream)
}

/// Takes the messages and makes the zone.
fn take(zone: &Zone, stream: &[Vec<u8>]) -> Zone {
    let builder = Builder::new(Seed([1, 2]));
    let mut incoming = Incoming::new(zone.apex(), ID, None, TransferLimits::DEFAULT, None, builder);
    for message in stream {
        incoming.take(message, NOW).expect("it is good");
    }
    let Ok(Received::Whole { builder, .. }) = incoming.finish() else { panic!("it came whole") };
    let plan = Plan { name: zone.apex(), previous: None, now: 0 };
    builder.finish(plan, &Inline, &mut Faults::default()).expect("it is good")
}

fn main() {
    let count = zone::name_count();
    let mut text = zone::text(count);
    for host in 0..count {
        writeln!(text, "host{host} AAAA 2001:db8::{:x}:{:x}", host >> 16, host & 0xFFFF).expect("a String");
        writeln!(text, "host{host} MX 10 host{}", host / 2).expect("a String takes everything");
    }
    let start = cpu_seconds();
    let zone = Arc::new(zone::load(&text, None));
    println!("{:28} {:8.3} s of CPU", "in from a zone file", cpu_seconds() - start);
    println!("{} names, {} records", zone.name_count(), zone.record_count());
    let (octets, count, _) = measure("out", &zone, || send(&zone, None, false));
    println!("{octets} octets, {count} messages");
    let name: fated::wire::Name = "key.".parse().expect("a good name");
    let key = Arc::new(Key::new(name.as_ref(), Algorithm::Sha256, b"secret"));
    measure("out, hmac-sha256", &zone, || send(&zone, Some(Signer::of_request(Arc::clone(&key))), false));
    let (.., stream) = send(&zone, None, true);
    let made = measure("in, to the finished zone", &zone, || take(&zone, &stream));
    assert_eq!(made.record_count(), zone.record_count());
}
