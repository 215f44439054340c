//! What was read and is not due yet: a queue from the thread that reads to the task that sends, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

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
    /// Told when there is more, for the one who takes it,
    more: Notify,
    /// and when there is room.
    room: Condvar,
    most: usize,
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    /// The bytes that the reader waits for room for, where it does. It is woken for each batch that fits: in long turns it would keep a target
    /// from the CPU that they share, and the requests that wait for the target's answers from being sent.
    waits_for: Option<usize>,
    /// Nothing more comes.
    ended: bool,
    /// Nothing more is taken.
    closed: bool,
}

impl Ahead {
    /// Holds at most so many bytes, or one request that is longer.
    pub(super) fn new(most: usize) -> Ahead {
        Ahead { inner: Mutex::default(), more: Notify::new(), room: Condvar::new(), most }
    }

    /// Puts items in, waiting for room. `false` when nobody takes them any more.
    pub(super) fn put(&self, items: &mut Vec<Item>) -> bool {
        let bytes = items.iter().map(Item::cost).sum::<usize>();
        let mut inner = self.lock();
        while !inner.closed && inner.bytes > 0 && inner.bytes + bytes > self.most {
            inner.waits_for = Some(bytes);
            let waits = |inner: &mut Inner| inner.waits_for.is_some() && !inner.closed;
            inner = self.room.wait_while(inner, waits).unwrap_or_else(PoisonError::into_inner);
        }
        if inner.closed {
            return false;
        }
        inner.bytes += bytes;
        inner.items.extend(items.drain(..));
        // First: who is woken needs it, and has the higher priority.
        drop(inner);
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
    pub(super) async fn take(&self, items: &mut VecDeque<Item>, until: Option<Instant>) -> bool {
        while !self.take_now(items) {
            match until {
                None => self.more.notified().await,
                Some(until) => {
                    if tokio::time::timeout_at(until.into(), self.more.notified()).await.is_err() {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// `false` where nothing is there and more may come.
    fn take_now(&self, items: &mut VecDeque<Item>) -> bool {
        let mut inner = self.lock();
        if inner.items.is_empty() && !inner.ended && !inner.closed {
            return false;
        }
        let count = inner.items.len().min(BATCH);
        items.extend(inner.items.drain(..count));
        inner.bytes -= items.iter().map(Item::cost).sum::<usize>().min(inner.bytes);
        let is_room = |bytes| inner.bytes == 0 || inner.bytes + bytes <= self.most;
        if inner.waits_for.is_some_and(is_room) {
            inner.waits_for = None;
            self.room.notify_one();
        }
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

    #[tokio::test]
    async fn it_holds_so_many_bytes_or_one_that_is_longer() {
        let ahead = Arc::new(Ahead::new(100));
        assert!(ahead.put(&mut vec![request(500)]));
        let other = ahead.clone();
        let waiting = std::thread::spawn(move || other.put(&mut vec![request(60), request(40)]));
        let mut items = VecDeque::new();
        ahead.take(&mut items, None).await;
        assert_eq!(items.len(), 1);
        assert!(waiting.join().unwrap());
        items.clear();
        ahead.take(&mut items, None).await;
        assert_eq!(items.len(), 2);
    }

    #[tokio::test]
    async fn what_costs_nothing_waits_for_room_too() {
        let ahead = Arc::new(Ahead::new(100));
        assert!(ahead.put(&mut vec![request(500)]));
        let other = ahead.clone();
        let waiting = std::thread::spawn(move || other.put(&mut vec![Item::PassEnd]));
        while ahead.lock().waits_for.is_none() {
            std::thread::yield_now();
        }
        let mut items = VecDeque::new();
        ahead.take(&mut items, None).await;
        assert!(waiting.join().unwrap());
        ahead.take(&mut items, None).await;
        assert_eq!(items.len(), 2);
    }

    #[tokio::test]
    async fn it_is_waited_for_so_long() {
        let ahead = Ahead::new(100);
        let (mut items, now) = (VecDeque::new(), Some(Instant::now()));
        assert!(!ahead.take(&mut items, now).await, "nothing came");
        ahead.put(&mut vec![Item::PassEnd]);
        assert!(ahead.take(&mut items, now).await, "what is there is taken");
        assert_eq!(items.drain(..).count(), 1);
        ahead.end();
        assert!(ahead.take(&mut items, now).await && items.is_empty(), "it is at its end");
    }

    #[tokio::test]
    async fn both_ends_can_end_it() {
        let ahead = Ahead::new(100);
        let mut items = VecDeque::new();
        ahead.put(&mut vec![Item::PassEnd]);
        ahead.end();
        ahead.take(&mut items, None).await;
        assert_eq!(items.drain(..).count(), 1);
        ahead.take(&mut items, None).await;
        assert!(items.is_empty());
        ahead.close();
        assert!(!ahead.put(&mut vec![Item::PassEnd]));
    }
}
