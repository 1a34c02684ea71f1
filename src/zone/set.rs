//! All zones that are served, found by the deepest apex that matches.

/// An immutable set of zones.
#[derive(Debug, Default)]
pub struct ZoneSet {}
