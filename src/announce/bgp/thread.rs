//! The thread that has the sockets: it waits for them and for time, and hands both to the neighbours.
//!
//! It is outside the async runtime, and in a real-time class: a packet that is late is a site that goes dark.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use socket2::Socket;

use super::beat::{self, Beat, RECEIVED_BYTES_MAX, Receiver};
use super::connection;
use super::neighbor::{Neighbor, is_leaving};
use super::plan::{self, Prefix};
use super::seen::{BeatSeen, NeighborSeen, Seen};
use super::settings::{NeighborSettings, Service, SpeakerSettings};
use super::shared::{Shared, SpeakerError, lock};
use crate::announce::Announcement;
use crate::announce::kernel::Fatal;
use crate::bgp::{Session, SessionSettings};
use crate::policy::{Decision, Stance};
use crate::sys::epoll::{Epoll, Interest};
use crate::sys::{fd_table, sched};

/// What the thread is given: what to do, what for, and how old a proof may be.
type Given = (SpeakerSettings, Vec<Service>, Duration);

/// The thread's own.
struct SpeakerThread {
    shared: Arc<Shared>,
    services: Vec<Service>,
    prefixes: Vec<Prefix>,
    neighbors: Vec<Neighbor>,
    reason_community: Option<u32>,
    receivers: Vec<Receiver>,
    listeners: Vec<Socket>,
    epoll: Epoll,
    /// What the routes were last made of.
    decisions: Vec<Decision>,
    /// How the addresses were last seen.
    addresses: Vec<Announcement>,
    /// When all was last published.
    published: Duration,
    /// Whether the sessions were ended because all is to go.
    has_left: bool,
}

/// The body of the thread: whatever goes wrong ends in `ready` or in `fatal`.
pub(super) fn run(given: Given, shared: Arc<Shared>, ready: &SyncSender<Result<(), SpeakerError>>, fatal: &Fatal) {
    let work = AssertUnwindSafe(|| {
        if let Err(error) = fd_table::unshare(Some(shared.waker.as_fd())) {
            tracing::warn!(%error, "a crash ends BGP sessions only with the memory: the kernel has no close_range");
        }
        if let Err(error) = sched::set_realtime(PRIORITY) {
            tracing::warn!(%error, "the BGP thread is not in a real-time class: grant LimitRTPRIO={PRIORITY}");
        }
        match SpeakerThread::start(given, shared) {
            Ok(mut thread) => {
                // Who waits for it is still there: it waits without a limit.
                let _ = ready.send(Ok(()));
                thread.work()
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                Ok(())
            }
        }
    });
    match catch_unwind(work) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => fatal(&format!("the BGP thread cannot wait for its sockets: {error}")),
        Err(_) => fatal("the BGP thread panicked"),
    }
}

impl SpeakerThread {
    /// Opens what must be there.
    fn start((settings, services, proof_age_max): Given, shared: Arc<Shared>) -> Result<Self, SpeakerError> {
        let failed = |what| move |source| SpeakerError::Kernel { what, source };
        let prefixes = plan::prefixes(&services);
        let epoll = Epoll::new().map_err(failed("epoll can't be had for the BGP thread"))?;
        epoll.watch(shared.waker.as_fd(), WAKER, Interest::NewInput).map_err(failed("the waker can't be watched"))?;
        let receivers = beat::receivers(&settings.neighbors);
        let receivers = receivers.map_err(|(port, source)| SpeakerError::Bfd { port, source })?;
        let listeners = listeners(&settings.neighbors)?;
        for (token, socket) in (FIRST_RECEIVER..).zip(&receivers) {
            let watched = epoll.watch(socket.socket.as_fd(), token, Interest::Input);
            watched.map_err(failed("a socket for BFD can't be watched"))?;
        }
        for (token, socket) in (FIRST_LISTENER..).zip(&listeners) {
            let watched = epoll.watch(socket.as_fd(), token, Interest::Input);
            watched.map_err(failed("a listener can't be watched"))?;
        }
        let router_id = settings.router_id.map_or_else(|| router_id(&settings.neighbors), Ok)?;
        let now = shared.origin.elapsed();
        let kept: Vec<_> = prefixes.iter().map(|prefix| prefix.net).collect();
        let neighbor = |(index, neighbor): (usize, NeighborSettings)| {
            let seed = getrandom::u64().map_err(|error| failed("no random numbers")(error.into()))?;
            let session = SessionSettings {
                hold_time: neighbor.hold_time,
                is_passive: neighbor.is_passive,
                families: neighbor.families,
                role: neighbor.role,
                is_role_strict: neighbor.is_role_strict,
                kept: kept.clone(),
                is_bfd_strict: neighbor.bfd.is_some_and(|bfd| bfd.is_strict),
                ..SessionSettings::new(neighbor.local_as, neighbor.peer_as, router_id, proof_age_max)
            };
            // Another after a restart, and another for each neighbour.
            let discriminator = NonZeroU32::new((seed as u32 & !0xff) | (index as u32 + 1)).unwrap_or(NonZeroU32::MIN);
            let beat = neighbor.bfd.map(|bfd| Beat::new(now, bfd, discriminator, seed));
            let session = Session::new(now, session, seed);
            Ok(Neighbor::new(neighbor, session, beat, (proof_age_max, settings.reason_community)))
        };
        let neighbors = settings.neighbors.into_iter().enumerate().map(neighbor).collect::<Result<_, _>>()?;
        let addresses = Seen::nothing(lock(&shared.wanted).len()).addresses;
        Ok(Self {
            shared,
            services,
            prefixes,
            neighbors,
            reason_community: settings.reason_community,
            receivers,
            listeners,
            epoll,
            decisions: Vec::new(),
            addresses,
            published: Duration::ZERO,
            has_left: false,
        })
    }

    /// Works until it is closed.
    ///
    /// # Errors
    /// That the kernel refuses to wait.
    fn work(&mut self) -> io::Result<()> {
        let mut closing: Option<Duration> = None;
        let now = self.now();
        self.neighbors.iter_mut().for_each(|neighbor| neighbor.begin(now));
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let now = self.now();
            if closing.is_none() && self.shared.is_closing.load(Ordering::Acquire) {
                closing = Some(now);
                self.neighbors.iter_mut().for_each(|neighbor| neighbor.end(now, "the server ends"));
            }
            self.take_wanted(now, closing.is_some());
            self.tick(now);
            self.rewire();
            self.publish(now);
            let is_over = self.neighbors.iter().all(Neighbor::is_over);
            if closing.is_some_and(|since| is_over || now.saturating_sub(since) >= CLOSED_WITHIN) {
                return Ok(());
            }
            match self.epoll.wait(Some(self.pause())) {
                Ok(count) => (0..count).for_each(|index| self.ready(index, &mut buffer)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes over what is wanted, where it is new.
    fn take_wanted(&mut self, now: Duration, is_closing: bool) {
        let decisions = lock(&self.shared.wanted).clone();
        if decisions == self.decisions {
            return;
        }
        for neighbor in &mut self.neighbors {
            let routes = plan::routes(&neighbor.settings, self.reason_community, &self.prefixes, &decisions);
            neighbor.want(routes);
        }
        self.decisions = decisions;
        let leaving = is_leaving(&self.decisions);
        match (leaving, self.has_left) {
            (Some(decision), false) => {
                let text = decision.reason.to_string();
                self.neighbors.iter_mut().for_each(|neighbor| neighbor.end(now, &text));
            }
            (None, true) if !is_closing => self.neighbors.iter_mut().for_each(|neighbor| neighbor.begin(now)),
            _ => {}
        }
        self.has_left = leaving.is_some();
    }

    /// Tells each neighbour what is proven, and lets time go on.
    fn tick(&mut self, now: Duration) {
        let proofs: Vec<Option<Duration>> = self
            .services
            .iter()
            .flat_map(|service| (0..service.proof.len()).map(|index| service.proof.last(index)))
            .collect();
        let (prefixes, decisions) = (&self.prefixes, &self.decisions);
        for neighbor in &mut self.neighbors {
            neighbor.tick(now, |route| prefixes.get(route)?.proven(decisions, &proofs));
        }
    }

    /// Has the sockets of neighbours watched that are new, or that wait for something else than before.
    fn rewire(&mut self) {
        for (index, neighbor) in self.neighbors.iter_mut().enumerate() {
            if !std::mem::take(&mut neighbor.is_rewired) {
                continue;
            }
            for (connection, is_waiting) in neighbor.connections() {
                let interest = if is_waiting { Interest::InputAndOutput } else { Interest::Input };
                let token = FIRST_NEIGHBOR + index as u64;
                let changed = match self.epoll.change(connection.as_fd(), token, interest) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.epoll.watch(connection.as_fd(), token, interest)
                    }
                    outcome => outcome,
                };
                if let Err(error) = changed {
                    // The session then ends by its timers, and the next one has another socket.
                    tracing::warn!(neighbor = %neighbor.settings.address, %error, "a connection can't be watched");
                }
            }
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let now = self.now();
        let deadlines = self.neighbors.iter().filter_map(Neighbor::deadline);
        deadlines.map(|deadline| deadline.saturating_sub(now)).min().unwrap_or(LOOK_EVERY).min(LOOK_EVERY)
    }

    /// Does what a socket waits for.
    fn ready(&mut self, index: usize, buffer: &mut [u8]) {
        let Some(token) = self.epoll.token(index) else { return };
        let now = self.now();
        match token {
            WAKER => {}
            FIRST_NEIGHBOR.. => {
                if let Some(neighbor) = self.neighbors.get_mut((token - FIRST_NEIGHBOR) as usize) {
                    neighbor.ready(now, buffer);
                }
            }
            FIRST_RECEIVER.. => self.hear((token - FIRST_RECEIVER) as usize),
            FIRST_LISTENER.. => self.accept((token - FIRST_LISTENER) as usize),
        }
    }

    /// Takes BFD packets.
    fn hear(&mut self, index: usize) {
        let Some(receiver) = self.receivers.get(index) else { return };
        let now = self.shared.origin.elapsed();
        let mut octets = [0; RECEIVED_BYTES_MAX];
        for _ in 0..PACKETS_MAX {
            match receiver.take(&mut octets) {
                Ok(Some((received, is_near))) => {
                    let is_from = |neighbor: &&mut Neighbor| {
                        receiver.is_for(&neighbor.settings) && neighbor.is_peer(received.source)
                    };
                    let heard = self.neighbors.iter_mut().find(is_from).filter(|_| is_near);
                    if let Some((neighbor, octets)) = heard.zip(octets.get(..received.bytes)) {
                        neighbor.heard(now, octets);
                    }
                }
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "a BFD packet can't be received"),
            }
        }
    }

    /// Takes connections of passive neighbours.
    fn accept(&mut self, index: usize) {
        let Some(listener) = self.listeners.get(index) else { return };
        let now = self.shared.origin.elapsed();
        for _ in 0..CONNECTIONS_MAX {
            let Ok((socket, source)) = listener.accept() else { return };
            let Some(source) = source.as_socket() else { continue };
            let is_from = |neighbor: &&mut Neighbor| neighbor.settings.is_passive && neighbor.is_peer(source);
            match self.neighbors.iter_mut().find(is_from) {
                Some(neighbor) => neighbor.accept(now, socket),
                None => tracing::debug!(%source, "a stranger's BGP connection is closed"),
            }
        }
    }

    /// Publishes what is seen, at once where an address is seen otherwise, and every now and then.
    fn publish(&mut self, now: Duration) {
        let addresses: Vec<Announcement> = (0..self.addresses.len()).map(|index| self.address(now, index)).collect();
        if addresses == self.addresses && now.saturating_sub(self.published) < PUBLISH_EVERY {
            return;
        }
        (self.addresses, self.published) = (addresses.clone(), now);
        let neighbors = self.neighbors.iter().map(neighbor_seen).collect();
        self.shared.publish(Seen { addresses, neighbors });
    }

    /// How an address is seen.
    fn address(&self, now: Duration, index: usize) -> Announcement {
        let before = self.addresses[index];
        let stance = self.decisions.get(index).map_or(Stance::Withdraw, |decision| decision.stance);
        let (mut is_told, mut is_announced, mut is_elsewhere) = (false, false, false);
        for (route, prefix) in self.prefixes.iter().enumerate().filter(|(_, prefix)| prefix.addresses.contains(&index))
        {
            is_told = self.neighbors.iter().any(|neighbor| neighbor.is_told(&prefix.net));
            // The prefix of an address that is withdrawn may stay, for another one.
            let is_its_own = stance != Stance::Withdraw || prefix.decision(&self.decisions).stance == Stance::Withdraw;
            is_elsewhere = self.neighbors.iter().any(|neighbor| neighbor.is_elsewhere(&prefix.net));
            is_announced = is_its_own && self.neighbors.iter().any(|neighbor| neighbor.is_announced(route));
        }
        Announcement {
            stance,
            // Where no neighbour takes the family, there is nothing to do.
            is_done: is_announced == (stance != Stance::Withdraw) || !is_told,
            is_announced,
            since: if is_announced == before.is_announced { before.since } else { now },
            renewed: None,
            lapses: 0,
            is_elsewhere,
        }
    }

    /// The time since the origin.
    fn now(&self) -> Duration {
        self.shared.origin.elapsed()
    }
}

/// What is seen of a neighbour.
fn neighbor_seen(neighbor: &Neighbor) -> NeighborSeen {
    let settings = &neighbor.settings;
    let device = settings.device.as_ref().map(|device| format!("%{device}")).unwrap_or_default();
    NeighborSeen {
        address: format!("{}{device}", settings.address),
        local_address: neighbor.local_address(),
        as_numbers: (settings.peer_as, settings.local_as),
        session: neighbor.session().facts(),
        bfd: neighbor.beat.as_ref().map(|beat| BeatSeen {
            state: beat.session().state(),
            facts: beat.session().facts(),
            send_failures: (beat.send_failures, beat.send_error.as_ref().map(ToString::to_string)),
        }),
    }
}

/// A listener for each address and port that passive neighbours are awaited on.
fn listeners(neighbors: &[NeighborSettings]) -> Result<Vec<Socket>, SpeakerError> {
    let mut groups: Vec<(SocketAddr, Vec<&NeighborSettings>)> = Vec::new();
    for neighbor in neighbors.iter().filter(|neighbor| neighbor.is_passive) {
        let address = connection::own(neighbor, neighbor.local_port);
        let address =
            address.map_err(|source| SpeakerError::Kernel { what: "a passive neighbour's device", source })?;
        match groups.iter_mut().find(|(known, _)| *known == address) {
            Some((_, group)) => group.push(neighbor),
            None => groups.push((address, vec![neighbor])),
        }
    }
    let listen = |(address, group): &(SocketAddr, Vec<&NeighborSettings>)| {
        connection::listen(group).map_err(|source| SpeakerError::Listen { address: *address, source })
    };
    groups.iter().map(listen).collect()
}

/// The address from which the first neighbour over IPv4 is reached.
fn router_id(neighbors: &[NeighborSettings]) -> Result<std::net::Ipv4Addr, SpeakerError> {
    let first = neighbors.iter().find(|neighbor| neighbor.address.is_ipv4());
    let address = first.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |first| SocketAddr::new(first.address, first.port));
    let local = || {
        let own = first.map_or(Ok(SocketAddr::from(([0, 0, 0, 0], 0))), |first| connection::own(first, 0))?;
        let socket = UdpSocket::bind(own)?;
        // Nothing is sent: the kernel looks for the way there.
        socket.connect(address)?;
        match socket.local_addr()? {
            SocketAddr::V4(local) => Ok(*local.ip()),
            SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    };
    local().map_err(|source| SpeakerError::RouterId { neighbor: address, source })
}

/// The real-time priority; that of the route thread.
const PRIORITY: i32 = 10;
/// How often it is looked whether something became due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often what is seen is published though no address changed.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);
/// How long the end may take until sessions are cut.
const CLOSED_WITHIN: Duration = Duration::from_millis(500);
/// The most that is read from a router before others have their turn.
const READ_BYTES: usize = 65_536;
/// The most BFD packets that are taken before others have their turn.
const PACKETS_MAX: usize = 64;
/// The most connections that are taken before others have their turn.
const CONNECTIONS_MAX: usize = 16;
/// The tokens of what is watched.
const WAKER: u64 = 0;
/// The first of the listeners.
const FIRST_LISTENER: u64 = 1;
/// The first of the receivers.
const FIRST_RECEIVER: u64 = 1 << 16;
/// The first of the neighbours.
const FIRST_NEIGHBOR: u64 = 1 << 32;
