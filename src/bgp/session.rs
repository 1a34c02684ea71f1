//! The session with one neighbour.

use core::time::Duration;

use super::{Action, Event, Facts, MessageCounts, SessionSettings, State};

/// The session with one neighbour. So far it stays away whatever happens.
#[derive(Debug)]
pub struct Session {
    since: Duration,
}

impl Session {
    /// Makes a session that waits for [`Event::Begin`]. `seed` spreads in time what many nodes would otherwise do
    /// together.
    #[must_use]
    pub fn new(now: Duration, _settings: SessionSettings, _seed: u64) -> Self {
        Self { since: now }
    }

    /// Takes what happened, and adds what is to be done to `out`. `now` never goes back.
    pub fn handle(&mut self, _now: Duration, event: Event<'_>, out: &mut Vec<Action>) {
        if let Event::Connected(_) = event {
            out.push(Action::Abort);
        }
    }

    /// Returns when the next [`Event::Tick`] is due, if time alone can change anything.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        None
    }

    /// Returns where the session is.
    #[must_use]
    pub fn state(&self) -> State {
        State::Idle
    }

    /// Returns what is known of the session.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            state: self.state(),
            since: self.since,
            peer: None,
            agreed: None,
            received: MessageCounts::default(),
            sent: MessageCounts::default(),
            last_sent: None,
            last_received: None,
            last_failure: None,
            announced: 0,
            withheld: 0,
            established: 0,
            routes: Vec::new(),
            others: 0,
        }
    }

    /// Whether the neighbour has been sent an announcement of a route, and no withdrawal since. `route` counts in the
    /// last [`Event::Wanted`].
    #[must_use]
    pub fn is_announced(&self, _route: usize) -> bool {
        false
    }
}
