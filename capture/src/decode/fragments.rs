//! Puts fragmented IP packets together (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! etherparse has a pool for this too, but one without bounds, in which the last copy of a byte wins.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::cursor::Cursor;
use super::{Ends, Limits, Unreadable};

/// The longest payload of an IP packet that can be fragmented.
const MAX_DATAGRAM: usize = 65_535;

/// How many runs of bytes, apart from each other, one datagram may consist of. The longest datagram in the smallest packets of IPv6 (1280
/// bytes) has 54 fragments, of which no more than half can lie apart.
const MAX_RUNS: usize = 64;

/// How many finished datagrams are remembered, and for how long, so that copies of their last fragments (a capture that sees packets
/// twice) do not begin new ones and then spoil a later datagram of the same identification.
const REMEMBERED: usize = 64;
const REMEMBERED_FOR: Duration = Duration::from_millis(100);

/// What a fragment's headers say of it. Its bytes are what the cursor stands at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment {
    pub(super) ends: Ends,
    pub(super) identification: u32,
    /// IPv4: of the datagram. IPv6: what follows the fragment header, which counts in the first fragment only.
    pub(super) protocol: u8,
    pub(super) offset: usize,
    /// It is not the last.
    pub(super) more: bool,
}

/// A whole datagram's payload.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) ends: Ends,
    pub(super) protocol: u8,
    pub(super) bytes: Vec<u8>,
}

/// What fragments of one datagram share. IPv6 has no protocol in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    ends: Ends,
    identification: u32,
    protocol: Option<u8>,
}

/// A datagram of which something is missing.
#[derive(Debug)]
struct Partial {
    key: Key,
    since: Duration,
    /// Up to the end of the farthest run; what lies between runs is zero.
    bytes: Vec<u8>,
    /// Where bytes are: ascending, apart from each other, begin and end.
    runs: Vec<(usize, usize)>,
    /// Where the datagram ends, once its last fragment came.
    end: Option<usize>,
    /// What the first fragment says.
    protocol: Option<u8>,
}

/// The unfinished datagrams.
#[derive(Debug)]
pub(super) struct Fragments {
    limits: Limits,
    /// In order of their first fragments' arrival.
    partials: BTreeMap<u64, Partial>,
    by_key: HashMap<Key, u64>,
    next: u64,
    /// What `partials` occupy.
    bytes: usize,
    finished: VecDeque<(Key, Duration)>,
}

impl Fragments {
    pub(super) fn new(limits: Limits) -> Self {
        Fragments {
            limits,
            partials: BTreeMap::new(),
            by_key: HashMap::new(),
            next: 0,
            bytes: 0,
            finished: VecDeque::with_capacity(REMEMBERED),
        }
    }

    /// Keeps a fragment; gives the datagram that it completes.
    pub(super) fn keep(
        &mut self,
        fragment: &Fragment,
        cursor: &Cursor<'_>,
        now: Duration,
    ) -> Result<Option<Datagram>, Unreadable> {
        let data = cursor.data();
        let end = fragment.offset + data.len();
        if !cursor.whole() || data.is_empty() || end > MAX_DATAGRAM || (fragment.more && !data.len().is_multiple_of(8))
        {
            return Err(Unreadable::Fragment);
        }
        let key = Key {
            ends: fragment.ends,
            identification: fragment.identification,
            protocol: fragment.ends.from.is_ipv4().then_some(fragment.protocol),
        };
        self.expire(now);
        if self.finished.iter().any(|(finished, _)| *finished == key) {
            return Ok(None);
        }
        let id = *self.by_key.entry(key).or_insert_with(|| {
            self.next += 1;
            self.partials.insert(self.next, Partial::new(key, now));
            self.next
        });
        let Some(partial) = self.partials.get_mut(&id) else { return Ok(None) };
        let before = partial.cost();
        let added = partial.add(fragment, data);
        self.bytes = self.bytes - before + partial.cost();
        let whole = partial.whole();
        if let (Ok(()), Some(protocol)) = (added, whole) {
            let Some(partial) = self.remove(id) else { return Ok(None) };
            if self.finished.len() == REMEMBERED {
                self.finished.pop_front();
            }
            self.finished.push_back((key, now));
            return Ok(Some(Datagram { ends: key.ends, protocol, bytes: partial.bytes }));
        }
        // A datagram whose fragments contradict each other is given up as a whole: nobody can tell which of them lie.
        if added.is_err() {
            self.remove(id);
        }
        while self.bytes > self.limits.fragment_bytes || self.partials.len() > self.limits.fragment_datagrams {
            let Some((&oldest, _)) = self.partials.first_key_value() else { break };
            self.remove(oldest);
        }
        added.map(|()| None)
    }

    /// Gives up what waited too long. The packets' times may go back, in captures that were merged; nothing is too old then.
    fn expire(&mut self, now: Duration) {
        while let Some((&id, oldest)) = self.partials.first_key_value()
            && now.saturating_sub(oldest.since) > self.limits.fragment_time
        {
            self.remove(id);
        }
        while self.finished.front().is_some_and(|(_, at)| now.abs_diff(*at) > REMEMBERED_FOR) {
            self.finished.pop_front();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Partial> {
        let partial = self.partials.remove(&id)?;
        self.by_key.remove(&partial.key);
        self.bytes -= partial.cost();
        Some(partial)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        assert_eq!(self.partials.len(), self.by_key.len());
        assert_eq!(self.bytes, self.partials.values().map(Partial::cost).sum::<usize>());
        (self.partials.len(), self.bytes)
    }
}

impl Partial {
    fn new(key: Key, since: Duration) -> Self {
        Partial { key, since, bytes: Vec::new(), runs: Vec::new(), end: None, protocol: None }
    }

    /// The bytes it occupies, nearly.
    fn cost(&self) -> usize {
        self.bytes.capacity() + self.runs.capacity() * size_of::<(usize, usize)>()
    }

    /// What its payload is, if it is whole.
    fn whole(&self) -> Option<u8> {
        let end = self.end?;
        (self.runs == [(0, end)]).then_some(self.protocol).flatten()
    }

    /// Adds what is new in a fragment: where fragments overlap, the first data wins.
    fn add(&mut self, fragment: &Fragment, data: &[u8]) -> Result<(), Unreadable> {
        let (begin, end) = (fragment.offset, fragment.offset + data.len());
        let known = self.end.unwrap_or(MAX_DATAGRAM);
        if end > known || (!fragment.more && (end < self.bytes.len() || self.end.is_some_and(|known| known != end))) {
            return Err(Unreadable::Fragment);
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if begin == 0 {
            self.protocol.get_or_insert(fragment.protocol);
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        // The runs that the fragment touches become one with it; between them it fills what was not there.
        let first = self.runs.partition_point(|run| run.1 < begin);
        let last = first + self.runs[first..].partition_point(|run| run.0 <= end);
        let mut at = begin;
        for &(from, to) in &self.runs[first..last] {
            if at < from {
                self.bytes[at..from].copy_from_slice(&data[at - begin..from - begin]);
            }
            at = at.max(to);
        }
        if at < end {
            self.bytes[at..end].copy_from_slice(&data[at - begin..]);
        }
        let joined = match &self.runs[first..last] {
            [] => (begin, end),
            [one] => (begin.min(one.0), end.max(one.1)),
            [one, .., other] => (begin.min(one.0), end.max(other.1)),
        };
        self.runs.splice(first..last, [joined]);
        if self.runs.len() > MAX_RUNS { Err(Unreadable::Fragment) } else { Ok(()) }
    }
}
