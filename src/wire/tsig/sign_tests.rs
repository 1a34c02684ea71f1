//! Signing and verifying, each against the other; peers and other implementations are in `tests/`.

use std::sync::Arc;

use super::*;
use crate::wire::Name;
use crate::wire::message::{Header, Question, read_trailer};
use crate::wire::tsig::Algorithm;

const NOW: u64 = 1_800_000_000;

fn key(name: &str, secret: &[u8]) -> Arc<Key> {
    Arc::new(Key::new(name.parse::<Name>().expect("a name").as_ref(), Algorithm::Sha256, secret))
}

/// A query or a reply for `example. SOA`.
fn message(id: u16, flags: u16) -> (Vec<u8>, usize) {
    let mut octets = vec![0; 512];
    octets[..2].copy_from_slice(&id.to_be_bytes());
    octets[2..4].copy_from_slice(&flags.to_be_bytes());
    octets[5] = 1;
    octets[12..25].copy_from_slice(b"\x07example\0\0\x06\0\x01");
    (octets, 25)
}

fn signed(signer: &mut Signer, id: u16, flags: u16, now: u64) -> Vec<u8> {
    let (mut octets, length) = message(id, flags);
    let length = signer.sign(&mut octets, length, now);
    assert!(length <= 25 + signer.record_bytes_max());
    octets.truncate(length);
    octets
}

/// Where the record of a message stands.
fn record_at(message: &[u8]) -> Option<usize> {
    let header = Header::read(message).expect("a header");
    let question = Question::read(message, |_| {}).expect("a question");
    let trailer = read_trailer(message, header, question.end()).expect("records");
    trailer.tsig_at.map(|at| at.get().into())
}

fn verify(key: &Arc<Key>, message: &[u8], now: u64) -> Result<Signer, TsigError> {
    let at = record_at(message).expect("a record");
    let tsig = Tsig::read(message, at).expect("a record");
    verify_request(Some(key), message, at, &tsig, now).map_err(|(error, _)| error)
}

fn take(verifier: &mut Verifier, message: &[u8], now: u64) -> Result<(), TsigError> {
    let at = record_at(message);
    let tsig = at.map(|at| (at, Tsig::read(message, at).expect("a record")));
    verifier.take(message, tsig.as_ref().map(|(at, tsig)| (*at, tsig)), now)
}

#[test]
fn a_request_is_taken_and_each_octet_of_it_counts() {
    let key = key("Key.", b"secret");
    let request = signed(&mut Signer::of_request(Arc::clone(&key)), 7, 0, NOW);
    assert!(verify(&key, &request, NOW + 300).is_ok());
    assert_eq!(verify(&key, &request, NOW + 301).err(), Some(TsigError::Time));
    assert_eq!(verify(&key, &request, NOW - 301).err(), Some(TsigError::Time));
    // A forwarder changes the ID alone.
    let mut forwarded = request.clone();
    forwarded[1] = 9;
    assert!(verify(&key, &forwarded, NOW).is_ok());
    for at in (2..4).chain(13..20).chain(21..25) {
        let mut changed = request.clone();
        changed[at] ^= 1;
        assert_eq!(verify(&key, &changed, NOW).err(), Some(TsigError::Mac), "{at}");
    }
    let mut changed = request.clone();
    let last = changed.len() - 7;
    changed[last] ^= 1;
    assert_eq!(verify(&key, &changed, NOW).err(), Some(TsigError::Mac));
}

#[test]
fn another_key_or_none_is_badkey_and_another_secret_badsig() {
    let request = signed(&mut Signer::of_request(key("key.", b"secret")), 7, 0, NOW);
    assert_eq!(verify(&key("KEY.", b"secret"), &request, NOW).err(), None);
    assert_eq!(verify(&key("other.", b"secret"), &request, NOW).err(), Some(TsigError::Key));
    assert_eq!(verify(&key("key.", b"other"), &request, NOW).err(), Some(TsigError::Mac));
    let at = record_at(&request).expect("a record");
    let tsig = Tsig::read(&request, at).expect("a record");
    assert!(matches!(verify_request(None, &request, at, &tsig, NOW), Err((TsigError::Key, None))));
    assert_eq!([TsigError::Mac, TsigError::Key, TsigError::Time].map(TsigError::code), [BADSIG, BADKEY, BADTIME]);
}

#[test]
fn a_stream_is_verified_with_unsigned_messages_within_bounds() {
    let key = key("key.", b"secret");
    let mut client = Signer::of_request(Arc::clone(&key));
    let request = signed(&mut client, 7, 0, NOW);
    let mut server = verify(&key, &request, NOW).expect("it is right");
    let mut verifier = Verifier::of_reply(&client);
    let first = signed(&mut server, 7, 0x8000, NOW);
    let second = signed(&mut server, 7, 0x8000, NOW + 400);
    take(&mut verifier, &first, NOW).expect("it is right");
    assert!(verifier.is_signed());
    take(&mut verifier, &second, NOW + 400).expect("it has a time of its own");
    let mut reordered = Verifier::of_reply(&client);
    assert_eq!(take(&mut reordered, &second, NOW + 400), Err(TsigError::Mac));

    let (mut unsigned, length) = message(7, 0x8000);
    unsigned.truncate(length);
    for _ in 0..UNSIGNED_MAX {
        take(&mut verifier, &unsigned, NOW + 400).expect("some may be unsigned");
        assert!(!verifier.is_signed());
    }
    assert_eq!(take(&mut verifier, &unsigned, NOW + 400), Err(TsigError::Unsigned));
    assert_eq!(take(&mut Verifier::of_reply(&client), &unsigned, NOW), Err(TsigError::Missing));
}

#[test]
fn a_time_that_is_refused_is_said_and_signed() {
    let key = key("key.", b"secret");
    let mut client = Signer::of_request(Arc::clone(&key));
    let request = signed(&mut client, 7, 0, NOW - 4000);
    let at = record_at(&request).expect("a record");
    let tsig = Tsig::read(&request, at).expect("a record");
    let Err((TsigError::Time, Some(mut server))) = verify_request(Some(&key), &request, at, &tsig, NOW) else {
        panic!("the time is taken");
    };
    let (mut reply, length) = message(7, 0x8009);
    let length = server.sign_bad_time(&mut reply, length, &tsig, NOW);
    reply.truncate(length);
    let record = Tsig::read(&reply, record_at(&reply).expect("a record")).expect("a record");
    assert_eq!((record.error, record.time_signed, record.other.len()), (BADTIME, NOW - 4000, 6));
    assert_eq!(take(&mut Verifier::of_reply(&client), &reply, NOW), Err(TsigError::Refused(BADTIME)));
    let refusal = tsig.refusal(7, BADSIG);
    let (mut bare, length) = message(7, 0x8009);
    refusal.write(&mut bare[length..length + refusal.record_bytes()]);
    bare.truncate(length + refusal.record_bytes());
    bare[11] = 1;
    assert_eq!(take(&mut Verifier::of_reply(&client), &bare, NOW), Err(TsigError::Refused(BADSIG)));
}
