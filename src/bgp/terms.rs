//! What the octets of an UPDATE depend on, besides what it says.

use super::{AsNumber, Families};

/// What two sides have between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// This side's AS number.
    pub(super) local_as: AsNumber,
    /// Whether the neighbour has the same.
    pub(super) is_internal: bool,
    /// Whether AS numbers in paths have four octets.
    pub(super) is_four_octet: bool,
    /// The families of the session.
    pub(super) families: Families,
    /// Whether what this side sends is for customers only from there on (RFC 9234 §5).
    pub(super) marks_routes: bool,
}
