//! What the header and the OPT record of a reply say about its answer.

use crate::answer::code::{ExtendedError, Rcode};

/// How a request was answered.
pub(super) struct Status {
    pub(super) rcode: Rcode,
    /// Whether the answer comes from a zone that is served (RFC 1035 §4.1.1, AA).
    pub(super) is_authoritative: bool,
    pub(super) is_truncated: bool,
    /// The extended error, if one explains more than the RCODE (RFC 8914).
    pub(super) extended_error: Option<ExtendedError>,
}

impl Status {
    /// An answer of a zone that is served.
    pub(super) fn authoritative(rcode: Rcode) -> Self {
        Self { rcode, is_authoritative: true, is_truncated: false, extended_error: None }
    }

    /// An error that no zone has a part in.
    pub(super) fn error(rcode: Rcode) -> Self {
        Self { is_authoritative: false, ..Self::authoritative(rcode) }
    }

    /// In no zone that is served, or hidden.
    pub(super) fn refused() -> Self {
        Self { extended_error: Some(ExtendedError::NOT_AUTHORITATIVE), ..Self::error(Rcode::REFUSED) }
    }

    /// A request that nobody may make.
    pub(super) fn prohibited() -> Self {
        Self { extended_error: Some(ExtendedError::PROHIBITED), ..Self::refused() }
    }

    /// A zone that should be served and can't.
    pub(super) fn broken() -> Self {
        Self { extended_error: Some(ExtendedError::INVALID_DATA), ..Self::error(Rcode::SERVFAIL) }
    }
}
