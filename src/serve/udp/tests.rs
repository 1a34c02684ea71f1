//! The worker loop over datagrams that no socket brought: it knows its [`DatagramIo`] alone.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::io::{DatagramIo, Queries, Received, Replies};
use super::worker::UdpWorker;
use crate::answer::{Canary, Settings, Snapshot};
use crate::metrics::UdpBlock;
use crate::serve::thread::ThreadHandle;
use crate::serve::wedges;
use crate::sys::mmsg::{Datagram, REPLY_BYTES_MAX, Wait};
use crate::wire::probe::{Probe, Steer};

/// A datagram in memory.
#[derive(Clone, Debug)]
struct Packet {
    octets: Vec<u8>,
    source: SocketAddr,
    is_cut_short: bool,
}

/// What left: to whom, and by which way where it left apart from its batch.
type Sent = (SocketAddr, Option<usize>, Vec<u8>);

/// Brings batches that a test made, and keeps what is sent.
struct MemoryIo {
    /// The batches that come, each with the address that it came to.
    arriving: VecDeque<(usize, Vec<Packet>)>,
    /// So many of them come before it is time to end; the others are queued by then.
    before_end: usize,
    is_stopping: Arc<AtomicBool>,
    /// The batch that came last, a reply buffer for each, and what is staged: index and length.
    batch: Vec<Packet>,
    buffers: Vec<Vec<u8>>,
    staged: Vec<(usize, usize)>,
    /// Replies that each call of send takes, or why it takes none, in turn; all of them behind the last.
    takes: VecDeque<Result<usize, io::ErrorKind>>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl DatagramIo for MemoryIo {
    type Queries<'b> = MemoryQueries<'b>;
    type Replies<'b> = MemoryReplies<'b>;

    fn receive(&mut self, wait: Wait) -> io::Result<Received> {
        self.staged.clear();
        if wait == Wait::ForOne && self.before_end == 0 {
            self.is_stopping.store(true, Ordering::Release);
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.before_end = self.before_end.saturating_sub(1);
        let (address_index, batch) = self.arriving.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        self.buffers.resize_with(batch.len(), || vec![0; REPLY_BYTES_MAX]);
        self.batch = batch;
        Ok(Received { count: self.batch.len(), address_index })
    }

    fn split(&mut self) -> (MemoryQueries<'_>, MemoryReplies<'_>) {
        let Self { batch, buffers, staged, sent, .. } = self;
        (MemoryQueries(batch), MemoryReplies { batch, buffers, staged, sent })
    }

    fn staged_count(&self) -> usize {
        self.staged.len()
    }

    fn staged_bytes(&self, index: usize) -> usize {
        self.staged[index].1
    }

    fn send(&mut self, start: usize) -> io::Result<usize> {
        let rest = &self.staged[start..];
        let count = self.takes.pop_front().unwrap_or(Ok(usize::MAX))?.min(rest.len());
        let sent = rest[..count].iter();
        let sent =
            sent.map(|&(index, length)| (self.batch[index].source, None, self.buffers[index][..length].to_vec()));
        self.sent.lock().expect("no test panics").extend(sent);
        Ok(count)
    }
}

/// See [`MemoryIo::batch`].
#[derive(Clone, Copy)]
struct MemoryQueries<'b>(&'b [Packet]);

impl<'b> Queries<'b> for MemoryQueries<'b> {
    fn get(self, index: usize) -> Option<Datagram<'b>> {
        let Packet { octets, source, is_cut_short } = self.0.get(index)?;
        Some(Datagram { octets, is_cut_short: *is_cut_short, source_port: source.port(), source: source.ip() })
    }
}

/// See [`MemoryIo::buffers`].
struct MemoryReplies<'b> {
    batch: &'b [Packet],
    buffers: &'b mut [Vec<u8>],
    staged: &'b mut Vec<(usize, usize)>,
    sent: &'b Mutex<Vec<Sent>>,
}

impl Replies for MemoryReplies<'_> {
    fn buffer(&mut self, index: usize) -> Option<&mut [u8]> {
        self.buffers.get_mut(index).map(Vec::as_mut_slice)
    }

    fn stage(&mut self, index: usize, length: usize) -> bool {
        self.staged.push((index, length));
        true
    }

    /// The first way is full.
    fn send_apart(&self, index: usize, length: usize, way: usize) -> Option<io::Result<()>> {
        match way {
            0 => Some(Err(io::ErrorKind::WouldBlock.into())),
            1 => {
                let reply = (self.batch[index].source, Some(way), self.buffers[index][..length].to_vec());
                self.sent.lock().expect("no test panics").push(reply);
                Some(Ok(()))
            }
            _ => None,
        }
    }
}

/// What a worker did.
struct Outcome {
    sent: Vec<Sent>,
    handle: Arc<ThreadHandle<UdpBlock>>,
    /// How often clients were answered, by address.
    clients: [u64; 2],
}

/// Runs worker 3 of two addresses until it ends.
fn run(
    arriving: Vec<(usize, Vec<Packet>)>,
    before_end: usize,
    takes: Vec<Result<usize, io::ErrorKind>>,
    is_replaced: bool,
) -> Outcome {
    let (sent, is_stopping) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let handle = Arc::new(ThreadHandle::new(Arc::default()));
    if is_replaced {
        handle.mark_replaced().expect("no thread is to be woken");
    }
    let settings = Settings { canary: Some(canary()), ..Settings::default() };
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot { settings, ..Snapshot::default() }));
    let io = MemoryIo {
        arriving: arriving.into(),
        before_end,
        is_stopping: Arc::clone(&is_stopping),
        batch: Vec::new(),
        buffers: Vec::new(),
        staged: Vec::new(),
        takes: takes.into(),
        sent: Arc::clone(&sent),
    };
    let addresses: Vec<IpAddr> = vec![[192, 0, 2, 53].into(), [192, 0, 2, 54].into()];
    let clients: Arc<[AtomicU64]> = [0, 0].map(AtomicU64::new).into();
    UdpWorker::new(3, (io, addresses), Arc::clone(&clients), snapshot, Arc::clone(&handle), is_stopping).run();
    let clients = [0, 1].map(|index| clients[index].load(Ordering::Relaxed));
    let sent = std::mem::take(&mut *sent.lock().expect("no test panics"));
    Outcome { sent, handle, clients }
}

/// The canary of the tests. Its prober is 192.0.2.1, and nobody else comes from 192.0.2.2.
fn canary() -> Canary {
    Canary { nonce: 7, sources: vec![[192, 0, 2, 1].into()], reserved: vec![[192, 0, 2, 2].into()] }
}

/// A client's query with an ID, which is also the port that it comes from.
fn query(id: u16) -> Packet {
    Packet { octets: wedges::query(id, &[0]), source: SocketAddr::from(([198, 51, 100, 1], id)), is_cut_short: false }
}

/// Queries with the IDs of a range.
fn queries(ids: std::ops::RangeInclusive<u16>) -> Vec<Packet> {
    ids.map(query).collect()
}

/// The IDs of what was sent, each of which went to the port of that number, with an RCODE.
fn ids(sent: &[Sent], rcode: u8) -> Vec<u16> {
    let id = |(to, way, reply): &Sent| {
        let id = u16::from_be_bytes([reply[0], reply[1]]);
        assert_eq!((to.port(), *way, reply[3] & 0x0F), (id, None, rcode), "{id}");
        id
    };
    sent.iter().map(id).collect()
}

#[test]
fn every_datagram_of_every_batch_is_answered_to_where_it_came_from() {
    // More than are read ahead at once, then what is queued when it is time to end.
    let arriving = vec![(0, queries(1..=40)), (1, queries(41..=41)), (1, queries(42..=50)), (0, queries(51..=52))];
    let Outcome { sent, handle, clients } = run(arriving, 2, vec![], false);
    assert_eq!(ids(&sent, 5), (1..=52).collect::<Vec<u16>>());
    let octets: usize = sent.iter().map(|(_, _, reply)| reply.len()).sum();
    let counters = &handle.block().answers;
    assert_eq!((counters.queries.value(), counters.octets_out.value()), (52, octets as u64));
    assert_eq!((handle.block().batches.value(), clients), (4, [2, 2]));
}

#[test]
fn a_partial_batch_is_finished_and_what_is_refused_or_stalled_is_counted() {
    let takes = vec![Ok(3), Err(io::ErrorKind::PermissionDenied), Ok(2), Err(io::ErrorKind::WouldBlock)];
    let Outcome { sent, handle, .. } = run(vec![(0, queries(1..=8)), (0, queries(9..=9))], 2, takes, false);
    assert_eq!(ids(&sent, 5), [1, 2, 3, 5, 6, 9]);
    assert_eq!((handle.block().send_refused.value(), handle.block().send_stalled.value()), (1, 2));
}

#[test]
fn what_cannot_be_answered_is_dropped_or_refused_and_counted() {
    let cut_short = Packet { is_cut_short: true, ..query(1) };
    let from_nowhere = Packet { source: SocketAddr::from(([198, 51, 100, 1], 0)), ..query(2) };
    let to_everybody = Packet { source: SocketAddr::from(([255; 4], 3)), ..query(3) };
    let forged = Packet { source: SocketAddr::from(([192, 0, 2, 2], 4)), ..query(4) };
    let Outcome { sent, handle, .. } =
        run(vec![(0, vec![cut_short, from_nowhere, to_everybody, forged])], 1, vec![], false);
    assert_eq!(ids(&sent, 1), [1]);
    let block = handle.block();
    assert_eq!((block.oversized.value(), block.port_zero.value(), block.forged.value()), (1, 1, 1));
    assert_eq!((block.answers.queries.value(), block.answers.drops.value()), (4, 3));
}

#[test]
fn the_reply_to_a_probe_leaves_at_once_by_the_first_way_that_takes_it() {
    let source = SocketAddr::from(([192, 0, 2, 1], 9));
    let octets = Probe::canary(Steer { nonce: canary().nonce, worker: 3 }).with_id(9).to_vec();
    let probe = Packet { octets, source, is_cut_short: false };
    let Outcome { sent, handle, clients } = run(vec![(0, vec![query(1), probe])], 1, vec![], false);
    let (to, way, reply) = &sent[0];
    assert_eq!((*to, *way, reply[1]), (source, Some(1), 9), "before the batch is sent");
    assert_eq!(ids(&sent[1..], 5), [1]);
    assert_eq!((handle.block().send_stalled.value(), clients), (1, [1, 0]));
}

#[test]
fn a_replaced_worker_finishes_its_batch_and_leaves_the_rest() {
    let Outcome { sent, .. } = run(vec![(0, queries(1..=2)), (0, queries(3..=3))], 2, vec![], true);
    assert_eq!(ids(&sent, 5), [1, 2]);
}
