//! Queries that are read before the first of them is answered, so that their answers wait for memory together: one after the
//! other they would each wait alone.
//!
//! Refuses to know where queries come from. What will be read is [`answer`](crate::answer)'s to tell.

use arrayvec::ArrayVec;

use crate::answer::{Asked, Outlook, Snapshot};
use crate::sys::prefetch::prefetch;

/// How many queries are read ahead: enough to wait for memory once, few enough for what was read to stay near.
pub const GROUP: usize = 32;

/// From so many zones on, they are fetched ahead: fewer stay in the caches by themselves.
const FAR_ZONES_MIN: usize = 1000;

/// What was read of the queries of a group; `None` for one that is not to be answered.
pub type Read<'q, 'z> = ArrayVec<Option<Asked<'q, 'z>>, GROUP>;

/// Reads the queries of a group, which `query` gives by number up to the first that is not there, into `read`, which is empty,
/// and lets what their answers need be fetched.
#[inline]
pub fn read_ahead<'q, 'z>(snapshot: &'z Snapshot, query: impl Fn(usize) -> Option<&'q [u8]>, read: &mut Read<'q, 'z>) {
    if snapshot.zones.len() >= FAR_ZONES_MIN {
        look_out(snapshot, &query);
    }
    for query in (0..GROUP).map_while(query) {
        let asked = Asked::read(snapshot, query);
        if let Some(tops) = asked.as_ref().and_then(Asked::tops) {
            tops.map(prefetch);
        }
        read.push(asked);
    }
    for heads in read.iter().flatten().filter_map(Asked::heads) {
        heads.map(prefetch);
    }
    for node in read.iter_mut().flatten().filter_map(Asked::sight) {
        prefetch(node);
    }
}

/// Lets the zones of the queries be fetched.
fn look_out<'q>(snapshot: &Snapshot, query: impl Fn(usize) -> Option<&'q [u8]>) {
    let outlooks: ArrayVec<_, GROUP> = (0..GROUP).map_while(query).filter_map(Outlook::read).collect();
    outlooks.iter().flat_map(|outlook| outlook.places(snapshot)).for_each(prefetch);
    outlooks.iter().flat_map(|outlook| outlook.zones(snapshot)).for_each(prefetch);
}
