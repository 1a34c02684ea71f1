//! TSIG of a primary (RFC 8945 §4.3), with all that can be wrong about it. Independent of `fated::wire::tsig`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::primary::{Message, NOW, encoded};

/// The algorithm, as it stands in the record.
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\0";
/// Octets of a MAC.
pub(crate) const MAC_BYTES: usize = 32;

/// What the record of one message says.
#[derive(Clone)]
pub(crate) struct Odd {
    pub(crate) key: &'static [u8],
    pub(crate) algorithm: &'static [u8],
    pub(crate) secret: &'static [u8],
    pub(crate) time: u64,
    pub(crate) error: u16,
    pub(crate) other: &'static [u8],
    /// Octets of the MAC that are sent.
    pub(crate) mac_bytes: usize,
    /// A bit of the MAC is another.
    pub(crate) is_changed: bool,
}

/// A record with nothing odd.
pub(crate) const PLAIN: Odd = Odd {
    key: b"\x03key\0",
    algorithm: ALGORITHM,
    secret: b"secret",
    time: NOW,
    error: 0,
    other: &[],
    mac_bytes: MAC_BYTES,
    is_changed: false,
};

/// Signs the messages of one reply.
pub(crate) struct Signing {
    prior: Vec<u8>,
    /// Messages since the last that was signed.
    pending: Vec<u8>,
    is_first: bool,
}

impl Signing {
    /// Answers that request.
    pub(crate) fn of(request: &[u8]) -> Self {
        // Behind the MAC stand Original ID, Error and Other Len.
        let end = request.len() - 6;
        Self { prior: request[end - MAC_BYTES..end].to_vec(), pending: Vec::new(), is_first: true }
    }

    /// The message without a record.
    pub(crate) fn leave(&mut self, message: &Message) -> Vec<u8> {
        let octets = message.octets();
        self.pending.extend_from_slice(&octets);
        octets
    }

    /// The message with a record as `odd` says.
    pub(crate) fn sign(&mut self, message: &Message, odd: &Odd) -> Vec<u8> {
        let mut sent = self.mac(&message.octets(), odd)[..odd.mac_bytes].to_vec();
        if odd.is_changed {
            sent[7] ^= 0x10;
        }
        let [sent, other] = [&sent, odd.other].map(sized);
        let rdata = [odd.algorithm, &odd.times(), &sent, &message.id.to_be_bytes(), &odd.error.to_be_bytes(), &other];
        let mut signed = message.clone();
        signed.additional.push(encoded(odd.key, 250, 255, 0, &rdata.concat()));
        signed.octets()
    }

    /// The MAC of the next message, which stands without its record.
    pub(crate) fn mac(&mut self, message: &[u8], odd: &Odd) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(odd.secret).expect("any length will do");
        mac.update(&sized(&self.prior));
        mac.update(&std::mem::take(&mut self.pending));
        mac.update(message);
        if std::mem::take(&mut self.is_first) {
            let key = odd.key.to_ascii_lowercase();
            mac.update(&[&key, &[0, 255, 0, 0, 0, 0][..], odd.algorithm].concat());
            mac.update(&[&odd.times()[..], &odd.error.to_be_bytes(), &sized(odd.other)].concat());
        } else {
            mac.update(&odd.times());
        }
        self.prior = mac.finalize().into_bytes().to_vec();
        self.prior.clone()
    }
}

impl Odd {
    /// Time Signed and Fudge.
    fn times(&self) -> Vec<u8> {
        [&self.time.to_be_bytes()[2..], &300_u16.to_be_bytes()].concat()
    }
}

/// Octets with their count in front.
fn sized(octets: &[u8]) -> Vec<u8> {
    [&u16::try_from(octets.len()).expect("short").to_be_bytes(), octets].concat()
}
