//! A UDP worker: receive a batch, answer it from one snapshot, send the replies.
//!
//! Owns its arrays and shares its sockets only with whoever wakes it. Between receive and send there is no allocation,
//! lock, log or system call (a caught panic and the reply to a probe are the exceptions). Refuses to know what a query
//! means.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::io::{DatagramIo, Queries, Received, Replies};
use crate::answer::{Claim, PROBE_TOKEN_BYTES, RequestContext, Response, Snapshot, Transport};
use crate::metrics::UdpBlock;
use crate::serve::ahead::ReadAhead;
use crate::serve::exchange::{exchange, refuse_cut_short, unix_now};
use crate::serve::thread::ThreadHandle;
use crate::sys::mmsg::{BATCH_MAX, Datagram, Wait};

/// One worker, to be run on a thread of its own.
#[derive(Debug)]
pub(super) struct UdpWorker<Io> {
    /// Which worker this is; asked by canaries.
    index: u16,
    /// Where datagrams come from and replies go.
    io: Io,
    /// The server's addresses.
    addresses: Vec<IpAddr>,
    /// How often clients were answered, by address.
    clients: Arc<[AtomicU64]>,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Our counters, and whether another thread has taken over.
    handle: Arc<ThreadHandle<UdpBlock>>,
    /// Set when it is time to end.
    is_stopping: Arc<AtomicBool>,
}

impl<Io: DatagramIo> UdpWorker<Io> {
    /// Makes worker `index`, which serves `addresses` over `io`; `clients` count as they do.
    pub(super) fn new(
        index: u16,
        (io, addresses): (Io, Vec<IpAddr>),
        clients: Arc<[AtomicU64]>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        handle: Arc<ThreadHandle<UdpBlock>>,
        is_stopping: Arc<AtomicBool>,
    ) -> Self {
        Self { index, io, addresses, clients, snapshot, handle, is_stopping }
    }

    /// Serves until it is time to end, then answers what is queued; or until another thread has taken over, which
    /// answers that then.
    pub(super) fn run(mut self) {
        while !self.is_stopping.load(Ordering::Acquire) {
            if let Err(error) = self.turn(Wait::ForOne) {
                self.rest_after(&error);
            }
            if self.handle.is_replaced() {
                return;
            }
        }
        for _ in 0..DRAIN_BATCHES_MAX * self.addresses.len() {
            if self.turn(Wait::Never).is_err() {
                return;
            }
        }
    }

    /// Receives one batch, answers it and sends the replies.
    fn turn(&mut self, wait: Wait) -> io::Result<()> {
        let Received { count, address_index } = self.io.receive(wait)?;
        let block = self.handle.block();
        // The guard ends before the replies are sent: whoever waits for old readers waits for answers only.
        let snapshot = self.snapshot.load();
        let (queries, mut replies) = self.io.split();
        let now = unix_now();
        answer(queries, count, &mut replies, &snapshot, (self.index, now), block);
        let own = self.addresses.get(address_index).copied();
        let is_of_client = queries.get(0).zip(own).is_some_and(|(datagram, own)| is_client(&datagram, &snapshot, own));
        drop((replies, snapshot));
        if is_of_client && self.io.staged_count() > 0 {
            self.clients[address_index].fetch_add(1, Ordering::Relaxed);
        }
        send(&mut self.io, block);
        block.batches.add(1);
        Ok(())
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

/// Answers the first `count` datagrams of a batch as `worker` and stages the replies. Those to probes leave at once, by
/// the first way that takes them: what strangers leave in a socket must not hold them up.
fn answer<'b>(
    queries: impl Queries<'b>,
    count: usize,
    replies: &mut impl Replies,
    snapshot: &Arc<Snapshot>,
    (worker, now): (u16, Duration),
    block: &UdpBlock,
) {
    let canary = snapshot.settings.canary.as_ref();
    let octets = (0..count).map_while(|index| queries.get(index)).map(|datagram| datagram.octets);
    let mut ahead = ReadAhead::new(snapshot, octets);
    for index in 0..count {
        let pending = ahead.next_pending();
        let (Some(datagram), Some(reply)) = (queries.get(index), replies.buffer(index)) else { return };
        let claim = canary.map_or(Claim::Client, |canary| canary.claim(datagram.octets, datagram.source));
        let response = if claim == Claim::Forged {
            block.forged.add(1);
            block.answers.queries.add(1);
            block.answers.drops.add(1);
            Response::Drop
        } else if datagram.source_port == 0 || is_no_host(datagram.source) {
            block.port_zero.add(u64::from(datagram.source_port == 0));
            block.answers.queries.add(1);
            block.answers.drops.add(1);
            Response::Drop
        } else if datagram.is_cut_short {
            block.oversized.add(1);
            refuse_cut_short(datagram.octets, reply, &block.answers)
        } else {
            let context = RequestContext { transport: Transport::Udp, source: datagram.source, worker, now, tls: None };
            exchange(snapshot, datagram.octets, pending, &context, reply, &block.answers)
        };
        // Streams are given over TCP only.
        let (Response::Reply { length, .. } | Response::Notified { length, .. }) = response else { continue };
        if let Claim::Probe(token) = claim {
            let length = append_token(reply, length, token);
            reply_to_probe(replies, index, length, block);
        } else {
            // The length is that of a slice of `reply`, which always fits.
            let is_staged = replies.stage(index, length);
            debug_assert!(is_staged, "replies are staged once each, in order");
        }
    }
}

/// Whether an address is that of no host, so that no reply reaches one, or very many: unspecified, multicast,
/// broadcast (RFC 4291 §2.5.2, §2.7; RFC 1122 §3.2.1.3). Linux lets `::` through.
fn is_no_host(source: IpAddr) -> bool {
    source.is_unspecified() || source.is_multicast() || source == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Puts the token of a probe behind the reply to it; returns the length of both.
fn append_token(reply: &mut [u8], length: usize, token: [u8; PROBE_TOKEN_BYTES]) -> usize {
    // A probe asks for less than there is room for; where there is none, the reply stays without, and proves nothing.
    let Some(behind) = reply.get_mut(length..length + PROBE_TOKEN_BYTES) else { return length };
    behind.copy_from_slice(&token);
    length + PROBE_TOKEN_BYTES
}

/// Sends the reply to a probe by the first way that takes it.
#[cold]
fn reply_to_probe(replies: &impl Replies, index: usize, length: usize, block: &UdpBlock) {
    for outcome in (0..).map_while(|way| replies.send_apart(index, length, way)) {
        match outcome {
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
fn send(io: &mut impl DatagramIo, block: &UdpBlock) {
    let count = io.staged_count();
    let mut refused = [0u64; REFUSED_WORDS];
    let outcome = send_all(count, |start| io.send(start), |index| refused[index / 64] |= 1 << (index % 64));
    block.send_refused.add(outcome.refused as u64);
    block.send_stalled.add((count - outcome.done) as u64);
    let is_refused = |index: usize| refused[index / 64] & (1 << (index % 64)) != 0;
    let octets: usize = (0..outcome.done).filter(|&index| !is_refused(index)).map(|index| io.staged_bytes(index)).sum();
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
/// itself (no route, filtered, too long) is passed to `refuse` and skipped. A full socket is not waited for, and the
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

/// How many words of bits say which replies were refused.
const REFUSED_WORDS: usize = BATCH_MAX.div_ceil(64);

/// How often a call is made again in one batch that a signal cut short.
const INTERRUPTIONS_MAX: usize = 8;

/// How long a worker rests after an error that may come again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(5);

/// How many batches a worker answers per socket after it was asked to end; more than any socket buffer holds.
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
        for (source, is_no_host) in [
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
            assert_eq!(super::is_no_host(source.parse().expect("an address")), is_no_host, "{source}");
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
