//! Queries that are read before the first of them is answered, so that their answers wait for memory together: one
//! after the other they would each wait alone.
//!
//! Refuses to know where queries come from. What will be read is [`answer`](crate::answer)'s to tell.

use arrayvec::ArrayVec;

use crate::answer::{PendingQuery, Snapshot};
use crate::sys::prefetch::{prefetch, prefetch_lines};

/// How many queries are read ahead: enough to wait for memory once, few enough for what was read to stay near.
pub const GROUP: usize = 32;

/// From so many zones on, they are fetched ahead: fewer stay in the caches by themselves.
const FAR_ZONES_MIN: usize = 1000;

/// From so many names on, those that others lead on to are fetched ahead; the caches hold fewer.
const FAR_NAMES_MIN: usize = 50_000;

/// The most places of zones that are fetched: a query has one for each number of labels that some apex has, most often
/// one or two.
const PLACES_MAX: usize = 2 * GROUP;

/// Cache lines of a zone that every search reads.
const ZONE_LINES: usize = 3;

/// The most names that are fetched because others lead on to them: glue, and the like.
const LEADS_MAX: usize = 2 * GROUP;

/// What was read of the queries of a group; `None` for one that is not to be answered.
pub type Read<'q, 'z> = ArrayVec<Option<PendingQuery<'q, 'z>>, GROUP>;

/// Reads the queries of a group, which `query` gives by number up to the first that is not there, into `read`, which
/// is empty, and lets what their answers need be fetched.
#[inline]
pub fn read_ahead<'q, 'z>(snapshot: &'z Snapshot, query: impl Fn(usize) -> Option<&'q [u8]>, read: &mut Read<'q, 'z>) {
    let zones = &snapshot.zones;
    read.extend((0..GROUP).map_while(query).map(PendingQuery::read));
    if zones.len() >= FAR_ZONES_MIN {
        let places = read.iter().flatten().flat_map(|asked| asked.places(zones));
        let places: ArrayVec<_, PLACES_MAX> = places.take(PLACES_MAX).collect();
        places.iter().for_each(|place| prefetch(*place));
        let zones = places.into_iter().flatten().filter_map(|apex| apex.zone());
        zones.for_each(|zone| prefetch_lines(&**zone, ZONE_LINES));
    }
    let mut last = zones.only();
    for asked in read.iter_mut().flatten() {
        asked.locate(zones, &mut last);
        asked.tops().into_iter().flatten().for_each(prefetch);
    }
    for asked in read.iter_mut().flatten() {
        asked.heads().into_iter().flatten().for_each(prefetch);
    }
    for node in read.iter_mut().flatten().filter_map(PendingQuery::sight) {
        prefetch(node.octets());
    }
    if zones.name_count() >= FAR_NAMES_MIN {
        look_further(read);
    }
}

/// Lets be fetched what other names the answers of a group lead on to.
fn look_further(read: &Read<'_, '_>) {
    let mut leads = ArrayVec::<_, LEADS_MAX>::new();
    for (names, hashes) in read.iter().flatten().filter_map(PendingQuery::leads) {
        leads.extend(hashes.take(leads.remaining_capacity()).map(|hash| (names, hash)));
    }
    leads.iter().for_each(|(names, hash)| prefetch(names.top(*hash)));
    leads.iter().for_each(|(names, hash)| prefetch(names.head(*hash)));
    let nodes = leads.iter().filter_map(|(names, hash)| names.find_by(*hash, |_| true));
    nodes.for_each(|node| prefetch(node.octets()));
}
