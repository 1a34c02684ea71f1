//! The rows of the table, what is measured in each, and the bounds that fated has to keep.

use std::fmt;

use clap::ValueEnum;

use super::contender::Contender;
use super::results::Results;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Row {
    /// 10,000 names, unsigned, UDP
    Small,
    /// 1,000,000 names, unsigned, UDP
    Million,
    /// 10,000 names, signed with NSEC, UDP, all queries with DO
    Nsec,
    /// 10,000 names, signed with NSEC3, UDP, all queries with DO
    Nsec3,
    /// 10,000 names, 20 connections with pipelined queries
    Tcp,
    /// 10,000 names, a connection for each query
    TcpNew,
    /// 1,000,000 names: start to the first answer, memory, memory during a reload
    Start,
    /// 100,000 zones of nine records: start to the first answer, memory, cost of a query
    Many,
    /// fated alone: cost of a query from 1,000 names on
    Flat,
    /// fated alone: a reload of 1,000,000 names while queries come
    Reload,
}

impl Row {
    /// All rows, in the order of the table.
    pub(crate) const ALL: [Self; 10] = [
        Self::Small,
        Self::Million,
        Self::Nsec,
        Self::Nsec3,
        Self::Tcp,
        Self::TcpNew,
        Self::Start,
        Self::Many,
        Self::Flat,
        Self::Reload,
    ];
    /// The rows of the small version.
    pub(crate) const QUICK: [Self; 3] = [Self::Small, Self::Nsec, Self::Tcp];

    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Million => "million",
            Self::Nsec => "nsec",
            Self::Nsec3 => "nsec3",
            Self::Tcp => "tcp",
            Self::TcpNew => "tcp-new",
            Self::Start => "start",
            Self::Many => "many",
            Self::Flat => "flat",
            Self::Reload => "reload",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    /// CPU time of the server in µs for each answer.
    Cpu,
    /// The same in a zone of so many names.
    CpuAt(usize),
    /// The same with all names in one zone.
    CpuInOneZone,
    /// Answers a second.
    PerSecond,
    /// Mean time to a reply in ms.
    Latency,
    /// Mean octets of a reply.
    ReplyBytes,
    /// Start to the first answer in s.
    Start,
    /// Resident memory after the first answer in MiB.
    Memory,
    /// The most that one process had until then, in MiB.
    Peak,
    /// The most during a reload, in MiB.
    ReloadPeak,
    /// Resident memory after a reload in MiB.
    ReloadMemory,
    /// Time of a reload in s.
    ReloadTime,
    /// Queries that were lost.
    Lost,
    /// The latency that 99 of 100 answers kept, in ms, without a reload.
    QuietP99,
    /// The same while a reload runs.
    ReloadP99,
}

impl What {
    /// What it says, with its unit, for people.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Cpu => "CPU, µs a query".into(),
            Self::CpuAt(names) => format!("CPU, µs a query, {names} names"),
            Self::CpuInOneZone => "CPU, µs a query, one zone".into(),
            Self::PerSecond => "answers a second".into(),
            Self::Latency => "mean latency, ms".into(),
            Self::ReplyBytes => "octets of a reply".into(),
            Self::Start => "first answer, s".into(),
            Self::Memory => "memory, MiB".into(),
            Self::Peak => "peak of a process, MiB".into(),
            Self::ReloadPeak => "peak in a reload, MiB".into(),
            Self::ReloadMemory => "memory after it, MiB".into(),
            Self::ReloadTime => "reload, s".into(),
            Self::Lost => "queries lost".into(),
            Self::QuietP99 => "p99 without, ms".into(),
            Self::ReloadP99 => "p99 in a reload, ms".into(),
        }
    }

    /// The word in JSON.
    pub(crate) fn key(self) -> String {
        let key = match self {
            Self::CpuAt(names) => return format!("cpu_us_{names}_names"),
            Self::Cpu => "cpu_us",
            Self::CpuInOneZone => "cpu_us_one_zone",
            Self::PerSecond => "answers_per_second",
            Self::Latency => "latency_mean_ms",
            Self::ReplyBytes => "reply_bytes_mean",
            Self::Start => "start_s",
            Self::Memory => "memory_mib",
            Self::Peak => "peak_mib",
            Self::ReloadPeak => "reload_peak_mib",
            Self::ReloadMemory => "reload_memory_mib",
            Self::ReloadTime => "reload_s",
            Self::Lost => "lost",
            Self::QuietP99 => "quiet_p99_ms",
            Self::ReloadP99 => "reload_p99_ms",
        };
        key.into()
    }

    /// Digits behind the point.
    pub(crate) fn digits(self) -> usize {
        match self {
            Self::PerSecond | Self::ReplyBytes | Self::Memory | Self::Peak | Self::Lost => 0,
            Self::ReloadPeak | Self::ReloadMemory => 0,
            Self::Cpu | Self::CpuAt(_) | Self::CpuInOneZone | Self::Start | Self::ReloadTime => 2,
            Self::Latency | Self::QuietP99 | Self::ReloadP99 => 2,
        }
    }

    /// Whether more is better.
    pub(crate) fn is_better_high(self) -> bool {
        self == Self::PerSecond
    }
}

/// What a figure of fated must not exceed, or for answers a second must reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// So many times the floor.
    Floor(f64),
    /// So many times the best of the peers.
    BestPeer(f64),
    /// The floor so many times, or the best peer so many times.
    FloorOrBestPeer(f64, f64),
    /// More than NSD.
    MoreThanNsd,
    /// A number.
    Number(f64),
    /// So many times another figure of fated in the same row.
    Own(What, f64),
    /// The dearest of all sizes at most so many times the cheapest.
    Spread(f64),
}

/// One bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// The row.
    pub(crate) row: Row,
    /// The figure.
    pub(crate) what: What,
    /// What it must keep.
    pub(crate) limit: Limit,
}

/// Shortens the lists below.
const fn bound(row: Row, what: What, limit: Limit) -> Bound {
    Bound { row, what, limit }
}

/// The bounds.
pub(crate) const BOUNDS: &[Bound] = &[
    bound(Row::Small, What::Cpu, Limit::Floor(1.08)),
    bound(Row::Small, What::PerSecond, Limit::MoreThanNsd),
    bound(Row::Million, What::Cpu, Limit::Floor(1.15)),
    bound(Row::Million, What::PerSecond, Limit::MoreThanNsd),
    bound(Row::Nsec, What::Cpu, Limit::Floor(1.20)),
    bound(Row::Nsec, What::PerSecond, Limit::MoreThanNsd),
    bound(Row::Nsec3, What::Cpu, Limit::Floor(1.30)),
    bound(Row::Nsec3, What::PerSecond, Limit::MoreThanNsd),
    bound(Row::Tcp, What::Cpu, Limit::FloorOrBestPeer(1.15, 0.6)),
    bound(Row::TcpNew, What::Cpu, Limit::BestPeer(1.0)),
    bound(Row::Start, What::Start, Limit::Number(2.5)),
    bound(Row::Start, What::Start, Limit::BestPeer(0.25)),
    bound(Row::Start, What::Memory, Limit::Number(300.0)),
    bound(Row::Start, What::Memory, Limit::BestPeer(0.6)),
    bound(Row::Start, What::ReloadPeak, Limit::Own(What::Memory, 2.3)),
    bound(Row::Start, What::ReloadMemory, Limit::Own(What::Memory, 1.05)),
    bound(Row::Many, What::Start, Limit::BestPeer(1.0)),
    bound(Row::Many, What::Cpu, Limit::Own(What::CpuInOneZone, 1.05)),
    bound(Row::Flat, What::CpuAt(SIZES[0]), Limit::Spread(1.34)),
    bound(Row::Reload, What::Lost, Limit::Number(0.0)),
    bound(Row::Reload, What::ReloadP99, Limit::Own(What::QuietP99, 2.0)),
];

/// The bounds of the small version, which runs beside other work on machines that differ: wide.
pub(crate) const BOUNDS_QUICK: &[Bound] = &[
    bound(Row::Small, What::Cpu, Limit::Floor(1.5)),
    bound(Row::Small, What::Cpu, Limit::BestPeer(1.1)),
    bound(Row::Nsec, What::Cpu, Limit::Floor(1.6)),
    bound(Row::Nsec, What::Cpu, Limit::BestPeer(1.1)),
    bound(Row::Tcp, What::Cpu, Limit::FloorOrBestPeer(1.5, 1.1)),
];

/// Names of the zones of [`Row::Flat`]; the last one with `--large` only.
pub(crate) const SIZES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// What became of a bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It holds; with what was found.
    Held(String),
    /// It does not; with what was found.
    Missed(String),
    /// What it needs was not measured; with what that is.
    Open(String),
}

impl Bound {
    /// What it asks for, for people.
    pub(crate) fn text(&self) -> String {
        match self.limit {
            Limit::Floor(times) => format!("≤ {times} × floor"),
            Limit::BestPeer(times) => format!("≤ {times} × best peer"),
            Limit::FloorOrBestPeer(floor, peer) => format!("≤ {floor} × floor or ≤ {peer} × best peer"),
            Limit::MoreThanNsd => "more than NSD".into(),
            Limit::Number(number) => format!("≤ {number}"),
            Limit::Own(what, times) => format!("≤ {times} × “{}”", what.label()),
            Limit::Spread(times) => format!("largest ≤ {times} × smallest"),
        }
    }

    /// Whether it holds.
    pub(crate) fn judge(&self, results: &Results) -> Verdict {
        let own = |what| results.median(self.row, what, Contender::Fated);
        let Some(ours) = own(self.what) else { return Verdict::Open("fated was not measured".into()) };
        let floor = results.median(self.row, self.what, Contender::Floor);
        let peer = results.best_peer(self.row, self.what).map(|(_, best)| best);
        let times = |other: Option<f64>, limit: f64, name: &str| match other {
            None => Verdict::Open(format!("{name} was not measured")),
            Some(other) => held(ours / other <= limit, format!("{:.2} × {name}", ours / other)),
        };
        match self.limit {
            Limit::Floor(limit) => times(floor, limit, "floor"),
            Limit::BestPeer(limit) => times(peer, limit, "best peer"),
            Limit::FloorOrBestPeer(first, second) => {
                match (times(floor, first, "floor"), times(peer, second, "best peer")) {
                    (Verdict::Missed(one), Verdict::Missed(other)) => Verdict::Missed(format!("{one}, {other}")),
                    (held @ Verdict::Held(_), _) | (_, held @ Verdict::Held(_)) => held,
                    (Verdict::Open(_), other) | (other, _) => other,
                }
            }
            Limit::MoreThanNsd => self.against_nsd(results, ours),
            Limit::Number(limit) => held(ours <= limit, format!("{ours:.*}", self.what.digits())),
            Limit::Own(what, limit) => times(own(what), limit, &what.label()),
            Limit::Spread(limit) => {
                let all: Vec<f64> = SIZES.iter().filter_map(|size| own(What::CpuAt(*size))).collect();
                let (least, most) = all.iter().fold((f64::MAX, 0.0_f64), |(l, m), v| (l.min(*v), m.max(*v)));
                held(most / least <= limit, format!("{:.2} ×", most / least))
            }
        }
    }

    /// More answers a second than NSD. Where the client was the limit, who needs less CPU time would give more.
    fn against_nsd(&self, results: &Results, ours: f64) -> Verdict {
        let Some(theirs) = results.median(self.row, self.what, Contender::Nsd) else {
            return Verdict::Open("NSD was not measured".into());
        };
        let text = format!("{:.2} × NSD", ours / theirs);
        if !results.is_limited(self.row, Contender::Fated) {
            return held(ours > theirs, text);
        }
        let cpu = |who| results.median(self.row, What::Cpu, who).unwrap_or(f64::MAX);
        let is_cheaper = cpu(Contender::Fated) < cpu(Contender::Nsd);
        held(is_cheaper, format!("{text} where the client was the limit"))
    }
}

/// A verdict.
fn held(is_held: bool, text: String) -> Verdict {
    if is_held { Verdict::Held(text) } else { Verdict::Missed(text) }
}
