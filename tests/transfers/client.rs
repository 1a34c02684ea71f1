//! A client of zone transfers that reads without mercy.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::common::ask::{framed, read_framed};
use super::common::message::{Message, Query, Record};
use super::common::name::name;

/// TYPE SOA.
pub(crate) const SOA: u16 = 6;
/// QTYPE IXFR.
pub(crate) const IXFR: u16 = 251;
/// QTYPE AXFR.
pub(crate) const AXFR: u16 = 252;
/// Who may have zones without a key.
pub(crate) const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Who may not.
pub(crate) const DENIED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Connects from an address of loopback.
pub(crate) fn connect(server: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&server.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads one message.
pub(crate) fn read(stream: &mut TcpStream) -> Message {
    let octets = read_framed(stream).expect("a message comes");
    Message::parse(&octets).unwrap_or_else(|fault| panic!("{fault}: {octets:02x?}"))
}

/// Asks for a whole zone.
pub(crate) fn ask_whole(stream: &mut TcpStream, zone: &str, id: u16) {
    stream.write_all(&framed(&Query::new(&name(zone), AXFR).encode(id))).expect("the server reads");
}

/// Reads a whole zone; the SOA stands in front, the closing one is left out.
///
/// # Errors
/// The RCODE with which it is refused.
pub(crate) fn read_whole(stream: &mut TcpStream, id: u16) -> Result<Vec<Record>, u16> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let message = read(stream);
        assert_eq!(message.id, id, "messages of two transfers are mixed");
        if message.rcode() != 0 {
            return Err(message.rcode());
        }
        records.extend(message.sections[0].iter().cloned());
        if records.len() > 1
            && records.last().map(|record| (record.rtype, &record.owner)) == Some((SOA, &records[0].owner))
        {
            assert_eq!(records.pop().as_ref(), records.first(), "the last SOA is the first");
            return Ok(records);
        }
    }
}

/// All records of a zone.
pub(crate) fn whole(server: SocketAddr, from: Ipv4Addr, zone: &str) -> Result<Vec<Record>, u16> {
    let mut stream = connect(server, from).expect("the server listens");
    ask_whole(&mut stream, zone, 0xA);
    read_whole(&mut stream, 0xA)
}

/// SERIAL of a SOA.
pub(crate) fn serial(soa: &Record) -> u32 {
    assert_eq!(soa.rtype, SOA);
    let at = soa.rdata.len() - 20;
    u32::from_be_bytes(soa.rdata[at..at + 4].try_into().expect("four octets"))
}

/// Records in an order of their own.
pub(crate) fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort();
    records
}
