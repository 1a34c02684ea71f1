//! Queries that are read before the first of them is answered, so that their answers wait for memory together: one after the
//! other they would each wait alone.
//!
//! Refuses to know where queries come from. What will be read is [`answer`](crate::answer)'s to tell.

use crate::answer::{Asked, Outlook, Snapshot};
use crate::sys::prefetch::prefetch;

/// How many queries are read ahead: enough to wait for memory once, few enough for what was read to stay near.
pub const GROUP: usize = 32;

/// From so many zones on, they are fetched ahead: fewer stay in the caches by themselves.
const FAR_ZONES_MIN: usize = 1000;

/// Reads the queries of a group, which `query` gives by number up to the first that is not there, into `asked`, and lets what
/// their answers need be fetched. `None` stays where there is nothing, or nothing to be answered.
#[inline]
pub fn read_ahead<'q, 'z>(
    snapshot: &'z Snapshot,
    query: impl Fn(usize) -> Option<&'q [u8]>,
    asked: &mut [Option<Asked<'q, 'z>>; GROUP],
) {
    if snapshot.zones.len() >= FAR_ZONES_MIN {
        let outlooks: [_; GROUP] = std::array::from_fn(|number| query(number).and_then(Outlook::read));
        outlooks.iter().flatten().flat_map(|outlook| outlook.places(snapshot)).for_each(prefetch);
        outlooks.iter().flatten().flat_map(|outlook| outlook.zones(snapshot)).for_each(prefetch);
    }
    for (number, asked) in asked.iter_mut().enumerate() {
        let Some(query) = query(number) else { break };
        *asked = Asked::read(snapshot, query);
        asked.iter().flat_map(Asked::tops).for_each(prefetch);
    }
    asked.iter().flatten().flat_map(Asked::heads).for_each(prefetch);
    asked.iter_mut().flatten().filter_map(Asked::sight).for_each(prefetch);
}
