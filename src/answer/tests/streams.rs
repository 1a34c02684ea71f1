//! Replies of several messages, by the one that tests ask for by name.

use core::time::Duration;
use std::sync::Arc;

use super::{Ask, address, ask, corners, described};
use crate::answer::injected::{STREAM_MESSAGE_BYTES, STREAM_MESSAGES};
use crate::answer::{MESSAGE_BYTES_MAX, RequestContext, Response, Transport, respond};

#[test]
fn a_stream_gives_each_message_once_from_the_snapshot_it_was_begun_from() {
    let snapshot = corners();
    let query = Ask::new("stream.fated.test. TXT").message();
    let now = Duration::from_millis(1_700_000_000_500);
    let context = RequestContext { transport: Transport::Tcp, source: address("192.0.2.1"), worker: 3, now, tls: None };
    let mut message = vec![0; MESSAGE_BYTES_MAX];
    let response = respond(&snapshot, &query, &context, &mut message);
    let Response::Stream { rcode: 0, qtype: 16, mut messages } = response else { panic!("{response:?}") };
    // Nobody else has the zones of the snapshot any more.
    drop(snapshot);
    for number in 1..=STREAM_MESSAGES {
        let length = messages.write_next(Duration::ZERO, &mut message).expect("there are more");
        assert_eq!(length, STREAM_MESSAGE_BYTES);
        let text = format!("{number} of {STREAM_MESSAGES}, 2 zones, 1700000000");
        assert!(described(&message[..length]).contains(&text), "{number}");
        assert_eq!((&message[..2], &message[12..35]), (&query[..2], &query[12..35]), "ID and question");
    }
    assert_eq!(
        [messages.write_next(Duration::ZERO, &mut message), messages.write_next(Duration::ZERO, &mut message)],
        [None; 2]
    );
}

#[test]
fn a_datagram_is_never_answered_with_a_stream() {
    let snapshot = corners();
    assert_eq!(ask(&snapshot, Ask::new("stream.fated.test. TXT")), "5 | | |");
    assert_eq!(Arc::strong_count(&snapshot), 1);
}
