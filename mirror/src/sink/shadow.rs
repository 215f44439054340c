//! Shadows requests to a target: sends each as it flows, reads the answer to its end, and throws it away or keeps it for the
//! recorder. A copy starts when its head is known and ends when the target has answered it.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::body::BodyReader;
use crate::budget::Budget;
use crate::config::{Config, HostPolicy, MarkerConfig, ShadowConfig, Target};
use crate::exchange::{Account, Exchange, Response};
use crate::outcome::{DropReason, FailReason};
use crate::pressure::Backlog;
use crate::queue::{ExchangeStream, Offer};
use crate::replay::Tally;
use crate::sink::{Shutdown, Sink};
use crate::telemetry::{Durations, Telemetry};

mod answer;
mod backoff;
mod connection;
mod copies;
mod deadline;
mod order;
mod pipelined;
mod pool;
mod request;

use answer::Keep;
use backoff::Backoff;
use connection::Fault;
use copies::Copies;
use order::Order;
use pool::Pool;

/// One target.
pub struct Shadow {
    name: String,
    target: Target,
    host: HostPolicy,
    marker: MarkerConfig,
    concurrency: usize,
    order: Option<Order>,
    timeout: Duration,
    retries: u32,
    /// How much of a request is kept so that it can be sent again: half of what it may be behind.
    rewind: u64,
    pool: Arc<Pool>,
    backoff: Backoff,
    /// How much of an answer is kept, where somebody reads it.
    answer_body: u64,
    budget: Arc<Budget>,
    durations: Durations,
    retried: prometheus::IntCounter,
    /// Copies that are answered, and whose answers stages take their time to look at.
    unseen: Mutex<JoinSet<()>>,
    /// What comes of a replay.
    tally: Option<Arc<Tally>>,
}

impl Shadow {
    /// A target as configured.
    pub fn new(config: &ShadowConfig, all: &Config, budget: &Arc<Budget>, telemetry: &Arc<Telemetry>) -> Shadow {
        let name = config.label();
        Shadow {
            target: config.target.clone(),
            host: config.host.clone(),
            marker: all.marker.clone(),
            concurrency: config.concurrency.get(),
            order: config.order.as_ref().map(|order| Order::new(order, config.queue.get(), &name, telemetry)),
            timeout: config.timeout.0,
            retries: config.retries,
            rewind: config.lag.bytes() / 2,
            backoff: Backoff::new(&config.backoff, &name, telemetry),
            answer_body: config.answer_body.bytes(),
            budget: budget.clone(),
            durations: telemetry.client_durations(&name),
            retried: telemetry.counter("mirror_shadow_retries_total", "Copies sent again.", ("sink", &name)),
            pool: Arc::new(Pool::new(config, &name, telemetry)),
            unseen: Mutex::default(),
            tally: all.replay.as_ref().map(|_| telemetry.tally(&name)),
            name,
        }
    }

    /// Copies that wait for others of their session, beside the queue.
    pub(super) fn backlog(&self) -> Backlog {
        self.order.as_ref().map(Order::backlog).unwrap_or_default()
    }

    /// The copy's first byte is about to be written. One that is sent again has been counted.
    fn sending(&self, exchange: &mut Exchange, now: Instant) {
        let is_first = exchange.is_first_sent();
        if let (Some(tally), Some(replayed), true) = (&self.tally, exchange.replayed(), is_first) {
            tally.sent(replayed, now);
        }
    }

    /// The copy was answered with this status after so long.
    fn timed(&self, exchange: &Exchange, status: u16, took: Duration) {
        self.durations.observe(status, took);
        if let (Some(tally), Some(replayed)) = (&self.tally, exchange.replayed()) {
            tally.answered(replayed, status, took);
        }
    }

    /// The copy, where it may be sent now.
    fn admit(&self, offer: Offer) -> Option<Offer> {
        if offer.exchange.is_ambiguous() {
            offer.account.dropped(DropReason::Ambiguous);
        } else if !self.backoff.admits(Instant::now) {
            offer.account.dropped(DropReason::Backoff);
        } else {
            return Some(offer);
        }
        None
    }

    /// The session's next copy that may be sent.
    fn next(&self, session: Option<u64>) -> Option<Offer> {
        let (order, session) = self.order.as_ref().zip(session)?;
        while let Some(offer) = order.next(session) {
            if let Some(offer) = self.admit(offer) {
                return Some(offer);
            }
        }
        None
    }

    /// A copy in its place: none where that is behind others of its session.
    fn place(&self, offer: Offer) -> Option<Turn> {
        let (offer, session) = match &self.order {
            None => (offer, None),
            Some(order) => order.take(offer)?,
        };
        Some(Turn { offer, session })
    }

    /// A copy that may be sent now, be it the next one of its session.
    fn admit_turn(&self, Turn { offer, session }: Turn) -> Option<Turn> {
        // What waits in a session goes on whatever became of the first.
        let offer = self.admit(offer).or_else(|| self.next(session))?;
        Some(Turn { offer, session })
    }

    /// The next of those that wait in the queue.
    fn next_turn(&self, copies: &Copies) -> Option<Turn> {
        std::iter::from_fn(|| copies.find_now(|offer| self.place(offer))).find_map(|turn| self.admit_turn(turn))
    }

    /// Sends a copy, and then as long as there are those that wait in the queue: under load a task, and all that it has made for itself, is for many.
    async fn deliver_all(&self, first: Turn, copies: &Copies) {
        let mut next = Some(first);
        while let Some(Turn { offer, session }) = next {
            self.deliver_session(offer, session).await;
            next = self.next_turn(copies);
            // Where all of it goes on without a wait others have their turn now and then.
            tokio::task::consume_budget().await;
        }
    }

    /// Sends a copy, and what waits behind it in its session.
    async fn deliver_session(&self, first: Offer, session: Option<u64>) {
        if let (Some(order), Some(session)) = (&self.order, session)
            && order.pipelined
        {
            return pipelined::deliver(self, order, session, first).await;
        }
        let mut next = Some(first);
        while let Some(Offer { exchange, account }) = next {
            self.deliver(exchange, account, session).await;
            next = self.next(session);
        }
    }

    /// Sends one copy, and again where that may be, and settles its account.
    async fn deliver(&self, mut exchange: Box<Exchange>, account: Account, session: Option<u64>) {
        let Some(mut body) = exchange.take_request_body() else { return };
        let Some(request) = self.encode(&exchange) else { return account.dropped(DropReason::Ambiguous) };
        // Before the first try: one that finds no connection has read nothing, and may be made again too.
        body.mark_start(self.rewind);
        let keep = self.keep(&account);
        let mut retries = self.retries;
        loop {
            match self.send(&mut exchange, &request, &mut body, keep.as_ref(), session).await {
                Ok(response) => return self.answered(exchange, account, response),
                Err(Fault::Dropped(reason)) => {
                    self.backoff.undecided();
                    return account.dropped(reason);
                }
                Err(Fault::Stale) if request.idempotent && body.rewind() => {}
                Err(fault) => {
                    let reason = fault.reason();
                    self.backoff.failed(Instant::now());
                    if retries == 0 || !body.rewind() {
                        tracing::debug!(target = self.name, id = %exchange.id(), %reason, "a copy failed");
                        return account.failed(reason);
                    }
                    retries -= 1;
                    self.retried.inc();
                }
            }
        }
    }

    /// The copy as it is sent; none where its framing is ambiguous.
    fn encode(&self, exchange: &Exchange) -> Option<request::Request> {
        let request = request::encode(&exchange.request, &self.target, &self.host, &self.marker).ok();
        if request.is_none() {
            self.backoff.undecided();
        }
        request
    }

    /// How the answer is kept, where anybody reads answers.
    fn keep(&self, account: &Account) -> Option<Keep> {
        let kept = account.kept_answers()?;
        Some(Keep { most: self.answer_body.max(kept.seen), budget: self.budget.clone(), share: kept.share.clone() })
    }

    /// Settles the account of a copy that was answered, once the stages have seen the answer. The target is done with it: the next copy does not wait
    /// for them.
    fn answered(&self, exchange: Box<Exchange>, account: Account, response: Option<Response>) {
        self.backoff.succeeded();
        let left = self.answer_body.max(account.kept_answers().map_or(0, |kept| kept.left));
        let mut response = match response {
            Some(response) if !exchange.changes().is_empty() => response,
            response => return account.delivered(response),
        };
        let mut seeing = Box::pin(async move {
            for change in exchange.changes() {
                change.answer(&exchange, &mut response).await;
            }
            answer::trim(&mut response, left);
            account.delivered(Some(response));
        });
        // Most stages need no time for it, and no task.
        if seeing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
            while unseen.try_join_next().is_some() {}
            unseen.spawn(seeing);
        }
    }

    async fn send(
        &self,
        exchange: &mut Exchange,
        request: &request::Request,
        body: &mut BodyReader,
        keep: Option<&Keep>,
        session: Option<u64>,
    ) -> Result<Option<Response>, Fault> {
        // A reader that is cut off while it waits for a connection must not hold on to anything meanwhile.
        let mut connection = tokio::select! {
            biased;
            connection = self.pool.get(session) => connection.map_err(Fault::Failed)?,
            reason = std::future::poll_fn(|cx| body.poll_cut(cx)) => return Err(Fault::Dropped(reason)),
        };
        let start = Instant::now();
        self.sending(exchange, start);
        let done = connection.exchange(request, body, keep, self.timeout, start).await?;
        self.timed(exchange, done.status, done.took);
        if done.reusable {
            self.pool.put(connection);
        }
        Ok(done.response)
    }
}

/// A copy whose turn it is.
struct Turn {
    offer: Offer,
    session: Option<u64>,
}

impl Sink for Shadow {
    async fn run(self, stream: ExchangeStream, mut shutdown: Shutdown) {
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let all = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        let (shadow, copies) = (Arc::new(self), Arc::new(Copies::new(stream)));
        let closer = tokio::spawn(shadow.pool.clone().close_idle());
        let serve = async {
            // The slot first, then the copy: the queue is the only place where copies wait.
            while let Ok(slot) = slots.clone().acquire_owned().await {
                let Some(placed) = copies.next(|offer| shadow.place(offer)).await else { break };
                let Some(turn) = placed.and_then(|turn| shadow.admit_turn(turn)) else { continue };
                let (shadow, copies) = (shadow.clone(), copies.clone());
                tokio::spawn(async move {
                    shadow.deliver_all(turn, &copies).await;
                    drop(slot);
                });
            }
            let _ = slots.acquire_many(all).await;
            let mut unseen = std::mem::take(&mut *shadow.unseen.lock().unwrap_or_else(PoisonError::into_inner));
            while unseen.join_next().await.is_some() {}
        };
        tokio::select! {
            () = serve => {}
            _ = shutdown.wait_for(|now| *now) => copies.give_up(),
        }
        closer.abort();
    }
}

impl Fault {
    fn reason(&self) -> FailReason {
        match self {
            Fault::Failed(reason) => *reason,
            Fault::Stale | Fault::Dropped(_) => FailReason::Reset,
        }
    }
}
