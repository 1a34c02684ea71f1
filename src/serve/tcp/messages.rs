//! Messages in a stream: each behind its length (RFC 1035 §4.2.2).
//!
//! Refuses to know sockets and what a message means.

use std::iter;

use crate::answer::{HEADER_BYTES, MESSAGE_BYTES_MAX, ReplyStream, Response};

/// What became of a piece of input.
#[derive(Debug, PartialEq)]
pub(super) struct Filled {
    /// How many octets of input were used up.
    pub(super) consumed: usize,
    /// How many octets of output there are.
    pub(super) length: usize,
    /// Why it is not more.
    pub(super) stop: Stop,
}

/// Why no more of a piece of input is answered.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    /// It has no whole message more.
    Input,
    /// The output has no room for another reply.
    Full,
    /// Others are to have their turn first.
    Late,
    /// The last reply is a stream; nothing behind it is answered before it has ended.
    Stream(Box<dyn ReplyStream>),
    /// A message was too short; nothing behind it is read.
    Malformed,
}

/// Takes the messages off `input` and puts the replies into `output`, each behind its length.
///
/// `respond` gets a message and [`MESSAGE_BYTES_MAX`](crate::answer::MESSAGE_BYTES_MAX) octets for the reply.
/// `is_late` is asked behind every [`MESSAGES_PER_LOOK`]: once it says so, the rest waits.
pub(super) fn fill(
    input: &[u8],
    output: &mut [u8],
    mut respond: impl FnMut(&[u8], &mut [u8]) -> Response,
    is_late: impl Fn() -> bool,
) -> Filled {
    let mut filled = Filled { consumed: 0, length: 0, stop: Stop::Input };
    let mut count = 0_usize;
    while let Some((prefix, rest)) = input.get(filled.consumed..).and_then(|input| input.split_first_chunk()) {
        let message_bytes = usize::from(u16::from_be_bytes(*prefix));
        if message_bytes < HEADER_BYTES {
            filled.stop = Stop::Malformed;
            break;
        }
        let Some(message) = rest.get(..message_bytes) else { break };
        let Some((reply_prefix, reply)) = free_space(output, filled.length) else {
            filled.stop = Stop::Full;
            break;
        };
        filled.consumed += PREFIX_BYTES + message_bytes;
        match respond(message, reply) {
            Response::Reply { length, .. } | Response::Notified { length, .. } => {
                filled.length += put_length(reply_prefix, length)
            }
            Response::Stream { messages, .. } => {
                filled.stop = Stop::Stream(messages);
                break;
            }
            Response::Drop => {}
        }
        count += 1;
        if count.is_multiple_of(MESSAGES_PER_LOOK) && is_late() {
            filled.stop = Stop::Late;
            break;
        }
    }
    filled
}

/// The whole messages at the start of `input`.
pub(super) fn whole_messages(mut input: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    iter::from_fn(move || {
        let (prefix, rest) = input.split_first_chunk()?;
        let (message, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*prefix)))?;
        input = rest;
        Some(message)
    })
}

/// Puts messages of a stream into `output`, each behind its length, as long as there is room for the longest. Returns
/// how many octets they are, and whether the stream has ended.
///
/// `next` gets room for a message and returns how many octets of it there are; `None` behind the last.
///
/// # Errors
/// That of `next`.
pub(super) fn fill_from_stream<E>(
    output: &mut [u8],
    mut next: impl FnMut(&mut [u8]) -> Result<Option<usize>, E>,
) -> Result<(usize, bool), E> {
    let mut length = 0;
    while let Some((prefix, message)) = free_space(output, length) {
        let Some(message_bytes) = next(message)? else { return Ok((length, true)) };
        length += put_length(prefix, message_bytes);
    }
    Ok((length, false))
}

/// The space for a length and the longest message at `start`; `None` where there is not so much.
fn free_space(output: &mut [u8], start: usize) -> Option<(&mut [u8; PREFIX_BYTES], &mut [u8])> {
    output.get_mut(start..start + FRAME_BYTES_MAX)?.split_first_chunk_mut()
}

/// Puts the length of a message in front of it and returns how many octets both are; none where it is too long, which
/// only our bug can make it.
fn put_length(prefix: &mut [u8; PREFIX_BYTES], length: usize) -> usize {
    let Ok(length_field) = u16::try_from(length) else { return 0 };
    *prefix = length_field.to_be_bytes();
    PREFIX_BYTES + length
}

/// How many messages are answered between two looks at the clock, which cost something each.
const MESSAGES_PER_LOOK: usize = 4;

/// Octets of the length in front of a message.
const PREFIX_BYTES: usize = 2;

/// The longest message with its length.
pub(super) const FRAME_BYTES_MAX: usize = PREFIX_BYTES + MESSAGE_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// Room for a few replies.
    const OUTPUT_BYTES: usize = (64 << 10) + FRAME_BYTES_MAX;

    /// Puts the length in front of a message of so many octets, all of the same value.
    fn message(length: u16, value: u8) -> Vec<u8> {
        let mut octets = length.to_be_bytes().to_vec();
        octets.resize(PREFIX_BYTES + usize::from(length), value);
        octets
    }

    /// A reply of so many octets.
    fn reply_of(length: usize) -> Response {
        Response::Reply { length, rcode: 0, qtype: 0, is_truncated: false }
    }

    /// Runs [`fill`] with a reply that repeats the query.
    fn echo(input: &[u8], output: &mut [u8]) -> Filled {
        fill(
            input,
            output,
            |query, reply| {
                reply[..query.len()].copy_from_slice(query);
                reply_of(query.len())
            },
            || false,
        )
    }

    #[test]
    fn whole_messages_are_filled_and_a_part_stays() {
        let input = [message(12, 1), message(20, 2), message(30, 3)[..31].to_vec()].concat();
        let mut output = vec![0; OUTPUT_BYTES];
        let filled = echo(&input, &mut output);
        assert_eq!(filled, Filled { consumed: 36, length: 36, stop: Stop::Input });
        assert_eq!(output[..36], input[..36]);
    }

    #[test]
    fn every_split_of_the_length_and_header_waits_for_more() {
        let whole = message(12, 7);
        for end in 0..whole.len() {
            let filled = echo(&whole[..end], &mut vec![0; OUTPUT_BYTES]);
            assert_eq!(filled, Filled { consumed: 0, length: 0, stop: Stop::Input }, "{end}");
        }
    }

    #[test]
    fn a_message_without_room_for_a_header_ends_it_after_the_replies_before() {
        for length in [0, 1, 11] {
            let input = [message(12, 1), message(length, 2), message(12, 3)].concat();
            let filled = echo(&input, &mut vec![0; OUTPUT_BYTES]);
            assert_eq!(filled, Filled { consumed: 14, length: 14, stop: Stop::Malformed }, "{length}");
        }
    }

    #[test]
    fn long_replies_are_written_before_more_is_filled() {
        let input = [message(u16::MAX, 1), message(u16::MAX, 2), message(12, 3)].concat();
        let filled = echo(&input, &mut vec![0; OUTPUT_BYTES]);
        assert!(filled.stop == Stop::Full && filled.length <= OUTPUT_BYTES, "{filled:?}");
        assert_eq!(filled.consumed % FRAME_BYTES_MAX, 0);
        assert!(filled.consumed > 0);
    }

    #[test]
    fn once_it_is_late_the_rest_waits() {
        let input = message(12, 1).repeat(9);
        let mut output = vec![0; OUTPUT_BYTES];
        let filled = fill(&input, &mut output, |_, _| reply_of(12), || true);
        assert_eq!((filled.stop, filled.consumed, filled.length), (Stop::Late, 4 * 14, 4 * 14));
        let filled = fill(&input[..3 * 14], &mut output, |_, _| reply_of(12), || true);
        assert_eq!((filled.stop, filled.consumed), (Stop::Input, 3 * 14));
    }

    #[test]
    fn what_is_dropped_leaves_no_trace_in_the_stream() {
        let input = [message(12, 1), message(12, 2)].concat();
        let mut output = vec![0; OUTPUT_BYTES];
        let filled = fill(
            &input,
            &mut output,
            |query, reply| {
                reply[0] = query[0];
                if query[0] == 2 { reply_of(1) } else { Response::Drop }
            },
            || false,
        );
        assert_eq!((filled.consumed, &output[..filled.length]), (28, &[0, 1, 2][..]));
    }
}
