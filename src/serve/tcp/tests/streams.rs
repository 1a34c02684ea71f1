//! Replies of many messages, beside other connections of one thread, over real sockets on loopback.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::{ask, assert_answers};
use crate::answer::Snapshot;
use crate::answer::injected::{STREAM_MESSAGE_BYTES, STREAM_MESSAGES, STREAM_NAME};
use crate::metrics::TcpBlock;
use crate::serve::wedges::{WAIT_MAX, framed, wait_until};
use crate::serve::{Running, TcpLimits, bind, publish};
use crate::zone::tests::zone_set;

/// A server with one TCP thread.
struct Server {
    running: Running,
    snapshot: Arc<ArcSwap<Snapshot>>,
    address: SocketAddr,
}

impl Server {
    /// Starts without zones.
    fn start(limits: TcpLimits) -> Self {
        let bound = bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], 1, &limits).expect("loopback is there");
        let (address, snapshot) = (bound.local_addresses()[0], Arc::<ArcSwap<Snapshot>>::default());
        Self { running: bound.start(Arc::clone(&snapshot)).expect("threads can be made"), snapshot, address }
    }

    /// What its thread counts.
    fn block(&self) -> Arc<TcpBlock> {
        Arc::clone(&self.running.metrics().tcp()[0])
    }

    /// Connects and sends what is given.
    fn send(&self, octets: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
        stream.write_all(octets).expect("the connection is open");
        stream
    }
}

/// A query that a stream answers, with its length in front.
fn stream_query(id: u16) -> Vec<u8> {
    let mut query = framed(id, STREAM_NAME);
    let qtype_at = query.len() - 3;
    query[qtype_at] = 16;
    query
}

/// A query for the root, which is refused, with its length in front.
fn plain_query(id: u16) -> Vec<u8> {
    framed(id, &[0])
}

/// Reads the next message.
fn read_message(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 2];
    client.read_exact(&mut prefix)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(prefix))];
    client.read_exact(&mut message)?;
    Ok(message)
}

/// Reads messages `from` to the last of a stream, and asserts that the snapshot had no zones.
fn read_stream(client: &mut TcpStream, id: u16, from: u32) {
    for number in from..=STREAM_MESSAGES {
        let message = read_message(client).expect("the stream goes on");
        assert_eq!((&message[..2], message.len()), (&id.to_be_bytes()[..], STREAM_MESSAGE_BYTES), "{number}");
        let text = format!("{number} of {STREAM_MESSAGES}, 0 zones");
        assert!(message.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
    }
}

/// Reads the reply to [`plain_query`].
fn read_plain(client: &mut TcpStream, id: u16) {
    let reply = read_message(client).expect("an answer comes");
    assert_eq!((&reply[..2], reply[3] & 0x0F), (&id.to_be_bytes()[..], 5));
}

#[test]
fn replies_leave_in_the_order_of_the_queries_streams_among_them() {
    let server = Server::start(TcpLimits::default());
    let queries = [plain_query(1), stream_query(2), plain_query(3), stream_query(4), plain_query(5)];
    let mut client = server.send(&queries.concat());
    read_plain(&mut client, 1);
    read_stream(&mut client, 2, 1);
    read_plain(&mut client, 3);
    read_stream(&mut client, 4, 1);
    read_plain(&mut client, 5);
    // And the connection serves on.
    client.write_all(&plain_query(6)).expect("it is open");
    read_plain(&mut client, 6);
    let counters = &server.block().answers;
    assert_eq!((counters.queries.value(), counters.replies()), (6, 6), "a stream is one reply");
    server.running.stop();
}

#[test]
fn others_are_answered_while_streams_run() {
    let server = Server::start(TcpLimits::default());
    // Two that are read as fast as they come, and one whose client takes nothing for now.
    let mut slow = server.send(&stream_query(9));
    let readers = [1, 2].map(|id| {
        let mut client = server.send(&stream_query(id).repeat(4));
        std::thread::spawn(move || (0..4).for_each(|_| read_stream(&mut client, id, 1)))
    });
    wait_until("all streams have begun", || server.block().answers.queries.value() >= 3);
    let mut times = Vec::new();
    while readers.iter().any(|reader| !reader.is_finished()) {
        let begun = Instant::now();
        assert_answers(server.address);
        times.push(begun.elapsed());
    }
    times.sort();
    eprintln!("{} answers beside two streams, the median after {:?}", times.len(), times[times.len() / 2]);
    assert!(times.len() >= 10 && times[times.len() / 2] < Duration::from_millis(100), "{times:?}");
    readers.into_iter().for_each(|reader| reader.join().expect("the streams come whole"));
    read_stream(&mut slow, 9, 1);
    server.running.stop();
}

#[test]
fn a_reload_in_the_midst_changes_nothing_about_a_stream() {
    let server = Server::start(TcpLimits::default());
    let before = Arc::downgrade(&server.snapshot.load_full());
    let mut client = server.send(&[stream_query(1), stream_query(2)].concat());
    read_message(&mut client).expect("the stream has begun");
    let zones = zone_set(&[("example.", "www A 192.0.2.1")]);
    publish(&server.snapshot, Arc::new(Snapshot { zones, ..Snapshot::default() }));
    assert_eq!(before.strong_count(), 2, "the stream has it, and whoever frees it");
    read_stream(&mut client, 1, 2);
    // The next one is begun from what is served by then.
    let first = read_message(&mut client).expect("the second stream");
    assert!(first.windows(7).any(|part| part == b"1 zones"));
    wait_until("the old snapshot is freed", || before.strong_count() == 0);
    server.running.stop();
}

#[test]
fn a_client_that_stops_reading_is_given_up() {
    let limits = TcpLimits { io_timeout: Duration::from_millis(300), ..TcpLimits::default() };
    let server = Server::start(limits);
    let mut client = server.send(&stream_query(1));
    read_message(&mut client).expect("the stream has begun");
    wait_until("it is given up", || server.block().write_timeouts.value() == 1);
    assert_answers(server.address);
    // What was sent may be read; then it ends before the stream does.
    let mut octets = Vec::new();
    let _reset = client.read_to_end(&mut octets);
    assert!(octets.len() < STREAM_MESSAGES as usize * STREAM_MESSAGE_BYTES / 2, "{}", octets.len());
    server.running.stop();
}

#[test]
fn a_stream_ends_when_its_connection_makes_room_or_the_server_stops() {
    let server = Server::start(TcpLimits { clients_max: 1, ..TcpLimits::default() });
    let ends_early = |mut client: TcpStream| {
        let mut octets = Vec::new();
        let _reset = client.read_to_end(&mut octets);
        assert!(octets.len() < STREAM_MESSAGES as usize * STREAM_MESSAGE_BYTES, "{}", octets.len());
    };
    let mut evicted = server.send(&stream_query(1));
    read_message(&mut evicted).expect("the stream has begun");
    let mut client = ask(server.address, &[0]);
    read_message(&mut client).expect("there is room for it now");
    assert_eq!(server.block().evicted.value(), 1);
    ends_early(evicted);
    // The next one takes its place in turn, and its client reads nothing more.
    let mut stopped = server.send(&stream_query(2));
    read_message(&mut stopped).expect("the stream has begun");
    let begun = Instant::now();
    server.running.stop();
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for the stream: {:?}", begun.elapsed());
    ends_early(stopped);
}
