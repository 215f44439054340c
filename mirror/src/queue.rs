//! The bounded queue before each sink. When it is full the newest copy is dropped, and counted: what waits already is older and
//! its bytes are spent.

use std::task::{Context, Poll};

use tokio::sync::mpsc::{Receiver, Sender, WeakSender, channel};

use crate::exchange::{Account, Exchange};
use crate::outcome::DropReason;

/// One exchange for one sink, with the account the sink settles when it knows what became of it.
#[derive(Debug)]
pub struct Offer {
    /// The exchange. In a box: it goes through many hands.
    pub exchange: Box<Exchange>,
    /// Settle it; dropped unsettled it counts as dropped at shutdown.
    pub account: Account,
}

/// The fan-out's end, of one generation or several.
#[derive(Clone)]
pub(crate) struct Queue(Sender<Offer>);

/// The sink's end.
pub struct ExchangeStream(Receiver<Offer>);

/// A queue of at most `length` copies.
pub(crate) fn queue(length: usize) -> (Queue, ExchangeStream) {
    let (sender, receiver) = channel(length);
    (Queue(sender), ExchangeStream(receiver))
}

impl Queue {
    /// Puts a copy in, or drops and counts it. Never waits.
    pub(crate) fn offer(&self, offer: Offer) {
        if let Err(refused) = self.0.try_send(offer) {
            match refused {
                tokio::sync::mpsc::error::TrySendError::Full(offer) => offer.account.dropped(DropReason::QueueFull),
                tokio::sync::mpsc::error::TrySendError::Closed(offer) => offer.account.dropped(DropReason::Shutdown),
            }
        }
    }

    /// How many copies wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }

    /// Tells how many copies wait.
    pub(crate) fn length(&self) -> QueueLength {
        QueueLength(self.0.downgrade())
    }
}

/// How many copies wait in a queue, which it does not keep open.
pub(crate) struct QueueLength(WeakSender<Offer>);

impl QueueLength {
    /// Those that wait now.
    pub(crate) fn get(&self) -> usize {
        self.0.upgrade().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }
}

impl ExchangeStream {
    /// The next copy, where one waits.
    pub fn try_next(&mut self) -> Option<Offer> {
        self.0.try_recv().ok()
    }

    /// Waits for [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Offer>> {
        self.0.poll_recv(cx)
    }

    /// The next copy; none when the engine drains and all have been taken.
    pub async fn next(&mut self) -> Option<Offer> {
        self.0.recv().await
    }
}
