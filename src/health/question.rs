//! The questions that the prover asks: each as its probe, and as `hickory-proto` reads it, which is what a reply has to
//! repeat.
//!
//! Refuses to know when and over which path they are sent.

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, Query};

use crate::wire::NameRef;
use crate::wire::probe::Probe;
pub(super) use crate::wire::probe::Steer;

/// A finished probe, and the question in it as a reply has to repeat it.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The message.
    probe: Probe,
    /// What is asked; of a canary, with the token 0.
    asked: Query,
}

impl Question {
    /// Builds the canary for one worker.
    ///
    /// # Errors
    /// What `hickory-proto` says when it reads the probe; none is known.
    pub(super) fn canary(steer: Steer) -> Result<Self, ProtoError> {
        Self::of(Probe::canary(steer))
    }

    /// Builds the question for the SOA of `zone`, steered to one worker or, as over TCP, to whoever takes it.
    ///
    /// # Errors
    /// What `hickory-proto` says when it reads the probe; none is known for a name that ours could hold.
    pub(super) fn soa(zone: NameRef<'_>, steer: Option<Steer>) -> Result<Self, ProtoError> {
        Self::of(Probe::soa(zone, steer))
    }

    /// Reads what a probe asks.
    fn of(mut probe: Probe) -> Result<Self, ProtoError> {
        let asked = read(probe.with_id(0))?;
        Ok(Self { probe, asked })
    }

    /// Gives the message the ID `id` and returns it. Allocates nothing.
    pub(super) fn with_id(&mut self, id: u16) -> &[u8] {
        self.probe.with_id(id)
    }

    /// Gives a steered message the ID `id` and the secret `token`, and returns it. Allocates nothing.
    pub(super) fn with_token(&mut self, id: u16, token: u64) -> &[u8] {
        self.probe.with_token(id, token)
    }

    /// Returns what is asked; of a canary, with the token 0.
    #[must_use]
    pub(super) fn asked(&self) -> &Query {
        &self.asked
    }

    /// Returns what was asked with the secret `token`, as a reply has to repeat it; `None` where that can't be read.
    #[must_use]
    pub(super) fn asked_with(&self, token: u64) -> Option<Query> {
        if self.probe.is_canary() {
            read(self.probe.clone().with_token(0, token)).ok()
        } else {
            Some(self.asked.clone())
        }
    }
}

/// Reads the question of a message.
fn read(message: &[u8]) -> Result<Query, ProtoError> {
    Message::from_vec(message)?.queries.pop().ok_or_else(|| ProtoError::from("a probe without a question"))
}

/// Takes the secret `token` off the end of a datagram, where a worker of ours has put it behind its reply (see
/// [`probe`](crate::wire::probe)); returns what is in front of it, and whether it was there.
pub(super) fn unseal(octets: &[u8], token: u64) -> (&[u8], bool) {
    match octets.split_last_chunk() {
        Some((reply, seal)) if *seal == token.to_be_bytes() => (reply, true),
        _ => (octets, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name as WireName;
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
    use hickory_proto::rr::{DNSClass, Name, RecordType};

    const STEER: Steer = Steer { nonce: 0x0123_4567_89AB_CDEF, worker: 0x0102 };

    #[test]
    fn a_canary_asks_for_its_token() {
        let mut canary = Question::canary(STEER).expect("it can be built");
        const TOKEN: u64 = 0xFEDC_BA98_7654_3210;
        let octets = canary.with_token(0x1234, TOKEN).to_vec();
        let asked = canary.asked_with(TOKEN).expect("it can be built");
        assert_eq!(asked.name().to_ascii(), "fedcba98765432100102.fated.");
        assert_eq!((asked.query_type(), asked.query_class()), (RecordType::TXT, DNSClass::CH));
        assert_eq!(Message::from_vec(&octets).expect("hickory-proto reads it").queries, [asked]);
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
