//! What is known of one zone: its transfers, where it has primaries, and what its parent was told.

use serde::{Deserialize, Serialize};

/// How the transfers of a zone are that comes from primaries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secondary {
    /// The zone's name.
    pub name: String,
    /// The serial of the last version here.
    pub serial: Option<u32>,
    /// The primary that is asked first.
    pub primary: Option<String>,
    /// Whether primaries are being asked, or wait for their turn.
    pub asking: bool,
    /// Records that have come of a transfer under way.
    pub records: u64,
    /// Octets that have come of it.
    pub octets: u64,
    /// Whether what came is being judged by `verify`.
    #[serde(default)]
    pub verifying: bool,
    /// How long ago a primary last said what is current.
    pub checked_s: Option<u64>,
    /// In how long primaries are asked next.
    pub next_s: Option<u64>,
    /// In how long the zone expires.
    pub expires_s: Option<u64>,
    /// Whether it has expired.
    pub expired: bool,
    /// Whether no primary has confirmed it for longer than REFRESH and RETRY together.
    #[serde(default)]
    pub late: bool,
    /// How far its serial is behind the last that a primary had.
    #[serde(default)]
    pub behind: u32,
    /// Failures in a row.
    pub failures: u32,
    /// What was wrong with the last attempt.
    pub trouble: Option<String>,
    /// The file that the zone comes from, where it does not come from primaries.
    #[serde(default)]
    pub file: Option<String>,
    /// The catalog that says that the zone is served.
    #[serde(default)]
    pub catalog: Option<String>,
    /// What became of telling its parent of CDS and CSYNC, where that was to be done.
    #[serde(default)]
    pub parent: Vec<Parent>,
}

/// What became of telling a zone's parent that records have changed (RFC 9859).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Their type.
    pub rtype: String,
    /// What became of it.
    pub state: ParentState,
    /// For how long that has been so.
    pub since_s: u64,
    /// Who knows: host and port, and the address.
    pub endpoint: Option<String>,
    /// Why nobody knows.
    pub trouble: Option<String>,
}

/// How far it is with telling a zone's parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParentState {
    /// It is under way.
    Due,
    /// The parent has no DSYNC records that ask for it.
    Nobody,
    /// The parent knows.
    Told,
    /// It failed.
    Failed,
}
