//! TCP threads: accept, answer pipelined queries, close whoever is idle or slow (RFC 7766, RFC 1035 §4.2.2).
//!
//! Each thread has a runtime of its own, so that its counters have one writer and its big buffers exist once. An idle
//! connection owns no buffer at all: input is read into the thread's buffer, and only an unfinished message or replies
//! that the client does not take yet are copied aside. Refuses to know what a query means.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::TcpLimits;
use super::admission::{Admission, Refusal, Seat};
use super::exchange::{HEADER_BYTES, exchange};
use crate::answer::{Asker, Snapshot, Transport};
use crate::metrics::{Metrics, TcpBlock};

/// What one TCP thread starts with.
#[derive(Debug)]
pub(super) struct Office {
    /// Which block of counters is ours.
    pub(super) index: usize,
    /// The listeners, shared with the other threads.
    pub(super) listeners: Vec<StdListener>,
    /// What clients may take.
    pub(super) limits: TcpLimits,
    /// Who may connect; shared with the other threads.
    pub(super) admission: Arc<Admission>,
    /// What answers are made from.
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where our block is.
    pub(super) metrics: Arc<Metrics>,
    /// Becomes true when it is time to end.
    pub(super) stop: watch::Receiver<bool>,
}

impl Office {
    /// Makes the runtime that [`Office::run`] needs, so that a failure is told before the thread starts.
    ///
    /// # Errors
    /// Descriptors or memory ran out.
    pub(super) fn runtime(&self) -> io::Result<Runtime> {
        Builder::new_current_thread().enable_io().enable_time().build()
    }

    /// Serves until it is time to end, then finishes what was received within [`CLOSE_TIME_MAX`].
    pub(super) fn run(self, runtime: &Runtime) {
        let (alive, mut all_gone) = mpsc::channel(1);
        let desk = Rc::new(Desk {
            index: self.index,
            limits: self.limits,
            admission: self.admission,
            snapshot: self.snapshot,
            metrics: self.metrics,
            bench: RefCell::new(Bench::new()),
            is_resting: Cell::new(false),
        });
        let tasks = LocalSet::new();
        for listener in self.listeners {
            tasks.spawn_local(accept(listener, Rc::clone(&desk), self.stop.clone(), alive.clone()));
        }
        drop(alive);
        let mut stop = self.stop;
        runtime.block_on(tasks.run_until(async move {
            // An error would mean that whoever could stop us is gone, which is a reason to end as well.
            let _stopped = stop.wait_for(|&is_stopping| is_stopping).await;
            // Nothing is ever sent: the channel closes when the last task has ended. Late ones are cut off.
            let _in_time = timeout(CLOSE_TIME_MAX, all_gone.recv()).await;
        }));
    }
}

/// What all tasks of one thread share. Borrowed only between two awaits.
#[derive(Debug)]
struct Desk {
    /// Which block of counters is ours.
    index: usize,
    /// What clients may take.
    limits: TcpLimits,
    /// Who may connect.
    admission: Arc<Admission>,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where our block is.
    metrics: Arc<Metrics>,
    /// The big buffers.
    bench: RefCell<Bench>,
    /// Whether a failed accept was logged and accepting has not worked since.
    is_resting: Cell<bool>,
}

impl Desk {
    /// Returns our counters.
    fn block(&self) -> &TcpBlock {
        &self.metrics.tcp()[self.index]
    }
}

/// The buffers of one thread.
#[derive(Debug)]
struct Bench {
    /// Where input is read to.
    input: Box<[u8]>,
    /// Where replies are written, each behind its length.
    output: Box<[u8]>,
}

impl Bench {
    /// Allocates the buffers.
    fn new() -> Self {
        Self { input: vec![0; INPUT_BYTES].into(), output: vec![0; OUTPUT_BYTES].into() }
    }
}

/// Accepts connections until it is time to end, and then those that are waiting already.
async fn accept(listener: StdListener, desk: Rc<Desk>, mut stop: watch::Receiver<bool>, alive: mpsc::Sender<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a TCP listener cannot be watched; its address is served by the other threads only");
            return;
        }
    };
    loop {
        let outcome = tokio::select! {
            biased;
            _ = stop.wait_for(|&is_stopping| is_stopping) => break,
            outcome = listener.accept() => outcome,
        };
        match outcome {
            Ok((stream, client)) => {
                desk.is_resting.set(false);
                welcome(stream, client, &desk, &stop, &alive);
                yield_now().await;
            }
            Err(error) => rest_after(&error, &desk).await,
        }
    }
    let Ok(listener) = listener.into_std() else { return };
    for _ in 0..LATE_CLIENTS_MAX {
        let Ok((stream, client)) = listener.accept() else { return };
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            welcome(stream, client, &desk, &stop, &alive);
        }
    }
}

/// Counts a failed accept and, where it would fail again at once, waits.
async fn rest_after(error: &io::Error, desk: &Desk) {
    desk.block().accept_errors.add(1);
    // What the client did (gone before it was accepted) says nothing about the next one.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
        return;
    }
    if !desk.is_resting.replace(true) {
        tracing::warn!(%error, "TCP connections cannot be accepted for now");
    }
    sleep(ACCEPT_PAUSE).await;
}

/// Starts to serve a connection, or closes it at once where a limit is reached.
fn welcome(
    stream: TcpStream,
    client: SocketAddr,
    desk: &Rc<Desk>,
    stop: &watch::Receiver<bool>,
    alive: &mpsc::Sender<()>,
) {
    let seat = match desk.admission.admit(client.ip()) {
        Ok(seat) => seat,
        Err(Refusal::All) => return desk.block().refused_all.add(1),
        Err(Refusal::Client) => return desk.block().refused_client.add(1),
    };
    // Without it replies are only slower.
    let _is_prompt = stream.set_nodelay(true);
    desk.block().opened.add(1);
    let connection = Connection { stream, client: client.ip(), desk: Rc::clone(desk), pending: Vec::new() };
    spawn_local(serve(connection, seat, stop.clone(), alive.clone()));
}

/// Serves a connection to its end and counts why it ended.
async fn serve(mut connection: Connection, seat: Seat, mut stop: watch::Receiver<bool>, _alive: mpsc::Sender<()>) {
    let end = connection.converse(&mut stop).await;
    let block = connection.desk.block();
    match end {
        End::Closed | End::Stopped => {}
        End::Idle => block.idle_timeouts.add(1),
        End::SlowWriter => block.read_timeouts.add(1),
        End::SlowReader => block.write_timeouts.add(1),
        End::Malformed => block.malformed.add(1),
        End::Broken => block.broken.add(1),
    }
    block.closed.add(1);
    drop(connection.stream);
    drop(seat);
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closed it.
    Closed,
    /// The server stops.
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

/// One client.
#[derive(Debug)]
struct Connection {
    /// The stream.
    stream: TcpStream,
    /// Who it is.
    client: IpAddr,
    /// What the thread shares.
    desk: Rc<Desk>,
    /// What came and is not answered yet; without memory while there is nothing.
    ///
    /// At most one unfinished message and one read, so that 64 KiB and [`INPUT_BYTES`] together bound it.
    pending: Vec<u8>,
}

impl Connection {
    /// Reads, answers and writes until there is a reason to end.
    async fn converse(&mut self, stop: &mut watch::Receiver<bool>) -> End {
        let limits = self.desk.limits;
        let mut deadline = Instant::now() + limits.idle_timeout;
        loop {
            let readable = tokio::select! {
                biased;
                _ = stop.wait_for(|&is_stopping| is_stopping) => return self.finish().await,
                readable = timeout_at(deadline, self.stream.readable()) => readable,
            };
            match readable {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Broken,
                Err(_) if self.pending.is_empty() => return End::Idle,
                Err(_) => return End::SlowWriter,
            }
            let turn = match self.turn().await {
                Ok(turn) => turn,
                Err(end) => return end,
            };
            // A message that goes on keeps its deadline, or one octet now and then would hold the connection.
            if self.pending.is_empty() {
                if turn.is_answered {
                    deadline = Instant::now() + limits.idle_timeout;
                }
            } else if turn.is_begun {
                deadline = Instant::now() + limits.io_timeout;
            }
            // Others have their turn, however much this client sends.
            yield_now().await;
        }
    }

    /// Answers what was received when the server stops.
    async fn finish(&mut self) -> End {
        for _ in 0..LAST_TURNS_MAX {
            match self.turn().await {
                Ok(turn) if turn.is_empty => return End::Stopped,
                Ok(_) => {}
                Err(end) => return end,
            }
        }
        End::Stopped
    }

    /// Reads once, answers all whole messages and writes the replies.
    async fn turn(&mut self) -> Result<Turn, End> {
        let was_pending = !self.pending.is_empty();
        let mut step = match self.read_and_answer() {
            Ok(step) => step,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Turn { is_empty: true, is_begun: false, is_answered: false });
            }
            Err(_) => return Err(End::Broken),
        };
        if step.is_end_of_input {
            return Err(End::Closed);
        }
        let mut is_answered = step.consumed > 0;
        loop {
            if !step.unsent.is_empty() {
                self.write_rest(&step.unsent).await?;
            }
            if step.is_broken {
                return Err(End::Broken);
            }
            if step.is_malformed {
                return Err(End::Malformed);
            }
            if !step.is_more {
                break;
            }
            step = self.answer_pending();
            is_answered |= step.consumed > 0;
        }
        Ok(Turn { is_empty: false, is_begun: !was_pending || is_answered, is_answered })
    }

    /// Reads once into the thread's buffer and answers from there.
    ///
    /// # Errors
    /// What the read says; [`io::ErrorKind::WouldBlock`] where nothing is there.
    fn read_and_answer(&mut self) -> io::Result<Step> {
        let desk = Rc::clone(&self.desk);
        let mut bench = desk.bench.borrow_mut();
        let Bench { input, output } = &mut *bench;
        let count = self.stream.try_read(input)?;
        if count == 0 {
            return Ok(Step { is_end_of_input: true, ..Step::default() });
        }
        let input = input.get(..count).unwrap_or_default();
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(input);
            return Ok(self.answer_pending_into(output));
        }
        let answered = answer_messages(&desk, self.client, input, output);
        self.pending = input.get(answered.consumed..).unwrap_or_default().to_vec();
        Ok(self.write_now(&answered, output))
    }

    /// Answers from what was kept aside.
    fn answer_pending(&mut self) -> Step {
        let desk = Rc::clone(&self.desk);
        let mut bench = desk.bench.borrow_mut();
        self.answer_pending_into(&mut bench.output)
    }

    /// Answers from what was kept aside, writing into `output`.
    fn answer_pending_into(&mut self, output: &mut [u8]) -> Step {
        let answered = answer_messages(&self.desk, self.client, &self.pending, output);
        if answered.consumed == self.pending.len() {
            // An idle connection keeps no memory.
            self.pending = Vec::new();
        } else {
            self.pending.drain(..answered.consumed);
        }
        self.write_now(&answered, output)
    }

    /// Writes as many octets of the replies as the socket takes at once; the others are copied aside.
    fn write_now(&self, answered: &Answered, output: &[u8]) -> Step {
        let mut step = Step {
            consumed: answered.consumed,
            is_malformed: answered.is_malformed,
            is_more: answered.is_full,
            ..Step::default()
        };
        let replies = output.get(..answered.length).unwrap_or_default();
        if replies.is_empty() {
            return step;
        }
        let written = match self.stream.try_write(replies) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                step.is_broken = true;
                return step;
            }
        };
        self.desk.block().answers.octets_out.add(written as u64);
        step.unsent = replies.get(written..).unwrap_or_default().to_vec();
        step
    }

    /// Writes what the socket did not take at once; all of it has to go within the I/O timeout.
    async fn write_rest(&self, mut rest: &[u8]) -> Result<(), End> {
        let deadline = Instant::now() + self.desk.limits.io_timeout;
        while !rest.is_empty() {
            match timeout_at(deadline, self.stream.writable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(End::Broken),
                Err(_) => return Err(End::SlowReader),
            }
            match self.stream.try_write(rest) {
                Ok(count) => {
                    self.desk.block().answers.octets_out.add(count as u64);
                    rest = rest.get(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(End::Broken),
            }
        }
        Ok(())
    }
}

/// What one turn of a connection did.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Whether there was nothing to read.
    is_empty: bool,
    /// Whether what is pending now was begun in this turn.
    is_begun: bool,
    /// Whether at least one whole message came.
    is_answered: bool,
}

/// What one synchronous step of a connection did.
#[derive(Debug, Default)]
struct Step {
    /// How many octets of input were used up.
    consumed: usize,
    /// Replies that the socket did not take at once.
    unsent: Vec<u8>,
    /// Whether the client sends nothing more.
    is_end_of_input: bool,
    /// Whether writing failed.
    is_broken: bool,
    /// Whether a message was too short.
    is_malformed: bool,
    /// Whether more whole messages may be pending.
    is_more: bool,
}

/// What became of a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answered {
    /// How many octets of input were used up.
    consumed: usize,
    /// How many octets of output there are.
    length: usize,
    /// Whether the output has no room for another reply.
    is_full: bool,
    /// Whether a message was too short; nothing behind it is read.
    is_malformed: bool,
}

/// Answers the whole messages at the start of `input`, one reply behind the other, from one snapshot.
fn answer_messages(desk: &Desk, source: IpAddr, input: &[u8], output: &mut [u8]) -> Answered {
    let snapshot = desk.snapshot.load();
    // There are at most a few TCP threads.
    let asker = Asker { transport: Transport::Tcp, source, worker: u16::try_from(desk.index).unwrap_or(u16::MAX) };
    let counters = &desk.block().answers;
    fill(input, output, |query, reply| exchange(&snapshot, query, &asker, reply, counters))
}

/// Takes the messages off `input` and puts the replies into `output`, each behind its length.
///
/// `respond` gets a message and [`REPLY_BYTES_MAX`] octets for the reply, and returns how many of them it is.
fn fill(input: &[u8], output: &mut [u8], mut respond: impl FnMut(&[u8], &mut [u8]) -> Option<usize>) -> Answered {
    let mut answered = Answered { consumed: 0, length: 0, is_full: false, is_malformed: false };
    while let Some((prefix, rest)) = input.get(answered.consumed..).and_then(|input| input.split_first_chunk()) {
        let message_bytes = usize::from(u16::from_be_bytes(*prefix));
        if message_bytes < HEADER_BYTES {
            answered.is_malformed = true;
            break;
        }
        let Some(message) = rest.get(..message_bytes) else { break };
        let Some(room) = output.get_mut(answered.length..answered.length + PREFIX_BYTES + REPLY_BYTES_MAX) else {
            answered.is_full = true;
            break;
        };
        let (reply_prefix, reply) = room.split_at_mut(PREFIX_BYTES);
        if let Some(length) = respond(message, reply)
            && let Ok(length_field) = u16::try_from(length)
        {
            reply_prefix.copy_from_slice(&length_field.to_be_bytes());
            answered.length += PREFIX_BYTES + length;
        }
        answered.consumed += PREFIX_BYTES + message_bytes;
    }
    answered
}

/// Octets of the length in front of a message (RFC 1035 §4.2.2).
const PREFIX_BYTES: usize = 2;

/// The longest reply.
const REPLY_BYTES_MAX: usize = 65_535;

/// The longest message with its length.
#[cfg(test)]
const MESSAGE_BYTES_MAX: usize = PREFIX_BYTES + REPLY_BYTES_MAX;

/// How much is read at once.
const INPUT_BYTES: usize = 64 << 10;

/// Replies that are written at once, up to 64 KiB, and room for the longest one behind them.
const OUTPUT_BYTES: usize = (64 << 10) + PREFIX_BYTES + REPLY_BYTES_MAX;

/// How long accepting rests when the system has no descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to finish when the server stops; less than [`super::STOP_TIME_MAX`].
const CLOSE_TIME_MAX: Duration = Duration::from_secs(3);

/// Connections per listener and thread that are still taken from the queue when the server stops.
const LATE_CLIENTS_MAX: usize = 4096;

/// How often a connection is read when the server stops.
const LAST_TURNS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts the length in front of a message of so many octets, all of the same value.
    fn message(length: u16, value: u8) -> Vec<u8> {
        let mut octets = length.to_be_bytes().to_vec();
        octets.resize(PREFIX_BYTES + usize::from(length), value);
        octets
    }

    /// Runs [`fill`] with a reply that repeats the query.
    fn echo(input: &[u8], output: &mut [u8]) -> Answered {
        fill(input, output, |query, reply| {
            reply[..query.len()].copy_from_slice(query);
            Some(query.len())
        })
    }

    #[test]
    fn whole_messages_are_answered_and_a_part_stays() {
        let input = [message(12, 1), message(20, 2), message(30, 3)[..31].to_vec()].concat();
        let mut output = vec![0; OUTPUT_BYTES];
        let answered = echo(&input, &mut output);
        assert_eq!(answered, Answered { consumed: 36, length: 36, is_full: false, is_malformed: false });
        assert_eq!(output[..36], input[..36]);
    }

    #[test]
    fn every_split_of_the_length_and_header_waits_for_more() {
        let whole = message(12, 7);
        for end in 0..whole.len() {
            let answered = echo(&whole[..end], &mut vec![0; OUTPUT_BYTES]);
            assert_eq!(answered, Answered { consumed: 0, length: 0, is_full: false, is_malformed: false }, "{end}");
        }
    }

    #[test]
    fn a_message_without_room_for_a_header_ends_it_after_the_replies_before() {
        for length in [0, 1, 11] {
            let input = [message(12, 1), message(length, 2), message(12, 3)].concat();
            let answered = echo(&input, &mut vec![0; OUTPUT_BYTES]);
            assert_eq!(answered, Answered { consumed: 14, length: 14, is_full: false, is_malformed: true }, "{length}");
        }
    }

    #[test]
    fn long_replies_are_written_before_more_is_answered() {
        let input = [message(u16::MAX, 1), message(u16::MAX, 2), message(12, 3)].concat();
        let answered = echo(&input, &mut vec![0; OUTPUT_BYTES]);
        assert!(answered.is_full && answered.length <= OUTPUT_BYTES, "{answered:?}");
        assert_eq!(answered.consumed % MESSAGE_BYTES_MAX, 0);
        assert!(answered.consumed > 0);
    }

    #[test]
    fn what_is_dropped_leaves_no_trace_in_the_stream() {
        let input = [message(12, 1), message(12, 2)].concat();
        let mut output = vec![0; OUTPUT_BYTES];
        let answered = fill(&input, &mut output, |query, reply| {
            reply[0] = query[0];
            (query[0] == 2).then_some(1)
        });
        assert_eq!((answered.consumed, &output[..answered.length]), (28, &[0, 1, 2][..]));
    }
}
