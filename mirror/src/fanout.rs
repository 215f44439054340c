//! One exchange to N sinks.

use tokio::sync::mpsc::UnboundedReceiver;

use crate::exchange::Exchange;
use crate::outcome::DropReason;
use crate::pipeline::Pipeline;
use crate::queue::{Offer, Queue};
use crate::source::{Arrival, Copy};
use crate::stage::Verdict;

/// How many arrivals are taken at once: wake-ups across threads cost more than anything else here.
const BATCH: usize = 256;

/// Takes arrivals through the pipeline and offers each to the queues it is meant for.
pub(crate) struct Fanout {
    pub(crate) pipeline: Pipeline,
    /// In the order of the sinks' numbers.
    pub(crate) queues: Vec<Queue>,
}

impl Fanout {
    /// Runs until every tap is gone or the channel is closed, and all arrivals have been taken.
    pub(crate) async fn run(
        self,
        mut arrivals: UnboundedReceiver<Arrival>,
        mut drain: tokio::sync::watch::Receiver<bool>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let taken = tokio::select! {
                biased;
                taken = arrivals.recv_many(&mut batch, BATCH) => taken,
                _ = drain.wait_for(|draining| *draining), if !arrivals.is_closed() => {
                    arrivals.close();
                    continue;
                }
            };
            if taken == 0 {
                return;
            }
            for arrival in batch.drain(..) {
                self.spread(arrival).await;
            }
        }
    }

    async fn spread(&self, arrival: Arrival) {
        let mut exchange = match Exchange::new(arrival.shared) {
            Ok(exchange) => exchange,
            Err(error) => {
                tracing::debug!(%error, "an exchange with an unreadable head is not mirrored");
                arrival.copies.into_iter().for_each(|copy| copy.account.dropped(DropReason::Malformed));
                return;
            }
        };
        if let Verdict::Skip(reason) = self.pipeline.apply(&mut exchange) {
            arrival.copies.into_iter().for_each(|copy| copy.account.skipped(reason));
            return;
        }
        for Copy { mut account, request_body, response_body } in arrival.copies {
            account.offer();
            let queue = &self.queues[account.sink()];
            queue.offer(Offer { exchange: exchange.copy(request_body, response_body), account }).await;
        }
    }
}
