//! Zones that are served here → a catalog that names them (RFC 9432 §4), and the next version of it.
//!
//! A zone keeps its label as long as it is a member, over restarts too where the catalog is kept: consumers take
//! another label for the order to forget the zone.

use std::sync::Arc;

use data_encoding::BASE32HEX_NOPAD;
use sha2::{Digest, Sha256};

use super::members::Catalog;
use super::read::{CatalogError, Label, VERSION_RDATA, ZONES};
use crate::fault::Faults;
use crate::transfer::{Change, Records, Soa, apply};
use crate::wire::{Name, NameRef, SharedName, Type};
use crate::zone::Zone;
use crate::zone::hash::Seed;
use crate::zonebuild::{Builder, Inline, Plan, Record, Sink};

/// REFRESH, RETRY, EXPIRE and MINIMUM of a catalog (RFC 9432 §4.1 has these in its example).
const SOA_TIMES: [u32; 4] = [3600, 600, 2_147_483_646, 0];
/// The server that a catalog has none of (RFC 9432 §4.1), in wire form.
const INVALID: &[u8] = b"\x07invalid\0";
/// Octets of a hash that make a label: 16 characters.
const LABEL_HASH_BYTES: usize = 10;
/// The most octets of the name of a catalog that is made here, so that there is room for the labels.
pub const PRODUCED_NAME_BYTES_MAX: usize = 200;

/// What a catalog says of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The value of its `group` property; at most 255 octets.
    pub group: Option<Box<[u8]>>,
}

/// A catalog that is made here.
#[derive(Clone, Debug)]
pub struct Produced {
    zone: Arc<Zone>,
    members: Catalog,
}

impl Produced {
    /// A catalog without members.
    pub fn empty(name: NameRef<'_>, serial: u32, seed: Seed) -> Option<Self> {
        let mut builder = Builder::new(seed);
        let version = Name::child(b"version", name).ok()?;
        let soa = [INVALID, INVALID, &serial.to_be_bytes(), SOA_TIMES.map(u32::to_be_bytes).as_flattened()].concat();
        for (owner, rtype, rdata) in
            [(name, Type::SOA, &*soa), (name, Type::NS, INVALID), (version.as_ref(), Type::TXT, VERSION_RDATA)]
        {
            builder.take(&Record { owner, rtype, ttl: 0, rdata, position: None });
        }
        let zone = builder.finish(Plan { name, previous: None, now: 0 }, &Inline, &mut Faults::new(false))?;
        Self::of(Arc::new(zone)).ok()
    }

    /// A catalog that was made before.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn of(zone: Arc<Zone>) -> Result<Self, CatalogError> {
        let mut members = Catalog::default();
        members.take(members.compare(&zone, &[])?);
        Ok(Self { zone, members })
    }

    /// The zone.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.zone
    }

    /// Its members.
    pub fn members(&self) -> &Catalog {
        &self.members
    }

    /// Which of the zones that are no longer to be listed are members.
    pub fn lost<'a>(&'a self, wanted: &'a [(SharedName, Option<Listing>)]) -> impl Iterator<Item = &'a SharedName> {
        let gone = wanted.iter().filter(|(_, listing)| listing.is_none()).map(|(name, _)| name);
        gone.filter(|name| self.members.find(name).is_some())
    }

    /// Makes the next version, in which `wanted` is so, with `serial` or the one behind ours where that is not behind
    /// it; `is_kept` says whether versions are kept, so that the label of a zone may hang on when it came. `None` where
    /// nothing differs. What it costs follows `wanted`.
    pub fn advance(
        &mut self,
        wanted: &[(SharedName, Option<Listing>)],
        serial: u32,
        is_kept: bool,
    ) -> Option<Arc<Change>> {
        // No two versions have the same.
        let salt = if is_kept { self.zone.serial() } else { 0 };
        let (mut deleted, mut added) = (Records::default(), Records::default());
        for (name, listing) in wanted {
            let known = self.members.find(name);
            let groups = |listing: &Listing| listing.group.iter().cloned().collect::<Vec<_>>();
            let is_same = match (known, listing) {
                (Some((_, member)), Some(listing)) => *member.groups == *groups(listing),
                (None, None) => true,
                _ => false,
            };
            if is_same {
                continue;
            }
            if let Some((label, member)) = known {
                self.push(label, &member.name, &member.groups, &mut deleted);
            }
            if let Some(listing) = listing {
                // In another group it is the same zone.
                let label = known.map_or_else(|| label_of(name.as_ref(), salt), |(label, _)| label.clone());
                self.push(&label, name, &groups(listing), &mut added);
            }
        }
        if deleted.is_empty() && added.is_empty() {
            return None;
        }
        let from = Soa::of(&self.zone);
        let next = from.serial().wrapping_add(1);
        let serial = if crate::transfer::is_serial_before(from.serial(), serial) { serial } else { next };
        let change = Change { to: from.with_serial(serial), from, deleted, added };
        let zone = apply(&self.zone, &[change], 0, &Inline, &mut Faults::new(false));
        // The change as it is: what was equal before and behind is not told.
        let zone = Arc::new(zone.ok()?);
        let change = Arc::new(Change::between(&self.zone, &zone));
        self.members.take(self.members.compare(&zone, &[Arc::clone(&change)]).ok()?);
        self.zone = zone;
        Some(change)
    }

    /// Puts the records of a member behind others. Where a name is too long for one, there is none: the catalog's name
    /// is short enough.
    fn push(&self, label: &Label, name: &SharedName, groups: &[Box<[u8]>], to: &mut Records) {
        let node = Name::child(ZONES, self.zone.apex()).and_then(|zones| Name::child(label.octets(), zones.as_ref()));
        let Ok(node) = node else { return };
        let mut put = |owner: &Name, rtype, rdata: &[u8]| {
            to.push(&Record { owner: owner.as_ref(), rtype, ttl: 0, rdata, position: None });
        };
        put(&node, Type::PTR, name.as_ref().as_bytes());
        let Ok(owner) = Name::child(b"group", node.as_ref()) else { return };
        for group in groups {
            let length = u8::try_from(group.len()).unwrap_or(u8::MAX);
            let rdata = [&[length][..], &group[..usize::from(length)]].concat();
            put(&owner, Type::TXT, &rdata);
        }
    }
}

/// A label that no other zone has.
fn label_of(name: NameRef<'_>, salt: u32) -> Label {
    let digest = Sha256::new().chain_update(salt.to_be_bytes()).chain_update(name.to_lowercase().as_ref().as_bytes());
    Label::new(BASE32HEX_NOPAD.encode(&digest.finalize()[..LABEL_HASH_BYTES]).as_bytes())
}
