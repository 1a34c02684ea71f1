//! The server's status for the control socket: what there is of it from the start on, and its counters.

use crate::admin::reply;
use crate::metrics::Sample;

/// The status of a server that serves nothing yet.
pub(super) fn empty(workers: usize, drained: bool) -> reply::Status {
    reply::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: 0,
        listen: Vec::new(),
        workers,
        zone_counts: reply::ZoneCounts::default(),
        zones: Vec::new(),
        catalogs: Vec::new(),
        ready: reply::Readiness::judge(reply::ZoneCounts::default(), drained, None),
        drained,
        anycast: None,
        companions: Vec::new(),
        secondaries: None,
        last_reload: None,
        certificate_s: None,
        control_plane: reply::ControlPlane::default(),
        counters: Vec::new(),
    }
}

/// One counter, with labels in the style of Prometheus.
pub(super) fn counter(sample: &Sample) -> reply::Counter {
    let labels: Vec<String> = sample.labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let name =
        if labels.is_empty() { sample.name.to_owned() } else { format!("{}{{{}}}", sample.name, labels.join(",")) };
    reply::Counter { name, value: sample.value }
}
