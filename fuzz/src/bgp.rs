//! What is promised of a BGP session, whatever happens to it, and the bodies of the fuzz targets `bgp_update` and
//! `bgp_session`. Shared by the fuzz targets, by the replay of the corpus and by the property tests; a broken promise
//! is a panic.
//!
//! What is sent is read by a walk of our own here, not by the code under test.

#![allow(dead_code)] // Each of those who share this file uses a part of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use fated::bgp::{
    Action, AsNumber, Attributes, BfdState, ConnectFailure, Event, Link, NextHop, Notice, Route, Session,
    SessionSettings, State,
};
use ipnet::IpNet;

/// Octets of the header of a message.
const HEADER_BYTES: usize = 19;
/// The most octets of a message.
const MESSAGE_BYTES_MAX: usize = 4096;
/// The longest time that a session that waits for time alone waits at once: the longest hold time.
const WAIT_MAX: Duration = Duration::from_secs(65_536);
/// The most actions that one event leads to: messages for all that is wanted, and some words about them.
const ACTIONS_MAX: usize = 200;

/// A session, and what is known of it from outside. Every event is judged.
pub(crate) struct Judged {
    pub(crate) session: Session,
    settings: SessionSettings,
    pub(crate) wanted: Vec<Route>,
    /// What the octets that were sent announce.
    pub(crate) announced: BTreeSet<IpNet>,
    state: State,
    is_connected: bool,
    /// The hold time that this side has agreed to, and when it last sent a sign of life.
    hold_time: Option<Duration>,
    last_sign_at: Duration,
    /// UPDATEs that were sent, whole, for others to look at.
    pub(crate) updates: Vec<Vec<u8>>,
}

impl Judged {
    /// Makes a session that waits for [`Event::Begin`].
    pub(crate) fn new(now: Duration, settings: SessionSettings, seed: u64) -> Self {
        Self {
            session: Session::new(now, settings.clone(), seed),
            settings,
            wanted: Vec::new(),
            announced: BTreeSet::new(),
            state: State::Idle,
            is_connected: false,
            hold_time: None,
            last_sign_at: now,
            updates: Vec::new(),
        }
    }

    /// Lets something happen, and judges what is done.
    ///
    /// # Panics
    /// Where a promise is broken.
    pub(crate) fn event(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        match event {
            Event::Wanted(routes) => self.wanted = routes.to_vec(),
            Event::Connected(_) => self.is_connected = true,
            Event::Disconnected => self.is_connected = false,
            _ => {}
        }
        let mut out = Vec::new();
        self.session.handle(now, event, &mut out);
        assert!(out.len() <= ACTIONS_MAX, "{} actions at once", out.len());
        for action in &out {
            self.judge(now, action);
        }
        assert_eq!(self.state, self.session.state(), "every change is told");
        for (index, route) in self.wanted.iter().enumerate() {
            let is_announced = self.announced.contains(&route.prefix);
            assert_eq!(self.session.is_announced(index), is_announced, "{}", route.prefix);
        }
        let facts = self.session.facts();
        assert_eq!(facts.announced, self.announced.len());
        assert!(self.announced.is_empty() || self.state == State::Established);
        assert!(facts.routes.len() <= 1024 && facts.others <= self.settings.received_max + 1);
        self.hold_time = facts.agreed.map(|agreed| agreed.hold_time);
        self.judge_deadline(now, event);
        out
    }

    /// Judges one action.
    fn judge(&mut self, now: Duration, action: &Action) {
        match action {
            Action::Connect => assert!(!self.is_connected, "one connection at a time"),
            Action::Send(octets) => self.judge_message(now, octets),
            Action::Disconnect | Action::Abort => self.is_connected = false,
            Action::Changed { from, to, cause } => {
                assert!(*from == self.state && from != to, "from where it was: {cause}");
                assert!(!cause.to_string().is_empty());
                if *from == State::Established {
                    self.announced.clear();
                }
                self.state = *to;
            }
            Action::Noticed(notice) => {
                assert!(!notice.to_string().is_empty());
                assert!(!matches!(notice, Notice::NotAnnounced { .. }) || self.state == State::Established);
            }
            Action::RoutesReceived => {}
        }
    }

    /// Judges a message that is sent.
    fn judge_message(&mut self, now: Duration, octets: &[u8]) {
        assert!(self.is_connected, "nothing is sent without a connection");
        assert!((HEADER_BYTES..=MESSAGE_BYTES_MAX).contains(&octets.len()) && octets[..16] == [0xFF; 16]);
        assert_eq!(usize::from(u16::from_be_bytes([octets[16], octets[17]])), octets.len());
        let body = &octets[HEADER_BYTES..];
        match octets[18] {
            1 => assert_eq!(body[0], 4, "the version"),
            2 => {
                assert_eq!(self.state, State::Established, "routes are told in Established alone");
                let (announced, withdrawn) = read_update(body);
                self.announced.retain(|prefix| !withdrawn.contains(prefix));
                if !announced.is_empty() {
                    self.announced.extend(announced);
                    self.assert_proven(now);
                }
                self.updates.push(octets.to_vec());
                self.last_sign_at = now;
            }
            3 => assert!(body.len() >= 2 && body[0] != 0),
            4 => {
                assert!(!matches!(self.state, State::Idle | State::Active | State::Connect));
                self.assert_proven(now);
                self.last_sign_at = now;
            }
            5 => assert_eq!(self.state, State::Established),
            other => panic!("a message of type {other}"),
        }
    }

    /// Checks that each route that is announced is proven: what a sign of life costs.
    fn assert_proven(&self, now: Duration) {
        for prefix in &self.announced {
            let route = self.wanted.iter().find(|route| route.prefix == *prefix);
            let route = route.unwrap_or_else(|| panic!("{prefix} is announced and not wanted"));
            let age = now.saturating_sub(route.proven.unwrap_or_else(|| panic!("{prefix} was never proven")));
            assert!(route.wanted.is_some() && age < self.settings.proof_age_max, "{prefix}: {age:?} old");
        }
    }

    /// Checks that time alone ends whatever waits, and that a tick in time leaves nothing due.
    fn judge_deadline(&self, now: Duration, event: Event<'_>) {
        let deadline = self.session.deadline();
        match self.state {
            State::Idle => assert_eq!(deadline, None),
            State::Active => {}
            State::Connect | State::OpenSent | State::OpenConfirm | State::Established => {
                assert!(deadline.is_some_and(|deadline| deadline <= now + WAIT_MAX), "{:?} waits for ever", self.state);
            }
        }
        if let (Event::Tick, Some(deadline)) = (event, deadline) {
            assert!(deadline > now, "{:?}: a tick leaves nothing due", self.state);
        }
    }

    /// Checks that the neighbour's hold time can't have run out: of a session whose ticks were in time.
    pub(crate) fn assert_heard(&self, now: Duration) {
        let Some(hold_time) = self.hold_time.filter(|_| self.state == State::Established) else { return };
        let silent = now.saturating_sub(self.last_sign_at);
        assert!(silent <= hold_time * 7 / 10, "silent for {silent:?} of {hold_time:?}");
    }
}

/// Reads an UPDATE: what is announced, and what is withdrawn.
fn read_update(body: &[u8]) -> (Vec<IpNet>, Vec<IpNet>) {
    let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let withdrawn_end = 2 + length(0);
    let attributes_end = withdrawn_end + 2 + length(withdrawn_end);
    let mut withdrawn = read_prefixes(false, &body[2..withdrawn_end]);
    let mut announced = read_prefixes(false, &body[attributes_end..]);
    let mut rest = &body[withdrawn_end + 2..attributes_end];
    let mut last_kind = 0;
    while let [flags, kind, more @ ..] = rest {
        let (length, more) = match flags & 0x10 {
            0 => (usize::from(more[0]), &more[1..]),
            _ => (usize::from(u16::from_be_bytes([more[0], more[1]])), &more[2..]),
        };
        assert!(flags & 0x10 == 0 || length > 255, "an extended length is for what needs it");
        let value = &more[..length];
        // MP_REACH_NLRI is first (RFC 7606 §5.1), then they are in order.
        assert!(*kind > last_kind || last_kind == 14, "{kind} behind {last_kind}");
        last_kind = *kind;
        match kind {
            14 => announced.extend(read_prefixes(value[1] == 2, &value[5 + usize::from(value[3])..])),
            15 => withdrawn.extend(read_prefixes(value[1] == 2, &value[3..])),
            _ => {}
        }
        rest = &more[length..];
    }
    assert!(!announced.is_empty() || !withdrawn.is_empty(), "an UPDATE says something");
    (announced, withdrawn)
}

/// Reads prefixes until the octets end.
fn read_prefixes(is_ipv6: bool, mut octets: &[u8]) -> Vec<IpNet> {
    let mut prefixes = Vec::new();
    while let [bits, rest @ ..] = octets {
        let count = usize::from(*bits).div_ceil(8);
        let mut all = [0; 16];
        all[..count].copy_from_slice(&rest[..count]);
        let address = if is_ipv6 {
            IpAddr::from(Ipv6Addr::from(all))
        } else {
            IpAddr::from(Ipv4Addr::new(all[0], all[1], all[2], all[3]))
        };
        prefixes.push(IpNet::new(address, *bits).expect("a prefix"));
        octets = &rest[count..];
    }
    prefixes
}

/// Settings that a number chooses.
pub(crate) fn settings(choice: u8) -> SessionSettings {
    let is_internal = choice & 1 != 0;
    let local_as = AsNumber(if choice & 2 == 0 { 65002 } else { 4_200_000_002 });
    let peer_as = if is_internal { local_as } else { AsNumber(65001) };
    let age_max = Duration::from_millis(1000);
    SessionSettings {
        is_passive: choice & 4 != 0,
        is_bfd_strict: choice & 8 != 0,
        kept: if choice & 16 == 0 {
            vec!["0.0.0.0/0".parse().expect("a prefix")]
        } else {
            PREFIXES.map(prefix).to_vec()
        },
        hold_time: Duration::from_secs(if choice & 32 == 0 { 3 } else { 90 }),
        received_max: if choice & 64 == 0 { 10_000 } else { 20 },
        send_hold: Duration::from_secs(10),
        ..SessionSettings::new(local_as, peer_as, Ipv4Addr::new(10, 0, 0, 2), age_max)
    }
}

/// What may be announced in these tests.
pub(crate) const PREFIXES: [&str; 4] = ["192.0.2.0/24", "198.51.100.0/24", "2001:db8:53::/48", "2001:db8:54::/48"];

/// Reads a prefix that is written here.
pub(crate) fn prefix(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// The addresses of a connection, over IPv4 or between link-local addresses.
pub(crate) fn link(is_ipv6: bool, is_first: bool) -> Link {
    let (mine, theirs) = if is_first { (2, 1) } else { (1, 2) };
    let address = |number: u16| match is_ipv6 {
        true => IpAddr::from(Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, number)),
        false => IpAddr::from([10, 0, 0, number as u8]),
    };
    Link {
        local: address(mine),
        peer: address(theirs),
        link_local: Some(Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, mine)),
        global: Some(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, mine)),
    }
}

/// A message of a type.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER_BYTES + body.len()).expect("short");
    [&[0xFF; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// The neighbour's OPEN that a number chooses: with numbers of four octets or without, with families or without.
fn their_open(choice: u8, settings: &SessionSettings) -> Vec<u8> {
    let four = [&[65, 4][..], &settings.peer_as.0.to_be_bytes()].concat();
    let mut capabilities = vec![1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 70, 0, 5, 6, 0, 1, 0, 1, 0, 2];
    if choice & 128 == 0 || settings.peer_as.0 > 0xFFFF {
        capabilities.extend(four);
    }
    let field = u16::try_from(settings.peer_as.0).unwrap_or(23456).to_be_bytes();
    let length = capabilities.len() as u8;
    let head = [4, field[0], field[1], 0, 90, 10, 0, 0, 1, length + 2, 2, length];
    message(1, &[&head[..], &capabilities].concat())
}

/// Gives octets to an established session as the bodies of messages. The first octet chooses settings and the
/// neighbour's OPEN; then each message has its type and its length (2) in front.
///
/// # Panics
/// Where a promise is broken, or octets that were cut otherwise lead elsewhere.
pub(crate) fn bgp_update(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else { return };
    let settings = SessionSettings { is_passive: true, ..settings(*choice) };
    let now = Duration::from_secs(1);
    let mut stream = [their_open(*choice, &settings), message(4, &[])].concat();
    let opening = stream.len();
    while let [kind, high, low, more @ ..] = rest {
        let length =
            usize::from(u16::from_be_bytes([*high, *low])).min(more.len()).min(MESSAGE_BYTES_MAX - HEADER_BYTES);
        stream.extend(message(*kind, &more[..length]));
        rest = &more[length..];
    }
    let begin = || {
        let mut judged = Judged::new(now, settings.clone(), 1);
        judged.event(now, Event::Begin);
        judged.event(now, Event::Connected(link(choice & 2 != 0, true)));
        judged
    };
    let (mut whole, mut cut) = (begin(), begin());
    whole.event(now, Event::Received(&stream[..opening]));
    assert_eq!(whole.session.state(), State::Established);
    whole.event(now, Event::Received(&stream[opening..]));
    for octets in stream.chunks(7) {
        cut.event(now, Event::Received(octets));
    }
    let (facts, mut others) = (whole.session.facts(), cut.session.facts());
    // Whoever asks twice at once is answered once.
    others.sent.refreshes = facts.sent.refreshes;
    assert_eq!(facts, others, "octets mean the same however they are cut");
    let is_kept = |prefix: &IpNet| settings.kept.iter().any(|kept| kept.contains(prefix) || prefix.contains(kept));
    assert!(facts.routes.iter().all(|route| is_kept(&route.prefix) && route.as_path.len() <= 64));
    assert!(facts.last_sent.is_some() || facts.last_received.is_some() || facts.state == State::Established);
}

/// Lets a course of events happen to a session: two octets for each, which and with what; octets that are received
/// follow. The first octet chooses the settings.
///
/// # Panics
/// Where a promise is broken.
pub(crate) fn bgp_session(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else { return };
    let settings = settings(*choice);
    let opening = [their_open(*choice, &settings), message(4, &[])].concat();
    let mut now = Duration::from_secs(1);
    let mut judged = Judged::new(now, settings, u64::from(*choice));
    let mut wanted: Vec<Route> =
        PREFIXES.map(|text| Route { prefix: prefix(text), wanted: None, proven: None }).to_vec();
    judged.event(now, Event::Begin);
    while let [kind, with, more @ ..] = rest {
        rest = more;
        let time = Duration::from_millis(u64::from(*with) * 20);
        match kind % 14 {
            0 => now += time,
            1 => {
                // In time, each deadline has its tick.
                let end = now + time;
                while let Some(deadline) = judged.session.deadline().filter(|deadline| *deadline <= end) {
                    now = now.max(deadline);
                    judged.event(now, Event::Tick);
                }
                now = end;
            }
            2 => drop(judged.event(now, Event::Tick)),
            3 => drop(judged.event(now, Event::Connected(link(with & 1 != 0, true)))),
            4 => drop(judged.event(now, Event::ConnectFailed(ConnectFailure::Refused))),
            5 => drop(judged.event(now, Event::Disconnected)),
            6 => drop(judged.event(now, Event::Received(&opening))),
            7 => drop(judged.event(now, Event::Received(&message(4, &[])))),
            8 => {
                let (octets, after) = rest.split_at(usize::from(*with).min(rest.len()));
                rest = after;
                judged.event(now, Event::Received(octets));
            }
            9 => drop(judged.event(now, Event::Sent { unsent: usize::from(*with) * 1024 })),
            10 => {
                let route = &mut wanted[usize::from(with & 3)];
                route.wanted = (with & 4 == 0).then(|| attributes(with >> 3));
                judged.event(now, Event::Wanted(&wanted));
            }
            11 => {
                let proven = wanted.iter_mut().enumerate().filter(|(index, _)| with & (1 << index) != 0);
                proven.for_each(|(_, route)| route.proven = Some(now));
                judged.event(now, Event::Wanted(&wanted));
            }
            12 => {
                let states = [BfdState::Off, BfdState::Down, BfdState::Up];
                judged.event(now, Event::Bfd(states[usize::from(with % 3)]));
            }
            _ if with & 1 == 0 => drop(judged.event(now, Event::Begin)),
            _ => drop(judged.event(now, Event::End { subcode: with % 12, text: "an end" })),
        }
    }
}

/// Attributes that a number chooses.
pub(crate) fn attributes(choice: u8) -> Attributes {
    let hops = [NextHop::Session, NextHop::Address([10, 9, 9, 9].into()), NextHop::Address(Ipv6Addr::LOCALHOST.into())];
    Attributes {
        next_hop: hops[usize::from(choice % 3)],
        med: (choice & 1 != 0).then_some(u32::from(choice)),
        prepend: choice & 7,
        local_pref: 100,
        communities: vec![Attributes::GRACEFUL_SHUTDOWN; usize::from(choice & 3)],
        extended: vec![[0, 2, 0, 1, 0, 0, 0, choice]; usize::from(choice & 1)],
        large: vec![[u32::from(choice), 1, 2]; usize::from(choice & 2)],
    }
}
