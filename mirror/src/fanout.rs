//! One exchange to N sinks.
//!
//! Stages that need more than the head hold an exchange back: those before the fan-out for all sinks, a sink's own for that sink. What is held waits in a
//! task of its own, and its bodies at their readers; it is charged to the byte budget like any other exchange. A body that stages have changed takes
//! the place of the source's at the sinks: a request's as a whole, a response's through a [relay].

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::body::{BodyEnd, BodyReader, BodyWriter, Readers};
use crate::collected::Collected;
use crate::exchange::{Account, Exchange};
use crate::generation::Generation;
use crate::looks::Looks;
use crate::outcome::{DropReason, SkipReason};
use crate::pipeline::Progress;
use crate::queue::Offer;
use crate::relay;
use crate::source::{Arrival, Copies, Copy};
use crate::stage::{Need, Verdict};

/// How many arrivals are taken at once: wake-ups across threads cost more than anything else here. Then the sinks have their turn: without it the
/// fan-out, to which tokio gives 128 such turns in a row, fills every queue in a burst that the engine has time and room for. The smallest queue
/// by default is sixteen times as long, and a sink may take twice as many in a turn.
const BATCH: usize = 64;

/// Takes each arrival through the stages and to the queues of its generation. Runs until every tap is gone or the channel is closed, and all
/// arrivals have been taken. What is held back then still arrives.
pub(crate) async fn run(mut arrivals: UnboundedReceiver<Box<Arrival>>, mut drain: watch::Receiver<bool>) {
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

fn take(arrival: Box<Arrival>) {
    let Arrival { generation, shared, copies, looks, response, _counted } = *arrival;
    match Exchange::new(shared) {
        Ok(exchange) => generation.spread(exchange, ForAll { copies, looks, response }, From::start()),
        Err(error) => {
            tracing::debug!(%error, "an exchange with an unreadable head is not mirrored");
            copies.into_iter().for_each(|copy| copy.account.dropped(DropReason::Malformed));
        }
    }
}

impl Generation {
    /// Through the stages for all to each sink's.
    fn spread(self: &Arc<Self>, mut exchange: Exchange, mut all: ForAll, from: From) {
        match self.pipeline.apply(&mut exchange, from.stage, from.verdict) {
            Progress::Through => {
                self.change_bodies(&mut exchange, &mut all);
                for Copy { account, request_body, response_body, looks } in all.copies {
                    if exchange.is_kept_from(account.sink()) {
                        account.skipped(SkipReason::Split);
                        continue;
                    }
                    let copy = Box::new(exchange.copy(Some(request_body), response_body));
                    self.pass(copy, account, looks, From::start());
                }
            }
            Progress::Skipped(reason) => all.copies.into_iter().for_each(|copy| copy.account.skipped(reason)),
            Progress::Dropped(reason) => all.copies.into_iter().for_each(|copy| copy.account.dropped(reason)),
            Progress::Waits(at, need) => {
                let looks = std::mem::take(&mut all.looks);
                self.hold(Box::new(exchange), looks, need, move |generation, exchange, looks, verdict| {
                    generation.spread(*exchange, ForAll { looks, ..all }, From { stage: at, verdict });
                });
            }
        }
    }

    /// Through one sink's stages into its queue.
    fn pass(self: &Arc<Self>, mut exchange: Box<Exchange>, mut account: Account, looks: Looks, from: From) {
        let sink = account.sink();
        match self.sinks[sink].pipeline.apply(&mut exchange, from.stage, from.verdict) {
            Progress::Through => {
                self.change_own_bodies(&mut exchange, sink);
                account.offer();
                self.queues[sink].offer(Offer { exchange, account });
            }
            Progress::Skipped(reason) => account.skipped(reason),
            Progress::Dropped(reason) => account.dropped(reason),
            Progress::Waits(at, need) => {
                self.hold(exchange, looks, need, move |generation, exchange, looks, verdict| {
                    generation.pass(exchange, account, looks, From { stage: at, verdict });
                })
            }
        }
    }

    /// Gives the sinks the bodies that the stages for all have made.
    fn change_bodies(&self, exchange: &mut Exchange, all: &mut ForAll) {
        if let Some(body) = exchange.replacement() {
            let readers = self.write(body, all.copies.iter().map(|copy| copy.account.sink()));
            all.copies.iter_mut().zip(readers).for_each(|(copy, reader)| copy.request_body = reader);
        }
        let Some(source) = all.response.take() else { return };
        let reads = |copy: &&mut Copy| self.sinks[copy.account.sink()].reads_responses;
        let bounds = all.copies.iter_mut().filter(reads).map(|copy| self.sinks[copy.account.sink()].unhurried());
        let (writer, readers) = BodyWriter::new(bounds, &self.budget);
        relay::start(exchange, 0, source, writer);
        all.copies.iter_mut().filter(reads).zip(readers).for_each(|(copy, reader)| copy.response_body = Some(reader));
    }

    /// Gives a sink the bodies that its own stages have made.
    fn change_own_bodies(&self, exchange: &mut Exchange, sink: usize) {
        if let Some(body) = exchange.replacement() {
            exchange.request_body = self.write(body, std::iter::once(sink)).next();
        }
        if self.sinks[sink].pipeline.needs_bodies().response.is_some()
            && let Some(source) = exchange.response_body.take()
        {
            let (writer, mut readers) = BodyWriter::new(std::iter::once(self.sinks[sink].unhurried()), &self.budget);
            let from = exchange.changes().len() - exchange.own_changes().len();
            relay::start(exchange, from, source, writer);
            // Of a target only its stages read it.
            exchange.response_body = readers.next().filter(|_| !self.sinks[sink].answers);
        }
    }

    /// A request's body that stages have made, for these sinks.
    fn write(&self, body: &Collected, sinks: impl Iterator<Item = usize>) -> Readers {
        let (mut writer, readers) = BodyWriter::new(sinks.map(|sink| self.sinks[sink].unhurried()), &self.budget);
        match body {
            Collected::Whole { bytes, trailers } => {
                writer.append_charged(bytes.clone());
                writer.end(BodyEnd::Complete(trailers.clone()));
            }
            Collected::TooLong | Collected::Cut => writer.end(BodyEnd::Lost(DropReason::Withheld)),
        }
        readers
    }

    /// Goes on once what a stage needs is there.
    fn hold(
        self: &Arc<Self>,
        mut exchange: Box<Exchange>,
        mut looks: Looks,
        need: Need,
        go_on: impl FnOnce(&Arc<Generation>, Box<Exchange>, Looks, Option<Verdict>) + Send + 'static,
    ) {
        let generation = self.clone();
        generation.held.fetch_add(1, Relaxed);
        tokio::spawn(async move {
            let verdict = looks.wait(&mut exchange, need).await;
            generation.held.fetch_sub(1, Relaxed);
            go_on(&generation, exchange, looks, verdict);
        });
    }
}

/// What all sinks' stages have of an exchange.
struct ForAll {
    copies: Copies,
    looks: Looks,
    /// The response's body, where stages may change it.
    response: Option<BodyReader>,
}

/// Where a pipeline goes on, and with what verdict, where that has been said already.
struct From {
    stage: usize,
    verdict: Option<Verdict>,
}

impl From {
    fn start() -> From {
        From { stage: 0, verdict: None }
    }
}
