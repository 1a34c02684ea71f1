//! Stances → the network: whoever announces the service addresses, behind one trait.
//!
//! Owns the trait [`Announcer`] and [`Announcers`], by which several are one. Refuses to know why an address is to be
//! announced, and how it is: that is the announcer's own, of which [`kernel`] is the first.
//!
//! ```text
//!                              ┌─▶ kernel::Driver ──▶ addresses and routes
//!   policies ──want──▶ Announcers                              │
//!   status  ◀──seen──    joined └─▶ …                          │
//!                              ◀── read back: Announcement ◀───┘
//! ```

pub mod bgp;
pub mod kernel;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::policy::{Decision, Stance};

/// Announces service addresses, and says what of it is done. Addresses count as in the configuration; moments are since
/// the origin of the process.
///
/// An announcer goes by the level, not the edge: it works on what is wanted until it is so, and again whenever it is so
/// no longer, without being asked twice. What it announces ends without the process, and by itself where no proof
/// renews it. If it cannot withdraw, it ends the process.
pub trait Announcer: Send + Sync + Debug {
    /// Says what is wanted of each address. Called every round; never waits for the network.
    fn want(&self, wanted: &[Decision]);

    /// Returns what is seen of each address.
    fn seen(&self) -> Vec<Announcement>;

    /// Waits until no address is announced, at most `timeout`; returns whether that is so.
    fn wait_withdrawn(&self, timeout: Duration) -> bool;

    /// Returns what was counted since the start.
    fn counters(&self) -> Counters;
}

/// What is seen of one service address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What the announcer works on: what was wanted of it last, as far as it has noticed.
    pub stance: Stance,
    /// Whether that is done, as read back.
    pub is_done: bool,
    /// Whether the address is announced.
    pub is_announced: bool,
    /// Since when that is so.
    pub since: Duration,
    /// When its lease was renewed last; `None` where there is none.
    pub renewed: Option<Duration>,
    /// How often it was withdrawn without having been asked for, since nothing proved the address.
    pub lapses: u64,
    /// Whether a router knows a path to it that leads to another site, and is not degraded.
    pub is_elsewhere: bool,
}

/// What announcers count, from the start on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Addresses that somebody else removed; one that a renewal put back at the same moment is not seen missing.
    pub addresses_removed: u64,
    /// Routes that somebody else removed.
    pub routes_removed: u64,
    /// Times that somebody else set one of our devices down.
    pub links_downed: u64,
    /// Leases that ran out because nothing proved the address.
    pub leases_lapsed: u64,
    /// Times that a renewal was due and no proof was young enough.
    pub renewals_refused: u64,
    /// Leases renewed.
    pub renewals: u64,
    /// Requests that were refused or not answered.
    pub requests_failed: u64,
    /// Times that notifications were lost, so that all was read anew.
    pub notifications_lost: u64,
    /// Packets that came in over an announcing device and were dropped.
    pub packets_dropped: u64,
}

/// Several announcers as one: each learns what is wanted, and it is done when all have done it.
#[derive(Clone, Debug)]
pub struct Announcers(Vec<Arc<dyn Announcer>>);

impl Announcers {
    /// Joins them.
    #[must_use]
    pub fn new(announcers: Vec<Arc<dyn Announcer>>) -> Self {
        Self(announcers)
    }
}

impl Announcer for Announcers {
    fn want(&self, wanted: &[Decision]) {
        self.0.iter().for_each(|announcer| announcer.want(wanted));
    }

    fn seen(&self) -> Vec<Announcement> {
        let mut each = self.0.iter().map(|announcer| announcer.seen());
        let mut joined = each.next().unwrap_or_default();
        for other in each {
            joined.iter_mut().zip(other).for_each(|(joined, other)| *joined = joined.join(other));
        }
        joined
    }

    fn wait_withdrawn(&self, timeout: Duration) -> bool {
        let start = Instant::now();
        let left = || timeout.saturating_sub(start.elapsed());
        // All are waited for, those behind one that failed too.
        self.0.iter().filter(|announcer| !announcer.wait_withdrawn(left())).count() == 0
    }

    fn counters(&self) -> Counters {
        self.0.iter().map(|announcer| announcer.counters()).fold(Counters::default(), Counters::add)
    }
}

impl Announcement {
    /// What two announcers of one address have done together: it is announced while one of them announces it, and what
    /// is wanted is done when both have done it.
    fn join(self, other: Self) -> Self {
        let renewed = self.renewed.into_iter().chain(other.renewed).min();
        Self {
            stance: self.stance,
            is_done: self.is_done && other.is_done && self.stance == other.stance,
            is_announced: self.is_announced || other.is_announced,
            since: match (self.is_announced, other.is_announced) {
                (true, false) => self.since,
                (false, true) => other.since,
                // The first that announces it, the last that withdraws it.
                (true, true) => self.since.min(other.since),
                (false, false) => self.since.max(other.since),
            },
            renewed,
            lapses: self.lapses.wrapping_add(other.lapses),
            is_elsewhere: self.is_elsewhere || other.is_elsewhere,
        }
    }
}

impl Counters {
    /// The sums.
    fn add(self, other: Self) -> Self {
        Self {
            addresses_removed: self.addresses_removed + other.addresses_removed,
            routes_removed: self.routes_removed + other.routes_removed,
            links_downed: self.links_downed + other.links_downed,
            leases_lapsed: self.leases_lapsed + other.leases_lapsed,
            renewals_refused: self.renewals_refused + other.renewals_refused,
            renewals: self.renewals + other.renewals,
            requests_failed: self.requests_failed + other.requests_failed,
            notifications_lost: self.notifications_lost + other.notifications_lost,
            packets_dropped: self.packets_dropped + other.packets_dropped,
        }
    }
}
