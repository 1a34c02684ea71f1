//! What stands between the octets of a socket and those of messages: nothing, or TLS.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use super::close::CloseReason;
use crate::metrics::TcpBlock;
use crate::tls::TlsSession;

/// One direction each, over a socket that does not block. Resolved when the program is compiled, so that plain TCP pays
/// nothing.
pub(in crate::serve) trait Channel: Debug + Send + Sized + 'static {
    /// What new ones are made from.
    type Acceptor: Debug + Clone + Send + Sync + 'static;

    /// How the threads are called.
    const NAME: &'static str;

    /// By how many steps of niceness the threads stand back behind those of UDP and plain TCP.
    const STEPS_BACK: u8;

    /// Begins one; `None` where that can't be.
    fn open(acceptor: &Self::Acceptor) -> Option<Self>;

    /// Reads what is there, as much as a turn may. What it has taken off the socket and did not return is no octet of
    /// a message. Counts in `block` what is its own.
    fn read(&mut self, stream: &TcpStream, buffer: &mut [u8], block: &TcpBlock) -> Input;

    /// Writes what the socket takes of `octets`, and returns how many it has taken in all. The next call must begin
    /// with the first that it has not.
    ///
    /// # Errors
    /// What the system says, but not that the socket is full.
    fn write(&mut self, stream: &TcpStream, octets: &[u8]) -> io::Result<usize>;

    /// Whether there is something of its own that the socket has not taken.
    fn is_unsent(&self) -> bool {
        false
    }

    /// Whether it is being set up, so that no message can come yet.
    fn is_opening(&self) -> bool {
        false
    }

    /// Whether the client has said that no message comes any more.
    fn is_ended(&self) -> bool {
        false
    }

    /// What is known about TLS, once it is set up.
    fn session(&self) -> Option<TlsSession<'_>> {
        None
    }

    /// Says that nothing comes any more, if the socket takes that at once.
    fn close(&mut self, _stream: &TcpStream) {}
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Input {
    /// So many octets.
    Octets(usize),
    /// None for now.
    Nothing,
    /// None for now, but the channel was set up.
    Opened,
    /// None any more.
    End(CloseReason),
}

/// The octets as they are.
#[derive(Debug)]
pub(in crate::serve) struct Plain;

impl Channel for Plain {
    type Acceptor = ();

    const NAME: &'static str = "tcp";

    const STEPS_BACK: u8 = 0;

    fn open((): &()) -> Option<Self> {
        Some(Self)
    }

    fn read(&mut self, mut stream: &TcpStream, buffer: &mut [u8], _block: &TcpBlock) -> Input {
        match stream.read(buffer) {
            Ok(0) => Input::End(CloseReason::Closed),
            Ok(count) => Input::Octets(count),
            Err(error) if is_for_later(&error) => Input::Nothing,
            Err(_) => Input::End(CloseReason::Broken),
        }
    }

    fn write(&mut self, mut stream: &TcpStream, octets: &[u8]) -> io::Result<usize> {
        match stream.write(octets) {
            Err(error) if is_for_later(&error) => Ok(0),
            outcome => outcome,
        }
    }
}

/// Whether a call is to be made again when the socket is ready.
pub(super) fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
