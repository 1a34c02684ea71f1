//! Messages in a stream: each behind its length (RFC 1035 §4.2.2).
//!
//! Refuses to know sockets and what a message means.

use crate::serve::exchange::HEADER_BYTES;

/// What became of a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// How many octets of input were used up.
    pub(super) consumed: usize,
    /// How many octets of output there are.
    pub(super) length: usize,
    /// Whether the output has no room for another reply.
    pub(super) is_full: bool,
    /// Whether it is late, so that others have their turn before more is answered.
    pub(super) is_late: bool,
    /// Whether a message was too short; nothing behind it is read.
    pub(super) is_malformed: bool,
}

/// Takes the messages off `input` and puts the replies into `output`, each behind its length.
///
/// `respond` gets a message and [`REPLY_BYTES_MAX`] octets for the reply, and returns how many of them it is.
/// `is_late` is asked behind every [`MESSAGES_PER_LOOK`]: once it says so, the rest waits.
pub(super) fn fill(
    input: &[u8],
    output: &mut [u8],
    mut respond: impl FnMut(&[u8], &mut [u8]) -> Option<usize>,
    is_late: impl Fn() -> bool,
) -> Answered {
    let mut answered = Answered { consumed: 0, length: 0, is_full: false, is_late: false, is_malformed: false };
    let mut count = 0_usize;
    while let Some((prefix, rest)) = input.get(answered.consumed..).and_then(|input| input.split_first_chunk()) {
        let message_bytes = usize::from(u16::from_be_bytes(*prefix));
        if message_bytes < HEADER_BYTES {
            answered.is_malformed = true;
            break;
        }
        let Some(message) = rest.get(..message_bytes) else { break };
        let Some(room) = output.get_mut(answered.length..answered.length + PREFIX_BYTES + REPLY_BYTES_MAX) else {
            answered.is_full = true;
            break;
        };
        let (reply_prefix, reply) = room.split_at_mut(PREFIX_BYTES);
        if let Some(length) = respond(message, reply)
            && let Ok(length_field) = u16::try_from(length)
        {
            reply_prefix.copy_from_slice(&length_field.to_be_bytes());
            answered.length += PREFIX_BYTES + length;
        }
        answered.consumed += PREFIX_BYTES + message_bytes;
        count += 1;
        if count.is_multiple_of(MESSAGES_PER_LOOK) && is_late() {
            answered.is_late = true;
            break;
        }
    }
    answered
}

/// How many messages are answered between two looks at the clock, which cost something each.
const MESSAGES_PER_LOOK: usize = 4;

/// Octets of the length in front of a message.
const PREFIX_BYTES: usize = 2;

/// The longest reply.
const REPLY_BYTES_MAX: usize = 65_535;

/// The longest message with its length.
pub(super) const MESSAGE_BYTES_MAX: usize = PREFIX_BYTES + REPLY_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// Room for a few replies.
    const OUTPUT_BYTES: usize = (64 << 10) + MESSAGE_BYTES_MAX;

    /// Puts the length in front of a message of so many octets, all of the same value.
    fn message(length: u16, value: u8) -> Vec<u8> {
        let mut octets = length.to_be_bytes().to_vec();
        octets.resize(PREFIX_BYTES + usize::from(length), value);
        octets
    }

    /// Runs [`fill`] with a reply that repeats the query.
    fn echo(input: &[u8], output: &mut [u8]) -> Answered {
        fill(
            input,
            output,
            |query, reply| {
                reply[..query.len()].copy_from_slice(query);
                Some(query.len())
            },
            || false,
        )
    }

    #[test]
    fn whole_messages_are_answered_and_a_part_stays() {
        let input = [message(12, 1), message(20, 2), message(30, 3)[..31].to_vec()].concat();
        let mut output = vec![0; OUTPUT_BYTES];
        let answered = echo(&input, &mut output);
        assert_eq!(
            answered,
            Answered { consumed: 36, length: 36, is_full: false, is_late: false, is_malformed: false }
        );
        assert_eq!(output[..36], input[..36]);
    }

    #[test]
    fn every_split_of_the_length_and_header_waits_for_more() {
        let whole = message(12, 7);
        for end in 0..whole.len() {
            let answered = echo(&whole[..end], &mut vec![0; OUTPUT_BYTES]);
            assert_eq!(
                answered,
                Answered { consumed: 0, length: 0, is_full: false, is_late: false, is_malformed: false },
                "{end}"
            );
        }
    }

    #[test]
    fn a_message_without_room_for_a_header_ends_it_after_the_replies_before() {
        for length in [0, 1, 11] {
            let input = [message(12, 1), message(length, 2), message(12, 3)].concat();
            let answered = echo(&input, &mut vec![0; OUTPUT_BYTES]);
            assert_eq!(
                answered,
                Answered { consumed: 14, length: 14, is_full: false, is_late: false, is_malformed: true },
                "{length}"
            );
        }
    }

    #[test]
    fn long_replies_are_written_before_more_is_answered() {
        let input = [message(u16::MAX, 1), message(u16::MAX, 2), message(12, 3)].concat();
        let answered = echo(&input, &mut vec![0; OUTPUT_BYTES]);
        assert!(answered.is_full && answered.length <= OUTPUT_BYTES, "{answered:?}");
        assert_eq!(answered.consumed % MESSAGE_BYTES_MAX, 0);
        assert!(answered.consumed > 0);
    }

    #[test]
    fn once_it_is_late_the_rest_waits() {
        let input = message(12, 1).repeat(9);
        let mut output = vec![0; OUTPUT_BYTES];
        let answered = fill(&input, &mut output, |_, _| Some(12), || true);
        assert_eq!((answered.is_late, answered.consumed, answered.length), (true, 4 * 14, 4 * 14));
        let answered = fill(&input[..3 * 14], &mut output, |_, _| Some(12), || true);
        assert_eq!((answered.is_late, answered.consumed), (false, 3 * 14));
    }

    #[test]
    fn what_is_dropped_leaves_no_trace_in_the_stream() {
        let input = [message(12, 1), message(12, 2)].concat();
        let mut output = vec![0; OUTPUT_BYTES];
        let answered = fill(
            &input,
            &mut output,
            |query, reply| {
                reply[0] = query[0];
                (query[0] == 2).then_some(1)
            },
            || false,
        );
        assert_eq!((answered.consumed, &output[..answered.length]), (28, &[0, 1, 2][..]));
    }
}
