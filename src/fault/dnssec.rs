//! What can be wrong with signatures, keys, and the chains that deny.

use crate::fault::position::Severity;
use crate::wire::{Name, Type};

/// What is wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DnssecFault {
    /// NSEC3 with more iterations than a validator would do.
    #[error("NSEC3 with {iterations} iterations; at most {max} are served")]
    Nsec3TooManyIterations {
        /// What the zone says.
        iterations: u16,
        /// What is allowed.
        max: u16,
    },
    /// An NSEC3 chain without NSEC3PARAM.
    #[error("the zone {apex} has NSEC3 records without an NSEC3PARAM record of the same parameters")]
    Nsec3WithoutParam {
        /// The zone's name.
        apex: Name,
    },
    /// NSEC3PARAM without an NSEC3 chain.
    #[error("the zone {apex} has an NSEC3PARAM record without NSEC3 records of the same parameters")]
    Nsec3ParamWithoutChain {
        /// The zone's name.
        apex: Name,
    },
    /// An unknown NSEC3 hash algorithm.
    #[error("NSEC3 hash algorithm {algorithm} is unknown")]
    Nsec3Algorithm {
        /// The number.
        algorithm: u8,
    },
    /// NSEC3 with iterations.
    #[error("NSEC3 with {iterations} additional iterations")]
    Nsec3Iterations {
        /// How many.
        iterations: u16,
    },
    /// A signature of nothing.
    #[error("this RRSIG record covers {covered} records, but {owner} has none")]
    RrsigCoversNothing {
        /// The owner.
        owner: Name,
        /// The type that is covered.
        covered: Type,
    },
    /// RRsets of a signed zone that have no signature.
    #[error("the zone {apex} is signed, but {count} RRsets are not: the first is {owner} {rtype}")]
    Unsigned {
        /// The zone's name.
        apex: Name,
        /// The owner of the first.
        owner: Name,
        /// The type of the first.
        rtype: Type,
        /// How many there are.
        count: usize,
    },
    /// A zone with signatures and without a chain.
    #[error("the zone {apex} is signed, but has no chain of NSEC or NSEC3 records: nothing can be denied")]
    NoDenial {
        /// The zone's name.
        apex: Name,
    },
    /// Names that a chain lacks.
    #[error("the {chain} chain lacks {count} names: the first is {owner}")]
    DenialMissing {
        /// NSEC or NSEC3.
        chain: Type,
        /// The first of the names in canonical order.
        owner: Name,
        /// How many there are.
        count: usize,
    },
    /// Records of a chain that do not lead to the next one.
    #[error("the {chain} chain is not closed: {count} records do not lead to the next one, the first at {owner}")]
    DenialOpen {
        /// NSEC or NSEC3.
        chain: Type,
        /// The owner of the first in canonical order.
        owner: Name,
        /// How many there are.
        count: usize,
    },
    /// Records of a chain that show other types than there are.
    #[error("the {chain} records of {count} names show other types than they have: the first is {owner}")]
    DenialTypes {
        /// NSEC or NSEC3.
        chain: Type,
        /// The first of the names in canonical order.
        owner: Name,
        /// How many there are.
        count: usize,
    },
    /// Records of a chain for names that do not exist.
    #[error("{count} {chain} records are of no name of the zone: the first is {owner}")]
    DenialSurplus {
        /// NSEC3.
        chain: Type,
        /// The owner of the first in canonical order.
        owner: Name,
        /// How many there are.
        count: usize,
    },
    /// One of several NSEC3 chains, which has a hole.
    #[error("the NSEC3 chain with {iterations} iterations and salt {} is not closed and not served", hexadecimal(salt))]
    DenialNotServed {
        /// The iterations.
        iterations: u16,
        /// The salt.
        salt: Box<[u8]>,
    },
    /// Signatures that are not valid any more.
    #[error("{count} signatures have expired: the first is that of {owner} {covered}")]
    RrsigExpired {
        /// The owner of the first.
        owner: Name,
        /// What it covers.
        covered: Type,
        /// How many there are.
        count: usize,
    },
    /// Signatures that are not valid yet.
    #[error("{count} signatures are not valid yet: the first is that of {owner} {covered}")]
    RrsigNotYetValid {
        /// The owner of the first.
        owner: Name,
        /// What it covers.
        covered: Type,
        /// How many there are.
        count: usize,
    },
    /// Signatures of a key that is not in the zone.
    #[error(
        "{count} signatures are of key {tag}, algorithm {algorithm}, which is no DNSKEY of the zone: \
         the first is that of {owner} {covered}"
    )]
    RrsigWithoutKey {
        /// The owner of the first.
        owner: Name,
        /// What it covers.
        covered: Type,
        /// The key's algorithm.
        algorithm: u8,
        /// The key's tag.
        tag: u16,
        /// How many there are.
        count: usize,
    },
    /// An algorithm that a key has and no signature.
    #[error("nothing is signed with algorithm {algorithm}, which the DNSKEY {tag} has")]
    DnskeySignsNothing {
        /// The algorithm.
        algorithm: u8,
        /// The tag of the first key that has it.
        tag: u16,
    },
    /// A DS that is of no key of the child.
    #[error(
        "the DS {tag}, algorithm {algorithm}, of {child} is of none of the keys of that zone, which is served here"
    )]
    DsWithoutKey {
        /// The child.
        child: Name,
        /// The algorithm that it names.
        algorithm: u8,
        /// The key tag that it names.
        tag: u16,
    },
    /// A child that its parent does not delegate.
    #[error("the zone {child} is served here, but its parent {parent}, which is too, does not delegate it")]
    ChildNotDelegated {
        /// The parent.
        parent: Name,
        /// The child.
        child: Name,
    },
}

impl DnssecFault {
    /// Severity and code, one row a kind.
    pub(super) fn row(&self) -> (Severity, &'static str) {
        use Severity::{Error, Warning};
        match self {
            Self::Nsec3TooManyIterations { .. } => (Error, "nsec3-too-many-iterations"),
            Self::Nsec3WithoutParam { .. } => (Warning, "nsec3-without-param"),
            Self::Nsec3ParamWithoutChain { .. } => (Warning, "nsec3param-without-chain"),
            Self::Nsec3Algorithm { .. } => (Warning, "nsec3-algorithm"),
            Self::Nsec3Iterations { .. } => (Warning, "nsec3-iterations"),
            Self::RrsigCoversNothing { .. } => (Warning, "rrsig-covers-nothing"),
            Self::Unsigned { .. } => (Warning, "unsigned"),
            Self::NoDenial { .. } => (Warning, "no-denial"),
            Self::DenialMissing { .. } => (Warning, "denial-missing"),
            Self::DenialOpen { .. } => (Warning, "denial-open"),
            Self::DenialTypes { .. } => (Warning, "denial-types"),
            Self::DenialSurplus { .. } => (Warning, "denial-surplus"),
            Self::DenialNotServed { .. } => (Warning, "denial-not-served"),
            Self::RrsigExpired { .. } => (Warning, "rrsig-expired"),
            Self::RrsigNotYetValid { .. } => (Warning, "rrsig-not-yet-valid"),
            Self::RrsigWithoutKey { .. } => (Warning, "rrsig-without-key"),
            Self::DnskeySignsNothing { .. } => (Warning, "dnskey-signs-nothing"),
            Self::DsWithoutKey { .. } => (Warning, "ds-without-key"),
            Self::ChildNotDelegated { .. } => (Warning, "child-not-delegated"),
        }
    }

    /// What the operator may do, where that is known.
    pub(super) fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Nsec3TooManyIterations { .. } | Self::Nsec3Iterations { .. } => {
                "sign the zone with 0 iterations (RFC 9276 section 3.1): validators take zones with more than 100 or \
                 150 for unsigned, and each negative answer costs as many hashes"
            }
            Self::NoDenial { .. }
            | Self::DenialMissing { .. }
            | Self::DenialOpen { .. }
            | Self::DenialTypes { .. }
            | Self::DenialSurplus { .. } => "sign the zone again: validators take such answers for forged",
            Self::RrsigExpired { .. } | Self::RrsigNotYetValid { .. } => {
                "sign the zone again, or set the clock: validators do not believe these records"
            }
            Self::DnskeySignsNothing { .. } => {
                "sign the zone with that algorithm before its keys are published: validators may want all of them"
            }
            Self::DsWithoutKey { .. } => {
                "take it out, unless the key is still to come: without a DS that fits, the child is bogus"
            }
            Self::ChildNotDelegated { .. } => "add NS records for it to the parent, and DS records if it is signed",
            _ => return None,
        })
    }
}

/// Octets as a salt is written (RFC 5155 §3.3).
fn hexadecimal(octets: &[u8]) -> String {
    if octets.is_empty() { "-".to_owned() } else { data_encoding::HEXUPPER.encode(octets) }
}
