//! The queue's end, as those share it who send.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use crate::queue::{ExchangeStream, Offer};

/// Where the next copy is taken, by the sink that waits for one, or by who has just finished another. None once the sink is shut down.
///
/// Who takes a copy gives it its place in its session before anybody takes another: two that were taken one behind the other by two threads would be there in
/// either order.
pub(super) struct Copies(Mutex<Option<ExchangeStream>>);

impl Copies {
    pub(super) fn new(stream: ExchangeStream) -> Copies {
        Copies(Mutex::new(Some(stream)))
    }

    /// The next copy in its place, waiting for it; none when no more comes. One task at a time may wait.
    pub(super) async fn next<T>(&self, place: impl Fn(Offer) -> T) -> Option<T> {
        poll_fn(|cx| {
            let mut stream = self.lock();
            let Some(stream) = stream.as_mut() else { return Poll::Ready(None) };
            Poll::Ready(ready!(stream.poll_next(cx)).map(&place))
        })
        .await
    }

    /// The first of those that wait for which there is a place. With several engine threads it may wait for one that is about to put a copy in.
    pub(super) fn find_now<T>(&self, place: impl Fn(Offer) -> Option<T>) -> Option<T> {
        let mut stream = self.lock();
        let stream = stream.as_mut()?;
        std::iter::from_fn(|| stream.try_next()).find_map(place)
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
