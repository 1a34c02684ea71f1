//! TLS between a socket and the messages: rustls as it buffers, over a socket that does not block.
//!
//! What is taken off the socket is decrypted at once, so that nothing waits inside when the socket has nothing more; a
//! record that was encrypted counts as written when the socket has all of it. So a connection holds one message of a
//! handshake, or one record, in each direction at most. Refuses to know what certificates mean.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{Error, HandshakeKind, ProtocolVersion, ServerConnection};

use super::channel::{Channel, Input, is_for_later};
use super::close::CloseReason;
use crate::metrics::{Handshake, HandshakeFault, TcpBlock};
use crate::tls::{TlsAcceptor, TlsSession};

/// TLS with one client.
#[derive(Debug)]
pub(in crate::serve) struct Tls {
    /// The protocol. In a box: most of what a connection takes, and it is moved about.
    connection: Box<ServerConnection>,
    /// How many octets, of those that are to be written next, are in records that the socket has not wholly taken.
    encrypted: usize,
    /// Whether the handshake is over.
    is_open: bool,
    /// Whether the client has ended its direction.
    is_ended: bool,
}

impl Channel for Tls {
    type Acceptor = TlsAcceptor;

    const NAME: &'static str = "tls";

    /// A handshake costs a thousand times what an answer does.
    const STEPS_BACK: u8 = 5;

    fn open(acceptor: &TlsAcceptor) -> Option<Self> {
        let connection = ServerConnection::new(acceptor.load_full()).ok()?;
        Some(Self { connection: connection.into(), encrypted: 0, is_open: false, is_ended: false })
    }

    fn read(&mut self, mut stream: &TcpStream, buffer: &mut [u8], block: &TcpBlock) -> Input {
        let (mut count, was_open) = (0, self.is_open);
        for _ in 0..READS_MAX {
            if self.is_ended || buffer.len() - count < PLAIN_BYTES_MAX {
                break;
            }
            match self.connection.read_tls(&mut stream) {
                Ok(0) => self.is_ended = true,
                Ok(_) => match self.take_in(buffer.get_mut(count..).unwrap_or_default()) {
                    Ok(more) => count += more,
                    Err(error) => return self.fail(stream, &error),
                },
                Err(error) if is_for_later(&error) => break,
                Err(_) => return Input::End(self.broken(CloseReason::Broken)),
            }
        }
        if self.flush(stream).is_err() {
            return Input::End(self.broken(CloseReason::Broken));
        }
        if self.is_open && !was_open {
            self.count_handshake(block);
        }
        match count {
            0 if self.is_ended => Input::End(self.broken(CloseReason::Closed)),
            0 if self.is_open && !was_open => Input::Opened,
            0 => Input::Nothing,
            count => Input::Octets(count),
        }
    }

    fn write(&mut self, stream: &TcpStream, octets: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while self.flush(stream)? {
            sent += std::mem::take(&mut self.encrypted);
            let rest = octets.get(sent..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let record = rest.get(..RECORD_BYTES).unwrap_or(rest);
            self.encrypted = self.connection.writer().write(record)?;
        }
        Ok(sent)
    }

    fn is_unsent(&self) -> bool {
        self.connection.wants_write()
    }

    fn is_opening(&self) -> bool {
        !self.is_open
    }

    fn is_ended(&self) -> bool {
        self.is_ended
    }

    fn session(&self) -> Option<TlsSession<'_>> {
        Some(TlsSession {
            is_tls13: self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3),
            chain: self.connection.peer_certificates().unwrap_or_default(),
        })
    }

    fn close(&mut self, stream: &TcpStream) {
        self.connection.send_close_notify();
        // It is closed in any case.
        let _sent = self.flush(stream);
    }
}

impl Tls {
    /// Decrypts what was taken off the socket into `buffer`, and returns how many octets of messages it has.
    fn take_in(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let state = self.connection.process_new_packets()?;
        self.is_ended |= state.peer_has_closed();
        self.is_open = !self.connection.is_handshaking();
        let plain = buffer.get_mut(..state.plaintext_bytes_to_read()).unwrap_or_default();
        // All of it is there.
        let is_read = self.connection.reader().read_exact(plain);
        is_read.map_or(Ok(0), |()| Ok(plain.len()))
    }

    /// Hands records to the socket until there are none, or it takes no more; whether there are none.
    fn flush(&mut self, mut stream: &TcpStream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut stream) {
                Err(error) if is_for_later(&error) => return Ok(false),
                outcome => outcome?,
            };
        }
        Ok(true)
    }

    /// Ends the connection because of what came, which the client is told.
    fn fail(&mut self, stream: &TcpStream, error: &Error) -> Input {
        // It is closed in any case.
        let _told = self.flush(stream);
        let fault = match error {
            Error::InvalidMessage(_) => HandshakeFault::NotTls,
            Error::PeerIncompatible(_) => HandshakeFault::Incompatible,
            Error::NoApplicationProtocol => HandshakeFault::Alpn,
            Error::InvalidCertificate(_) => HandshakeFault::Certificate,
            Error::AlertReceived(_) => HandshakeFault::Alert,
            _ => HandshakeFault::Other,
        };
        Input::End(if self.is_open { CloseReason::Broken } else { CloseReason::Handshake(fault) })
    }

    /// Why the connection ends for `reason`: before the handshake is over, that is what counts.
    fn broken(&self, reason: CloseReason) -> CloseReason {
        if self.is_open { reason } else { CloseReason::Handshake(HandshakeFault::Closed) }
    }

    /// Counts a handshake that is over.
    fn count_handshake(&self, block: &TcpBlock) {
        let is_tls13 = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let is_resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        block.handshakes.count(match (is_tls13, is_resumed) {
            (false, false) => Handshake::Tls12,
            (false, true) => Handshake::Tls12Resumed,
            (true, false) => Handshake::Tls13,
            (true, true) => Handshake::Tls13Resumed,
        });
    }
}

/// How often a turn reads from the socket: 4 KiB each time, and what a record that goes on needs.
const READS_MAX: usize = 16;

/// The most octets of messages that one read can bring: what was taken off the socket before, and is less than a
/// record, with what is taken now.
const PLAIN_BYTES_MAX: usize = 32 << 10;

/// Octets in a record (RFC 8446 §5.1).
const RECORD_BYTES: usize = 16 << 10;
