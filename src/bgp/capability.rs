//! Capabilities: what a side can do beyond RFC 4271 (RFC 5492).

use super::octets::Octets;
use super::{AsNumber, Family};

/// One capability. Those that this side has no use for keep their octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Capability {
    /// Routes of a family: its AFI and SAFI (RFC 4760 §8).
    Multiprotocol(u16, u8),
    /// Routes may be asked for once more (RFC 2918).
    RouteRefresh,
    /// Families, and the AFI of the next hops that they may have besides (RFC 8950 §4).
    ExtendedNextHop(Vec<(u16, u16, u16)>),
    /// The number of the side's role (RFC 9234 §4.1).
    Role(u8),
    /// The side's AS number; numbers in paths have four octets if both sides have this (RFC 6793).
    FourOctetAs(AsNumber),
    /// A refresh is marked where it begins and ends (RFC 7313).
    EnhancedRefresh,
    /// Any other.
    Other {
        /// Its code.
        code: u8,
        /// Its octets.
        value: Vec<u8>,
    },
}

/// AFI of next hops and families as capability 5 has them for IPv4 unicast over IPv6.
const IPV4_OVER_IPV6: (u16, u16, u16) = (1, 1, 2);

impl Capability {
    /// The capability to have routes of a family.
    pub(super) fn family(family: Family) -> Self {
        Self::Multiprotocol(family.afi(), super::family::SAFI_UNICAST)
    }

    /// The capability to take IPv4 with an IPv6 next hop.
    pub(super) fn ipv4_over_ipv6() -> Self {
        Self::ExtendedNextHop(vec![IPV4_OVER_IPV6])
    }

    /// Whether it is the capability to take IPv4 with an IPv6 next hop.
    pub(super) fn has_ipv4_over_ipv6(&self) -> bool {
        matches!(self, Self::ExtendedNextHop(triples) if triples.contains(&IPV4_OVER_IPV6))
    }

    /// Returns the code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(..) => 1,
            Self::RouteRefresh => 2,
            Self::ExtendedNextHop(_) => 5,
            Self::Role(_) => 9,
            Self::FourOctetAs(_) => 65,
            Self::EnhancedRefresh => 70,
            Self::Other { code, .. } => *code,
        }
    }

    /// Reads one: code, length, octets. `None` where it ends too early or a known one has a length that it must not.
    pub(super) fn read(octets: &mut Octets<'_>) -> Option<Self> {
        let code = octets.u8()?;
        let value = octets.counted()?;
        let mut inner = Octets(value);
        let capability = match code {
            1 => {
                let afi = inner.u16()?;
                let _reserved = inner.u8()?;
                Self::Multiprotocol(afi, inner.u8()?)
            }
            2 => Self::RouteRefresh,
            5 => {
                let mut triples = Vec::new();
                while !inner.is_empty() {
                    triples.push((inner.u16()?, inner.u16()?, inner.u16()?));
                }
                Self::ExtendedNextHop(triples)
            }
            9 => Self::Role(inner.u8()?),
            65 => Self::FourOctetAs(AsNumber(inner.u32()?)),
            70 => Self::EnhancedRefresh,
            _ => return Some(Self::Other { code, value: value.to_vec() }),
        };
        inner.is_empty().then_some(capability)
    }

    /// Writes it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let value = match self {
            Self::Multiprotocol(afi, safi) => [&afi.to_be_bytes()[..], &[0, *safi]].concat(),
            Self::RouteRefresh | Self::EnhancedRefresh => Vec::new(),
            Self::ExtendedNextHop(triples) => {
                triples.iter().flat_map(|(afi, safi, hop)| [*afi, *safi, *hop]).flat_map(u16::to_be_bytes).collect()
            }
            Self::Role(number) => vec![*number],
            Self::FourOctetAs(number) => number.0.to_be_bytes().to_vec(),
            Self::Other { value, .. } => value.clone(),
        };
        out.push(self.code());
        out.push(u8::try_from(value.len()).expect("a capability is short: what is written is bounded"));
        out.extend_from_slice(&value);
    }
}
