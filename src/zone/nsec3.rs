//! Hashed denial of existence: parameters, the hash, and its text form (RFC 5155 §3, §4, §5).

use arrayvec::ArrayVec;
use data_encoding::BASE32HEX_NOPAD;
use sha1::{Digest, Sha1};

use crate::wire::NameRef;
use crate::wire::name::NAME_BYTES_MAX;
use crate::zone::hash::LookupName;
use crate::zone::node::NSEC3_HASH_BYTES;

/// The most iterations with which a zone is served: what RFC 5155 §10.3 allows for the longest keys. Each costs a SHA-1
/// block on every negative answer. NSD, Knot DNS and BIND load zones with any number; validators take those with more
/// than 100 or 150 for unsigned (RFC 9276 §3.2), for which they need the proof nevertheless, so such zones are served,
/// and reported.
pub const ITERATIONS_MAX: u16 = 2_500;
/// SHA-1, the only hash algorithm there is (RFC 5155 §11).
const ALGORITHM_SHA1: u8 = 1;

/// Octets of a hash in base32hex, five bits each.
const LABEL_BYTES: usize = NSEC3_HASH_BYTES * 8 / 5;

/// What NSEC3PARAM says (RFC 5155 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Additional iterations of the hash.
    pub iterations: u16,
    /// The salt, at most 255 octets.
    pub salt: Box<[u8]>,
}

/// A hash of a name.
pub type Hash = [u8; NSEC3_HASH_BYTES];

impl Params {
    /// Reads the RDATA of an NSEC3PARAM, or the start of that of an NSEC3, which is laid out alike.
    ///
    /// `None` for an unknown algorithm.
    pub fn from_rdata(rdata: &[u8]) -> Option<Self> {
        let [ALGORITHM_SHA1, _flags, high, low, salt_length, rest @ ..] = rdata else { return None };
        let salt = rest.get(..usize::from(*salt_length))?;
        Some(Self { iterations: u16::from_be_bytes([*high, *low]), salt: salt.into() })
    }

    /// Whether the RDATA of an NSEC3 belongs to the chain with these parameters.
    pub fn fit(&self, nsec3_rdata: &[u8]) -> bool {
        Self::from_rdata(nsec3_rdata).is_some_and(|params| params == *self)
    }

    /// Hashes the octets of a name, letters in lower case.
    ///
    /// IH(salt, x, 0) = H(x ‖ salt), IH(salt, x, k) = H(IH(salt, x, k-1) ‖ salt). Source: RFC 5155 §5.
    pub fn hash(&self, name: &[u8]) -> Hash {
        let mut lower: ArrayVec<u8, NAME_BYTES_MAX> = name.iter().copied().take(NAME_BYTES_MAX).collect();
        lower.make_ascii_lowercase(); // Length octets are below `A`.
        let mut hash = Sha1::new().chain_update(&lower).chain_update(&self.salt).finalize();
        for _ in 0..self.iterations {
            hash = Sha1::new().chain_update(hash).chain_update(&self.salt).finalize();
        }
        hash.into()
    }

    /// The hashes of a name and of `*` below it, which is zero where that would be too long.
    pub(crate) fn hashes(&self, name: &LookupName<'_>) -> [Hash; 2] {
        let wildcard = name.wildcard(name.label_count());
        let of_wildcard = wildcard.map_or([0; NSEC3_HASH_BYTES], |name| self.hash(name.as_ref().as_bytes()));
        [self.hash(name.name().as_bytes()), of_wildcard]
    }
}

/// Reads the hash that is the first label of an NSEC3 record's owner (RFC 5155 §3.3). Allocates nothing.
pub fn owner_hash(owner: NameRef<'_>) -> Option<Hash> {
    let mut label: [u8; LABEL_BYTES] = owner.labels().next()?.try_into().ok()?;
    label.make_ascii_uppercase();
    let mut hash = [0; NSEC3_HASH_BYTES];
    BASE32HEX_NOPAD.decode_mut(&label, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn hashes_are_those_of_rfc_5155_appendix_a() {
        let params = Params::from_rdata(&[1, 0, 0, 12, 4, 0xAA, 0xBB, 0xCC, 0xDD]).expect("SHA-1");
        for (name, label) in [
            ("example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ] {
            let name: Name = name.parse().expect("good");
            let owner: Name = format!("{label}.example.").parse().expect("good");
            assert_eq!(Some(params.hash(name.as_ref().as_bytes())), owner_hash(owner.as_ref()));
        }
    }

    #[test]
    fn unknown_algorithms_and_labels_that_are_no_hash_are_refused() {
        assert_eq!(Params::from_rdata(&[2, 0, 0, 0, 0]), None);
        assert_eq!(Params::from_rdata(&[1, 0, 0, 0, 1]), None);
        assert_eq!(owner_hash("www.example.".parse::<Name>().expect("good").as_ref()), None);
    }
}
