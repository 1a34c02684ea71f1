//! Keys of transactions and the MACs that they make (RFC 8945 §6).

use core::fmt;

use arrayvec::ArrayVec;
use hmac::{Hmac, KeyInit, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use crate::wire::{Name, NameRef};

/// The longest MAC, that of HMAC-SHA512, in octets.
const MAC_BYTES_MAX: usize = 64;

/// The MAC of a message, never truncated.
pub(super) type Mac = ArrayVec<u8, MAC_BYTES_MAX>;

/// The algorithms of RFC 8945 §6, but those with truncated MACs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-MD5, for old peers alone.
    Md5,
    /// HMAC-SHA1.
    Sha1,
    /// HMAC-SHA224.
    Sha224,
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA384.
    Sha384,
    /// HMAC-SHA512.
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name as it stands in messages, in wire form.
    fn octets(self) -> &'static [u8] {
        match self {
            Self::Md5 => b"\x08hmac-md5\x07sig-alg\x03reg\x03int\0",
            Self::Sha1 => b"\x09hmac-sha1\0",
            Self::Sha224 => b"\x0bhmac-sha224\0",
            Self::Sha256 => b"\x0bhmac-sha256\0",
            Self::Sha384 => b"\x0bhmac-sha384\0",
            Self::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// The name as it stands in messages.
    pub fn name(self) -> NameRef<'static> {
        NameRef::parse(self.octets()).expect("it is a name")
    }

    /// The name as people write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Md5 => "hmac-md5",
            Self::Sha1 => "hmac-sha1",
            Self::Sha224 => "hmac-sha224",
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }

    /// Reads a name as people write it, with the final dot or without, and the long name of MD5.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.strip_suffix('.').unwrap_or(word);
        let is_md5 = word.eq_ignore_ascii_case("hmac-md5.sig-alg.reg.int");
        let mut all = Self::ALL.into_iter();
        if is_md5 { Some(Self::Md5) } else { all.find(|known| word.eq_ignore_ascii_case(known.word())) }
    }

    /// Octets of a MAC.
    pub fn mac_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// A secret that two hosts share, and its name. The secret is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    secret: Box<[u8]>,
}

impl Key {
    /// Takes a secret, which may have any length.
    pub fn new(name: NameRef<'_>, algorithm: Algorithm, secret: &[u8]) -> Self {
        Self { name: name.to_lowercase(), algorithm, secret: secret.into() }
    }

    /// The name, in lower case as it is digested (RFC 8945 §4.3.3).
    pub fn name(&self) -> NameRef<'_> {
        self.name.as_ref()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// A digest of nothing so far.
    pub(super) fn digest(&self) -> Digest {
        Digest::new(self.algorithm, &self.secret)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm.word(), self.name)
    }
}

/// Makes [`Digest`] with one variant an algorithm.
macro_rules! digests {
    ($($algorithm:ident: $hash:ty,)*) => {
        /// A MAC under way.
        #[derive(Clone)]
        #[allow(clippy::large_enum_variant)] // None is kept for long.
        pub(super) enum Digest {
            $(#[doc = stringify!($algorithm)] $algorithm(Hmac<$hash>),)*
        }

        impl Digest {
            /// Begins with a key; none is too short or too long (RFC 2104 §2).
            fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
                match algorithm {
                    $(Algorithm::$algorithm => {
                        Self::$algorithm(Hmac::new_from_slice(secret).expect("any length will do"))
                    })*
                }
            }

            /// Takes octets.
            pub(super) fn add(&mut self, octets: &[u8]) {
                match self {
                    $(Self::$algorithm(digest) => digest.update(octets),)*
                }
            }

            /// Makes the MAC of all octets.
            pub(super) fn mac(self) -> Mac {
                match self {
                    $(Self::$algorithm(digest) => digest.finalize().into_bytes().as_slice().iter().copied().collect(),)*
                }
            }

            /// Whether that is the MAC of all octets; the time that it takes says nothing.
            pub(super) fn verifies(self, mac: &[u8]) -> bool {
                match self {
                    $(Self::$algorithm(digest) => digest.verify_slice(mac).is_ok(),)*
                }
            }
        }
    };
}

digests! {
    Md5: Md5,
    Sha1: Sha1,
    Sha224: Sha224,
    Sha256: Sha256,
    Sha384: Sha384,
    Sha512: Sha512,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_those_of_rfc_2202_and_rfc_4231() {
        let of = |algorithm| {
            let key = Key::new("k.".parse::<Name>().expect("a name").as_ref(), algorithm, b"Jefe");
            let mut digest = key.digest();
            digest.add(b"what do ya want ");
            digest.add(b"for nothing?");
            assert!(digest.clone().verifies(&digest.clone().mac()));
            let mac = digest.mac();
            assert_eq!(mac.len(), algorithm.mac_bytes());
            data_encoding::HEXLOWER.encode(&mac)
        };
        assert_eq!(of(Algorithm::Md5), "750c783e6ab0b503eaa86e310a5db738");
        assert_eq!(of(Algorithm::Sha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(of(Algorithm::Sha224), "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44");
        assert_eq!(of(Algorithm::Sha256), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(of(Algorithm::Sha384).starts_with("af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"));
        assert!(of(Algorithm::Sha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd6"));
    }

    #[test]
    fn algorithms_are_known_by_their_words() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_word(&algorithm.word().to_uppercase()), Some(algorithm));
            assert_eq!(Algorithm::from_word(&algorithm.name().to_string()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_word("hmac-sha256-128"), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let key = Key::new("Key.Test.".parse::<Name>().expect("a name").as_ref(), Algorithm::Sha256, b"secret");
        assert_eq!(format!("{key:?}"), "hmac-sha256 key.test.");
    }
}
