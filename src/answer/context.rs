//! What passes between `serve` and `answer` for each request: how it came, and what is to be done with it.

use core::fmt::Debug;
use core::net::IpAddr;
use core::time::Duration;

use crate::answer::stream::ReplyStream;
use crate::tls::TlsSession;
use crate::wire::Name;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A stream with length prefixes (RFC 7766).
    Tcp,
}

/// What a response may depend on besides the message and the snapshot. `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestContext<'a> {
    /// How the request came.
    pub transport: Transport,
    /// The client's address.
    pub source: IpAddr,
    /// The number of the thread that answers: N of `udp-N`, or of `tcp-N` over TCP.
    pub worker: u16,
    /// The time since the Unix epoch at which the batch with this request was received.
    pub now: Duration,
    /// What is known of TLS, where the stream is one of TLS.
    pub tls: Option<TlsSession<'a>>,
}

/// What is to be done with a request.
#[derive(Debug, PartialEq)]
pub enum Response {
    /// Send the first `length` octets of the reply buffer.
    Reply {
        /// Octets of the reply.
        length: usize,
        /// The RCODE, extended ones included (0 to 4095).
        rcode: u16,
        /// QTYPE of the question; 0 where there was none.
        qtype: u16,
        /// Whether TC is set.
        is_truncated: bool,
    },
    /// Send the first `length` octets of the reply buffer, and ask where the zone comes from.
    Notified {
        /// Octets of the reply.
        length: usize,
        /// What it was that was said.
        notice: Box<Notice>,
    },
    /// Send all messages of a stream, in order and with nothing in between. Given over [`Transport::Tcp`] only.
    Stream {
        /// The RCODE of its messages.
        rcode: u16,
        /// QTYPE of the question.
        qtype: u16,
        /// The messages, of which none is written yet.
        messages: Box<dyn ReplyStream>,
    },
    /// Send nothing: the message is too short for a header, or itself a response.
    Drop,
}

/// A zone has changed elsewhere, says somebody who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The zone's name.
    pub zone: Name,
    /// Who says so.
    pub source: IpAddr,
}

/// Takes notices, never waiting: it may drop them, since zones are asked for by time too.
pub trait NoticeSink: Debug + Send + Sync {
    /// Takes one.
    fn take(&self, notice: Notice);
}
