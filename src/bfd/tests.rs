//! Sessions: alone against written packets, two against each other in fake time with loss, delay and cuts, and what
//! holds of any that is told anything.

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;

use super::*;
use crate::policy::Jitter;

/// The settings of most tests: 50 ms × 3 both ways.
const SETTINGS: SessionSettings =
    SessionSettings { interval: ms(50), multiplier: NonZeroU8::new(3).unwrap(), min_rx: ms(50), is_multihop: false };
/// What the session under test calls itself.
const OURS: NonZeroU32 = NonZeroU32::new(7).unwrap();
/// What the other side calls it.
const THEIRS: NonZeroU32 = NonZeroU32::new(9).unwrap();

/// So many milliseconds.
const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What the other side says in a state, at 50 ms × 3 once it is up.
fn said(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        is_poll: false,
        is_final: false,
        is_independent: false,
        is_demand: false,
        multiplier: SETTINGS.multiplier,
        my_discriminator: THEIRS,
        your_discriminator: Some(OURS),
        desired_min_tx_us: if state == State::Up { 50_000 } else { 1_000_000 },
        required_min_rx_us: 50_000,
        required_min_echo_rx_us: 0,
    }
}

/// Gives a session an event; returns what is to be done.
fn told(session: &mut Session, now: Duration, event: Event<'_>) -> Vec<Action> {
    let mut out = Vec::new();
    session.handle(now, event, &mut out);
    out
}

/// Gives it a packet.
fn hears(session: &mut Session, now: Duration, packet: Packet) -> Vec<Action> {
    told(session, now, Event::Received(&packet.write()))
}

/// The packets among actions.
fn packets(actions: &[Action]) -> Vec<Packet> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send(octets) => Some(Packet::read(octets).expect("what is sent can be read")),
        Action::Changed { .. } => None,
    });
    sent.collect()
}

/// A session in a state, with a proof, and the moment when it got there.
fn session_in(state: State, settings: SessionSettings) -> (Session, Duration) {
    let (mut session, now) = (Session::new(ms(0), settings, OURS, 1), ms(1000));
    told(&mut session, now, Event::Proven(true));
    let heard: &[State] = match state {
        State::AdminDown => &[],
        State::Down => &[State::AdminDown],
        State::Init => &[State::Down],
        State::Up => &[State::Down, State::Up],
    };
    if state != State::AdminDown {
        told(&mut session, now, Event::Begin);
    }
    heard.iter().for_each(|heard| drop(hears(&mut session, now, said(*heard))));
    assert_eq!(session.state(), state);
    (session, now)
}

#[test]
fn every_state_meets_every_received_state_as_the_standard_has_it() {
    use State::{AdminDown, Down, Init, Up};
    // RFC 5880 §6.8.6: rows are our states, columns what is received, in the order of their values.
    let table = [
        (AdminDown, [AdminDown, AdminDown, AdminDown, AdminDown]),
        (Down, [Down, Init, Up, Down]),
        (Init, [Down, Init, Up, Up]),
        (Up, [Down, Down, Up, Up]),
    ];
    for (own, row) in table {
        for (heard, wanted) in State::ALL.into_iter().zip(row) {
            let (mut session, now) = session_in(own, SETTINGS);
            let actions = hears(&mut session, now + ms(1), said(heard));
            let diagnostic = match (own, wanted) {
                (Init | Up, Down) => Diagnostic::NEIGHBOR_SIGNALED_DOWN,
                _ => Diagnostic::NONE,
            };
            let change = Action::Changed { from: own, to: wanted, diagnostic };
            let wanted_changes = if own == wanted { vec![] } else { vec![change] };
            let (changes, sent): (Vec<Action>, Vec<Action>) =
                actions.iter().partition(|action| matches!(action, Action::Changed { .. }));
            assert_eq!((session.state(), changes), (wanted, wanted_changes), "{own:?} hears {heard:?}");
            let said_of_it: Vec<_> = packets(&sent).iter().map(|sent| (sent.state, sent.diagnostic)).collect();
            let wanted_said = if own == wanted { vec![] } else { vec![(wanted, diagnostic)] };
            assert_eq!(said_of_it, wanted_said, "{own:?} hears {heard:?}: a change is said at once, and nothing else");
        }
    }
}

#[test]
fn packets_that_are_refused_change_nothing_and_are_counted() {
    let stranger = Packet { your_discriminator: Some(THEIRS), ..said(State::Down) };
    let demanding = Packet { is_demand: true, ..said(State::Up) };
    let mut authenticated = said(State::Down).write();
    authenticated[1] |= 4;
    let table = [
        (stranger.write().to_vec(), Refusal::Stranger),
        (demanding.write().to_vec(), Refusal::Demand),
        (authenticated.to_vec(), Refusal::Malformed(Malformed::Authenticated)),
        (vec![], Refusal::Malformed(Malformed::Short)),
    ];
    for (octets, refusal) in table {
        let (mut session, now) = session_in(State::Up, SETTINGS);
        let (before, deadline) = (session.facts(), session.deadline());
        assert_eq!(told(&mut session, now + ms(1), Event::Received(&octets)), []);
        let wanted = Facts { refused: before.refused + 1, last_refusal: Some(refusal), ..before };
        assert_eq!((session.facts(), session.deadline()), (wanted, deadline), "{refusal}");
    }
    let (mut session, now) = session_in(State::AdminDown, SETTINGS);
    assert_eq!(hears(&mut session, now, said(State::Down)), []);
    assert_eq!(session.facts().last_refusal, Some(Refusal::AdminDown));
}

#[test]
fn a_session_that_begins_speaks_at_once_then_about_once_a_second_until_it_is_up() {
    let (mut session, mut now) = (Session::new(ms(0), SETTINGS, OURS, 3), ms(0));
    told(&mut session, now, Event::Proven(true));
    let sent = packets(&told(&mut session, now, Event::Begin));
    let first = sent.first().expect("it speaks at once");
    let wanted = (State::Down, None, 1_000_000, 50_000, 0);
    let got = (
        first.state,
        first.your_discriminator,
        first.desired_min_tx_us,
        first.required_min_rx_us,
        first.required_min_echo_rx_us,
    );
    assert_eq!(got, wanted);
    for _ in 0..100 {
        let next = session.deadline().expect("it goes on");
        assert!((ms(750)..=ms(1000)).contains(&(next - now)), "{:?}", next - now);
        now = next;
        assert_eq!(packets(&told(&mut session, now, Event::Tick)).len(), 1);
    }
}

#[test]
fn up_means_the_negotiated_interval_with_jitter_and_less_of_it_where_one_packet_decides() {
    for (multiplier, required_ms, low, high) in
        [(3, 50, 37, 50), (1, 50, 37, 45), (3, 200, 150, 200), (1, 200, 150, 180)]
    {
        let settings = SessionSettings { multiplier: NonZeroU8::new(multiplier).expect("not 0"), ..SETTINGS };
        let (mut session, mut now) = session_in(State::Up, settings);
        let required_min_rx_us = required_ms * 1000;
        let heard = Packet { required_min_rx_us, desired_min_tx_us: 1_000_000, is_final: true, ..said(State::Up) };
        let (mut gaps, mut sent_at) = (Vec::new(), None);
        for _ in 0..400 {
            hears(&mut session, now, heard);
            now = session.deadline().expect("it goes on");
            if !packets(&told(&mut session, now, Event::Tick)).is_empty() {
                gaps.extend(sent_at.replace(now).map(|before| now - before));
            }
        }
        gaps.remove(0);
        let (least, most) = (gaps.iter().min().expect("some"), gaps.iter().max().expect("some"));
        assert!(*least >= ms(low) && *most <= ms(high), "× {multiplier}: {least:?} to {most:?}");
        assert!(*most - *least > (ms(high) - ms(low)) / 2, "× {multiplier}: {least:?} to {most:?}: no jitter");
        assert_eq!(session.facts().remote_detection_time, Some(ms(u64::from(required_ms * u32::from(multiplier)))));
    }
}

#[test]
fn the_other_side_is_given_up_after_its_own_multiplier_of_the_slower_interval() {
    // What it likes to send at, its multiplier, what we can receive at, and when it is given up.
    for (desired_ms, multiplier, min_rx_ms, wanted_ms) in [(50, 3, 50, 150), (10, 5, 50, 250), (300, 2, 50, 600)] {
        let settings = SessionSettings { min_rx: ms(min_rx_ms), ..SETTINGS };
        let (mut session, now) = session_in(State::Up, settings);
        let multiplier = NonZeroU8::new(multiplier).expect("not 0");
        let heard_at = now + ms(20);
        hears(&mut session, heard_at, Packet { multiplier, desired_min_tx_us: desired_ms * 1000, ..said(State::Up) });
        assert_eq!(session.facts().detection_time, Some(ms(wanted_ms)));
        let down_at = loop {
            let now = session.deadline().expect("it is watched");
            let actions = told(&mut session, now, Event::Tick);
            if session.state() != State::Up {
                let wanted = (State::Down, Diagnostic::DETECTION_TIME_EXPIRED, None, 1_000_000);
                let said = packets(&actions)[0];
                let got = (said.state, said.diagnostic, said.your_discriminator, said.desired_min_tx_us);
                assert_eq!(got, wanted, "it is said at once");
                break now;
            }
        };
        assert_eq!(down_at - heard_at, ms(wanted_ms));
    }
}

#[test]
fn a_poll_is_answered_at_once_with_final_and_never_with_both() {
    let (mut session, now) = session_in(State::Up, SETTINGS);
    let sent = packets(&hears(&mut session, now + ms(3), Packet { is_poll: true, ..said(State::Up) }));
    assert_eq!(sent.iter().map(|sent| (sent.is_final, sent.is_poll)).collect::<Vec<_>>(), [(true, false)]);
    let next = session.deadline().expect("it goes on");
    let sent = packets(&told(&mut session, next, Event::Tick));
    assert_eq!(sent.iter().map(|sent| (sent.is_final, sent.is_poll)).collect::<Vec<_>>(), [(false, true)]);
}

#[test]
fn going_up_asks_for_a_final_until_it_comes() {
    let (mut session, mut now) = session_in(State::Init, SETTINGS);
    let mut sent = packets(&hears(&mut session, now, said(State::Up)));
    for _ in 0..4 {
        now = session.deadline().expect("it goes on");
        sent.extend(packets(&told(&mut session, now, Event::Tick)));
        hears(&mut session, now, said(State::Up));
    }
    assert!(sent.iter().all(|sent| sent.is_poll && sent.desired_min_tx_us == 50_000), "{sent:?}");
    hears(&mut session, now, Packet { is_final: true, ..said(State::Up) });
    now = session.deadline().expect("it goes on");
    let sent = packets(&told(&mut session, now, Event::Tick));
    assert!(!sent.is_empty() && sent.iter().all(|sent| !sent.is_poll), "{sent:?}");
}

#[test]
fn who_can_receive_faster_again_is_sent_to_faster_at_once_and_who_wants_nothing_gets_nothing() {
    let (mut session, now) = session_in(State::Up, SETTINGS);
    hears(&mut session, now, Packet { required_min_rx_us: 5_000_000, ..said(State::Up) });
    let slow_at = session.deadline().expect("what was due stays due");
    told(&mut session, slow_at, Event::Tick);
    assert_eq!(session.facts().transmit_interval, Some(ms(5000)));
    hears(&mut session, slow_at, said(State::Up));
    let next = session.deadline().expect("it goes on");
    assert!(next - slow_at <= ms(50), "{:?}", next - slow_at);
    hears(&mut session, slow_at, Packet { required_min_rx_us: 0, ..said(State::Up) });
    assert_eq!(session.deadline(), Some(slow_at + ms(150)), "only the other side is watched");
    let polled = Packet { required_min_rx_us: 0, is_poll: true, ..said(State::Up) };
    assert_eq!(packets(&hears(&mut session, slow_at, polled)).len(), 1, "a Final is no periodic packet");
}

#[test]
fn who_wanted_no_packets_and_is_silent_now_is_spoken_to_again() {
    let (mut session, now) = session_in(State::Down, SETTINGS);
    hears(&mut session, now, Packet { required_min_rx_us: 0, ..said(State::AdminDown) });
    let gone_at = session.deadline().expect("it is watched");
    assert_eq!(packets(&told(&mut session, gone_at, Event::Tick)).len(), 1);
    assert!(session.deadline().is_some());
}

#[test]
fn without_a_proof_nothing_leaves_and_with_the_next_one_what_was_due_does() {
    let (mut session, mut now) = session_in(State::Up, SETTINGS);
    told(&mut session, now, Event::Proven(false));
    let before = session.facts();
    for _ in 0..10 {
        now = session.deadline().expect("it goes on");
        assert_eq!(told(&mut session, now, Event::Tick), []);
        assert_eq!(hears(&mut session, now, Packet { is_poll: true, ..said(State::Up) }), [], "not even a Final");
    }
    let facts = session.facts();
    assert_eq!((facts.sent, facts.withheld), (before.sent, before.withheld + 20));
    let sent = packets(&told(&mut session, now + ms(1), Event::Proven(true)));
    assert_eq!(sent.iter().map(|sent| (sent.state, sent.is_final)).collect::<Vec<_>>(), [(State::Up, true)]);
    assert_eq!(told(&mut session, now + ms(2), Event::Proven(true)), [], "once");
}

#[test]
fn a_session_that_ends_is_silent_and_one_that_begins_again_starts_from_down() {
    let (mut session, now) = session_in(State::Up, SETTINGS);
    let diagnostic = Diagnostic::ADMINISTRATIVELY_DOWN;
    let change = Action::Changed { from: State::Up, to: State::AdminDown, diagnostic };
    assert_eq!(told(&mut session, now, Event::End), [change]);
    assert_eq!((session.deadline(), told(&mut session, now + ms(9000), Event::Tick)), (None, vec![]));
    assert_eq!(told(&mut session, now, Event::End), []);
    let sent = packets(&told(&mut session, now + ms(9001), Event::Begin));
    assert_eq!(
        sent.iter().map(|sent| (sent.state, sent.your_discriminator)).collect::<Vec<_>>(),
        [(State::Down, None)]
    );
}

#[test]
fn a_late_tick_sends_one_packet() {
    let (mut session, now) = session_in(State::Up, SessionSettings { min_rx: INTERVAL_MAX, ..SETTINGS });
    let late = now + ms(5000);
    assert_eq!(packets(&told(&mut session, late, Event::Tick)).len(), 1);
    assert!(session.deadline().expect("it goes on") >= late + ms(37));
}

#[test]
fn settings_beyond_their_bounds_are_kept_within() {
    let settings = SessionSettings { interval: ms(1), min_rx: ms(60_000), is_multihop: true, ..SETTINGS };
    assert_eq!((settings.port(), settings.ttl_min()), (4784, 1));
    assert_eq!((SETTINGS.port(), SETTINGS.ttl_min()), (3784, 255));
    let (session, _) = session_in(State::Up, settings);
    let facts = session.facts();
    assert_eq!((facts.transmit_interval, facts.receive_interval), (Some(ms(50)), INTERVAL_MAX));
}

/// Two sessions and the way between them, in fake time.
struct World {
    now: Duration,
    sides: [Session; 2],
    /// What is under way: when it arrives, at which side, what.
    under_way: Vec<(Duration, usize, [u8; PACKET_BYTES])>,
    random: Jitter,
    /// Packets in 100 that are lost.
    loss: u32,
    /// The longest delay.
    delay: Duration,
    /// Whether each side's packets get away.
    is_cut: [bool; 2],
    /// Each change of state: when, of which side, to what, why.
    changes: Vec<(Duration, usize, State, Diagnostic)>,
}

impl World {
    /// Both sides proven and begun.
    fn new(seed: u64, settings: [SessionSettings; 2]) -> Self {
        let new = |side: usize, name| Session::new(ms(0), settings[side], name, seed + side as u64);
        let mut world = Self {
            now: ms(0),
            sides: [new(0, OURS), new(1, THEIRS)],
            under_way: Vec::new(),
            random: Jitter::new(seed),
            loss: 0,
            delay: ms(2),
            is_cut: [false; 2],
            changes: Vec::new(),
        };
        for side in 0..2 {
            world.tell(side, Event::Proven(true));
            world.tell(side, Event::Begin);
        }
        world
    }

    /// Gives a side an event, and carries out what it says.
    fn tell(&mut self, side: usize, event: Event<'_>) {
        for action in told(&mut self.sides[side], self.now, event) {
            match action {
                Action::Changed { to, diagnostic, .. } => self.changes.push((self.now, side, to, diagnostic)),
                Action::Send(octets) => {
                    let is_lost = self.is_cut[side] || self.random.up_to(99) < self.loss;
                    // What was sent first arrives first.
                    let before = self.under_way.iter().rfind(|(_, to, _)| *to != side).map(|(at, ..)| *at);
                    let at = (self.now + self.random.below(self.delay)).max(before.unwrap_or_default());
                    self.under_way.extend((!is_lost).then_some((at, 1 - side, octets)));
                }
            }
        }
    }

    /// Lets time go on until `end`.
    fn run(&mut self, end: Duration) {
        loop {
            let arrival = self.under_way.iter().map(|(at, ..)| *at).min();
            let tick = self.sides.iter().filter_map(Session::deadline).min();
            let Some(next) = arrival.into_iter().chain(tick).min().filter(|next| *next <= end) else { break };
            self.now = next;
            if let Some(index) = self.under_way.iter().position(|(at, ..)| *at <= next) {
                let (_, side, octets) = self.under_way.remove(index);
                self.tell(side, Event::Received(&octets));
                continue;
            }
            for side in 0..2 {
                if self.sides[side].deadline().is_some_and(|at| at <= next) {
                    self.tell(side, Event::Tick);
                }
            }
        }
        self.now = end;
    }

    /// The states of both.
    fn states(&self) -> [State; 2] {
        self.sides.each_ref().map(Session::state)
    }
}

/// Settings that differ: 50 ms × 3 against 100 ms × 5.
const UNLIKE: [SessionSettings; 2] =
    [SETTINGS, SessionSettings { interval: ms(100), multiplier: NonZeroU8::new(5).unwrap(), ..SETTINGS }];

#[test]
fn two_sessions_come_up_within_a_second_whatever_the_seed_and_stay_up() {
    for seed in 0..200 {
        let mut world = World::new(seed, UNLIKE);
        world.run(ms(1100));
        assert_eq!(world.states(), [State::Up; 2], "seed {seed}");
        world.run(ms(60_000));
        assert_eq!(world.states(), [State::Up; 2], "seed {seed}");
        let is_down = |change: &&(Duration, usize, State, Diagnostic)| change.0 > ms(1100) && change.2 != State::Up;
        assert_eq!(world.changes.iter().find(is_down), None, "seed {seed}");
        let facts = world.sides.each_ref().map(Session::facts);
        assert_eq!(facts.map(|facts| facts.detection_time), [Some(ms(500)), Some(ms(150))], "seed {seed}");
        assert_eq!(facts.map(|facts| facts.remote_detection_time), [Some(ms(150)), Some(ms(500))], "seed {seed}");
        assert!(facts.iter().all(|facts| facts.refused == 0 && facts.withheld == 0), "seed {seed}: {facts:?}");
    }
}

#[test]
fn one_lost_packet_in_ten_takes_nothing_down_where_five_must_be_lost_in_a_row() {
    let five = SessionSettings { multiplier: NonZeroU8::new(5).expect("not 0"), ..SETTINGS };
    for seed in 0..20 {
        let mut world = World::new(seed, [five; 2]);
        (world.loss, world.delay) = (10, ms(10));
        world.run(ms(5_000));
        assert_eq!(world.states(), [State::Up; 2], "seed {seed}");
        let count = world.changes.len();
        world.run(ms(30_000));
        assert!(world.changes.len() <= count + 8, "seed {seed}: {:?}", &world.changes[count..]);
    }
}

#[test]
fn who_falls_silent_is_given_up_in_its_detection_time_and_is_up_again_soon_after_the_next_proof() {
    for seed in 0..200 {
        let mut world = World::new(seed, [SETTINGS; 2]);
        world.run(ms(5_000) + world.random.clone().below(ms(1000)));
        let silent_at = world.now;
        world.changes.clear();
        world.tell(0, Event::Proven(false));
        world.run(silent_at + ms(152));
        let (at, side, to, diagnostic) = world.changes[0];
        assert_eq!((side, to, diagnostic), (1, State::Down, Diagnostic::DETECTION_TIME_EXPIRED), "seed {seed}");
        assert!(at - silent_at >= ms(98), "seed {seed}: {:?}", at - silent_at);
        let sent = world.sides[0].facts().sent;
        world.run(silent_at + ms(5_000));
        assert_eq!(world.sides[0].facts().sent, sent, "seed {seed}: silence is silence");
        assert_eq!(world.states(), [State::Init, State::Down], "seed {seed}: it was told, and says nothing");
        world.tell(0, Event::Proven(true));
        world.run(silent_at + ms(5_010));
        assert_eq!(world.states(), [State::Up; 2], "seed {seed}: the packet that was owed is an Init");
    }
}

#[test]
fn a_silence_shorter_than_the_detection_time_is_not_noticed() {
    for seed in 0..200 {
        let mut world = World::new(seed, [SETTINGS; 2]);
        world.run(ms(5_000));
        world.changes.clear();
        world.tell(0, Event::Proven(false));
        world.run(ms(5_090));
        world.tell(0, Event::Proven(true));
        world.run(ms(9_000));
        assert_eq!(world.changes, [], "seed {seed}");
    }
}

#[test]
fn a_cut_in_one_direction_takes_both_down_and_both_come_back() {
    for seed in 0..200 {
        let mut world = World::new(seed, [SETTINGS; 2]);
        world.run(ms(3_000));
        world.is_cut[0] = true;
        world.run(ms(3_160));
        assert_eq!(world.states(), [State::Down; 2], "seed {seed}: {:?}", world.changes);
        world.run(ms(8_000));
        assert_eq!(world.states(), [State::Init, State::Down], "seed {seed}");
        world.is_cut[0] = false;
        world.run(ms(9_100));
        assert_eq!(world.states(), [State::Up; 2], "seed {seed}");
    }
}

#[test]
fn a_side_that_starts_anew_with_another_name_takes_the_old_session_down_and_comes_up() {
    for seed in 0..200 {
        let mut world = World::new(seed, [SETTINGS; 2]);
        world.run(ms(3_000));
        world.sides[0] = Session::new(world.now, SETTINGS, NonZeroU32::new(77).expect("not 0"), seed);
        world.tell(0, Event::Proven(true));
        world.tell(0, Event::Begin);
        world.run(ms(4_200));
        assert_eq!(world.states(), [State::Up; 2], "seed {seed}");
        assert!(world.changes.iter().any(|(_, side, to, _)| (*side, *to) == (1, State::Down)), "seed {seed}");
    }
}
