//! Wires between namespaces that delay each packet and lose some: one tun device in each namespace, and a thread that
//! carries packets from one to the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fated::sys::tun::Tun;

use crate::common::Dice;
use crate::common::site::namespace::Namespace;

/// Between two looks at the devices.
const POLL: Duration = Duration::from_micros(500);
/// The most packets that are under way.
const PACKETS_MAX: usize = 100_000;
/// Octets of the largest packet.
const PACKET_BYTES_MAX: usize = 1500;

/// The address of a namespace on the wire.
pub(crate) fn own_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, number as u8 + 1)
}

/// The wires, until they end.
pub(crate) struct Wire {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<(u64, u64)>,
}

impl Wire {
    /// Connects namespaces; each packet takes `delay`, and so many of one are lost.
    pub(crate) fn start(spaces: &[Namespace], delay: Duration, loss: f64) -> Self {
        let open = |(number, space): (usize, &Namespace)| {
            let tun = space.run(|| Tun::open("wire0").expect("root may make a device"));
            space.ip(&format!("addr add {}/24 dev wire0", own_address(number)));
            space.ip("link set wire0 up");
            tun
        };
        let tuns: Vec<Tun> = spaces.iter().enumerate().map(open).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let is_ending = Arc::clone(&is_over);
        Self { is_over, thread: thread::spawn(move || carry(&tuns, delay, loss, &is_ending)) }
    }

    /// Ends them; says how many packets were carried, and how many of them were lost.
    pub(crate) fn end(self) -> (u64, u64) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

/// A packet under way: when it arrives, its number, and where.
type Packet = (Instant, u64, usize, Vec<u8>);

/// Carries packets until the end.
fn carry(tuns: &[Tun], delay: Duration, loss: f64, is_over: &AtomicBool) -> (u64, u64) {
    let mut under_way: BinaryHeap<Reverse<Packet>> = BinaryHeap::new();
    let (mut dice, mut sent, mut lost) = (Dice::new(3), 0, 0);
    let mut packet = [0; PACKET_BYTES_MAX];
    while !is_over.load(Ordering::Relaxed) {
        for tun in tuns {
            while let Ok(length) = tun.read(&mut packet) {
                // IPv4: the last octet of the destination is the number.
                let to = if length >= 20 && packet[0] >> 4 == 4 { usize::from(packet[19]) } else { 0 };
                let Some(to) = to.checked_sub(1).filter(|to| *to < tuns.len()) else { continue };
                sent += 1;
                if (dice.below(1 << 20) as f64) < loss * f64::from(1 << 20) || under_way.len() >= PACKETS_MAX {
                    lost += 1;
                    continue;
                }
                under_way.push(Reverse((Instant::now() + delay, sent, to, packet[..length].to_vec())));
            }
        }
        while under_way.peek().is_some_and(|Reverse((due, ..))| *due <= Instant::now()) {
            let Some(Reverse((_, _, to, packet))) = under_way.pop() else { break };
            // A device whose namespace is going takes nothing any more.
            let _is_taken = tuns[to].write(&packet);
        }
        thread::sleep(POLL);
    }
    (sent, lost)
}
