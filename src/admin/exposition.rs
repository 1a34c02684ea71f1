//! Metrics as text for Prometheus: every family with its name, type and meaning.
//!
//! [`FAMILIES`] is the one list; `docs/metrics.md` and what is printed are held to it by tests. The text is
//! OpenMetrics 1.0, which Prometheus reads since 2.5.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::metrics::Sample;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a family's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Always 1; its labels carry the information. Its name ends in `_info`.
    Info,
}

impl Kind {
    /// The kind in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Info => "info",
        }
    }
}

/// One family of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name as it is asked for, `_total` and `_info` included.
    pub name: &'static str,
    /// What its numbers are.
    pub kind: Kind,
    /// The labels, in order.
    pub labels: &'static [&'static str],
    /// What it means, without a full stop.
    pub help: &'static str,
}

/// One number of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The family's name.
    pub name: &'static str,
    /// What part of the family this is, in the order of the family's labels.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// The value.
    pub value: Value,
}

/// A number as it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// A measure.
    Real(f64),
}

impl From<Sample> for Reading {
    fn from(sample: Sample) -> Self {
        Self { name: sample.name, labels: sample.labels, value: Value::Whole(sample.value) }
    }
}

/// Writes all readings, family by family in the order of [`FAMILIES`]; what is not in the list stands behind, since a
/// number without a description is better than none.
#[must_use]
pub fn encode(readings: Vec<Reading>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Readings(readings)));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("a String takes everything");
    out
}

/// Readings on their way into text.
#[derive(Debug)]
struct Readings(Vec<Reading>);

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in FAMILIES {
            self.family(family, &mut encoder)?;
        }
        let mut unknown: Vec<&'static str> = self.0.iter().map(|reading| reading.name).collect();
        unknown.retain(|name| FAMILIES.iter().all(|family| family.name != *name));
        unknown.sort_unstable();
        unknown.dedup();
        for name in unknown {
            let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            self.family(&Family { name, kind, labels: &[], help: "Not described" }, &mut encoder)?;
        }
        Ok(())
    }
}

impl Readings {
    /// Writes one family, if there is a reading of it.
    fn family(&self, family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut readings = self.0.iter().filter(|reading| reading.name == family.name).peekable();
        if readings.peek().is_none() {
            return Ok(());
        }
        // OpenMetrics names the family without the suffix and its numbers with it; the encoder adds it.
        let (kind, name) = match family.kind {
            Kind::Counter => (MetricType::Counter, family.name.strip_suffix("_total").unwrap_or(family.name)),
            Kind::Info => (MetricType::Info, family.name.strip_suffix("_info").unwrap_or(family.name)),
            Kind::Gauge => (MetricType::Gauge, family.name),
        };
        let help = format!("{}.", family.help);
        let mut metric = encoder.encode_descriptor(name, &help, None, kind)?;
        for reading in readings {
            let labels = &reading.labels;
            match (family.kind, reading.value) {
                (Kind::Info, _) => metric.encode_info(labels)?,
                (Kind::Counter, Value::Whole(value)) => {
                    ConstCounter::new(value).encode(metric.encode_family(labels)?)?
                }
                (Kind::Counter, Value::Real(value)) => {
                    ConstCounter::new(value).encode(metric.encode_family(labels)?)?
                }
                (Kind::Gauge, Value::Whole(value)) => ConstGauge::new(value).encode(metric.encode_family(labels)?)?,
                (Kind::Gauge, Value::Real(value)) => ConstGauge::new(value).encode(metric.encode_family(labels)?)?,
            }
        }
        Ok(())
    }
}

/// Describes one family.
const fn family(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, labels, help }
}

/// Every family, in the order in which they are shown.
#[rustfmt::skip]
pub const FAMILIES: &[Family] = &[
    family("fated_build_info", Kind::Info, &["version"], "The version that runs"),
    family("fated_uptime_seconds", Kind::Gauge, &[], "How long the server has been serving"),
    family("fated_ready", Kind::Gauge, &[], "Whether /readyz says 200"),
    family("fated_drained", Kind::Gauge, &[], "Whether the operator has drained the server"),
    family("fated_workers", Kind::Gauge, &[], "UDP workers"),
    family("fated_zones", Kind::Gauge, &["state"],
        "Zone files by what is served of them: served, kept (broken, \
         the old zone is served) or refused (broken, answered with SERVFAIL)"),
    family("fated_catalog_members", Kind::Gauge, &["catalog"], "Members of the last good version of a catalog"),
    family("fated_catalog_refused", Kind::Gauge, &["catalog"],
        "Whether the last version of a catalog was refused, so that its members stay as they were"),
    family("fated_zone_serial", Kind::Gauge, &["zone"], "The serial that is served, of the first 1000 zones"),
    family("fated_secondary_zones", Kind::Gauge, &["state"],
        "Zones from primaries: current, late (not confirmed for longer than REFRESH and RETRY), expired or awaited \
         (none has come); absent where there are none"),
    family("fated_secondary_oldest_confirmation_seconds", Kind::Gauge, &[],
        "How long ago the zone was confirmed by a primary that was so longest ago; absent where none was"),
    family("fated_secondary_behind_serials_max", Kind::Gauge, &[],
        "How far the last zone is behind its primary, in serials"),
    family("fated_last_reload_success", Kind::Gauge, &[],
        "Whether the last reload found every file good; absent before the first"),
    family("fated_last_reload_age_seconds", Kind::Gauge, &[],
        "How long ago the last reload ended; absent before the first"),
    family("fated_control_plane_stalls_total", Kind::Counter, &[],
        "How often the control plane, which prints this, hung for more than 5 s"),
    family("fated_control_plane_stalled_seconds_total", Kind::Counter, &[],
        "How long it hung in all; a hang counts when it is over"),
    family("fated_queries_total", Kind::Counter, &["transport"], "Messages that came, well-formed or not"),
    family("fated_replies_total", Kind::Counter, &["transport", "rcode"], "Replies by response code"),
    family("fated_replies_by_qtype_total", Kind::Counter, &["transport", "qtype"],
        "Replies by the type that was asked for"),
    family("fated_drops_total", Kind::Counter, &["transport"],
        "Messages that are not answered: too short, responses, or without a port or an address of a host to answer to"),
    family("fated_truncated_total", Kind::Counter, &["transport"], "Replies with TC"),
    family("fated_panics_total", Kind::Counter, &["transport"],
        "Panics that were caught while answering; each is a fault of fated, please report it"),
    family("fated_octets_in_total", Kind::Counter, &["transport"], "Octets of the messages that came"),
    family("fated_octets_out_total", Kind::Counter, &["transport"], "Octets of the replies that were sent"),
    family("fated_transfers_total", Kind::Counter, &["transport", "kind"],
        "Requests for zones by what was sent: the whole zone, changes, the current SOA alone, or a refusal"),
    family("fated_notify_sent_total", Kind::Counter, &[],
        "Notifications of changes that were sent, each repetition counted"),
    family("fated_notify_acknowledged_total", Kind::Counter, &[], "Notifications that were acknowledged"),
    family("fated_notify_refused_total", Kind::Counter, &[], "Notifications that a server refused"),
    family("fated_notify_given_up_total", Kind::Counter, &[],
        "Notifications that were not answered, however often they were sent"),
    family("fated_notify_dropped_total", Kind::Counter, &[],
        "Notifications that were not sent, since too many waited"),
    family("fated_udp_batches_total", Kind::Counter, &[], "Batches of datagrams that were received"),
    family("fated_udp_port_zero_total", Kind::Counter, &[], "Datagrams from port 0, which nobody could answer"),
    family("fated_udp_forged_total", Kind::Counter, &[],
        "Datagrams that come from where probes come from and are none; they are not answered"),
    family("fated_udp_oversized_total", Kind::Counter, &[], "Datagrams that were longer than the receive buffer"),
    family("fated_udp_send_refused_total", Kind::Counter, &[], "Replies that the kernel refused to send"),
    family("fated_udp_send_stalled_total", Kind::Counter, &[],
        "Replies that were given up because the socket was full"),
    family("fated_udp_receive_errors_total", Kind::Counter, &[], "Receive or wait calls that failed"),
    family("fated_tcp_connections_open", Kind::Gauge, &[], "TCP connections that are open"),
    family("fated_tcp_connections_total", Kind::Counter, &[], "TCP connections that were accepted and served"),
    family("fated_tcp_evicted_total", Kind::Counter, &[], "TCP connections closed to make room for new ones"),
    family("fated_tcp_refused_total", Kind::Counter, &[],
        "TCP connections closed at once because no room could be made"),
    family("fated_tcp_idle_timeouts_total", Kind::Counter, &[], "TCP connections closed because nothing came"),
    family("fated_tcp_read_timeouts_total", Kind::Counter, &[],
        "TCP connections closed because a message was begun and not finished in time"),
    family("fated_tcp_write_timeouts_total", Kind::Counter, &[],
        "TCP connections closed because the client did not take its replies in time"),
    family("fated_tcp_malformed_total", Kind::Counter, &[],
        "TCP connections closed because a message was too short to be one"),
    family("fated_tcp_broken_total", Kind::Counter, &[],
        "TCP connections that broke: reset by the client, or an error of the system"),
    family("fated_tcp_accept_errors_total", Kind::Counter, &[], "Accept calls that failed"),
    family("fated_tcp_repairs_total", Kind::Counter, &["thread"], "How often a TCP thread was replaced since it hung"),
    family("fated_tls_connections_open", Kind::Gauge, &[],
        "TLS connections that are open, in the handshake or past it"),
    family("fated_tls_connections_total", Kind::Counter, &[], "TLS connections that were accepted"),
    family("fated_tls_handshakes_total", Kind::Counter, &["version", "kind"],
        "Handshakes that led to a session: TLS 1.2 or 1.3, full or resumed"),
    family("fated_tls_handshakes_failed_total", Kind::Counter, &["cause"],
        "Handshakes that led to none: what came is no TLS (not-tls), no version or algorithm in common \
         (incompatible), other protocols than dot (alpn), a client's certificate that can't be read or \
         whose key is another (certificate), the client refused (alert), closed the connection (closed) or \
         took too long (timeout), or anything else (other)"),
    family("fated_tls_evicted_total", Kind::Counter, &[], "TLS connections closed to make room for new ones"),
    family("fated_tls_refused_total", Kind::Counter, &[],
        "TLS connections closed at once because no room could be made"),
    family("fated_tls_idle_timeouts_total", Kind::Counter, &[], "TLS connections closed because nothing came"),
    family("fated_tls_read_timeouts_total", Kind::Counter, &[],
        "TLS connections closed because a message was begun and not finished in time"),
    family("fated_tls_write_timeouts_total", Kind::Counter, &[],
        "TLS connections closed because the client did not take its replies in time"),
    family("fated_tls_malformed_total", Kind::Counter, &[],
        "TLS connections closed because a message was too short to be one"),
    family("fated_tls_broken_total", Kind::Counter, &[],
        "TLS connections that broke after the handshake: reset by the client, damaged records, or an error \
         of the system"),
    family("fated_tls_accept_errors_total", Kind::Counter, &[], "Accept calls that failed"),
    family("fated_worker_batches_total", Kind::Counter, &["worker"],
        "Batches that a UDP worker received: its progress"),
    family("fated_worker_queries_total", Kind::Counter, &["worker"], "Messages that came to a UDP worker"),
    family("fated_worker_state", Kind::Gauge, &["worker", "state"],
        "1 for how a worker did in the last round of canaries, 0 for every other state"),
    family("fated_worker_proof_age_seconds", Kind::Gauge, &["worker"],
        "How long ago a worker last answered a canary right; absent before the first time"),
    family("fated_worker_latency_seconds", Kind::Gauge, &["worker"],
        "How long a worker's last right answer to a canary took"),
    family("fated_worker_repairs_total", Kind::Counter, &["worker"], "How often a worker's thread was replaced"),
    family("fated_anycast_workers_min", Kind::Gauge, &[], "So many workers must answer"),
    family("fated_anycast_stance", Kind::Gauge, &["address", "stance"],
        "1 for what is to be done about an address, 0 for every other stance"),
    family("fated_anycast_path", Kind::Gauge, &["address", "state"],
        "1 for how the path does that probes share with clients: unknown, trusted, lossy or silent; \
         0 for every other state"),
    family("fated_anycast_stance_age_seconds", Kind::Gauge, &["address"], "How long the stance has been what it is"),
    family("fated_anycast_announced", Kind::Gauge, &["address"],
        "Whether the kernel has the address on its device, as last read back"),
    family("fated_anycast_announcements_total", Kind::Counter, &["address"], "How often an address was announced"),
    family("fated_anycast_withdrawals_total", Kind::Counter, &["address"], "How often an address was withdrawn"),
    family("fated_anycast_lease_age_seconds", Kind::Gauge, &["address"],
        "How long ago the lease was renewed; absent where there is none"),
    family("fated_anycast_proof_age_seconds", Kind::Gauge, &["address"],
        "How long ago enough workers answered over an address; absent before the first time"),
    family("fated_anycast_zone_faults", Kind::Gauge, &[],
        "Zones that the canaries find answered otherwise than they should be"),
    family("fated_anycast_dropped_total", Kind::Counter, &["address"],
        "Queries that the kernel dropped because a worker's socket was full"),
    family("fated_companion_stance", Kind::Gauge, &["companion", "address", "stance"],
        "1 for what is to be done about an address of another service, 0 for every other stance"),
    family("fated_companion_announced", Kind::Gauge, &["companion", "address"], "Whether it is announced"),
    family("fated_companion_announcements_total", Kind::Counter, &["companion", "address"],
        "How often it came to be announced"),
    family("fated_companion_withdrawals_total", Kind::Counter, &["companion", "address"],
        "How often it was withdrawn"),
    family("fated_companion_proof_age_seconds", Kind::Gauge, &["companion", "address"],
        "How long ago the last probe was sent that was answered right"),
    family("fated_bgp_established", Kind::Gauge, &["neighbor"], "Whether the BGP session with a router is established"),
    family("fated_bgp_sessions_total", Kind::Counter, &["neighbor"], "How often it came to that"),
    family("fated_bgp_state_age_seconds", Kind::Gauge, &["neighbor"], "How long the session has been in its state"),
    family("fated_bgp_prefixes", Kind::Gauge, &["neighbor", "direction"],
        "Prefixes that a router was told (sent), and that it tells us (received)"),
    family("fated_bgp_messages_total", Kind::Counter, &["neighbor", "direction", "type"], "BGP messages by type"),
    family("fated_bgp_withheld_total", Kind::Counter, &["neighbor"],
        "BGP messages that were due and not sent because no proof was young enough"),
    family("fated_bfd_up", Kind::Gauge, &["neighbor"], "Whether BFD sees a router; absent without BFD"),
    family("fated_bfd_packets_total", Kind::Counter, &["neighbor", "outcome"],
        "BFD packets that were sent, withheld for want of a proof, not sent by the kernel \
         (failed), received, and refused"),
    family("fated_prover_realtime", Kind::Gauge, &[], "Whether the prover has a real-time class"),
    family("fated_prover_rounds_total", Kind::Counter, &[], "Rounds of canaries"),
    family("fated_prover_gaps_total", Kind::Counter, &[],
        "Rounds that the prover judged nothing from, because it came too late to its own CPU"),
    family("fated_prover_missing_total", Kind::Counter, &[], "Canaries that were not answered in time"),
    family("fated_prover_detoured_total", Kind::Counter, &[],
        "Canaries that were answered only around the path that clients take"),
    family("fated_prover_starved_total", Kind::Counter, &[],
        "Canaries that were not answered in time because the worker waited for a CPU"),
    family("fated_prover_wrong_total", Kind::Counter, &[], "Canaries that were answered wrong"),
    family("fated_prover_repairs_failed_total", Kind::Counter, &[],
        "Replacements of workers' and TCP threads that failed"),
    family("fated_route_removed_total", Kind::Counter, &["what"],
        "What somebody else took away and was put back: address, route, or link (a device set down)"),
    family("fated_route_leases_lapsed_total", Kind::Counter, &[],
        "Leases that ran out because nothing proved the address"),
    family("fated_route_renewals_refused_total", Kind::Counter, &[],
        "Times that a lease was not renewed because no proof was young enough"),
    family("fated_route_requests_failed_total", Kind::Counter, &[], "Requests that the kernel refused"),
    family("fated_route_packets_dropped_total", Kind::Counter, &[],
        "Packets that came in over the announcing device and were dropped"),
];

#[cfg(test)]
mod tests;
