//! How many TCP connections there may be, in all and per client.
//!
//! A client is an IPv4 address or an IPv6 /64: whoever has one address of a /64 usually has all of them. Refuses to know
//! what the connections do. Asked once per connection, never per query, so that it may lock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::TcpLimits;

/// Counts the connections of all TCP threads.
#[derive(Debug)]
pub(super) struct Admission {
    /// Connections of all clients together.
    clients_max: usize,
    /// Connections of one client.
    clients_per_address_max: usize,
    /// Who is there now.
    census: Mutex<Census>,
}

/// Who is there now.
#[derive(Debug, Default)]
struct Census {
    /// All connections.
    total: usize,
    /// Connections by client, never 0; at most `clients_max` entries. The map's hash is seeded at random.
    by_client: HashMap<Client, usize>,
}

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There are too many of all clients.
    All,
    /// There are too many of this client.
    Client,
}

/// The right to be connected, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    /// Where it is given back.
    admission: Arc<Admission>,
    /// Whose it is.
    client: Client,
}

impl Admission {
    /// Opens with nobody there.
    pub(super) fn new(limits: &TcpLimits) -> Self {
        Self {
            clients_max: limits.clients_max,
            clients_per_address_max: limits.clients_per_address_max,
            census: Mutex::default(),
        }
    }

    /// Admits one more connection of `address`.
    ///
    /// # Errors
    /// Which limit is reached.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Refusal> {
        let client = Client::of(address);
        let mut census = self.lock();
        if census.total >= self.clients_max {
            return Err(Refusal::All);
        }
        if census.by_client.get(&client).is_some_and(|&count| count >= self.clients_per_address_max) {
            return Err(Refusal::Client);
        }
        census.total += 1;
        *census.by_client.entry(client).or_insert(0) += 1;
        drop(census);
        Ok(Seat { admission: Arc::clone(self), client })
    }

    /// Takes the lock; the census is whole after every step, so that a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Census> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut census = self.admission.lock();
        census.total = census.total.saturating_sub(1);
        if let Entry::Occupied(mut entry) = census.by_client.entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Client {
    /// Says which client an address belongs to.
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => Self::V6(prefix_64(v6)),
        }
    }
}

/// Returns the first 64 bits of an address.
fn prefix_64(address: Ipv6Addr) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens with small limits.
    fn open(clients_max: usize, clients_per_address_max: usize) -> Arc<Admission> {
        Arc::new(Admission::new(&TcpLimits { clients_max, clients_per_address_max, ..TcpLimits::default() }))
    }

    /// Parses an address.
    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_client_cannot_take_the_seats_of_others() {
        let admission = open(10, 2);
        let seats: Vec<_> = (0..2).map(|_| admission.admit(address("192.0.2.1")).expect("a seat is free")).collect();
        assert_eq!(admission.admit(address("192.0.2.1")).err(), Some(Refusal::Client));
        assert!(admission.admit(address("192.0.2.2")).is_ok());
        drop(seats);
        assert!(admission.admit(address("192.0.2.1")).is_ok());
    }

    #[test]
    fn an_ipv6_client_is_a_64_bit_prefix() {
        let admission = open(10, 1);
        let _seat = admission.admit(address("2001:db8::1")).expect("a seat is free");
        assert_eq!(admission.admit(address("2001:db8::ffff:1")).err(), Some(Refusal::Client));
        assert!(admission.admit(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn the_limit_of_all_holds_and_nothing_is_left_behind() {
        let admission = open(2, 2);
        let seats =
            [address("192.0.2.1"), address("192.0.2.2")].map(|one| admission.admit(one).expect("a seat is free"));
        assert_eq!(admission.admit(address("192.0.2.3")).err(), Some(Refusal::All));
        drop(seats);
        let census = admission.lock();
        assert_eq!((census.total, census.by_client.len()), (0, 0));
    }
}
