//! Queries over TCP: connections on a few threads of their own, each with a runtime that polls (RFC 7766, RFC 9210).
//!
//! A connection holds a small buffer while it is idle and takes a large one only for as long as it answers. Replies go
//! out in the order of the queries, as soon as what was received is answered: answers are immediate, so that none waits
//! for another. A client that begins a message must finish it, and must take its replies, within the time of the limits.

use std::io;
use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::TcpLimits;
use super::admission::{Admission, Refusal, Seat};
use super::exchange::{HEADER_BYTES, exchange};
use crate::answer::{MESSAGE_BYTES_MAX, Snapshot, Transport};
use crate::metrics::{Metrics, TcpBlock};

/// Octets of the length in front of each message (RFC 1035 §4.2.2).
const LENGTH_BYTES: usize = 2;
/// Octets that an idle connection holds for what comes next; a longer message grows it for as long as it is needed.
const IDLE_BUFFER_BYTES: usize = 512;
/// Octets of replies that are gathered before they are written.
const GATHERED_BYTES_MAX: usize = 64 * 1024;
/// How long accepting rests when the system has no descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections may go on answering what they received when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// One TCP thread before it runs.
pub(super) struct Office {
    /// Which block of counters is its own.
    pub(super) index: usize,
    /// What it accepts from, beside the other threads.
    pub(super) listeners: Vec<StdTcpListener>,
    /// What clients may take.
    pub(super) limits: TcpLimits,
    /// Who is connected, over all threads.
    pub(super) admission: Arc<Admission>,
    /// What is served.
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where it counts.
    pub(super) metrics: Arc<Metrics>,
    /// Turns true when the server stops.
    pub(super) stop: watch::Receiver<bool>,
}

/// What the tasks of one thread share.
struct Desk {
    /// As in [`Office`].
    index: usize,
    /// As in [`Office`].
    limits: TcpLimits,
    /// As in [`Office`].
    admission: Arc<Admission>,
    /// As in [`Office`].
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// As in [`Office`].
    metrics: Arc<Metrics>,
    /// As in [`Office`].
    stop: watch::Receiver<bool>,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closed it between two messages, or the server stops.
    Done,
    /// Nothing came for too long.
    Idle,
    /// A message was begun and not finished in time.
    ReadTimeout,
    /// The replies were not taken in time.
    WriteTimeout,
    /// A message too short for a header.
    Malformed,
    /// The connection broke.
    Broken,
}

impl Office {
    /// Makes the runtime of the thread.
    ///
    /// # Errors
    /// The system has no descriptor for it.
    pub(super) fn runtime(&self) -> io::Result<Runtime> {
        Builder::new_current_thread().enable_io().enable_time().build()
    }

    /// Accepts and answers until the server stops.
    pub(super) fn run(self, runtime: &Runtime) {
        let mut stop = self.stop.clone();
        let listeners = self.listeners;
        let desk = Arc::new(Desk {
            index: self.index,
            limits: self.limits,
            admission: self.admission,
            snapshot: self.snapshot,
            metrics: self.metrics,
            stop: self.stop,
        });
        let tasks = LocalSet::new();
        tasks.block_on(runtime, async {
            for listener in listeners {
                spawn_local(accept(Arc::clone(&desk), listener));
            }
            // An error means that the sender is gone, which is a stop as well.
            let _ = stop.wait_for(|is_stopping| *is_stopping).await;
        });
        // What was received is answered; who does not take it in time is left.
        if runtime.block_on(async { timeout(STOP_GRACE, tasks).await }).is_err() {
            tracing::debug!(thread = desk.index, "TCP connections were still open when the server stopped");
        }
    }
}

/// Accepts connections from one listener until the server stops.
async fn accept(desk: Arc<Desk>, listener: StdTcpListener) {
    let listener = match listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a TCP listener cannot be used; its address is served over UDP only"),
    };
    let mut stop = desk.stop.clone();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
            accepted = listener.accept() => accepted,
        };
        let block = desk.block();
        match accepted {
            Ok((stream, peer)) => match desk.admission.admit(peer.ip()) {
                Ok(seat) => {
                    block.opened.add(1);
                    spawn_local(serve(Arc::clone(&desk), stream, seat));
                }
                Err(Refusal::All) => block.refused_all.add(1),
                Err(Refusal::Client) => block.refused_client.add(1),
            },
            Err(_) => {
                // Out of descriptors or memory, or the client was gone already: no reason to spin.
                block.broken.add(1);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end, and counts it.
async fn serve(desk: Arc<Desk>, mut stream: TcpStream, seat: Seat) {
    // Replies are gathered here, so that waiting for more in the kernel only costs time; without it they come later.
    let _ = stream.set_nodelay(true);
    let end = converse(&desk, &mut stream).await;
    drop(stream);
    drop(seat);
    let block = desk.block();
    block.closed.add(1);
    match end {
        End::Done => {}
        End::Idle => block.idle_timeouts.add(1),
        End::ReadTimeout => block.read_timeouts.add(1),
        End::WriteTimeout => block.write_timeouts.add(1),
        End::Malformed => block.malformed.add(1),
        End::Broken => block.broken.add(1),
    }
}

/// Answers what comes until there is a reason to end.
async fn converse(desk: &Desk, stream: &mut TcpStream) -> End {
    let mut stop = desk.stop.clone();
    let mut received: Vec<u8> = Vec::with_capacity(IDLE_BUFFER_BYTES);
    loop {
        // Within a message the client has less time than between two.
        let (patience, late) = match received.is_empty() {
            true => (desk.limits.idle_timeout, End::Idle),
            false => (desk.limits.io_timeout, End::ReadTimeout),
        };
        let read = tokio::select! {
            read = timeout(patience, stream.read_buf(&mut received)) => read,
            _ = stop.wait_for(|is_stopping| *is_stopping) => return End::Done,
        };
        match read {
            Err(_) => return late,
            Ok(Err(_)) => return End::Broken,
            Ok(Ok(0)) => return if received.is_empty() { End::Done } else { End::Broken },
            Ok(Ok(_)) => {}
        }
        let end = match answer_all(desk, stream, &mut received).await {
            Ok(consumed) => {
                received.drain(..consumed);
                None
            }
            Err(end) => Some(end),
        };
        if let Some(end) = end {
            return end;
        }
        make_room(&mut received);
    }
}

/// Makes room for the message that is being received, and gives back what an idle connection does not need.
fn make_room(received: &mut Vec<u8>) {
    match message_length(received) {
        Some(length) => received.reserve((LENGTH_BYTES + length).saturating_sub(received.len()).max(1)),
        None => {
            received.shrink_to(IDLE_BUFFER_BYTES);
            received.reserve(IDLE_BUFFER_BYTES.saturating_sub(received.len()));
        }
    }
}

/// The length in front of a message, if it is there.
fn message_length(octets: &[u8]) -> Option<usize> {
    octets.first_chunk::<LENGTH_BYTES>().map(|length| usize::from(u16::from_be_bytes(*length)))
}

/// Answers all whole messages at the start of `received`; says how many octets they have.
async fn answer_all(desk: &Desk, stream: &mut TcpStream, received: &mut [u8]) -> Result<usize, End> {
    let mut consumed = 0;
    let mut is_malformed = false;
    let mut replies: Vec<u8> = Vec::new();
    loop {
        gather(desk, received, &mut consumed, &mut is_malformed, &mut replies);
        if replies.is_empty() {
            return if is_malformed { Err(End::Malformed) } else { Ok(consumed) };
        }
        match timeout(desk.limits.io_timeout, stream.write_all(&replies)).await {
            Err(_) => return Err(End::WriteTimeout),
            Ok(Err(_)) => return Err(End::Broken),
            Ok(Ok(())) => replies.clear(),
        }
    }
}

/// Answers messages from `consumed` on until none is whole, or enough replies are gathered.
fn gather(desk: &Desk, received: &[u8], consumed: &mut usize, is_malformed: &mut bool, replies: &mut Vec<u8>) {
    let snapshot = desk.snapshot.load();
    let block = desk.block();
    while !*is_malformed && replies.len() < GATHERED_BYTES_MAX {
        let rest = &received[*consumed..];
        let Some(length) = message_length(rest) else { return };
        let Some(query) = rest.get(LENGTH_BYTES..LENGTH_BYTES + length) else { return };
        if length < HEADER_BYTES {
            *is_malformed = true;
            return;
        }
        *consumed += LENGTH_BYTES + length;
        let start = replies.len();
        replies.resize(start + LENGTH_BYTES + MESSAGE_BYTES_MAX, 0);
        let room = &mut replies[start + LENGTH_BYTES..];
        let written = exchange(&snapshot, query, Transport::Tcp, room, &block.answers);
        if let Some(written) = written {
            let prefix = u16::try_from(written).expect("a reply has at most 65,535 octets").to_be_bytes();
            replies[start..start + LENGTH_BYTES].copy_from_slice(&prefix);
        }
        replies.truncate(start + written.map_or(0, |written| LENGTH_BYTES + written));
    }
}

impl Desk {
    /// The counters of this thread.
    fn block(&self) -> &TcpBlock {
        &self.metrics.tcp()[self.index]
    }
}
