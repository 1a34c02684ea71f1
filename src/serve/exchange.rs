//! One query and its reply, whatever happens in between: a panic in [`answer::respond`](answer::respond) or in a
//! stream of messages is caught here.
//!
//! Such a panic is our bug. It costs that client its answer (SERVFAIL, or the end of the connection in the midst of a
//! stream), never the worker: a query of death must not take down one site after another. Refuses to know zones and
//! sockets.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::throttle::Throttle;
use crate::answer::{self, Notice, PendingQuery, Refusal, ReplyStream, RequestContext, Response, Snapshot, refuse};
use crate::metrics::{Answers, TransferKind};
use crate::wire::Type;

/// Answers `query` into `reply`, counts what happened and returns it.
///
/// `pending` is what was read of the query already, from the same snapshot. Allocates nothing unless the answer panics
/// or is a stream.
pub(super) fn exchange<'z>(
    snapshot: &'z Arc<Snapshot>,
    query: &[u8],
    pending: Option<&mut PendingQuery<'_, 'z>>,
    context: &RequestContext,
    reply: &mut [u8],
    counters: &Answers,
) -> Response {
    counters.queries.add(1);
    counters.octets_in.add(query.len() as u64);
    // Nothing that was half done survives a panic: the snapshot is immutable and the reply is written anew.
    let response = catch_unwind(AssertUnwindSafe(|| respond(snapshot, query, pending, context, &mut *reply)));
    let response = response.unwrap_or_else(|_| {
        counters.panics.add(1);
        log_panic(query.len(), Instant::now());
        refuse(query, Refusal::Failed, reply)
    });
    if let (Response::Notified { notice, .. }, Some(notices)) = (&response, &snapshot.notices) {
        notices.take(Notice::clone(notice));
    }
    count(&response, counters);
    if let Response::Stream { messages, .. } = &response {
        note_stream(&**messages, context, counters);
    }
    response
}

/// Takes the next message of a stream, which it writes to the start of `message`; returns its length, `None` behind
/// the last.
///
/// # Errors
/// [`StreamPanicked`], which is counted; the stream must not be asked again.
pub(super) fn next_message(
    messages: &mut dyn ReplyStream,
    message: &mut [u8],
    counters: &Answers,
) -> Result<Option<usize>, StreamPanicked> {
    let room = message.len();
    let write_next =
        || messages.write_next(unix_now(), message).inspect(|&length| assert!(length <= room, "it was written there"));
    // Nothing of the stream is used after a panic.
    catch_unwind(AssertUnwindSafe(write_next)).map_err(|_| {
        counters.panics.add(1);
        log_stream_panic(Instant::now());
        StreamPanicked
    })
}

/// A stream of messages panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamPanicked;

/// As [`log_panic`], for a stream.
#[cold]
fn log_stream_panic(now: Instant) {
    if let Some(unlogged) = PANIC_LINES.admit(now) {
        tracing::error!(unlogged, "a reply of several messages panicked; its connection is closed");
    }
}

/// The time since the Unix epoch, such as [`RequestContext::now`].
pub fn unix_now() -> Duration {
    // Before the epoch time counts as 0.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Logs that an answer panicked, unless that was logged just before; `unlogged` is how many were not logged in between.
///
/// Out of line: a query that is answered does not come here.
#[cold]
fn log_panic(query_bytes: usize, now: Instant) {
    if let Some(unlogged) = PANIC_LINES.admit(now) {
        tracing::error!(octets = query_bytes, unlogged, "a query made the answer panic; the client gets SERVFAIL");
    }
}

/// Counts and logs a transfer that begins. Out of line, as above; a stream has a cost anyway.
#[cold]
fn note_stream(messages: &dyn ReplyStream, context: &RequestContext, counters: &Answers) {
    let Some(transfer) = messages.transfer() else { return };
    let (kind, word) = match transfer.is_whole {
        true => (TransferKind::Whole, "all of it"),
        false => (TransferKind::Changes, "changes"),
    };
    counters.count_transfer(kind);
    if let Some(unlogged) = TRANSFER_LINES.admit(Instant::now()) {
        let client = context.source.to_canonical();
        tracing::info!(%client, serial = transfer.serial, unlogged, "zone {} is transferred: {word}", transfer.zone);
    }
}

/// Counts the lines about transfers, of all threads.
static TRANSFER_LINES: Throttle = Throttle::new(TRANSFER_LINES_MAX);

/// The most lines about transfers in a second.
const TRANSFER_LINES_MAX: u32 = 100;

/// Counts the lines about panics, of all threads.
static PANIC_LINES: Throttle = Throttle::new(PANIC_LINES_MAX);

/// The most lines about panics in a second: whoever knows the query can send it as fast as any other.
const PANIC_LINES_MAX: u32 = 1;

/// Answers a query whose end was lost, from what is left of it: FORMERR, or nothing to a response.
///
/// Nobody honest asks with more octets than any UDP buffer that we announce, so that no zone is consulted.
pub(super) fn refuse_cut_short(query: &[u8], reply: &mut [u8], counters: &Answers) -> Response {
    counters.queries.add(1);
    counters.octets_in.add(query.len() as u64);
    let response = refuse(query, Refusal::Malformed, reply);
    count(&response, counters);
    response
}

/// Counts a response. A stream is one reply, however many messages it has.
fn count(response: &Response, counters: &Answers) {
    match *response {
        Response::Reply { rcode, qtype, is_truncated, .. } => {
            counters.count_reply(rcode, qtype, is_truncated);
            if matches!(Type(qtype), Type::IXFR | Type::AXFR) {
                counters.count_transfer(if rcode == 0 { TransferKind::Current } else { TransferKind::Refused });
            }
        }
        Response::Notified { .. } => counters.count_reply(0, Type::SOA.0, false),
        Response::Stream { rcode, qtype, .. } => counters.count_reply(rcode, qtype, false),
        Response::Drop => counters.drops.add(1),
    }
}

/// Calls the answer; in this crate's own tests some names wedge.
fn respond<'z>(
    snapshot: &'z Arc<Snapshot>,
    query: &[u8],
    pending: Option<&mut PendingQuery<'_, 'z>>,
    context: &RequestContext,
    reply: &mut [u8],
) -> Response {
    #[cfg(test)]
    answer::injected::thread_fault(query).into_iter().for_each(super::wedges::suffer);
    match pending {
        Some(pending) => pending.respond(snapshot, context, reply),
        None => answer::respond(snapshot, query, context, reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Transport;
    use crate::answer::injected::PANIC_NAME;
    use crate::metrics::Metrics;
    use std::net::{IpAddr, Ipv4Addr};

    /// Somebody who asks over UDP.
    const CONTEXT: RequestContext = RequestContext {
        transport: Transport::Udp,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        worker: 0,
        now: Duration::ZERO,
        tls: None,
    };

    /// A query for `name` (wire form) and type MX, with an OPT record behind it.
    fn query(name: &[u8]) -> Vec<u8> {
        let mut octets = vec![0xAB, 0xCD, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, 1];
        octets.extend_from_slice(name);
        octets.extend_from_slice(&[0, 15, 0, 1]);
        octets.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        octets
    }

    /// The octets of a reply.
    fn length_of(response: &Response) -> Option<usize> {
        if let Response::Reply { length, .. } = response { Some(*length) } else { None }
    }

    /// A stream that says more than it can have written.
    #[derive(Debug)]
    struct TooLong;

    impl ReplyStream for TooLong {
        fn write_next(&mut self, _now: Duration, message: &mut [u8]) -> Option<usize> {
            Some(message.len() + 1)
        }
    }

    #[test]
    fn a_stream_that_writes_more_than_there_is_room_for_ends_as_one_that_panics() {
        let metrics = Metrics::new(0, 1);
        let blocks = metrics.tcp();
        let counters = &blocks[0].answers;
        assert_eq!(next_message(&mut TooLong, &mut [0; 16], counters), Err(StreamPanicked));
        assert_eq!(counters.panics.value(), 1);
    }

    #[test]
    fn a_panic_costs_one_client_its_answer_and_is_counted() {
        let metrics = Metrics::new(1, 0);
        let blocks = metrics.udp();
        let counters = &blocks[0].answers;
        let asked = query(PANIC_NAME);
        let mut reply = [0xFF; 512];
        let response = exchange(&Arc::default(), &asked, None, &CONTEXT, &mut reply, counters);
        let question = &asked[12..12 + PANIC_NAME.len() + 4];
        assert_eq!(length_of(&response), Some(12 + question.len()));
        assert_eq!(&reply[..12], &[0xAB, 0xCD, 0x81, 0x02, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&reply[12..12 + question.len()], question);
        assert_eq!((counters.panics.value(), counters.replies_with(2), counters.queries.value()), (1, 1, 1));

        let next = exchange(&Arc::default(), &query(b"\x03www\x00"), None, &CONTEXT, &mut reply, counters);
        assert!(length_of(&next).is_some(), "the next query is answered");
        assert_eq!((counters.panics.value(), counters.replies()), (1, 2));
    }

    #[test]
    fn responses_and_short_messages_are_not_answered() {
        let metrics = Metrics::new(1, 0);
        let blocks = metrics.udp();
        let counters = &blocks[0].answers;
        let mut response = query(b"\x00");
        response[2] |= 0x80;
        for octets in [&response[..], &response[..2], &[], &query(b"\x00")[..11]] {
            assert_eq!(refuse_cut_short(octets, &mut [0; 512], counters), Response::Drop);
        }
        assert_eq!((counters.drops.value(), counters.replies()), (4, 0));
    }

    #[test]
    fn a_query_that_was_cut_short_gets_formerr_with_its_question() {
        let metrics = Metrics::new(1, 0);
        let asked = query(b"\x03WwW\x00");
        let mut reply = [0; 512];
        let response = refuse_cut_short(&asked, &mut reply, &metrics.udp()[0].answers);
        let length = length_of(&response).expect("there is a reply");
        assert_eq!((&reply[2..6], &reply[12..length]), (&[0x81, 1, 0, 1][..], &asked[12..21]));
    }
}
