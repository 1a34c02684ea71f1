//! One neighbour: what happens at its sockets goes to its session, and what the session says is done.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use socket2::Socket;

use super::beat::Beat;
use super::connection::{Connection, Input};
use super::settings::NeighborSettings;
use crate::bfd;
use crate::bgp::{
    Action, Attributes, BfdState, ConnectFailure, Event, Family, Link, ReceivedRoute, Route, Session, State,
};
use crate::policy::Decision;

/// A neighbour at work.
#[derive(Debug)]
pub(super) struct Neighbor {
    pub(super) settings: NeighborSettings,
    session: Session,
    pub(super) beat: Option<Beat>,
    /// The connection of the session.
    connection: Option<Connection>,
    /// One that ends: what the router still says is read and dropped until it ends it too, or until a moment.
    ending: Option<(Connection, Duration)>,
    /// What the router is to be told, a route for each prefix.
    routes: Vec<Route>,
    /// Prefixes of ours to which the router knows a path that leads to another site, and is not degraded.
    elsewhere: Vec<IpNet>,
    /// How young the proof of a route must be.
    proof_age_max: Duration,
    /// The function of the large community that degraded routes of ours, and of other sites, have.
    reason_community: Option<u32>,
    /// Since when something is unsent.
    unsent_since: Option<Duration>,
    /// Whether the last attempt failed since our port was taken, as it is by what is left of a session of ours that
    /// was ended with a password: then the router knows of its end, and takes any port.
    is_port_taken: bool,
    /// The trouble that was told last, until a session is established.
    told: Option<String>,
    /// Whether its sockets are others than those that are watched.
    pub(super) is_rewired: bool,
}

impl Neighbor {
    /// Nothing is done yet.
    pub(super) fn new(
        settings: NeighborSettings,
        session: Session,
        beat: Option<Beat>,
        (proof_age_max, reason_community): (Duration, Option<u32>),
    ) -> Self {
        Self {
            settings,
            session,
            beat,
            connection: None,
            ending: None,
            routes: Vec::new(),
            elsewhere: Vec::new(),
            proof_age_max,
            reason_community,
            unsent_since: None,
            is_port_taken: false,
            told: None,
            is_rewired: false,
        }
    }

    /// The session.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Takes over what the router is to be told.
    pub(super) fn want(&mut self, routes: Vec<Route>) {
        self.routes = routes;
    }

    /// Whether the router has a route, or may have it yet.
    pub(super) fn is_announced(&self, route: usize) -> bool {
        self.session.is_announced(route) || (!self.is_wanted(route) && self.unsent_since.is_some())
    }

    /// Whether prefixes of a family are announced here.
    pub(super) fn is_told(&self, net: &IpNet) -> bool {
        self.settings.families.has(Family::of(net))
    }

    /// Whether the router knows a path to a prefix that leads to another site, and is not degraded.
    pub(super) fn is_elsewhere(&self, net: &IpNet) -> bool {
        self.elsewhere.contains(net)
    }

    /// The prefixes of such paths. What leads back to us is none.
    fn paths_elsewhere(&self) -> Vec<IpNet> {
        let own = [
            self.local_address(),
            self.settings.next_hop_v4.map(IpAddr::from),
            self.settings.next_hop_v6.map(IpAddr::from),
        ];
        let is_degraded = |route: &ReceivedRoute| {
            route.communities.contains(&Attributes::GRACEFUL_SHUTDOWN)
                || route.large.iter().any(|[_, function, _]| Some(*function) == self.reason_community)
        };
        let is_other = |route: &ReceivedRoute| route.next_hop.is_some() && !own.contains(&route.next_hop);
        let routes = self.session.facts().routes.into_iter();
        routes.filter(|route| is_other(route) && !is_degraded(route)).map(|route| route.prefix).collect()
    }

    /// Whether a route is wanted here.
    fn is_wanted(&self, route: usize) -> bool {
        self.routes.get(route).is_some_and(|route| route.wanted.is_some())
    }

    /// The connections that are there, the session's first, each with whether it waits for room.
    pub(super) fn connections(&self) -> impl Iterator<Item = (&Connection, bool)> {
        let ending = self.ending.as_ref().map(|(connection, _)| connection);
        self.connection
            .iter()
            .chain(ending)
            .map(|connection| (connection, !connection.is_open || connection.unsent() > 0))
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let ending = self.ending.as_ref().map(|(_, until)| *until);
        let unsent = self.unsent_since.map(|since| since.saturating_add(UNSENT_MAX));
        let beat = self.beat.as_ref().and_then(Beat::deadline);
        [self.session.deadline(), beat, ending, unsent].into_iter().flatten().min()
    }

    /// Tells the session what is proven, and lets time go on.
    pub(super) fn tick(&mut self, now: Duration, proven: impl Fn(usize) -> Option<Duration>) {
        for (index, route) in self.routes.iter_mut().enumerate() {
            route.proven = proven(index);
        }
        let routes = std::mem::take(&mut self.routes);
        self.handle(now, Event::Wanted(&routes));
        self.routes = routes;
        self.handle(now, Event::Tick);
        if self.beat.as_ref().and_then(Beat::deadline).is_some_and(|deadline| deadline <= now) {
            self.beat(now, bfd::Event::Tick);
        }
        self.ending.take_if(|(_, until)| *until <= now);
        if self.unsent_since.is_some_and(|since| now.saturating_sub(since) >= UNSENT_MAX) {
            tracing::warn!(neighbor = %self.settings.address, "the router takes nothing any more; the session is cut");
            self.abort();
            self.handle(now, Event::Disconnected);
        }
    }

    /// Ends the session in order, and keeps away.
    pub(super) fn end(&mut self, now: Duration, text: &str) {
        self.handle(now, Event::End { subcode: ADMINISTRATIVE_SHUTDOWN, text });
    }

    /// Begins it, or begins it again.
    pub(super) fn begin(&mut self, now: Duration) {
        self.handle(now, Event::Begin);
        if self.settings.bfd.is_some_and(|bfd| bfd.is_strict) {
            self.beat(now, bfd::Event::Begin);
        }
    }

    /// Whether nothing is left to be said to the router.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_none() && self.ending.is_none()
    }

    /// Whether a connection from that address is the router's.
    pub(super) fn is_peer(&self, source: SocketAddr) -> bool {
        let device = match source {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => Some(v6.scope_id()),
            _ => None,
        };
        let own = self.settings.device.as_deref().and_then(crate::sys::tun::index_of);
        source.ip() == self.settings.address && device == own
    }

    /// Takes a connection that the router made. One at a time: while there is a session another one is closed, and the
    /// router tries again.
    pub(super) fn accept(&mut self, now: Duration, socket: Socket) {
        if self.connection.is_some() || self.session.state() == State::Idle {
            return;
        }
        match Connection::accepted(socket, &self.settings) {
            Ok(connection) => {
                self.connection = Some(connection);
                self.connected(now);
            }
            Err(error) => tracing::warn!(neighbor = %self.settings.address, %error, "a connection can't be taken"),
        }
    }

    /// Reads and writes what can be.
    pub(super) fn ready(&mut self, now: Duration, buffer: &mut [u8]) {
        if let Some((connection, _)) = &mut self.ending {
            let is_over = connection.flush().is_err()
                || !matches!(connection.receive(buffer), Ok(Input::Octets(_) | Input::Nothing));
            if is_over {
                self.ending = None;
            }
            self.is_rewired = true;
        }
        let Some(connection) = &mut self.connection else { return };
        if !connection.is_open {
            // Both wake the thread: that it is made, and that it has failed.
            return match connection.finish() {
                Ok(()) if connection.is_open => self.connected(now),
                Ok(()) => {}
                Err(error) => self.failed(now, &error),
            };
        }
        let is_flushed = connection.flush();
        let input = connection.receive(buffer);
        self.is_rewired = true;
        match (is_flushed, input) {
            (Ok(unsent), Ok(Input::Octets(count))) => {
                self.sent(now, unsent);
                self.handle(now, Event::Received(buffer.get(..count).unwrap_or_default()));
            }
            (Ok(unsent), Ok(Input::Nothing)) => self.sent(now, unsent),
            (_, Ok(Input::End)) => self.lost(now, None),
            (Err(error), _) | (_, Err(error)) => self.lost(now, Some(&error)),
        }
    }

    /// Hands a BFD packet to the neighbour's session.
    pub(super) fn heard(&mut self, now: Duration, octets: &[u8]) {
        self.beat(now, bfd::Event::Received(octets));
    }

    /// The connection is made.
    fn connected(&mut self, now: Duration) {
        let local = self.local_address().unwrap_or(self.settings.address);
        self.is_rewired = true;
        let link_local = match local {
            IpAddr::V6(local) if local.is_unicast_link_local() => Some(local),
            _ => None,
        };
        self.handle(now, Event::Connected(Link { local, peer: self.settings.address, link_local, global: None }));
    }

    /// An attempt to connect failed.
    fn failed(&mut self, now: Duration, error: &io::Error) {
        tracing::debug!(neighbor = %self.settings.address, %error, "no connection");
        (self.connection, self.is_rewired) = (None, true);
        let failure = match error.kind() {
            io::ErrorKind::TimedOut => ConnectFailure::TimedOut,
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => ConnectFailure::Refused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ConnectFailure::Unreachable,
            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => ConnectFailure::LocalAddress,
            _ => ConnectFailure::Other,
        };
        self.is_port_taken = failure == ConnectFailure::LocalAddress;
        self.handle(now, Event::ConnectFailed(failure));
    }

    /// The connection is gone.
    fn lost(&mut self, now: Duration, error: Option<&io::Error>) {
        if let Some(error) = error {
            tracing::debug!(neighbor = %self.settings.address, %error, "the connection is gone");
        }
        (self.connection, self.unsent_since, self.is_rewired) = (None, None, true);
        self.handle(now, Event::Disconnected);
    }

    /// Hands an event to the session and does what it says, and what follows from that.
    fn handle(&mut self, now: Duration, event: Event<'_>) {
        let (mut actions, was_established) = (Vec::new(), self.is_established());
        self.session.handle(now, event, &mut actions);
        // What can't be done at once is told when all is done that was said before.
        let mut failure = None;
        for action in actions {
            failure = self.perform(now, action).or(failure);
        }
        match failure {
            Some(Failure::Connect(error)) => self.failed(now, &error),
            Some(Failure::Send(error)) => self.lost(now, Some(&error)),
            None => {}
        }
        if !self.is_established() {
            self.elsewhere.clear();
        }
        match (was_established, self.is_established()) {
            (false, true) => self.beat(now, bfd::Event::Begin),
            (true, false) if !self.settings.bfd.is_some_and(|bfd| bfd.is_strict) => self.beat(now, bfd::Event::End),
            _ => {}
        }
    }

    /// Does what the session says; returns what failed at once.
    fn perform(&mut self, now: Duration, action: Action) -> Option<Failure> {
        match action {
            Action::Connect => return self.connect().map_err(Failure::Connect).err(),
            Action::Send(octets) => match self.connection.as_mut()?.send(&octets) {
                Ok(unsent) => self.sent(now, unsent),
                Err(error) => return Some(Failure::Send(error)),
            },
            Action::Disconnect => self.disconnect(now),
            Action::Abort => self.abort(),
            Action::Changed { from, to, cause } => self.tell(from, to, &cause.to_string()),
            Action::Noticed(notice) => tracing::warn!(neighbor = %self.settings.address, "BGP: {notice}"),
            Action::RoutesReceived => self.elsewhere = self.paths_elsewhere(),
        }
        None
    }

    /// Says that the state is another one, loudly where a session begins or ends, and where there is new trouble: who
    /// tries again and again would say the same again and again.
    fn tell(&mut self, from: State, to: State, cause: &str) {
        let neighbor = self.settings.address;
        if to == State::Established {
            self.told = None;
            tracing::info!(%neighbor, "BGP: established");
        } else if from == State::Established {
            tracing::warn!(%neighbor, "BGP: the session is over: {cause}");
        } else if to == State::Active && from != State::Idle && self.told.as_deref() != Some(cause) {
            tracing::warn!(%neighbor, "BGP: no session: {cause}");
            self.told = Some(cause.to_owned());
        } else {
            tracing::debug!(%neighbor, ?from, ?to, "BGP: {cause}");
        }
    }

    /// Begins to connect, from our port; once from any where that was taken.
    fn connect(&mut self) -> io::Result<()> {
        self.ending = None;
        let port = if std::mem::take(&mut self.is_port_taken) { 0 } else { self.settings.local_port };
        (self.connection, self.is_rewired) = (Some(Connection::connect(&self.settings, port)?), true);
        Ok(())
    }

    /// Ends the connection once all is said.
    fn disconnect(&mut self, now: Duration) {
        self.unsent_since = None;
        let Some(mut connection) = self.connection.take() else { return };
        self.is_rewired = true;
        if connection.end().is_ok() {
            self.ending = Some((connection, now.saturating_add(ENDING_MAX)));
        }
    }

    /// Ends it at once.
    fn abort(&mut self) {
        (self.unsent_since, self.is_rewired) = (None, true);
        if let Some(connection) = self.connection.take() {
            connection.abort();
        }
    }

    /// Takes note of what the socket has not taken.
    fn sent(&mut self, now: Duration, unsent: usize) {
        self.unsent_since = if unsent == 0 { None } else { self.unsent_since.or(Some(now)) };
    }

    /// Hands an event to the BFD session, and tells the session what came of it.
    fn beat(&mut self, now: Duration, event: bfd::Event<'_>) {
        let is_proven = self.is_proven(now);
        let Some(beat) = &mut self.beat else { return };
        let Some(state) = beat.handle(now, event, is_proven, &self.settings) else { return };
        let is_taken_down = beat.session().facts().remote_state == bfd::State::AdminDown;
        let state = match state {
            bfd::State::AdminDown => BfdState::Off,
            bfd::State::Down if is_taken_down => BfdState::Off,
            bfd::State::Down | bfd::State::Init => BfdState::Down,
            bfd::State::Up => BfdState::Up,
        };
        self.handle(now, Event::Bfd(state));
    }

    /// Whether each route that the router has is proven.
    fn is_proven(&self, now: Duration) -> bool {
        let is_young =
            |route: &Route| route.proven.is_some_and(|moment| now.saturating_sub(moment) <= self.proof_age_max);
        self.routes.iter().enumerate().all(|(index, route)| !self.session.is_announced(index) || is_young(route))
    }

    /// Whether the session is established.
    pub(super) fn is_established(&self) -> bool {
        self.session.state() == State::Established
    }

    /// Our end of the session, while there is one.
    pub(super) fn local_address(&self) -> Option<IpAddr> {
        self.connection.as_ref().filter(|connection| connection.is_open)?.local_address().ok()
    }
}

/// What could not be done at once.
enum Failure {
    /// The connection could not be begun.
    Connect(io::Error),
    /// It is gone.
    Send(io::Error),
}

/// Whether nothing is announced any more because the operator wants it, or the process ends: then sessions end too.
pub(super) fn is_leaving(decisions: &[Decision]) -> Option<Decision> {
    use crate::policy::{Reason, Stance};
    let has_left = |decision: &Decision| {
        decision.stance == Stance::Withdraw && matches!(decision.reason, Reason::Drained | Reason::Stopping)
    };
    decisions.first().copied().filter(|_| decisions.iter().all(has_left))
}

/// Administrative Shutdown (RFC 4486 §4).
const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
/// How long the router may take nothing before the session is cut: a withdrawal does not wait longer.
const UNSENT_MAX: Duration = Duration::from_secs(1);
/// How long the router may take to end a connection that we have ended.
const ENDING_MAX: Duration = Duration::from_secs(1);
