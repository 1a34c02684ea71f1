//! Mnemonics of numbers inside RDATA: algorithms, digests, certificate types, DSYNC schemes, flags of KEY.
//!
//! Owns the registers (IANA "DNS Security Algorithm Numbers", "CERT RR Certificate Types", RFC 2535 §7.1,
//! RFC 9859 §2.1). Where a number has several names, the first is written and all are read.

/// A register: each mnemonic with its number.
pub(super) type Register = &'static [(&'static str, u16)];

/// The number of a mnemonic, in any letter case.
pub(super) fn number_of(register: Register, text: &[u8]) -> Option<u16> {
    register.iter().find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes())).map(|(_, number)| *number)
}

/// The mnemonic to be written for a number.
pub(super) fn name_of(register: Register, number: u16) -> Option<&'static str> {
    register.iter().find(|(_, other)| *other == number).map(|(name, _)| *name)
}

/// DNSSEC algorithms.
pub(super) const ALGORITHMS: Register = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("NSEC3DSA", 6),
    ("DSA-NSEC3-SHA1", 6),
    ("NSEC3RSASHA1", 7),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECCGOST", 12),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Digests of DS and its like.
pub(super) const DIGESTS: Register =
    &[("SHA-1", 1), ("SHA1", 1), ("SHA-256", 2), ("SHA256", 2), ("GOST", 3), ("SHA-384", 4), ("SHA384", 4)];

/// Certificate types (RFC 4398 §2.1).
pub(super) const CERTIFICATES: Register = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// Schemes of DSYNC (RFC 9859 §2.1).
pub(super) const SCHEMES: Register = &[("NOTIFY", 1)];

/// Protocols of KEY (RFC 2535 §3.1.3).
pub(super) const PROTOCOLS: Register =
    &[("NONE", 0), ("TLS", 1), ("EMAIL", 2), ("DNSSEC", 3), ("IPSEC", 4), ("ALL", 255)];

/// Flags of KEY and its heirs, joined by `|` (RFC 2535 §7.1).
pub(super) const KEY_FLAGS: Register = &[
    ("NOCONF", 0x4000),
    ("NOAUTH", 0x8000),
    ("NOKEY", 0xC000),
    ("FLAG2", 0x2000),
    ("EXTEND", 0x1000),
    ("FLAG4", 0x0800),
    ("FLAG5", 0x0400),
    ("USER", 0x0000),
    ("ZONE", 0x0100),
    ("HOST", 0x0200),
    ("NTYP3", 0x0300),
    ("FLAG8", 0x0080),
    ("FLAG9", 0x0040),
    ("FLAG10", 0x0020),
    ("FLAG11", 0x0010),
    ("SIG0", 0x0000),
    ("SIG1", 0x0001),
    ("SIG2", 0x0002),
    ("SIG3", 0x0003),
    ("SIG4", 0x0004),
    ("SIG5", 0x0005),
    ("SIG6", 0x0006),
    ("SIG7", 0x0007),
    ("SIG8", 0x0008),
    ("SIG9", 0x0009),
    ("SIG10", 0x000A),
    ("SIG11", 0x000B),
    ("SIG12", 0x000C),
    ("SIG13", 0x000D),
    ("SIG14", 0x000E),
    ("SIG15", 0x000F),
];
