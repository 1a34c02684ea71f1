//! One question to a resolver, and what its reply says (RFC 1035 §4.1, RFC 2308 §2).
//!
//! Pure: knows neither who is asked nor how. Nothing is validated here: that is the resolver's part, which answers
//! SERVFAIL for what is bogus.

use super::incoming::rcode_word;
use super::request::PAYLOAD_BYTES;
use crate::wire::message::{HEADER_BYTES, Header, Question, flag};
use crate::wire::{Class, Name, SharedName, Type, rdata};

/// RCODE of a name that does not exist.
const NXDOMAIN: u16 = 3;
/// Octets of type, class, TTL and RDLENGTH.
const HEAD_BYTES: usize = 10;
/// The most records of a reply that are looked at.
const RECORDS_MAX: usize = 256;

/// A question with the ID that its reply has.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Whose records are wanted.
    pub name: SharedName,
    /// Which.
    pub rtype: Type,
    /// The ID of question and reply.
    pub id: u16,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The RDATA of each record of the type, uncompressed, under whatever name aliases lead to.
    Records(Vec<Vec<u8>>),
    /// No such name, or no such type there; the apex of the zone that says so, if it does.
    Nothing(Option<SharedName>),
}

/// Why a reply says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupFault {
    /// It is to be asked for over TCP.
    #[error("the reply is truncated over TCP too")]
    Truncated,
    /// The resolver does not know.
    #[error("the reply is {}", rcode_word(*.0))]
    Rcode(u16),
    /// It is no message.
    #[error("the reply is malformed")]
    Malformed,
}

impl Lookup {
    /// Writes the question: recursion desired, and a size that needs no fragments.
    pub fn message(&self) -> Vec<u8> {
        let name = self.name.as_ref();
        let mut message = Vec::with_capacity(HEADER_BYTES + name.len() + 15);
        for word in [self.id, flag::RD, 1, 0, 0, 1] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        message.extend_from_slice(name.as_bytes());
        for word in [self.rtype.0, Class::IN.0] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        message.push(0);
        for word in [Type::OPT.0, PAYLOAD_BYTES, 0, 0, 0] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        message
    }

    /// Reads a reply; `None` where it is none to this question.
    ///
    /// # Errors
    /// [`LookupFault`].
    pub fn read(&self, message: &[u8]) -> Option<Result<Found, LookupFault>> {
        let header = Header::read(message).filter(|header| header.is_response() && header.id == self.id)?;
        let rcode = header.flags & 0xF;
        if header.counts[0] == 0 && rcode != 0 {
            return Some(Err(LookupFault::Rcode(rcode)));
        }
        let question = Question::read(message, |_| {}).filter(|_| header.counts[0] == 1)?;
        let is_ours = question.name == self.name.as_ref() && question.qtype == self.rtype;
        if !is_ours || question.qclass != Class::IN {
            return None;
        }
        Some(match rcode {
            0 | NXDOMAIN if header.is_truncated() => Err(LookupFault::Truncated),
            0 | NXDOMAIN => self.records(message, question.end(), header).ok_or(LookupFault::Malformed),
            rcode => Err(LookupFault::Rcode(rcode)),
        })
    }

    /// What stands in the answer section, or in the authority section where that is nothing.
    fn records(&self, message: &[u8], mut at: usize, header: Header) -> Option<Found> {
        let (mut found, mut zone) = (Vec::new(), None);
        let sections = [header.counts[1], header.counts[2]].map(usize::from);
        for (index, section) in sections.into_iter().enumerate() {
            for _ in 0..section.min(RECORDS_MAX) {
                let (owner, head_at) = Name::read(message, at).ok()?;
                let head = message.get(head_at..)?.first_chunk::<HEAD_BYTES>()?;
                let &[t0, t1, c0, c1, _, _, _, _, l0, l1] = head;
                let (rtype, class) = (Type(u16::from_be_bytes([t0, t1])), Class(u16::from_be_bytes([c0, c1])));
                let (start, length) = (head_at + HEAD_BYTES, usize::from(u16::from_be_bytes([l0, l1])));
                at = start + length;
                if class != Class::IN {
                    continue;
                }
                if index == 0 && rtype == self.rtype {
                    let mut plain = Vec::new();
                    rdata::decompress(rtype, message, start, length, &mut plain).ok()?;
                    found.push(plain);
                } else if index == 1 && rtype == Type::SOA {
                    zone = Some(owner.as_ref().into());
                }
            }
            if !found.is_empty() {
                return Some(Found::Records(found));
            }
            if section > RECORDS_MAX {
                return None;
            }
        }
        Some(Found::Nothing(zone))
    }
}

#[cfg(test)]
mod tests;
