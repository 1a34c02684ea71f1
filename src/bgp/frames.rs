//! How messages are cut from the stream (RFC 4271 §4.1, §6.1).

use super::Notification;
use super::message::{HEADER_BYTES, Kind, MARKER_BYTES, MESSAGE_BYTES_MAX};

/// One message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its type.
    pub(super) kind: Kind,
    /// What stands behind the header.
    pub(super) body: Vec<u8>,
}

/// The part of a message that has arrived: never more than one.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    /// Its octets so far.
    buffer: Vec<u8>,
}

impl Frames {
    /// Takes the next message off the stream; `None` where it is not whole yet, and then all of `octets` is taken.
    ///
    /// # Errors
    /// The header is not one; nothing behind it can be read any more.
    pub(super) fn next(&mut self, octets: &mut &[u8]) -> Result<Option<Message>, Notification> {
        self.fill(HEADER_BYTES, octets);
        if self.buffer.len() < HEADER_BYTES {
            return Ok(None);
        }
        let (kind, length) = read_header(&self.buffer)?;
        self.fill(length, octets);
        if self.buffer.len() < length {
            return Ok(None);
        }
        let body = self.buffer.split_off(HEADER_BYTES);
        self.buffer.clear();
        Ok(Some(Message { kind, body }))
    }

    /// Moves octets into the buffer until it has `wanted` of them.
    fn fill(&mut self, wanted: usize, octets: &mut &[u8]) {
        let missing = wanted.saturating_sub(self.buffer.len());
        let (taken, rest) = octets.split_at(missing.min(octets.len()));
        self.buffer.extend_from_slice(taken);
        *octets = rest;
    }
}

/// Reads a header: the type, and the length of the whole message.
fn read_header(header: &[u8]) -> Result<(Kind, usize), Notification> {
    let error = |subcode, data: &[u8]| Notification::new(Notification::HEADER, subcode, data);
    let (marker, rest) = header.split_at(MARKER_BYTES.min(header.len()));
    if marker.iter().any(|octet| *octet != 0xFF) {
        return Err(error(1, &[]));
    }
    let &[high, low, kind, ..] = rest else { return Err(error(2, &[])) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let kind = Kind::from_number(kind).ok_or_else(|| error(3, &[kind]))?;
    let (shortest, longest) = match kind {
        Kind::Open => (29, MESSAGE_BYTES_MAX),
        Kind::Update => (23, MESSAGE_BYTES_MAX),
        Kind::Notification => (21, MESSAGE_BYTES_MAX),
        Kind::Keepalive => (HEADER_BYTES, HEADER_BYTES),
        // One of another length has an error of its own (RFC 7313 §5).
        Kind::RouteRefresh => (HEADER_BYTES, MESSAGE_BYTES_MAX),
    };
    if !(shortest..=longest).contains(&length) {
        return Err(error(2, &[high, low]));
    }
    Ok((kind, length))
}
