//! Entries by key, each in one list that is ordered by when it was last used, so that the next one to be forgotten is found at once.

use std::collections::HashMap;
use std::time::Duration;

use super::key::Key;

/// An entry's place.
pub(super) type Index = u32;

/// No entry.
const NONE: Index = Index::MAX;

/// An entry is moved to its list's end at most once in this time: most packets of a busy connection need not touch its neighbours.
const GRAIN: Duration = Duration::from_secs(1);

/// The lists, in the order in which they are evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Handshakes, and what is kept of connections that are gone.
    Small,
    /// Connections of which one side was heard only.
    OneSided,
    /// Connections of which both sides were heard.
    Established,
}

impl List {
    pub(super) const ALL: [Self; 3] = [Self::Small, Self::OneSided, Self::Established];
}

/// The list of those that hold bytes out of order, the longest first. Entries are in it besides their list.
const HOLDING: usize = 3;

/// Which links of an entry a list uses.
fn ring(list: usize) -> usize {
    usize::from(list == HOLDING)
}

#[derive(Debug, Clone, Copy)]
struct Links {
    before: Index,
    after: Index,
}

const UNLINKED: Links = Links { before: NONE, after: NONE };

#[derive(Debug)]
struct Slot<T> {
    key: Key,
    list: List,
    holding: bool,
    touched: Duration,
    links: [Links; 2],
    /// None in a slot that is free.
    value: Option<T>,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table<T> {
    index: HashMap<Key, Index>,
    slots: Vec<Slot<T>>,
    free: Vec<Index>,
    /// Each list's first and last.
    ends: [Links; 4],
    /// The last one that was found: packets come in bursts.
    last: Option<(Key, Index)>,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self { index: HashMap::new(), slots: Vec::new(), free: Vec::new(), ends: [UNLINKED; 4], last: None }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&mut self, key: &Key) -> Option<Index> {
        if let Some((last, at)) = self.last
            && last == *key
        {
            return Some(at);
        }
        let at = *self.index.get(key)?;
        self.last = Some((*key, at));
        Some(at)
    }

    /// Adds what is not there yet. The caller keeps the number of entries below [`Index::MAX`].
    pub(super) fn insert(&mut self, key: Key, list: List, now: Duration, value: T) -> Index {
        let slot = Slot { key, list, holding: false, touched: now, links: [UNLINKED; 2], value: Some(value) };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as Index
            }
        };
        self.index.insert(key, at);
        self.link(list as usize, at);
        at
    }

    /// An entry that is there.
    pub(super) fn get(&mut self, at: Index) -> Option<&mut T> {
        self.slots.get_mut(at as usize)?.value.as_mut()
    }

    pub(super) fn remove(&mut self, at: Index) -> Option<T> {
        self.hold(at, false);
        let slot = self.slots.get_mut(at as usize)?;
        let value = slot.value.take()?;
        let (key, list) = (slot.key, slot.list);
        self.unlink(list as usize, at);
        self.index.remove(&key);
        self.free.push(at);
        self.last = None;
        Some(value)
    }

    /// Notes that it was used now, and the list that it belongs to.
    pub(super) fn touch(&mut self, at: Index, list: List, now: Duration) {
        let slot = &mut self.slots[at as usize];
        let old = slot.list;
        if old != list || now.saturating_sub(slot.touched) >= GRAIN {
            slot.list = list;
            slot.touched = slot.touched.max(now);
            self.unlink(old as usize, at);
            self.link(list as usize, at);
        }
    }

    /// Notes whether it holds bytes.
    pub(super) fn hold(&mut self, at: Index, holds: bool) {
        let slot = &mut self.slots[at as usize];
        if slot.holding != holds {
            slot.holding = holds;
            if holds { self.link(HOLDING, at) } else { self.unlink(HOLDING, at) }
        }
    }

    /// The one in this list that was not used for longest, and when it was.
    pub(super) fn oldest(&self, list: List) -> Option<(Index, Duration)> {
        let first = self.ends[list as usize].before;
        self.slots.get(first as usize).map(|slot| (first, slot.touched))
    }

    /// The one that has held bytes for longest.
    pub(super) fn longest_holding(&self) -> Option<Index> {
        Some(self.ends[HOLDING].before).filter(|first| *first != NONE)
    }

    fn link(&mut self, list: usize, at: Index) {
        let ring = ring(list);
        let last = self.ends[list].after;
        self.slots[at as usize].links[ring] = Links { before: last, after: NONE };
        match self.slots.get_mut(last as usize) {
            Some(slot) => slot.links[ring].after = at,
            None => self.ends[list].before = at,
        }
        self.ends[list].after = at;
    }

    fn unlink(&mut self, list: usize, at: Index) {
        let ring = ring(list);
        let Links { before, after } = std::mem::replace(&mut self.slots[at as usize].links[ring], UNLINKED);
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.links[ring].after = after,
            None => self.ends[list].before = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(slot) => slot.links[ring].before = before,
            None => self.ends[list].after = before,
        }
    }
}
