//! What stands in the database's tables: keys, values, and the checksum that each value ends with.
//!
//! ```text
//! heads    name, lower case          → Head: what there is of the zone, and where
//! images   (image id, chunk index)   → records of one version, whole, in pieces
//! changes  (zone id, number)         → the steps that came at once, in their order
//!
//! value:   content, SHA-256 over table, zone, key and content, cut to 16 octets
//! step:    SOA, SOA, octets of the deleted records u32, of the added records u32, deleted records, added records
//! SOA:     TTL u32, RDATA octets u32, RDATA
//! (integers in network order)
//! ```
//!
//! The zone's name in each checksum keeps one zone's records from ever being read as another's.

use std::sync::Arc;
use std::time::Duration;

use redb::TableDefinition;
use sha2::{Digest, Sha256};

use crate::transfer::{Change, Records, Soa, Times};
use crate::wire::NameRef;
use crate::zone::Zone;

/// What there is of each zone.
pub(super) const HEADS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("heads");
/// The records of whole versions.
pub(super) const IMAGES: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("images");
/// Steps between versions.
pub(super) const CHANGES: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("changes");

/// Octets of a checksum.
const SUM_BYTES: usize = 16;
/// Numbers in a head.
const HEAD_NUMBERS: usize = 13;

/// What a checksum covers besides the content.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A row of [`HEADS`].
    Head,
    /// A row of [`IMAGES`].
    Chunk(u64, u64),
    /// A row of [`CHANGES`].
    Steps(u64, u64),
}

/// What there is of one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// First part of the keys of the image.
    pub(super) image_id: u64,
    /// First part of the keys of the steps.
    pub(super) changes_id: u64,
    /// Chunks of the image.
    pub(super) chunk_count: u64,
    /// Octets of the image.
    pub(super) image_bytes: u64,
    /// The version that the image has.
    pub(super) image: Version,
    /// The version that is current: the image with all rows of steps from `image_at` on.
    pub(super) current: Version,
    /// The oldest row of steps that there is.
    pub(super) first: u64,
    /// The row of steps that follows the image. Older ones are kept for secondaries.
    pub(super) image_at: u64,
    /// The row that is yet to come.
    pub(super) next: u64,
    /// Octets of all steps.
    pub(super) changes_bytes: u64,
    /// Octets of those that follow the image.
    pub(super) since_bytes: u64,
    /// When it was last asked for and expires, to the second.
    pub(super) times: Times,
}

/// By what a version is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// SOA's SERIAL.
    pub(super) serial: u32,
    /// Records.
    pub(super) record_count: u32,
}

impl Version {
    /// That of a zone.
    pub(super) fn of(zone: &Zone) -> Self {
        Self { serial: zone.serial(), record_count: zone.record_count() as u32 }
    }

    /// Both numbers in one.
    fn packed(self) -> u64 {
        u64::from(self.serial) << 32 | u64::from(self.record_count)
    }

    /// The reverse.
    fn unpacked(number: u64) -> Self {
        Self { serial: (number >> 32) as u32, record_count: number as u32 }
    }
}

impl Head {
    /// As a value of [`HEADS`].
    pub(super) fn to_value(self, key: &[u8]) -> Vec<u8> {
        let Self { image_id, changes_id, chunk_count, image_bytes, image, current, first, image_at, next, .. } = self;
        let times = [self.times.checked_at, self.times.expires_at].map(|at| at.as_secs());
        let versions = [image, current].map(Version::packed);
        let numbers: [u64; HEAD_NUMBERS] = [
            image_id,
            changes_id,
            chunk_count,
            image_bytes,
            versions[0],
            versions[1],
            first,
            image_at,
            next,
            self.changes_bytes,
            self.since_bytes,
            times[0],
            times[1],
        ];
        seal(Kind::Head, key, numbers.map(u64::to_be_bytes).concat())
    }

    /// The reverse; `None` where it is damaged.
    pub(super) fn from_value(key: &[u8], value: &[u8]) -> Option<Self> {
        let content = unseal(Kind::Head, key, value)?;
        let (numbers, []) = content.as_chunks::<8>() else { return None };
        let numbers: &[[u8; 8]; HEAD_NUMBERS] = numbers.try_into().ok()?;
        let [
            image_id,
            changes_id,
            chunk_count,
            image_bytes,
            image,
            current,
            first,
            image_at,
            next,
            changes_bytes,
            since_bytes,
            checked_at,
            expires_at,
        ] = numbers.map(u64::from_be_bytes);
        Some(Self {
            image_id,
            changes_id,
            chunk_count,
            image_bytes,
            image: Version::unpacked(image),
            current: Version::unpacked(current),
            first,
            image_at,
            next,
            changes_bytes,
            since_bytes,
            times: Times { checked_at: Duration::from_secs(checked_at), expires_at: Duration::from_secs(expires_at) },
        })
    }
}

/// A zone's name as a key.
pub(super) fn key_of(name: NameRef<'_>) -> Vec<u8> {
    name.to_lowercase().as_ref().as_bytes().to_vec()
}

/// Steps as a value of [`CHANGES`].
pub(super) fn steps_to_value(kind: Kind, key: &[u8], steps: &[Arc<Change>]) -> Vec<u8> {
    let mut content = Vec::with_capacity(steps.iter().map(|step| step.bytes()).sum());
    for step in steps {
        for soa in [&step.from, &step.to] {
            content.extend_from_slice(&soa.ttl.to_be_bytes());
            content.extend_from_slice(&(soa.rdata().len() as u32).to_be_bytes());
            content.extend_from_slice(soa.rdata());
        }
        let records = [&step.deleted, &step.added].map(Records::octets);
        records.iter().for_each(|octets| content.extend_from_slice(&(octets.len() as u32).to_be_bytes()));
        records.iter().for_each(|octets| content.extend_from_slice(octets));
    }
    seal(kind, key, content)
}

/// The reverse; `None` where it is damaged.
pub(super) fn steps_from_value(kind: Kind, key: &[u8], value: &[u8]) -> Option<Vec<Change>> {
    let (mut rest, mut steps) = (unseal(kind, key, value)?, Vec::new());
    while !rest.is_empty() {
        let [from, to] = [take_soa(&mut rest)?, take_soa(&mut rest)?];
        let [deleted, added] = [take_number(&mut rest)?, take_number(&mut rest)?];
        let mut take = |bytes: u32| Records::from_octets(rest.split_off(..bytes as usize)?.to_vec());
        steps.push(Change { from, to, deleted: take(deleted)?, added: take(added)? });
    }
    Some(steps)
}

/// Takes a SOA from the front.
fn take_soa(rest: &mut &[u8]) -> Option<Soa> {
    let (ttl, bytes) = (take_number(rest)?, take_number(rest)?);
    Soa::new(ttl, rest.split_off(..bytes as usize)?)
}

/// Takes a number from the front.
fn take_number(rest: &mut &[u8]) -> Option<u32> {
    rest.split_off(..size_of::<u32>())?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Puts a checksum behind a content.
pub(super) fn seal(kind: Kind, key: &[u8], mut content: Vec<u8>) -> Vec<u8> {
    let sum = sum(kind, key, &content);
    content.extend_from_slice(&sum);
    content
}

/// The content of a value; `None` where the checksum is not right.
pub(super) fn unseal<'a>(kind: Kind, key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (content, found) = value.split_last_chunk::<SUM_BYTES>()?;
    (sum(kind, key, content) == *found).then_some(content)
}

/// The checksum of a content.
fn sum(kind: Kind, key: &[u8], content: &[u8]) -> [u8; SUM_BYTES] {
    let (table, [first, second]) = match kind {
        Kind::Head => (0_u8, [0; 2]),
        Kind::Chunk(id, index) => (1, [id, index]),
        Kind::Steps(id, number) => (2, [id, number]),
    };
    let mut hash = Sha256::new();
    // A name says itself where it ends.
    hash.update([table]);
    hash.update(key);
    hash.update(first.to_be_bytes());
    hash.update(second.to_be_bytes());
    hash.update(content);
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&hash.finalize()[..SUM_BYTES]);
    sum
}
