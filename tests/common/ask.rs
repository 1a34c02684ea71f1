//! Clients of the tests: one exchange, thousands of them over UDP with a window, or pipelined over one TCP stream.
//!
//! Every wait and every retry is bounded. RFC 1035 §4.2, RFC 7766 §6.2.1.1.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::message::{Message, Query};

/// How many queries are under way at once: few enough that no socket buffer runs over.
const WINDOW: usize = 48;
/// How long a reply may take before the query is sent again.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often a query is sent at most.
const TRIES_MAX: usize = 6;
/// How long TCP may stand still.
const TCP_PATIENCE: Duration = Duration::from_secs(20);

/// A UDP socket that talks with one server.
pub(crate) fn udp_socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    socket.connect(server).expect("a UDP socket connects");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    socket
}

/// Sends one packet and waits for the reply with the same ID; sends again where none comes. `None`: silence.
pub(crate) fn udp(server: SocketAddr, packet: &[u8]) -> Option<Vec<u8>> {
    let socket = udp_socket(server);
    let mut buffer = vec![0; 65_535];
    for _ in 0..TRIES_MAX {
        socket.send(packet).ok()?;
        while let Ok(length) = socket.recv(&mut buffer) {
            if buffer[..length].get(..2) == packet.get(..2) {
                buffer.truncate(length);
                return Some(buffer);
            }
        }
    }
    None
}

/// Sends `packet`, then `sentinel`, from one socket, until the sentinel is answered; returns what came besides.
///
/// One socket's packets are served in order by every server that we know, so no wait for silence is needed.
pub(crate) fn udp_before(server: SocketAddr, packet: &[u8], sentinel: &Query) -> Vec<Vec<u8>> {
    let socket = udp_socket(server);
    let mut buffer = vec![0; 65_535];
    let mut replies = Vec::new();
    for round in 0..TRIES_MAX {
        let id = 0xFA00 + round as u16;
        socket.send(packet).expect("loopback takes packets");
        socket.send(&sentinel.encode(id)).expect("loopback takes packets");
        while let Ok(length) = socket.recv(&mut buffer) {
            if buffer[..length].get(..2) == Some(&id.to_be_bytes()) {
                return replies;
            }
            replies.push(buffer[..length].to_vec());
        }
    }
    panic!("{server} does not answer the sentinel {sentinel} any more");
}

/// The same over one TCP stream; a stream that is closed without a reply counts as silence.
pub(crate) fn tcp_before(server: SocketAddr, packet: &[u8], sentinel: &Query) -> Vec<Vec<u8>> {
    let mut stream = tcp_stream(server).expect("the server takes streams");
    stream.write_all(&[framed(packet), framed(&sentinel.encode(0xFA00))].concat()).expect("the server reads");
    let mut replies = Vec::new();
    // Replies may overtake each other (RFC 7766 §6.2.1.1): one more query makes sure that the first has had its turn.
    let mut is_second = false;
    while let Ok(reply) = read_framed(&mut stream) {
        match reply[..2] {
            [0xFA, 0x00] if !is_second => {
                is_second = true;
                stream.write_all(&framed(&sentinel.encode(0xFA01))).expect("the server reads");
            }
            [0xFA, 0x00 | 0x01] => break,
            _ => replies.push(reply),
        }
    }
    replies
}

/// Asks one query over UDP and reads the reply.
pub(crate) fn ask_udp(server: SocketAddr, query: &Query) -> Message {
    let reply = udp(server, &query.encode(0x1D1D)).unwrap_or_else(|| panic!("no reply to {query} over UDP"));
    Message::parse(&reply).unwrap_or_else(|fault| panic!("{query} over UDP: {fault}: {reply:02x?}"))
}

/// Asks one query over TCP and reads the reply.
pub(crate) fn ask_tcp(server: SocketAddr, query: &Query) -> Message {
    let reply = tcp_many(server, std::slice::from_ref(query)).pop().expect("one query, one reply");
    Message::parse(&reply).unwrap_or_else(|fault| panic!("{query} over TCP: {fault}: {reply:02x?}"))
}

/// Asks all queries over UDP; the replies stand in the order of the queries. An unanswered one leaves an empty reply.
pub(crate) fn udp_many(server: SocketAddr, queries: &[Query]) -> Vec<Vec<u8>> {
    let socket = udp_socket(server);
    let mut replies: Vec<Vec<u8>> = vec![Vec::new(); queries.len()];
    for (part, chunk) in queries.chunks(0x8000).enumerate() {
        let base = part * 0x8000;
        udp_chunk(&socket, chunk, &mut replies[base..base + chunk.len()]);
    }
    replies
}

/// Asks up to 32,768 queries, whose index is their ID, with a window; sends again what stayed unanswered.
fn udp_chunk(socket: &UdpSocket, queries: &[Query], replies: &mut [Vec<u8>]) {
    let mut buffer = vec![0; 65_535];
    let mut open: Vec<usize> = (0..queries.len()).collect();
    for _ in 0..TRIES_MAX {
        let (mut sent, mut under_way) = (0, 0);
        while sent < open.len() || under_way > 0 {
            while under_way < WINDOW && sent < open.len() {
                // A send fails where an earlier packet found no server; the wait below then ends the round.
                let _ = socket.send(&queries[open[sent]].encode(open[sent] as u16));
                sent += 1;
                under_way += 1;
            }
            let Ok(length) = socket.recv(&mut buffer) else {
                under_way = 0;
                continue;
            };
            let index = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
            if length >= 12 && index < replies.len() && replies[index].is_empty() {
                replies[index] = buffer[..length].to_vec();
                under_way = under_way.saturating_sub(1);
            }
        }
        open.retain(|&index| replies[index].is_empty());
        if open.is_empty() {
            return;
        }
    }
}

/// Asks all queries over one TCP stream, pipelined; where the server closes it, the rest goes over a new one.
pub(crate) fn tcp_many(server: SocketAddr, queries: &[Query]) -> Vec<Vec<u8>> {
    let mut replies: Vec<Vec<u8>> = vec![Vec::new(); queries.len()];
    for (part, chunk) in queries.chunks(0x8000).enumerate() {
        let slots = &mut replies[part * 0x8000..part * 0x8000 + chunk.len()];
        for _ in 0..TRIES_MAX {
            let before = slots.iter().filter(|slot| slot.is_empty()).count();
            if before == 0 || tcp_chunk(server, chunk, slots).is_ok() {
                break;
            }
        }
    }
    replies
}

/// Asks what is still unanswered over one stream.
fn tcp_chunk(server: SocketAddr, queries: &[Query], replies: &mut [Vec<u8>]) -> io::Result<()> {
    let stream = tcp_stream(server)?;
    let mut reader = io::BufReader::with_capacity(1 << 16, Prompt(stream.try_clone()?));
    let mut writer = stream;
    let open: Vec<usize> = (0..queries.len()).filter(|&index| replies[index].is_empty()).collect();
    let (mut sent, mut received) = (0, 0);
    while received < open.len() {
        let mut batch = Vec::new();
        while sent < open.len() && sent - received < WINDOW {
            batch.extend_from_slice(&framed(&queries[open[sent]].encode(open[sent] as u16)));
            sent += 1;
        }
        writer.write_all(&batch)?;
        // Half of the window is read before more is written, so that writes come in batches and never block.
        let wanted = if sent == open.len() { open.len() } else { received + WINDOW / 2 };
        while received < wanted {
            let reply = read_framed(&mut reader)?;
            let index = usize::from(u16::from_be_bytes([reply[0], reply[1]]));
            replies[index] = reply;
            received += 1;
        }
    }
    Ok(())
}

/// A stream whose octets are acknowledged at once.
///
/// NSD leaves Nagle's algorithm on: without this, each of its replies waits for an acknowledgement 40 ms late.
struct Prompt(TcpStream);

impl Read for Prompt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Linux forgets the option by itself, so that it is set for every read; elsewhere replies come late, that is
        // all.
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&self.0).set_tcp_quickack(true)?;
        self.0.read(buffer)
    }
}

/// A TCP stream to a server with bounded waits.
pub(crate) fn tcp_stream(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, TCP_PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TCP_PATIENCE))?;
    stream.set_write_timeout(Some(TCP_PATIENCE))?;
    Ok(stream)
}

/// A message with its length in front (RFC 1035 §4.2.2).
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a message has at most 65,535 octets");
    [&length.to_be_bytes()[..], message].concat()
}

/// Reads one message with its length in front; one without a whole header is an error.
pub(crate) fn read_framed(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    if message.len() < 12 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(message)
}

/// Asks until `is_well` likes a reply or the time is over; for servers that are starting.
pub(crate) fn ask_until(
    server: SocketAddr,
    query: &Query,
    bound: Duration,
    mut is_well: impl FnMut(&Message) -> bool,
) -> bool {
    let socket = udp_socket(server);
    let start = Instant::now();
    let mut buffer = vec![0; 65_535];
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout can be set");
    while start.elapsed() < bound {
        let asked = Instant::now();
        if socket.send(&query.encode(7)).is_ok()
            && let Ok(length) = socket.recv(&mut buffer)
            && Message::parse(&buffer[..length]).is_ok_and(|message| is_well(&message))
        {
            return true;
        }
        // A refused port answers at once: without this the loop would spin.
        std::thread::sleep(Duration::from_millis(50).saturating_sub(asked.elapsed()));
    }
    false
}
