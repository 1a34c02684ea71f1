//! One probe: put to a service at its service address, over a socket that ends with it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use thiserror::Error;

use super::ldap::Reply;
use super::{Probe, command, http, kerberos, ldap};
use crate::tls::TlsPeer;

/// The most octets of a reply that are read.
const REPLY_BYTES_MAX: usize = 256 * 1024;
/// The most datagrams that are read for one reply: others may send some.
const DATAGRAMS_MAX: usize = 16;

/// Why a probe proves nothing.
#[derive(Debug, Error)]
pub enum Fault {
    /// Nothing came in time.
    #[error("no answer in time")]
    Late,
    /// The host or the service does not let us.
    #[error("{0}")]
    Refused(#[source] io::Error),
    /// What came is not right.
    #[error("{0}")]
    Wrong(String),
}

impl Fault {
    /// Whether the service answered, but not what is right.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong(_))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late,
            _ => Self::Refused(error),
        }
    }
}

/// Puts a probe to a service; returns when it is answered, at the latest after `timeout`.
///
/// # Errors
/// [`Fault`].
pub fn ask(probe: &Probe, address: IpAddr, timeout: Duration) -> Result<(), Fault> {
    let deadline = Instant::now() + timeout;
    match probe {
        Probe::Tcp { port } => connect(SocketAddr::new(address, *port), deadline).map(drop),
        Probe::Http { port, host, path, status, text } => {
            let mut stream = connect(SocketAddr::new(address, *port), deadline)?;
            stream.write_all(&http::request(host, path))?;
            let reply = read_all(&mut stream)?;
            match http::status(&reply) {
                None => Err(wrong("what it says is no HTTP")),
                Some(found) if found != *status => Err(Fault::Wrong(format!("the status is {found}"))),
                Some(_) if text.as_ref().is_some_and(|text| !http::has_text(&reply, text)) => {
                    Err(wrong("the page lacks the text"))
                }
                Some(_) => Ok(()),
            }
        }
        Probe::Dns { port, name, rtype } => dns(SocketAddr::new(address, *port), (name, rtype), deadline),
        Probe::Kerberos { port, realm, principal } => {
            let request = kerberos::request(realm, principal, random()?);
            exchange(SocketAddr::new(address, *port), &request, deadline, |reply| {
                if kerberos::is_reply(reply) { Some(Ok(())) } else { Some(Err(wrong("what it says is no Kerberos"))) }
            })
        }
        Probe::Ldap { port, tls } => {
            let address = SocketAddr::new(address, *port);
            let mut stream = connect(address, deadline)?;
            let Some(peer) = tls else { return say(&mut stream, &ldap::search(), ldap::search_reply) };
            say(&mut stream, &ldap::start_tls(), ldap::start_tls_reply)?;
            say(&mut over_tls(peer, address.ip(), stream)?, &ldap::search(), ldap::search_reply)
        }
        Probe::Command { words } => match command::run(words, address, deadline)? {
            None => Err(Fault::Late),
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Fault::Wrong(format!("the command ended with {status}"))),
        },
    }
}

/// A fault of what came.
fn wrong(what: &str) -> Fault {
    Fault::Wrong(what.to_owned())
}

/// What is left until a moment.
fn left(deadline: Instant) -> Result<Duration, Fault> {
    Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()).ok_or(Fault::Late)
}

/// A number that nobody guesses.
fn random() -> Result<u32, Fault> {
    getrandom::u32().map_err(|error| Fault::Refused(io::Error::other(error)))
}

/// A socket from the service address, which may stand on no device yet.
fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    socket.bind(&SockAddr::from(SocketAddr::new(address.ip(), 0)))?;
    Ok(socket)
}

/// A connection of which no read or write goes beyond its deadline.
struct Stream {
    stream: TcpStream,
    deadline: Instant,
}

/// Connects to the service.
fn connect(address: SocketAddr, deadline: Instant) -> Result<Stream, Fault> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    // A probe ends with a reset: hundreds of thousands a day would each leave their port in TIME-WAIT.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.connect_timeout(&SockAddr::from(address), left(deadline)?)?;
    Ok(Stream { stream: socket.into(), deadline })
}

impl Stream {
    /// What is left, as an I/O error where nothing is.
    fn left(&self) -> io::Result<Duration> {
        left(self.deadline).map_err(|_| io::ErrorKind::TimedOut.into())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads until the other side closes, at most [`REPLY_BYTES_MAX`].
fn read_all(stream: &mut Stream) -> Result<Vec<u8>, Fault> {
    let mut reply = Vec::new();
    stream.take(REPLY_BYTES_MAX as u64).read_to_end(&mut reply)?;
    Ok(reply)
}

/// Sends an LDAP request and reads until the reply is whole.
fn say(stream: &mut (impl Read + Write), request: &[u8], read: fn(&[u8]) -> Reply) -> Result<(), Fault> {
    stream.write_all(request)?;
    let (mut reply, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        reply.extend(buffer.iter().take(count));
        match read(&reply) {
            Reply::Right => return Ok(()),
            Reply::Refused(code) => return Err(Fault::Wrong(format!("the directory says no: result {code}"))),
            Reply::Unfinished if count > 0 && reply.len() < REPLY_BYTES_MAX => {}
            Reply::Unfinished | Reply::Odd => return Err(wrong("what it says is no LDAP")),
        }
    }
}

/// Goes on over TLS, once the other side has shown who it is.
fn over_tls(peer: &TlsPeer, address: IpAddr, stream: Stream) -> Result<StreamOwned<ClientConnection, Stream>, Fault> {
    let name = peer.identity().hostname.clone().unwrap_or_else(|| ServerName::IpAddress(address.into()));
    let client = ClientConnection::new(Arc::clone(peer.client_config()), name);
    let mut stream = StreamOwned::new(client.map_err(|error| Fault::Wrong(error.to_string()))?, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|error| match Fault::from(error) {
            Fault::Refused(error) => Fault::Wrong(format!("TLS: {error}")),
            fault => fault,
        })?;
    }
    Ok(stream)
}

/// Sends a datagram and takes the first that `read` has something to say to.
fn exchange(
    address: SocketAddr,
    request: &[u8],
    deadline: Instant,
    read: impl Fn(&[u8]) -> Option<Result<(), Fault>>,
) -> Result<(), Fault> {
    let socket = UdpSocket::from(socket(address, Type::DGRAM, Protocol::UDP)?);
    // Connected: only the service can reply, and where nobody listens that is an error at once.
    socket.connect(address)?;
    socket.send(request)?;
    let mut buffer = vec![0; 65_536];
    for _ in 0..DATAGRAMS_MAX {
        socket.set_read_timeout(Some(left(deadline)?))?;
        let length = socket.recv(&mut buffer)?;
        if let Some(verdict) = read(buffer.get(..length).unwrap_or_default()) {
            return verdict;
        }
    }
    Err(Fault::Late)
}

/// Asks a name server; right is a reply with records.
fn dns(address: SocketAddr, (name, rtype): (&str, &str), deadline: Instant) -> Result<(), Fault> {
    let (name, rtype) = (Name::from_str(name), RecordType::from_str(rtype));
    let (Ok(name), Ok(rtype)) = (name, rtype) else { return Err(wrong("the question can't be asked")) };
    let id = random()? as u16;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let query = Query::query(name, rtype);
    message.add_query(query.clone());
    let octets = message.to_vec().map_err(|error| Fault::Wrong(error.to_string()))?;
    exchange(address, &octets, deadline, |reply| {
        let Ok(reply) = Message::from_vec(reply) else { return Some(Err(wrong("what it says is no DNS"))) };
        if reply.metadata.id != id || reply.queries != [query.clone()] {
            return None;
        }
        let code = reply.metadata.response_code;
        Some(match (code, reply.answers.is_empty()) {
            (ResponseCode::NoError, false) => Ok(()),
            (ResponseCode::NoError, true) => Err(wrong("the answer is empty")),
            _ => Err(Fault::Wrong(format!("the answer is {code}"))),
        })
    })
}
