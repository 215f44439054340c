//! Shadows requests to a target: sends each as it flows, reads the answer to its end, and throws it away or keeps it for the
//! recorder. A copy starts when its head is known and ends when the target has answered it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc};

use crate::body::BodyReader;
use crate::budget::{Budget, Share};
use crate::config::{HostPolicy, MarkerConfig, ShadowConfig, Target};
use crate::exchange::{Account, Exchange, Response};
use crate::outcome::{DropReason, FailReason};
use crate::queue::{ExchangeStream, Offer};
use crate::sink::{Shutdown, Sink};
use crate::telemetry::{Durations, Telemetry};

mod answer;
mod backoff;
mod connection;
mod pool;
mod request;

use answer::Keep;
use backoff::Backoff;
use connection::Fault;
use pool::Pool;

/// How much of answers is kept.
pub struct KeepAnswers {
    /// What is kept counts to it.
    pub share: Arc<Share>,
    /// Of the body as stages see it, in bytes.
    pub seen: u64,
    /// Of the body when stages have seen it.
    pub kept: u64,
}

/// One target.
pub struct Shadow {
    name: String,
    target: Target,
    host: HostPolicy,
    marker: MarkerConfig,
    concurrency: usize,
    timeout: std::time::Duration,
    retries: u32,
    /// How much of a request is kept so that it can be sent again: half of what it may be behind.
    rewind: u64,
    pool: Arc<Pool>,
    backoff: Backoff,
    keep: Option<Keep>,
    /// Of an answer's body, what stays of it when stages have seen it.
    kept: u64,
    durations: Durations,
    retried: prometheus::IntCounter,
}

impl Shadow {
    /// A target as configured; with its answers, where somebody wants them.
    pub fn new(
        config: &ShadowConfig,
        marker: &MarkerConfig,
        answers: Option<KeepAnswers>,
        budget: &Arc<Budget>,
        telemetry: &Arc<Telemetry>,
    ) -> Shadow {
        let name = config.label();
        Shadow {
            target: config.target.clone(),
            host: config.host.clone(),
            marker: marker.clone(),
            concurrency: config.concurrency.get(),
            timeout: config.timeout.0,
            retries: config.retries,
            rewind: config.lag.bytes() / 2,
            backoff: Backoff::new(&config.backoff, &name, telemetry),
            kept: answers.as_ref().map_or(0, |answers| answers.kept),
            keep: answers.map(|KeepAnswers { share, seen, .. }| Keep { most: seen, budget: budget.clone(), share }),
            durations: telemetry.client_durations(&name),
            retried: telemetry.counter("mirror_shadow_retries_total", "Copies sent again.", ("sink", &name)),
            pool: Arc::new(Pool::new(config, &name, telemetry)),
            name,
        }
    }

    /// Sends one copy, and again where that may be, and settles its account; but not where it is delivered and stages are to see the answer first.
    async fn deliver(&self, mut exchange: Exchange, account: Account) -> Option<Unseen> {
        let mut body = exchange.take_request_body()?;
        let Ok(request) = request::encode(&exchange.request, &self.target, &self.host, &self.marker) else {
            self.backoff.undecided();
            account.dropped(DropReason::Ambiguous);
            return None;
        };
        // Before the first try: one that finds no connection has read nothing, and may be made again too.
        body.mark_start(self.rewind);
        let mut retries = self.retries;
        loop {
            match self.send(&request, &mut body).await {
                Ok(Some(response)) if !exchange.changes().is_empty() => {
                    self.backoff.succeeded();
                    return Some(Unseen { exchange, account, response });
                }
                Ok(response) => {
                    self.backoff.succeeded();
                    account.delivered(response);
                    return None;
                }
                Err(Fault::Dropped(reason)) => {
                    self.backoff.undecided();
                    account.dropped(reason);
                    return None;
                }
                Err(Fault::Stale) if request.idempotent && body.rewind() => {}
                Err(fault) => {
                    let reason = fault.reason();
                    self.backoff.failed(Instant::now());
                    if retries == 0 || !body.rewind() {
                        tracing::debug!(target = self.name, id = %exchange.id(), %reason, "a copy failed");
                        account.failed(reason);
                        return None;
                    }
                    retries -= 1;
                    self.retried.inc();
                }
            }
        }
    }

    async fn send(&self, request: &request::Request, body: &mut BodyReader) -> Result<Option<Response>, Fault> {
        // A reader that is cut off while it waits for a connection must not hold on to anything meanwhile.
        let mut connection = tokio::select! {
            biased;
            connection = self.pool.get() => connection.map_err(Fault::Failed)?,
            reason = std::future::poll_fn(|cx| body.poll_cut(cx)) => return Err(Fault::Dropped(reason)),
        };
        let done = connection.exchange(request, body, self.keep.as_ref(), self.timeout).await?;
        self.durations.observe(done.status, done.took);
        if done.reusable {
            self.pool.put(connection);
        }
        Ok(done.response)
    }
}

/// A copy that was delivered and whose answer no stage has seen.
struct Unseen {
    exchange: Exchange,
    account: Account,
    response: Response,
}

impl Unseen {
    /// Shows it to the stages. No more of a body than `kept` stays.
    async fn settle(self, kept: u64) {
        let Unseen { exchange, account, mut response } = self;
        for change in exchange.changes() {
            change.answer(&exchange, &mut response).await;
        }
        answer::trim(&mut response, kept);
        account.delivered(Some(response));
    }
}

impl Sink for Shadow {
    async fn run(self, mut stream: ExchangeStream, mut shutdown: Shutdown) {
        let slots = Arc::new(Semaphore::new(self.concurrency));
        // Closed when the last copy has let go of it.
        let (open, mut closed) = mpsc::channel::<()>(1);
        let shadow = Arc::new(self);
        let closer = tokio::spawn(shadow.pool.clone().close_idle());
        let serve = async {
            // The slot first, then the copy: the queue is the only place where copies wait.
            while let Ok(slot) = slots.clone().acquire_owned().await {
                let Some(Offer { exchange, account }) = stream.next().await else { break };
                if exchange.is_ambiguous() {
                    account.dropped(DropReason::Ambiguous);
                    continue;
                }
                if !shadow.backoff.admits(Instant::now()) {
                    account.dropped(DropReason::Backoff);
                    continue;
                }
                let shadow = shadow.clone();
                let open = open.clone();
                tokio::spawn(async move {
                    let unseen = shadow.deliver(exchange, account).await;
                    // The target is done with it, and takes the next one whatever stages wait for.
                    drop(slot);
                    if let Some(unseen) = unseen {
                        unseen.settle(shadow.kept).await;
                    }
                    drop(open);
                });
            }
            drop(open);
            let _ = closed.recv().await;
        };
        tokio::select! {
            () = serve => {}
            _ = shutdown.wait_for(|now| *now) => {}
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
