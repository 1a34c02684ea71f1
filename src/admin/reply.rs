//! What the server says of itself, as JSON: stable names, units last.

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Every zone file with what is served of it.
    pub zones: Vec<Zone>,
    /// The last reload; `None` where there was none since the start.
    pub last_reload: Option<LastReload>,
    /// All counters, in the order in which the server keeps them.
    pub counters: Vec<Counter>,
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
