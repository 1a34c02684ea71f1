//! What the server says of itself, as JSON: stable names, units last.

mod anycast;
mod bgp;
mod catalog;
mod secondary;

use serde::{Deserialize, Serialize};

pub use crate::policy::Stance;
pub use anycast::{
    Address, Anycast, Companion, PathStatus, Prover, Route, StanceChange, Step, TcpThread, ThreadState, Worker,
    WorkerStatus, ZoneFaultStatus,
};
pub use bgp::{Beat, Fault, Messages, Neighbor, OtherRoute};
pub use catalog::Catalog;
pub use secondary::{Parent, ParentState, Secondary};

/// Every reply: either a result or an error.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Whether the request was carried out.
    pub ok: bool,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none", default = "Option::default")]
    pub result: Option<T>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

impl<T> From<Result<T, String>> for Envelope<T> {
    fn from(result: Result<T, String>) -> Self {
        match result {
            Ok(result) => Self { ok: true, result: Some(result), error: None },
            Err(error) => Self { ok: false, result: None, error: Some(error) },
        }
    }
}

/// The reply to `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long it has been serving.
    pub uptime_s: u64,
    /// The addresses with their ports.
    pub listen: Vec<String>,
    /// UDP workers.
    pub workers: usize,
    /// How many zones are served, and how many can't be.
    pub zone_counts: ZoneCounts,
    /// Zone files with what is served of them, in order: all where there are at most [`ZONES_MAX`], else broken ones
    /// before others. `zones` has all.
    pub zones: Vec<Zone>,
    /// The catalogs whose members are served, in the order of the configuration.
    #[serde(default)]
    pub catalogs: Vec<Catalog>,
    /// Whether the server is ready for queries.
    pub ready: Readiness,
    /// Whether the operator has drained the server.
    pub drained: bool,
    /// The anycast addresses; `None` where there are none.
    pub anycast: Option<Anycast>,
    /// Other services of this host, in the order of the configuration.
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// How the zones are that come from primaries; `None` where there are none.
    #[serde(default)]
    pub secondaries: Option<Secondaries>,
    /// The last reload; `None` where there was none since the start.
    pub last_reload: Option<LastReload>,
    /// For how many seconds our certificate holds; `None` where no TLS is spoken.
    #[serde(default)]
    pub certificate_s: Option<i64>,
    /// Whether the control plane had its turn.
    pub control_plane: ControlPlane,
    /// All counters, in the order in which the server keeps them.
    pub counters: Vec<Counter>,
}

/// How often the control plane hung, which is who replies to this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPlane {
    /// How often it had no turn for more than five seconds.
    pub stalls: u64,
    /// How long these took in all.
    pub stalled_ms: u64,
}

/// The most zones that `status` shows one by one.
pub const ZONES_MAX: usize = 100;
/// The most zones of a [`ZonePage`].
pub const PAGE_ZONES_MAX: usize = 500;

/// The reply to `zones`: some of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonePage {
    /// How many there are in all.
    pub all: usize,
    /// How many stand before the first.
    pub from: usize,
    /// At most [`PAGE_ZONES_MAX`] of them.
    pub zones: Vec<Zone>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<usize>,
}

/// One zone file with what is served of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The zone's name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Whether it is served, and from which state of the file.
    pub state: State,
    /// The serial that is served.
    pub serial: Option<u32>,
    /// Records that are served.
    pub records: usize,
    /// Names that are served.
    pub names: usize,
    /// Whether the zone is signed.
    pub signed: bool,
    /// How long ago what is served was read.
    pub age_s: Option<u64>,
    /// Errors of the last reading.
    pub errors: usize,
    /// Warnings of the last reading.
    pub warnings: usize,
    /// Faults of the last reading as people read them; cut where they are very long.
    pub faults: String,
}

/// What is served of a zone file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The file as it was at the last reload.
    Served,
    /// An older state: the file has errors now.
    Kept,
    /// Nothing: the file never was good.
    Refused,
    /// Nothing: no version has come from a primary yet.
    Awaited,
    /// Nothing: no primary has confirmed the last version in time.
    Expired,
}

/// How the zones are that come from primaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secondaries {
    /// Zones of which no version has come.
    pub awaited: usize,
    /// Those that a primary has confirmed in time.
    pub current: usize,
    /// Those that none has for longer than REFRESH and RETRY together.
    pub late: usize,
    /// Those that none has for longer than EXPIRE.
    pub expired: usize,
    /// How long ago the zone was confirmed that was so longest ago; `None` where none was.
    pub oldest_s: Option<u64>,
    /// How far the last zone is behind its primary, in serials.
    pub behind_max: u32,
}

impl Secondaries {
    /// The counts with their words.
    pub fn counts(&self) -> [(&'static str, usize); 4] {
        [("current", self.current), ("late", self.late), ("expired", self.expired), ("awaited", self.awaited)]
    }

    /// All of it in one line.
    pub fn line(&self) -> String {
        let mut line = String::from("from primaries:");
        for (at, (word, count)) in
            self.counts().into_iter().enumerate().filter(|(at, (_, count))| *at == 0 || *count > 0)
        {
            line.push_str(&format!("{} {count} {word}", if at == 0 { "" } else { "," }));
        }
        if let Some(oldest) = self.oldest_s {
            line.push_str(&format!("; the oldest confirmed {oldest} s ago"));
        }
        if self.behind_max > 0 {
            line.push_str(&format!("; up to {} serials behind", self.behind_max));
        }
        line
    }
}

/// Who is being told which version of a zone is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The zone's name.
    pub name: String,
    /// The serial of the version.
    pub serial: u32,
    /// The servers.
    pub servers: Vec<String>,
}

/// A zone as a zone file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// One full record a line, in canonical order.
    pub text: String,
}

/// Whether the server is ready for queries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether it is.
    pub is_ready: bool,
    /// Why not; else what it is ready with.
    pub reason: String,
}

/// How many zone files there are, by what is served of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneCounts {
    /// Those of which something is served.
    pub served: usize,
    /// Those among them that are broken, so that an older state is served.
    pub kept: usize,
    /// Those that are broken and answered with SERVFAIL.
    pub refused: usize,
}

impl Readiness {
    /// Judges: a server is ready when it serves a zone, is not drained and, where it has anycast addresses, announces
    /// at least one of them or would as soon as the kernel has done it. A zone that can't be served is named, and is no
    /// reason to send the queries for all others elsewhere.
    #[must_use]
    pub fn judge(zones: ZoneCounts, is_drained: bool, anycast: Option<&Anycast>) -> Self {
        let not = |reason: String| Self { is_ready: false, reason };
        let broken = match zones.refused {
            0 => String::new(),
            count => format!("; BROKEN, answered with SERVFAIL: {count}"),
        };
        if is_drained {
            return not("drained by the operator; `fated resume` ends that".to_owned());
        }
        if zones.served == 0 {
            return not(format!("no zone is served{broken}"));
        }
        let Some(anycast) = anycast else {
            return Self { is_ready: true, reason: format!("zones: {}{broken}", zones.served) };
        };
        let is_up = |address: &&Address| address.announced || address.stance != Stance::Withdraw;
        let (up, down): (Vec<&Address>, Vec<&Address>) = anycast.addresses.iter().partition(is_up);
        let mut parts: Vec<String> = Vec::new();
        parts.extend(up.iter().map(|address| {
            let path = if address.path.is_fault() { " (path fault)" } else { "" };
            format!("{}: {}{path}", address.address, address.stance.word())
        }));
        parts.extend(down.iter().map(|address| format!("{} is withdrawn: {}", address.address, address.reason)));
        Self { is_ready: !up.is_empty(), reason: parts.join("; ") + &broken }
    }
}

/// The reply to `drain` and `resume`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Whether the server is drained now.
    pub drained: bool,
    /// Whether it was before.
    pub before: bool,
    /// Whether this outlives a restart.
    pub persists: bool,
    /// What the operator should know besides.
    pub notes: Vec<String>,
}

/// When the last reload was and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// How long ago it ended.
    pub age_s: u64,
    /// How long it took.
    pub took_ms: u64,
    /// What came of it; an error where nothing was looked at.
    pub outcome: Result<Reload, String>,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Its name, labels included.
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// The reply to `reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Zones served for the first time.
    pub added: usize,
    /// Zones read again.
    pub changed: usize,
    /// Zones whose files are what they were.
    pub unchanged: usize,
    /// Zones that are gone.
    pub removed: usize,
    /// Zones whose files have errors and whose old state is served on.
    pub kept: usize,
    /// Zone files with errors of which nothing is served.
    pub refused: usize,
    /// The zones that are not just unchanged; of very many only the first, broken ones before others.
    pub zones: Vec<Change>,
    /// What the operator should know besides, such as settings that need a restart.
    pub notes: Vec<String>,
}

impl Reload {
    /// The same as status shows it: without zones, which were in the reply to the reload itself.
    #[must_use]
    pub fn in_short(&self) -> Self {
        Self { zones: Vec::new(), notes: self.notes.clone(), ..*self }
    }
}

/// What happened to one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The zone's name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// What happened: `added`, `changed`, `removed`, `kept` or `refused`.
    pub change: String,
    /// The serial that is served now, or was last.
    pub serial: Option<u32>,
    /// Faults of the file as people read them; cut where they are very long.
    pub faults: String,
}

/// The reply to `stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// The process that is about to end.
    pub pid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(announced: bool, stance: Stance) -> Address {
        let reason = "port 53 is blocked".to_owned();
        Address { address: "192.0.2.53".to_owned(), announced, stance, reason, ..Address::default() }
    }

    #[test]
    fn ready_is_who_serves_zones_is_not_drained_and_has_an_address_up() {
        let anycast = |addresses: Vec<Address>| Anycast { addresses, ..Anycast::default() };
        let (up, down) =
            (anycast(vec![address(true, Stance::Announce)]), anycast(vec![address(false, Stance::Withdraw)]));
        let coming = anycast(vec![address(false, Stance::Degrade)]);
        let leaving = anycast(vec![address(true, Stance::Withdraw)]);
        let half = anycast(vec![address(true, Stance::Announce), address(false, Stance::Withdraw)]);
        for (zones, is_drained, anycast, is_ready, part) in [
            (1, false, None, true, "zones: 1"),
            (0, false, None, false, "no zone is served"),
            (1, true, None, false, "drained"),
            (1, false, Some(&up), true, "announce"),
            (1, false, Some(&coming), true, "degrade"),
            (1, false, Some(&leaving), true, "withdraw"),
            (1, false, Some(&half), true, "192.0.2.53 is withdrawn: port 53 is blocked"),
            (1, false, Some(&down), false, "192.0.2.53 is withdrawn: port 53 is blocked"),
            (0, false, Some(&up), false, "no zone is served"),
            (1, true, Some(&up), false, "drained"),
        ] {
            let readiness =
                Readiness::judge(ZoneCounts { served: zones, ..ZoneCounts::default() }, is_drained, anycast);
            assert_eq!(readiness.is_ready, is_ready, "{readiness:?}");
            assert!(readiness.reason.contains(part), "{readiness:?}");
        }
    }

    #[test]
    fn zones_that_cannot_be_served_are_counted_and_keep_nobody_from_the_others() {
        let up = Anycast { addresses: vec![address(true, Stance::Announce)], ..Anycast::default() };
        for (served, anycast, is_ready) in
            [(3, None, true), (3, Some(&up), true), (0, None, false), (0, Some(&up), false)]
        {
            let readiness = Readiness::judge(ZoneCounts { served, kept: 1, refused: 2 }, false, anycast);
            assert_eq!(readiness.is_ready, is_ready, "{readiness:?}");
            assert!(readiness.reason.ends_with("BROKEN, answered with SERVFAIL: 2"), "{readiness:?}");
        }
    }

    #[test]
    fn words_are_those_of_json() {
        let quoted = |word: &str| format!("\"{word}\"");
        for stance in Stance::ALL {
            assert_eq!(serde_json::to_string(&stance).expect("JSON"), quoted(stance.word()));
        }
        for state in WorkerStatus::ALL {
            assert_eq!(serde_json::to_string(&state).expect("JSON"), quoted(state.word()));
        }
    }
}
