//! What is known about one secondary zone: its timers, its last version, and how the last attempt went.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::fetch::{Fetched, Order, Version};
use crate::load::Arrival;
use crate::transfer::{Event, Refresh, Step, TransferSettings};
use crate::wire::SharedName;
use crate::zone::Zone;
use crate::zone::hash::Seed;

/// One secondary zone.
pub(super) struct Entry {
    settings: Arc<TransferSettings>,
    refresh: Refresh,
    /// The last version.
    zone: Option<Arc<Zone>>,
    /// When its timers are looked at next; zero where they are not.
    due: Duration,
    /// The primary that is asked first.
    first: usize,
    /// Whether the whole zone is wanted next.
    is_whole_wanted: bool,
    /// The primary that the attempt under way began with.
    asking: Option<IpAddr>,
    /// What was wrong with the last attempt.
    trouble: Option<String>,
}

impl Entry {
    /// A zone of which nothing is known.
    pub(super) fn new(settings: &Arc<TransferSettings>, now: Duration) -> Self {
        Self {
            settings: Arc::clone(settings),
            refresh: Refresh::new(settings.limits, now, None),
            zone: None,
            due: Duration::ZERO,
            first: 0,
            is_whole_wanted: false,
            asking: None,
            trouble: None,
        }
    }

    /// Takes the settings that hold from now on.
    pub(super) fn set_settings(&mut self, settings: &Arc<TransferSettings>) {
        self.refresh.set_limits(settings.limits);
        self.settings = Arc::clone(settings);
    }

    /// Lets the timers take an event.
    pub(super) fn handle(&mut self, now: Duration, event: Event) -> Option<Step> {
        // Without random numbers all zones are asked for at the latest moment.
        self.refresh.handle(now, event, getrandom::u32().unwrap_or_default())
    }

    /// When its timers were to be looked at.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// When its timers are to be looked at next.
    pub(super) fn reschedule(&mut self) -> Option<Duration> {
        let deadline = self.refresh.deadline();
        self.due = deadline.unwrap_or_default();
        deadline
    }

    /// The primary that is asked first.
    pub(super) fn primary(&self) -> Option<SocketAddr> {
        let primaries = &self.settings.primaries;
        primaries.get(self.first).or_else(|| primaries.first()).map(|peer| peer.address)
    }

    /// What is asked for.
    pub(super) fn order(&self, name: SharedName, seed: Seed) -> Order {
        Order {
            name,
            base: self.zone.clone(),
            settings: Arc::clone(&self.settings),
            first: self.first,
            is_whole: self.is_whole_wanted,
            seed,
        }
    }

    /// Notes that an attempt begins.
    pub(super) fn begin(&mut self, primary: IpAddr) {
        self.asking = Some(primary);
    }

    /// Notes that it ended; returns the primary that it began with.
    pub(super) fn end(&mut self) -> Option<IpAddr> {
        self.asking.take()
    }

    /// Takes what a primary gave; returns what is to be made known.
    pub(super) fn take(&mut self, name: &SharedName, fetched: Fetched) -> Option<Arrival> {
        let Fetched { version, soa, primary, troubles, .. } = fetched;
        let from = self.settings.primaries.get(primary).map(|peer| peer.address);
        self.first = primary;
        self.log_trouble(name, (!troubles.is_empty()).then(|| troubles.join("; ")));
        let Some(version) = version else {
            return self.refresh.is_expired().then_some(Arrival::Confirmed);
        };
        let Version { zone, changes, faults, warning_count, records, octets, time } = version;
        self.is_whole_wanted = false;
        let before = self.zone.as_ref().map(|zone| zone.serial());
        tracing::info!(serial = soa.serial(), before, records, octets, ?time, ?from, "zone {name}: transferred");
        self.zone = Some(Arc::clone(&zone));
        Some(Arrival::Version { zone, changes, faults, warning_count })
    }

    /// Takes down that no primary gave anything.
    pub(super) fn fail(&mut self, name: &SharedName, error: String) {
        self.first = (self.first + 1) % self.settings.primaries.len().max(1);
        self.log_trouble(name, Some(error));
    }

    /// Logs what is wrong, once as long as it stays the same.
    fn log_trouble(&mut self, name: &SharedName, trouble: Option<String>) {
        if let Some(new) = &trouble
            && self.trouble != trouble
        {
            tracing::warn!("zone {name}: {new}");
        }
        self.trouble = trouble;
    }
}
