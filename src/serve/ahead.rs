//! Queries that are read before the first of them is answered, so that their answers wait for memory together: one
//! after the other they would each wait alone.
//!
//! Refuses to know where queries come from. [`answer`](crate::answer) says what will be read.

use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// The queries of a batch, read a group at a time when the first of the group is to be answered.
pub struct ReadAhead<'q, 'z, I> {
    snapshot: &'z Snapshot,
    /// The queries that are still to be answered.
    queries: I,
    /// What was read of the group.
    read: Read<'q, 'z>,
    /// How many of the group are answered.
    answered_count: usize,
}

impl<'q, 'z, I: Iterator<Item = &'q [u8]> + Clone> ReadAhead<'q, 'z, I> {
    /// Begins with the first of `queries`.
    pub fn new(snapshot: &'z Snapshot, queries: I) -> Self {
        Self { snapshot, queries, read: Read::new(), answered_count: GROUP }
    }

    /// What was read of the next query; `None` where it is not to be answered, or could not be read ahead.
    #[inline]
    pub fn next_pending(&mut self) -> Option<&mut PendingQuery<'q, 'z>> {
        if self.answered_count == GROUP {
            self.answered_count = 0;
            self.read.clear();
            // A panic is our bug, and not counted here: what was not read is read again where the panic of each answer
            // is caught.
            let _outcome = catch_unwind(AssertUnwindSafe(|| {
                read_ahead(self.snapshot, self.queries.clone(), &mut self.read);
            }));
        }
        self.queries.next();
        self.answered_count += 1;
        self.read.get_mut(self.answered_count - 1).and_then(Option::as_mut)
    }
}

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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::answer::{RequestContext, Response, Transport};

    #[test]
    fn each_query_gets_what_was_read_of_it_in_every_group() {
        let snapshot = Arc::new(Snapshot::default());
        let context = RequestContext {
            transport: Transport::Udp,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            worker: 0,
            now: Duration::ZERO,
            tls: None,
        };
        // Every fifth is a response.
        let query = |id: u8| {
            [&[0, id, if id.is_multiple_of(5) { 0x80 } else { 0 }, 0, 0, 1], &[0; 6][..], &[0, 0, 1, 0, 1]].concat()
        };
        let queries: Vec<Vec<u8>> = (0..3 * GROUP as u8 - 1).map(query).collect();
        let mut ahead = ReadAhead::new(&snapshot, queries.iter().map(Vec::as_slice));
        for (id, query) in queries.iter().enumerate() {
            let mut reply = [0; 512];
            let response = ahead.next_pending().map(|pending| pending.respond(&snapshot, &context, &mut reply));
            assert_eq!(matches!(response, Some(Response::Reply { rcode: 5, .. })), id % 5 != 0, "{id}");
            assert_eq!(reply[..2] == query[..2], id % 5 != 0 || id == 0, "{id}");
        }
        assert!(ahead.next_pending().is_none(), "there is no more");
    }
}
