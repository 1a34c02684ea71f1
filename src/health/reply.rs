//! Whether a reply is right, read by `hickory-proto`: a second implementation, so that a fault of ours cannot hide
//! itself.
//!
//! Refuses to know when the reply came and what follows from it.

use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{RData, Record, RecordType};

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// `hickory-proto` cannot read it.
    #[error("the reply cannot be read as a DNS message")]
    Malformed,
    /// It is no response, or one to another question.
    #[error("the reply is not one to our question")]
    Question,
    /// Another RCODE than NOERROR.
    #[error("the RCODE is {0}, not NOERROR")]
    Rcode(u16),
    /// It was cut (TC).
    #[error("the reply is truncated")]
    Truncated,
    /// The AA bit is not set.
    #[error("the reply is not authoritative (AA)")]
    NotAuthoritative,
    /// NSID is not there, or somebody else's.
    #[error("the NSID is missing or is not that of this server: does another host answer for the address?")]
    Identity,
    /// Not exactly the record that was asked for.
    #[error("the answer section does not hold what was asked for")]
    Records,
    /// Another worker answered.
    #[error("worker {0} answered instead: is the steering filter in place?")]
    Worker(u16),
    /// The serial was not current at any moment between question and reply.
    #[error("the SOA serial is {0}, which was not current when the question was asked")]
    Serial(u32),
    /// Nothing came in time, though the same worker answered its canary.
    #[error("no reply came in time")]
    Silent,
}

/// Reads the reply to a canary.
///
/// # Errors
/// The first thing that is [`Wrong`], in the order of the message.
pub(super) fn read_canary(octets: &[u8], asked: &Query, identity: Option<&[u8]>, worker: u16) -> Result<(), Wrong> {
    let message = read_authoritative(octets, asked, identity)?;
    let [Record { data: RData::TXT(text), .. }] = &message.answers[..] else { return Err(Wrong::Records) };
    let [text] = &text.txt_data[..] else { return Err(Wrong::Records) };
    let text = std::str::from_utf8(text).map_err(|_| Wrong::Records)?;
    let answering: u16 = text.parse().map_err(|_| Wrong::Records)?;
    if answering == worker { Ok(()) } else { Err(Wrong::Worker(answering)) }
}

/// Reads the reply to a question for an SOA and returns its serial, which the caller has to judge.
///
/// # Errors
/// The first thing that is [`Wrong`], in the order of the message.
pub(super) fn read_soa(octets: &[u8], asked: &Query, identity: Option<&[u8]>) -> Result<u32, Wrong> {
    let message = read_authoritative(octets, asked, identity)?;
    let mut records = message.answers.iter().filter(|record| record.record_type() == RecordType::SOA);
    let (Some(Record { name, data: RData::SOA(soa), .. }), None) = (records.next(), records.next()) else {
        return Err(Wrong::Records);
    };
    if name == asked.name() { Ok(soa.serial) } else { Err(Wrong::Records) }
}

/// Reads a reply to `asked` from this server, whatever it says, and returns its RCODE.
///
/// # Errors
/// [`Wrong::Malformed`], [`Wrong::Question`], [`Wrong::Identity`].
pub(super) fn read_any(octets: &[u8], asked: &Query, identity: Option<&[u8]>) -> Result<u16, Wrong> {
    let message = Message::from_vec(octets).map_err(|_| Wrong::Malformed)?;
    if message.metadata.message_type != MessageType::Response || !is_same(&message.queries, asked) {
        return Err(Wrong::Question);
    }
    if !is_from(&message, identity) {
        return Err(Wrong::Identity);
    }
    Ok(message.metadata.response_code.into())
}

/// Reads a complete, authoritative NOERROR reply to `asked` from this server.
fn read_authoritative(octets: &[u8], asked: &Query, identity: Option<&[u8]>) -> Result<Message, Wrong> {
    let message = Message::from_vec(octets).map_err(|_| Wrong::Malformed)?;
    let metadata = &message.metadata;
    if metadata.message_type != MessageType::Response || !is_same(&message.queries, asked) {
        return Err(Wrong::Question);
    }
    let rcode = u16::from(metadata.response_code);
    if rcode != 0 {
        return Err(Wrong::Rcode(rcode));
    }
    if metadata.truncation {
        return Err(Wrong::Truncated);
    }
    if !metadata.authoritative {
        return Err(Wrong::NotAuthoritative);
    }
    if is_from(&message, identity) { Ok(message) } else { Err(Wrong::Identity) }
}

/// Whether the question section is exactly `asked`; letter case of the name does not count.
fn is_same(questions: &[Query], asked: &Query) -> bool {
    let [question] = questions else { return false };
    question.name() == asked.name()
        && question.query_type() == asked.query_type()
        && question.query_class() == asked.query_class()
}

/// Whether the reply bears the NSID `identity`; without one nothing is asked of it.
fn is_from(message: &Message, identity: Option<&[u8]>) -> bool {
    let Some(identity) = identity else { return true };
    let option = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::NSID));
    matches!(option, Some(EdnsOption::NSID(found)) if found.as_ref() == identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::question::{Question, Steer};
    use crate::wire::NameRef;
    use hickory_proto::op::{Edns, ResponseCode};
    use hickory_proto::rr::rdata::opt::NSIDPayload;
    use hickory_proto::rr::rdata::{SOA, TXT};
    use hickory_proto::rr::{DNSClass, Name};

    /// Makes a right reply wrong.
    type Spoil = fn(&mut Message);

    /// A right reply to `question`, for a test to spoil.
    fn reply(question: &Question, identity: &str, data: RData) -> Message {
        let asked = question.asked().clone();
        let mut record = Record::from_rdata(asked.name().clone(), 0, data);
        record.dns_class = asked.query_class();
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new(identity).expect("it is short")));
        let mut message = Message::response(0, hickory_proto::op::OpCode::Query);
        message.metadata.authoritative = true;
        message.add_query(asked).add_answer(record).set_edns(edns);
        message
    }

    fn txt(text: &str) -> RData {
        RData::TXT(TXT::new(vec![text.to_owned()]))
    }

    #[test]
    fn a_canary_is_right_or_says_what_is_wrong() {
        let question = Question::canary(Steer { nonce: 1, worker: 3 }).expect("it can be built");
        let right = reply(&question, "fra1", txt("3"));
        let spoiled = |spoil: Spoil| {
            let mut message = right.clone();
            spoil(&mut message);
            read_canary(&message.to_vec().expect("it can be written"), question.asked(), Some(b"fra1"), 3)
        };
        assert_eq!(spoiled(|_| ()), Ok(()));
        let table: [(Spoil, Wrong); 11] = [
            (|m| m.metadata.message_type = MessageType::Query, Wrong::Question),
            (|m| m.queries.clear(), Wrong::Question),
            (|m| _ = m.queries[0].set_name(Name::root()), Wrong::Question),
            (|m| _ = m.queries[0].set_query_class(DNSClass::IN), Wrong::Question),
            (|m| m.metadata.response_code = ResponseCode::Refused, Wrong::Rcode(5)),
            (|m| m.metadata.truncation = true, Wrong::Truncated),
            (|m| m.metadata.authoritative = false, Wrong::NotAuthoritative),
            (|m| m.edns = None, Wrong::Identity),
            (|m| m.answers.clear(), Wrong::Records),
            (|m| m.answers[0].data = RData::TXT(TXT::new(vec!["x".into()])), Wrong::Records),
            (|m| m.answers[0].data = RData::TXT(TXT::new(vec!["4".into()])), Wrong::Worker(4)),
        ];
        for (spoil, wrong) in table {
            assert_eq!(spoiled(spoil), Err(wrong));
        }
        let octets = right.to_vec().expect("it can be written");
        assert_eq!(read_canary(&octets, question.asked(), Some(b"fra2"), 3), Err(Wrong::Identity));
        assert_eq!(read_canary(&octets[..octets.len() - 1], question.asked(), Some(b"fra1"), 3), Err(Wrong::Malformed));
    }

    #[test]
    fn an_soa_gives_its_serial() {
        let question = Question::soa(NameRef::ROOT, None).expect("it can be built");
        let soa = |serial| RData::SOA(SOA::new(Name::root(), Name::root(), serial, 1, 1, 1, 1));
        let mut message = reply(&question, "", soa(7));
        let octets = message.to_vec().expect("it can be written");
        assert_eq!(read_soa(&octets, question.asked(), Some(b"")), Ok(7));
        assert_eq!(read_any(&octets, question.asked(), Some(b"")), Ok(0));
        assert_eq!(read_any(&octets, question.asked(), Some(b"x")), Err(Wrong::Identity));
        // Where the identity is hidden, any or none is right.
        assert_eq!(read_any(&octets, question.asked(), None), Ok(0));
        message.answers[0].name = Name::from_ascii("org.").expect("a name");
        let octets = message.to_vec().expect("it can be written");
        assert_eq!(read_soa(&octets, question.asked(), Some(b"")), Err(Wrong::Records));
        message.answers[0] = reply(&question, "", txt("7")).answers[0].clone();
        let octets = message.to_vec().expect("it can be written");
        assert_eq!(read_soa(&octets, question.asked(), Some(b"")), Err(Wrong::Records));
    }
}
