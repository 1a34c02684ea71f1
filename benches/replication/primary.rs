//! A primary that costs nothing: it plays back the messages of a transfer that it has recorded, and makes changes of
//! one record by itself. So what is measured is the secondary alone.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::PATIENCE;

/// The zone's name in wire form.
const APEX: &[u8] = b"\x05bench\x04test\x00";
/// Types, as in the registry of DNS parameters.
const SOA: u16 = 6;
const A: u16 = 1;
pub(crate) const IXFR: u16 = 251;
const AXFR: u16 = 252;

/// A transfer as it came: messages, each behind its length.
pub(crate) struct Recorded {
    octets: Vec<u8>,
    /// Records in all of them.
    pub(crate) records: u64,
}

/// A query for a type of the zone.
pub(crate) fn query(id: u16, rtype: u16) -> Vec<u8> {
    let header = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    [&header[..], APEX, &rtype.to_be_bytes(), &[0, 1]].concat()
}

/// The serial in an answer to a query for the SOA, if it has one.
pub(crate) fn serial(reply: &[u8]) -> Option<u32> {
    (reply.get(3)? & 15 == 0 && reply.get(7) == Some(&1)).then_some(())?;
    // Header, question; owner (a pointer or a name), type, class, TTL, length; MNAME and RNAME, and then the serial.
    let name_end = |at: usize| {
        let mut at = at;
        loop {
            match *reply.get(at)? {
                0 => return Some(at + 1),
                length if length >= 0xC0 => return Some(at + 2),
                length => at += 1 + usize::from(length),
            }
        }
    };
    let rdata = name_end(name_end(12)? + 4)? + 10;
    let at = name_end(name_end(rdata)?)?;
    Some(u32::from_be_bytes(reply.get(at..at + 4)?.try_into().ok()?))
}

/// Asks for the whole zone and takes all of it.
pub(crate) fn fetch(server: SocketAddr) -> Recorded {
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.write_all(&framed(&query(1, AXFR))).expect("it reads");
    let (mut recorded, mut is_ended) = (Recorded { octets: Vec::new(), records: 0 }, false);
    while !is_ended {
        let start = recorded.octets.len();
        recorded.octets.resize(start + 2, 0);
        stream.read_exact(&mut recorded.octets[start..]).expect("a length");
        let length = usize::from(u16::from_be_bytes([recorded.octets[start], recorded.octets[start + 1]]));
        recorded.octets.resize(start + 2 + length, 0);
        stream.read_exact(&mut recorded.octets[start + 2..]).expect("a message");
        let message = &recorded.octets[start + 2..];
        assert_eq!(message[3] & 15, 0, "it sends the zone");
        recorded.records += u64::from(u16::from_be_bytes([message[6], message[7]]));
        is_ended = start > 0 && ends_with_soa(message);
    }
    recorded
}

/// Whether the last record is an SOA: its RDATA ends with five numbers that we have written into the zone, and its
/// type stands in front.
fn ends_with_soa(message: &[u8]) -> bool {
    let numbers = [1_u32, 7200, 3600, 1_209_600, 300].map(u32::to_be_bytes).concat();
    message.ends_with(&numbers)
}

/// A message behind its length.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// Reads a message behind its length.
pub(crate) fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Listens on a port of loopback that was free for both transports.
pub(crate) fn listen() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        if let Ok(udp) = UdpSocket::bind(listener.local_addr().expect("it is bound")) {
            return (listener, udp);
        }
    }
}

/// The primary. Its threads end with the process.
pub(crate) struct Primary {
    listener: SocketAddr,
    udp: UdpSocket,
    serial: Arc<AtomicU32>,
}

impl Primary {
    /// Listens on a port that is free for both transports.
    pub(crate) fn start(recorded: Recorded) -> Self {
        let (listener, udp) = listen();
        let (recorded, serial) = (Arc::new(recorded), Arc::new(AtomicU32::new(1)));
        let address = listener.local_addr().expect("it is bound");
        let answering = (udp.try_clone().expect("a descriptor"), Arc::clone(&serial));
        thread::spawn(move || answer_datagrams(&answering.0, &answering.1));
        let shared = Arc::clone(&serial);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (recorded, serial) = (Arc::clone(&recorded), Arc::clone(&shared));
                // A client that closes is done.
                thread::spawn(move || drop(serve(stream, &recorded, &serial)));
            }
        });
        Self { listener: address, udp, serial }
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener
    }

    /// Makes the next version; returns its serial.
    pub(crate) fn change(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Tells a secondary that there is another version (RFC 1996).
    pub(crate) fn notify(&self, secondary: SocketAddr) {
        let mut message = query(7, SOA);
        message[2] = 0x24; // NOTIFY, AA.
        self.udp.send_to(&message, secondary).expect("loopback takes it");
    }
}

/// Answers queries for the SOA; what else comes is a reply to a notification.
fn answer_datagrams(socket: &UdpSocket, serial: &AtomicU32) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        if length >= 12 && buffer[2] & 0x80 == 0 {
            let reply = answer(&buffer[..length], &[soa(serial.load(Ordering::SeqCst))]);
            let _is_gone = socket.send_to(&reply, from);
        }
    }
}

/// Answers what comes over a connection: the SOA, the whole zone, or the last change.
fn serve(mut stream: TcpStream, recorded: &Recorded, serial: &AtomicU32) -> io::Result<()> {
    loop {
        let asked = read_framed(&mut stream)?;
        let (rtype, now) =
            (u16::from_be_bytes([asked[12 + APEX.len()], asked[13 + APEX.len()]]), serial.load(Ordering::SeqCst));
        match rtype {
            IXFR if now > 1 => {
                let [old, new] = [now - 1, now];
                let records = [soa(new), soa(old), host(old), soa(new), host(new), soa(new)];
                stream.write_all(&framed(&answer(&asked, &records)))?;
            }
            SOA => stream.write_all(&framed(&answer(&asked, &[soa(now)])))?,
            _ => play(&mut stream, &asked, recorded)?,
        }
    }
}

/// Plays a transfer back under the ID of a request.
fn play(stream: &mut TcpStream, asked: &[u8], recorded: &Recorded) -> io::Result<()> {
    /// Octets that are written at once.
    const BATCH: usize = 256 << 10;
    let (mut batch, mut left) = (Vec::with_capacity(2 * BATCH), &recorded.octets[..]);
    while let Some((length, rest)) = left.split_first_chunk::<2>() {
        let message = &rest[..usize::from(u16::from_be_bytes(*length))];
        batch.extend_from_slice(length);
        batch.extend_from_slice(&asked[..2]);
        batch.extend_from_slice(&message[2..]);
        left = &rest[message.len()..];
        if batch.len() >= BATCH || left.is_empty() {
            stream.write_all(&batch)?;
            batch.clear();
        }
    }
    Ok(())
}

/// An answer with these records.
fn answer(asked: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let question = &asked[12..12 + APEX.len() + 4];
    let header = [&asked[..2], &[0x84, 0, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]].concat();
    [&header[..], question, &records.concat()].concat()
}

/// The SOA of a version, as the zone of the benches has it.
fn soa(serial: u32) -> Vec<u8> {
    let names = b"\x02ns\x05bench\x04test\x00\x05admin\x05bench\x04test\x00";
    let numbers = [serial, 7200, 3600, 1_209_600, 300].map(u32::to_be_bytes).concat();
    record(APEX, SOA, 3600, &[names, &numbers[..]].concat())
}

/// The first host in a version: as the file has it in the first one.
fn host(serial: u32) -> Vec<u8> {
    let owner = [b"\x05host0", APEX].concat();
    record(&owner, A, 3600, &(0x0A00_0000 + serial - 1).to_be_bytes())
}

/// A record in wire form.
fn record(owner: &[u8], rtype: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let length = (rdata.len() as u16).to_be_bytes();
    [owner, &rtype.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, rdata].concat()
}
