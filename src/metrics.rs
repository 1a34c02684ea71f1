//! Stand-in for the counters, dropped when the real ones are there.

/// Nothing is counted.
#[derive(Debug)]
pub struct Metrics;
