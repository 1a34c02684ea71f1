//! Two BGP sessions face each other in fake time, over a stream that is cut, slow, or stuck: what is promised of each
//! holds for any course of events, both find each other again, and another implementation reads what they send.

#[allow(unreachable_pub)] // For the fuzz targets it is a crate of its own.
#[path = "../fuzz/src/bgp.rs"]
mod bgp;

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use bgp::{Judged, PREFIXES, attributes, link, prefix};
use fated::bgp::{Action, AsNumber, Attributes, BfdState, ConnectFailure, Event, Role, Route, SessionSettings, State};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;
use zettabgp::prelude::{BgpAddrs, BgpAttrItem, BgpMessage, BgpSessionParams, BgpTransportMode, BgpUpdateMessage};

/// How old a proof may be.
const AGE_MAX: Duration = Duration::from_secs(1);
/// How long two sessions may take to find each other when nothing disturbs them: the longest waits of both, in turn.
const RECOVERY: Duration = Duration::from_secs(30);

/// What happens to the two, or to the stream between them.
#[derive(Clone, Debug)]
enum Turn {
    /// Time passes, and each side has its ticks.
    Pass(u64),
    /// Time passes, and one side does not run.
    Freeze(usize, u64),
    /// So many octets arrive at a side.
    Deliver(usize, usize),
    /// A side takes nothing for now, or does again.
    Stick(usize, bool),
    /// The connection is cut.
    Cut,
    /// The connection that is asked for fails.
    Refuse,
    /// One route of a side is wanted in some way, or not at all.
    Want(usize, usize, Option<u8>),
    /// Routes of a side are proven.
    Prove(usize, u8),
    /// BFD of a side sees something.
    Bfd(usize, u8),
    /// A side is ended, and begins again.
    End(usize),
    Begin(usize),
    /// A side is asked for its routes once more, which only a real router does.
    Ask(usize),
}

/// Any turn; most let the two talk.
fn turn() -> impl Strategy<Value = Turn> {
    let side = || 0..2_usize;
    prop_oneof![
        6 => (1..2000_u64).prop_map(Turn::Pass),
        1 => (side(), 1..4000_u64).prop_map(|(side, time)| Turn::Freeze(side, time)),
        8 => (side(), 1..300_usize).prop_map(|(side, count)| Turn::Deliver(side, count)),
        1 => (side(), any::<bool>()).prop_map(|(side, is_stuck)| Turn::Stick(side, is_stuck)),
        1 => Just(Turn::Cut),
        1 => Just(Turn::Refuse),
        4 => (side(), 0..4_usize, proptest::option::weighted(0.8, any::<u8>()))
            .prop_map(|(side, route, choice)| Turn::Want(side, route, choice)),
        8 => (side(), any::<u8>()).prop_map(|(side, which)| Turn::Prove(side, which)),
        1 => (side(), 0..3_u8).prop_map(|(side, state)| Turn::Bfd(side, state)),
        1 => side().prop_map(Turn::End),
        2 => side().prop_map(Turn::Begin),
        1 => side().prop_map(Turn::Ask),
    ]
}

/// One side, and what is on its way to it.
struct Side {
    judged: Judged,
    wanted: Vec<Route>,
    incoming: VecDeque<u8>,
    /// Whether its kernel takes nothing off the stream, so that what the other sends stays with that.
    is_stuck: bool,
    /// Whether something of the other side's was told to be unsent.
    has_told: bool,
}

/// Both sides; the first one connects.
struct World {
    now: Duration,
    sides: [Side; 2],
    is_connecting: bool,
    is_up: bool,
    is_ipv6: bool,
}

impl World {
    fn new(settings: [SessionSettings; 2], is_ipv6: bool, seed: u64) -> Self {
        let now = Duration::from_secs(100);
        let side = |settings: SessionSettings| Side {
            judged: Judged::new(now, settings, seed),
            wanted: PREFIXES.map(|text| Route { prefix: prefix(text), wanted: None, proven: None }).to_vec(),
            incoming: VecDeque::new(),
            is_stuck: false,
            has_told: false,
        };
        let mut world = Self { now, sides: settings.map(side), is_connecting: false, is_up: false, is_ipv6 };
        world.event(0, Event::Begin);
        world.event(1, Event::Begin);
        world
    }

    /// Lets something happen to a side, and does what it asks for.
    fn event(&mut self, side: usize, event: Event<'_>) {
        let actions = self.sides[side].judged.event(self.now, event);
        for update in std::mem::take(&mut self.sides[side].judged.updates) {
            second_opinion(
                &update,
                self.sides[side].judged.session.facts().agreed.is_none_or(|agreed| agreed.is_four_octet),
            );
        }
        for action in actions {
            match action {
                Action::Connect => self.is_connecting = true,
                Action::Send(octets) if self.is_up => self.sides[1 - side].incoming.extend(octets),
                // The last words arrive; the other side's are lost, as is all that was on the way where it is reset.
                Action::Disconnect if self.is_up => {
                    self.is_up = false;
                    let octets: Vec<u8> = self.sides[1 - side].incoming.drain(..).collect();
                    self.event(1 - side, Event::Received(&octets));
                    self.part();
                    self.event(1 - side, Event::Disconnected);
                }
                Action::Abort if self.is_up => {
                    self.part();
                    self.event(1 - side, Event::Disconnected);
                }
                Action::Abort => self.is_connecting = false,
                _ => {}
            }
        }
    }

    /// The connection is gone, and what was on the way.
    fn part(&mut self) {
        self.is_up = false;
        for side in &mut self.sides {
            side.incoming.clear();
            (side.is_stuck, side.has_told) = (false, false);
        }
    }

    /// Lets the connection that is asked for come up, if the other side has none of its own.
    fn connect(&mut self) {
        if std::mem::take(&mut self.is_connecting) && !self.is_up {
            self.is_up = true;
            self.event(1, Event::Connected(link(self.is_ipv6, false)));
            if self.is_up {
                self.event(0, Event::Connected(link(self.is_ipv6, true)));
            } else {
                self.event(0, Event::ConnectFailed(ConnectFailure::Refused));
            }
        }
    }

    /// Lets octets arrive at a side, and tells the other what has not left.
    fn deliver(&mut self, side: usize, count: usize) {
        if self.is_up && !self.sides[side].is_stuck {
            let count = count.min(self.sides[side].incoming.len());
            let octets: Vec<u8> = self.sides[side].incoming.drain(..count).collect();
            self.event(side, Event::Received(&octets));
        }
        let unsent = if self.sides[side].is_stuck { self.sides[side].incoming.len() } else { 0 };
        if self.is_up && (unsent > 0 || self.sides[side].has_told) {
            self.sides[side].has_told = unsent > 0;
            self.event(1 - side, Event::Sent { unsent });
        }
    }

    /// Lets time pass for the sides that run, with a tick at each deadline.
    fn pass(&mut self, time: Duration, runs: [bool; 2]) {
        let end = self.now + time;
        loop {
            let deadline = |side: usize| self.sides[side].judged.session.deadline().filter(|_| runs[side]);
            let next = [0, 1].into_iter().filter_map(|side| Some((deadline(side)?, side))).min();
            let Some((at, side)) = next.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.sides[side].judged.assert_heard(self.now);
            self.event(side, Event::Tick);
        }
        self.now = end;
    }

    /// Proves the routes of a side that bits choose.
    fn prove(&mut self, side: usize, which: u8) {
        let mut wanted = self.sides[side].wanted.clone();
        let proven = wanted.iter_mut().enumerate().filter(|(index, _)| which & (1 << index) != 0);
        proven.for_each(|(_, route)| route.proven = Some(self.now));
        self.want(side, wanted);
    }

    /// Tells a side what is wanted.
    fn want(&mut self, side: usize, wanted: Vec<Route>) {
        self.sides[side].wanted.clone_from(&wanted);
        self.event(side, Event::Wanted(&wanted));
    }

    fn turn(&mut self, turn: &Turn) {
        match *turn {
            Turn::Pass(time) => self.pass(Duration::from_millis(time), [true; 2]),
            Turn::Freeze(side, time) => {
                self.pass(Duration::from_millis(time), [side != 0, side != 1]);
                // What is late is made up for, the timers first.
                self.event(side, Event::Tick);
            }
            Turn::Deliver(side, count) => self.deliver(side, count),
            Turn::Stick(side, is_stuck) => {
                self.sides[side].is_stuck = is_stuck && self.is_up;
                self.deliver(side, 0);
            }
            Turn::Cut if self.is_up => {
                self.part();
                self.event(0, Event::Disconnected);
                self.event(1, Event::Disconnected);
            }
            Turn::Refuse if self.is_connecting => {
                self.is_connecting = false;
                self.event(0, Event::ConnectFailed(ConnectFailure::Refused));
            }
            Turn::Cut | Turn::Refuse => {}
            Turn::Want(side, route, choice) => {
                let mut wanted = self.sides[side].wanted.clone();
                wanted[route].wanted = choice.map(attributes);
                self.want(side, wanted);
            }
            Turn::Prove(side, which) => self.prove(side, which),
            Turn::Bfd(side, state) => {
                let state = [BfdState::Off, BfdState::Down, BfdState::Up][usize::from(state)];
                self.event(side, Event::Bfd(state));
            }
            Turn::End(side) => self.event(side, Event::End { subcode: 2, text: "an end" }),
            Turn::Begin(side) => self.event(side, Event::Begin),
            Turn::Ask(side) if self.is_up && self.sides[1 - side].judged.session.state() == State::Established => {
                let family = 1 + (self.now.as_millis() % 2) as u8;
                self.sides[side].incoming.extend(bgp::message(5, &[0, family, 0, 1]));
            }
            Turn::Ask(_) => {}
        }
        self.connect();
    }

    /// Lets both run undisturbed with all that is wanted proven, until both are established and have told all; returns
    /// whether they came so far within [`RECOVERY`].
    fn recovers(&mut self) -> bool {
        let end = self.now + RECOVERY;
        for side in [0, 1] {
            self.sides[side].is_stuck = false;
            let wanted = PREFIXES.map(|text| Route {
                prefix: prefix(text),
                wanted: Some(Attributes { local_pref: 100, ..Attributes::default() }),
                proven: Some(self.now),
            });
            self.want(side, wanted.to_vec());
            self.event(side, Event::Bfd(BfdState::Up));
            self.event(side, Event::Begin);
        }
        while self.now < end && !self.is_settled() {
            for side in [0, 1] {
                self.prove(side, 0xFF);
                self.connect();
                self.deliver(side, usize::MAX);
            }
            self.pass(Duration::from_millis(50), [true; 2]);
        }
        self.is_settled()
    }

    /// Whether each side is established, and has what the other announces: all there is.
    fn is_settled(&self) -> bool {
        let all: BTreeSet<IpNet> = PREFIXES.map(prefix).into();
        self.sides.iter().enumerate().all(|(index, side)| {
            let facts = side.judged.session.facts();
            let theirs = &self.sides[1 - index].judged.announced;
            let known: BTreeSet<IpNet> = facts.routes.iter().map(|route| route.prefix).collect();
            facts.state == State::Established && *theirs == all && known == all
        })
    }
}

/// Compares what another implementation reads with what the walk of the judge has read: that it reads it at all, with
/// a path and the prefixes.
fn second_opinion(octets: &[u8], is_four_octet: bool) {
    let mut terms = BgpSessionParams::new(65001, 90, BgpTransportMode::IPv4, Ipv4Addr::new(10, 0, 0, 1), Vec::new());
    (terms.has_as32bit, terms.fuzzy_pathid) = (is_four_octet, false);
    let mut update = BgpUpdateMessage::new();
    update.decode_from(&terms, &octets[19..]).unwrap_or_else(|error| panic!("{octets:02X?}: {error}"));
    let count = |addresses: &BgpAddrs| match addresses {
        BgpAddrs::IPV4U(addresses) => addresses.len(),
        BgpAddrs::IPV6U(addresses) => addresses.len(),
        _ => 0,
    };
    let reach = update.get_mpupdates().map_or(0, |reach| count(&reach.addrs)) + count(&update.updates);
    let unreach = update.get_mpwithdraws().map_or(0, |unreach| count(&unreach.addrs)) + count(&update.withdraws);
    assert!((reach > 0) != (unreach > 0), "{octets:02X?}: {update:?}");
    assert_eq!(update.get_attr_aspath().is_some() && update.get_attr_origin().is_some(), reach > 0);
    assert!(!update.attrs.iter().any(|item| matches!(item, BgpAttrItem::Unknown(_))) || !is_four_octet, "{update:?}");
}

/// The settings of both sides: the systems of each, times, and what a few bits choose.
fn settings() -> impl Strategy<Value = [SessionSettings; 2]> {
    let numbers = prop_oneof![
        Just([65001, 65002]),
        Just([65001, 65001]),
        Just([4_200_000_001, 65002]),
        Just([4_200_000_001, 4_200_000_002]),
    ];
    (numbers, prop_oneof![Just(3), Just(9), Just(90)], any::<[bool; 4]>()).prop_map(|(numbers, hold, bits)| {
        [0, 1].map(|side: usize| {
            let (mine, theirs) = (AsNumber(numbers[side]), AsNumber(numbers[1 - side]));
            let mut settings = SessionSettings::new(mine, theirs, Ipv4Addr::new(10, 0, 0, 1 + side as u8), AGE_MAX);
            settings.is_passive = side == 1;
            settings.role = bits[0].then_some(if side == 0 { Role::Customer } else { Role::Provider });
            settings.is_bfd_strict = bits[1 + side];
            settings.hold_time = Duration::from_secs(hold);
            settings.send_hold = Duration::from_secs(10);
            settings.kept = PREFIXES.map(prefix).to_vec();
            settings
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_sessions_keep_every_promise_and_find_each_other_again(
        settings in settings(),
        is_ipv6: bool,
        seed: u64,
        turns in vec(turn(), 0..120),
    ) {
        let mut world = World::new(settings, is_ipv6, seed);
        for turn in &turns {
            world.turn(turn);
        }
        prop_assert!(world.recovers(), "{:?}", [0, 1].map(|side| world.sides[side].judged.session.facts()));
    }

    #[test]
    fn garbage_ends_the_session_at_most(choice: u8, octets in vec(any::<u8>(), 0..600)) {
        bgp::bgp_update(&[&[choice], &octets[..]].concat());
        bgp::bgp_session(&[&[choice, 3, 0, 6, 0, 8, 255], &octets[..]].concat());
    }

    #[test]
    fn any_course_of_events_keeps_every_promise(choice: u8, events in vec((0..14_u8, any::<u8>()), 0..300)) {
        let events = events.into_iter().flat_map(|(kind, with)| [kind, with]);
        bgp::bgp_session(&[choice, 3, 0, 6, 0].into_iter().chain(events).collect::<Vec<u8>>());
    }

    #[test]
    fn any_updates_keep_every_promise(
        choice: u8,
        attributes in vec((any::<u8>(), 0..40_u8, vec(any::<u8>(), 0..24)), 0..6),
        prefixes in vec(any::<u8>(), 0..12),
    ) {
        // Mostly well-formed attributes behind the three that are due, mostly with the right flags.
        let mut all = vec![0x40, 1, 1, 0, 0x40, 3, 4, 10, 0, 0, 1];
        for (flags, kind, value) in attributes {
            let right = match kind { 1..=3 | 5 | 6 => 0x40, 4 | 9 | 10 | 14 | 15 => 0x80, _ => 0xC0 };
            let flags = if flags < 200 { right } else { flags & 0xE0 };
            all.extend([flags, kind, value.len() as u8]);
            all.extend(value);
        }
        let length = (all.len() as u16).to_be_bytes();
        let body = [&[0, 0], &length[..], &all, &prefixes].concat();
        let length = (body.len() as u16).to_be_bytes();
        bgp::bgp_update(&[&[choice, 2], &length[..], &body].concat());
    }
}
