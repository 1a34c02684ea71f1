//! What the server says of its anycast addresses, of what proves them, and of who is told.

use serde::{Deserialize, Serialize};

use super::{Neighbor, Stance};

/// The anycast addresses, the proof that they are answered, and what was done about them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Anycast {
    /// The device that carries the addresses.
    pub interface: String,
    /// Whether nothing is announced, only logged.
    pub dry_run: bool,
    /// So many workers must answer.
    pub workers_min: usize,
    /// How long the kernel keeps an address that nobody renews; `None` for ever.
    pub lease_s: Option<u64>,
    /// The service addresses, in the order of the configuration.
    pub addresses: Vec<Address>,
    /// The workers, by number.
    pub workers: Vec<Worker>,
    /// The threads that serve TCP, by number.
    pub tcp_threads: Vec<TcpThread>,
    /// Zones that are not answered as they should be.
    pub zone_faults: Vec<ZoneFaultStatus>,
    /// What the prover saw since the start.
    pub prover: Prover,
    /// What happened to addresses, routes and devices since the start.
    pub route: Route,
    /// The routers that are told over BGP, in the order of the configuration.
    #[serde(default)]
    pub neighbors: Vec<Neighbor>,
    /// The last changes of stance, the newest first; at most
    /// [`TRANSITIONS_MAX`](crate::admin::history::TRANSITIONS_MAX).
    pub transitions: Vec<StanceChange>,
}

/// Another service of this host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Companion {
    /// What it is called.
    pub name: String,
    /// What proves that it lives, in a word.
    pub probe: String,
    /// The device that carries its addresses.
    pub interface: String,
    /// Its service addresses, in the order of the configuration.
    pub addresses: Vec<Address>,
    /// What was wrong with the last probes that were not answered.
    pub faults: Vec<String>,
    /// What happened to addresses, routes and devices since the start.
    pub route: Route,
    /// The last changes of stance, the newest first.
    pub transitions: Vec<StanceChange>,
}

/// One service address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: String,
    /// What is announced for it: itself, or a covering prefix.
    pub prefix: String,
    /// What is to be done.
    pub stance: Stance,
    /// Why.
    pub reason: String,
    /// How long the stance has been that.
    pub since_s: u64,
    /// Whether it is announced: the kernel has it on the device, as it was last read back, or a router was told.
    pub announced: bool,
    /// How long ago the lease was renewed; `None` where there is none or it never was.
    pub lease_age_ms: Option<u64>,
    /// How long ago enough workers answered over this address; `None` before the first time.
    pub proof_age_ms: Option<u64>,
    /// How often it was announced.
    pub announcements: u64,
    /// How often it was withdrawn.
    pub withdrawals: u64,
    /// Queries to it that the kernel dropped because a worker's socket was full.
    pub dropped: u64,
    /// How the path does that probes to it take, and that is to be that of clients.
    pub path: PathStatus,
}

/// What the prover saw since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prover {
    /// Whether it has a real-time class.
    pub realtime: bool,
    /// Rounds of canaries.
    pub rounds: u64,
    /// Rounds that it judged nothing from, because it came too late to its own CPU.
    pub gaps: u64,
    /// Canaries that were not answered in time.
    pub missing: u64,
    /// Canaries that were answered only around the path that clients take.
    pub detoured: u64,
    /// Those of the missing whose worker waited for a CPU.
    pub starved: u64,
    /// Canaries that were answered wrong.
    pub wrong: u64,
    /// Replacements of workers' and TCP threads that failed.
    pub repairs_failed: u64,
}

/// What happened to addresses, routes and devices since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Addresses that somebody else removed.
    pub addresses_removed: u64,
    /// Routes that somebody else removed.
    pub routes_removed: u64,
    /// Times that somebody else set a device of ours down.
    pub links_downed: u64,
    /// Leases that ran out because nothing proved the address.
    pub leases_lapsed: u64,
    /// Times that a lease was not renewed because no proof was young enough.
    pub renewals_refused: u64,
    /// Requests that the kernel refused.
    pub requests_failed: u64,
    /// Packets that came in over the announcing device and were dropped.
    pub packets_dropped: u64,
}

/// How the path that probes take does, as far as it is to be that of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathStatus {
    /// There was no round yet.
    #[default]
    Unknown,
    /// Probes come through.
    Trusted,
    /// Some come through, and some only around it.
    Lossy,
    /// None comes through, though workers answer.
    Silent,
}

impl PathStatus {
    /// Every state, from best to worst.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Trusted, Self::Lossy, Self::Silent];

    /// The state in one word, as JSON has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Trusted => "trusted",
            Self::Lossy => "lossy",
            Self::Silent => "silent",
        }
    }

    /// Whether the path fails.
    #[must_use]
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Lossy | Self::Silent)
    }
}

/// One UDP worker as the prover sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Its number.
    pub worker: usize,
    /// How it did in the last round.
    pub state: WorkerStatus,
    /// How long ago it last proved itself; `None` where it never did.
    pub proof_age_ms: Option<u64>,
    /// How long its last right answer took; `None` where there was none.
    pub latency_us: Option<u64>,
    /// How often its thread was replaced.
    pub repairs: u64,
}

/// How a worker did in the last round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerStatus {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answered right and in time.
    Proven,
    /// It waited for a CPU.
    Starved,
    /// It did not answer in time.
    Late,
    /// It answered, but not what is right.
    Wrong,
    /// It is given up: its thread hangs and can't be replaced any more.
    Lost,
}

impl WorkerStatus {
    /// Every state, from best to worst.
    pub const ALL: [Self; 6] = [Self::Unknown, Self::Proven, Self::Starved, Self::Late, Self::Wrong, Self::Lost];

    /// The state in one word, as JSON has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Proven => "proven",
            Self::Starved => "starved",
            Self::Late => "late",
            Self::Wrong => "wrong",
            Self::Lost => "lost",
        }
    }
}

/// One TCP thread as the prover sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpThread {
    /// Its number.
    pub thread: usize,
    /// How it did when it was last looked at.
    pub state: ThreadState,
    /// How often it was replaced.
    pub repairs: u64,
}

/// How a TCP thread did when it was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThreadState {
    /// Not looked at yet.
    #[default]
    Unknown,
    /// It moved when it was woken.
    Moving,
    /// It waited for a CPU.
    Starved,
    /// It did not move.
    Late,
    /// It is given up: it hangs and can't be replaced any more.
    Lost,
}

impl ThreadState {
    /// The state in one word, as JSON has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Moving => "moving",
            Self::Starved => "starved",
            Self::Late => "late",
            Self::Lost => "lost",
        }
    }
}

/// A zone that is not answered as it should be. It is that zone's fault and withdraws nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneFaultStatus {
    /// The zone's name.
    pub zone: String,
    /// What is wrong.
    pub fault: String,
    /// For how long.
    pub since_s: u64,
}

/// One change of stance with what followed from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StanceChange {
    /// How long ago.
    pub age_ms: u64,
    /// The service address.
    pub address: String,
    /// The stance before.
    pub from: Stance,
    /// The stance after.
    pub to: Stance,
    /// Why.
    pub cause: String,
    /// What was done, in order.
    pub steps: Vec<Step>,
}

/// One thing that was done after a change of stance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What.
    pub what: String,
    /// How long it took.
    pub took_us: u64,
}
