//! The anycast part of `fated status` for people: what matters stands first and in capitals.

use super::bgp;
use super::output::{age, put, table};
use crate::admin::reply::{
    Address, Anycast, Companion, Stance, StanceChange, TcpThread, ThreadState, Worker, WorkerStatus,
};

/// What a fault of the path means, and what to do.
const PATH_ADVICE: &str = "workers answer, but probes do not come through the way of clients.\n\
                           Does a packet filter, a rate limit or a routing rule of this \
                           host treat them otherwise? `fated check` says more";

/// Writes the part.
pub(super) fn show(out: &mut String, anycast: &Anycast) {
    let mode = if anycast.dry_run { ", DRY RUN: nothing is announced" } else { "" };
    let lease = anycast.lease_s.map_or_else(|| "no lease".to_owned(), |seconds| format!("lease {seconds}s"));
    let (device, least) = (&anycast.interface, anycast.workers_min);
    put(out, format_args!("anycast on {device}, {lease}, {least} workers must answer{mode}\n"));
    let head = ["address", "state", "for", "announced", "lease renewed", "last proof", "reason"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(anycast.addresses.iter().map(address_row)).collect();
    table(out, &rows);
    for address in anycast.addresses.iter().filter(|address| address.path.is_fault()) {
        let (address, state) = (&address.address, address.path.word().to_uppercase());
        put(out, format_args!("\nthe path of probes to {address} is {state}: {PATH_ADVICE}\n"));
    }
    bgp::summary(out, &anycast.neighbors);
    if !anycast.workers.is_empty() {
        out.push('\n');
        let head = ["worker", "state", "last proof", "latency", "repairs"].map(str::to_owned);
        let rows: Vec<[String; 5]> = std::iter::once(head).chain(anycast.workers.iter().map(worker_row)).collect();
        table(out, &rows);
    }
    if !anycast.tcp_threads.is_empty() {
        out.push('\n');
        let head = ["TCP thread", "state", "repairs"].map(str::to_owned);
        let rows: Vec<[String; 3]> = std::iter::once(head).chain(anycast.tcp_threads.iter().map(thread_row)).collect();
        table(out, &rows);
    }
    for fault in &anycast.zone_faults {
        put(out, format_args!("\nzone {} is ANSWERED WRONG for {}: {}\n", fault.zone, age(fault.since_s), fault.fault));
    }
    if !anycast.transitions.is_empty() {
        out.push_str("\nlast changes, the newest first:\n");
    }
    for change in &anycast.transitions {
        transition(out, change);
    }
    out.push('\n');
}

/// Writes the part of another service.
pub(super) fn show_companion(out: &mut String, companion: &Companion) {
    let (name, device, probe) = (&companion.name, &companion.interface, &companion.probe);
    put(out, format_args!("companion {name} on {device}, proven by {probe}\n"));
    let head = ["address", "state", "for", "announced", "lease renewed", "last proof", "reason"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(companion.addresses.iter().map(address_row)).collect();
    table(out, &rows);
    for fault in &companion.faults {
        put(out, format_args!("\nthe last probe of {name} FAILED: {fault}\n"));
    }
    for change in &companion.transitions {
        transition(out, change);
    }
    out.push('\n');
}

/// One line of the table of addresses.
fn address_row(address: &Address) -> [String; 7] {
    // What is wanted and what the kernel has: only where they agree is the state plain.
    let state = match (address.stance, address.announced) {
        (Stance::Announce, true) => "announced",
        (Stance::Degrade, true) => "DEGRADED",
        (Stance::Withdraw, false) => "WITHDRAWN",
        (Stance::Announce | Stance::Degrade, false) => "being announced",
        (Stance::Withdraw, true) => "BEING WITHDRAWN",
    };
    let announced = if address.announced { format!("yes, as {}", address.prefix) } else { "no".to_owned() };
    [
        address.address.clone(),
        state.to_owned(),
        age(address.since_s),
        announced,
        ago(address.lease_age_ms),
        ago(address.proof_age_ms),
        address.reason.clone(),
    ]
}

/// One line of the table of workers.
fn worker_row(worker: &Worker) -> [String; 5] {
    let state = match worker.state {
        WorkerStatus::Proven | WorkerStatus::Unknown => worker.state.word().to_owned(),
        state => state.word().to_uppercase(),
    };
    let latency = worker.latency_us.map_or_else(|| "-".to_owned(), micros);
    [worker.worker.to_string(), state, ago(worker.proof_age_ms), latency, worker.repairs.to_string()]
}

/// One line of the table of TCP threads.
fn thread_row(thread: &TcpThread) -> [String; 3] {
    let state = match thread.state {
        ThreadState::Moving | ThreadState::Unknown => thread.state.word().to_owned(),
        state => state.word().to_uppercase(),
    };
    [thread.thread.to_string(), state, thread.repairs.to_string()]
}

/// One change of stance, in a line.
fn transition(out: &mut String, change: &StanceChange) {
    let (from, to) = (change.from.word(), change.to.word());
    put(out, format_args!("  {}  {}  {from} → {to}: {}", ago(Some(change.age_ms)), change.address, change.cause));
    let steps: Vec<String> =
        change.steps.iter().map(|step| format!("{} {}", step.what, micros(step.took_us))).collect();
    match steps.is_empty() {
        true => out.push('\n'),
        false => put(out, format_args!(" ({})\n", steps.join(", "))),
    }
}

/// How long ago, in milliseconds while that says something.
fn ago(age_ms: Option<u64>) -> String {
    match age_ms {
        None => "-".to_owned(),
        Some(age_ms @ 0..10_000) => format!("{age_ms} ms ago"),
        Some(age_ms) => format!("{} ago", age(age_ms / 1000)),
    }
}

/// Microseconds as people read them.
fn micros(amount: u64) -> String {
    match amount {
        0..10_000 => format!("{amount} µs"),
        _ => format!("{} ms", amount / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::reply::{PathStatus, Step, ZoneFaultStatus};

    /// An address in that state.
    fn address(stance: Stance, announced: bool) -> Address {
        Address {
            address: "192.0.2.53".to_owned(),
            prefix: "192.0.2.0/24".to_owned(),
            stance,
            announced,
            reason: "1 of 2 workers proven".to_owned(),
            since_s: 61,
            lease_age_ms: Some(110),
            proof_age_ms: Some(20),
            ..Address::default()
        }
    }

    #[test]
    fn the_state_is_what_is_wanted_beside_what_the_kernel_has() {
        for (stance, announced, state) in [
            (Stance::Announce, true, "announced"),
            (Stance::Degrade, true, "DEGRADED"),
            (Stance::Withdraw, false, "WITHDRAWN"),
            (Stance::Announce, false, "being announced"),
            (Stance::Degrade, false, "being announced"),
            (Stance::Withdraw, true, "BEING WITHDRAWN"),
        ] {
            assert_eq!(address_row(&address(stance, announced))[1], state);
        }
    }

    #[test]
    fn all_is_shown_in_lines_that_people_read() {
        let step = |what: &str, took_us| Step { what: what.to_owned(), took_us };
        let silent =
            Address { address: "2001:db8::53".to_owned(), path: PathStatus::Silent, ..address(Stance::Degrade, true) };
        let anycast = Anycast {
            interface: "fated0".to_owned(),
            dry_run: true,
            workers_min: 1,
            lease_s: Some(1),
            addresses: vec![address(Stance::Announce, true), silent],
            workers: vec![
                Worker {
                    worker: 0,
                    state: WorkerStatus::Proven,
                    proof_age_ms: Some(20),
                    latency_us: Some(71),
                    repairs: 0,
                },
                Worker {
                    worker: 1,
                    state: WorkerStatus::Late,
                    proof_age_ms: Some(12_000),
                    latency_us: None,
                    repairs: 3,
                },
            ],
            tcp_threads: [(ThreadState::Moving, 1), (ThreadState::Lost, 0)]
                .into_iter()
                .enumerate()
                .map(|(thread, (state, repairs))| TcpThread { thread, state, repairs })
                .collect(),
            zone_faults: vec![ZoneFaultStatus { zone: "a.test.".to_owned(), fault: "SERVFAIL".to_owned(), since_s: 3 }],
            transitions: vec![StanceChange {
                age_ms: 61_000,
                address: "192.0.2.53".to_owned(),
                from: Stance::Withdraw,
                to: Stance::Announce,
                cause: "20 good rounds".to_owned(),
                steps: vec![step("address added", 80), step("read back", 12_345)],
            }],
            ..Anycast::default()
        };
        let mut out = String::new();
        show(&mut out, &anycast);
        let expected = "\
anycast on fated0, lease 1s, 1 workers must answer, DRY RUN: nothing is announced
address       state      for    announced             lease renewed  last proof  reason
192.0.2.53    announced  1m 1s  yes, as 192.0.2.0/24  110 ms ago     20 ms ago   1 of 2 workers proven
2001:db8::53  DEGRADED   1m 1s  yes, as 192.0.2.0/24  110 ms ago     20 ms ago   1 of 2 workers proven

the path of probes to 2001:db8::53 is SILENT: workers answer, but probes do not come through the way of clients.
Does a packet filter, a rate limit or a routing rule of this host treat them otherwise? `fated check` says more

worker  state   last proof  latency  repairs
0       proven  20 ms ago   71 µs    0
1       LATE    12s ago     -        3

TCP thread  state   repairs
0           moving  1
1           LOST    0

zone a.test. is ANSWERED WRONG for 3s: SERVFAIL

last changes, the newest first:
  1m 1s ago  192.0.2.53  withdraw → announce: 20 good rounds (address added 80 µs, read back 12 ms)

";
        assert_eq!(out, expected);
    }
}
