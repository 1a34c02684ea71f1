//! The table: one row a type, with the fields of its RDATA in order, and the rules that bind several fields.
//!
//! Owns which type has which fields, and nothing else. A type without a row is opaque (RFC 3597 §3).

use super::super::rtype::Type;
use super::error::WireError;
use super::field::Field::{self, *};
use super::field::NameKind::{Lowered, Old, Plain, WellKnown};
use super::gateway::Kind;
use super::mnemonic::{ALGORITHMS, CERTIFICATES, DIGESTS, PROTOCOLS, SCHEMES};
use super::parts::string;

/// One row of the table.
pub(super) struct Row {
    /// The type.
    rtype: Type,
    /// Its fields in order.
    pub(super) fields: &'static [Field],
    /// What binds several fields; looked at when each field is good.
    pub(super) rule: fn(&[u8]) -> Result<(), WireError>,
    /// Whether any field holds names.
    pub(super) has_names: bool,
}

/// The row of a type; `None` if the type is opaque.
pub(super) fn row(rtype: Type) -> Option<&'static Row> {
    let index = match INDEX.get(usize::from(rtype.0)) {
        Some(index) => usize::from(*index),
        None => ROWS.iter().position(|row| row.rtype == rtype)?,
    };
    ROWS.get(index)
}

/// The rule of rows whose fields are good whatever the others hold.
fn no_rule(_: &[u8]) -> Result<(), WireError> {
    Ok(())
}

/// DS and its like: the digest has the length of its algorithm (IANA "Delegation Signer Digest Algorithms").
fn digest_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [_, _, _, digest_type, digest @ ..] = rdata else { return Err(WireError::Short) };
    is_of_length(
        digest,
        match digest_type {
            1 => 20,
            2 | 3 | 5 | 6 => 32,
            4 => 48,
            _ => digest.len(),
        },
    )
}

/// SSHFP: the fingerprint has the length of its algorithm (RFC 4255 §3.1.2, RFC 6594 §3.2).
fn fingerprint_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [_, hash, fingerprint @ ..] = rdata else { return Err(WireError::Short) };
    is_of_length(
        fingerprint,
        match hash {
            1 => 20,
            2 => 32,
            _ => fingerprint.len(),
        },
    )
}

/// ZONEMD: the digest has the length of its algorithm, and twelve octets at least (RFC 8976 §2.2.4).
fn zonemd_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [_, _, _, _, _, hash, digest @ ..] = rdata else { return Err(WireError::Short) };
    is_of_length(
        digest,
        match hash {
            1 => 48,
            2 => 64,
            _ => digest.len().max(12),
        },
    )
}

/// NSEC3: the hash has the length of its algorithm (RFC 5155 §3.1.6, §11).
fn nsec3_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [algorithm, _, _, _, rest @ ..] = rdata else { return Err(WireError::Short) };
    let salt = string(rest)?;
    let hash = string(rest.get(1 + salt.len()..).ok_or(WireError::Short)?)?;
    is_of_length(hash, if *algorithm == 1 { 20 } else { hash.len() })
}

/// KEY: the key is absent only where the flags say so (RFC 2535 §3.1.2).
fn key_rule(rdata: &[u8]) -> Result<(), WireError> {
    match rdata {
        [flags, _, _, _] if flags & 0xC0 != 0xC0 => Err(WireError::Empty),
        _ => Ok(()),
    }
}

/// IPSECKEY: the key is absent only where its algorithm is 0 (RFC 4025 §2.4, §2.6).
fn ipseckey_rule(rdata: &[u8]) -> Result<(), WireError> {
    let [_, gateway @ ..] = rdata else { return Err(WireError::Short) };
    let has_key = Kind::Ipseckey.span(gateway)? < gateway.len();
    match gateway {
        [_, 0, ..] => Ok(()),
        _ if has_key => Ok(()),
        _ => Err(WireError::Empty),
    }
}

/// Refuses octets of another length.
fn is_of_length(octets: &[u8], length: usize) -> Result<(), WireError> {
    if octets.len() == length { Ok(()) } else { Err(WireError::DigestLength) }
}

/// A row without a rule.
const fn plain(rtype: Type, fields: &'static [Field]) -> Row {
    ruled(rtype, fields, no_rule)
}

/// A row with a rule.
const fn ruled(rtype: Type, fields: &'static [Field], rule: fn(&[u8]) -> Result<(), WireError>) -> Row {
    let (mut has_names, mut index) = (false, 0);
    while index < fields.len() {
        has_names |= matches!(fields[index], Name(_) | Names | Gateway(_));
        index += 1;
    }
    Row { rtype, fields, rule, has_names }
}

/// For each type below the bound its row; those without a row point behind the table.
const INDEX: [u8; 272] = {
    let mut index = [u8::MAX; 272];
    let mut at = 0;
    while at < ROWS.len() {
        let number = ROWS[at].rtype.0 as usize;
        if number < index.len() {
            index[number] = at as u8;
        }
        at += 1;
    }
    index
};

/// What DS, CDS, DLV and TA have in common (RFC 4034 §5.1).
const DELEGATION: &[Field] = &[U16, Mnemonic8(ALGORITHMS), Mnemonic8(DIGESTS), Hex];
/// What DNSKEY, CDNSKEY and RKEY have in common (RFC 4034 §2.1).
const PUBLIC_KEY: &[Field] = &[KeyFlags, Mnemonic8(PROTOCOLS), Mnemonic8(ALGORITHMS), Base64];
/// What SVCB and HTTPS have in common (RFC 9460 §2.2).
const SERVICE: &[Field] = &[U16, Name(Plain), Params];
/// What TLSA and SMIMEA have in common (RFC 6698 §2.1, RFC 8162 §2).
const ASSOCIATION: &[Field] = &[U8, U8, U8, Hex];

/// Every type with a presentation form, in the order of the numbers.
const ROWS: &[Row] = &[
    plain(Type::A, &[Address4]),
    plain(Type::NS, &[Name(WellKnown)]),
    plain(Type::MD, &[Name(WellKnown)]),
    plain(Type::MF, &[Name(WellKnown)]),
    plain(Type::CNAME, &[Name(WellKnown)]),
    plain(Type::SOA, &[Name(WellKnown), Name(WellKnown), U32, Seconds, Seconds, Seconds, Seconds]),
    plain(Type::MB, &[Name(WellKnown)]),
    plain(Type::MG, &[Name(WellKnown)]),
    plain(Type::MR, &[Name(WellKnown)]),
    plain(Type::PTR, &[Name(WellKnown)]),
    plain(Type::HINFO, &[String, String]),
    plain(Type::MINFO, &[Name(WellKnown), Name(WellKnown)]),
    plain(Type::MX, &[U16, Name(WellKnown)]),
    plain(Type::TXT, &[Strings]),
    plain(Type::RP, &[Name(Old), Name(Old)]),
    plain(Type::AFSDB, &[U16, Name(Old)]),
    plain(Type::X25, &[PsdnAddress]),
    plain(Type::ISDN, &[String, StringOptional]),
    plain(Type::RT, &[U16, Name(Old)]),
    plain(Type::NSAP, &[Nsap]),
    plain(Type::NSAP_PTR, &[Name(Plain)]),
    plain(Type::SIG, &[RrType, Mnemonic8(ALGORITHMS), U8, U32, Timestamp, Timestamp, U16, Name(Old), Base64]),
    ruled(Type::KEY, &[KeyFlags, Mnemonic8(PROTOCOLS), Mnemonic8(ALGORITHMS), Base64Optional], key_rule),
    plain(Type::PX, &[U16, Name(Old), Name(Old)]),
    plain(Type::GPOS, &[String, String, String]),
    plain(Type::AAAA, &[Address6]),
    plain(Type::LOC, &[Location]),
    plain(Type::NXT, &[Name(Old), NxtBitmap]),
    plain(Type::EID, &[Hex]),
    plain(Type::NIMLOC, &[Hex]),
    plain(Type::SRV, &[U16, U16, U16, Name(Old)]),
    plain(Type::NAPTR, &[U16, U16, String, String, String, Name(Old)]),
    plain(Type::KX, &[U16, Name(Lowered)]),
    plain(Type::CERT, &[Named16(CERTIFICATES), U16, Named8(ALGORITHMS), Base64]),
    plain(Type::DNAME, &[Name(Lowered)]),
    plain(Type::APL, &[Prefixes]),
    ruled(Type::DS, DELEGATION, digest_rule),
    ruled(Type::SSHFP, &[U8, U8, Hex], fingerprint_rule),
    ruled(Type::IPSECKEY, &[U8, Gateway(Kind::Ipseckey), Base64Optional], ipseckey_rule),
    plain(Type::RRSIG, &[RrType, Mnemonic8(ALGORITHMS), U8, U32, Timestamp, Timestamp, U16, Name(Lowered), Base64]),
    plain(Type::NSEC, &[Name(Plain), Bitmap]),
    plain(Type::DNSKEY, PUBLIC_KEY),
    plain(Type::DHCID, &[Base64]),
    ruled(Type::NSEC3, &[U8, U8, U16, Salt, Hash, Bitmap], nsec3_rule),
    plain(Type::NSEC3PARAM, &[U8, U8, U16, Salt]),
    plain(Type::TLSA, ASSOCIATION),
    plain(Type::SMIMEA, ASSOCIATION),
    plain(Type::HIP, &[HostIdentity, Names]),
    plain(Type::NINFO, &[Strings]),
    plain(Type::RKEY, PUBLIC_KEY),
    plain(Type::TALINK, &[Name(Plain), Name(Plain)]),
    ruled(Type::CDS, DELEGATION, digest_rule),
    plain(Type::CDNSKEY, PUBLIC_KEY),
    plain(Type::OPENPGPKEY, &[Base64]),
    plain(Type::CSYNC, &[U32, U16, Bitmap]),
    ruled(Type::ZONEMD, &[U32, U8, U8, Hex], zonemd_rule),
    plain(Type::SVCB, SERVICE),
    plain(Type::HTTPS, SERVICE),
    plain(Type::DSYNC, &[RrType, Named8(SCHEMES), U16, Name(Plain)]),
    plain(Type::HHIT, &[Base64]),
    plain(Type::BRID, &[Base64]),
    plain(Type::SPF, &[Strings]),
    plain(Type::NID, &[U16, Locator64]),
    plain(Type::L32, &[U16, Address4]),
    plain(Type::L64, &[U16, Locator64]),
    plain(Type::LP, &[U16, Name(Plain)]),
    plain(Type::EUI48, &[Eui48]),
    plain(Type::EUI64, &[Eui64]),
    plain(Type::URI, &[U16, U16, Text]),
    plain(Type::CAA, &[U8, Tag, Text]),
    plain(Type::AVC, &[Strings]),
    plain(Type::DOA, &[U32, U32, U8, String, Base64OrDash]),
    plain(Type::AMTRELAY, &[U8, Gateway(Kind::Amtrelay)]),
    plain(Type::RESINFO, &[Strings]),
    plain(Type::WALLET, &[Strings]),
    plain(Type::CLA, &[Strings]),
    ruled(Type::TA, DELEGATION, digest_rule),
    ruled(Type::DLV, DELEGATION, digest_rule),
];
