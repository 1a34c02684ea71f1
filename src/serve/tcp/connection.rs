//! One client: what it sent and is not answered yet, and what it was answered and has not taken.
//!
//! A turn is bounded: one read, its replies, as many writes as it takes to see that the client is slow, and in all of
//! that no query or message more once [`TURN_TIME_MAX`] is over. Replies leave in the order of the queries (RFC 7766
//! §6.2.1.1 lets a server choose): behind a query that is answered by a stream of messages, nothing is answered, nor
//! read, before the stream has ended. A client that wants other answers meanwhile has other connections. So a
//! connection owns one stream, one piece of output and one piece of input at most. Refuses to know other connections,
//! when they end, and the set of descriptors that are waited for.

use std::io;
use std::mem;
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::channel::{Channel, Input};
use super::close::CloseReason;
use super::messages::{FRAME_BYTES_MAX, Filled, Stop, fill, fill_from_stream, whole_messages};
use super::slab::Limit;
use crate::answer::{ReplyStream, RequestContext, Snapshot, Transport};
use crate::metrics::{HandshakeFault, TcpBlock};
use crate::serve::admission::ConnectionPermit;
use crate::serve::ahead::ReadAhead;
use crate::serve::exchange::{exchange, next_message, unix_now};
use crate::tls::TlsSession;

/// The buffers of one thread.
#[derive(Debug)]
pub(super) struct IoBuffers {
    /// Where input is read to.
    input: Box<[u8]>,
    /// Where replies are written, each behind its length.
    output: Box<[u8]>,
}

impl IoBuffers {
    /// Allocates the buffers.
    pub(super) fn new() -> Self {
        Self { input: vec![0; INPUT_BYTES].into(), output: vec![0; OUTPUT_BYTES].into() }
    }
}

/// What answers are made from and counted in.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerSource<'a> {
    /// The number of the thread.
    pub(super) thread: u16,
    /// What answers are made from; a guard is taken for each read.
    pub(super) snapshot: &'a ArcSwap<Snapshot>,
    /// The thread's counters.
    pub(super) block: &'a TcpBlock,
}

/// What is to be done about a connection after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Nothing was there to be read.
    Empty,
    /// Wait for input.
    Read,
    /// Wait until the client takes output, or, where it takes some now, until others had their turn.
    Write,
    /// Close it.
    Close(CloseReason),
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// What is to be done.
    pub(super) next: NextStep,
    /// Which time begins now; `None` where the one that runs goes on.
    pub(super) limit: Option<Limit>,
}

impl Turn {
    /// Ends the connection.
    fn close(reason: CloseReason) -> Self {
        Self { next: NextStep::Close(reason), limit: None }
    }

    /// Waits for the client to take output, for which it has the time of a new piece.
    fn write() -> Self {
        Self { next: NextStep::Write, limit: Some(Limit::Io) }
    }
}

/// One client.
#[derive(Debug)]
pub(super) struct Connection<C> {
    /// The stream, which does not block, and the right to be here.
    permit: ConnectionPermit,
    /// What the octets of the stream pass through.
    channel: C,
    /// What it waits for.
    state: State,
    /// What came and is not answered yet; without memory while there is nothing.
    ///
    /// At most one unfinished message and one read, so that [`FRAME_BYTES_MAX`] and [`INPUT_BYTES`] together bound it.
    pending: Vec<u8>,
}

/// What a connection waits for.
#[derive(Debug)]
enum State {
    /// Input; what is pending is less than a message.
    Reading,
    /// Its next turn: there may be whole messages in what is pending.
    Answering,
    /// Its next turn: more of a stream is to be sent.
    Streaming(Box<dyn ReplyStream>),
    /// Room for output.
    Writing {
        /// Replies that the socket did not take; at most [`OUTPUT_BYTES`].
        rest: Box<[u8]>,
        /// How many octets of `rest` it has taken since.
        written: usize,
        /// What follows when it has taken all.
        then: Then,
    },
}

/// What follows when replies were written.
#[derive(Debug)]
enum Then {
    /// All whole messages are answered.
    Read,
    /// More messages may be pending.
    Answer,
    /// More of a stream is to be sent.
    Stream(Box<dyn ReplyStream>),
    /// The connection ends.
    Close(CloseReason),
}

impl From<Stop> for Then {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Input => Self::Read,
            Stop::Full | Stop::Late => Self::Answer,
            Stop::Stream(messages) => Self::Stream(messages),
            Stop::Malformed => Self::Close(CloseReason::Malformed),
        }
    }
}

impl<C: Channel> Connection<C> {
    /// Begins to serve a stream that does not block.
    pub(super) fn new(permit: ConnectionPermit, channel: C) -> Self {
        Self { permit, channel, state: State::Reading, pending: Vec::new() }
    }

    /// The stream, to be waited for.
    pub(super) fn stream(&self) -> &TcpStream {
        self.permit.stream()
    }

    /// Which time a new connection has: as long as a message may take, where something has to come before the first.
    pub(super) fn first_limit(&self) -> Limit {
        if self.channel.is_opening() { Limit::Io } else { Limit::Idle }
    }

    /// Whether a stream of messages is under way, whose end may be far.
    pub(super) fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming(_) | State::Writing { then: Then::Stream(_), .. })
    }

    /// Counts why it ends and closes it, in this order: who sees it closed finds it counted.
    pub(super) fn end(mut self, reason: CloseReason, block: &TcpBlock) {
        if matches!(self.state, State::Writing { .. } | State::Streaming(_)) || reason == CloseReason::Panicked {
            self.permit.forget_unsent();
        } else {
            self.channel.close(self.permit.stream());
        }
        // Who made it end was somebody else, who has counted it.
        if self.permit.is_evicted() { CloseReason::Stopped.count(block) } else { reason.count(block) }
    }

    /// Why the connection ends when its time is over.
    pub(super) fn late(&self) -> CloseReason {
        match self.state {
            _ if self.channel.is_opening() => CloseReason::Handshake(HandshakeFault::Timeout),
            State::Writing { .. } | State::Answering | State::Streaming(_) => CloseReason::SlowReader,
            State::Reading if self.pending.is_empty() => CloseReason::Idle,
            State::Reading => CloseReason::SlowWriter,
        }
    }

    /// Goes on as far as it can without waiting, within the bound of a turn.
    pub(super) fn turn(&mut self, buffers: &mut IoBuffers, source: AnswerSource<'_>) -> Turn {
        match mem::replace(&mut self.state, State::Reading) {
            State::Reading => self.read(buffers, source),
            State::Answering => self.answer_pending(buffers, source),
            State::Streaming(messages) => self.send_stream(messages, buffers, source),
            State::Writing { rest, written, then } => self.write_rest(rest, written, then, source.block),
        }
    }

    /// Reads once into the thread's buffer and answers from there.
    fn read(&mut self, buffers: &mut IoBuffers, source: AnswerSource<'_>) -> Turn {
        let count = match self.channel.read(self.permit.stream(), &mut buffers.input, source.block) {
            Input::Octets(count) => count,
            Input::End(reason) => return Turn::close(reason),
            Input::Nothing | Input::Opened if self.channel.is_unsent() => {
                self.state = State::Writing { rest: Box::default(), written: 0, then: Then::Read };
                return Turn { next: NextStep::Write, limit: None };
            }
            Input::Opened => return self.proceed(Then::Read),
            Input::Nothing => return Turn { next: NextStep::Empty, limit: None },
        };
        let input = buffers.input.get(..count).unwrap_or_default();
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(input);
            return self.answer_pending(buffers, source);
        }
        let answered = answer(&self.permit, &mut self.channel, input, &mut buffers.output, source);
        self.pending = input.get(answered.consumed..).unwrap_or_default().to_vec();
        self.settle(answered, false)
    }

    /// Answers from what was kept aside.
    fn answer_pending(&mut self, buffers: &mut IoBuffers, source: AnswerSource<'_>) -> Turn {
        let answered = answer(&self.permit, &mut self.channel, &self.pending, &mut buffers.output, source);
        if answered.consumed == self.pending.len() {
            // An idle connection keeps no memory.
            self.pending = Vec::new();
        } else {
            self.pending.drain(..answered.consumed);
        }
        self.settle(answered, true)
    }

    /// Decides what follows an answer. `was_pending` says whether something was pending before the last read.
    fn settle(&mut self, answered: Answered, was_pending: bool) -> Turn {
        match answered {
            Answered { rest: Some(rest), then, .. } => self.wait_to_write(rest, then),
            // A message that goes on keeps its deadline, or one octet now and then would hold the connection.
            Answered { consumed: 0, then: Then::Read, .. } if was_pending && !self.pending.is_empty() => {
                Turn { next: NextStep::Read, limit: None }
            }
            Answered { then, .. } => self.proceed(then),
        }
    }

    /// Keeps what the socket did not take. All of it has to go within the time that begins now.
    fn wait_to_write(&mut self, rest: Box<[u8]>, then: Then) -> Turn {
        self.state = State::Writing { rest, written: 0, then };
        Turn::write()
    }

    /// Decides what follows when the socket has taken all output.
    fn proceed(&mut self, then: Then) -> Turn {
        match then {
            Then::Read if self.channel.is_ended() => Turn::close(CloseReason::Closed),
            Then::Read if self.channel.is_opening() => Turn { next: NextStep::Read, limit: None },
            Then::Read if self.pending.is_empty() => Turn { next: NextStep::Read, limit: Some(Limit::Idle) },
            Then::Read => Turn { next: NextStep::Read, limit: Some(Limit::Io) },
            Then::Answer => {
                self.state = State::Answering;
                Turn::write()
            }
            Then::Stream(messages) => {
                self.state = State::Streaming(messages);
                Turn::write()
            }
            Then::Close(reason) => Turn::close(reason),
        }
    }

    /// Writes what the socket did not take before.
    fn write_rest(&mut self, rest: Box<[u8]>, written: usize, then: Then, block: &TcpBlock) -> Turn {
        let unwritten = rest.get(written..).unwrap_or_default();
        let Ok(count) = write(&mut self.channel, self.permit.stream(), unwritten, block) else {
            return Turn::close(CloseReason::Broken);
        };
        let written = written + count;
        if written < rest.len() || self.channel.is_unsent() {
            self.state = State::Writing { rest, written, then };
            return Turn { next: NextStep::Write, limit: None };
        }
        self.proceed(then)
    }

    /// Sends more of a stream, and once it has ended goes on with what is pending.
    fn send_stream(
        &mut self,
        mut messages: Box<dyn ReplyStream>,
        buffers: &mut IoBuffers,
        source: AnswerSource<'_>,
    ) -> Turn {
        let begun = Instant::now();
        for _ in 0..FILLS_MAX {
            let next = |message: &mut [u8]| next_message(&mut *messages, message, &source.block.answers);
            let Ok((length, is_last)) = fill_from_stream(&mut buffers.output, next) else {
                return Turn::close(CloseReason::Panicked);
            };
            // It does not wait, as little as one whose queries are answered.
            self.permit.waits_since(begun);
            let replies = buffers.output.get(..length).unwrap_or_default();
            let Ok(written) = write(&mut self.channel, self.permit.stream(), replies, source.block) else {
                return Turn::close(CloseReason::Broken);
            };
            let then = if is_last { Then::Answer } else { Then::Stream(messages) };
            if let Some(rest) = rest_of(replies, written) {
                return self.wait_to_write(rest, then);
            }
            messages = match then {
                Then::Stream(messages) if begun.elapsed() < TURN_TIME_MAX => messages,
                then => return self.proceed(then),
            };
        }
        self.proceed(Then::Stream(messages))
    }
}

/// How far a piece of input was answered.
#[derive(Debug)]
struct Answered {
    /// How many octets of it were used up.
    consumed: usize,
    /// Replies that the socket did not take.
    rest: Option<Box<[u8]>>,
    /// What follows when it has.
    then: Then,
}

/// Answers the whole messages at the start of `input`, one reply behind the other, and writes the replies.
fn answer<C: Channel>(
    permit: &ConnectionPermit,
    channel: &mut C,
    input: &[u8],
    output: &mut [u8],
    source: AnswerSource<'_>,
) -> Answered {
    let mut consumed = 0;
    let begun = Instant::now();
    for _ in 0..FILLS_MAX {
        let client = (permit.client(), channel.session());
        let filled = answer_once(client, input.get(consumed..).unwrap_or_default(), output, source, begun);
        consumed += filled.consumed;
        if filled.consumed > 0 {
            // Before the client sees the replies, so that who was answered last is known to have waited least.
            permit.waits_since(begun);
        }
        let replies = output.get(..filled.length).unwrap_or_default();
        let Ok(written) = write(channel, permit.stream(), replies, source.block) else {
            return Answered { consumed, rest: None, then: Then::Close(CloseReason::Broken) };
        };
        let rest = rest_of(replies, written);
        if rest.is_some() || !matches!(filled.stop, Stop::Full) {
            return Answered { consumed, rest, then: filled.stop.into() };
        }
    }
    Answered { consumed, rest: None, then: Then::Answer }
}

/// Answers as many whole messages as there is output for, and time in a turn that has `begun`, from one snapshot.
///
/// The guard ends before the replies are sent: whoever waits for old readers waits for answers only.
fn answer_once(
    (client, tls): (IpAddr, Option<TlsSession<'_>>),
    input: &[u8],
    output: &mut [u8],
    source: AnswerSource<'_>,
    begun: Instant,
) -> Filled {
    let snapshot = source.snapshot.load();
    let (transport, worker, now) = (Transport::Tcp, source.thread, unix_now());
    let request = RequestContext { transport, source: client, worker, now, tls };
    let mut ahead = ReadAhead::new(&snapshot, whole_messages(input));
    let respond = |query: &[u8], reply: &mut [u8]| {
        exchange(&snapshot, query, ahead.next_pending(), &request, reply, &source.block.answers)
    };
    fill(input, output, respond, || begun.elapsed() >= TURN_TIME_MAX)
}

/// What is left of replies of which so many octets were written; `None` where nothing is.
fn rest_of(replies: &[u8], written: usize) -> Option<Box<[u8]>> {
    replies.get(written..).filter(|rest| !rest.is_empty()).map(Box::from)
}

/// Writes as much as the socket takes at once, and counts it. Nothing is no call.
fn write<C: Channel>(channel: &mut C, stream: &TcpStream, octets: &[u8], block: &TcpBlock) -> io::Result<usize> {
    if octets.is_empty() && !channel.is_unsent() {
        return Ok(0);
    }
    let count = channel.write(stream, octets)?;
    block.answers.octets_out.add(count as u64);
    Ok(count)
}

/// How much is read at once.
const INPUT_BYTES: usize = 64 << 10;

/// Replies that are written at once, up to 64 KiB, and room for the longest one behind them.
const OUTPUT_BYTES: usize = (64 << 10) + FRAME_BYTES_MAX;

/// How long one client's queries may take before it is the turn of others; the query under way is finished. Thousands
/// of queries fit in, or a few that need many hashes (RFC 5155 §10.3).
const TURN_TIME_MAX: Duration = Duration::from_millis(1);

/// How often the output is filled and written in one turn.
const FILLS_MAX: usize = 4;

#[cfg(test)]
mod tests;
