//! What the server says of a catalog whose members it serves.

use serde::{Deserialize, Serialize};

/// One catalog whose members are served (RFC 9432).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Its name.
    pub name: String,
    /// Members of its last good version.
    pub members: usize,
    /// Those among them that are zones here because of it; others are configured by themselves, or belong to another.
    pub served: usize,
    /// Why its last version was refused, if it was.
    pub refusal: Option<String>,
}
