//! Records in the order of their starts, out of one that is only nearly so.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, SystemTime};

use super::Record;

/// How long an exchange may last, until its record stands in the file, for it to be given in its place: 60 s of recorded time.
///
/// A recording has its exchanges in the order in which they ended and their targets had answered, or were waited for. Few last a minute,
/// which is where most servers and proxies give up. One that does is given late, and counted.
pub const REORDER_TIME: Duration = Duration::from_secs(60);

/// How many bytes of records are held at most to put them in order: 64 MiB, so that a reader is no larger than what records by default. That is
/// tens of thousands of usual exchanges, or six with the longest bodies that are recorded by default.
pub const REORDER_BYTES: usize = 64 << 20;

/// What a record takes beside its bytes and lines: its own struct, and what the allocator adds.
const RECORD: usize = 1024;

/// Whether a record whose exchange began so long before that of one in front of it tells of a clock that was set back. It is only out of order
/// otherwise: within [`REORDER_TIME`], or written late as it lasted so long.
pub(crate) fn is_set_back(behind: Duration, lasted: Duration) -> bool {
    behind.saturating_sub(lasted) > REORDER_TIME
}

/// Holds records back until none that began before them can come.
#[derive(Debug)]
pub(super) struct Window {
    held: BinaryHeap<Reverse<Held>>,
    /// What was held when a clock was set back, in order; it is given first.
    before: VecDeque<Held>,
    bytes: usize,
    /// Counts what came, so that equals stay in their order.
    came: u64,
    time: Duration,
    given: Option<SystemTime>,
    late: u64,
}

/// By start, and then as they came. In a box, as a record is long to be moved about in a heap.
#[derive(Debug)]
struct Held {
    started: SystemTime,
    came: u64,
    bytes: usize,
    record: Box<Record>,
}

impl Window {
    /// One that waits so long, in recorded time; nothing is held for zero.
    pub(super) fn new(time: Duration) -> Window {
        Window { held: BinaryHeap::new(), before: VecDeque::new(), bytes: 0, came: 0, time, given: None, late: 0 }
    }

    pub(super) fn put(&mut self, record: Record) {
        let bytes = size(&record);
        self.bytes += bytes;
        self.came += 1;
        self.held.push(Reverse(Held { started: record.started, came: self.came, bytes, record: Box::new(record) }));
    }

    /// What comes now is behind all that is held, whatever its clock says.
    pub(super) fn begin_anew(&mut self) {
        let held = std::mem::take(&mut self.held).into_sorted_vec();
        self.before.extend(held.into_iter().rev().map(|Reverse(held)| held));
    }

    /// The first of them, where it is its turn: all that is still to come has been read up to `frontier`, which is none where nothing is.
    pub(super) fn take(&mut self, frontier: Option<SystemTime>) -> Option<Record> {
        let Held { started, bytes, record, .. } = match self.before.pop_front() {
            Some(held) => held,
            None => {
                let Reverse(first) = self.held.peek()?;
                let due = frontier.is_none_or(|frontier| first.started + self.time <= frontier);
                if !due && self.bytes <= REORDER_BYTES {
                    return None;
                }
                let Reverse(held) = self.held.pop()?;
                held
            }
        };
        self.bytes -= bytes;
        self.late += u64::from(self.given.is_some_and(|given| started < given));
        self.given = self.given.max(Some(started));
        Some(*record)
    }

    /// How many were given behind one that began after them.
    pub(super) fn late(&self) -> u64 {
        self.late
    }
}

/// About how many bytes a record holds.
fn size(record: &Record) -> usize {
    let answers = record.answers.iter().filter_map(|answer| answer.response.as_ref());
    let messages = record.response.iter().chain(answers).map(|response| &response.message);
    let messages = std::iter::once(&record.request.message).chain(messages);
    let bytes: usize = messages
        .map(|message| {
            let lines = message.headers.iter().chain(&message.trailers);
            let lines: usize = lines.map(|(name, value)| name.len() + value.len() + size_of_val(name) * 2).sum();
            lines + message.body.iter().map(|piece| piece.len()).sum::<usize>()
        })
        .sum();
    RECORD * (1 + record.answers.len()) + record.request.target.len() + bytes
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.started, self.came).cmp(&(other.started, other.came))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::recording::avro::tests::small;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn record(seconds: u64) -> Record {
        Record { started: at(seconds), ..small(seconds.into()) }
    }

    #[test]
    fn none_is_given_before_its_turn() {
        let mut window = Window::new(REORDER_TIME);
        for seconds in [100, 90, 120] {
            window.put(record(seconds));
        }
        let mut take = |frontier: Option<u64>| window.take(frontier.map(at)).map(|record| record.id);
        assert_eq!([take(Some(149)), take(Some(150)), take(Some(150))], [None, Some(90), None]);
        assert_eq!([take(None), take(None), take(None)], [Some(100), Some(120), None]);
        window.put(record(110));
        assert_eq!(window.take(None).map(|record| record.id), Some(110));
        assert_eq!(window.late(), 1);
    }

    #[test]
    fn what_was_held_when_a_clock_was_set_back_is_given_first() {
        let mut window = Window::new(REORDER_TIME);
        [4010, 4000].into_iter().for_each(|seconds| window.put(record(seconds)));
        window.begin_anew();
        [110, 100].into_iter().for_each(|seconds| window.put(record(seconds)));
        let given: Vec<_> = std::iter::from_fn(|| window.take(Some(at(160)))).map(|record| record.id).collect();
        assert_eq!(given, [4000, 4010, 100]);
        assert_eq!(window.take(None).map(|record| record.id), Some(110));
    }

    #[test]
    fn no_more_is_held_than_the_bound() {
        let mut window = Window::new(REORDER_TIME);
        let body = Bytes::from(vec![0; REORDER_BYTES / 4]);
        let mut given = 0;
        for seconds in 0..10 {
            let mut record = record(seconds);
            record.request.message.body = vec![body.clone()];
            window.put(record);
            given += u64::from(window.take(Some(at(seconds))).is_some());
        }
        assert_eq!(given, 7, "three are held");
    }
}
