//! The reply to a message that cannot be answered otherwise: its end was lost, or its answer failed.
//!
//! Reads as little of the message as can be, and shares no code with the answer that may have failed.

use crate::answer::code::Rcode;
use crate::answer::context::Response;
use crate::wire::message::{HEADER_BYTES, Header, flag};
use crate::wire::name::{LABEL_BYTES_MAX, LABELS_MAX};

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not what it should be (RFC 1035 §4.1.1).
    Malformed,
    /// We failed.
    Failed,
}

/// Writes a reply without any record: the header of the message, and its question where it is a plain one. Nothing for
/// what is no query.
///
/// Repeating the question lets resolvers match the reply to what they asked; EDNS is left out, since the OPT record
/// was not read.
#[must_use]
pub fn refuse(message: &[u8], refusal: Refusal, reply: &mut [u8]) -> Response {
    let header = Header::read(message).filter(|header| !header.is_response() && reply.len() >= HEADER_BYTES);
    let Some(header) = header else { return Response::Drop };
    let rcode = match refusal {
        Refusal::Malformed => Rcode::FORMERR,
        Refusal::Failed => Rcode::SERVFAIL,
    };
    let question_end = question_end(message, header).filter(|&end| end <= reply.len());
    let length = question_end.unwrap_or(HEADER_BYTES);
    reply[..length].copy_from_slice(&message[..length]);
    // QR is set, OPCODE and RD are kept, AA and TC are not ours to set.
    let flags = flag::QR | header.flags & (flag::OPCODE | flag::RD) | rcode.low();
    reply[2..4].copy_from_slice(&flags.to_be_bytes());
    reply[4..HEADER_BYTES].fill(0);
    reply[5] = u8::from(question_end.is_some());
    let qtype = question_end.map_or(0, |end| u16::from_be_bytes([message[end - 4], message[end - 3]]));
    Response::Reply { length, rcode: rcode.0, qtype, is_truncated: false }
}

/// Finds the end of the one question of `message`; `None` unless there is exactly one and its name is uncompressed.
///
/// Is no second parser: what it does not understand at once it leaves out.
fn question_end(message: &[u8], header: Header) -> Option<usize> {
    let mut at = HEADER_BYTES;
    for _ in 0..=LABELS_MAX {
        let length = usize::from(*message.get(at).filter(|_| header.counts[0] == 1)?);
        at += 1 + length;
        match length {
            0 => return Some(at + QTYPE_AND_QCLASS_BYTES).filter(|end| *end <= message.len()),
            1..=LABEL_BYTES_MAX => {}
            _ => return None,
        }
    }
    None
}

/// What follows the name of a question.
const QTYPE_AND_QCLASS_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_is_not_plain_is_left_out() {
        let mut reply = [0; 512];
        for (name, length, qtype) in [
            (&b"\xC0\x0C"[..], 12, 0),
            (b"\x40aaaa", 12, 0),
            (b"\x3F", 12, 0),
            (b"\x03www", 12, 0),
            (b"\x01a\0\0\x0F\0\x01", 19, 15),
        ] {
            let message = [b"\xAB\xCD\x01\x10\0\x01\0\0\0\0\0\x01", name].concat();
            let response = refuse(&message, Refusal::Malformed, &mut reply);
            assert_eq!(response, Response::Reply { length, rcode: 1, qtype, is_truncated: false }, "{name:?}");
            let question_count = u8::from(length > HEADER_BYTES);
            assert_eq!(reply[..12], [0xAB, 0xCD, 0x81, 1, 0, question_count, 0, 0, 0, 0, 0, 0]);
            assert_eq!(reply[12..length], message[12..length]);
        }
    }
}
