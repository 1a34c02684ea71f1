//! What is known about one secondary zone: its timers, its last version, and how the last attempt went.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::fetch::{Fetched, Order, Progress, Version};
use super::health::Facts;
use super::keep::{Kept, Unkept};
use super::waiting::Generation;
use crate::admin::reply;
use crate::load::Arrival;
use crate::load::ThreadPool;
use crate::transfer::{Event, Expiry, Refresh, Soa, Standing, Step, Times, TransferSettings, is_serial_before};
use crate::wire::SharedName;
use crate::zone::Zone;
use crate::zone::hash::Seed;
use crate::zonebuild::ZonemdRule;

/// What a zone is besides one that comes from primaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Own,
    /// A catalog.
    Catalog,
    /// There because a catalog names it.
    Member,
}

/// One secondary zone.
pub(super) struct SecondaryZone {
    settings: Arc<TransferSettings>,
    kind: Kind,
    generation: Generation,
    refresh: Refresh,
    /// The last version.
    zone: Option<Arc<Zone>>,
    /// When its timers are looked at next; zero where they are not.
    due: Duration,
    /// The primary that is asked first.
    first: usize,
    /// Whether the whole zone is wanted next.
    is_whole_wanted: bool,
    /// Who notified of a change last, since the last attempt began.
    notifier: Option<IpAddr>,
    /// What was wrong with the last attempt.
    trouble: Option<String>,
    /// What is not kept over restarts yet.
    unkept: Unkept,
    /// Whether some of it is being written.
    is_keeping: bool,
    /// Whether the last time something could not be written.
    is_unwritten: bool,
    /// When the zone expires, for answers.
    expiry: Arc<Expiry>,
    /// How far the attempt under way is.
    progress: Arc<Progress>,
    /// How it was when that was noted last.
    facts: Option<Facts>,
}

impl SecondaryZone {
    /// A zone of which no more is known than what was kept.
    pub(super) fn new(
        settings: &Arc<TransferSettings>,
        kind: Kind,
        generation: Generation,
        now: Duration,
        kept: Option<Kept>,
    ) -> Self {
        let known = kept.as_ref().map(|kept| (kept.times, Soa::of(&kept.zone).timers()));
        let (zone, expiry) = kept.map(|kept| (kept.zone, kept.expiry)).unzip();
        Self {
            settings: Arc::clone(settings),
            kind,
            generation,
            refresh: Refresh::new(settings.limits, now, known),
            zone,
            due: Duration::ZERO,
            first: 0,
            is_whole_wanted: false,
            notifier: None,
            trouble: None,
            unkept: Unkept::Nothing,
            is_keeping: false,
            is_unwritten: false,
            expiry: expiry.unwrap_or_default(),
            progress: Arc::default(),
            facts: None,
        }
    }

    /// Begins anew, with nothing, as another zone; what an attempt under way brings is of the one before.
    pub(super) fn purge(&mut self, generation: Generation, now: Duration) {
        let (due, is_keeping, facts) = (self.due, self.is_keeping, self.facts);
        *self = Self { due, is_keeping, facts, ..Self::new(&self.settings, self.kind, generation, now, None) };
    }

    /// How it was, to be replaced.
    pub(super) fn take_facts(&mut self) -> Option<Facts> {
        self.facts.take()
    }

    /// Notes how it is.
    pub(super) fn note_facts(&mut self) -> Facts {
        let (standing, checked_at) = (self.refresh.standing(), self.refresh.times().checked_at);
        *self.facts.insert(Facts { standing, checked_at, behind: self.behind() })
    }

    /// How far its serial is behind the last that a primary had (RFC 1982).
    fn behind(&self) -> u32 {
        let serials = self.zone.as_ref().map(|zone| zone.serial()).zip(self.progress.primary_serial());
        let behind = serials.filter(|(ours, theirs)| is_serial_before(*ours, *theirs));
        behind.map_or(0, |(ours, theirs)| theirs.wrapping_sub(ours))
    }

    /// What it is besides.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Which of the zones that had its name it is.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Takes what it is, and the settings that hold from now on; whether these differ from those before.
    pub(super) fn set_settings(&mut self, settings: &Arc<TransferSettings>, kind: Kind) -> bool {
        self.kind = kind;
        self.refresh.set_limits(settings.limits);
        let (old, new) = (self.settings.zonemd, settings.zonemd);
        // What is here was not looked at so.
        self.is_whole_wanted |= new != old && new != ZonemdRule::Ignore;
        *std::mem::replace(&mut self.settings, Arc::clone(settings)) != **settings
    }

    /// Lets the timers take an event.
    pub(super) fn handle(&mut self, now: Duration, event: Event) -> Option<Step> {
        // Without random numbers all zones are asked for at the latest moment.
        let step = self.refresh.handle(now, event, getrandom::u32().unwrap_or_default());
        if matches!(event, Event::Current { .. }) {
            self.expiry.set(self.refresh.times().expires_at);
            self.unkept.add_times();
        }
        step
    }

    /// Takes what is to be kept now; nothing where something is being written.
    pub(super) fn begin_keeping(&mut self) -> Option<(Arc<Zone>, Unkept, Times)> {
        let zone = self.zone.clone().filter(|_| !self.is_keeping && !matches!(self.unkept, Unkept::Nothing))?;
        self.is_keeping = true;
        Some((zone, std::mem::take(&mut self.unkept), self.refresh.times()))
    }

    /// Notes that it was written, or could not be: then all of it is, with the next that comes.
    pub(super) fn note_kept(&mut self, is_kept: bool) {
        self.is_keeping = false;
        self.is_unwritten = !is_kept;
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

    /// Notes who says that the zone has changed: that primary is asked first.
    pub(super) fn set_notifier(&mut self, notifier: IpAddr) {
        self.notifier = Some(notifier);
    }

    /// Which primary is asked first, and its address: the one that notified, or the one that answered last.
    pub(super) fn primary(&self) -> Option<(usize, SocketAddr)> {
        let addresses = || self.settings.primaries.iter().map(|peer| peer.address).enumerate();
        let notifier = addresses().find(|(_, address)| self.notifier == Some(address.ip()));
        notifier.or_else(|| addresses().nth(self.first)).or_else(|| addresses().next())
    }

    /// What is asked for, beginning at that primary.
    pub(super) fn order(&mut self, name: SharedName, first: usize, (seed, pool): (Seed, &Arc<ThreadPool>)) -> Order {
        self.notifier = None;
        Order {
            name,
            base: self.zone.clone(),
            settings: Arc::clone(&self.settings),
            first,
            is_whole: self.is_whole_wanted,
            progress: Arc::clone(&self.progress),
            seed,
            generation: self.generation,
            expiry: Arc::clone(&self.expiry),
            pool: Arc::clone(pool),
        }
    }

    /// Wants the whole zone with the next attempt.
    pub(super) fn want_whole(&mut self) {
        self.is_whole_wanted = true;
    }

    /// How it is.
    pub(super) fn show(&self, name: &SharedName, now: Duration) -> reply::Secondary {
        let times = self.refresh.times();
        let (records, octets) = if self.refresh.next_at().is_none() { self.progress.seen() } else { (0, 0) };
        reply::Secondary {
            name: name.to_string(),
            serial: self.zone.as_ref().map(|zone| zone.serial()),
            primary: self.primary().map(|(_, address)| address.to_string()),
            asking: self.refresh.next_at().is_none(),
            records,
            octets,
            verifying: self.progress.is_verifying(),
            checked_s: (!times.checked_at.is_zero()).then(|| now.saturating_sub(times.checked_at).as_secs()),
            next_s: self.refresh.next_at().map(|next| next.saturating_sub(now).as_secs()),
            expires_s: self.zone.as_ref().map(|_| times.expires_at.saturating_sub(now).as_secs()),
            expired: self.refresh.is_expired(),
            late: self.refresh.standing() == Standing::Late,
            behind: self.behind(),
            failures: self.refresh.failures(),
            trouble: self.trouble.clone(),
            ..reply::Secondary::default()
        }
    }

    /// Takes what a primary gave; returns what is to be made known, unless it is a catalog: of that it is known
    /// already.
    pub(super) fn take(&mut self, name: &SharedName, fetched: Fetched) -> Option<Arrival> {
        let Fetched { version, soa, primary, troubles, .. } = fetched;
        let from = self.settings.primaries.get(primary).map(|peer| tracing::field::display(peer.address));
        self.first = primary;
        self.log_trouble(name, (!troubles.is_empty()).then(|| troubles.join("; ")));
        let Some(version) = version else {
            return self.refresh.is_expired().then_some(Arrival::Confirmed);
        };
        let Version { zone, changes, is_whole, faults, warning_count, records, octets, time } = version;
        self.is_whole_wanted = false;
        let before = self.zone.as_ref().map(|zone| zone.serial());
        let what = if is_whole { "the whole zone" } else { "changes" };
        tracing::info!(serial = soa.serial(), before, records, octets, ?time, from, "zone {name}: {what} transferred");
        self.zone = Some(Arc::clone(&zone));
        self.unkept.add_version(if self.is_unwritten { &[] } else { &changes });
        let expiry = Arc::clone(&self.expiry);
        (self.kind != Kind::Catalog).then_some(Arrival::Version { zone, changes, faults, warning_count, expiry })
    }

    /// Takes down that no primary gave anything.
    pub(super) fn fail(&mut self, name: &SharedName, error: String) {
        self.first = (self.first + 1) % self.settings.primaries.len().max(1);
        self.log_trouble(name, Some(error));
    }

    /// Logs what is wrong, once as long as it stays the same, and when nothing is any more.
    fn log_trouble(&mut self, name: &SharedName, trouble: Option<String>) {
        match (&self.trouble, &trouble) {
            (Some(old), Some(new)) if is_same(old, new) => {}
            (_, Some(new)) => tracing::warn!("zone {name}: {new}"),
            (Some(_), None) => tracing::info!("zone {name}: its primary answers as it should again"),
            (None, None) => {}
        }
        self.trouble = trouble;
    }
}

/// Whether two reasons differ at most in numbers, as after how many octets something was wrong.
fn is_same(a: &str, b: &str) -> bool {
    let words = |text| str::chars(text).filter(|letter| !letter.is_ascii_digit());
    words(a).eq(words(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::Peer;
    use crate::wire::Name;

    #[test]
    fn who_notified_is_asked_first_and_once() {
        let addresses = ["192.0.2.1:53", "192.0.2.2:53", "[2001:db8::1]:53"].map(|text| text.parse().expect("one"));
        let primaries = addresses.map(|address| Peer { address, key: None, tls: None }).to_vec();
        let settings = Arc::new(TransferSettings { primaries, ..TransferSettings::default() });
        let mut entry = SecondaryZone::new(&settings, Kind::Own, Generation(0), Duration::ZERO, None);
        let name = "example.".parse::<Name>().expect("a name").as_ref().into();
        let first = |entry: &SecondaryZone| entry.primary().map(|(index, address)| (index, address.to_string()));
        assert_eq!(first(&entry), Some((0, "192.0.2.1:53".to_owned())));
        entry.set_notifier("2001:db8::1".parse().expect("an address"));
        assert_eq!(first(&entry), Some((2, "[2001:db8::1]:53".to_owned())));
        assert_eq!(entry.order(name, 2, (Seed([1, 2]), &Arc::default())).first, 2);
        assert_eq!(first(&entry), Some((0, "192.0.2.1:53".to_owned())));
        entry.set_notifier("192.0.2.9".parse().expect("an address"));
        entry.fail(&"example.".parse::<Name>().expect("a name").as_ref().into(), "silent".to_owned());
        assert_eq!(
            first(&entry),
            Some((1, "192.0.2.2:53".to_owned())),
            "a stranger is no primary, and the first failed"
        );
    }

    #[test]
    fn a_reason_is_the_same_where_only_numbers_differ() {
        assert!(is_same("cut after 12 records, 345 octets", "cut after 7 records, 1200 octets"));
        assert!(!is_same("the primary answers REFUSED", "the primary answers NOTAUTH"));
    }
}
