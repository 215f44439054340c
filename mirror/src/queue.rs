//! The bounded queue before each sink. When it is full the newest copy is dropped, and counted: what waits already is older and
//! its bytes are spent. Only a sink that needs nothing but the engine's own turn to take a copy is waited for: else a burst that the fan-out
//! brings in one turn of its own would cost copies for which there is time and room.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, WeakSender, channel};

use crate::exchange::{Account, Exchange};
use crate::outcome::DropReason;

/// One exchange for one sink, with the account the sink settles when it knows what became of it.
#[derive(Debug)]
pub struct Offer {
    /// The exchange.
    pub exchange: Exchange,
    /// Settle it; dropped unsettled it counts as dropped at shutdown.
    pub account: Account,
}

/// The fan-out's end.
pub(crate) struct Queue {
    sender: Sender<Offer>,
    prompt: bool,
}

/// The sink's end.
pub struct ExchangeStream(Receiver<Offer>);

/// A queue of at most `length` copies. `prompt`: its sink takes them as soon as it has its turn, whatever else it waits for.
pub(crate) fn queue(length: usize, prompt: bool) -> (Queue, ExchangeStream) {
    let (sender, receiver) = channel(length);
    (Queue { sender, prompt }, ExchangeStream(receiver))
}

impl Queue {
    /// Puts a copy in, once there is room if the sink is prompt; else drops and counts it.
    pub(crate) async fn offer(&self, offer: Offer) {
        match self.sender.try_send(offer) {
            Ok(()) => {}
            Err(TrySendError::Full(offer)) if self.prompt => {
                if let Err(refused) = self.sender.send(offer).await {
                    refused.0.account.dropped(DropReason::Shutdown);
                }
            }
            Err(TrySendError::Full(offer)) => offer.account.dropped(DropReason::QueueFull),
            Err(TrySendError::Closed(offer)) => offer.account.dropped(DropReason::Shutdown),
        }
    }

    /// Tells how many copies wait.
    pub(crate) fn length(&self) -> QueueLength {
        QueueLength(self.sender.downgrade())
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
    /// The next copy; none when the engine drains and all have been taken.
    pub async fn next(&mut self) -> Option<Offer> {
        self.0.recv().await
    }
}
