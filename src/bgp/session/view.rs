//! A session as others see it.

use core::time::Duration;

use super::super::{Facts, State};
use super::{Phase, Session, Talk, Wait};

impl Session {
    /// Returns when the next [`Event::Tick`](super::super::Event::Tick) is due, if time alone can change anything.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Idle | Phase::Active(Wait::Peer | Wait::Proof) => None,
            Phase::Active(Wait::Retry(until) | Wait::Overrun(until))
            | Phase::Connect { until }
            | Phase::OpenSent { until, .. } => Some(*until),
            Phase::OpenConfirm(talk) => Some(self.talk_deadline(talk)),
            Phase::Established(talk, ribs) => {
                let talk = self.talk_deadline(talk);
                Some(ribs.outbound.lapse_at().map_or(talk, |lapse_at| talk.min(lapse_at)))
            }
        }
    }

    /// When a timer of a connection is due.
    fn talk_deadline(&self, talk: &Talk) -> Duration {
        let beat = talk.hold_until.min(talk.keepalive_at);
        self.send_hold_until(talk).map_or(beat, |until| until.min(beat))
    }

    /// Returns where the session is.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::Active(_) => State::Active,
            Phase::Connect { .. } => State::Connect,
            Phase::OpenSent { .. } => State::OpenSent,
            Phase::OpenConfirm(_) => State::OpenConfirm,
            Phase::Established(..) => State::Established,
        }
    }

    /// Returns what is known of the session.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let (talk, ribs) = match &self.phase {
            Phase::Idle | Phase::Active(_) | Phase::Connect { .. } | Phase::OpenSent { .. } => (None, None),
            Phase::OpenConfirm(talk) => (Some(talk), None),
            Phase::Established(talk, ribs) => (Some(talk), Some(ribs)),
        };
        let tally = &self.tally;
        Facts {
            state: self.state(),
            since: self.since,
            peer: talk.map(|talk| talk.peer.clone()),
            agreed: talk.map(|talk| talk.agreed),
            received: tally.received,
            sent: tally.sent,
            last_sent: tally.last_sent.clone(),
            last_received: tally.last_received.clone(),
            last_failure: tally.last_failure.clone(),
            announced: ribs.map_or(0, |ribs| ribs.outbound.count()),
            withheld: tally.withheld,
            established: tally.established,
            routes: ribs.map_or_else(Vec::new, |ribs| ribs.inbound.routes().cloned().collect()),
            others: ribs.map_or(0, |ribs| ribs.inbound.others()),
        }
    }

    /// Whether the neighbour has been sent an announcement of a route, and no withdrawal since. `route` counts in the
    /// last [`Event::Wanted`](super::super::Event::Wanted).
    #[must_use]
    pub fn is_announced(&self, route: usize) -> bool {
        let Phase::Established(_, ribs) = &self.phase else { return false };
        self.wanted.get(route).is_some_and(|route| ribs.outbound.has(&route.prefix))
    }
}
