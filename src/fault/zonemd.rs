//! What can be wrong with the ZONEMD records of a zone (RFC 8976 §4).

use super::Severity;
use crate::wire::Name;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZonemdFault {
    /// There is none, and one is required.
    #[error("ZONEMD is required, but {apex} has none")]
    Missing {
        /// The zone's name.
        apex: Name,
    },
    /// One is of another version of the zone.
    #[error("ZONEMD is of the serial {found}, but the SOA has {serial}")]
    Serial {
        /// The serial in the ZONEMD.
        found: u32,
        /// The serial of the SOA.
        serial: u32,
    },
    /// Several are of one scheme and one hash algorithm, so that none of them counts (RFC 8976 §2.2.3).
    #[error("ZONEMD with scheme {scheme} and hash algorithm {hash} is there more than once")]
    Repeated {
        /// The scheme.
        scheme: u8,
        /// The hash algorithm.
        hash: u8,
    },
    /// A digest is not that of the zone.
    #[error("ZONEMD has another digest (hash algorithm {hash}) than the records of the zone")]
    Digest {
        /// The hash algorithm.
        hash: u8,
    },
    /// One has a scheme or a hash algorithm that is not known.
    #[error("ZONEMD with scheme {scheme} and hash algorithm {hash} can't be verified")]
    Unknown {
        /// The scheme.
        scheme: u8,
        /// The hash algorithm.
        hash: u8,
    },
    /// None can be verified, and one is required.
    #[error("ZONEMD is required, but none of {apex} can be verified")]
    Unverified {
        /// The zone's name.
        apex: Name,
    },
}

impl ZonemdFault {
    /// Severity and code, one row a kind.
    pub(super) fn row(&self) -> (Severity, &'static str) {
        use Severity::{Error, Warning};
        match self {
            Self::Missing { .. } => (Error, "zonemd-missing"),
            Self::Serial { .. } => (Error, "zonemd-serial"),
            Self::Repeated { .. } => (Error, "zonemd-repeated"),
            Self::Digest { .. } => (Error, "zonemd-digest"),
            Self::Unknown { .. } => (Warning, "zonemd-unknown"),
            Self::Unverified { .. } => (Error, "zonemd-unverified"),
        }
    }

    /// What the operator may do.
    pub(super) fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } | Self::Unverified { .. } => {
                "`zonemd = \"verify\"` in its [[zone]] or template takes such a zone too"
            }
            Self::Serial { .. } | Self::Repeated { .. } | Self::Digest { .. } => {
                "the zone was changed after its ZONEMD was made; `zonemd = \"ignore\"` in its [[zone]] or template \
                 takes it as it is"
            }
            Self::Unknown { .. } => return None,
        })
    }
}
