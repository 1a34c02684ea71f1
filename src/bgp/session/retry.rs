//! How long the session waits between a loss and the next attempt.

use core::time::Duration;

use super::super::SessionSettings;
use crate::policy::Jitter;

/// The first wait is below so many times the shortest, as is each that follows below so many times its own shortest.
const SPREAD: u32 = 4;
/// Doublings that are counted; the longest wait is reached long before.
const DOUBLINGS_MAX: u32 = 20;

/// The waits of one session.
#[derive(Debug)]
pub(super) struct Retry {
    /// What spreads them.
    jitter: Jitter,
    /// How often the wait has doubled.
    doublings: u32,
    /// When the last session came to Established, until it is over.
    established_at: Option<Duration>,
}

impl Retry {
    /// Makes one that has seen no loss.
    pub(super) fn new(seed: u64) -> Self {
        Self { jitter: Jitter::new(seed), doublings: 0, established_at: None }
    }

    /// Takes note of a session that is established.
    pub(super) fn note_established(&mut self, now: Duration) {
        self.established_at = Some(now);
    }

    /// Returns when to try again after a loss.
    pub(super) fn after_loss(&mut self, now: Duration, settings: &SessionSettings) -> Duration {
        let lasted = self.established_at.take().map(|at| now.saturating_sub(at));
        if lasted.is_some_and(|lasted| lasted >= settings.retry_max) {
            self.doublings = 0;
        }
        let shortest = settings.retry_min.saturating_mul(1 << self.doublings).min(settings.retry_max / SPREAD);
        let spread = shortest.saturating_mul(SPREAD).saturating_sub(shortest);
        self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
        now.saturating_add(shortest).saturating_add(self.jitter.below(spread))
    }
}
