//! RR TYPE and CLASS numbers with their mnemonics (IANA "DNS Parameters", RFC 6895, RFC 3597 §5).
//!
//! Owns the two newtypes and the registry of names; knows nothing of what the RDATA of a type looks like.

use core::fmt;

/// An RR TYPE or QTYPE: 16 bits, host order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Type(pub u16);

/// An RR CLASS or QCLASS: 16 bits, host order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(pub u16);

impl Class {
    /// The Internet.
    pub const IN: Self = Self(1);
    /// Chaosnet, used for `version.bind` and its like.
    pub const CH: Self = Self(3);
    /// Hesiod.
    pub const HS: Self = Self(4);
    /// QCLASS NONE (RFC 2136).
    pub const NONE: Self = Self(254);
    /// QCLASS `*`.
    pub const ANY: Self = Self(255);

    /// Reads a class mnemonic or `CLASSnnn`, in any letter case.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        for (name, class) in CLASSES {
            if text.eq_ignore_ascii_case(name.as_bytes()) {
                return Some(class);
            }
        }
        numbered(text, "CLASS").map(Self)
    }
}

const CLASSES: [(&str, Class); 5] =
    [("IN", Class::IN), ("CH", Class::CH), ("HS", Class::HS), ("NONE", Class::NONE), ("ANY", Class::ANY)];

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match CLASSES.iter().find(|(_, class)| class == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "CLASS{}", self.0),
        }
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Declares the registry: one row a type, `Rust constant = number, "mnemonic"`.
macro_rules! types {
    ($($constant:ident = $number:literal, $mnemonic:literal;)*) => {
        impl Type {
            $(#[doc = concat!("`", $mnemonic, "`, TYPE ", stringify!($number), ".")]
            pub const $constant: Self = Self($number);)*
        }
        /// Every registered mnemonic with its type, in the order of the numbers.
        const TYPES: &[(&str, Type)] = &[$(($mnemonic, Type::$constant),)*];
    };
}

types! {
    A = 1, "A";
    NS = 2, "NS";
    MD = 3, "MD";
    MF = 4, "MF";
    CNAME = 5, "CNAME";
    SOA = 6, "SOA";
    MB = 7, "MB";
    MG = 8, "MG";
    MR = 9, "MR";
    NULL = 10, "NULL";
    WKS = 11, "WKS";
    PTR = 12, "PTR";
    HINFO = 13, "HINFO";
    MINFO = 14, "MINFO";
    MX = 15, "MX";
    TXT = 16, "TXT";
    RP = 17, "RP";
    AFSDB = 18, "AFSDB";
    X25 = 19, "X25";
    ISDN = 20, "ISDN";
    RT = 21, "RT";
    NSAP = 22, "NSAP";
    NSAP_PTR = 23, "NSAP-PTR";
    SIG = 24, "SIG";
    KEY = 25, "KEY";
    PX = 26, "PX";
    GPOS = 27, "GPOS";
    AAAA = 28, "AAAA";
    LOC = 29, "LOC";
    NXT = 30, "NXT";
    EID = 31, "EID";
    NIMLOC = 32, "NIMLOC";
    SRV = 33, "SRV";
    ATMA = 34, "ATMA";
    NAPTR = 35, "NAPTR";
    KX = 36, "KX";
    CERT = 37, "CERT";
    A6 = 38, "A6";
    DNAME = 39, "DNAME";
    SINK = 40, "SINK";
    OPT = 41, "OPT";
    APL = 42, "APL";
    DS = 43, "DS";
    SSHFP = 44, "SSHFP";
    IPSECKEY = 45, "IPSECKEY";
    RRSIG = 46, "RRSIG";
    NSEC = 47, "NSEC";
    DNSKEY = 48, "DNSKEY";
    DHCID = 49, "DHCID";
    NSEC3 = 50, "NSEC3";
    NSEC3PARAM = 51, "NSEC3PARAM";
    TLSA = 52, "TLSA";
    SMIMEA = 53, "SMIMEA";
    HIP = 55, "HIP";
    NINFO = 56, "NINFO";
    RKEY = 57, "RKEY";
    TALINK = 58, "TALINK";
    CDS = 59, "CDS";
    CDNSKEY = 60, "CDNSKEY";
    OPENPGPKEY = 61, "OPENPGPKEY";
    CSYNC = 62, "CSYNC";
    ZONEMD = 63, "ZONEMD";
    SVCB = 64, "SVCB";
    HTTPS = 65, "HTTPS";
    DSYNC = 66, "DSYNC";
    HHIT = 67, "HHIT";
    BRID = 68, "BRID";
    SPF = 99, "SPF";
    UINFO = 100, "UINFO";
    UID = 101, "UID";
    GID = 102, "GID";
    UNSPEC = 103, "UNSPEC";
    NID = 104, "NID";
    L32 = 105, "L32";
    L64 = 106, "L64";
    LP = 107, "LP";
    EUI48 = 108, "EUI48";
    EUI64 = 109, "EUI64";
    NXNAME = 128, "NXNAME";
    TKEY = 249, "TKEY";
    TSIG = 250, "TSIG";
    IXFR = 251, "IXFR";
    AXFR = 252, "AXFR";
    MAILB = 253, "MAILB";
    MAILA = 254, "MAILA";
    ANY = 255, "ANY";
    URI = 256, "URI";
    CAA = 257, "CAA";
    AVC = 258, "AVC";
    DOA = 259, "DOA";
    AMTRELAY = 260, "AMTRELAY";
    RESINFO = 261, "RESINFO";
    WALLET = 262, "WALLET";
    CLA = 263, "CLA";
    IPN = 264, "IPN";
    TA = 32768, "TA";
    DLV = 32769, "DLV";
}

impl Type {
    /// Reads a type mnemonic or `TYPEnnn`, in any letter case.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        match text {
            // The commonest first: a zone file is mostly these.
            b"A" => return Some(Self::A),
            b"NS" => return Some(Self::NS),
            b"AAAA" => return Some(Self::AAAA),
            b"RRSIG" => return Some(Self::RRSIG),
            b"DS" => return Some(Self::DS),
            b"CNAME" => return Some(Self::CNAME),
            b"MX" => return Some(Self::MX),
            b"TXT" => return Some(Self::TXT),
            b"NSEC" => return Some(Self::NSEC),
            b"NSEC3" => return Some(Self::NSEC3),
            b"SOA" => return Some(Self::SOA),
            _ => {}
        }
        TYPES
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, rtype)| *rtype)
            .or_else(|| numbered(text, "TYPE").map(Self))
    }

    /// The registered mnemonic, if there is one.
    pub fn mnemonic(self) -> Option<&'static str> {
        TYPES.binary_search_by_key(&self, |(_, rtype)| *rtype).ok().map(|index| TYPES[index].0)
    }

    /// Whether the number may only be asked for, or lives in messages only, and never stands in a zone
    /// (RFC 6895 §3.1: meta-types 128 to 255, OPT, and the reserved 0).
    pub fn is_meta(self) -> bool {
        self.0 == 0 || self == Self::OPT || (128..=255).contains(&self.0)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(name) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads `PREFIXnnn` (RFC 3597 §5): decimal digits only, at most 65535.
fn numbered(text: &[u8], prefix: &str) -> Option<u16> {
    let (head, digits) = text.split_at_checked(prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix.as_bytes()) || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_is_in_the_order_of_numbers() {
        assert!(TYPES.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }

    #[test]
    fn mnemonics_and_numbers_read_back() {
        for (name, rtype) in TYPES {
            assert_eq!(Type::from_text(name.to_ascii_lowercase().as_bytes()), Some(*rtype));
            assert_eq!(Type::from_text(format!("type{}", rtype.0).as_bytes()), Some(*rtype));
            assert_eq!(rtype.to_string(), *name);
        }
        assert_eq!(Type(65400).to_string(), "TYPE65400");
        assert_eq!(Type::from_text(b"TYPE65536"), None);
        assert_eq!(Type::from_text(b"TYPE+1"), None);
        assert_eq!(Class::from_text(b"class3"), Some(Class::CH));
        assert_eq!(Class(7).to_string(), "CLASS7");
    }
}
