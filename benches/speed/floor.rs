//! The floors: what the system calls alone cost. Run as a process of its own, by this program with a hidden option.
//!
//! Over UDP, datagrams go back to where they came from, made as long as the command line says, with ID and QR as a
//! reply has them. Over TCP, an epoll loop writes prepared octets for each query that it reads. Neither looks at a
//! name.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::str::FromStr;

use fated::sys::epoll::{Epoll, Interest};
use fated::sys::mmsg::{Batch, REPLY_BYTES_MAX, Wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The receive buffer, as servers ask for it.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;
/// Octets read at once from a stream.
const INPUT_BYTES: usize = 64 * 1024;
/// How long a client may leave a reply unread, in milliseconds.
const WRITE_PATIENCE_MS: u16 = 5000;
/// The shortest reply: a header.
const HEADER_BYTES: usize = 12;

/// Which floor, where, and how many octets a reply has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    /// Where to listen, over both transports.
    pub(crate) address: SocketAddr,
    /// Octets of a reply, the length in front of it over TCP not counted.
    pub(crate) reply_bytes: usize,
}

impl FromStr for Floor {
    type Err = String;

    /// Reads `OCTETS@ADDRESS:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (bytes, address) = text.split_once('@').ok_or("OCTETS@ADDRESS:PORT")?;
        let reply_bytes: usize = bytes.parse().map_err(|error| format!("{bytes}: {error}"))?;
        let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
        if !(HEADER_BYTES..=REPLY_BYTES_MAX).contains(&reply_bytes) {
            return Err(format!("{HEADER_BYTES} to {REPLY_BYTES_MAX} octets"));
        }
        Ok(Self { address, reply_bytes })
    }
}

impl Floor {
    /// Serves until the process is ended.
    ///
    /// # Errors
    /// The address is taken, or a system call failed for good.
    pub(crate) fn serve(self) -> io::Result<()> {
        let socket = UdpSocket::bind(self.address)?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
        let listener = TcpListener::bind(self.address)?;
        // A thread that waits costs nothing: only one of the two transports is asked at a time.
        std::thread::scope(|scope| {
            let streams = scope.spawn(|| self.serve_streams(&listener));
            self.serve_datagrams(&socket)?;
            streams.join().map_err(|_| io::Error::other("the thread for TCP panicked"))?
        })
    }

    /// Sends datagrams back.
    fn serve_datagrams(self, socket: &UdpSocket) -> io::Result<()> {
        let mut batch = Batch::new();
        loop {
            batch.receive(socket.as_fd(), Wait::ForOne)?;
            let (queries, mut replies) = batch.split();
            for (index, datagram) in (0..).map_while(|index| queries.get(index)).enumerate() {
                let Some(reply) = replies.buffer(index) else { continue };
                let kept = datagram.octets.len().min(self.reply_bytes);
                reply[..kept].copy_from_slice(&datagram.octets[..kept]);
                reply[2] |= 0x80;
                replies.stage(index, self.reply_bytes);
            }
            let mut sent = 0;
            while sent < batch.staged_count() {
                match batch.send(socket.as_fd(), sent) {
                    Ok(count) => sent += count,
                    // A client that has gone, or a full socket, for which no server here waits.
                    Err(_) => sent += 1,
                }
            }
        }
    }

    /// Writes prepared octets for each query of each stream.
    fn serve_streams(self, listener: &TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let mut epoll = Epoll::new()?;
        epoll.watch(listener.as_fd(), 0, Interest::Input)?;
        let mut streams: Vec<Option<Stream>> = vec![None];
        let mut free: Vec<usize> = Vec::new();
        let (mut input, mut output) = (vec![0; INPUT_BYTES], Vec::with_capacity(INPUT_BYTES));
        loop {
            let ready = match epoll.wait(None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                ready => ready?,
            };
            for token in (0..ready).filter_map(|index| usize::try_from(epoll.token(index)?).ok()).collect::<Vec<_>>() {
                if token > 0 {
                    let stream = streams.get_mut(token).and_then(Option::as_mut);
                    if !stream.is_some_and(|stream| stream.turn(self.reply_bytes, &mut input, &mut output)) {
                        streams[token] = None;
                        free.push(token);
                    }
                    continue;
                }
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let token = free.pop().unwrap_or(streams.len());
                    epoll.watch(stream.as_fd(), token as u64, Interest::Input)?;
                    if token == streams.len() {
                        streams.push(None);
                    }
                    streams[token] = Some(Stream { stream, rest: Vec::new() });
                }
            }
        }
    }
}

/// One client.
#[derive(Debug)]
struct Stream {
    /// The stream.
    stream: TcpStream,
    /// The beginning of a query whose end has not come yet.
    rest: Vec<u8>,
}

impl Stream {
    /// Reads once and writes a reply for each whole query; false when the client has gone.
    fn turn(&mut self, reply_bytes: usize, input: &mut [u8], output: &mut Vec<u8>) -> bool {
        let begun = self.rest.len();
        input[..begun].copy_from_slice(&self.rest);
        self.rest.clear();
        let read = match self.stream.read(&mut input[begun..]) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return false,
        };
        let mut left = &input[..begun + read];
        output.clear();
        while let [high, low, rest @ ..] = left
            && let length = usize::from(u16::from_be_bytes([*high, *low]))
            && let Some(query) = rest.get(..length)
        {
            left = &rest[length..];
            output.extend_from_slice(&(reply_bytes as u16).to_be_bytes());
            let kept = length.min(reply_bytes);
            let start = output.len();
            output.extend_from_slice(&query[..kept]);
            output.resize(start + reply_bytes, 0);
            if kept > 2 {
                output[start + 2] |= 0x80;
            }
        }
        self.rest.extend_from_slice(left);
        self.write(output)
    }

    /// Writes everything; false when the client has gone.
    fn write(&mut self, mut octets: &[u8]) -> bool {
        while !octets.is_empty() {
            match self.stream.write(octets) {
                Ok(count) => octets = &octets[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut waits = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
                    if poll(&mut waits, PollTimeout::from(WRITE_PATIENCE_MS)) != Ok(1) {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }
}
