//! A UDP worker: receive a batch, answer it from one snapshot, send the replies.
//!
//! Owns its arrays and shares its sockets only with whoever wakes it. Between receive and send there is no allocation,
//! lock, log or system call (a caught panic and the reply to a probe are the exceptions). Refuses to know what a query
//! means.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::answer::{Claim, PROBE_TOKEN_BYTES, RequestContext, Snapshot, Transport};
use crate::metrics::UdpBlock;
use crate::serve::ahead::{GROUP, Read, read_ahead};
use crate::serve::exchange::{exchange, refuse_cut_short, unix_now};
use crate::serve::thread::ThreadHandle;
use crate::sys::epoll::{Epoll, Interest};
use crate::sys::mmsg::{BATCH_MAX, Batch, Datagram, Queries, Replies, Wait};

/// What a worker reads and writes. All three count by address.
#[derive(Debug)]
pub(super) struct Sockets {
    /// One socket per address.
    pub(super) sockets: Vec<Arc<UdpSocket>>,
    /// What replies to probes leave by where the own socket is full; shared by all workers.
    pub(super) spares: Arc<[Option<UdpSocket>]>,
    /// How often clients were answered.
    pub(super) clients: Arc<[AtomicU64]>,
}

/// One worker, to be run on a thread of its own.
#[derive(Debug)]
pub(super) struct UdpWorker {
    /// Which worker this is; asked by canaries.
    index: u16,
    /// What it reads and writes.
    sockets: Sockets,
    /// The address of each socket.
    addresses: Vec<IpAddr>,
    /// Waits for the sockets where there are several; one alone is read directly, which saves two calls per batch.
    epoll: Option<Epoll>,
    /// The arrays.
    batch: Batch,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Our counters, and whether another thread has taken over.
    handle: Arc<ThreadHandle<UdpBlock>>,
    /// Set when it is time to end.
    is_stopping: Arc<AtomicBool>,
}

impl UdpWorker {
    /// Allocates all that the worker will ever need.
    ///
    /// # Errors
    /// Several sockets cannot be waited for: descriptors or memory ran out.
    pub(super) fn new(
        index: u16,
        sockets: Sockets,
        snapshot: Arc<ArcSwap<Snapshot>>,
        handle: Arc<ThreadHandle<UdpBlock>>,
        is_stopping: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let mut epoll = None;
        if sockets.sockets.len() > 1 {
            let several = Epoll::new()?;
            for (token, socket) in (0..).zip(&sockets.sockets) {
                several.watch(socket.as_fd(), token, Interest::Input)?;
            }
            epoll = Some(several);
        }
        let local = |socket: &Arc<UdpSocket>| socket.local_addr().map(|address| address.ip());
        let addresses = sockets.sockets.iter().map(local).collect::<io::Result<_>>()?;
        Ok(Self { index, sockets, addresses, epoll, batch: Batch::new(), snapshot, handle, is_stopping })
    }

    /// Serves until it is time to end, then answers what is queued; or until another thread has taken over, which
    /// answers that then.
    pub(super) fn run(mut self) {
        while !self.is_stopping.load(Ordering::Acquire) {
            let outcome = if self.epoll.is_some() { self.turn_several() } else { self.turn(0, Wait::ForOne).map(drop) };
            if let Err(error) = outcome {
                self.rest_after(&error);
            }
            if self.handle.is_replaced() {
                return;
            }
        }
        for socket_index in 0..self.sockets.sockets.len() {
            self.drain(socket_index);
        }
    }

    /// Waits for the sockets and takes one batch from each that has input, so that none starves another.
    fn turn_several(&mut self) -> io::Result<()> {
        let Some(epoll) = &mut self.epoll else { return Ok(()) };
        let ready_count = epoll.wait(None)?;
        for index in 0..ready_count {
            let Some(token) = self.epoll.as_ref().and_then(|epoll| epoll.token(index)) else { continue };
            // Tokens are the places of sockets; one that is none is no socket.
            let socket_index = usize::try_from(token).unwrap_or(usize::MAX);
            if let Err(error) = self.turn(socket_index, Wait::Never) {
                self.rest_after(&error);
            }
        }
        Ok(())
    }

    /// Receives one batch from a socket, answers it and sends the replies; returns how many datagrams came.
    fn turn(&mut self, socket_index: usize, wait: Wait) -> io::Result<usize> {
        let Some(socket) = self.sockets.sockets.get(socket_index) else { return Ok(0) };
        let count = self.batch.receive(socket.as_fd(), wait)?;
        let block = self.handle.block();
        // The guard ends before the replies are sent: whoever waits for old readers waits for answers only.
        let snapshot = self.snapshot.load();
        let (queries, mut replies) = self.batch.split();
        let now = unix_now();
        let spare = self.sockets.spares.get(socket_index).and_then(Option::as_ref);
        let ways = [Some(socket.as_fd()), spare.map(AsFd::as_fd)];
        for first in (0..count).step_by(GROUP) {
            let group = Group::read(queries, first, &snapshot);
            group.answer(&mut replies, &snapshot, (self.index, ways, now), block);
        }
        let is_of_client =
            queries.get(0).is_some_and(|first| is_client(&first, &snapshot, self.addresses[socket_index]));
        drop(snapshot);
        if is_of_client && self.batch.staged_count() > 0 {
            self.sockets.clients[socket_index].fetch_add(1, Ordering::Relaxed);
        }
        send(&mut self.batch, socket.as_fd(), block);
        block.batches.add(1);
        Ok(count)
    }

    /// Answers what is queued on a socket when the worker ends, up to a bound.
    fn drain(&mut self, socket_index: usize) {
        for _ in 0..DRAIN_BATCHES_MAX {
            // Any error, an empty queue above all, means that there is nothing more to be had.
            if self.turn(socket_index, Wait::Never).is_err() {
                return;
            }
        }
    }

    /// Counts an error of receive or wait; one that may come again at once costs a pause, so that it cannot spin.
    fn rest_after(&self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            return;
        }
        self.handle.block().receive_errors.add(1);
        thread::sleep(ERROR_PAUSE);
    }
}

/// Datagrams that are read ahead of their answers.
struct Group<'b, 'z> {
    queries: Queries<'b>,
    /// The number of the first in its batch.
    first: usize,
    /// What was read of the first of them; of the others, that is to be found out again.
    read: Read<'b, 'z>,
}

impl<'b, 'z> Group<'b, 'z> {
    /// Reads the datagrams from number `first` on, and lets what their answers need be fetched.
    fn read(queries: Queries<'b>, first: usize, snapshot: &'z Snapshot) -> Self {
        let mut read = Read::new();
        // A panic is our bug, and not told here: what was not read is read again behind the fence of its own answer.
        let _outcome = catch_unwind(AssertUnwindSafe(|| {
            let octets = (first..).map_while(|index| queries.get(index)).map(|datagram| datagram.octets);
            read_ahead(snapshot, octets, &mut read);
        }));
        Self { queries, first, read }
    }

    /// Answers the datagrams as `worker` and stages the replies. Those to probes leave at once, by the first of `ways`
    /// that takes them: what strangers leave in a socket must not hold them up.
    fn answer(
        mut self,
        replies: &mut Replies<'_>,
        snapshot: &'z Arc<Snapshot>,
        (worker, ways, now): (u16, [Option<BorrowedFd<'_>>; 2], Duration),
        block: &UdpBlock,
    ) {
        let canary = snapshot.settings.canary.as_ref();
        for offset in 0..GROUP {
            let (index, asked) = (self.first + offset, self.read.get_mut(offset).and_then(Option::as_mut));
            let (Some(datagram), Some(reply)) = (self.queries.get(index), replies.buffer(index)) else { return };
            let claim = canary.map_or(Claim::Client, |canary| canary.claim(datagram.octets, datagram.source));
            let length = if claim == Claim::Forged {
                block.forged.add(1);
                block.answers.queries.add(1);
                block.answers.drops.add(1);
                None
            } else if datagram.source_port == 0 || is_nobodys(datagram.source) {
                block.port_zero.add(u64::from(datagram.source_port == 0));
                block.answers.queries.add(1);
                block.answers.drops.add(1);
                None
            } else if datagram.is_cut_short {
                block.oversized.add(1);
                refuse_cut_short(datagram.octets, reply, &block.answers)
            } else {
                let context = RequestContext { transport: Transport::Udp, source: datagram.source, worker, now };
                exchange(snapshot, datagram.octets, asked, &context, reply, &block.answers)
            };
            if let (Some(length), Claim::Probe(token)) = (length, claim) {
                let length = seal(reply, length, token);
                reply_to_probe(replies, (index, length), ways, block);
            } else if let Some(length) = length {
                // The length is that of a slice of `reply`, which always fits.
                let is_staged = replies.stage(index, length);
                debug_assert!(is_staged, "replies are staged once each, in order");
            }
        }
    }
}

/// Whether an address is that of no host, so that no reply reaches one, or very many: unspecified, multicast,
/// broadcast (RFC 4291 §2.5.2, §2.7; RFC 1122 §3.2.1.3). Linux lets `::` through.
fn is_nobodys(source: IpAddr) -> bool {
    source.is_unspecified() || source.is_multicast() || source == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Puts the token of a probe behind the reply to it; returns the length of both.
fn seal(reply: &mut [u8], length: usize, token: [u8; PROBE_TOKEN_BYTES]) -> usize {
    // A probe asks for less than there is room for; where there is none, the reply stays without, and proves nothing.
    let Some(behind) = reply.get_mut(length..length + PROBE_TOKEN_BYTES) else { return length };
    behind.copy_from_slice(&token);
    length + PROBE_TOKEN_BYTES
}

/// Sends the reply to a probe by the first way that takes it.
#[cold]
fn reply_to_probe(
    replies: &Replies<'_>,
    (index, length): (usize, usize),
    ways: [Option<BorrowedFd<'_>>; 2],
    block: &UdpBlock,
) {
    for way in ways.into_iter().flatten() {
        match replies.send_apart(index, length, way) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => block.send_stalled.add(1),
            Err(_) => block.send_refused.add(1),
        }
    }
}

/// Whether a datagram is that of somebody whom a network led here, and no probe's.
fn is_client(datagram: &Datagram<'_>, snapshot: &Snapshot, own: IpAddr) -> bool {
    let canary = snapshot.settings.canary.as_ref();
    let is_far = !datagram.source.is_loopback() && datagram.source != own;
    is_far && canary.is_some_and(|canary| canary.claim(datagram.octets, datagram.source) == Claim::Client)
}

/// Sends all staged replies and counts each as sent, refused or given up.
fn send(batch: &mut Batch, socket: BorrowedFd<'_>, block: &UdpBlock) {
    let count = batch.staged_count();
    let mut refused = [0u64; REFUSED_WORDS];
    let outcome = send_all(count, |start| batch.send(socket, start), |index| refused[index / 64] |= 1 << (index % 64));
    block.send_refused.add(outcome.refused as u64);
    block.send_stalled.add((count - outcome.done) as u64);
    let is_refused = |index: usize| refused[index / 64] & (1 << (index % 64)) != 0;
    let octets: usize =
        (0..outcome.done).filter(|&index| !is_refused(index)).map(|index| batch.staged_bytes(index)).sum();
    block.answers.octets_out.add(octets as u64);
}

/// What became of the replies of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SendOutcome {
    /// How many were sent or refused, from the first on; the others were given up.
    done: usize,
    /// How many of those the kernel refused.
    refused: usize,
}

/// Sends `count` replies, however small the parts are that the kernel takes.
///
/// `send` tries from a number on and returns how many were taken, or why that one was not. A reply that fails by
/// itself (no route, filtered, too long) is told to `refuse` and skipped. A full socket is not waited for, and the
/// rest is given up: clients ask again, and a worker that waits for strangers who do not take their replies helps
/// nobody.
fn send_all(
    count: usize,
    mut send: impl FnMut(usize) -> io::Result<usize>,
    mut refuse: impl FnMut(usize),
) -> SendOutcome {
    let mut outcome = SendOutcome { done: 0, refused: 0 };
    let mut interruptions = 0;
    while outcome.done < count && interruptions <= INTERRUPTIONS_MAX {
        match send(outcome.done) {
            // Nothing taken and no error cannot be, but must not become an endless loop.
            Ok(0) => interruptions += 1,
            Ok(taken) => outcome.done += taken,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => interruptions += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return outcome,
            Err(_) => {
                refuse(outcome.done);
                outcome.done += 1;
                outcome.refused += 1;
            }
        }
    }
    outcome
}

/// How many bits tell which replies were refused.
const REFUSED_WORDS: usize = BATCH_MAX.div_ceil(64);

/// How often a call is made again in one batch that a signal cut short.
const INTERRUPTIONS_MAX: usize = 8;

/// How long a worker rests after an error that may come again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(5);

/// How many batches a worker answers per socket after it was told to end; more than any socket buffer holds.
const DRAIN_BATCHES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Plays a list of results of the send call and returns what became of the replies, and which were refused.
    fn play(count: usize, results: &[Result<usize, i32>]) -> (SendOutcome, Vec<usize>, Vec<usize>) {
        let (starts, refused) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut results = results.iter();
        let outcome = send_all(
            count,
            |start| {
                starts.borrow_mut().push(start);
                let result = results.next().expect("no more calls than planned");
                result.map_err(io::Error::from_raw_os_error)
            },
            |index| refused.borrow_mut().push(index),
        );
        assert!(results.next().is_none(), "all planned calls are made");
        (outcome, starts.into_inner(), refused.into_inner())
    }

    #[test]
    fn only_addresses_of_hosts_are_answered() {
        for (source, is_nobodys) in [
            ("::", true),
            ("ff02::1", true),
            ("0.0.0.0", true),
            ("224.0.0.1", true),
            ("239.255.255.255", true),
            ("255.255.255.255", true),
            ("::1", false),
            ("fe80::1", false),
            ("2001:db8::", false),
            ("127.0.0.1", false),
            ("192.0.2.255", false),
            ("240.0.0.1", false),
        ] {
            assert_eq!(super::is_nobodys(source.parse().expect("an address")), is_nobodys, "{source}");
        }
    }

    #[test]
    fn a_partial_send_is_finished() {
        let (outcome, starts, _) = play(10, &[Ok(3), Ok(6), Ok(1)]);
        assert_eq!(outcome, SendOutcome { done: 10, refused: 0 });
        assert_eq!(starts, [0, 3, 9]);
    }

    #[test]
    fn a_reply_that_fails_is_counted_and_the_next_ones_are_sent() {
        let plan =
            [Ok(2), Err(libc::EPERM), Ok(1), Err(libc::ENETUNREACH), Err(libc::EMSGSIZE), Err(libc::EINVAL), Ok(1)];
        let (outcome, _, refused) = play(8, &plan);
        assert_eq!(outcome, SendOutcome { done: 8, refused: 4 });
        assert_eq!(refused, [2, 4, 5, 6]);
    }

    #[test]
    fn a_full_socket_is_not_waited_for() {
        assert_eq!(play(4, &[Ok(1), Err(libc::EAGAIN)]).0, SendOutcome { done: 1, refused: 0 });
        assert_eq!(play(4, &[Ok(1), Err(libc::EINTR), Ok(3)]).0, SendOutcome { done: 4, refused: 0 });
        let stuck: Vec<_> = [Ok(1)].into_iter().chain([Err(libc::EINTR); INTERRUPTIONS_MAX + 1]).collect();
        assert_eq!(play(4, &stuck).0, SendOutcome { done: 1, refused: 0 });
    }

    #[test]
    fn nothing_to_send_makes_no_call() {
        assert_eq!(play(0, &[]).0, SendOutcome { done: 0, refused: 0 });
    }
}
