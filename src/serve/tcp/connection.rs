//! One client: what it sent and is not answered yet, and what it was answered and has not taken.
//!
//! A turn is bounded: one read, its replies, as many writes as it takes to see that the client is slow, and in all of
//! that no query more once [`TURN_TIME_MAX`] is over. Refuses to know other connections, when they end, and the set of
//! descriptors that are waited for.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::messages::{Answered, MESSAGE_BYTES_MAX, fill};
use super::slab::Limit;
use crate::answer::{RequestContext, Snapshot, Transport};
use crate::metrics::TcpBlock;
use crate::serve::admission::ConnectionPermit;
use crate::serve::exchange::{exchange, unix_now};

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

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The client closed it.
    Closed,
    /// The server stops, or the thread was replaced.
    Stopped,
    /// No query came for the idle timeout.
    Idle,
    /// A message was begun and not finished in time.
    SlowWriter,
    /// Replies were not taken in time.
    SlowReader,
    /// A message had no room for a header.
    Malformed,
    /// The connection was reset or failed.
    Broken,
}

impl CloseReason {
    /// Counts an end.
    pub(super) fn count(self, block: &TcpBlock) {
        match self {
            Self::Closed | Self::Stopped => {}
            Self::Idle => block.idle_timeouts.add(1),
            Self::SlowWriter => block.read_timeouts.add(1),
            Self::SlowReader => block.write_timeouts.add(1),
            Self::Malformed => block.malformed.add(1),
            Self::Broken => block.broken.add(1),
        }
        block.closed.add(1);
    }
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
    CloseReason(CloseReason),
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// What is to be done.
    pub(super) next: NextStep,
    /// Which time begins now; `None` where the one that runs goes on.
    pub(super) limit: Option<Limit>,
}

/// One client.
#[derive(Debug)]
pub(super) struct Connection {
    /// The stream, which does not block, and the right to be here.
    permit: ConnectionPermit,
    /// What it waits for.
    state: ConnectionState,
    /// What came and is not answered yet; without memory while there is nothing.
    ///
    /// At most one unfinished message and one read, so that [`MESSAGE_BYTES_MAX`] and [`INPUT_BYTES`] together bound
    /// it.
    pending: Vec<u8>,
}

/// What a connection waits for.
#[derive(Debug)]
enum ConnectionState {
    /// Input; what is pending is less than a message.
    Reading,
    /// Its next turn: there may be whole messages in what is pending.
    Answering,
    /// Room for output.
    Writing {
        /// Replies that the socket did not take; at most [`OUTPUT_BYTES`].
        rest: Box<[u8]>,
        /// How many octets of `rest` it has taken since.
        written: usize,
        /// What follows when it has taken all.
        then: AfterWrite,
    },
}

/// What follows when replies were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterWrite {
    /// More messages may be pending.
    Answer,
    /// All whole messages are answered.
    Read,
    /// The last message was none.
    Malformed,
}

impl Connection {
    /// Begins to serve a stream that does not block.
    pub(super) fn new(permit: ConnectionPermit) -> Self {
        Self { permit, state: ConnectionState::Reading, pending: Vec::new() }
    }

    /// The stream, to be waited for.
    pub(super) fn stream(&self) -> &TcpStream {
        self.permit.stream()
    }

    /// Counts why it ends and closes it, in this order: who sees it closed finds it counted.
    pub(super) fn end(self, end: CloseReason, block: &TcpBlock) {
        if matches!(self.state, ConnectionState::Writing { .. }) {
            self.permit.forget_unsent();
        }
        // Who made it end was somebody else, who has counted it.
        if self.permit.is_evicted() { CloseReason::Stopped.count(block) } else { end.count(block) }
    }

    /// Why the connection ends when its time is over.
    pub(super) fn late(&self) -> CloseReason {
        match self.state {
            ConnectionState::Writing { .. } | ConnectionState::Answering => CloseReason::SlowReader,
            ConnectionState::Reading if self.pending.is_empty() => CloseReason::Idle,
            ConnectionState::Reading => CloseReason::SlowWriter,
        }
    }

    /// Goes on as far as it can without waiting, within the bound of a turn.
    pub(super) fn turn(&mut self, buffers: &mut IoBuffers, source: AnswerSource<'_>) -> Turn {
        match mem::replace(&mut self.state, ConnectionState::Reading) {
            ConnectionState::Reading => self.read(buffers, source),
            ConnectionState::Answering => self.answer_pending(buffers, source),
            ConnectionState::Writing { rest, written, then } => self.write_rest(rest, written, then, source.block),
        }
    }

    /// Reads once into the thread's buffer and answers from there.
    fn read(&mut self, buffers: &mut IoBuffers, source: AnswerSource<'_>) -> Turn {
        let count = match self.stream().read(&mut buffers.input) {
            Ok(0) => return Turn { next: NextStep::CloseReason(CloseReason::Closed), limit: None },
            Ok(count) => count,
            Err(error) if is_for_later(&error) => return Turn { next: NextStep::Empty, limit: None },
            Err(_) => return Turn { next: NextStep::CloseReason(CloseReason::Broken), limit: None },
        };
        let input = buffers.input.get(..count).unwrap_or_default();
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(input);
            return self.answer_pending(buffers, source);
        }
        let progress = answer(&self.permit, input, &mut buffers.output, source);
        self.pending = input.get(progress.consumed..).unwrap_or_default().to_vec();
        self.settle(progress, false)
    }

    /// Answers from what was kept aside.
    fn answer_pending(&mut self, buffers: &mut IoBuffers, source: AnswerSource<'_>) -> Turn {
        let progress = answer(&self.permit, &self.pending, &mut buffers.output, source);
        if progress.consumed == self.pending.len() {
            // An idle connection keeps no memory.
            self.pending = Vec::new();
        } else {
            self.pending.drain(..progress.consumed);
        }
        self.settle(progress, true)
    }

    /// Decides what follows. `was_pending` tells whether something was pending before the last read.
    fn settle(&mut self, progress: Progress, was_pending: bool) -> Turn {
        let transfer = Some(Limit::Transfer);
        match progress.stop {
            Stop::Answered if self.pending.is_empty() => Turn { next: NextStep::Read, limit: Some(Limit::Idle) },
            Stop::Answered => {
                // A message that goes on keeps its deadline, or one octet now and then would hold the connection.
                let is_begun = !was_pending || progress.consumed > 0;
                Turn { next: NextStep::Read, limit: transfer.filter(|_| is_begun) }
            }
            Stop::Bound => {
                self.state = ConnectionState::Answering;
                Turn { next: NextStep::Write, limit: transfer }
            }
            Stop::Full { rest, then } => {
                self.state = ConnectionState::Writing { rest, written: 0, then };
                Turn { next: NextStep::Write, limit: transfer }
            }
            Stop::CloseReason(end) => Turn { next: NextStep::CloseReason(end), limit: None },
        }
    }

    /// Writes what the socket did not take before. All of it has to go within the time that began with it.
    fn write_rest(&mut self, rest: Box<[u8]>, written: usize, then: AfterWrite, block: &TcpBlock) -> Turn {
        let Ok(count) = write(self.stream(), rest.get(written..).unwrap_or_default(), block) else {
            return Turn { next: NextStep::CloseReason(CloseReason::Broken), limit: None };
        };
        let written = written + count;
        if written < rest.len() {
            self.state = ConnectionState::Writing { rest, written, then };
            return Turn { next: NextStep::Write, limit: None };
        }
        match then {
            AfterWrite::Malformed => Turn { next: NextStep::CloseReason(CloseReason::Malformed), limit: None },
            AfterWrite::Answer => {
                self.state = ConnectionState::Answering;
                Turn { next: NextStep::Write, limit: Some(Limit::Transfer) }
            }
            AfterWrite::Read if self.pending.is_empty() => Turn { next: NextStep::Read, limit: Some(Limit::Idle) },
            AfterWrite::Read => Turn { next: NextStep::Read, limit: Some(Limit::Transfer) },
        }
    }
}

/// How far a piece of input was answered.
#[derive(Debug)]
struct Progress {
    /// How many octets of it were used up.
    consumed: usize,
    /// Why not more.
    stop: Stop,
}

/// Why no more of a piece of input is answered now.
#[derive(Debug)]
enum Stop {
    /// All whole messages are answered.
    Answered,
    /// It is the turn of others.
    Bound,
    /// The socket does not take more output.
    Full {
        /// What it did not take.
        rest: Box<[u8]>,
        /// What follows.
        then: AfterWrite,
    },
    /// The connection ends.
    CloseReason(CloseReason),
}

/// Answers the whole messages at the start of `input`, one reply behind the other, and writes the replies.
fn answer(permit: &ConnectionPermit, input: &[u8], output: &mut [u8], source: AnswerSource<'_>) -> Progress {
    let mut consumed = 0;
    let begun = Instant::now();
    for _ in 0..FILLS_MAX {
        let answered = answer_once(permit.client(), input.get(consumed..).unwrap_or_default(), output, source, begun);
        consumed += answered.consumed;
        if answered.consumed > 0 {
            // Before the client sees the replies, so that who was answered last is known to have waited least.
            permit.waits_since(begun);
        }
        let then = if answered.is_malformed {
            AfterWrite::Malformed
        } else if answered.is_full || answered.is_late {
            AfterWrite::Answer
        } else {
            AfterWrite::Read
        };
        let replies = output.get(..answered.length).unwrap_or_default();
        let Ok(written) = write(permit.stream(), replies, source.block) else {
            return Progress { consumed, stop: Stop::CloseReason(CloseReason::Broken) };
        };
        if let Some(rest) = replies.get(written..).filter(|rest| !rest.is_empty()) {
            return Progress { consumed, stop: Stop::Full { rest: rest.into(), then } };
        }
        match then {
            AfterWrite::Answer if answered.is_late => break,
            AfterWrite::Answer => {}
            AfterWrite::Read => return Progress { consumed, stop: Stop::Answered },
            AfterWrite::Malformed => return Progress { consumed, stop: Stop::CloseReason(CloseReason::Malformed) },
        }
    }
    Progress { consumed, stop: Stop::Bound }
}

/// Answers as many whole messages as there is output for, and time in a turn that has `begun`, from one snapshot.
///
/// The guard ends before the replies are sent: whoever waits for old readers waits for answers only.
fn answer_once(client: IpAddr, input: &[u8], output: &mut [u8], source: AnswerSource<'_>, begun: Instant) -> Answered {
    let snapshot = source.snapshot.load();
    let request = RequestContext { transport: Transport::Tcp, source: client, worker: source.thread, now: unix_now() };
    let respond =
        |query: &[u8], reply: &mut [u8]| exchange(&snapshot, query, None, &request, reply, &source.block.answers);
    fill(input, output, respond, || begun.elapsed() >= TURN_TIME_MAX)
}

/// Writes as much as the socket takes at once, and counts it. Nothing is no call.
fn write(mut stream: &TcpStream, octets: &[u8], block: &TcpBlock) -> io::Result<usize> {
    if octets.is_empty() {
        return Ok(0);
    }
    let count = match stream.write(octets) {
        Err(error) if is_for_later(&error) => 0,
        outcome => outcome?,
    };
    block.answers.octets_out.add(count as u64);
    Ok(count)
}

/// Whether a call is to be made again when the socket is ready.
fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// How much is read at once.
const INPUT_BYTES: usize = 64 << 10;

/// Replies that are written at once, up to 64 KiB, and room for the longest one behind them.
const OUTPUT_BYTES: usize = (64 << 10) + MESSAGE_BYTES_MAX;

/// How long one client's queries may take before it is the turn of others; the query under way is finished. Thousands
/// of queries fit in, or a few that need many hashes (RFC 5155 §10.3).
const TURN_TIME_MAX: Duration = Duration::from_millis(1);

/// How often the output is filled and written in one turn.
const FILLS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::serve::TcpLimits;
    use crate::serve::admission::Admission;
    use crate::serve::thread::ThreadHandle;
    use socket2::SockRef;
    use std::net::{Shutdown, TcpListener};
    use std::sync::Arc;
    use std::thread;

    /// How much each end keeps of what the other has not taken.
    const BUFFER_BYTES: usize = 64 << 10;

    /// How long a turn is waited for that has to come.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A connection, its client's end, and what turns need.
    struct Pair {
        connection: Connection,
        client: TcpStream,
        buffers: IoBuffers,
        snapshot: ArcSwap<Snapshot>,
        metrics: Metrics,
    }

    impl Pair {
        /// Connects over loopback.
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
            let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
            let (stream, address) = listener.accept().expect("somebody waits");
            stream.set_nonblocking(true).expect("the option is there");
            // Neither end may grow, so that a client that takes nothing is full soon.
            SockRef::from(&client).set_recv_buffer_size(BUFFER_BYTES).expect("the option is there");
            SockRef::from(&stream).set_send_buffer_size(BUFFER_BYTES).expect("the option is there");
            let admission = Arc::new(Admission::new(&TcpLimits::default()));
            let handle = Arc::new(ThreadHandle::new(Arc::default()));
            let permit = admission.admit(stream, address, &handle, Instant::now()).expect("there is room");
            Self {
                connection: Connection::new(permit),
                client,
                buffers: IoBuffers::new(),
                snapshot: ArcSwap::default(),
                metrics: Metrics::new(0, 1),
            }
        }

        /// One turn.
        fn turn(&mut self) -> Turn {
            let blocks = self.metrics.tcp();
            self.connection
                .turn(&mut self.buffers, AnswerSource { thread: 0, snapshot: &self.snapshot, block: &blocks[0] })
        }

        /// Turns until one is of the kind that is wanted; panics where the connection ends before, or none comes.
        fn turn_until(&mut self, is_wanted: impl Fn(Turn) -> bool) -> Turn {
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE {
                match self.turn() {
                    turn if is_wanted(turn) => return turn,
                    Turn { next: NextStep::CloseReason(end), .. } => panic!("it ended: {end:?}"),
                    Turn { next: NextStep::Empty, .. } => thread::yield_now(),
                    _ => {}
                }
            }
            panic!("no such turn in {PATIENCE:?}");
        }

        /// Turns until one finds something; what the client wrote last may be on its way.
        fn turn_with_input(&mut self) -> Turn {
            self.turn_until(|turn| turn.next != NextStep::Empty)
        }
    }

    /// A query for the root with its length in front; nothing is served, and the answer has 17 octets as well.
    fn framed(id: u16) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        vec![0, 17, high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    }

    #[test]
    fn a_message_in_parts_keeps_the_time_that_it_began_with() {
        let mut pair = Pair::new();
        assert_eq!(pair.turn(), Turn { next: NextStep::Empty, limit: None });
        assert_eq!(pair.connection.late(), CloseReason::Idle);
        let query = framed(1);
        for (octets, limit) in [
            (&query[..1], Some(Limit::Transfer)),
            (&query[1..9], None),
            (&query[9..], Some(Limit::Idle)),
            (&[&query[..], &query[..5]].concat(), Some(Limit::Transfer)),
        ] {
            pair.client.write_all(octets).expect("it is open");
            assert_eq!(pair.turn_with_input(), Turn { next: NextStep::Read, limit }, "{octets:?}");
        }
        assert_eq!((pair.connection.late(), pair.connection.pending.len()), (CloseReason::SlowWriter, 5));
        pair.client.write_all(&query[5..]).expect("it is open");
        assert_eq!(pair.turn_with_input(), Turn { next: NextStep::Read, limit: Some(Limit::Idle) });
        assert_eq!(pair.connection.pending.capacity(), 0, "an idle connection has no buffer");
        pair.client.shutdown(Shutdown::Write).expect("it is open");
        assert_eq!(pair.turn_with_input().next, NextStep::CloseReason(CloseReason::Closed));
    }

    #[test]
    fn a_turn_is_bounded_and_nothing_is_read_before_all_is_answered() {
        let mut pair = Pair::new();
        // Room for one reply at a time, so that a turn makes FILLS_MAX of them.
        pair.buffers.output = vec![0; MESSAGE_BYTES_MAX].into();
        let count = 3 * FILLS_MAX as u16 + 1;
        pair.client.write_all(&(0..count).flat_map(framed).collect::<Vec<_>>()).expect("it is open");
        for _ in 0..3 {
            assert_eq!(pair.turn_with_input(), Turn { next: NextStep::Write, limit: Some(Limit::Transfer) });
        }
        assert_eq!(pair.turn(), Turn { next: NextStep::Read, limit: Some(Limit::Idle) });
        let mut replies = vec![0; 19 * usize::from(count)];
        pair.client.read_exact(&mut replies).expect("all are answered");
        for (id, reply) in (0..count).zip(replies.chunks(19)) {
            assert_eq!((&reply[..4], reply[5]), (&framed(id)[..4], 0x05), "REFUSED, in order");
        }
    }

    #[test]
    fn a_client_that_takes_nothing_is_not_read_and_gets_all_in_the_end() {
        let mut pair = Pair::new();
        let mut writer = pair.client.try_clone().expect("descriptors are left");
        // Many times what the buffers of both ends take.
        let count = 200_000_u32;
        let writing = thread::spawn(move || {
            writer.write_all(&(0..count).flat_map(|id| framed(id as u16)).collect::<Vec<_>>()).expect("it is open");
            writer.shutdown(Shutdown::Write).expect("it is open");
        });
        // The client's side takes some at first, and then no more.
        let first = pair.turn_until(|turn| turn.next == NextStep::Write);
        assert_eq!(first.limit, Some(Limit::Transfer));
        pair.turn_until(|turn| turn == Turn { next: NextStep::Write, limit: None });
        assert_eq!(pair.connection.late(), CloseReason::SlowReader);
        let mut reader = pair.client.try_clone().expect("descriptors are left");
        let reading = thread::spawn(move || {
            let mut replies = Vec::new();
            reader.read_to_end(&mut replies).expect("it is closed in the end");
            replies.len()
        });
        let end = pair.turn_until(|turn| matches!(turn.next, NextStep::CloseReason(_)));
        assert_eq!(
            end.next,
            NextStep::CloseReason(CloseReason::Closed),
            "the client's end is read behind its last reply"
        );
        writing.join().expect("the client writes all");
        let Pair { connection, metrics, .. } = pair;
        drop(connection);
        assert_eq!(reading.join().expect("the client reads"), 19 * count as usize);
        assert_eq!(metrics.tcp()[0].answers.octets_out.value(), 19 * u64::from(count));
    }
}
