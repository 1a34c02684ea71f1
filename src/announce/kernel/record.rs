//! What was wanted, what was seen, what was done: the memory of the route thread, and what is seen of it. Pure; `now`
//! is an argument.

use core::time::Duration;

use ipnet::IpNet;

use super::plan::{Action, Device, Freshness, Kernel, Kind, Layout, Link, PROOF_LAPSES, Route, Wanted, freshness};
use crate::announce::{Announcement, Counters};
use crate::policy::Stance;

/// What the driver last read from the kernel, and what it did so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// One entry for each service address, in the configuration's order.
    pub addresses: Vec<AddressSeen>,
    /// What happened since the start.
    pub counters: Counters,
    /// Whether the kernel had all that was wanted when it was last read.
    pub is_settled: bool,
    /// Whether nothing is really done.
    pub is_dry_run: bool,
    /// The last failure that belongs to no single address, and when it was.
    pub error: Option<(Duration, String)>,
    /// When the kernel was last read.
    pub read: Duration,
}

/// One service address. Moments count from the origin that the driver was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSeen {
    /// The address as configured.
    pub address: IpNet,
    /// The address with the prefix length that it stands with while announced.
    pub stands: IpNet,
    /// What is wanted.
    pub stance: Stance,
    /// Whether it is announced, as read back.
    pub is_announced: bool,
    /// Since when that is so.
    pub since: Duration,
    /// What keeps it.
    pub lease: LeaseState,
    /// The last failure, and when it was.
    pub error: Option<(Duration, String)>,
    /// How often its lease ran out because nothing proved it.
    pub lapses: u64,
    /// How long the last announcement took, from [`super::Driver::want`] to being read back. It includes waiting for a
    /// proof.
    pub announce_took: Option<Duration>,
    /// How long the last withdrawal took, likewise.
    pub withdraw_took: Option<Duration>,
}

/// What keeps an announced address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// The address does not stand.
    Absent,
    /// It stands without a lease.
    Off,
    /// It was last renewed at this moment.
    Held(Duration),
    /// Its renewal is due, but no proof is young enough; it was last renewed at this moment.
    Unproven(Duration),
}

impl AddressSeen {
    /// The same as an announcement.
    pub(super) fn announcement(&self) -> Announcement {
        Announcement {
            stance: self.stance,
            is_done: self.is_announced == (self.stance != Stance::Withdraw),
            is_announced: self.is_announced,
            since: self.since,
            renewed: match self.lease {
                LeaseState::Held(moment) | LeaseState::Unproven(moment) => Some(moment),
                LeaseState::Absent | LeaseState::Off => None,
            },
            lapses: self.lapses,
            is_elsewhere: false,
        }
    }
}

/// Something that somebody else did to what is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interference {
    /// An address was removed.
    AddressRemoved(IpNet),
    /// A lease ran out unproven.
    Lapsed(IpNet),
    /// A route was removed.
    RouteRemoved(IpNet),
    /// A device was set down.
    LinkDown(Device),
}

/// The driver's memory.
#[derive(Debug)]
pub(super) struct RouteRecord {
    /// How long a lease is.
    lease: Option<Duration>,
    /// How old a proof may be that pays for a renewal.
    proof_age_max: Duration,
    /// How often a lease is renewed.
    renew_every: Duration,
    /// How long a withdrawal may take.
    withdrawn_within: Duration,
    /// What is published.
    seen: Seen,
    /// What is kept of each address besides.
    rows: Vec<Row>,
    /// The routes that were there when the kernel was last read, without those that were removed since.
    routes: Vec<Route>,
    /// Which devices were up.
    ups: [bool; 2],
}

/// What is kept of an address and not published.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// When it was last wanted announced and no longer not, or the reverse.
    changed: Duration,
    /// Whether that has not been read back yet.
    is_pending: bool,
    /// How often its removal was tried since.
    attempts: u32,
    /// Whether the address itself stood, when last read.
    stood: bool,
    /// Whether it was removed by us since.
    is_removed: bool,
    /// When its lease was last renewed.
    renewed: Duration,
}

/// The times that the record judges by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// How long a lease is.
    pub(super) lease: Option<Duration>,
    /// How old a proof may be that pays for a renewal.
    pub(super) proof_age_max: Duration,
    /// How often a lease is renewed.
    pub(super) renew_every: Duration,
    /// How long a withdrawal may take.
    pub(super) withdrawn_within: Duration,
}

impl RouteRecord {
    /// Opens it: nothing is wanted and nothing was seen. `addresses` and `layout` have the same order.
    pub(super) fn new(addresses: &[IpNet], layout: &Layout, times: Times, is_dry_run: bool) -> Self {
        let entries = addresses.iter().zip(&layout.stands).map(|(address, stands)| AddressSeen {
            address: *address,
            stands: *stands,
            stance: Stance::Withdraw,
            is_announced: false,
            since: Duration::ZERO,
            lease: LeaseState::Absent,
            error: None,
            lapses: 0,
            announce_took: None,
            withdraw_took: None,
        });
        let seen = Seen { addresses: entries.collect(), is_dry_run, ..Seen::default() };
        let Times { lease, proof_age_max, renew_every, withdrawn_within } = times;
        let rows = vec![Row::default(); addresses.len()];
        let (routes, ups) = (Vec::new(), [false; 2]);
        Self { lease, proof_age_max, renew_every, withdrawn_within, seen, rows, routes, ups }
    }

    /// Takes what is wanted, each with the moment since when; returns whether that is new.
    pub(super) fn want(&mut self, wanted: &[(Stance, Duration)]) -> bool {
        let mut is_new = false;
        for ((seen, row), (stance, moment)) in self.seen.addresses.iter_mut().zip(&mut self.rows).zip(wanted) {
            if (seen.stance == Stance::Withdraw) != (*stance == Stance::Withdraw) {
                let is_withdrawal = *stance == Stance::Withdraw;
                *row = Row { changed: *moment, is_pending: seen.is_announced == is_withdrawal, attempts: 0, ..*row };
            }
            is_new |= seen.stance != *stance;
            seen.stance = *stance;
        }
        is_new
    }

    /// Says what the plan needs to know of each address; `proofs` are the moments of the last ones.
    pub(super) fn wanted(&mut self, now: Duration, proofs: impl Iterator<Item = Option<Duration>>) -> Vec<Wanted> {
        let mut all = Vec::with_capacity(self.rows.len());
        for (index, proof) in proofs.take(self.rows.len()).enumerate() {
            // A proof noted after `now` was taken is as fresh as can be.
            let age = proof.map(|moment| now.saturating_sub(moment));
            let freshness = self.freshness(age);
            let (row, seen) = (self.rows[index], &mut self.seen.addresses[index]);
            let is_renewal_due = self.lease.is_some() && now.saturating_sub(row.renewed) >= self.renew_every;
            let is_kept = row.stood && seen.stance != Stance::Withdraw;
            if is_kept && is_renewal_due && freshness != Freshness::Fresh && matches!(seen.lease, LeaseState::Held(_)) {
                seen.lease = LeaseState::Unproven(row.renewed);
                self.seen.counters.renewals_refused += 1;
            }
            all.push(Wanted { stance: seen.stance, freshness, is_renewal_due });
        }
        all
    }

    /// Says what a proof of this age can pay for; `None` where there is none.
    pub(super) fn freshness(&self, age: Option<Duration>) -> Freshness {
        freshness(age, self.proof_age_max, self.lease.unwrap_or(PROOF_LAPSES).max(self.proof_age_max))
    }

    /// Takes what was read at `now`, and returns what somebody else did.
    pub(super) fn observe(&mut self, now: Duration, kernel: &Kernel) -> Vec<Interference> {
        let mut found = Vec::new();
        for ((device, link), was_up) in [(Device::Announcing, kernel.announcing), (Device::Receiving, kernel.receiving)]
            .into_iter()
            .zip(&mut self.ups)
        {
            if *was_up && link == Link::Down {
                self.seen.counters.links_downed += 1;
                found.push(Interference::LinkDown(device));
            }
            *was_up = link == Link::Up;
        }
        for index in 0..self.rows.len() {
            found.extend(self.observe_address(index, now, kernel));
        }
        for route in self.routes.iter().filter(|route| !kernel.routes.contains(route)) {
            // A kernel route goes with its address; that was reported already.
            let of_prefix = |net: &&IpNet| net.trunc() == route.prefix;
            if route.device == Device::Receiving || kernel.addresses.iter().any(|net| of_prefix(&net)) {
                self.seen.counters.routes_removed += 1;
                found.push(Interference::RouteRemoved(route.prefix));
            }
        }
        self.routes.clone_from(&kernel.routes);
        self.seen.read = now;
        found
    }

    /// Takes what was read of one address.
    fn observe_address(&mut self, index: usize, now: Duration, kernel: &Kernel) -> Option<Interference> {
        let others_stand =
            |net: IpNet| kernel.addresses.iter().any(|other| *other != net && other.trunc() == net.trunc());
        let (seen, row) = (&mut self.seen.addresses[index], &mut self.rows[index]);
        let (stands, stood) = (kernel.has(seen.stands), row.stood);
        row.stood = stands;
        let routed = |route: &Route| {
            let goes_out = route.device == Device::Announcing && route.kind == Kind::Unicast;
            goes_out && route.prefix == seen.stands.trunc()
        };
        let is_announced = stands || (kernel.routes.iter().any(routed) && !others_stand(seen.stands));
        if is_announced != seen.is_announced {
            (seen.is_announced, seen.since) = (is_announced, now);
        }
        if row.is_pending && is_announced == (seen.stance != Stance::Withdraw) {
            row.is_pending = false;
            let took = now.saturating_sub(row.changed);
            *if is_announced { &mut seen.announce_took } else { &mut seen.withdraw_took } = Some(took);
        }
        if stands {
            return None;
        }
        seen.lease = LeaseState::Absent;
        if !stood || row.is_removed {
            return None;
        }
        if self.lease.is_some_and(|lease| now.saturating_sub(row.renewed) >= lease) {
            seen.lapses += 1;
            self.seen.counters.leases_lapsed += 1;
            return Some(Interference::Lapsed(seen.stands));
        }
        self.seen.counters.addresses_removed += 1;
        Some(Interference::AddressRemoved(seen.stands))
    }

    /// Takes how an action ended at `now`; an address's lease runs from then.
    pub(super) fn done(&mut self, now: Duration, action: &Action, failure: Option<String>) {
        match *action {
            Action::RemoveAddress { index, net } if net == self.seen.addresses[index].stands => {
                self.rows[index].attempts += 1;
                self.rows[index].is_removed = failure.is_none();
                // Wanted and taken off all the same: the proof is too old, and we were quicker than the kernel.
                let is_lapse = u64::from(failure.is_none() && self.is_wanted(index));
                self.seen.counters.leases_lapsed += is_lapse;
                self.seen.addresses[index].lapses += is_lapse;
            }
            Action::PutAddress { index, is_renewal, .. } if failure.is_none() => {
                self.rows[index].is_removed = false;
                self.rows[index].renewed = now;
                self.seen.counters.renewals += u64::from(is_renewal);
                let lease = if self.lease.is_some() { LeaseState::Held(now) } else { LeaseState::Off };
                self.seen.addresses[index].lease = lease;
            }
            Action::RemoveRoute(gone) => self.routes.retain(|route| *route != gone),
            Action::RemoveAddress { .. } | Action::PutAddress { .. } | Action::Up(_) | Action::PutRoute(_) => {}
        }
        let Some(failure) = failure else { return };
        self.seen.counters.requests_failed += 1;
        match *action {
            Action::RemoveAddress { index, .. } | Action::PutAddress { index, .. } => {
                self.seen.addresses[index].error = Some((now, failure));
            }
            Action::Up(_) | Action::PutRoute(_) | Action::RemoveRoute(_) => self.seen.error = Some((now, failure)),
        }
    }

    /// Whether an address is to be announced.
    pub(super) fn is_wanted(&self, index: usize) -> bool {
        self.seen.addresses[index].stance != Stance::Withdraw
    }

    /// Notes that the kernel could not be read; that counts as an attempt at each withdrawal that waits.
    pub(super) fn unread(&mut self, now: Duration, failure: String) {
        self.seen.counters.requests_failed += 1;
        self.seen.error = Some((now, failure));
        for row in &mut self.rows {
            row.attempts += u32::from(row.is_pending);
        }
    }

    /// Notes that notifications were lost.
    pub(super) fn lost(&mut self) {
        self.seen.counters.notifications_lost += 1;
    }

    /// Names an address whose withdrawal could not be carried out in time, though it was tried often enough.
    ///
    /// The number of attempts counts too, so that a process that was stopped meanwhile is not ended for that.
    pub(super) fn overdue(&self, now: Duration) -> Option<IpNet> {
        let is_overdue = |(seen, row): &(&AddressSeen, &Row)| {
            let waits = seen.stance == Stance::Withdraw && row.is_pending && seen.is_announced;
            let is_late = now.saturating_sub(row.changed) > self.withdrawn_within;
            waits && is_late && row.attempts >= WITHDRAWAL_ATTEMPTS_MIN
        };
        self.seen.addresses.iter().zip(&self.rows).find(is_overdue).map(|(seen, _)| seen.stands)
    }

    /// Returns when the kernel was last read.
    pub(super) fn read(&self) -> Duration {
        self.seen.read
    }

    /// Returns whether no address is announced.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.seen.addresses.iter().all(|seen| !seen.is_announced)
    }

    /// Returns a copy for others.
    pub(super) fn seen(&self, is_settled: bool, packets_dropped: u64) -> Seen {
        let mut seen = self.seen.clone();
        seen.is_settled = is_settled;
        seen.counters.packets_dropped = packets_dropped;
        seen
    }
}

/// How often a withdrawal must have been tried before the process is ended for it.
const WITHDRAWAL_ATTEMPTS_MIN: u32 = 2;

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
