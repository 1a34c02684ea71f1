//! The asking side of the control socket: one request, one reply.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::reply::Envelope;
use super::{Request, socket};
use crate::wire::Shown;

/// The longest reply in octets.
const REPLY_BYTES_MAX: u64 = 1 << 30;
/// How long a reply that needs no work may take, and how long it may take the server to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error(
        "no fated server answers at {}: {cause}\n(is it running, and with this --control or --config?)",
        Shown::path(path)
    )]
    NoServer {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Whoever answers there may be anybody.
    #[error("{} belongs to another user, or others may write in it: \
        whoever answers there may be anybody", Shown::path(.0))]
    Foreign(PathBuf),
    /// The server broke off or is too slow.
    #[error("the server did not reply: {0}")]
    Io(#[from] io::Error),
    /// The reply is not what was expected.
    #[error("the server's reply can't be read: {0}")]
    Reply(#[from] serde_json::Error),
    /// The server said no.
    #[error("{0}")]
    Refused(String),
}

/// An open connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`AskError::NoServer`], [`AskError::Foreign`].
    pub fn connect(path: &Path) -> Result<Self, AskError> {
        let no_server = |cause| AskError::NoServer { path: path.to_owned(), cause };
        if let Some(folder) = path.parent().filter(|folder| socket::is_foreign(folder)) {
            return Err(AskError::Foreign(folder.to_owned()));
        }
        let stream = UnixStream::connect(path).map_err(no_server)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(no_server)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks, and returns the JSON line as it came together with what it says.
    ///
    /// A reload takes as long as its files need; everything else is given 30 seconds.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<(String, T), AskError> {
        let patience = (!matches!(request, Request::Reload(_))).then_some(PATIENCE);
        self.stream.get_ref().set_read_timeout(patience)?;
        // A server that has too many clients has replied and closed before it was asked.
        let asked = self.stream.get_mut().write_all(format!("{request}\n").as_bytes());
        let mut line = String::new();
        if self.stream.by_ref().take(REPLY_BYTES_MAX).read_line(&mut line)? == 0 {
            asked?;
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let envelope: Envelope<T> = serde_json::from_str(&line)?;
        match envelope {
            Envelope { ok: true, result: Some(result), .. } => Ok((line, result)),
            Envelope { error, .. } => Err(AskError::Refused(error.unwrap_or_else(|| "the server said no".to_owned()))),
        }
    }

    /// Waits until the server closes the stream, as it does when it ends.
    ///
    /// # Errors
    /// The server does not end in time.
    pub fn wait_for_end(&mut self) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(PATIENCE))?;
        let mut rest = [0; 64];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
