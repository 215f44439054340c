//! The queue's end, as those share it who send.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crate::queue::{ExchangeStream, Offer};

/// Where the next copy is taken, by the sink that waits for one, or by who has just finished another. None once the sink is shut down.
pub(super) struct Copies(Mutex<Option<ExchangeStream>>);

impl Copies {
    pub(super) fn new(stream: ExchangeStream) -> Copies {
        Copies(Mutex::new(Some(stream)))
    }

    /// The next copy, waiting for it; none when no more comes. One task at a time may wait.
    pub(super) async fn next(&self) -> Option<Offer> {
        poll_fn(|cx| self.lock().as_mut().map_or(Poll::Ready(None), |stream| stream.poll_next(cx))).await
    }

    /// What is made of the first of the copies that wait of which anything is.
    pub(super) fn find_now<T>(&self, take: impl Fn(Offer) -> Option<T>) -> Option<T> {
        std::iter::from_fn(|| self.lock().as_mut()?.try_next()).find_map(take)
    }

    /// Drops all that wait.
    pub(super) fn give_up(&self) {
        let stream = self.lock().take();
        drop(stream);
    }

    fn lock(&self) -> MutexGuard<'_, Option<ExchangeStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
