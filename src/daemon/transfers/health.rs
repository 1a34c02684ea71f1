//! How secondary zones are, all together: how many are current, late, expired and awaited, which was confirmed longest
//! ago, and how far the last of them is behind. Brought up to date at each step of a zone, at what that zone costs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::admin::reply;
use crate::config::ZoneShare;
use crate::policy::SharedFault;
use crate::serve::unix_now;
use crate::transfer::Standing;
use crate::wire::SharedName;

/// How one zone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) standing: Standing,
    /// When a primary confirmed it last, since the epoch; zero where none did.
    pub(super) checked_at: Duration,
    /// How far its serial is behind that of a primary.
    pub(super) behind: u32,
}

/// How all are, for whoever looks. No lock.
#[derive(Debug, Default)]
pub(crate) struct SecondaryHealth {
    /// By [`Standing`].
    counts: [AtomicUsize; Standing::ALL.len()],
    /// When the zone was confirmed that was so longest ago, in seconds since the epoch; 0 where none was.
    oldest_s: AtomicU64,
    behind_max: AtomicU32,
}

impl SecondaryHealth {
    /// How many stand so.
    fn count(&self, standing: Standing) -> usize {
        self.counts[standing as usize].load(Ordering::Relaxed)
    }

    /// The same for people and machines; `None` where there are no secondary zones.
    pub(crate) fn show(&self) -> Option<reply::Secondaries> {
        let [awaited, current, late, expired] = Standing::ALL.map(|standing| self.count(standing));
        let oldest = Some(self.oldest_s.load(Ordering::Relaxed)).filter(|oldest| *oldest > 0);
        let oldest_s = oldest.map(|oldest| unix_now().as_secs().saturating_sub(oldest));
        let behind_max = self.behind_max.load(Ordering::Relaxed);
        let shown = reply::Secondaries { awaited, current, late, expired, oldest_s, behind_max };
        (awaited + current + late + expired > 0).then_some(shown)
    }

    /// The fault that other sites are likely to have too, where so many of the zones that have come are late or have
    /// expired.
    pub(crate) fn fault(&self, bound: ZoneShare) -> Option<SharedFault> {
        let [_, current, late, expired] = Standing::ALL.map(|standing| self.count(standing));
        let kind = if expired > 0 { SharedFault::Expired } else { SharedFault::Primary };
        (late + expired >= bound.of(current + late + expired)).then_some(kind)
    }
}

/// Who keeps that.
pub(super) struct Tally {
    health: Arc<SecondaryHealth>,
    counts: [usize; Standing::ALL.len()],
    /// Zones by when they were confirmed, those that never were left out.
    confirmed: BTreeSet<(Duration, SharedName)>,
    /// Zones that are behind, by how far.
    behind: BTreeSet<(u32, SharedName)>,
}

impl Tally {
    /// Begins without zones.
    pub(super) fn new(health: Arc<SecondaryHealth>) -> Self {
        Self { health, counts: Default::default(), confirmed: BTreeSet::new(), behind: BTreeSet::new() }
    }

    /// Takes how a zone is instead of how it was; `None` before it is there, and when it is gone.
    pub(super) fn replace(&mut self, name: &SharedName, before: Option<Facts>, after: Option<Facts>) {
        if before == after {
            return;
        }
        if let Some(Facts { standing, checked_at, behind }) = before {
            self.counts[standing as usize] = self.counts[standing as usize].saturating_sub(1);
            self.confirmed.remove(&(checked_at, name.clone()));
            self.behind.remove(&(behind, name.clone()));
        }
        if let Some(Facts { standing, checked_at, behind }) = after {
            self.counts[standing as usize] += 1;
            if !checked_at.is_zero() {
                self.confirmed.insert((checked_at, name.clone()));
            }
            if behind > 0 {
                self.behind.insert((behind, name.clone()));
            }
        }
        self.publish();
    }

    fn publish(&self) {
        for (shown, count) in self.health.counts.iter().zip(self.counts) {
            shown.store(count, Ordering::Relaxed);
        }
        let oldest = self.confirmed.first().map_or(0, |(checked_at, _)| checked_at.as_secs());
        self.health.oldest_s.store(oldest, Ordering::Relaxed);
        self.health.behind_max.store(self.behind.last().map_or(0, |(behind, _)| *behind), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn what_is_shown_follows_each_zone() {
        let health = Arc::new(SecondaryHealth::default());
        let mut tally = Tally::new(Arc::clone(&health));
        assert_eq!(health.show(), None);
        let names: Vec<SharedName> =
            ["a.", "b.", "c."].iter().map(|text| text.parse::<Name>().expect("a name").as_ref().into()).collect();
        let facts = |standing, age: u64, behind| {
            let checked_at = if age == 0 { Duration::ZERO } else { unix_now() - Duration::from_secs(age) };
            Some(Facts { standing, checked_at, behind })
        };
        let mut known = [None; 3];
        let mut put = |index: usize, after| {
            tally.replace(&names[index], std::mem::replace(&mut known[index], after), after);
            health.show()
        };
        put(0, facts(Standing::Awaited, 0, 0));
        put(1, facts(Standing::Current, 10, 2));
        let shown = put(2, facts(Standing::Late, 1000, 7)).expect("there are some");
        assert_eq!((shown.awaited, shown.current, shown.late, shown.expired, shown.behind_max), (1, 1, 1, 0, 7));
        assert!(shown.oldest_s.is_some_and(|age| (1000..1060).contains(&age)), "{shown:?}");
        assert_eq!(health.fault(ZoneShare::Percent(50)), Some(SharedFault::Primary), "one of two that have come");
        assert_eq!(health.fault(ZoneShare::Percent(51)), None);
        assert_eq!(health.fault(ZoneShare::Zones(1)), Some(SharedFault::Primary));
        put(2, facts(Standing::Expired, 1000, 0));
        assert_eq!(health.fault(ZoneShare::Zones(1)), Some(SharedFault::Expired));
        let shown = put(2, facts(Standing::Current, 0, 0)).expect("there are some");
        assert_eq!((shown.late, shown.expired, shown.behind_max), (0, 0, 2));
        assert!(shown.oldest_s.is_some_and(|age| age < 60), "{shown:?}");
        assert_eq!(health.fault(ZoneShare::Zones(1)), None);
        let shown = (0..3).map(|index| put(index, None));
        assert_eq!(shown.last(), Some(None));
        assert_eq!(health.fault(ZoneShare::Percent(1)), None, "no zone is no fault");
    }
}
