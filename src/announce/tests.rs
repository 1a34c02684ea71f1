//! Several announcers at once: what is wanted is done when all have done it, whoever of them is slow or fails.

use std::sync::{Condvar, Mutex};

use super::*;
use crate::policy::Reason;

/// A stance that is decided.
fn decision(stance: Stance) -> Decision {
    Decision { stance, reason: Reason::Proven }
}

/// An announcer that records what is wanted, and does it when the test says so.
#[derive(Debug)]
pub(crate) struct Recorder {
    state: Mutex<Recorded>,
    changed: Condvar,
}

/// What it has recorded.
#[derive(Debug)]
struct Recorded {
    wanted: Vec<Stance>,
    announced: Vec<bool>,
    /// How often it is still to fail.
    failures_left: u32,
    /// How often it failed.
    failures: u64,
    lapses: u64,
}

impl Recorder {
    pub(crate) fn new(address_count: usize) -> Arc<Self> {
        let (wanted, announced) = (vec![Stance::Withdraw; address_count], vec![false; address_count]);
        let state = Recorded { wanted, announced, failures_left: 0, failures: 0, lapses: 0 };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Has the next `count` tries fail.
    fn fail(&self, count: u32) {
        self.state.lock().expect("nobody panicked").failures_left = count;
    }

    /// Tries to do what is wanted, as an announcer's own thread does again and again.
    pub(crate) fn work(&self) {
        let mut state = self.state.lock().expect("nobody panicked");
        if state.failures_left > 0 {
            (state.failures_left, state.failures) = (state.failures_left - 1, state.failures + 1);
            return;
        }
        state.announced = state.wanted.iter().map(|stance| *stance != Stance::Withdraw).collect();
        self.changed.notify_all();
    }

    /// Withdraws all by itself.
    pub(crate) fn lapse(&self) {
        let mut state = self.state.lock().expect("nobody panicked");
        state.announced.fill(false);
        state.lapses += 1;
    }
}

impl Announcer for Recorder {
    fn want(&self, wanted: &[Decision]) {
        let wanted = wanted.iter().map(|decision| decision.stance).collect();
        self.state.lock().expect("nobody panicked").wanted = wanted;
    }

    fn seen(&self) -> Vec<Announcement> {
        let state = self.state.lock().expect("nobody panicked");
        let each = state.wanted.iter().zip(&state.announced);
        each.map(|(stance, is_announced)| Announcement {
            stance: *stance,
            is_done: *is_announced == (*stance != Stance::Withdraw),
            is_announced: *is_announced,
            since: Duration::ZERO,
            renewed: None,
            lapses: state.lapses,
            is_elsewhere: false,
        })
        .collect()
    }

    fn wait_withdrawn(&self, timeout: Duration) -> bool {
        let state = self.state.lock().expect("nobody panicked");
        let is_announced = |state: &mut Recorded| state.announced.contains(&true);
        let (mut state, _) = self.changed.wait_timeout_while(state, timeout, is_announced).expect("nobody panicked");
        !is_announced(&mut state)
    }

    fn counters(&self) -> Counters {
        Counters { requests_failed: self.state.lock().expect("nobody panicked").failures, ..Counters::default() }
    }
}

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two announcers of one address, and both as one.
fn two() -> (Arc<Recorder>, Arc<Recorder>, Announcers) {
    let (quick, slow) = (Recorder::new(1), Recorder::new(1));
    let both = Announcers::new(vec![Arc::clone(&quick) as Arc<dyn Announcer>, Arc::clone(&slow) as Arc<dyn Announcer>]);
    (quick, slow, both)
}

/// Whether the address is announced, and whether that is what is wanted.
fn state_of(announcer: &dyn Announcer) -> (bool, bool) {
    let seen = announcer.seen()[0];
    (seen.is_announced, seen.is_done)
}

#[test]
fn an_address_is_announced_with_the_first_and_withdrawn_with_the_last() {
    let (quick, slow, both) = two();
    assert_eq!(state_of(&both), (false, true));
    both.want(&[decision(Stance::Announce)]);
    assert_eq!(state_of(&both), (false, false), "each of them knows");
    quick.work();
    assert_eq!(state_of(&both), (true, false), "the slow one is waited for");
    slow.work();
    assert_eq!(state_of(&both), (true, true));
    both.want(&[decision(Stance::Withdraw)]);
    quick.work();
    assert!(!both.wait_withdrawn(Duration::from_millis(1)), "one of them announces it still");
    assert_eq!(state_of(&both), (true, false));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| both.wait_withdrawn(PATIENCE));
        slow.work();
        assert!(waiting.join().expect("it waits"), "all have done it");
    });
    assert_eq!(state_of(&both), (false, true));
}

#[test]
fn one_that_fails_holds_the_others_up_for_nothing_and_is_waited_for_until_it_has_done_it() {
    let (well, failing, both) = two();
    both.want(&[decision(Stance::Announce)]);
    [&well, &failing].into_iter().for_each(|announcer| announcer.work());
    failing.fail(3);
    both.want(&[decision(Stance::Withdraw)]);
    for tries in 0..3 {
        [&well, &failing].into_iter().for_each(|announcer| announcer.work());
        assert_eq!(state_of(&*well), (false, true));
        assert_eq!((state_of(&both), both.counters().requests_failed), ((true, false), tries + 1));
        assert!(!both.wait_withdrawn(Duration::ZERO));
    }
    failing.work();
    assert!(both.wait_withdrawn(Duration::ZERO));
}

#[test]
fn a_lease_that_runs_out_with_one_of_them_is_seen() {
    let (well, lapsing, both) = two();
    both.want(&[decision(Stance::Announce)]);
    [&well, &lapsing].into_iter().for_each(|announcer| announcer.work());
    lapsing.lapse();
    assert_eq!((state_of(&both), both.seen()[0].lapses), ((true, false), 1));
    lapsing.work();
    assert_eq!((state_of(&both), both.seen()[0].lapses), ((true, true), 1), "it is put back while it is wanted");
}

#[test]
fn one_that_has_not_noticed_yet_what_is_wanted_has_not_done_it() {
    let seen = |stance, since, renewed| Announcement {
        stance,
        is_done: true,
        is_announced: stance != Stance::Withdraw,
        since: Duration::from_secs(since),
        renewed: Some(Duration::from_secs(renewed)),
        lapses: 2,
        is_elsewhere: false,
    };
    let (old, new) = (seen(Stance::Announce, 1, 7), seen(Stance::Withdraw, 5, 6));
    let expected = Announcement { is_done: false, renewed: new.renewed, lapses: 4, ..old };
    assert_eq!(old.join(new), expected);
    assert_eq!(new.join(old), Announcement { stance: Stance::Withdraw, ..expected });
    assert_eq!(old.join(seen(Stance::Announce, 3, 7)), Announcement { lapses: 4, ..old });
    let gone = new.join(seen(Stance::Withdraw, 8, 7));
    assert_eq!((gone.is_done, gone.since), (true, Duration::from_secs(8)));
}
