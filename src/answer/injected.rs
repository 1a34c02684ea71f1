//! Faults and replies that tests ask for by name. Compiled for tests and with the feature `test-names` only.

use core::fmt::Write as _;
use core::time::Duration;
use std::sync::Arc;

use arrayvec::ArrayString;

use crate::answer::code::Rcode;
use crate::answer::context::{RequestContext, Response, Transport};
use crate::answer::snapshot::Snapshot;
use crate::answer::stream::ReplyStream;
use crate::wire::message::{HEADER_BYTES, Question, flag};
use crate::wire::{Class, Type};

/// `panic.fated.test.`: the answer to it panics.
pub const PANIC_NAME: &[u8] = b"\x05panic\x05fated\x04test\0";

/// `stream.fated.test.`: asked for TXT over TCP, it is answered with [`STREAM_MESSAGES`] messages.
pub const STREAM_NAME: &[u8] = b"\x06stream\x05fated\x04test\0";

/// `slow.fated.test.`: a query with it takes long, as one does that needs many hashes.
pub const SLOW_NAME: &[u8] = b"\x04slow\x05fated\x04test\0";

/// What the names begin with at which threads hang.
const WEDGE_NAME: &[u8] = b"\x05wedge\x05fated\x04test";

/// What the thread that answers is to suffer first. It is for whoever has threads and a clock to carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadFault {
    /// It hangs until the wedge of that number is released.
    Wedge(u8),
    /// It takes long.
    Slow,
}

/// A name at which threads hang, in wire form.
pub fn wedge_name(index: u8) -> Vec<u8> {
    [WEDGE_NAME, &[1, b'0' + index, 0]].concat()
}

/// What a query asks for by one of these names, anywhere in it.
pub fn thread_fault(query: &[u8]) -> Option<ThreadFault> {
    let behind = |name: &[u8]| query.windows(name.len()).position(|part| part == name).map(|at| at + name.len());
    let wedge = behind(WEDGE_NAME).and_then(|at| query.get(at + 1));
    let slow = behind(SLOW_NAME).map(|_| ThreadFault::Slow);
    wedge.map(|digit| ThreadFault::Wedge(digit.wrapping_sub(b'0'))).or(slow)
}

/// How many messages that stream has: with their size, more than the buffers of both ends of a connection take.
pub const STREAM_MESSAGES: u32 = 1_000;

/// Octets of each of them.
pub const STREAM_MESSAGE_BYTES: usize = 32 << 10;

/// Octets of the text at the start of each of them.
const TEXT_BYTES: usize = 255;

/// The messages in answer to [`STREAM_NAME`].
#[derive(Debug)]
struct TestStream {
    snapshot: Arc<Snapshot>,
    /// The header and question with which each message starts.
    head: Vec<u8>,
    now: Duration,
    /// How many messages are written.
    written: u32,
}

/// Does what a test asks for by the name of its question, if that is one of those above. `query` is the whole message.
///
/// # Panics
/// Where [`PANIC_NAME`] is asked for.
pub(super) fn respond(
    snapshot: &Arc<Snapshot>,
    query: &[u8],
    question: &Question<'_>,
    context: &RequestContext,
) -> Option<Response> {
    let name = question.name.as_bytes();
    assert_ne!(name, PANIC_NAME, "the name that panics was asked for");
    if name != STREAM_NAME || question.qtype != Type::TXT || context.transport != Transport::Tcp {
        return None;
    }
    let mut head = query[..question.end()].to_vec();
    head[2..HEADER_BYTES].copy_from_slice(&[0; HEADER_BYTES - 2]);
    head[2..4].copy_from_slice(&(flag::QR | flag::AA).to_be_bytes());
    (head[5], head[7]) = (1, 1); // QDCOUNT, ANCOUNT
    let messages = TestStream { snapshot: Arc::clone(snapshot), head, now: context.now, written: 0 };
    Some(Response::Stream { rcode: Rcode::NOERROR.0, qtype: question.qtype.0, messages: Box::new(messages) })
}

impl ReplyStream for TestStream {
    /// Writes one TXT record. Its first string says which message it is, how many zones the snapshot has and, in
    /// seconds, when the query came: `7 of 1000, 3 zones, 1700000000`. The strings behind are filled with zeros.
    fn write_next(&mut self, _now: Duration, message: &mut [u8]) -> Option<usize> {
        if self.written == STREAM_MESSAGES {
            return None;
        }
        self.written += 1;
        let mut text = ArrayString::<TEXT_BYTES>::new();
        let (zones, seconds) = (self.snapshot.zones.len(), self.now.as_secs());
        write!(text, "{} of {STREAM_MESSAGES}, {zones} zones, {seconds}", self.written).expect("it is short");
        let message = &mut message[..STREAM_MESSAGE_BYTES];
        message.fill(0);
        let (head, record) = message.split_at_mut(self.head.len());
        head.copy_from_slice(&self.head);
        let (fixed, rdata) = record.split_at_mut(12);
        fixed[..2].copy_from_slice(&[0xC0, HEADER_BYTES as u8]);
        fixed[2..4].copy_from_slice(&Type::TXT.0.to_be_bytes());
        fixed[4..6].copy_from_slice(&Class::IN.0.to_be_bytes());
        fixed[10..].copy_from_slice(&(rdata.len() as u16).to_be_bytes());
        rdata[0] = text.len() as u8;
        rdata[1..=text.len()].copy_from_slice(text.as_bytes());
        Some(STREAM_MESSAGE_BYTES)
    }
}
