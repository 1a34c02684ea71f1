//! Turns of one connection, over a real socket pair on loopback.

use super::*;
use crate::metrics::Metrics;
use crate::serve::TcpLimits;
use crate::serve::admission::Admission;
use crate::serve::tcp::channel::Plain;
use crate::serve::thread::ThreadHandle;
use crate::serve::wedges::framed;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// How much each end keeps of what the other has not taken.
const BUFFER_BYTES: usize = 64 << 10;

/// How long a turn is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection, its client's end, and what turns need.
struct Pair {
    connection: Connection<Plain>,
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
            connection: Connection::new(permit, Plain),
            client,
            buffers: IoBuffers::new(),
            snapshot: ArcSwap::default(),
            metrics: Metrics::new(0, 1),
        }
    }

    /// One turn.
    fn turn(&mut self) -> Turn {
        let blocks = self.metrics.tcp();
        self.connection.turn(&mut self.buffers, AnswerSource { thread: 0, snapshot: &self.snapshot, block: &blocks[0] })
    }

    /// Turns until one is of the kind that is wanted; panics where the connection ends before, or none comes.
    fn turn_until(&mut self, is_wanted: impl Fn(Turn) -> bool) -> Turn {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.turn() {
                turn if is_wanted(turn) => return turn,
                Turn { next: NextStep::Close(end), .. } => panic!("it ended: {end:?}"),
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

#[test]
fn a_message_in_parts_keeps_the_time_that_it_began_with() {
    let mut pair = Pair::new();
    assert_eq!(pair.turn(), Turn { next: NextStep::Empty, limit: None });
    assert_eq!(pair.connection.late(), CloseReason::Idle);
    let query = framed(1, &[0]);
    for (octets, limit) in [
        (&query[..1], Some(Limit::Io)),
        (&query[1..9], None),
        (&query[9..], Some(Limit::Idle)),
        (&[&query[..], &query[..5]].concat(), Some(Limit::Io)),
    ] {
        pair.client.write_all(octets).expect("it is open");
        assert_eq!(pair.turn_with_input(), Turn { next: NextStep::Read, limit }, "{octets:?}");
    }
    assert_eq!((pair.connection.late(), pair.connection.pending.len()), (CloseReason::SlowWriter, 5));
    pair.client.write_all(&query[5..]).expect("it is open");
    assert_eq!(pair.turn_with_input(), Turn { next: NextStep::Read, limit: Some(Limit::Idle) });
    assert_eq!(pair.connection.pending.capacity(), 0, "an idle connection has no buffer");
    pair.client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(pair.turn_with_input().next, NextStep::Close(CloseReason::Closed));
}

#[test]
fn a_turn_is_bounded_and_nothing_is_read_before_all_is_answered() {
    let mut pair = Pair::new();
    // Room for one reply at a time, so that a turn makes FILLS_MAX of them.
    pair.buffers.output = vec![0; FRAME_BYTES_MAX].into();
    let count = 3 * FILLS_MAX as u16 + 1;
    pair.client.write_all(&(0..count).flat_map(|id| framed(id, &[0])).collect::<Vec<_>>()).expect("it is open");
    for _ in 0..3 {
        assert_eq!(pair.turn_with_input(), Turn { next: NextStep::Write, limit: Some(Limit::Io) });
    }
    assert_eq!(pair.turn(), Turn { next: NextStep::Read, limit: Some(Limit::Idle) });
    let mut replies = vec![0; 19 * usize::from(count)];
    pair.client.read_exact(&mut replies).expect("all are answered");
    for (id, reply) in (0..count).zip(replies.chunks(19)) {
        assert_eq!((&reply[..4], reply[5]), (&framed(id, &[0])[..4], 0x05), "REFUSED, in order");
    }
}

#[test]
fn a_client_that_takes_nothing_is_not_read_and_gets_all_in_the_end() {
    let mut pair = Pair::new();
    let mut writer = pair.client.try_clone().expect("descriptors are left");
    // Many times what the buffers of both ends take.
    let count = 200_000_u32;
    let writing = thread::spawn(move || {
        writer.write_all(&(0..count).flat_map(|id| framed(id as u16, &[0])).collect::<Vec<_>>()).expect("it is open");
        writer.shutdown(Shutdown::Write).expect("it is open");
    });
    // The client's side takes some at first, and then no more.
    let first = pair.turn_until(|turn| turn.next == NextStep::Write);
    assert_eq!(first.limit, Some(Limit::Io));
    pair.turn_until(|turn| turn == Turn { next: NextStep::Write, limit: None });
    assert_eq!(pair.connection.late(), CloseReason::SlowReader);
    let mut reader = pair.client.try_clone().expect("descriptors are left");
    let reading = thread::spawn(move || {
        let mut replies = Vec::new();
        reader.read_to_end(&mut replies).expect("it is closed in the end");
        replies.len()
    });
    let end = pair.turn_until(|turn| matches!(turn.next, NextStep::Close(_)));
    assert_eq!(end.next, NextStep::Close(CloseReason::Closed), "the client's end is read behind its last reply");
    writing.join().expect("the client writes all");
    let Pair { connection, metrics, .. } = pair;
    drop(connection);
    assert_eq!(reading.join().expect("the client reads"), 19 * count as usize);
    assert_eq!(metrics.tcp()[0].answers.octets_out.value(), 19 * u64::from(count));
}

/// A stream of messages of 32 KiB that begin with their number, and a panic behind the last where it is wished.
#[derive(Debug)]
struct Numbered {
    count: u32,
    panics: bool,
    written: Arc<AtomicU32>,
}

/// Octets of each.
const NUMBERED_BYTES: usize = 32 << 10;

impl ReplyStream for Numbered {
    fn write_next(&mut self, _now: Duration, message: &mut [u8]) -> Option<usize> {
        let number = self.written.load(Ordering::Relaxed);
        if number == self.count {
            assert!(!self.panics, "asked for by a test");
            return None;
        }
        self.written.store(number + 1, Ordering::Relaxed);
        message[..4].copy_from_slice(&number.to_be_bytes());
        Some(NUMBERED_BYTES)
    }
}

impl Pair {
    /// Begins a stream; returns how many of its messages were made.
    fn stream(&mut self, count: u32, panics: bool) -> Arc<AtomicU32> {
        let written = Arc::new(AtomicU32::new(0));
        self.connection.state = State::Streaming(Box::new(Numbered { count, panics, written: Arc::clone(&written) }));
        written
    }

    /// The octets that the connection holds.
    fn held_bytes(&self) -> usize {
        let rest = if let State::Writing { rest, .. } = &self.connection.state { rest.len() } else { 0 };
        rest + self.connection.pending.capacity()
    }
}

#[test]
fn a_stream_of_a_gibibyte_costs_no_more_than_the_output_of_one_turn() {
    let mut pair = Pair::new();
    let count = 32_768_u32;
    pair.stream(count, false);
    let mut reader = pair.client.try_clone().expect("descriptors are left");
    let reading = thread::spawn(move || {
        let mut frame = vec![0; 2 + NUMBERED_BYTES];
        for number in 0..count {
            reader.read_exact(&mut frame).expect("the stream goes on");
            assert_eq!(&frame[2..6], number.to_be_bytes());
        }
    });
    let mut held_max = 0;
    let end = loop {
        let turn = pair.turn();
        held_max = held_max.max(pair.held_bytes());
        if turn.next != NextStep::Write {
            break turn;
        }
        thread::yield_now();
    };
    reading.join().expect("all came");
    assert_eq!(end, Turn { next: NextStep::Read, limit: Some(Limit::Idle) });
    assert!(held_max <= OUTPUT_BYTES, "{held_max}");
}

#[test]
fn a_stream_is_made_no_faster_than_its_client_takes_it() {
    let mut pair = Pair::new();
    let written = pair.stream(u32::MAX, false);
    pair.turn_until(|turn| turn == Turn { next: NextStep::Write, limit: None });
    // What both ends of the connection keep, which the kernel doubles, and one output.
    let bound = 4 * BUFFER_BYTES + OUTPUT_BYTES;
    let made = written.load(Ordering::Relaxed) as usize * NUMBERED_BYTES;
    assert!(made <= bound, "{made} octets were made for nobody");
    assert!(pair.held_bytes() <= OUTPUT_BYTES);
    assert!(pair.connection.is_streaming());
    assert_eq!(pair.connection.late(), CloseReason::SlowReader);
}

#[test]
fn a_turn_of_a_stream_is_bounded_though_its_client_takes_all() {
    let mut pair = Pair::new();
    let written = pair.stream(u32::MAX, false);
    let mut reader = pair.client.try_clone().expect("descriptors are left");
    let reading = thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
    for turn in 1..=100 {
        assert_eq!(pair.turn().next, NextStep::Write);
        let made = written.load(Ordering::Relaxed) as usize * NUMBERED_BYTES;
        assert!(made <= turn * FILLS_MAX * OUTPUT_BYTES, "{made} octets in {turn} turns");
    }
    let Pair { connection, metrics, .. } = pair;
    connection.end(CloseReason::Stopped, &metrics.tcp()[0]);
    // Its end is a reset, so that nobody takes a part for the whole.
    let _reset = reading.join().expect("the client reads");
}

#[test]
fn a_stream_that_panics_costs_its_connection_and_is_counted() {
    let mut pair = Pair::new();
    pair.stream(3, true);
    assert_eq!(pair.turn(), Turn { next: NextStep::Close(CloseReason::Panicked), limit: None });
    let Pair { connection, mut client, metrics, .. } = pair;
    let block = &metrics.tcp()[0];
    connection.end(CloseReason::Panicked, block);
    assert_eq!((block.answers.panics.value(), block.broken.value(), block.closed.value()), (1, 0, 1));
    let error = client.read_to_end(&mut Vec::new()).expect_err("a part is not the whole");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
