//! Queries that are read before the first of them is answered, so that their answers wait for memory together: one
//! after the other they would each wait alone.
//!
//! Refuses to know where queries come from. [`answer`](crate::answer) says what will be read.

use arrayvec::ArrayVec;

use crate::answer::{LookupCursor, NextRead, PendingQuery, Snapshot};
use crate::sys::prefetch::{prefetch, prefetch_lines};

/// How many queries are read ahead: enough to wait for memory once, few enough for what was read to stay near.
pub const GROUP: usize = 32;

/// From so many zones on, they are fetched ahead: fewer stay in the caches by themselves.
const FAR_ZONES_MIN: usize = 1000;

/// From so many names on, the targets of records are fetched ahead too; the caches hold fewer.
const FAR_NAMES_MIN: usize = 50_000;

/// The most slots of the set of zones that are fetched: a query has one for each number of labels that some apex has,
/// most often one or two.
const SLOTS_MAX: usize = 2 * GROUP;

/// Cache lines of a zone that every search reads.
const ZONE_LINES: usize = 3;

/// The most names that are fetched because other names' records point to them: glue, and the like.
const TARGETS_MAX: usize = 2 * GROUP;

/// What was read of the queries of a group; `None` for one that is not to be answered.
pub type Read<'q, 'z> = ArrayVec<Option<PendingQuery<'q, 'z>>, GROUP>;

/// Reads the first queries of `queries`, a group at most, into `read`, which is empty, and lets what their answers
/// need be fetched.
#[inline]
pub fn read_ahead<'q, 'z>(snapshot: &'z Snapshot, queries: impl Iterator<Item = &'q [u8]>, read: &mut Read<'q, 'z>) {
    let zones = &snapshot.zones;
    read.extend(queries.take(GROUP).map(PendingQuery::read));
    if zones.len() >= FAR_ZONES_MIN {
        let slots = read.iter().flatten().flat_map(|query| query.slots(zones));
        let slots: ArrayVec<_, SLOTS_MAX> = slots.take(SLOTS_MAX).collect();
        slots.iter().for_each(|slot| prefetch(*slot));
        let zones = slots.into_iter().flatten().filter_map(|apex| apex.zone());
        zones.for_each(|zone| prefetch_lines(&**zone, ZONE_LINES));
    }
    let mut last = zones.only();
    for query in read.iter_mut().flatten() {
        query.locate(zones, &mut last);
        fetch(query.advance());
    }
    for _ in 1..LookupCursor::STEPS {
        read.iter_mut().flatten().for_each(|query| fetch(query.advance()));
    }
    if zones.name_count() >= FAR_NAMES_MIN {
        fetch_targets(read);
    }
}

/// Lets be fetched what the answers of a group need of the targets of their records.
fn fetch_targets(read: &Read<'_, '_>) {
    let mut targets = ArrayVec::<_, TARGETS_MAX>::new();
    for (names, cursors) in read.iter().flatten().filter_map(PendingQuery::target_cursors) {
        targets.extend(cursors.take(targets.remaining_capacity()).map(|cursor| (names, cursor)));
    }
    for _ in 0..LookupCursor::STEPS {
        targets.iter_mut().for_each(|(names, cursor)| fetch(cursor.advance(names)));
    }
}

/// Lets be fetched what a search reads next.
#[inline]
fn fetch(reads: [Option<NextRead<'_>>; 2]) {
    for read in reads.into_iter().flatten() {
        match read {
            NextRead::Bucket(bucket) => prefetch(bucket),
            NextRead::Octets(octets) => prefetch(octets),
        }
    }
}
