//! The questions that the prover asks, written by `hickory-proto`.
//!
//! Refuses to know when and over which path they are sent.
//!
//! ```text
//!  header | QNAME QTYPE QCLASS | OPT: NSID (empty) | 65001: token (8 octets) nonce (8) worker (2) | end of the message
//! ```
//!
//! The nonce is the secret that workers know the prover by, the token the one that the prover knows a reply by; it is new for
//! each question. A canary asks for a name of the token, so that whoever answers in our place repeats it too.
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
    /// What is asked; of a canary, with the token 0.
    asked: Query,
    /// The worker that a canary is for; `None` for any other question.
    canary_of: Option<u16>,
}

impl Question {
    /// Builds the canary for one worker: class CH, type TXT, name `<token><worker>.fated.` in 16 and 4 hex digits.
    ///
    /// # Errors
    /// What `hickory-proto` says; none is known for these values.
    pub(super) fn canary(steer: Steer) -> Result<Self, ProtoError> {
        let mut question = Self::build(canary_query(0, steer.worker)?, Some(steer))?;
        question.canary_of = Some(steer.worker);
        Ok(question)
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
            let value = [&[0; TOKEN_BYTES], &nonce.to_be_bytes()[..], &worker.to_be_bytes()].concat();
            edns.options_mut().insert(EdnsOption::Unknown(STEER_OPTION, value));
        }
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.add_query(asked.clone()).set_edns(edns);
        Ok(Self { octets: message.to_vec()?, asked, canary_of: None })
    }

    /// Gives the message the ID `id` and returns it. Allocates nothing.
    pub(super) fn with_id(&mut self, id: u16) -> &[u8] {
        if let Some(first) = self.octets.first_chunk_mut::<2>() {
            *first = id.to_be_bytes();
        }
        &self.octets
    }

    /// Gives a steered message the ID `id` and the secret `token`, and returns it. Allocates nothing.
    pub(super) fn with_token(&mut self, id: u16, token: u64) -> &[u8] {
        let at = self.octets.len().saturating_sub(TOKEN_BYTES + STEER_BYTES);
        if let Some(place) = self.octets.get_mut(at..).and_then(|end| end.first_chunk_mut()) {
            *place = token.to_be_bytes();
        }
        if self.canary_of.is_some() {
            let digits = self.octets.iter_mut().skip(CANARY_DIGITS_AT).take(CANARY_DIGITS);
            for (index, octet) in digits.enumerate() {
                *octet = HEX[(token >> (4 * (CANARY_DIGITS - 1 - index))) as usize & 0xF];
            }
        }
        self.with_id(id)
    }

    /// Returns what is asked; of a canary, with the token 0.
    #[must_use]
    pub(super) fn asked(&self) -> &Query {
        &self.asked
    }

    /// Returns what was asked with the secret `token`, as a reply has to repeat it; `None` where that can't be built.
    #[must_use]
    pub(super) fn asked_with(&self, token: u64) -> Option<Query> {
        match self.canary_of {
            Some(worker) => canary_query(token, worker).ok(),
            None => Some(self.asked.clone()),
        }
    }
}

/// What the canary with that token asks.
fn canary_query(token: u64, worker: u16) -> Result<Query, ProtoError> {
    let label = format!("{token:016x}{worker:04x}");
    let mut asked = Query::query(Name::from_labels([label.as_bytes(), b"fated"])?, RecordType::TXT);
    asked.set_query_class(DNSClass::CH);
    Ok(asked)
}

/// Takes the secret `token` off the end of a datagram, where a worker of ours has put it behind its reply (see
/// [`Canary`](crate::answer::Canary)); returns what is in front of it, and whether it was there.
pub(super) fn unseal(octets: &[u8], token: u64) -> (&[u8], bool) {
    match octets.split_last_chunk() {
        Some((reply, seal)) if *seal == token.to_be_bytes() => (reply, true),
        _ => (octets, false),
    }
}

/// Octets of a token.
const TOKEN_BYTES: usize = 8;

/// Octets of nonce and worker.
const STEER_BYTES: usize = 10;

/// Where the digits of a canary's token stand: behind the header and the length of the label.
const CANARY_DIGITS_AT: usize = 13;

/// Digits of a canary's token.
const CANARY_DIGITS: usize = 16;

/// Hexadecimal digits.
const HEX: &[u8; 16] = b"0123456789abcdef";

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
        expected.extend(b"\x14fedcba98765432100102\x05fated\0\x00\x10\x00\x03");
        expected.extend(b"\0\x00\x29\x04\xD0\x00\x00\x80\x00\x00\x1A");
        expected.extend(b"\x00\x03\x00\x00\xFD\xE9\x00\x12\xFE\xDC\xBA\x98\x76\x54\x32\x10");
        expected.extend(b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x02");
        const TOKEN: u64 = 0xFEDC_BA98_7654_3210;
        assert_eq!(canary.with_token(0x1234, TOKEN), expected);
        let asked = canary.asked_with(TOKEN).expect("it can be built");
        assert_eq!(Message::from_vec(&expected).expect("hickory-proto reads it").queries, [asked]);
    }

    #[test]
    fn a_seal_is_taken_off_where_it_is_that_of_the_question() {
        assert_eq!(unseal(b"reply\0\0\0\0\0\0\x01\x02", 0x0102), (&b"reply"[..], true));
        assert_eq!(unseal(b"reply\0\0\0\0\0\0\x01\x02", 0x0103), (&b"reply\0\0\0\0\0\0\x01\x02"[..], false));
        assert_eq!(unseal(b"", 0), (&b""[..], false));
    }

    #[test]
    fn an_soa_question_ends_with_whom_it_is_for() {
        let zone: WireName = "Example.ORG.".parse().expect("a name");
        let mut question = Question::soa(zone.as_ref(), Some(STEER)).expect("it can be built");
        let octets = question.with_token(7, 0x0A0B).to_vec();
        assert!(octets.ends_with(b"\xFD\xE9\x00\x12\0\0\0\0\0\0\x0A\x0B\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x02"));
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
        assert_eq!(question.with_id(0).len(), 12 + 255 + 4 + 11 + 4 + 22);
        let odd = WireName::from_text(br"\000\255\.*.x.", None).expect("a name");
        let mut question = Question::soa(odd.as_ref(), None).expect("it can be built");
        assert!(question.with_id(0)[12..].starts_with(odd.as_ref().as_bytes()));
    }
}
