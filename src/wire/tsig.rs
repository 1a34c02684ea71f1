//! Signatures of transactions: the TSIG record of a message (RFC 8945 §4.2), keys, and who signs and verifies.
//!
//! Which keys are known is for others to say.

mod key;
mod sign;

pub use key::{Algorithm, Key};
pub use sign::{Signer, TsigError, UNSIGNED_MAX, Verifier, verify_request};

use crate::wire::{Class, Name, Type};

/// ERROR of a MAC that is not that of the message (RFC 8945 §3).
pub const BADSIG: u16 = 16;
/// ERROR of a key that is not known.
pub const BADKEY: u16 = 17;
/// ERROR of a time that is not near enough.
pub const BADTIME: u16 = 18;
/// By how many seconds clocks may differ from ours, as all peers have it.
pub const FUDGE_S: u16 = 300;

/// Octets of TYPE, CLASS, TTL and RDLENGTH.
const HEAD_BYTES: usize = 10;
/// Octets of Time Signed and Fudge.
const TIME_BYTES: usize = 8;
/// Octets of Original ID and Error.
const ID_BYTES: usize = 4;

/// What a TSIG record says.
///
/// ```text
/// key name | TYPE 250 | CLASS ANY | TTL 0 | RDLENGTH
/// algorithm name | Time Signed (48) | Fudge (16) | MAC Size (16) | MAC | Original ID (16) | Error (16)
/// Other Len (16) | Other
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tsig<'m> {
    /// The name of the key.
    pub key: Name,
    /// The name of the algorithm.
    pub algorithm: Name,
    /// When the message was signed, in seconds since the Unix epoch: 48 bits.
    pub time_signed: u64,
    /// By how many seconds the clocks may differ.
    pub fudge: u16,
    /// The MAC.
    pub mac: &'m [u8],
    /// The ID of the message when it was signed.
    pub original_id: u16,
    /// The extended RCODE of TSIG.
    pub error: u16,
    /// What the error needs besides.
    pub other: &'m [u8],
}

impl<'m> Tsig<'m> {
    /// Reads the record at `at`, which is a whole record of that type; what is signed stands in front of it. `None`
    /// where it is malformed: of another class than ANY, or its RDATA is not what the fields say. Its TTL is not
    /// looked at, as BIND and Knot do not either.
    pub fn read(message: &'m [u8], at: usize) -> Option<Self> {
        let (key, head_at) = Name::read(message, at).ok()?;
        let head = message.get(head_at..)?.first_chunk::<HEAD_BYTES>()?;
        let rdata_at = head_at + HEAD_BYTES;
        let end = rdata_at + usize::from(u16::from_be_bytes([head[8], head[9]]));
        let is_any = head[2..4] == Class::ANY.0.to_be_bytes();
        let (algorithm, fields_at) = Name::read(message, rdata_at).ok().filter(|_| is_any)?;
        let ([t0, t1, t2, t3, t4, t5, f0, f1], fields) =
            message.get(fields_at..end)?.split_first_chunk::<TIME_BYTES>()?;
        let (mac, fields) = split_sized(fields)?;
        let ([i0, i1, e0, e1], fields) = fields.split_first_chunk::<ID_BYTES>()?;
        let (other, rest) = split_sized(fields)?;
        rest.is_empty().then_some(Self {
            key,
            algorithm,
            time_signed: u64::from_be_bytes([0, 0, *t0, *t1, *t2, *t3, *t4, *t5]),
            fudge: u16::from_be_bytes([*f0, *f1]),
            mac,
            original_id: u16::from_be_bytes([*i0, *i1]),
            error: u16::from_be_bytes([*e0, *e1]),
            other,
        })
    }

    /// The record that says, unsigned, why this one is refused, in a reply with this ID (RFC 8945 §5.3.2).
    pub fn refusal(&self, id: u16, error: u16) -> Tsig<'static> {
        Tsig { mac: &[], original_id: id, error, other: &[], ..*self }
    }

    /// Octets of the record.
    pub fn record_bytes(&self) -> usize {
        self.key.as_ref().len() + HEAD_BYTES + self.rdata_bytes()
    }

    /// Octets of its RDATA.
    fn rdata_bytes(&self) -> usize {
        self.algorithm.as_ref().len() + TIME_BYTES + 2 + self.mac.len() + ID_BYTES + 2 + self.other.len()
    }

    /// Writes the record, uncompressed: `out` has [`Self::record_bytes`] octets.
    pub fn write(&self, out: &mut [u8]) {
        let [length, class, rtype] = [self.rdata_bytes() as u16, Class::ANY.0, Type::TSIG.0].map(u16::to_be_bytes);
        let [mac_bytes, other_bytes] = [self.mac, self.other].map(|octets| (octets.len() as u16).to_be_bytes());
        let mut rest = out;
        for octets in [
            self.key.as_ref().as_bytes(),
            &rtype,
            &class,
            &[0; 4], // TTL
            &length,
            self.algorithm.as_ref().as_bytes(),
            &self.time_signed.to_be_bytes()[2..],
            &self.fudge.to_be_bytes(),
            &mac_bytes,
            self.mac,
            &self.original_id.to_be_bytes(),
            &self.error.to_be_bytes(),
            &other_bytes,
            self.other,
        ] {
            let (here, behind) = rest.split_at_mut(octets.len());
            here.copy_from_slice(octets);
            rest = behind;
        }
    }
}

/// Parts octets that have their count in front from what stands behind them.
fn split_sized(fields: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = fields.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_are_read_and_no_part_of_a_record_is_one() {
        let mut message = b"in front".to_vec();
        message.extend(b"\x03key\0\x00\xFA\x00\xFF\0\0\0\0\x00\x26");
        message.extend(b"\x0Bhmac-sha256\0\x00\x01\x02\x03\x04\x05\x01\x2C\x00\x03MAC\x12\x34\x00\x12\x00\x06behind");
        let rdata_bytes = message.len() - (8 + 5 + HEAD_BYTES);
        message[8 + 5 + 9] = rdata_bytes as u8;
        let tsig = Tsig::read(&message, 8).expect("it is whole");
        assert_eq!((tsig.key.to_string(), tsig.algorithm.to_string()), ("key.".to_owned(), "hmac-sha256.".to_owned()));
        assert_eq!((tsig.time_signed, tsig.fudge, tsig.mac), (0x0001_0203_0405, 300, &b"MAC"[..]));
        assert_eq!((tsig.original_id, tsig.error, tsig.other), (0x1234, 18, &b"behind"[..]));
        for end in 8..message.len() {
            assert!(Tsig::read(&message[..end], 8).is_none(), "{end}");
        }
        message[8 + 5 + 9] -= 1;
        assert!(Tsig::read(&message, 8).is_none(), "an octet behind what the fields say");
    }
}
