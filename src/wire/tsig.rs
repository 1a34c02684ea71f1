//! The TSIG record of a query: read as far as it takes to refuse it (RFC 8945 §4.2).
//!
//! Knows no key yet: there is none that could be right. What is verified with keys and signed stands here when there are some.

use crate::wire::{Class, Name, Type};

/// ERROR of a key that is not known (RFC 8945 §3).
pub const BADKEY: u16 = 17;

/// Octets of TYPE, CLASS, TTL and RDLENGTH.
const HEAD_BYTES: usize = 10;
/// Octets of Time Signed and Fudge.
const TIME_BYTES: usize = 8;
/// Octets of Original ID and Error.
const ID_BYTES: usize = 4;

/// What the TSIG record of a query says that its reply repeats.
///
/// ```text
/// key name | TYPE 250 | CLASS ANY | TTL 0 | RDLENGTH
/// algorithm name | Time Signed (48) | Fudge (16) | MAC Size (16) | MAC | Original ID (16) | Error (16) | Other Len (16) | Other
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tsig {
    /// The name of the key.
    pub key: Name,
    /// The name of the algorithm.
    pub algorithm: Name,
    /// Time Signed and Fudge.
    time: [u8; TIME_BYTES],
}

impl Tsig {
    /// Reads the record at `at`, which is a whole record of that type. `None` where it is malformed: of another class than ANY, or
    /// its RDATA is not what the fields say. Its TTL is not looked at, as BIND and Knot do not either.
    pub fn read(message: &[u8], at: usize) -> Option<Self> {
        let (key, head_at) = Name::read(message, at).ok()?;
        let head = message.get(head_at..)?.first_chunk::<HEAD_BYTES>()?;
        let rdata_at = head_at + HEAD_BYTES;
        let end = rdata_at + usize::from(u16::from_be_bytes([head[8], head[9]]));
        let is_any = head[2..4] == Class::ANY.0.to_be_bytes();
        let (algorithm, fields_at) = Name::read(message, rdata_at).ok().filter(|_| is_any)?;
        let fields = message.get(fields_at..end)?;
        let (time, fields) = fields.split_first_chunk::<TIME_BYTES>()?;
        let fields = behind_sized(fields)?;
        let (_id_and_error, fields) = fields.split_first_chunk::<ID_BYTES>()?;
        behind_sized(fields)?.is_empty().then_some(Self { key, algorithm, time: *time })
    }

    /// Octets of the record that says why this one is refused.
    pub fn refusal_bytes(&self) -> usize {
        self.key.as_ref().len() + HEAD_BYTES + self.refusal_rdata_bytes()
    }

    /// Octets of its RDATA: no MAC, and nothing else to say.
    fn refusal_rdata_bytes(&self) -> usize {
        self.algorithm.as_ref().len() + TIME_BYTES + 2 + ID_BYTES + 2
    }

    /// Writes the record that says why this one is refused, unsigned (RFC 8945 §5.3.2), into a reply with this ID: `out` has
    /// [`Self::refusal_bytes`] octets.
    pub fn write_refusal(&self, id: u16, error: u16, out: &mut [u8]) {
        let [length, class, rtype] =
            [self.refusal_rdata_bytes() as u16, Class::ANY.0, Type::TSIG.0].map(u16::to_be_bytes);
        let mut rest = out;
        for octets in [
            self.key.as_ref().as_bytes(),
            &rtype,
            &class,
            &[0; 4], // TTL
            &length,
            self.algorithm.as_ref().as_bytes(),
            &self.time,
            &[0; 2],           // MAC Size
            &id.to_be_bytes(), // Original ID
            &error.to_be_bytes(),
            &[0; 2], // Other Len
        ] {
            let (here, behind) = rest.split_at_mut(octets.len());
            here.copy_from_slice(octets);
            rest = behind;
        }
    }
}

/// What stands behind octets that have their count in front.
fn behind_sized(fields: &[u8]) -> Option<&[u8]> {
    let (count, rest) = fields.split_first_chunk::<2>()?;
    rest.get(usize::from(u16::from_be_bytes(*count))..)
}
