//! Probes: the queries by which the prover asks one worker of its own process whether it answers, as both their ends
//! know them.
//!
//! ```text
//! header | QNAME QTYPE QCLASS | OPT: NSID (empty) | 65001: token (8 octets) nonce (8) worker (2) | end of message
//! ```
//!
//! The nonce is the secret by which workers know the prover, the token the one by which the prover knows a reply; it
//! is new for each probe, and stands behind the reply too. Neither ever leaves the machine. The name of a canary
//! repeats the token, so that whoever answers in a worker's place repeats it too. The option that steers a probe
//! stands last, at a fixed distance from the end of the message, where a reuseport filter finds it; its code is one
//! for local use, so that the message is well-formed and the option ignored by whoever gets it. Sources: RFC 6891
//! §6.1.2 and §9, RFC 5001 (NSID), RFC 3225 (DO).

use crate::wire::message::{HEADER_BYTES, OPT_BYTES, option};
use crate::wire::{Class, NameRef, Type};

/// The largest reply that a probe asks for, in octets: what passes every path unfragmented (RFC 9715 §3).
pub const PAYLOAD_BYTES_MAX: u16 = 1232;

/// Octets of a canary's name: its label of 20 digits, `fated`, the root.
pub const CANARY_NAME_BYTES: usize = 1 + DIGITS + PARENT.len();

/// Octets of a token.
pub const TOKEN_BYTES: usize = 8;

/// Octets at the end of a steered message: the nonce and the worker's number, most significant octet first.
pub const STEER_BYTES: usize = NONCE_BYTES + 2;

/// Octets of the nonce.
const NONCE_BYTES: usize = 8;

/// What stands behind the canary's own label.
const PARENT: &[u8; 7] = b"\x05fated\0";

/// Hexadecimal digits of the token in the label.
const TOKEN_DIGITS: usize = 2 * TOKEN_BYTES;

/// Hexadecimal digits of the label: token and worker.
const DIGITS: usize = TOKEN_DIGITS + 4;

/// Hexadecimal digits.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Whom a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steer {
    /// The secret number of this process; a worker answers canaries with this nonce only.
    pub nonce: u64,
    /// The worker, from 0.
    pub worker: u16,
}

/// A probe as a message, written but for its ID and token.
#[derive(Clone, Debug)]
pub struct Probe {
    octets: Vec<u8>,
    is_canary: bool,
}

impl Probe {
    /// The canary for one worker: class CH, type TXT, name `<token><worker>.fated.` in 16 and 4 hex digits. Allocates.
    #[must_use]
    pub fn canary(steer: Steer) -> Self {
        let name = canary_name(0, steer.worker);
        Self { octets: write(&name, Type::TXT, Class::CH, Some(steer)), is_canary: true }
    }

    /// The question for the SOA of `zone`, steered to one worker or, as over TCP, for whoever takes it. Allocates.
    #[must_use]
    pub fn soa(zone: NameRef<'_>, steer: Option<Steer>) -> Self {
        Self { octets: write(zone.as_bytes(), Type::SOA, Class::IN, steer), is_canary: false }
    }

    /// Whether it is a canary.
    #[must_use]
    pub fn is_canary(&self) -> bool {
        self.is_canary
    }

    /// Gives the message the ID `id` and returns it.
    pub fn with_id(&mut self, id: u16) -> &[u8] {
        self.octets[..2].copy_from_slice(&id.to_be_bytes());
        &self.octets
    }

    /// Gives a steered message the ID `id` and the secret `token`, and returns it.
    pub fn with_token(&mut self, id: u16, token: u64) -> &[u8] {
        let token_at = self.octets.len() - STEER_BYTES - TOKEN_BYTES;
        self.octets[token_at..][..TOKEN_BYTES].copy_from_slice(&token.to_be_bytes());
        if self.is_canary {
            write_digits(token, &mut self.octets[HEADER_BYTES + 1..][..TOKEN_DIGITS]);
        }
        self.with_id(id)
    }
}

/// Writes the message, with ID 0 and token 0.
fn write(name: &[u8], qtype: Type, qclass: Class, steer: Option<Steer>) -> Vec<u8> {
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let mut options = words(&[option::NSID, 0]);
    if let Some(Steer { nonce, worker }) = steer {
        options.extend(words(&[option::STEER, (TOKEN_BYTES + STEER_BYTES) as u16]));
        options.extend([0; TOKEN_BYTES]);
        options.extend(nonce.to_be_bytes());
        options.extend(worker.to_be_bytes());
    }
    // ID, flags, one question, one additional record.
    let mut message = words(&[0, 0, 1, 0, 0, 1]);
    message.reserve_exact(name.len() + 4 + OPT_BYTES + options.len());
    message.extend_from_slice(name);
    message.extend(words(&[qtype.0, qclass.0]));
    message.push(0); // The owner of OPT is the root.
    message.extend(words(&[Type::OPT.0, PAYLOAD_BYTES_MAX, 0, FLAG_DO, options.len() as u16]));
    message.extend(options);
    message
}

/// DO in the last 16 bits of OPT's TTL (RFC 3225 §3).
const FLAG_DO: u16 = 0x8000;

/// The name that a canary for `worker` asks for, in wire form.
fn canary_name(token: u64, worker: u16) -> [u8; CANARY_NAME_BYTES] {
    let mut name = [0; CANARY_NAME_BYTES];
    let (label, parent) = name.split_at_mut(1 + DIGITS);
    parent.copy_from_slice(PARENT);
    label[0] = DIGITS as u8;
    write_digits(token, &mut label[1..=TOKEN_DIGITS]);
    write_digits(worker.into(), &mut label[1 + TOKEN_DIGITS..]);
    name
}

/// Writes a number in hexadecimal digits, as many as `digits` has room for.
fn write_digits(number: u64, digits: &mut [u8]) {
    for (index, digit) in digits.iter_mut().rev().enumerate() {
        *digit = HEX[(number >> (4 * index)) as usize & 0xF];
    }
}

/// Whether a name in wire form is that of a canary, whichever worker it names and whatever its token is.
#[must_use]
pub fn is_canary_name(name: &[u8]) -> bool {
    name.len() == CANARY_NAME_BYTES
        && name[1 + DIGITS..].eq_ignore_ascii_case(PARENT)
        && usize::from(name[0]) == DIGITS
        && name[1..=DIGITS].iter().all(u8::is_ascii_hexdigit)
}

/// The token of a message that ends in the nonce and the number of a worker.
#[inline]
#[must_use]
pub fn token(message: &[u8], nonce: u64) -> Option<&[u8; TOKEN_BYTES]> {
    let (front, steer) = message.split_last_chunk::<STEER_BYTES>()?;
    if steer[..NONCE_BYTES] == nonce.to_be_bytes() { front.last_chunk() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Header, Question, read_trailer};

    const STEER: Steer = Steer { nonce: 0x0123_4567_89AB_CDEF, worker: 0x0102 };

    #[test]
    fn a_canary_is_these_octets() {
        let mut canary = Probe::canary(STEER);
        let mut expected = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01".to_vec();
        expected.extend(b"\x14fedcba98765432100102\x05fated\0\x00\x10\x00\x03");
        expected.extend(b"\0\x00\x29\x04\xD0\x00\x00\x80\x00\x00\x1A");
        expected.extend(b"\x00\x03\x00\x00\xFD\xE9\x00\x12\xFE\xDC\xBA\x98\x76\x54\x32\x10");
        expected.extend(b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x02");
        assert_eq!(canary.with_token(0x1234, 0xFEDC_BA98_7654_3210), expected);
        assert_eq!(token(&expected, STEER.nonce), Some(&0xFEDC_BA98_7654_3210_u64.to_be_bytes()));
        assert_eq!(token(&expected, STEER.nonce + 1), None);
    }

    #[test]
    fn a_name_is_the_token_and_the_worker_in_hexadecimal() {
        for (token, worker, name) in [
            (0x0123_4567_89AB_CDEF, 0x00FE, b"\x140123456789abcdef00fe\x05fated\0"),
            (1, u16::MAX, b"\x140000000000000001ffff\x05fated\0"),
        ] {
            assert_eq!(&canary_name(token, worker), name);
            assert!(is_canary_name(name) && is_canary_name(&name.to_ascii_uppercase()));
            assert!(!is_canary_name(&name[1..]) && !is_canary_name(&[b"\x14g", &name[2..]].concat()));
        }
    }

    #[test]
    fn every_probe_is_well_formed_and_steered_where_it_is_for_one_worker() {
        for mut probe in [Probe::canary(STEER), Probe::soa(NameRef::ROOT, Some(STEER)), Probe::soa(NameRef::ROOT, None)]
        {
            let message = probe.with_id(7);
            let header = Header::read(message).expect("whole");
            assert_eq!((header.id, header.flags, header.counts), (7, 0, [1, 0, 0, 1]));
            let question = Question::read(message, |_| ()).expect("a question");
            let edns = read_trailer(message, header, question.end()).expect("good").edns.expect("there is one");
            assert_eq!((edns.payload_bytes_max, edns.wants_nsid, edns.is_dnssec_ok), (1232, true, true));
            for end in question.end()..message.len() {
                assert!(read_trailer(&message[..end], header, question.end()).is_err(), "nothing stands behind OPT");
            }
        }
        assert!(Probe::soa(NameRef::ROOT, None).with_id(0).ends_with(b"\x00\x04\x00\x03\x00\x00"));
    }
}
