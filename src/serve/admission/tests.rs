//! Permits by prefix, over streams that stand for clients from anywhere.

use std::collections::HashMap;
use std::net::TcpListener;

use super::*;

/// An admission, and a thread that serves whoever is admitted.
struct Site {
    admission: Arc<Admission>,
    listener: TcpListener,
    handle: Arc<ThreadHandle<TcpBlock>>,
    /// Moves on with each admission.
    now: Instant,
}

impl Site {
    /// Opens with small limits.
    fn open(clients_max: usize, clients_per_network_max: usize, clients_per_address_max: usize) -> Self {
        let limits =
            TcpLimits { clients_max, clients_per_network_max, clients_per_address_max, ..TcpLimits::default() };
        Self {
            admission: Arc::new(Admission::new(&limits)),
            listener: TcpListener::bind("127.0.0.1:0").expect("loopback is there"),
            handle: Arc::new(ThreadHandle::new(Arc::default())),
            now: Instant::now(),
        }
    }

    /// Lets time go on, so that no two moments are the same.
    fn tick(&mut self) -> Instant {
        self.now += Duration::from_millis(1);
        self.now
    }

    /// One more client of an address.
    fn try_admit(&mut self, client: SocketAddr) -> Result<ConnectionPermit, Full> {
        let own = TcpStream::connect(self.listener.local_addr().expect("bound")).expect("it listens");
        let (stream, _) = self.listener.accept().expect("somebody waits");
        drop(own);
        let now = self.tick();
        self.admission.admit(stream, client, &self.handle, now)
    }

    /// One more client that has to be let in.
    fn admit(&mut self, address: &str) -> ConnectionPermit {
        let address: IpAddr = address.parse().expect("an address");
        self.try_admit(SocketAddr::new(address, 4711)).expect("room is made")
    }

    /// How many connections a prefix has.
    fn count(&self, prefix: Prefix) -> usize {
        self.admission.lock().groups.get(&prefix).map_or(0, |group| group.count)
    }

    /// How many were evicted.
    fn evicted(&self) -> u64 {
        self.handle.block().evicted.value()
    }
}

/// Which of them were evicted, by their places.
fn evicted(permits: &[ConnectionPermit]) -> Vec<usize> {
    (0..permits.len()).filter(|&index| permits[index].is_evicted()).collect()
}

#[test]
fn each_prefix_makes_room_for_its_own_and_the_longest_waiting_goes() {
    // Limits of all, of a network, of an address; who comes; who has to go.
    for (limits, clients, gone) in [
        ((9, 9, 2), &["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1", "192.0.2.1"][..], &[0, 2][..]),
        ((9, 9, 1), &["2001:db8::1", "2001:db8:0:1::1", "2001:db8::2"], &[0]),
        ((9, 2, 2), &["192.0.2.1", "192.0.3.1", "192.0.2.2", "192.0.2.3"], &[0]),
        ((9, 2, 2), &["2001:db8::1", "2001:db8:1::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], &[0]),
        // Who has most pays for a newcomer: the family, there the network, there the address.
        ((5, 5, 5), &["192.0.2.1", "2001:db8::1", "2001:db8:0:1::1", "192.0.2.9", "192.0.2.1", "203.0.113.1"], &[0]),
        ((4, 4, 4), &["192.0.2.1", "2001:db8::1", "2001:db8:1::1", "2001:db8:2::1", "192.0.2.2"], &[1]),
        // An address of IPv4 within IPv6 is the same client.
        ((9, 9, 1), &["192.0.2.1", "::ffff:192.0.2.1"], &[0]),
    ] {
        let mut site = Site::open(limits.0, limits.1, limits.2);
        let permits: Vec<ConnectionPermit> = clients.iter().map(|client| site.admit(client)).collect();
        assert_eq!(evicted(&permits), gone, "{limits:?} {clients:?}");
        assert_eq!(site.evicted(), gone.len() as u64);
        drop(permits);
        let registry = site.admission.lock();
        assert!(registry.groups.is_empty(), "nothing is left behind: {registry:?}");
    }
}

#[test]
fn a_connection_that_is_in_use_outlasts_one_that_waits() {
    let mut site = Site::open(3, 3, 3);
    let mut permits = vec![site.admit("192.0.2.1"), site.admit("192.0.2.1"), site.admit("192.0.2.1")];
    for turn in [0, 1, 0] {
        let now = site.tick();
        permits[turn].waits_since(now);
    }
    for gone in [&[2][..], &[1, 2]] {
        permits.push(site.admit("192.0.2.1"));
        assert_eq!(evicted(&permits), gone);
    }
    // Equal prefixes: of clients with one connection each, those that ask stay.
    let mut site = Site::open(3, 3, 3);
    let mut permits = vec![site.admit("192.0.2.1"), site.admit("198.51.100.1"), site.admit("203.0.113.1")];
    for _ in 0..4 {
        let now = site.tick();
        permits[0].waits_since(now);
        permits.push(site.admit(&format!("10.0.{}.1", permits.len())));
    }
    assert_eq!(evicted(&permits), [1, 2, 3, 4]);
}

#[test]
fn a_client_learns_that_it_was_evicted_by_the_end_of_its_connection() {
    let mut site = Site::open(1, 1, 1);
    let mut own = TcpStream::connect(site.listener.local_addr().expect("bound")).expect("it listens");
    let (stream, client) = site.listener.accept().expect("somebody waits");
    let (now, handle) = (site.tick(), Arc::clone(&site.handle));
    let permit = site.admission.admit(stream, client, &handle, now).expect("there is room");
    let _other = site.admit("192.0.2.1");
    assert_eq!(io::Read::read(&mut own, &mut [0; 1]).expect("it is an orderly end"), 0);
    assert!(permit.is_evicted());
}

#[test]
fn the_prover_has_a_seat_whoever_has_the_others() {
    let mut site = Site::open(1, 1, 1);
    let from: SocketAddr = "192.0.2.53:40000".parse().expect("an address");
    let permit = site.admit("192.0.2.53");
    site.admission.expect_prover(from);
    let provers: Vec<ConnectionPermit> =
        (0..PROVERS_MAX).map(|_| site.try_admit(from).expect("a permit is kept")).collect();
    assert!(provers.iter().all(ConnectionPermit::is_prover) && !permit.is_evicted() && site.evicted() == 0);
    // Another port is another client, and so is what is too much for the prover.
    for (client, gone) in [("192.0.2.53:40001", 1), ("192.0.2.53:40000", 2)] {
        let other = site.try_admit(client.parse().expect("an address")).expect("room is made");
        assert!(!other.is_prover());
        assert_eq!(site.evicted(), gone);
        std::mem::forget(other);
    }
    drop(provers);
    assert!(site.try_admit(from).expect("a permit is kept").is_prover());
}

#[test]
fn connections_that_do_not_go_are_bounded_and_those_of_a_thread_that_hangs_are_given_up() {
    let mut site = Site::open(EVICTED_MIN + 2, 1000, 1000);
    let mut permits: Vec<ConnectionPermit> = (0..2 * EVICTED_MIN + 2).map(|_| site.admit("192.0.2.1")).collect();
    assert_eq!(evicted(&permits).len(), EVICTED_MIN);
    let next: SocketAddr = "203.0.113.1:1".parse().expect("an address");
    assert!(site.try_admit(next).is_err(), "their descriptors are still held");
    drop(permits.remove(0));
    permits.push(site.try_admit(next).expect("one is closed"));
    assert!(site.try_admit(next).is_err());
    // Their thread is replaced by another one: nobody waits for what it holds.
    site.handle.mark_replaced().expect("no thread is to be woken");
    site.handle = Arc::new(ThreadHandle::new(Arc::default()));
    for _ in 0..3 * EVICTED_MIN {
        permits.push(site.try_admit(next).expect("room is made"));
        permits.retain(|permit| !permit.is_evicted() || permit.tracked.handle.is_replaced());
    }
    assert_eq!(site.count(Prefix::EVERYBODY), EVICTED_MIN + 2);
}

#[test]
fn whoever_comes_and_goes_the_limits_hold_and_the_greediest_pays() {
    let seed = 0x5eed_u64;
    eprintln!("seed {seed:#x}");
    let mut random = seed;
    let mut below = move |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let (all_max, network_max, address_max) = (40, 12, 5);
    let mut site = Site::open(all_max, network_max, address_max);
    let mut permits: Vec<(ConnectionPermit, Instant)> = Vec::new();
    for _ in 0..4000 {
        match below(8) {
            0 if !permits.is_empty() => drop(permits.swap_remove(below(permits.len() as u64) as usize)),
            1..4 if !permits.is_empty() => {
                let index = below(permits.len() as u64) as usize;
                let (permit, since) = &mut permits[index];
                *since = site.tick();
                permit.waits_since(*since);
            }
            _ => {
                let networks = 1 + below(9);
                let (network, address) = (below(networks), below(4));
                let client: IpAddr = match below(3) {
                    0 => format!("2001:db8:{network}:{address}::1").parse().expect("an address"),
                    _ => format!("10.0.{network}.{address}").parse().expect("an address"),
                };
                let (own, before) = (Prefix::of(client), site.evicted());
                let counts: HashMap<Prefix, usize> = (permits.iter().map(|(permit, _)| Prefix::of(permit.client())))
                    .flat_map(|prefix| (0..DEPTHS).map(move |depth| prefix.up_to(depth)))
                    .fold(HashMap::new(), |mut counts, prefix| {
                        *counts.entry(prefix).or_default() += 1;
                        counts
                    });
                let count = |prefix: Prefix| counts.get(&prefix).copied().unwrap_or(0);
                let permit = site.try_admit(SocketAddr::new(client, 1)).expect("room is made");
                let gone = permits.iter().position(|(permit, _)| permit.is_evicted());
                assert_eq!(site.evicted() - before, u64::from(gone.is_some()));
                let maxima = [all_max, all_max, network_max, address_max];
                let full = (0..DEPTHS).rev().find(|&depth| count(own.up_to(depth)) >= maxima[depth]);
                assert_eq!(gone.is_some(), full.is_some());
                if let (Some(gone), Some(full)) = (gone, full) {
                    let (old, since) = permits.swap_remove(gone);
                    let paid = Prefix::of(old.client());
                    assert_eq!(paid.up_to(full), own.up_to(full), "whoever is full makes room");
                    for depth in full + 1..DEPTHS {
                        let parts = counts
                            .iter()
                            .filter(|(part, _)| part.depth == depth && part.up_to(depth - 1) == paid.up_to(depth - 1));
                        let most = parts.map(|(_, count)| *count).max();
                        assert_eq!(Some(count(paid.up_to(depth))), most, "there where there are most");
                    }
                    let waited = |(permit, at): &&(ConnectionPermit, Instant)| {
                        Prefix::of(permit.client()) == paid && *at < since
                    };
                    assert!(permits.iter().find(waited).is_none(), "the one that has waited longest");
                }
                permits.push((permit, site.now));
            }
        }
        assert_eq!(site.count(Prefix::EVERYBODY), permits.len());
    }
    assert!(site.evicted() > 500, "{}", site.evicted());
    drop(permits);
    assert!(site.admission.lock().groups.is_empty());
}
