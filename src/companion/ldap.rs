//! Requests to a directory and what is said to them (RFC 4511): its root DSE, and StartTLS. Pure.

use super::asn1::{BOOLEAN, ENUMERATED, INTEGER, OCTET_STRING, SEQUENCE, expect, header, integer, number, take, value};

/// The number of the search; StartTLS before it has the one below.
const SEARCH_ID: u32 = 2;
/// The number of StartTLS.
const START_TLS_ID: u32 = 1;
/// What StartTLS is called (§4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// SearchRequest, SearchResultEntry, SearchResultDone, ExtendedRequest, ExtendedResponse.
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const EXTENDED: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
/// The longest message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What came so far of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// More is to come.
    Unfinished,
    /// The directory says no, with this result code.
    Refused(i32),
    /// It is no reply to what was asked.
    Odd,
    /// It is what was asked for.
    Right,
}

/// Writes a message around an operation.
fn message(id: u32, operation: &[u8]) -> Vec<u8> {
    value(SEQUENCE, &[&integer(id), operation])
}

/// Writes the search for the root DSE.
pub(super) fn search() -> Vec<u8> {
    let enumerated = value(ENUMERATED, &[&[0]]);
    let attributes = value(SEQUENCE, &[&value(OCTET_STRING, &[b"supportedLDAPVersion"])]);
    let operation = value(
        SEARCH,
        &[
            // The root, itself alone, without aliases; no limits of size and time; values too.
            &value(OCTET_STRING, &[]),
            &enumerated,
            &enumerated,
            &integer(0),
            &integer(0),
            &value(BOOLEAN, &[&[0]]),
            &value(0x87, &[b"objectClass"]),
            &attributes,
        ],
    );
    message(SEARCH_ID, &operation)
}

/// Writes the wish to go on over TLS.
pub(super) fn start_tls() -> Vec<u8> {
    message(START_TLS_ID, &value(EXTENDED, &[&value(0x80, &[START_TLS])]))
}

/// Reads what came to the search: an entry, then that it is done.
pub(super) fn search_reply(octets: &[u8]) -> Reply {
    let (mut rest, mut has_entry) = (octets, false);
    loop {
        match next(&mut rest, SEARCH_ID) {
            Err(reply) => return reply,
            Ok((ENTRY, _)) => has_entry = true,
            Ok((DONE, content)) => return if has_entry { result(content) } else { Reply::Odd },
            Ok(_) => return Reply::Odd,
        }
    }
}

/// Reads what came to StartTLS.
pub(super) fn start_tls_reply(octets: &[u8]) -> Reply {
    let mut rest = octets;
    match next(&mut rest, START_TLS_ID) {
        Err(reply) => reply,
        Ok((EXTENDED_RESPONSE, content)) => result(content),
        Ok(_) => Reply::Odd,
    }
}

/// Takes the next message off: its operation and what is in it.
fn next<'a>(octets: &mut &'a [u8], id: u32) -> Result<(u8, &'a [u8]), Reply> {
    if octets.first().is_some_and(|tag| *tag != SEQUENCE) {
        return Err(Reply::Odd);
    }
    match header(octets) {
        // Six octets are enough for every header that is known.
        None if octets.len() < 6 => return Err(Reply::Unfinished),
        Some((header, length)) if length <= MESSAGE_BYTES_MAX => {
            if octets.len() < header + length {
                return Err(Reply::Unfinished);
            }
        }
        None | Some(_) => return Err(Reply::Odd),
    }
    let mut content = expect(octets, SEQUENCE).ok_or(Reply::Odd)?;
    let found = expect(&mut content, INTEGER).and_then(number);
    if found != i32::try_from(id).ok() {
        return Err(Reply::Odd);
    }
    take(&mut content).ok_or(Reply::Odd)
}

/// Reads a result (§4.1.9).
fn result(mut content: &[u8]) -> Reply {
    match expect(&mut content, ENUMERATED).and_then(number) {
        Some(0) => Reply::Right,
        Some(code) => Reply::Refused(code),
        None => Reply::Odd,
    }
}
