//! The session with one neighbour: the states of RFC 4271 §8, with a price on every sign of life.
//!
//! Differs from §8.2.2 in that there is one connection at a time, so that no collision has to be resolved; that Active
//! waits for the time to try again as well; that a state ends at the deadline of the driver's clock, never later than
//! it is told; and in the times of [`SessionSettings`]. An end is a Cease or an error with words, then the neighbour
//! is tried again, unless the driver said that it is to stay away.

mod connection;
mod inbound;
mod opening;
mod outbound;
mod retry;
mod tally;
mod upkeep;
mod view;

use core::time::Duration;

use connection::Connection;
use inbound::Inbound;
use outbound::Outbound;
use retry::Retry;
use tally::Tally;

use super::frames::Message;
use super::message::{Kind, write_message};
use super::open::Open;
use super::{
    Action, Agreed, BfdState, Cause, Event, Link, Notice, Notification, PeerOpen, Route, SessionSettings, State,
};

/// The text of a Cease where the proofs end. Other ends have the driver's.
const UNPROVEN_TEXT: &str = "no proof that the service answers";
/// While the neighbour has more octets than this to take, nothing more is announced. What is wanted by then follows.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// The send hold time is at least so many hold times (RFC 9687 §3.1).
const SEND_HOLDS: u32 = 2;

/// The session with one neighbour. Says what is to be done, and does nothing itself.
///
/// Its owner calls [`handle`](Self::handle) for each event, with [`Event::Tick`] at [`deadline`](Self::deadline), and
/// carries out the actions in their order.
#[derive(Debug)]
pub struct Session {
    /// How it is held.
    settings: SessionSettings,
    /// Where it is.
    phase: Phase,
    /// When the state began.
    since: Duration,
    /// What is wanted.
    wanted: Vec<Route>,
    /// What BFD last saw.
    bfd: BfdState,
    /// The waits after losses.
    retry: Retry,
    /// What is counted over all connections.
    tally: Tally,
}

/// Where a session is, and what it has there.
#[derive(Debug)]
enum Phase {
    /// Kept away by the driver.
    Idle,
    /// There is no connection, until something is there.
    Active(Wait),
    /// The driver connects, until a moment.
    Connect { until: Duration },
    /// This side's OPEN is sent; the other's is awaited, until a moment.
    OpenSent { connection: Connection, until: Duration },
    /// The neighbour's OPEN is good, and its word that this side's is as well is awaited.
    OpenConfirm(Box<Talk>),
    /// Routes may be announced.
    Established(Box<Talk>, Box<Ribs>),
}

/// What is waited for without a connection.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// The time to try again, or the neighbour.
    Retry(Duration),
    /// The neighbour, which connects.
    Peer,
    /// A proof. Until then the neighbour is turned away.
    Proof,
    /// The end of a time in which the neighbour is turned away, since it sent too much.
    Overrun(Duration),
}

/// A connection over which both sides have introduced themselves.
#[derive(Debug)]
struct Talk {
    /// The connection.
    connection: Connection,
    /// What the neighbour said of itself.
    peer: PeerOpen,
    /// What both agreed on.
    agreed: Agreed,
    /// When the neighbour has been silent for the hold time.
    hold_until: Duration,
    /// When the next heartbeat is due.
    keepalive_at: Duration,
}

/// The routes of both directions.
#[derive(Debug, Default)]
struct Ribs {
    /// This side's.
    outbound: Outbound,
    /// The neighbour's.
    inbound: Inbound,
    /// Whether routes that are kept have changed, and the driver has not been told.
    has_news: bool,
    /// Whether a malformed UPDATE has been told of.
    has_told_malformed: bool,
    /// Whether routes that are not kept have been told of.
    has_told_cut: bool,
}

/// Where an event leads, and why if that is another state.
type Step = (Phase, Option<Cause>);

impl Session {
    /// Makes a session that waits for [`Event::Begin`]. `seed` spreads in time what many nodes would otherwise do
    /// together.
    #[must_use]
    pub fn new(now: Duration, settings: SessionSettings, seed: u64) -> Self {
        Self {
            settings,
            phase: Phase::Idle,
            since: now,
            wanted: Vec::new(),
            bfd: BfdState::Off,
            retry: Retry::new(seed),
            tally: Tally::default(),
        }
    }

    /// Takes what happened, and adds what is to be done to `out`. `now` never goes back.
    pub fn handle(&mut self, now: Duration, event: Event<'_>, out: &mut Vec<Action>) {
        let was_bfd_up = self.bfd == BfdState::Up;
        match event {
            Event::Received(octets) => self.receive(now, octets, out),
            Event::Wanted(routes) => self.want(routes),
            Event::Bfd(state) => self.bfd = state,
            Event::Tick
            | Event::Connected(_)
            | Event::ConnectFailed(_)
            | Event::Disconnected
            | Event::Sent { .. }
            | Event::End { .. }
            | Event::Begin => {}
        }
        let from = self.state();
        let phase = core::mem::replace(&mut self.phase, Phase::Idle);
        let step = self.step(now, phase, event, was_bfd_up, out);
        self.enter(now, from, step, out);
    }

    /// The table: where an event leads from each state; its first part. What was received has been taken before,
    /// message by message, by [`take`](Self::take).
    fn step(&mut self, now: Duration, phase: Phase, event: Event<'_>, was_bfd_up: bool, out: &mut Vec<Action>) -> Step {
        use Event::*;
        match (phase, event) {
            (Phase::Idle, Begin) => self.attempt(now, Cause::Begun, out),
            (phase @ (Phase::Idle | Phase::Active(Wait::Proof | Wait::Overrun(_))), Connected(_)) => {
                out.push(Action::Abort);
                (phase, None)
            }
            (
                phase @ Phase::Idle,
                Tick | ConnectFailed(_) | Disconnected | Received(_) | Sent { .. } | Wanted(_) | Bfd(_) | End { .. },
            ) => (phase, None),

            (Phase::Active(Wait::Retry(until) | Wait::Overrun(until)), Tick) if until <= now => {
                self.attempt(now, Cause::Due, out)
            }
            (Phase::Active(Wait::Proof), Wanted(_)) if self.is_worth_a_session(now) => {
                self.attempt(now, Cause::Proven, out)
            }
            (Phase::Active(Wait::Retry(_) | Wait::Peer), Connected(link)) => self.open(now, link, out),
            (Phase::Active(_), End { .. }) => (Phase::Idle, Some(Cause::Stopped)),
            (
                phase @ Phase::Active(_),
                Tick | ConnectFailed(_) | Disconnected | Received(_) | Sent { .. } | Wanted(_) | Bfd(_) | Begin,
            ) => (phase, None),

            (Phase::Connect { until }, Tick) if until <= now => {
                out.push(Action::Abort);
                (self.rest(now), Some(Cause::ConnectTimedOut))
            }
            (Phase::Connect { .. }, Connected(link)) => self.open(now, link, out),
            (Phase::Connect { .. }, ConnectFailed(failure)) => (self.rest(now), Some(Cause::ConnectFailed(failure))),
            (Phase::Connect { .. }, End { .. }) => {
                out.push(Action::Abort);
                (Phase::Idle, Some(Cause::Stopped))
            }
            (
                phase @ Phase::Connect { .. },
                Tick | Disconnected | Received(_) | Sent { .. } | Wanted(_) | Bfd(_) | Begin,
            ) => (phase, None),

            (phase @ (Phase::OpenSent { .. } | Phase::OpenConfirm(_) | Phase::Established(..)), event) => {
                self.converse(now, phase, event, was_bfd_up, out)
            }
        }
    }

    /// The table's second part: the states that have a connection.
    fn converse(
        &mut self,
        now: Duration,
        phase: Phase,
        event: Event<'_>,
        was_bfd_up: bool,
        out: &mut Vec<Action>,
    ) -> Step {
        use Event::*;
        match (phase, event) {
            (phase @ (Phase::Idle | Phase::Active(_) | Phase::Connect { .. }), _) => (phase, None),

            (Phase::OpenSent { until, .. }, Tick) if until <= now => {
                let notification = Notification::new(Notification::HOLD_TIMER, 0, &[]);
                self.part(&notification, out);
                (self.rest(now), Some(Cause::OpenTimedOut))
            }
            (Phase::OpenSent { .. }, Disconnected) => (self.rest(now), Some(Cause::Closed { is_before_open: true })),
            (Phase::OpenSent { mut connection, until }, Sent { unsent }) => {
                connection.note_unsent(now, unsent);
                (Phase::OpenSent { connection, until }, None)
            }
            (Phase::OpenConfirm(_) | Phase::Established(..), Disconnected) => {
                (self.rest(now), Some(Cause::Closed { is_before_open: false }))
            }
            (Phase::OpenConfirm(mut talk), Sent { unsent }) => {
                talk.connection.note_unsent(now, unsent);
                (Phase::OpenConfirm(talk), None)
            }
            (Phase::OpenConfirm(talk), Tick) => self.wait_for_word(now, talk, out),
            (Phase::OpenSent { .. } | Phase::OpenConfirm(_), End { subcode, text }) => {
                self.stay_away(subcode, text, out)
            }
            // There is one connection at a time: the driver closes a second one itself.
            (
                phase @ (Phase::OpenSent { .. } | Phase::OpenConfirm(_)),
                Tick | Connected(_) | ConnectFailed(_) | Received(_) | Wanted(_) | Bfd(_) | Begin,
            ) => (phase, None),

            (Phase::Established(..), Bfd(BfdState::Down)) if was_bfd_up => {
                let notification = Notification::cease(Notification::CEASE_BFD_DOWN, "");
                self.end(now, notification, "BFD does not see the neighbour any more".to_owned(), out)
            }
            (Phase::Established(mut talk, ribs), Sent { unsent }) => {
                talk.connection.note_unsent(now, unsent);
                self.uphold(now, talk, ribs, out)
            }
            (Phase::Established(_, mut ribs), End { subcode, text }) => {
                self.say_all(ribs.outbound.withdraw_all(), out);
                self.stay_away(subcode, text, out)
            }
            (
                Phase::Established(talk, ribs),
                Tick | Wanted(_) | Bfd(_) | Received(_) | Connected(_) | ConnectFailed(_) | Begin,
            ) => self.uphold(now, talk, ribs, out),
        }
    }

    /// Takes octets of the stream apart, and takes each message. What follows the end of a session is not read.
    fn receive(&mut self, now: Duration, mut octets: &[u8], out: &mut Vec<Action>) {
        loop {
            let connection = match &mut self.phase {
                Phase::Idle | Phase::Active(_) | Phase::Connect { .. } => return,
                Phase::OpenSent { connection, .. } => connection,
                Phase::OpenConfirm(talk) | Phase::Established(talk, _) => &mut talk.connection,
            };
            let message = connection.frames.next(&mut octets);
            let from = self.state();
            let phase = core::mem::replace(&mut self.phase, Phase::Idle);
            let step = match message {
                Ok(None) => {
                    self.phase = phase;
                    return;
                }
                Ok(Some(message)) => {
                    self.tally.received.count(message.kind);
                    self.take(now, phase, &message, out)
                }
                Err(notification) => self.end(now, notification, "what it sent is no BGP message".to_owned(), out),
            };
            self.enter(now, from, step, out);
        }
    }

    /// The table of messages: where one leads from each state that has a connection.
    fn take(&mut self, now: Duration, phase: Phase, message: &Message, out: &mut Vec<Action>) -> Step {
        match (phase, message.kind) {
            (phase @ (Phase::Idle | Phase::Active(_) | Phase::Connect { .. }), _) => (phase, None),
            (Phase::OpenSent { .. } | Phase::OpenConfirm(_) | Phase::Established(..), Kind::Notification) => {
                self.part_on_word(now, &message.body, out)
            }
            (Phase::OpenSent { connection, .. }, Kind::Open) => self.confirm(now, connection, &message.body, out),
            (Phase::OpenSent { .. }, Kind::Update | Kind::Keepalive | Kind::RouteRefresh) => {
                self.end(now, Notification::new(Notification::STATE, 1, &[]), String::new(), out)
            }
            (Phase::OpenConfirm(mut talk), Kind::Keepalive) => {
                talk.hold_until = now.saturating_add(talk.agreed.hold_time);
                self.retry.note_established(now);
                self.tally.established += 1;
                (Phase::Established(talk, Box::default()), Some(Cause::KeepaliveReceived))
            }
            (Phase::OpenConfirm(_), Kind::Open | Kind::Update | Kind::RouteRefresh) => {
                self.end(now, Notification::new(Notification::STATE, 2, &[]), String::new(), out)
            }
            (Phase::Established(mut talk, mut ribs), Kind::Keepalive | Kind::Update | Kind::RouteRefresh) => {
                talk.hold_until = now.saturating_add(talk.agreed.hold_time);
                match self.learn(&talk, &mut ribs, message, out) {
                    Ok(()) => (Phase::Established(talk, ribs), None),
                    Err((notification, why)) if notification.code == Notification::CEASE => {
                        self.part(&notification, out);
                        (Self::shun(now), Some(Cause::Ended(notification, why)))
                    }
                    Err((notification, why)) => self.end(now, notification, why, out),
                }
            }
            (Phase::Established(..), Kind::Open) => {
                self.end(now, Notification::new(Notification::STATE, 3, &[]), String::new(), out)
            }
        }
    }

    /// Connects, or waits for the neighbour to do so.
    fn attempt(&self, now: Duration, cause: Cause, out: &mut Vec<Action>) -> Step {
        if self.settings.is_passive {
            return (Phase::Active(Wait::Peer), Some(cause));
        }
        out.push(Action::Connect);
        (Phase::Connect { until: now.saturating_add(self.settings.connect_time) }, Some(cause))
    }

    /// Sends the OPEN over a new connection.
    fn open(&mut self, now: Duration, link: Link, out: &mut Vec<Action>) -> Step {
        let mut connection = Connection::new(link);
        let open = opening::offer(&self.settings, &link).write();
        self.send(&mut connection, open, out);
        let until = now.saturating_add(self.settings.open_time);
        (Phase::OpenSent { connection, until }, Some(Cause::Connected))
    }

    /// Judges the neighbour's OPEN, and takes it with a KEEPALIVE.
    fn confirm(&mut self, now: Duration, mut connection: Connection, body: &[u8], out: &mut Vec<Action>) -> Step {
        let open = Open::read(body).map_err(|error| (error, String::new()));
        match open.and_then(|open| opening::agree(&self.settings, &connection.link, &open)) {
            Ok((peer, agreed)) => {
                self.send(&mut connection, write_message(Kind::Keepalive, &[]), out);
                let hold_until = now.saturating_add(agreed.hold_time);
                let keepalive_at = now.saturating_add(agreed.keepalive);
                let talk = Talk { connection, peer, agreed, hold_until, keepalive_at };
                (Phase::OpenConfirm(Box::new(talk)), Some(Cause::OpenReceived))
            }
            Err((notification, why)) => self.end(now, notification, why, out),
        }
    }

    /// Goes to a state, and says so if it is another one.
    fn enter(&mut self, now: Duration, from: State, (phase, cause): Step, out: &mut Vec<Action>) {
        self.phase = phase;
        let Some(cause) = cause else { return };
        self.tally.note(now, &cause);
        let to = self.state();
        if from != to {
            self.since = now;
            out.push(Action::Changed { from, to, cause });
        }
        if from == State::Established {
            out.push(Action::RoutesReceived); // None any more.
        }
    }
}
