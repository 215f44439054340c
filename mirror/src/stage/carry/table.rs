//! What was handed out, by what the application handed out in its place.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::sync::watch;

use crate::telemetry::Counter;

type Key = (usize, Bytes);

/// Values by their old ones; the oldest are forgotten where there are too many.
pub(super) struct Table {
    /// Each with the number it came with.
    values: HashMap<Key, (u64, Found)>,
    /// The keys as they came, which are forgotten in this order. Some may be gone already, and have come again with another number.
    order: VecDeque<(u64, Key)>,
    next: u64,
    most: usize,
    forgotten: Counter,
}

/// What is known of an old value.
pub(super) enum Found {
    /// The target has yet to answer; it is told when.
    Due(watch::Receiver<bool>),
    /// What the target has in its place.
    New(Bytes),
}

impl Table {
    pub(super) fn new(most: usize, forgotten: Counter) -> Table {
        Table { values: HashMap::new(), order: VecDeque::new(), next: 0, most, forgotten }
    }

    pub(super) fn find(&self, rule: usize, old: &[u8]) -> Option<&Found> {
        // Without a copy there is no key to look for; most requests bring one value or none.
        if self.values.is_empty() {
            return None;
        }
        self.values.get(&(rule, Bytes::copy_from_slice(old))).map(|(_, found)| found)
    }

    /// The target will answer. What is known already stays until then: an application may hand out the same value again.
    pub(super) fn expect(&mut self, rule: usize, old: &Bytes, answered: watch::Receiver<bool>) {
        if !matches!(self.find(rule, old), Some(Found::New(_))) {
            self.put(rule, old, Found::Due(answered));
        }
    }

    pub(super) fn insert(&mut self, rule: usize, old: &Bytes, new: Bytes) {
        self.put(rule, old, Found::New(new));
    }

    /// The target has not handed out anything, or will not answer.
    pub(super) fn remove_due(&mut self, rule: usize, old: &Bytes) {
        if matches!(self.find(rule, old), Some(Found::Due(_))) {
            self.values.remove(&(rule, old.clone()));
        }
    }

    fn put(&mut self, rule: usize, old: &Bytes, found: Found) {
        // A part of a head would keep all of it in memory.
        let key = (rule, Bytes::copy_from_slice(old));
        let found = match found {
            Found::New(new) => Found::New(Bytes::copy_from_slice(&new)),
            due => due,
        };
        match self.values.entry(key) {
            Entry::Occupied(mut entry) => entry.get_mut().1 = found,
            Entry::Vacant(entry) => {
                self.order.push_back((self.next, entry.key().clone()));
                entry.insert((self.next, found));
                self.next += 1;
            }
        }
        while self.values.len() > self.most {
            let Some((number, oldest)) = self.order.pop_front() else { break };
            if self.values.get(&oldest).is_some_and(|(of, _)| *of == number) {
                self.values.remove(&oldest);
                self.forgotten.inc();
            }
        }
        // What is gone already takes no room for long.
        if self.order.len() > 2 * self.most {
            let values = &self.values;
            self.order.retain(|(number, key)| values.get(key).is_some_and(|(of, _)| of == number));
        }
    }
}
