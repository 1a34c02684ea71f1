//! Very many small zones of one catalog (RFC 9432), from nothing: how long until a secondary answers all of them, what
//! it costs, and what it costs when nothing happens any more.
//!
//! The primary is made here: it answers for each member by itself, so that only the secondary is measured.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::primary::{framed, listen, read_framed, serial};
use crate::server::{Kind, Role, Server};

/// How long it is watched when nothing happens.
const IDLE: Duration = Duration::from_secs(10);
/// How long a secondary may go on with what it keeps before that.
const SETTLE: Duration = Duration::from_secs(15);
/// Records of the catalog in one message: some 12 KiB.
const MEMBERS_PER_MESSAGE: usize = 150;
/// Types, as in the registry of DNS parameters.
const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const PTR: u16 = 12;
const TXT: u16 = 16;
const IXFR: u16 = 251;
const AXFR: u16 = 252;

/// Measures those that read catalogs, and prints a table.
pub(crate) fn measure(kinds: &[Kind], members: usize) {
    println!("\n{members} zones of a catalog, from nothing\n");
    println!("| | s to the last answer | s of CPU | MiB | s of CPU in {} s without a change |", IDLE.as_secs());
    println!("|---|---|---|---|---|");
    for kind in kinds.iter().filter(|kind| kind.reads_catalogs()) {
        let primary = start_primary(members);
        let start = Instant::now();
        let secondary = Server::start(*kind, &Role::Consumer { primary });
        wait_for_all(&secondary, members);
        let took = start.elapsed().as_secs_f64();
        thread::sleep(SETTLE);
        let (cpu, memory) = (secondary.cpu_time(), secondary.memory_mib());
        thread::sleep(IDLE);
        let idle = (secondary.cpu_time() - cpu).as_secs_f64();
        println!("| {} | {took:.1} | {:.1} | {memory:.0} | {idle:.2} |", kind.word(), cpu.as_secs_f64());
    }
}

/// Waits until each member is answered, one after the other.
fn wait_for_all(secondary: &Server, members: usize) {
    const PAUSE: Duration = Duration::from_millis(2);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout can be set");
    socket.connect(secondary.address).expect("loopback");
    let (start, mut reply) = (Instant::now(), [0; 512]);
    for member in 0..members {
        let query = query(member as u16, &member_name(member), SOA);
        loop {
            let length = socket.send(&query).and_then(|_| socket.recv(&mut reply)).unwrap_or(0);
            if length > 12 && reply[..2] == query[..2] && serial(&reply[..length]).is_some() {
                break;
            }
            assert!(start.elapsed() < 4 * PATIENCE, "member {member} does not come:\n{:.3000}", secondary.log());
            thread::sleep(PAUSE);
        }
    }
}

/// A name in wire form.
fn wire(labels: &[&str]) -> Vec<u8> {
    let mut name: Vec<u8> = Vec::new();
    for label in labels {
        name.push(label.len() as u8);
        name.extend_from_slice(label.as_bytes());
    }
    name.push(0);
    name
}

/// The name of a member.
fn member_name(member: usize) -> Vec<u8> {
    wire(&[&format!("m{member}"), "member", "test"])
}

/// A query.
fn query(id: u16, name: &[u8], rtype: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &rtype.to_be_bytes(), &[0, 1]].concat()
}

/// A record.
fn record(owner: &[u8], rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let length = (rdata.len() as u16).to_be_bytes();
    [owner, &rtype.to_be_bytes(), &[0, 1, 0, 0, 14, 16], &length, rdata].concat()
}

/// The SOA of a zone. It is asked for again in a day.
fn soa(apex: &[u8]) -> Vec<u8> {
    let numbers = [1_u32, 86_400, 3600, 1_209_600, 300].map(u32::to_be_bytes).concat();
    record(apex, SOA, &[apex, apex, &numbers].concat())
}

/// Starts the primary; it ends with the process.
fn start_primary(members: usize) -> SocketAddr {
    let (listener, udp) = listen();
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let mut asked = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut asked) {
            if let Some(first) = answers(&asked[..length], members, false).first() {
                let _is_gone = udp.send_to(first, from);
            }
        }
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that closes is done.
            thread::spawn(move || drop(serve(stream, members)));
        }
    });
    address
}

/// Answers what comes over a connection.
fn serve(mut stream: TcpStream, members: usize) -> io::Result<()> {
    loop {
        let asked = read_framed(&mut stream)?;
        for message in answers(&asked, members, true) {
            stream.write_all(&framed(&message))?;
        }
    }
}

/// What is answered: the SOA, or over a connection all records, of the catalog or of a member.
fn answers(asked: &[u8], members: usize, is_tcp: bool) -> Vec<Vec<u8>> {
    if asked.len() < 17 || asked[2] & 0x80 != 0 {
        return Vec::new();
    }
    let end = 12 + asked[12..].iter().position(|octet| *octet == 0).unwrap_or(0) + 1;
    let (apex, Some(&[high, low, ..])) = (&asked[12..end], asked.get(end..)) else { return Vec::new() };
    let (rtype, first) = (u16::from_be_bytes([high, low]), soa(apex));
    let mut records = vec![first.clone()];
    if is_tcp && matches!(rtype, AXFR | IXFR) {
        records.extend(if apex == wire(&["catalog", "test"]) { catalog(apex, members) } else { member(apex) });
        records.push(first);
    }
    let message = |part: &[Vec<u8>]| {
        let header = [&asked[..2], &[0x84, 0, 0, 1], &(part.len() as u16).to_be_bytes(), &[0; 4]].concat();
        [&header[..], &asked[12..end + 4], &part.concat()].concat()
    };
    records.chunks(MEMBERS_PER_MESSAGE).map(message).collect()
}

/// The records of the catalog but for the SOA.
fn catalog(apex: &[u8], members: usize) -> Vec<Vec<u8>> {
    let below = |labels: &[&str]| {
        let name = wire(labels);
        [&name[..name.len() - 1], apex].concat()
    };
    let version = record(&below(&["version"]), TXT, b"\x012");
    let pointer = |member: usize| record(&below(&[&format!("id{member}"), "zones"]), PTR, &member_name(member));
    [record(apex, NS, &wire(&["invalid"])), version].into_iter().chain((0..members).map(pointer)).collect()
}

/// The records of a member but for the SOA.
fn member(apex: &[u8]) -> Vec<Vec<u8>> {
    let server = [b"\x02ns", apex].concat();
    vec![record(apex, NS, &server), record(&server, A, &[192, 0, 2, 1]), record(apex, A, &[192, 0, 2, 2])]
}
