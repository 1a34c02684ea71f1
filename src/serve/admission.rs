//! Who may be connected over TCP, and who makes room for a new client when there are as many as may be.
//!
//! Connections are counted by prefix: all of them, those of a family, of a network (an IPv4 /24, an IPv6 /48) and of
//! an address (an IPv4 address, an IPv6 /64: whoever has one address of a /64 usually has all of them). Where a prefix
//! has all that it may have, one of its own is closed for the new one: of the family with the most connections, there
//! of the network and there of the address with the most, the one that has waited longest. So a stranger pushes out a
//! stranger's own idle connections first, and everybody keeps what nobody has more of. The prover's connections are
//! not counted and never closed.
//!
//! Refuses to know what the connections do. Asked once per connection, never per query, so that it may lock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::limits::TcpLimits;
use super::thread::ThreadHandle;
use crate::metrics::TcpBlock;

/// Counts the connections of all TCP threads.
#[derive(Debug)]
pub(super) struct Admission {
    /// How many a prefix may have, by its depth.
    connections_max: [usize; DEPTHS],
    /// How many may be evicted and not closed yet.
    evicted_max: usize,
    /// What moments are counted from.
    origin: Instant,
    /// Who is there now.
    registry: Mutex<Registry>,
}

/// Who is there now.
#[derive(Debug, Default)]
struct Registry {
    /// The prefixes that have connections. The map's hash is seeded at random.
    groups: HashMap<Prefix, Group>,
    /// Counts the changes, so that of two groups it is known which changed last.
    change: u64,
    /// Where the prover's next connection comes from.
    prover: Option<SocketAddr>,
    /// The prover's connections.
    provers: Vec<Weak<TrackedConnection>>,
    /// Those that were evicted and may not be closed yet: they hold a descriptor for a moment more. Not those whose
    /// thread hangs and was replaced: nobody waits for it, and their descriptors are lost until it wakes.
    evicted: Vec<Weak<TrackedConnection>>,
}

/// The connections of one prefix.
#[derive(Debug, Default)]
struct Group {
    /// How many there are.
    count: usize,
    /// When that changed last, or one of them was found to be in use.
    changed: u64,
    /// The prefixes right below, those with the most connections last, of equal ones the one that changed first.
    parts: BTreeSet<(usize, Reverse<u64>, Prefix)>,
    /// Of an address, the connections in the order in which they were last known to begin to wait.
    connections: BTreeMap<WaitKey, Arc<TrackedConnection>>,
}

/// Since when a connection was known to wait, in microseconds, and its number.
type WaitKey = (u64, u64);

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Prefix {
    /// [`ALL`], [`FAMILY`], [`NETWORK`] or [`ADDRESS`].
    depth: usize,
    /// Whether it is one of IPv6; never of all.
    is_v6: bool,
    /// The octets that count at this depth; the others are 0.
    octets: [u8; 8],
}

/// A connection that is there.
#[derive(Debug)]
struct TrackedConnection {
    /// The connection.
    stream: TcpStream,
    /// The thread that serves it.
    handle: Arc<ThreadHandle<TcpBlock>>,
    /// When its last query was answered, or when it came; stored by its thread.
    since_us: AtomicU64,
    /// What of that the registry has noted; changed under its lock.
    noted_us: AtomicU64,
    /// Which admission it was.
    number: u64,
    /// Whether it had to make room.
    is_evicted: AtomicBool,
}

/// No connection can be admitted for now: so many were evicted and are not closed yet that no other one may be. The
/// new one, as it came.
#[derive(Debug)]
pub(super) struct Full(pub(super) TcpStream);

/// A connection with the right to be there, which ends with this.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    /// Where it is given back.
    admission: Arc<Admission>,
    /// The connection.
    tracked: Arc<TrackedConnection>,
    /// Who it is.
    client: IpAddr,
    /// Whether it is the prover.
    is_prover: bool,
}

impl Admission {
    /// Opens with nobody there.
    pub(super) fn new(limits: &TcpLimits) -> Self {
        let TcpLimits { clients_max, clients_per_network_max, clients_per_address_max, .. } = *limits;
        Self {
            connections_max: [clients_max, clients_max, clients_per_network_max, clients_per_address_max],
            evicted_max: evicted_max(clients_max),
            origin: Instant::now(),
            registry: Mutex::default(),
        }
    }

    /// Expects the prover to connect from here next: that connection gets a permit whoever has the others.
    ///
    /// Nobody else can come from there: it is an address of this host with a port that the prover has taken, and what
    /// a stranger's forged packet makes the kernel say goes to the prover, never to the stranger.
    pub(super) fn expect_prover(&self, from: SocketAddr) {
        self.lock().prover = Some(from);
    }

    /// Admits one more connection, which `handle`'s thread serves from `now` on; closes another one where it has to.
    ///
    /// # Errors
    /// [`Full`] where those that were evicted are still there: their thread waits for a CPU, or hangs.
    pub(super) fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
        handle: &Arc<ThreadHandle<TcpBlock>>,
        now: Instant,
    ) -> Result<ConnectionPermit, Full> {
        let address = Prefix::of(client.ip());
        let mut registry = self.lock();
        let is_prover = registry.is_prover(client);
        let room = if is_prover { Some(None) } else { registry.make_room(address, self) };
        let Some(evicted) = room else { return Err(Full(stream)) };
        let since = self.since(now);
        registry.change += 1;
        let tracked = Arc::new(TrackedConnection {
            stream,
            handle: Arc::clone(handle),
            since_us: since.into(),
            noted_us: since.into(),
            number: registry.change,
            is_evicted: false.into(),
        });
        if is_prover {
            registry.provers.push(Arc::downgrade(&tracked));
        } else {
            registry.insert(address, Arc::clone(&tracked));
        }
        drop(registry);
        if let Some(old) = evicted {
            old.evict(handle.block());
        }
        Ok(ConnectionPermit { admission: Arc::clone(self), tracked, client: client.ip(), is_prover })
    }

    /// Closes the connection that would have to make room next, since descriptors have run out. Counted in `block`.
    pub(super) fn evict_one(&self, block: &TcpBlock) {
        let evicted = self.lock().take_longest_waiting(Prefix::EVERYBODY, self.evicted_max);
        if let Some(old) = evicted {
            old.evict(block);
        }
    }

    /// A moment as it is kept.
    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes the lock; the registry is whole after every step, so that a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Whether a connection is the prover's, of whom more than [`PROVERS_MAX`] are treated as others are.
    fn is_prover(&mut self, client: SocketAddr) -> bool {
        let is_same = |from: SocketAddr| (from.ip(), from.port()) == (client.ip(), client.port());
        if !self.prover.is_some_and(is_same) {
            return false;
        }
        self.provers.retain(|one| one.strong_count() > 0);
        self.provers.len() < PROVERS_MAX
    }

    /// Takes a connection out if one more of `address` would be too many for `bounds`; it is to be evicted. `None`
    /// where none can be for now.
    fn make_room(&mut self, address: Prefix, bounds: &Admission) -> Option<Option<Arc<TrackedConnection>>> {
        let count = |depth: usize| self.groups.get(&address.up_to(depth)).map_or(0, |group| group.count);
        // The narrowest full one: once there is room in it, there is room in each that it lies in.
        let full = (0..DEPTHS).rev().find(|&depth| count(depth) >= bounds.connections_max[depth]);
        match full {
            Some(depth) => self.take_longest_waiting(address.up_to(depth), bounds.evicted_max).map(Some),
            None => Some(None),
        }
    }

    /// Takes out the connection of a prefix that has to make room first. `None` where there is none, or where
    /// `evicted_max` are evicted already.
    fn take_longest_waiting(&mut self, prefix: Prefix, evicted_max: usize) -> Option<Arc<TrackedConnection>> {
        let is_closing = |one: &Weak<TrackedConnection>| one.upgrade().is_some_and(|one| !one.handle.is_replaced());
        if self.evicted.len() >= evicted_max {
            self.evicted.retain(is_closing);
        }
        let (address, noted) = self.longest_waiting(prefix).filter(|_| self.evicted.len() < evicted_max)?;
        let tracked = self.remove(address, noted)?;
        self.evicted.push(Arc::downgrade(&tracked));
        Some(tracked)
    }

    /// Finds the connection that has waited longest, there where there are most.
    ///
    /// What is noted may be older than what is so: a connection that was served since is noted anew, and another one
    /// is looked at, so that a look more is paid for by a turn that a client had; [`LOOKS_MAX`] at most.
    fn longest_waiting(&mut self, prefix: Prefix) -> Option<(Prefix, WaitKey)> {
        for look in 1.. {
            let mut address = prefix;
            while address.depth < ADDRESS {
                address = self.groups.get(&address)?.parts.last()?.2;
            }
            let connections = &mut self.groups.get_mut(&address)?.connections;
            let (&noted, tracked) = connections.first_key_value()?;
            let since = tracked.since_us.load(Ordering::Relaxed);
            if since <= noted.0 || look >= LOOKS_MAX {
                return Some((address, noted));
            }
            let tracked = connections.remove(&noted)?;
            tracked.noted_us.store(since, Ordering::Relaxed);
            connections.insert((since, noted.1), tracked);
            self.recount(address, 0);
        }
        None
    }

    /// Takes a connection in.
    fn insert(&mut self, address: Prefix, tracked: Arc<TrackedConnection>) {
        self.groups.entry(address).or_default().connections.insert(tracked.noted(), tracked);
        self.recount(address, 1);
    }

    /// Takes a connection out, if it is there.
    fn remove(&mut self, address: Prefix, noted: WaitKey) -> Option<Arc<TrackedConnection>> {
        let tracked = self.groups.get_mut(&address)?.connections.remove(&noted)?;
        self.recount(address, -1);
        Some(tracked)
    }

    /// Changes the counts of an address and of all that it lies in, and their ranks.
    fn recount(&mut self, address: Prefix, difference: isize) {
        self.change += 1;
        for depth in (0..DEPTHS).rev() {
            let prefix = address.up_to(depth);
            let group = self.groups.entry(prefix).or_default();
            let before = (group.count, Reverse(group.changed), prefix);
            group.count = group.count.saturating_add_signed(difference);
            group.changed = self.change;
            let after = (group.count, Reverse(group.changed), prefix);
            if after.0 == 0 {
                self.groups.remove(&prefix);
            }
            if depth > ALL {
                let parts = &mut self.groups.entry(address.up_to(depth - 1)).or_default().parts;
                parts.remove(&before);
                if after.0 > 0 {
                    parts.insert(after);
                }
            }
        }
    }
}

impl TrackedConnection {
    /// Where the registry has it.
    fn noted(&self) -> WaitKey {
        (self.noted_us.load(Ordering::Relaxed), self.number)
    }

    /// Ends the connection, whichever thread serves it: the client sees it at once, and the thread finds its end.
    fn evict(&self, block: &TcpBlock) {
        self.is_evicted.store(true, Ordering::Release);
        block.evicted.add(1);
        // An error means that the client has ended it.
        let _ended = self.stream.shutdown(Shutdown::Both);
    }
}

impl ConnectionPermit {
    /// The connection.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.tracked.stream
    }

    /// Who it is.
    pub(super) fn client(&self) -> IpAddr {
        self.client
    }

    /// Whether it is the prover.
    pub(super) fn is_prover(&self) -> bool {
        self.is_prover
    }

    /// Whether it had to make room for another one.
    pub(super) fn is_evicted(&self) -> bool {
        self.tracked.is_evicted.load(Ordering::Acquire)
    }

    /// Notes that it was answered at `now`.
    pub(super) fn waits_since(&self, now: Instant) {
        self.tracked.since_us.store(self.admission.since(now), Ordering::Relaxed);
    }

    /// Has the kernel forget what the client has not taken when the connection is closed, and not keep it for minutes.
    pub(super) fn forget_unsent(&self) {
        // It is closed in any case.
        let _set: io::Result<()> = SockRef::from(self.stream()).set_linger(Some(Duration::ZERO));
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if !self.is_prover {
            self.admission.lock().remove(Prefix::of(self.client), self.tracked.noted());
        }
    }
}

impl Prefix {
    /// All of both families.
    const EVERYBODY: Self = Self { depth: ALL, is_v6: false, octets: [0; 8] };

    /// What counts as the address of a client.
    fn of(address: IpAddr) -> Self {
        let octets = match address.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()) << 32,
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        Self { depth: ADDRESS, is_v6: address.to_canonical().is_ipv6(), octets: octets.to_be_bytes() }
    }

    /// The prefix of `depth` that this one lies in.
    fn up_to(self, depth: usize) -> Self {
        let kept = match (depth, self.is_v6) {
            (ALL | FAMILY, _) => 0,
            (NETWORK, false) => 3,
            (NETWORK, true) => 6,
            _ => 8,
        };
        let mut octets = [0; 8];
        octets[..kept].copy_from_slice(&self.octets[..kept]);
        Self { depth, is_v6: self.is_v6 && depth > ALL, octets }
    }
}

/// The depth of the prefix of all.
const ALL: usize = 0;
/// The depth of the prefixes of IPv4 and IPv6.
const FAMILY: usize = 1;
/// The depth of an IPv4 /24 and an IPv6 /48.
const NETWORK: usize = 2;
/// The depth of an IPv4 address and an IPv6 /64.
const ADDRESS: usize = 3;
/// How many depths there are.
const DEPTHS: usize = 4;

/// How many connections may be evicted and hold their descriptor still, as long as a round of turns of their thread
/// takes, where there are `clients_max` in all.
pub(super) fn evicted_max(clients_max: usize) -> usize {
    (clients_max / EVICTED_PART).max(EVICTED_MIN)
}

/// One connection in so many may be evicted.
pub(super) const EVICTED_PART: usize = 16;

/// So many may in any case.
pub(super) const EVICTED_MIN: usize = 64;

/// The most connections of the prover at once: more than it has addresses to ask, twice over.
pub(super) const PROVERS_MAX: usize = 128;

/// How many connections are looked at to find one that waits.
const LOOKS_MAX: usize = 64;

#[cfg(test)]
mod tests;
