//! What `fated status` says of the anycast node.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::Node;
use super::neighbors::neighbor_status;
use super::policy_runner::AddressStatus;
use crate::admin::reply;
use crate::announce::{Announcement, Announcer as _, Counters};
use crate::health::{self, AddressReport, PathState, WorkerState};

impl Node {
    /// How the node is.
    pub(crate) fn status(&self) -> reply::Anycast {
        let (now, seen, report) = (self.origin.elapsed(), self.announcers.seen(), self.prover.report());
        let statuses = self.published.statuses.load();
        let addresses = self.anycast.addresses.iter().zip(&seen).zip(statuses.iter()).enumerate();
        reply::Anycast {
            interface: self.anycast.interface.clone(),
            dry_run: self.anycast.is_dry_run,
            workers_min: self.anycast.health.workers_min.get(),
            lease_s: self.anycast.lease.map(|lease| lease.as_secs()),
            addresses: addresses
                .map(|(index, ((address, seen), status))| {
                    let report = report.addresses.get(index);
                    let prefix = self.anycast.prefix_of(*address);
                    address_status(now, (*address, prefix), (seen, status, self.proof.last(index)), report)
                })
                .collect(),
            workers: report
                .workers
                .iter()
                .enumerate()
                .map(|(index, worker)| worker_status(now, index, worker))
                .collect(),
            tcp_threads: report.tcp_threads.iter().enumerate().map(tcp_thread_status).collect(),
            zone_faults: report.zones.iter().map(|fault| zone_fault_status(now, fault)).collect(),
            prover: prover_status(&report),
            route: route_status(&self.announcers.counters()),
            neighbors: self.neighbors(now),
            transitions: self.published.history.load().transitions(Instant::now()),
        }
    }

    /// How the routers are that are told over BGP.
    fn neighbors(&self, now: Duration) -> Vec<reply::Neighbor> {
        let Some(speaker) = &self.speaker else { return Vec::new() };
        speaker.seen().neighbors.iter().map(|neighbor| neighbor_status(now, neighbor)).collect()
    }
}

/// How a service address is, and what is announced for it.
pub(super) fn address_status(
    now: Duration,
    (address, prefix): (IpAddr, IpNet),
    (seen, status, proof): (&Announcement, &AddressStatus, Option<Duration>),
    report: Option<&AddressReport>,
) -> reply::Address {
    reply::Address {
        address: address.to_string(),
        prefix: prefix.to_string(),
        stance: status.stance,
        reason: status.reason.to_string(),
        since_s: now.saturating_sub(status.since).as_secs(),
        announced: seen.is_announced,
        lease_age_ms: seen.renewed.map(|moment| millis(now.saturating_sub(moment))),
        proof_age_ms: proof.map(|moment| millis(now.saturating_sub(moment))),
        announcements: status.announcements,
        withdrawals: status.withdrawals,
        dropped: report.map_or(0, |report| report.drops),
        path: report.map_or(reply::PathStatus::Unknown, |report| report.path.into()),
    }
}

impl From<PathState> for reply::PathStatus {
    fn from(path: PathState) -> Self {
        match path {
            PathState::Unknown => Self::Unknown,
            PathState::Trusted => Self::Trusted,
            PathState::Lossy => Self::Lossy,
            PathState::Silent => Self::Silent,
        }
    }
}

/// The prover's counts for the control socket.
fn prover_status(report: &health::Report) -> reply::Prover {
    let counts = report.counts;
    reply::Prover {
        realtime: report.is_realtime,
        rounds: counts.rounds,
        gaps: counts.gaps,
        missing: counts.missing,
        detoured: counts.detoured,
        starved: counts.starved,
        wrong: counts.wrong,
        repairs_failed: counts.repairs_failed,
    }
}

/// The announcers' counts for the control socket.
pub(super) fn route_status(counters: &Counters) -> reply::Route {
    reply::Route {
        addresses_removed: counters.addresses_removed,
        routes_removed: counters.routes_removed,
        links_downed: counters.links_downed,
        leases_lapsed: counters.leases_lapsed,
        renewals_refused: counters.renewals_refused,
        requests_failed: counters.requests_failed,
        packets_dropped: counters.packets_dropped,
    }
}

/// A worker for the control socket.
fn worker_status(now: Duration, index: usize, worker: &health::WorkerReport) -> reply::Worker {
    reply::Worker {
        worker: index,
        state: match worker.state {
            WorkerState::Unknown => reply::WorkerStatus::Unknown,
            WorkerState::Well => reply::WorkerStatus::Proven,
            WorkerState::Wrong => reply::WorkerStatus::Wrong,
            WorkerState::Late | WorkerState::Wedged => reply::WorkerStatus::Late,
            WorkerState::Starved => reply::WorkerStatus::Starved,
            WorkerState::Lost => reply::WorkerStatus::Lost,
        },
        proof_age_ms: worker.proven.map(|moment| millis(now.saturating_sub(moment))),
        latency_us: worker.latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
        repairs: worker.repairs,
    }
}

/// A TCP thread for the control socket.
fn tcp_thread_status((index, thread): (usize, &health::TcpThreadReport)) -> reply::TcpThread {
    reply::TcpThread {
        thread: index,
        state: match thread.state {
            WorkerState::Unknown | WorkerState::Wrong => reply::ThreadState::Unknown,
            WorkerState::Well => reply::ThreadState::Moving,
            WorkerState::Starved => reply::ThreadState::Starved,
            WorkerState::Late | WorkerState::Wedged => reply::ThreadState::Late,
            WorkerState::Lost => reply::ThreadState::Lost,
        },
        repairs: thread.repairs,
    }
}

/// A zone's fault for the control socket.
fn zone_fault_status(now: Duration, fault: &health::ZoneFault) -> reply::ZoneFaultStatus {
    reply::ZoneFaultStatus {
        zone: fault.zone.to_string(),
        fault: fault.what.to_string(),
        since_s: now.saturating_sub(fault.since).as_secs(),
    }
}

/// Whole milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
