//! The connections of one thread, found by key, and in the order in which their time runs out.
//!
//! Each limit of time has a list of its own: whoever gets a new deadline goes to the end of its list, which so stays
//! in order, and nobody searches or allocates. Refuses to know what a connection is, and which time it is.

use std::time::{Duration, Instant};

/// Things with a deadline each.
#[derive(Debug)]
pub(super) struct Slab<T> {
    /// The slots, taken and free; they are kept for ever.
    slots: Vec<Slot<T>>,
    /// The slots that are free.
    free: Vec<u32>,
    /// First and last of each limit's list.
    lists: [List; 2],
    /// The limits by [`Limit`].
    times: [Duration; 2],
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// The client may be silent for so long.
    Idle,
    /// A message that was begun, or replies, may take so long.
    Io,
}

/// Names one item; the name of one that is gone finds nothing, whoever has its slot now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Which slot.
    index: u32,
    /// How often the slot had been freed before.
    generation: u32,
}

/// One slot.
#[derive(Debug)]
struct Slot<T> {
    /// How often it was freed.
    generation: u32,
    /// Whose list it is in.
    limit: Limit,
    /// When its time is over.
    deadline: Instant,
    /// The one before in the list, or [`NO_SLOT`].
    earlier: u32,
    /// The one behind in the list, or [`NO_SLOT`].
    later: u32,
    /// What is there.
    item: Option<T>,
}

/// The ends of a list, or [`NO_SLOT`], and its length.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    /// How many there are.
    count: usize,
}

impl Key {
    /// One number for both, less than 2^63.
    pub(super) fn to_token(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Reverses [`Key::to_token`].
    pub(super) fn from_token(token: u64) -> Self {
        Self { index: token as u32, generation: (token >> 32) as u32 }
    }
}

impl<T> Slab<T> {
    /// Makes an empty one. A silent client has `idle`, a transfer `transfer`.
    pub(super) fn new(idle: Duration, transfer: Duration) -> Self {
        let empty = List { first: NO_SLOT, last: NO_SLOT, count: 0 };
        Self { slots: Vec::new(), free: Vec::new(), lists: [empty; 2], times: [idle, transfer] }
    }

    /// How many items there are.
    pub(super) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts an item in, with the time of a silent client from `now` on. `None` where [`SLOTS_MAX`] are there.
    pub(super) fn insert(&mut self, item: T, now: Instant) -> Option<Key> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok().filter(|&index| index < SLOTS_MAX)?;
                let slot = Slot {
                    generation: 0,
                    limit: Limit::Idle,
                    deadline: now,
                    earlier: NO_SLOT,
                    later: NO_SLOT,
                    item: None,
                };
                self.slots.push(slot);
                index
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.item = Some(item);
        let key = Key { index, generation: slot.generation };
        self.append(index, Limit::Idle, now);
        Some(key)
    }

    /// Finds an item.
    pub(super) fn find(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.item.as_mut().filter(|_| slot.generation == key.generation)
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.find(key)?;
        self.unlink(key.index);
        let slot = &mut self.slots[key.index as usize];
        slot.generation = slot.generation.wrapping_add(1) & GENERATION_MAX;
        self.free.push(key.index);
        slot.item.take()
    }

    /// Gives an item the time of `limit` from `now` on. `now` must not be before that of any call before.
    pub(super) fn allow(&mut self, key: Key, limit: Limit, now: Instant) {
        if self.find(key).is_some() {
            self.unlink(key.index);
            self.append(key.index, limit, now);
        }
    }

    /// When the next item's time is over; `None` where there is none.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = |list: &List| self.slots.get(list.first as usize).map(|slot| slot.deadline);
        self.lists.iter().filter_map(first).min()
    }

    /// Names an item whose time is over at `now`. Take it out or allow it more time, or it is named again.
    pub(super) fn expired(&self, now: Instant) -> Option<Key> {
        let is_over = |list: &&List| self.slots.get(list.first as usize).is_some_and(|slot| slot.deadline <= now);
        self.lists.iter().find(is_over).map(|list| self.key(list.first))
    }

    /// Names the item that has had the time of `limit` longest, where more than `count_max` have it.
    pub(super) fn surplus(&self, limit: Limit, count_max: usize) -> Option<Key> {
        let list = &self.lists[limit as usize];
        (list.count > count_max).then(|| self.key(list.first))
    }

    /// Names all items there are.
    pub(super) fn keys(&self) -> Vec<Key> {
        let taken = (0..).zip(&self.slots).filter(|(_, slot)| slot.item.is_some());
        taken.map(|(index, _)| self.key(index)).collect()
    }

    /// The name of what is in a slot that is there.
    fn key(&self, index: u32) -> Key {
        Key { index, generation: self.slots[index as usize].generation }
    }

    /// Puts a slot at the end of a list.
    fn append(&mut self, index: u32, limit: Limit, now: Instant) {
        let list = &mut self.lists[limit as usize];
        list.count += 1;
        let slot = &mut self.slots[index as usize];
        (slot.limit, slot.deadline) = (limit, now + self.times[limit as usize]);
        (slot.earlier, slot.later) = (list.last, NO_SLOT);
        let last = std::mem::replace(&mut list.last, index);
        match self.slots.get_mut(last as usize) {
            Some(before) => before.later = index,
            None => list.first = index,
        }
    }

    /// Takes a slot out of its list.
    fn unlink(&mut self, index: u32) {
        let Slot { limit, earlier, later, .. } = self.slots[index as usize];
        let list = &mut self.lists[limit as usize];
        list.count -= 1;
        match self.slots.get_mut(earlier as usize) {
            Some(before) => before.later = later,
            None => list.first = later,
        }
        match self.slots.get_mut(later as usize) {
            Some(behind) => behind.earlier = earlier,
            None => list.last = earlier,
        }
    }
}

/// No slot: there are never so many.
const NO_SLOT: u32 = u32::MAX;

/// Where generations begin anew: the top bit of a token stays free.
const GENERATION_MAX: u32 = u32::MAX >> 1;

/// The most items; far more than there may be clients.
const SLOTS_MAX: u32 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// Idle for 10 s, transfers for 3 s.
    fn slab() -> (Slab<char>, Instant) {
        (Slab::new(Duration::from_secs(10), Duration::from_secs(3)), Instant::now())
    }

    /// Takes out whatever is over at `now`.
    fn expire(slab: &mut Slab<char>, now: Instant) -> String {
        std::iter::from_fn(|| slab.expired(now).and_then(|key| slab.remove(key))).collect()
    }

    #[test]
    fn an_old_name_does_not_find_who_has_the_place_now() {
        let (mut slab, now) = slab();
        let old = slab.insert('a', now).expect("there is room");
        assert_eq!(Key::from_token(old.to_token()), old);
        assert_eq!(slab.remove(old), Some('a'));
        let new = slab.insert('b', now).expect("there is room");
        assert_eq!(slab.find(old), None);
        assert_eq!((slab.remove(old), slab.count()), (None, 1));
        assert_eq!((slab.find(new), new.index), (Some(&mut 'b'), old.index));
        assert_eq!(Key::from_token(new.to_token()), new);
    }

    #[test]
    fn time_runs_out_in_order_whoever_moves() {
        let (mut slab, start) = slab();
        let at = |seconds| start + Duration::from_secs(seconds);
        let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(|name| slab.insert(name, start).expect("there is room"));
        assert_eq!(slab.deadline(), Some(at(10)));
        slab.allow(b, Limit::Idle, at(1));
        slab.allow(c, Limit::Io, at(2));
        slab.allow(a, Limit::Idle, at(3));
        slab.allow(d, Limit::Io, at(3));
        assert_eq!(slab.deadline(), Some(at(5)));
        assert_eq!(expire(&mut slab, at(4)), "");
        assert_eq!(expire(&mut slab, at(5)), "c");
        assert_eq!(expire(&mut slab, at(11)), "bd");
        slab.allow(c, Limit::Idle, at(11));
        assert_eq!((slab.deadline(), slab.keys()), (Some(at(13)), vec![a]));
        assert_eq!(expire(&mut slab, at(13)), "a");
        assert_eq!((slab.deadline(), slab.count()), (None, 0));
    }

    #[test]
    fn of_too_many_with_one_limit_the_first_is_named() {
        let (mut slab, start) = slab();
        let keys = ['a', 'b', 'c', 'd'].map(|name| slab.insert(name, start).expect("there is room"));
        for key in [2, 0, 3] {
            slab.allow(keys[key], Limit::Io, start);
        }
        assert_eq!((slab.surplus(Limit::Io, 3), slab.surplus(Limit::Idle, 0)), (None, Some(keys[1])));
        for first in [2, 0, 3] {
            assert_eq!(slab.surplus(Limit::Io, 2), Some(keys[first]));
            // Its time begins anew, behind that of the others.
            slab.allow(keys[first], Limit::Io, start);
        }
        slab.remove(keys[0]);
        assert_eq!((slab.surplus(Limit::Io, 2), slab.surplus(Limit::Io, 1)), (None, Some(keys[2])));
    }

    #[test]
    fn many_that_come_and_go_leave_no_places_behind() {
        let (mut slab, start) = slab();
        let mut keys = Vec::new();
        for round in 0..1000_u32 {
            keys.push(slab.insert('x', start).expect("there is room"));
            if round % 3 > 0 {
                let key = keys.swap_remove(round as usize * 7 % keys.len());
                assert_eq!(slab.remove(key), Some('x'));
            }
        }
        assert_eq!((slab.count(), slab.keys().len()), (keys.len(), keys.len()));
        assert!(slab.slots.len() <= keys.len() + 1, "{} slots for {}", slab.slots.len(), keys.len());
        for key in keys {
            slab.remove(key);
        }
        assert_eq!((slab.deadline(), slab.count()), (None, 0));
    }
}
