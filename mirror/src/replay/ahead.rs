//! What was read and is not due yet: a queue between two threads, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::request::Request;

/// How many are handed over at once: a lock and a wake-up for each would cost more than the requests.
const BATCH: usize = 64;

/// What is read.
pub(super) enum Item {
    /// A request.
    Request(Box<Request>),
    /// The end of a pass that is not the last.
    PassEnd,
}

pub(super) struct Ahead {
    inner: Mutex<Inner>,
    /// Told when there is more,
    more: Condvar,
    /// and when there is room.
    room: Condvar,
    most: usize,
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    /// Nothing more comes.
    ended: bool,
    /// Nothing more is taken.
    closed: bool,
}

impl Ahead {
    /// Holds at most so many bytes, or one request that is longer.
    pub(super) fn new(most: usize) -> Ahead {
        Ahead { inner: Mutex::default(), more: Condvar::new(), room: Condvar::new(), most }
    }

    /// Puts items in, waiting for room. `false` when nobody takes them any more.
    pub(super) fn put(&self, items: &mut Vec<Item>) -> bool {
        let bytes = items.iter().map(Item::cost).sum::<usize>();
        let full = |inner: &mut Inner| !inner.closed && inner.bytes > 0 && inner.bytes + bytes > self.most;
        let mut inner = self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if inner.closed {
            return false;
        }
        inner.bytes += bytes;
        inner.items.extend(items.drain(..));
        self.more.notify_one();
        true
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.more.notify_one();
    }

    /// Nothing more is taken.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.items.clear();
        self.room.notify_one();
        self.more.notify_one();
    }

    /// Takes the next ones, waiting for them, until then where there is such a time. Leaves `items` empty at the end; `false` when the time was over
    /// before anything came.
    pub(super) fn take(&self, items: &mut VecDeque<Item>, until: Option<Instant>) -> bool {
        let empty = |inner: &mut Inner| inner.items.is_empty() && !inner.ended && !inner.closed;
        let mut inner = match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => self.more.wait_while(self.lock(), empty).unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                let waited = self.more.wait_timeout_while(self.lock(), left, empty);
                let (inner, over) = waited.unwrap_or_else(PoisonError::into_inner);
                if over.timed_out() {
                    return false;
                }
                inner
            }
        };
        let count = inner.items.len().min(BATCH);
        items.extend(inner.items.drain(..count));
        inner.bytes -= items.iter().map(Item::cost).sum::<usize>().min(inner.bytes);
        self.room.notify_one();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item {
    fn cost(&self) -> usize {
        match self {
            Item::Request(request) => request.cost,
            Item::PassEnd => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn request(cost: usize) -> Item {
        Item::Request(Box::new(Request { cost, ..Request::for_tests(std::time::UNIX_EPOCH) }))
    }

    #[test]
    fn it_holds_so_many_bytes_or_one_that_is_longer() {
        let ahead = Arc::new(Ahead::new(100));
        assert!(ahead.put(&mut vec![request(500)]));
        let other = ahead.clone();
        let waiting = std::thread::spawn(move || other.put(&mut vec![request(60), request(40)]));
        let mut items = VecDeque::new();
        ahead.take(&mut items, None);
        assert_eq!(items.len(), 1);
        assert!(waiting.join().unwrap());
        items.clear();
        ahead.take(&mut items, None);
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn it_is_waited_for_so_long() {
        let ahead = Ahead::new(100);
        let (mut items, now) = (VecDeque::new(), Some(Instant::now()));
        assert!(!ahead.take(&mut items, now), "nothing came");
        ahead.put(&mut vec![Item::PassEnd]);
        assert!(ahead.take(&mut items, now), "what is there is taken");
        assert_eq!(items.drain(..).count(), 1);
        ahead.end();
        assert!(ahead.take(&mut items, now) && items.is_empty(), "it is at its end");
    }

    #[test]
    fn both_ends_can_end_it() {
        let ahead = Ahead::new(100);
        let mut items = VecDeque::new();
        ahead.put(&mut vec![Item::PassEnd]);
        ahead.end();
        ahead.take(&mut items, None);
        assert_eq!(items.drain(..).count(), 1);
        ahead.take(&mut items, None);
        assert!(items.is_empty());
        ahead.close();
        assert!(!ahead.put(&mut vec![Item::PassEnd]));
    }
}
