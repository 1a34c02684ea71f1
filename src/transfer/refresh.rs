//! When a zone's primaries are asked, and when the zone expires (RFC 1035 §3.3.13, RFC 1996 §4.3, RFC 7314).
//!
//! Pure: time is an argument, since the Unix epoch, so that it goes on over restarts.

use core::time::Duration;

use super::settings::TransferLimits;

/// The first pause behind a failure where there is no zone yet.
const RETRY_EMPTY: Duration = Duration::from_secs(1);
/// The longest such pause.
const RETRY_EMPTY_MAX: Duration = Duration::from_secs(300);
/// The pause behind an attempt that brought nothing before a notification leads to the next: so that whoever sends many
/// cannot have the primaries asked without a pause.
const NOTIFIED_PAUSE: Duration = Duration::from_secs(1);
/// How much of a pause is left to chance: its last tenth.
const JITTER_PARTS: u32 = 10;

/// What is kept of a zone's timers over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When a primary last said what is current.
    pub checked_at: Duration,
    /// When the zone expires.
    pub expires_at: Duration,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time went on.
    Time,
    /// An operator wants to know.
    Asked,
    /// Somebody who may says that the zone has changed.
    Notified,
    /// A primary said what is current: with these REFRESH, RETRY and EXPIRE in seconds, and the expiry of its own.
    Current {
        /// REFRESH, RETRY and EXPIRE of the SOA.
        timers: [u32; 3],
        /// In how many seconds the primary's own version expires.
        expire: Option<u32>,
        /// Whether ours was another.
        is_new: bool,
    },
    /// No primary did.
    Failed,
}

/// How a zone stands that comes from primaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No version has come.
    Awaited,
    /// A primary has confirmed it in time.
    Current,
    /// No primary has for longer than REFRESH and RETRY together.
    Late,
    /// None has for longer than EXPIRE.
    Expired,
}

impl Standing {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Awaited, Self::Current, Self::Late, Self::Expired];
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the primaries.
    Ask,
    /// Serve the zone no longer.
    Expire,
}

/// Whether primaries are being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// They are asked next at that time.
    Waiting(Duration),
    /// They are being asked; whether they are to be asked again at once then.
    Asking { is_asked_again: bool },
}

/// The timers of one zone.
#[derive(Clone, Debug)]
pub struct Refresh {
    limits: TransferLimits,
    state: State,
    /// REFRESH, RETRY and EXPIRE of the version that is served; `None` where there is none.
    timers: Option<[Duration; 3]>,
    times: Times,
    is_expired: bool,
    /// Whether it was noticed that the zone is late.
    is_late: bool,
    /// When a notification may lead to the next attempt.
    rests_until: Duration,
    /// Failures in a row.
    failures: u32,
}

impl Refresh {
    /// Begins at `now`: primaries are asked at once, whatever is known from before, for who was away may have missed
    /// anything. `kept` is what was kept, with the timers of the zone that was.
    pub fn new(limits: TransferLimits, now: Duration, kept: Option<(Times, [u32; 3])>) -> Self {
        let timers = kept.map(|(_, timers)| bounded(&limits, timers));
        let mut times = kept.map(|(times, _)| times).unwrap_or_default();
        // A clock that was set back does not keep a zone for ever.
        if let Some([_, _, expire]) = timers {
            times.expires_at = times.expires_at.min(now + expire);
        }
        let (state, rests_until) = (State::Waiting(now), Duration::ZERO);
        Self { limits, state, timers, times, is_expired: false, is_late: false, rests_until, failures: 0 }
    }

    /// Takes the bounds that hold from now on.
    pub fn set_limits(&mut self, limits: TransferLimits) {
        self.limits = limits;
    }

    /// What is to be kept over restarts.
    pub fn times(&self) -> Times {
        self.times
    }

    /// Whether the zone has expired.
    pub fn is_expired(&self) -> bool {
        self.is_expired
    }

    /// How the zone stands.
    pub fn standing(&self) -> Standing {
        match self.timers {
            None => Standing::Awaited,
            Some(_) if self.is_expired => Standing::Expired,
            Some(_) if self.is_late => Standing::Late,
            Some(_) => Standing::Current,
        }
    }

    /// When the zone is late, unless that was noticed.
    fn late_at(&self) -> Option<Duration> {
        let [refresh, retry, _] = self.timers.filter(|_| !self.is_late)?;
        Some(self.times.checked_at + refresh + retry)
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the primaries are asked next; `None` while they are being asked.
    pub fn next_at(&self) -> Option<Duration> {
        match self.state {
            State::Waiting(due) => Some(due),
            State::Asking { .. } => None,
        }
    }

    /// When [`Event::Time`] is to come at the latest; `None` where only an answer is waited for.
    pub fn deadline(&self) -> Option<Duration> {
        let expiry = (self.timers.is_some() && !self.is_expired).then_some(self.times.expires_at);
        self.next_at().into_iter().chain(expiry).chain(self.late_at()).min()
    }

    /// Takes an event at `now`; `random` is any number. Returns what is to be done.
    pub fn handle(&mut self, now: Duration, event: Event, random: u32) -> Option<Step> {
        self.is_late |= self.late_at().is_some_and(|late_at| late_at <= now);
        match (event, self.state) {
            (Event::Time, _) if self.expires(now) => {
                self.is_expired = true;
                Some(Step::Expire)
            }
            (Event::Time, State::Waiting(due)) if due <= now => self.ask(),
            (Event::Time, _) => None,
            (Event::Asked, State::Waiting(_)) => self.ask(),
            (Event::Notified, State::Waiting(_)) if self.rests_until <= now => self.ask(),
            (Event::Notified, State::Waiting(due)) => {
                self.state = State::Waiting(due.min(self.rests_until));
                None
            }
            (Event::Asked | Event::Notified, State::Asking { .. }) => {
                self.state = State::Asking { is_asked_again: true };
                None
            }
            (Event::Current { timers, expire, is_new }, state) => {
                let [refresh, retry, soa_expire] = bounded(&self.limits, timers);
                let left = expire.map_or(soa_expire, |expire| Duration::from_secs(expire.into()).min(soa_expire));
                // A secondary that has not heard of its primary for long takes nothing from what others confirmed
                // (RFC 7314 §4).
                let known = if is_new { Duration::ZERO } else { self.times.expires_at.min(now + soa_expire) };
                self.times = Times { checked_at: now, expires_at: known.max(now + left) };
                self.rests_until = if is_new { Duration::ZERO } else { now + NOTIFIED_PAUSE };
                (self.timers, self.failures) = (Some([refresh, retry, soa_expire]), 0);
                (self.is_expired, self.is_late) = (false, false);
                self.wait(state, now + jittered(refresh, random));
                None
            }
            (Event::Failed, state) => {
                self.failures = self.failures.saturating_add(1);
                self.rests_until = now + NOTIFIED_PAUSE;
                let doubled = 2_u32.saturating_pow(self.failures.saturating_sub(1).min(16));
                let pause = match self.timers {
                    Some([refresh, retry, _]) => retry.saturating_mul(doubled).min(refresh.max(retry)),
                    None => RETRY_EMPTY.saturating_mul(doubled).min(RETRY_EMPTY_MAX),
                };
                self.wait(state, now + jittered(pause, random));
                None
            }
        }
    }

    /// Whether the zone expires now.
    fn expires(&self, now: Duration) -> bool {
        self.timers.is_some() && !self.is_expired && self.times.expires_at <= now
    }

    fn ask(&mut self) -> Option<Step> {
        self.state = State::Asking { is_asked_again: false };
        Some(Step::Ask)
    }

    /// Waits until `due`, or no longer than it rests where somebody asked meanwhile.
    fn wait(&mut self, state: State, due: Duration) {
        let is_asked_again = matches!(state, State::Asking { is_asked_again: true });
        self.state = State::Waiting(if is_asked_again { self.rests_until } else { due });
    }
}

/// REFRESH, RETRY and EXPIRE within their bounds.
fn bounded(limits: &TransferLimits, seconds: [u32; 3]) -> [Duration; 3] {
    let [refresh, retry, expire] = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let within = |time: Duration, (least, most): (Duration, Duration)| time.max(least).min(most);
    [within(refresh, limits.refresh), within(retry, limits.retry), within(expire, limits.expire)]
}

/// Nine to ten tenths of a pause.
fn jittered(pause: Duration, random: u32) -> Duration {
    let part = pause / JITTER_PARTS;
    pause - part.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);
    const TIMERS: [u32; 3] = [3600, 600, 86_400];

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn current(expire: Option<u32>) -> Event {
        Event::Current { timers: TIMERS, expire, is_new: true }
    }

    #[test]
    fn a_zone_is_asked_for_at_once_and_then_by_its_soa() {
        let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, None);
        assert_eq!(refresh.deadline(), Some(NOW));
        assert_eq!(refresh.handle(NOW, Event::Time, 0), Some(Step::Ask));
        assert_eq!(refresh.deadline(), None);
        assert_eq!(refresh.handle(NOW + seconds(1), current(None), 0), None);
        assert_eq!(refresh.deadline(), Some(NOW + seconds(3601)));
        assert_eq!(refresh.handle(NOW + seconds(3600), Event::Time, 0), None);
        assert_eq!(refresh.handle(NOW + seconds(3601), Event::Time, 0), Some(Step::Ask));
        refresh.handle(NOW + seconds(3601), current(None), u32::MAX);
        assert_eq!(refresh.deadline(), Some(NOW + seconds(3601 + 3240)), "up to a tenth earlier");
    }

    #[test]
    fn failures_are_retried_with_growing_pauses_until_the_zone_expires() {
        let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, Some((Times::default(), TIMERS)));
        refresh.handle(NOW, Event::Asked, 0);
        refresh.handle(NOW, current(None), 0);
        let (mut now, mut pauses) = (NOW, Vec::new());
        let expired = loop {
            let deadline = refresh.deadline().expect("it waits");
            match refresh.handle(deadline, Event::Time, 0) {
                Some(Step::Expire) => break deadline,
                Some(Step::Ask) => refresh.handle(deadline, Event::Failed, 0),
                None => panic!("nothing to do at the deadline"),
            };
            pauses.push((deadline - now).as_secs());
            now = deadline;
        };
        assert_eq!(pauses[..6], [3600, 600, 1200, 2400, 3600, 3600]);
        assert_eq!(expired, NOW + seconds(86_400));
        assert!(refresh.is_expired());
        refresh.handle(expired, Event::Asked, 0);
        refresh.handle(expired, current(None), 0);
        assert!(!refresh.is_expired());
    }

    #[test]
    fn without_a_zone_pauses_grow_from_a_second() {
        let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, None);
        let mut now = NOW;
        let pauses: Vec<u64> = (0..12)
            .map(|_| {
                assert_eq!(refresh.handle(now, Event::Time, 0), Some(Step::Ask));
                refresh.handle(now, Event::Failed, 0);
                let pause = refresh.deadline().expect("it waits") - now;
                now += pause;
                pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn what_is_notified_meanwhile_is_asked_for_again_at_once() {
        let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, None);
        refresh.handle(NOW, Event::Time, 0);
        assert_eq!(refresh.handle(NOW, Event::Notified, 0), None);
        refresh.handle(NOW, current(None), 0);
        assert_eq!(refresh.handle(NOW, Event::Time, 0), Some(Step::Ask));
    }

    #[test]
    fn notifications_without_a_new_version_lead_to_one_attempt_a_second() {
        for ends in [Event::Failed, Event::Current { timers: TIMERS, expire: None, is_new: false }] {
            let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, Some((Times::default(), TIMERS)));
            let mut attempts = 0;
            for millis in 0..10_000 {
                let now = NOW + Duration::from_millis(millis);
                for event in [Event::Notified, Event::Time, Event::Notified] {
                    if refresh.handle(now, event, 0) == Some(Step::Ask) {
                        attempts += 1;
                        refresh.handle(now, Event::Notified, 0);
                        refresh.handle(now, ends, 0);
                    }
                }
            }
            assert_eq!(attempts, 10, "{ends:?}");
        }
    }

    #[test]
    fn the_same_version_from_a_secondary_takes_nothing_from_the_expiry() {
        let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, None);
        let same = |expire| Event::Current { timers: TIMERS, expire: Some(expire), is_new: false };
        refresh.handle(NOW, current(Some(1000)), 0);
        refresh.handle(NOW + seconds(10), same(100), 0);
        assert_eq!(refresh.times().expires_at, NOW + seconds(1000), "less is left elsewhere");
        refresh.handle(NOW + seconds(10), same(5000), 0);
        assert_eq!(refresh.times().expires_at, NOW + seconds(5010));
    }

    #[test]
    fn the_expiry_is_the_primarys_own_and_outlives_a_restart() {
        let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, None);
        refresh.handle(NOW, current(Some(100)), 0);
        assert_eq!(refresh.times().expires_at, NOW + seconds(100));
        let kept = Some((refresh.times(), TIMERS));
        let mut again = Refresh::new(TransferLimits::DEFAULT, NOW + seconds(200), kept);
        assert_eq!(again.handle(NOW + seconds(200), Event::Time, 0), Some(Step::Expire));
        assert_eq!(again.handle(NOW + seconds(200), Event::Time, 0), Some(Step::Ask));
        let set_back = Refresh::new(TransferLimits::DEFAULT, NOW - seconds(1_000_000), kept);
        assert_eq!(set_back.times().expires_at, NOW - seconds(1_000_000) + seconds(86_400));
    }

    #[test]
    fn a_zone_is_late_behind_refresh_and_retry_until_a_primary_confirms_it() {
        let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, None);
        assert_eq!(refresh.standing(), Standing::Awaited);
        refresh.handle(NOW, Event::Time, 0);
        refresh.handle(NOW, current(None), 0);
        assert_eq!(refresh.standing(), Standing::Current);
        let mut now = NOW;
        while refresh.standing() == Standing::Current {
            now = refresh.deadline().expect("it goes on by time");
            if refresh.handle(now, Event::Time, 0) == Some(Step::Ask) {
                refresh.handle(now, Event::Failed, 0);
            }
        }
        assert_eq!((now, refresh.standing()), (NOW + seconds(3600 + 600), Standing::Late));
        assert!(refresh.deadline() > Some(now), "it is noticed once");
        refresh.handle(NOW + seconds(86_400), Event::Time, 0);
        assert_eq!(refresh.standing(), Standing::Expired);
        refresh.handle(NOW + seconds(86_400), current(None), 0);
        assert_eq!(refresh.standing(), Standing::Current);
    }

    #[test]
    fn odd_timers_are_bounded() {
        let mut refresh = Refresh::new(TransferLimits::DEFAULT, NOW, None);
        refresh.handle(NOW, Event::Current { timers: [0, 0, 0], expire: Some(u32::MAX), is_new: true }, 0);
        assert_eq!(refresh.deadline(), Some(NOW + seconds(2)));
        assert_eq!(refresh.times().expires_at, NOW + seconds(60));
        refresh.handle(NOW, Event::Current { timers: [u32::MAX; 3], expire: None, is_new: true }, 0);
        assert_eq!(refresh.next_at(), Some(NOW + seconds(28 * 86_400)));
    }
}
