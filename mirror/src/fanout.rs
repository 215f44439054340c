//! One exchange to N sinks.
//!
//! Stages that need the response hold an exchange back: those before the fan-out for all sinks, a sink's own for that sink. What is held waits in a task
//! of its own, and its bodies at their readers; it is charged to the byte budget like any other exchange.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::exchange::{Account, Exchange};
use crate::generation::Generation;
use crate::outcome::{DropReason, SkipReason};
use crate::pipeline::Progress;
use crate::queue::Offer;
use crate::response_end::ResponseEnd;
use crate::source::{Arrival, Copy};

/// How many arrivals are taken at once: wake-ups across threads cost more than anything else here. Then the sinks have their turn: without it the
/// fan-out, to which tokio gives 128 such turns in a row, fills every queue in a burst that the engine has time and room for. The smallest queue
/// by default is sixteen times as long, and a sink may take twice as many in a turn.
const BATCH: usize = 64;

/// Takes each arrival through the stages and to the queues of its generation. Runs until every tap is gone or the channel is closed, and all
/// arrivals have been taken. What is held back then still arrives.
pub(crate) async fn run(mut arrivals: UnboundedReceiver<Arrival>, mut drain: watch::Receiver<bool>) {
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
        batch.drain(..).for_each(take);
        tokio::task::yield_now().await;
    }
}

fn take(arrival: Arrival) {
    match Exchange::new(arrival.shared) {
        Ok(exchange) => arrival.generation.spread(exchange, arrival.copies, arrival.response_end, 0),
        Err(error) => {
            tracing::debug!(%error, "an exchange with an unreadable head is not mirrored");
            arrival.copies.into_iter().for_each(|copy| copy.account.dropped(DropReason::Malformed));
        }
    }
}

impl Generation {
    /// Through the stages for all, from the one at `from` on, to each sink's.
    fn spread(
        self: &Arc<Self>,
        mut exchange: Exchange,
        copies: Vec<Copy>,
        response_end: Option<ResponseEnd>,
        from: usize,
    ) {
        match self.pipeline.apply(&mut exchange, from) {
            Progress::Through => copies.into_iter().for_each(|copy| {
                let Copy { account, request_body, response_body, response_end } = copy;
                if exchange.is_kept_from(account.sink()) {
                    return account.skipped(SkipReason::Split);
                }
                self.pass(exchange.copy(request_body, response_body), account, response_end, 0);
            }),
            Progress::Skipped(reason) => copies.into_iter().for_each(|copy| copy.account.skipped(reason)),
            Progress::Waits(at) => self.hold(exchange, response_end, move |generation, exchange| {
                generation.spread(exchange, copies, None, at);
            }),
        }
    }

    /// Through one sink's stages into its queue.
    fn pass(
        self: &Arc<Self>,
        mut exchange: Exchange,
        mut account: Account,
        response_end: Option<ResponseEnd>,
        from: usize,
    ) {
        let sink = account.sink();
        match self.sinks[sink].pipeline.apply(&mut exchange, from) {
            Progress::Through => {
                account.offer();
                self.queues[sink].offer(Offer { exchange, account });
            }
            Progress::Skipped(reason) => account.skipped(reason),
            Progress::Waits(at) => self.hold(exchange, response_end, move |generation, exchange| {
                generation.pass(exchange, account, None, at);
            }),
        }
    }

    /// Goes on once the response is known.
    fn hold(
        self: &Arc<Self>,
        mut exchange: Exchange,
        response_end: Option<ResponseEnd>,
        go_on: impl FnOnce(&Arc<Self>, Exchange) + Send + 'static,
    ) {
        let generation = self.clone();
        generation.held.fetch_add(1, Relaxed);
        tokio::spawn(async move {
            let length = match response_end {
                Some(response_end) => response_end.reached().await,
                None => 0,
            };
            exchange.end_seen(length);
            generation.held.fetch_sub(1, Relaxed);
            go_on(&generation, exchange);
        });
    }
}
