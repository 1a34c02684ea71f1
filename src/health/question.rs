//! The questions that the prover asks, written by `hickory-proto`.
//!
//! Refuses to know when and over which path they are sent.
//!
//! ```text
//!  header | QNAME QTYPE QCLASS | OPT: NSID (empty) | 65001: nonce (8 octets) worker (2 octets) | end of the message
//! ```
//!
//! The steering option stands last, so that a reuseport filter finds it at a fixed distance from the end, whatever the
//! name is. Sources: RFC 6891 §6.1.2 (options, 65001 to 65534 are for local use), RFC 5001 (NSID), RFC 3225 (DO).

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{EdnsOption, NSIDPayload};
use hickory_proto::rr::{DNSClass, Name, RecordType};

use crate::wire::NameRef;

/// Whom a query is for: a worker of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steer {
    /// The secret number of this process; a worker answers canaries with this nonce only.
    pub(super) nonce: u64,
    /// The worker, from 0.
    pub(super) worker: u16,
}

/// A finished query, and the question in it as a reply has to repeat it.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The message; its first two octets are its ID.
    octets: Vec<u8>,
    /// What is asked.
    asked: Query,
}

impl Question {
    /// Builds the canary for one worker: class CH, type TXT, name `<nonce><worker>.fated.` in 16 and 4 hex digits.
    ///
    /// # Errors
    /// What `hickory-proto` says; none is known for these values.
    pub(super) fn canary(steer: Steer) -> Result<Self, ProtoError> {
        let label = format!("{:016x}{:04x}", steer.nonce, steer.worker);
        let mut asked = Query::query(Name::from_labels([label.as_bytes(), b"fated"])?, RecordType::TXT);
        asked.set_query_class(DNSClass::CH);
        Self::build(asked, Some(steer))
    }

    /// Builds the question for the SOA of `zone`, steered to one worker or, as over TCP, to whoever takes it.
    ///
    /// # Errors
    /// What `hickory-proto` says; none is known for a name that ours could hold.
    pub(super) fn soa(zone: NameRef<'_>, steer: Option<Steer>) -> Result<Self, ProtoError> {
        Self::build(Query::query(Name::from_labels(zone.labels())?, RecordType::SOA), steer)
    }

    /// Writes the message, with ID 0.
    fn build(asked: Query, steer: Option<Steer>) -> Result<Self, ProtoError> {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD_BYTES_MAX).set_dnssec_ok(true);
        edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new([])?));
        if let Some(Steer { nonce, worker }) = steer {
            let value = [&nonce.to_be_bytes()[..], &worker.to_be_bytes()].concat();
            edns.options_mut().insert(EdnsOption::Unknown(STEER_OPTION, value));
        }
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.add_query(asked.clone()).set_edns(edns);
        Ok(Self { octets: message.to_vec()?, asked })
    }

    /// Gives the message the ID `id` and returns it. Allocates nothing.
    pub(super) fn with_id(&mut self, id: u16) -> &[u8] {
        if let Some(first) = self.octets.first_chunk_mut::<2>() {
            *first = id.to_be_bytes();
        }
        &self.octets
    }

    /// Returns what is asked.
    #[must_use]
    pub(super) fn asked(&self) -> &Query {
        &self.asked
    }
}

/// The EDNS option that names the worker: the first one for local use (RFC 6891 §9).
pub const STEER_OPTION: u16 = 65001;

/// The largest reply that is asked for, in octets: what passes every path unfragmented (RFC 9715 §3).
pub const PAYLOAD_BYTES_MAX: u16 = 1232;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name as WireName;
    use hickory_proto::rr::rdata::opt::EdnsCode;

    const STEER: Steer = Steer { nonce: 0x0123_4567_89AB_CDEF, worker: 0x0102 };

    #[test]
    fn a_canary_is_these_octets() {
        let mut canary = Question::canary(STEER).expect("it can be built");
        let mut expected = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01".to_vec();
        expected.extend(b"\x140123456789abcdef0102\x05fated\0\x00\x10\x00\x03");
        expected.extend(b"\0\x00\x29\x04\xD0\x00\x00\x80\x00\x00\x12");
        expected.extend(b"\x00\x03\x00\x00\xFD\xE9\x00\x0A\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x02");
        assert_eq!(canary.with_id(0x1234), expected);
    }

    #[test]
    fn an_soa_question_ends_with_whom_it_is_for() {
        let zone: WireName = "Example.ORG.".parse().expect("a name");
        let mut question = Question::soa(zone.as_ref(), Some(STEER)).expect("it can be built");
        let octets = question.with_id(7).to_vec();
        assert!(octets.ends_with(b"\xFD\xE9\x00\x0A\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x02"));
        let message = Message::from_vec(&octets).expect("hickory-proto reads it");
        assert_eq!((message.metadata.id, message.queries[0].query_type()), (7, RecordType::SOA));
        assert!(message.queries[0].name().eq_case(&Name::from_ascii("Example.ORG.").expect("a name")));
        let edns = message.edns.expect("EDNS is there");
        assert!(edns.flags().dnssec_ok && edns.option(EdnsCode::NSID).is_some_and(EdnsOption::is_empty));
    }

    #[test]
    fn unsteered_and_for_the_root_or_the_longest_name() {
        let mut root = Question::soa(NameRef::ROOT, None).expect("it can be built");
        assert!(root.with_id(0).ends_with(b"\x00\x04\x00\x03\x00\x00"));
        let longest = format!("{0}.{0}.{0}.{1}.", "a".repeat(63), "b".repeat(61));
        let zone: WireName = longest.parse().expect("a name of 255 octets");
        let mut question = Question::soa(zone.as_ref(), Some(STEER)).expect("it can be built");
        assert_eq!(question.with_id(0).len(), 12 + 255 + 4 + 11 + 4 + 14);
        let odd = WireName::from_text(br"\000\255\.*.x.", None).expect("a name");
        let mut question = Question::soa(odd.as_ref(), None).expect("it can be built");
        assert!(question.with_id(0)[12..].starts_with(odd.as_ref().as_bytes()));
    }
}
