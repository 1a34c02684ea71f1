//! The canary: a question that one worker is to answer, to prove that it does. Both its ends: the octets of the context,
//! and what is answered.
//!
//! The question bears two secrets: the nonce of this process, by which a worker knows the prover, and a token of its own, which
//! stands behind the reply so that the prover knows the worker. Neither ever leaves the machine.
//!
//! Knows neither socket nor filter; that the trailer is what the reuseport filter looks for is held by a test of `serve`.

use core::net::IpAddr;

use crate::answer::code::Rcode;
use crate::answer::context::RequestContext;
use crate::answer::reply::{Full, Reply};
use crate::answer::status::Status;
use crate::wire::message::{OPT_BYTES, Question, option};
use crate::wire::{Class, NameRef, Type};

/// What a canary of this process looks like, and who may ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// A number that nobody outside can guess, new for each process.
    pub nonce: u64,
    /// The addresses that are answered; everybody else gets REFUSED, as for every name of class CH that is not known.
    pub sources: Vec<IpAddr>,
    /// Those of them that are nobody's but the prover's: what comes from there without the nonce is forged.
    pub reserved: Vec<IpAddr>,
}

/// What a datagram is, as far as probes go. `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A client's query.
    Client,
    /// A probe, with the token that is to stand behind the reply.
    Probe([u8; TOKEN_BYTES]),
    /// It comes from where probes come from, and is none. It is not to be answered: the reply would go to the prover.
    Forged,
}

impl Canary {
    /// Tells what a datagram is. A few comparisons.
    #[inline]
    #[must_use]
    pub fn claim(&self, query: &[u8], source: IpAddr) -> Claim {
        match self.token(query) {
            Some(token) if self.sources.contains(&source) => Claim::Probe(*token),
            _ if self.reserved.contains(&source) => Claim::Forged,
            _ => Claim::Client,
        }
    }

    /// The token of a message that ends in our nonce and a worker's number.
    #[inline]
    fn token<'q>(&self, query: &'q [u8]) -> Option<&'q [u8; TOKEN_BYTES]> {
        let (front, trailer) = query.split_last_chunk::<TRAILER_BYTES>()?;
        if trailer[..NONCE_BYTES] == self.nonce.to_be_bytes() { front.last_chunk() } else { None }
    }

    /// Returns the name that asks `worker`, in wire form: `<token, 16 hex digits><worker, 4 hex digits>.fated.`
    #[must_use]
    pub fn name(token: u64, worker: u16) -> [u8; NAME_BYTES] {
        let mut name = [0; NAME_BYTES];
        let (label, parent) = name.split_at_mut(1 + DIGITS);
        parent.copy_from_slice(PARENT);
        label[0] = DIGITS as u8;
        let number = u128::from(token) << u16::BITS | u128::from(worker);
        for (index, digit) in label[1..].iter_mut().rev().enumerate() {
            *digit = HEX[(number >> (4 * index)) as usize & 0xF];
        }
        name
    }

    /// Makes the query that asks `worker` who it is: class CH, type TXT, with NSID, steered, with the token 0.
    ///
    /// `id` is the message's ID, `udp_size` the payload size in octets that its OPT record announces. Allocates.
    #[must_use]
    pub fn query(&self, worker: u16, id: u16, udp_size: u16) -> Vec<u8> {
        self.steered(&Self::name(0, worker), Type::TXT, Class::CH, worker, id, udp_size)
    }

    /// Makes the query that asks `worker` for the SOA of `zone`, with NSID and without DO, steered like the canary.
    ///
    /// `id` is the message's ID, `udp_size` the payload size in octets that its OPT record announces. Allocates.
    #[must_use]
    pub fn steered_soa(&self, zone: NameRef<'_>, worker: u16, id: u16, udp_size: u16) -> Vec<u8> {
        self.steered(zone.as_bytes(), Type::SOA, Class::IN, worker, id, udp_size)
    }

    /// Makes a query whose last octets name the worker that is to answer it.
    ///
    /// They are the value of the last option of the OPT record, the last record, with a code for local use (RFC 6891
    /// §9), so that the message is well-formed and the option ignored by whoever gets it.
    ///
    /// ```text
    /// header | question | OPT: … | NSID, 0 octets | 65001, 18 octets: token (64), nonce (64), worker (16)
    /// ```
    fn steered(&self, name: &[u8], qtype: Type, qclass: Class, worker: u16, id: u16, udp_size: u16) -> Vec<u8> {
        let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        // ID, flags, one question, one additional record.
        let mut message = words(&[id, 0, 1, 0, 0, 1]);
        message.reserve_exact(name.len() + 4 + OPT_BYTES + OPTIONS_BYTES);
        message.extend_from_slice(name);
        message.extend(words(&[qtype.0, qclass.0]));
        message.push(0); // The owner of OPT is the root.
        message.extend(words(&[Type::OPT.0, udp_size, 0, 0, OPTIONS_BYTES as u16]));
        message.extend(words(&[option::NSID, 0, option::STEER, (TOKEN_BYTES + TRAILER_BYTES) as u16]));
        message.extend([0; TOKEN_BYTES]);
        message.extend(self.nonce.to_be_bytes());
        message.extend(worker.to_be_bytes());
        message
    }
}

/// Tells whether `question` is a canary's, whichever worker it names and whatever its token is.
fn is_canary(question: &Question<'_>) -> bool {
    let name = question.name.as_bytes();
    // The digits of the worker may be any: what counts is who really answers.
    name.len() == NAME_BYTES
        && question.qtype == Type::TXT
        && name[1 + DIGITS..].eq_ignore_ascii_case(PARENT)
        && usize::from(name[0]) == DIGITS
        && name[1..=DIGITS].iter().all(u8::is_ascii_hexdigit)
}

/// Answers a canary with the number of the worker that answers it; `None` where `query` is none, or the context may not ask.
pub(super) fn answer(
    canary: Option<&Canary>,
    query: &[u8],
    question: &Question<'_>,
    context: &RequestContext,
    reply: &mut Reply<'_>,
) -> Option<Status> {
    canary.filter(|canary| is_canary(question) && matches!(canary.claim(query, context.source), Claim::Probe(_)))?;
    let mut status = Status::authoritative(Rcode::NOERROR);
    let (text, start) = decimal(context.worker);
    let mut rdata = [0; 1 + DECIMALS_MAX];
    rdata[1..=DECIMALS_MAX - start].copy_from_slice(&text[start..]);
    rdata[0] = (DECIMALS_MAX - start) as u8;
    status.is_truncated = reply.put_record(Type::TXT, Class::CH, &rdata[..=DECIMALS_MAX - start]) == Err(Full);
    Some(status)
}

/// Writes a number in decimal; returns the digits and where they start.
fn decimal(number: u16) -> ([u8; DECIMALS_MAX], usize) {
    let (mut text, mut start, mut rest) = ([b'0'; DECIMALS_MAX], DECIMALS_MAX - 1, number);
    for (index, digit) in text.iter_mut().enumerate().rev() {
        *digit += (rest % 10) as u8;
        if rest > 0 {
            start = index;
        }
        rest /= 10;
    }
    (text, start)
}

/// Octets of a canary's name: its label of 20 digits, `fated`, the root.
pub const NAME_BYTES: usize = 1 + DIGITS + PARENT.len();

/// Octets at the end of a steered message: the nonce and the worker's number, most significant octet first.
pub const TRAILER_BYTES: usize = 10;

/// Octets of a token.
pub const TOKEN_BYTES: usize = 8;

/// Octets of the nonce.
const NONCE_BYTES: usize = 8;

/// Octets of both options of a steered query, each with its code and length.
const OPTIONS_BYTES: usize = 4 + 4 + TOKEN_BYTES + TRAILER_BYTES;

/// What stands behind the canary's own label.
const PARENT: &[u8; 7] = b"\x05fated\0";

/// Hexadecimal digits of the label: token and worker.
const DIGITS: usize = 16 + 4;

/// Digits of the largest worker number.
const DECIMALS_MAX: usize = 5;

/// Hexadecimal digits.
const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Header, read_trailer};

    #[test]
    fn a_name_is_the_token_and_the_worker_in_hexadecimal() {
        assert_eq!(&Canary::name(0x0123_4567_89AB_CDEF, 0x00FE), b"\x140123456789abcdef00fe\x05fated\0");
        assert_eq!(&Canary::name(1, u16::MAX), b"\x140000000000000001ffff\x05fated\0");
    }

    #[test]
    fn only_who_bears_the_nonce_is_a_probe_and_who_else_comes_from_there_is_forged() {
        let [own, shared, other] = ["192.0.0.100", "127.0.0.1", "198.51.100.1"].map(|text| text.parse().expect("good"));
        let canary = Canary { nonce: 0x0102_0304_0506_0708, sources: vec![own, shared], reserved: vec![own] };
        let (probe, token) = (canary.query(3, 1, 1232), Claim::Probe([0; TOKEN_BYTES]));
        assert_eq!([own, shared, other].map(|from| canary.claim(&probe, from)), [token, token, Claim::Client]);
        for end in 0..probe.len() {
            let query = &probe[..end];
            let expected = [Claim::Forged, Claim::Client, Claim::Client];
            assert_eq!([own, shared, other].map(|from| canary.claim(query, from)), expected, "{end} octets");
        }
        let guessed = Canary { nonce: canary.nonce ^ 1, ..canary.clone() }.query(3, 1, 1232);
        assert_eq!(canary.claim(&guessed, own), Claim::Forged);
    }

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        for number in [0, 1, 9, 10, 99, 100, 12_340, u16::MAX] {
            let (text, start) = decimal(number);
            assert_eq!(text[start..], *number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_steered_query_is_well_formed_and_ends_in_nonce_and_worker() {
        let canary = Canary { nonce: 0x0123_4567_89AB_CDEF, sources: Vec::new(), reserved: Vec::new() };
        for message in [canary.query(0x0203, 7, 1232), canary.steered_soa(NameRef::ROOT, 0x0203, 7, 1232)] {
            assert!(message.ends_with(&[0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0x02, 0x03]));
            let header = Header::read(&message).expect("whole");
            assert_eq!((header.id, header.flags, header.counts), (7, 0, [1, 0, 0, 1]));
            let question = Question::read(&message, |_| ()).expect("a question");
            let edns = read_trailer(&message, header, question.end()).expect("good").edns.expect("there is one");
            assert_eq!((edns.payload_bytes_max, edns.wants_nsid, edns.is_dnssec_ok), (1232, true, false));
            for end in question.end()..message.len() {
                assert!(read_trailer(&message[..end], header, question.end()).is_err(), "nothing stands behind OPT");
            }
        }
    }
}
