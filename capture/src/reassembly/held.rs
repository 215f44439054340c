//! What came before its turn: copies of bytes ahead of the next one, in order and without overlap.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::Counters;

/// What holding one entry costs besides its bytes: its share of a tree node that may be half empty, and the allocation's header. Counted
/// with the bytes, so that a stream of one-byte segments is bounded as well.
pub(super) const OVERHEAD: usize = 128;

/// Some bytes, and how many more followed that were never captured.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) bytes: Box<[u8]>,
    pub(super) missing: u64,
    pub(super) time: Duration,
}

impl Entry {
    fn length(&self) -> u64 {
        self.bytes.len() as u64 + self.missing
    }
}

/// Entries by their offset in the stream. Where copies overlap, the one that came first stays.
#[derive(Debug, Default)]
pub(super) struct Held {
    entries: BTreeMap<u64, Entry>,
    cost: usize,
}

impl Held {
    /// Bytes of memory.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the first entry begins.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.first_key_value().map(|(&start, _)| start)
    }

    /// Where the last entry ends.
    pub(super) fn end(&self) -> Option<u64> {
        self.entries.last_key_value().map(|(&start, entry)| start + entry.length())
    }

    /// Takes the first entry where it begins at `offset`.
    pub(super) fn take(&mut self, offset: u64) -> Option<Entry> {
        let first = self.entries.first_entry()?;
        if *first.key() > offset {
            return None;
        }
        let entry = first.remove();
        self.cost -= entry.bytes.len() + OVERHEAD;
        Some(entry)
    }

    /// Drops what lies behind `end`, and says of how many entries.
    pub(super) fn truncate(&mut self, end: u64) -> u64 {
        let mut cut = 0;
        while let Some(last) = self.entries.last_entry()
            && *last.key() + last.get().length() > end
        {
            cut += 1;
            let (start, entry) = last.remove_entry();
            self.cost -= entry.bytes.len() + OVERHEAD;
            if start < end {
                let whole = New { payload: &entry.bytes, missing: entry.missing, time: entry.time };
                self.add(start, whole.part(0, end - start));
            }
        }
        cut
    }

    /// Holds what of these bytes, and of the `missing` that follow them, is not held yet.
    pub(super) fn insert(&mut self, start: u64, new: New<'_>, counters: &mut Counters) {
        let end = start + new.length();
        let mut at = start;
        // The entry before may reach into these bytes; every other one that overlaps begins within them.
        let before = self.entries.range(..=start).next_back().map(|(&offset, _)| offset);
        let mut from = before.map_or(Bound::Included(start), Bound::Included);
        while at < end {
            let Some((&offset, entry)) = self.entries.range((from, Bound::Excluded(end))).next() else {
                self.add(at, new.part(at - start, end - start));
                return;
            };
            let entry_end = offset + entry.length();
            from = Bound::Excluded(offset);
            if entry_end > at {
                compare(offset, &entry.bytes, start, new.payload, counters);
                if offset > at {
                    self.add(at, new.part(at - start, offset - start));
                }
                at = entry_end;
            }
        }
    }

    fn add(&mut self, start: u64, new: New<'_>) {
        let entry = Entry { bytes: new.payload.into(), missing: new.missing, time: new.time };
        self.cost += entry.bytes.len() + OVERHEAD;
        self.entries.insert(start, entry);
    }
}

/// What is to be held.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) payload: &'a [u8],
    pub(super) missing: u64,
    pub(super) time: Duration,
}

impl New<'_> {
    pub(super) fn length(&self) -> u64 {
        self.payload.len() as u64 + self.missing
    }

    /// What lies between two offsets within it.
    pub(super) fn part(&self, from: u64, to: u64) -> Self {
        let bytes = self.payload.len() as u64;
        // Both are at most `bytes`, a length in memory.
        let (first, last) = (from.min(bytes), to.min(bytes));
        Self { payload: &self.payload[first as usize..last as usize], missing: (to - last) - (from - first), ..*self }
    }
}

/// Counts the bytes that two copies share, and whether they differ.
fn compare(old_start: u64, old: &[u8], new_start: u64, new: &[u8], counters: &mut Counters) {
    let start = old_start.max(new_start);
    let end = (old_start + old.len() as u64).min(new_start + new.len() as u64);
    if start < end {
        counters.repeated_bytes += end - start;
        let of = |bytes_start: u64| (start - bytes_start) as usize..(end - bytes_start) as usize;
        counters.differing_overlaps += u64::from(old[of(old_start)] != new[of(new_start)]);
    }
}
