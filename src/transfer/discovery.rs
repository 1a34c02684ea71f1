//! Where the parent of a zone wants to learn that CDS, CDNSKEY or CSYNC records of the zone are others: the way from
//! the zone's name to addresses, over the DSYNC records of the parent (RFC 9859 §4.1).
//!
//! Pure: says what is looked up next, and takes what was found.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::lookup::Found;
use crate::wire::{Name, NameError, NameRef, SharedName, Type};

/// The label below a parent that holds its DSYNC records.
const LABEL: &[u8] = b"_dsync";
/// The scheme of DSYNC that asks for NOTIFY (RFC 9859 §2.3).
const SCHEME_NOTIFY: u8 = 1;
/// The most lookups of one discovery: no zone is delegated over so many parents that share a zone.
const LOOKUPS_MAX: usize = 8;
/// The most addresses of an endpoint that are told, one after the other.
const ADDRESSES_MAX: usize = 8;

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host.
    pub target: SharedName,
    /// Its port, not 0.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    /// Writes host and port, without the final dot of the host.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.target.to_string().trim_end_matches('.'), self.port)
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryStep {
    /// These records are looked up, and what is found is taken.
    LookUp(SharedName, Type),
    /// The endpoint, and its addresses, at least one.
    Found(Endpoint, Vec<SocketAddr>),
    /// The parent wants to be told by nobody.
    Nobody,
}

/// Why there is no endpoint, though there should be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryFault {
    /// The zone's name leaves no room for the label.
    #[error("the name of its DSYNC records would be longer than a name may be")]
    TooLong(#[from] NameError),
    /// The parent names a host that has no addresses.
    #[error("its parent wants notifications at {0}, which has no addresses")]
    NoAddress(Endpoint),
    /// Each answer leads to another question.
    #[error("its DSYNC records are not found after {LOOKUPS_MAX} lookups")]
    TooFar,
}

/// Where it stands.
#[derive(Clone, Debug)]
enum Stage {
    /// The DSYNC records are looked for, in a parent of so many labels: for this child, or for all of them.
    Endpoint { parent_labels: usize, is_for_all: bool },
    /// The addresses of the endpoint are looked for, and these were found.
    Address { endpoint: Endpoint, rtype: Type, found: Vec<IpAddr> },
}

/// A discovery under way.
#[derive(Clone, Debug)]
pub struct Discovery {
    child: SharedName,
    /// The type that the parent is to be told of: CDS or CSYNC.
    subject: Type,
    stage: Stage,
    lookups: usize,
}

impl Discovery {
    /// Begins for a zone; its first step comes with it. The root has no parent.
    ///
    /// # Errors
    /// [`DiscoveryFault::TooLong`].
    pub fn begin(child: NameRef<'_>, subject: Type) -> Result<(Self, DiscoveryStep), DiscoveryFault> {
        let parent_labels = child.label_count().saturating_sub(1);
        let stage = Stage::Endpoint { parent_labels, is_for_all: false };
        let mut discovery = Self { child: child.into(), subject, stage, lookups: 0 };
        let first = if child.is_root() { DiscoveryStep::Nobody } else { discovery.look_up()? };
        Ok((discovery, first))
    }

    /// Takes what was found, and says what comes next.
    ///
    /// # Errors
    /// [`DiscoveryFault`].
    pub fn take(&mut self, found: Found) -> Result<DiscoveryStep, DiscoveryFault> {
        match (&mut self.stage, found) {
            (Stage::Endpoint { .. }, Found::Records(records)) => {
                let endpoint = records.iter().find_map(|rdata| endpoint_of(rdata, self.subject));
                let Some(endpoint) = endpoint else { return Ok(DiscoveryStep::Nobody) };
                self.stage = Stage::Address { endpoint, rtype: Type::A, found: Vec::new() };
            }
            (Stage::Endpoint { parent_labels, is_for_all }, Found::Nothing(zone)) => {
                let child = self.child.as_ref();
                let above = zone.filter(|zone| child.suffix(*parent_labels).is_below(zone.as_ref()));
                match above {
                    // The parent is further up than it was looked for.
                    Some(zone) => (*parent_labels, *is_for_all) = (zone.as_ref().label_count(), false),
                    None if *is_for_all => return Ok(DiscoveryStep::Nobody),
                    None => *is_for_all = true,
                }
            }
            (Stage::Address { endpoint, rtype, found: all }, found) => {
                if let Found::Records(records) = found {
                    all.extend(records.iter().filter_map(|rdata| address_of(rdata)));
                }
                if *rtype == Type::AAAA {
                    all.truncate(ADDRESSES_MAX);
                    let addresses: Vec<_> = all.iter().map(|ip| SocketAddr::new(*ip, endpoint.port)).collect();
                    let is_none = addresses.is_empty();
                    let endpoint = endpoint.clone();
                    return if is_none {
                        Err(DiscoveryFault::NoAddress(endpoint))
                    } else {
                        Ok(DiscoveryStep::Found(endpoint, addresses))
                    };
                }
                *rtype = Type::AAAA;
            }
        }
        self.look_up()
    }

    /// What is looked up at this stage.
    fn look_up(&mut self) -> Result<DiscoveryStep, DiscoveryFault> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            return Err(DiscoveryFault::TooFar);
        }
        let (parent_labels, is_for_all) = match &self.stage {
            Stage::Address { endpoint, rtype, .. } => {
                return Ok(DiscoveryStep::LookUp(endpoint.target.clone(), *rtype));
            }
            Stage::Endpoint { parent_labels, is_for_all } => (*parent_labels, *is_for_all),
        };
        let child = self.child.as_ref();
        let parent = child.suffix(parent_labels);
        let mut name = Name::child(LABEL, parent)?;
        if !is_for_all {
            let own = child.as_bytes().get(..child.len() - parent.len()).unwrap_or_default();
            name = Name::join(own, name.as_ref())?;
        }
        Ok(DiscoveryStep::LookUp(name.as_ref().into(), Type::DSYNC))
    }
}

/// Who is to be told of that type, if a DSYNC record says so: RRTYPE, SCHEME, PORT, TARGET (RFC 9859 §2.1).
fn endpoint_of(rdata: &[u8], subject: Type) -> Option<Endpoint> {
    let (&[t0, t1, scheme, p0, p1], target) = rdata.split_first_chunk()?;
    let port = u16::from_be_bytes([p0, p1]);
    let is_meant = Type(u16::from_be_bytes([t0, t1])) == subject && scheme == SCHEME_NOTIFY && port != 0;
    let target = NameRef::parse(target).ok()?.into();
    is_meant.then_some(Endpoint { target, port })
}

/// The address in an A or AAAA record, if somebody can be reached there.
fn address_of(rdata: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(rdata).ok().map(IpAddr::from);
    let address = v4.or_else(|| <[u8; 16]>::try_from(rdata).ok().map(IpAddr::from))?;
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    (!address.is_unspecified() && !address.is_multicast() && !is_broadcast).then_some(address)
}

#[cfg(test)]
mod tests;
