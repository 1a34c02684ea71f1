//! The status as numbers for Prometheus.

use std::borrow::Cow;

use super::exposition::{Reading, Value};
use super::reply::{
    Anycast, Companion, Neighbor, PathStatus, Prover, Route, Stance, Status, WorkerStatus, Zone, ZoneCounts,
};

/// The most zones of which the serial is shown: every one is a time series.
pub(super) const ZONES_MAX: usize = 1000;

/// What status says, besides the counters, which are read where they are; and the serials of `zones`.
pub(super) fn of(status: &Status, zones: &[Zone]) -> Vec<Reading> {
    let mut out = Out(Vec::new());
    out.put("fated_build_info", &[("version", &status.version)], 1);
    out.put("fated_uptime_seconds", &[], status.uptime_s);
    out.put("fated_ready", &[], status.ready.is_ready.into());
    out.put("fated_drained", &[], status.drained.into());
    out.put("fated_workers", &[], status.workers as u64);
    let ZoneCounts { served, kept, refused } = status.zone_counts;
    for (word, count) in [("served", served - kept.min(served)), ("kept", kept), ("refused", refused)] {
        out.put("fated_zones", &[("state", word)], count as u64);
    }
    for catalog in &status.catalogs {
        let label = ("catalog", catalog.name.as_str());
        out.put("fated_catalog_members", &[label], catalog.members as u64);
        out.put("fated_catalog_refused", &[label], catalog.refusal.is_some().into());
    }
    for zone in zones {
        if let Some(serial) = zone.serial {
            out.put("fated_zone_serial", &[("zone", &zone.name)], serial.into());
        }
    }
    if let Some(secondaries) = &status.secondaries {
        for (word, count) in secondaries.counts() {
            out.put("fated_secondary_zones", &[("state", word)], count as u64);
        }
        if let Some(oldest) = secondaries.oldest_s {
            out.put("fated_secondary_oldest_confirmation_seconds", &[], oldest);
        }
        out.put("fated_secondary_behind_serials_max", &[], secondaries.behind_max.into());
    }
    if let Some(last) = &status.last_reload {
        let is_good = last.outcome.as_ref().is_ok_and(|reload| reload.kept + reload.refused == 0);
        out.put("fated_last_reload_success", &[], is_good.into());
        out.put("fated_last_reload_age_seconds", &[], last.age_s);
    }
    out.put("fated_control_plane_stalls_total", &[], status.control_plane.stalls);
    out.push(
        "fated_control_plane_stalled_seconds_total",
        &[],
        Value::Real(status.control_plane.stalled_ms as f64 / 1e3),
    );
    if let Some(anycast) = &status.anycast {
        out.anycast(anycast);
    }
    status.companions.iter().for_each(|companion| out.companion(companion));
    out.0
}

/// Where readings go.
struct Out(Vec<Reading>);

impl Out {
    fn put(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: u64) {
        self.push(name, labels, Value::Whole(value));
    }

    fn push(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: Value) {
        let labels = labels.iter().map(|(key, text)| (*key, Cow::Owned((*text).to_owned()))).collect();
        self.0.push(Reading { name, labels, value });
    }

    /// Adds a time in seconds where it is known.
    fn time(&mut self, name: &'static str, label: (&'static str, &str), amount: Option<u64>, per_second: f64) {
        if let Some(amount) = amount {
            self.push(name, &[label], Value::Real(amount as f64 / per_second));
        }
    }

    fn prover(&mut self, prover: &Prover) {
        self.put("fated_prover_realtime", &[], prover.realtime.into());
        self.put("fated_prover_rounds_total", &[], prover.rounds);
        self.put("fated_prover_gaps_total", &[], prover.gaps);
        self.put("fated_prover_missing_total", &[], prover.missing);
        self.put("fated_prover_detoured_total", &[], prover.detoured);
        self.put("fated_prover_starved_total", &[], prover.starved);
        self.put("fated_prover_wrong_total", &[], prover.wrong);
        self.put("fated_prover_repairs_failed_total", &[], prover.repairs_failed);
    }

    fn route(&mut self, route: &Route) {
        let removed =
            [("address", route.addresses_removed), ("route", route.routes_removed), ("link", route.links_downed)];
        for (what, count) in removed {
            self.put("fated_route_removed_total", &[("what", what)], count);
        }
        self.put("fated_route_leases_lapsed_total", &[], route.leases_lapsed);
        self.put("fated_route_renewals_refused_total", &[], route.renewals_refused);
        self.put("fated_route_requests_failed_total", &[], route.requests_failed);
        self.put("fated_route_packets_dropped_total", &[], route.packets_dropped);
    }

    fn companion(&mut self, companion: &Companion) {
        for address in &companion.addresses {
            let labels = [("companion", companion.name.as_str()), ("address", address.address.as_str())];
            for stance in Stance::ALL {
                let labels = [labels[0], labels[1], ("stance", stance.word())];
                self.put("fated_companion_stance", &labels, (stance == address.stance).into());
            }
            self.put("fated_companion_announced", &labels, address.announced.into());
            self.put("fated_companion_announcements_total", &labels, address.announcements);
            self.put("fated_companion_withdrawals_total", &labels, address.withdrawals);
            if let Some(age) = address.proof_age_ms {
                self.push("fated_companion_proof_age_seconds", &labels, Value::Real(age as f64 / 1e3));
            }
        }
    }

    fn neighbor(&mut self, neighbor: &Neighbor) {
        let label = ("neighbor", neighbor.address.as_str());
        self.put("fated_bgp_established", &[label], (neighbor.state == "established").into());
        self.put("fated_bgp_sessions_total", &[label], neighbor.established);
        self.put("fated_bgp_state_age_seconds", &[label], neighbor.since_s);
        self.put("fated_bgp_withheld_total", &[label], neighbor.withheld);
        let received = (neighbor.routes.len() + neighbor.other_routes) as u64;
        for (direction, prefixes, messages) in
            [("sent", neighbor.announced as u64, neighbor.sent), ("received", received, neighbor.received)]
        {
            self.put("fated_bgp_prefixes", &[label, ("direction", direction)], prefixes);
            for (kind, count) in messages.by_type() {
                self.put("fated_bgp_messages_total", &[label, ("direction", direction), ("type", kind)], count);
            }
        }
        let Some(bfd) = &neighbor.bfd else { return };
        self.put("fated_bfd_up", &[label], (bfd.state == "up").into());
        for (outcome, count) in [
            ("sent", bfd.sent),
            ("withheld", bfd.withheld),
            ("failed", bfd.send_failures),
            ("received", bfd.received),
            ("refused", bfd.refused),
        ] {
            self.put("fated_bfd_packets_total", &[label, ("outcome", outcome)], count);
        }
    }

    fn anycast(&mut self, anycast: &Anycast) {
        /// Thousandths and millionths of a second.
        const MS: f64 = 1e3;
        const US: f64 = 1e6;
        self.put("fated_anycast_workers_min", &[], anycast.workers_min as u64);
        self.put("fated_anycast_zone_faults", &[], anycast.zone_faults.len() as u64);
        for address in &anycast.addresses {
            let label = ("address", address.address.as_str());
            for stance in Stance::ALL {
                let labels = [label, ("stance", stance.word())];
                self.put("fated_anycast_stance", &labels, (stance == address.stance).into());
            }
            for state in PathStatus::ALL {
                let labels = [label, ("state", state.word())];
                self.put("fated_anycast_path", &labels, (state == address.path).into());
            }
            self.put("fated_anycast_stance_age_seconds", &[label], address.since_s);
            self.put("fated_anycast_announced", &[label], address.announced.into());
            self.put("fated_anycast_announcements_total", &[label], address.announcements);
            self.put("fated_anycast_withdrawals_total", &[label], address.withdrawals);
            self.put("fated_anycast_dropped_total", &[label], address.dropped);
            self.time("fated_anycast_lease_age_seconds", label, address.lease_age_ms, MS);
            self.time("fated_anycast_proof_age_seconds", label, address.proof_age_ms, MS);
        }
        for neighbor in &anycast.neighbors {
            self.neighbor(neighbor);
        }
        self.prover(&anycast.prover);
        self.route(&anycast.route);
        for worker in &anycast.workers {
            let number = worker.worker.to_string();
            let label = ("worker", number.as_str());
            for state in WorkerStatus::ALL {
                let labels = [label, ("state", state.word())];
                self.put("fated_worker_state", &labels, (state == worker.state).into());
            }
            self.put("fated_worker_repairs_total", &[label], worker.repairs);
            self.time("fated_worker_proof_age_seconds", label, worker.proof_age_ms, MS);
            self.time("fated_worker_latency_seconds", label, worker.latency_us, US);
        }
        for thread in &anycast.tcp_threads {
            let number = thread.thread.to_string();
            self.put("fated_tcp_repairs_total", &[("thread", number.as_str())], thread.repairs);
        }
    }
}
