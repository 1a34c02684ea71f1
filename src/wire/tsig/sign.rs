//! Messages signed and verified, alone or in streams (RFC 8945 §5).
//!
//! A message to be signed stands without its TSIG record; one to be verified with it, and the record was found by
//! whoever read the message. Time is an argument, in seconds since the Unix epoch.

use std::sync::Arc;

use super::key::{Digest, Key, Mac};
use super::{BADKEY, BADSIG, BADTIME, FUDGE_S, HEAD_BYTES, ID_BYTES, TIME_BYTES, Tsig};
use crate::wire::Class;
use crate::wire::message::HEADER_BYTES;

/// The most messages of a stream without a signature between two that have one (RFC 8945 §5.3.1).
pub const UNSIGNED_MAX: usize = 99;

/// Why a signature is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TsigError {
    /// There is none where one must be.
    #[error("the message is not signed")]
    Missing,
    /// More than [`UNSIGNED_MAX`] messages of a stream in a row have none.
    #[error("more than {UNSIGNED_MAX} messages in a row are not signed")]
    Unsigned,
    /// It was made with another key or algorithm, or none that is known (BADKEY).
    #[error("the key or its algorithm is not known (BADKEY)")]
    Key,
    /// The MAC is not that of the message (BADSIG).
    #[error("the MAC is wrong (BADSIG)")]
    Mac,
    /// The MAC is right, but was made too long ago or in the future (BADTIME).
    #[error("the clocks differ by more than the fudge (BADTIME)")]
    Time,
    /// The peer says in a record of its own what it did not take; the number is that of the ERROR field.
    #[error("the peer refuses the signature (TSIG error {0})")]
    Refused(u16),
}

impl TsigError {
    /// What the ERROR field of a reply says of a request with this fault.
    pub fn code(self) -> u16 {
        match self {
            Self::Key => BADKEY,
            Self::Time => BADTIME,
            Self::Missing | Self::Unsigned | Self::Mac | Self::Refused(_) => BADSIG,
        }
    }
}

/// What a MAC covers besides the message.
#[derive(Clone, Copy)]
struct Variables<'m> {
    time_signed: u64,
    fudge: u16,
    error: u16,
    other: &'m [u8],
}

impl Variables<'_> {
    /// Adds what the record says (RFC 8945 §4.3.3); behind the first message of a stream only the times (§5.3.1).
    fn add_to(self, digest: &mut Digest, key: &Key, is_first: bool) {
        if is_first {
            digest.add(key.name().as_bytes());
            digest.add(&Class::ANY.0.to_be_bytes());
            digest.add(&[0; 4]); // TTL
            digest.add(key.algorithm().name().as_bytes());
        }
        digest.add(&self.time_signed.to_be_bytes()[2..]);
        digest.add(&self.fudge.to_be_bytes());
        if is_first {
            digest.add(&self.error.to_be_bytes());
            digest.add(&(self.other.len() as u16).to_be_bytes());
            digest.add(self.other);
        }
    }
}

/// Adds a MAC with its length in front.
fn add_mac(digest: &mut Digest, mac: &[u8]) {
    digest.add(&(mac.len() as u16).to_be_bytes());
    digest.add(mac);
}

/// Adds a message as it was signed: without the record at `end`, which its header does not count, with its first ID.
fn add_signed(digest: &mut Digest, message: &[u8], end: usize, original_id: u16) {
    let Some((head, body)) = message.get(..end).and_then(|signed| signed.split_first_chunk::<HEADER_BYTES>()) else {
        return;
    };
    let mut head = *head;
    head[..2].copy_from_slice(&original_id.to_be_bytes());
    let count = u16::from_be_bytes([head[10], head[11]]).wrapping_sub(1);
    head[10..].copy_from_slice(&count.to_be_bytes());
    digest.add(&head);
    digest.add(body);
}

/// Signs the messages of one exchange in order: a request, or the reply to one, of any number of messages.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Arc<Key>,
    /// The MAC of the message before: of the request, for the first of a reply.
    prior: Mac,
    is_first: bool,
}

impl Signer {
    /// Signs a request.
    pub fn of_request(key: Arc<Key>) -> Self {
        Self { key, prior: Mac::new(), is_first: true }
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Octets of a record that it appends: at most six of Other Data among them.
    pub fn record_bytes_max(&self) -> usize {
        let key = &self.key;
        key.name().len()
            + HEAD_BYTES
            + key.algorithm().name().len()
            + TIME_BYTES
            + 2
            + key.algorithm().mac_bytes()
            + ID_BYTES
            + 2
            + OTHER_BYTES_MAX
    }

    /// Signs the message of `length` octets in `buffer` at `now`, appends the record and counts it in the header.
    /// Returns the new length.
    ///
    /// # Panics
    /// If `buffer` has no room for [`Self::record_bytes_max`] octets behind the message.
    pub fn sign(&mut self, buffer: &mut [u8], length: usize, now: u64) -> usize {
        self.append(buffer, length, Variables { time_signed: now, fudge: FUDGE_S, error: 0, other: &[] })
    }

    /// Signs the reply to a request whose time is not taken: it repeats that time, and says our own (RFC 8945 §5.2.3).
    ///
    /// # Panics
    /// As [`Self::sign`].
    pub fn sign_bad_time(&mut self, buffer: &mut [u8], length: usize, request: &Tsig<'_>, now: u64) -> usize {
        let other = &now.to_be_bytes()[2..];
        let time_signed = request.time_signed;
        self.append(buffer, length, Variables { time_signed, fudge: request.fudge, error: BADTIME, other })
    }

    /// Signs and appends.
    fn append(&mut self, buffer: &mut [u8], length: usize, variables: Variables<'_>) -> usize {
        let mut digest = self.key.digest();
        if !self.prior.is_empty() {
            add_mac(&mut digest, &self.prior);
        }
        digest.add(&buffer[..length]);
        variables.add_to(&mut digest, &self.key, self.is_first);
        (self.prior, self.is_first) = (digest.mac(), false);
        let tsig = Tsig {
            key: self.key.name().to_name(),
            algorithm: self.key.algorithm().name().to_name(),
            time_signed: variables.time_signed,
            fudge: variables.fudge,
            mac: &self.prior,
            original_id: u16::from_be_bytes([buffer[0], buffer[1]]),
            error: variables.error,
            other: variables.other,
        };
        let end = length + tsig.record_bytes();
        tsig.write(&mut buffer[length..end]);
        let count = u16::from_be_bytes([buffer[10], buffer[11]]) + 1;
        buffer[10..HEADER_BYTES].copy_from_slice(&count.to_be_bytes());
        end
    }
}

/// The most octets of Other Data that we write: a time.
const OTHER_BYTES_MAX: usize = 6;

/// Verifies a request, of which `tsig` is the record at `at`, the last of the message. Returns who signs the reply.
///
/// # Errors
/// [`TsigError::Key`], [`TsigError::Mac`] and, with who signs the refusal, [`TsigError::Time`].
pub fn verify_request(
    key: Option<&Arc<Key>>,
    message: &[u8],
    at: usize,
    tsig: &Tsig<'_>,
    now: u64,
) -> Result<Signer, (TsigError, Option<Signer>)> {
    let key = key.filter(|key| is_key_of(key, tsig)).ok_or((TsigError::Key, None))?;
    let mut digest = key.digest();
    add_signed(&mut digest, message, at, tsig.original_id);
    tsig.variables().add_to(&mut digest, key, true);
    if !digest.verifies(tsig.mac) {
        return Err((TsigError::Mac, None));
    }
    let prior = Mac::try_from(tsig.mac).map_err(|_| (TsigError::Mac, None))?;
    let signer = Signer { key: Arc::clone(key), prior, is_first: true };
    match tsig.is_in_time(now) {
        true => Ok(signer),
        false => Err((TsigError::Time, Some(signer))),
    }
}

/// Whether a record names that key and its algorithm; letter case says nothing.
fn is_key_of(key: &Key, tsig: &Tsig<'_>) -> bool {
    tsig.key.as_ref() == key.name() && tsig.algorithm.as_ref() == key.algorithm().name()
}

/// Verifies the messages of a reply in order, of which the first and the last must be signed, and no more than
/// [`UNSIGNED_MAX`] in a row may not be.
pub struct Verifier {
    key: Arc<Key>,
    digest: Digest,
    is_first: bool,
    unsigned_count: usize,
}

impl Verifier {
    /// Verifies the reply to what `request` signed last.
    pub fn of_reply(request: &Signer) -> Self {
        Self {
            key: Arc::clone(&request.key),
            digest: begun(&request.key, &request.prior),
            is_first: true,
            unsigned_count: 0,
        }
    }

    /// Takes the next message; `tsig` is its record and where that stands, if there is one.
    ///
    /// # Errors
    /// [`TsigError`], behind which nothing of the reply may be used. [`TsigError::Refused`] and [`TsigError::Time`]
    /// are themselves signed; the others say nothing about who sent the message.
    pub fn take(&mut self, message: &[u8], tsig: Option<(usize, &Tsig<'_>)>, now: u64) -> Result<(), TsigError> {
        let Some((at, tsig)) = tsig else {
            if self.is_first {
                return Err(TsigError::Missing);
            }
            self.unsigned_count += 1;
            if self.unsigned_count > UNSIGNED_MAX {
                return Err(TsigError::Unsigned);
            }
            self.digest.add(message);
            return Ok(());
        };
        if !is_key_of(&self.key, tsig) {
            return Err(TsigError::Key);
        }
        let mut digest = std::mem::replace(&mut self.digest, begun(&self.key, tsig.mac));
        add_signed(&mut digest, message, at, tsig.original_id);
        tsig.variables().add_to(&mut digest, &self.key, self.is_first);
        if !digest.verifies(tsig.mac) {
            // Who does not know the key can only say so without a MAC.
            let is_refusal = tsig.mac.is_empty() && tsig.error != 0;
            return Err(if is_refusal { TsigError::Refused(tsig.error) } else { TsigError::Mac });
        }
        (self.is_first, self.unsigned_count) = (false, 0);
        match tsig.error {
            0 if tsig.is_in_time(now) => Ok(()),
            0 => Err(TsigError::Time),
            error => Err(TsigError::Refused(error)),
        }
    }

    /// Whether the message that was taken last was signed, as the last of a reply must be.
    pub fn is_signed(&self) -> bool {
        !self.is_first && self.unsigned_count == 0
    }
}

/// A digest that begins with the MAC of the message before.
fn begun(key: &Key, prior: &[u8]) -> Digest {
    let mut digest = key.digest();
    add_mac(&mut digest, prior);
    digest
}

impl<'m> Tsig<'m> {
    /// What its MAC covers besides the message.
    fn variables(&self) -> Variables<'m> {
        let Self { time_signed, fudge, error, other, .. } = *self;
        Variables { time_signed, fudge, error, other }
    }

    /// Whether it was signed within its fudge around `now`.
    fn is_in_time(&self, now: u64) -> bool {
        now.abs_diff(self.time_signed) <= self.fudge.into()
    }
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
