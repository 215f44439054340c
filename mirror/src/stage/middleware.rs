//! Has a program of the user's own look at requests, responses and answers: what it prints of them goes on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::collected::Collected;
use crate::config::{MiddlewareConfig, OnFailure};
use crate::exchange::{Exchange, Response};
use crate::http1::{Headers, ResponseHead};
use crate::middleware::{Kind, Message, MessageId, Meta, Middleware, Reply, message};
use crate::outcome::{DropReason, Screening, SkipReason};
use crate::stage::{Bodies, BoxFuture, Need, NewBody, ResponseChange, Stage, Verdict};

mod responses;

use responses::Responses;

/// Sends each request through the program. One that the program does not print is skipped; one that it could not see is dropped, or passes as it
/// was, as configured.
pub struct Screen(Arc<Inner>);

struct Inner {
    program: Arc<Middleware>,
    max_body: u64,
    on_failure: OnFailure,
    responses: bool,
    timeout: Duration,
}

impl Screen {
    /// As configured, with the program that runs for it.
    pub fn new(config: &MiddlewareConfig, program: Arc<Middleware>) -> Screen {
        Screen(Arc::new(Inner {
            program,
            max_body: config.max_body.bytes(),
            on_failure: config.on_failure,
            responses: config.responses,
            timeout: config.timeout.0,
        }))
    }
}

impl Stage for Screen {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        let inner = &self.0;
        let body = match exchange.body(inner.max_body) {
            None => return Verdict::Wait(Need::Body),
            Some(Collected::Whole { bytes, .. }) => bytes,
            Some(Collected::TooLong) => return inner.cannot_see(exchange, Screening::TooLong, DropReason::BodyTooLong),
            Some(Collected::Cut) => return inner.cannot_see(exchange, Screening::Cut, DropReason::Withheld),
        };
        let at = since_epoch(exchange.started());
        let took = exchange.request_end().unwrap_or_default();
        let head = message::of_request(&exchange.request, &body);
        let Some(reply) = inner.send(exchange, Kind::Request, at, took, head, body.clone()) else {
            return inner.cannot_see(exchange, Screening::Full, DropReason::Memory);
        };
        let inner = inner.clone();
        Verdict::Wait(Need::Work(Box::pin(async move {
            let reply = reply.await;
            Box::new(move |exchange: &mut Exchange| inner.take_reply(exchange, &body, reply)) as Box<_>
        })))
    }

    fn level(&self, arriving: usize) -> f32 {
        self.0.program.level(arriving)
    }

    fn needs_bodies(&self) -> Bodies {
        let response = self.0.responses.then_some(self.0.max_body);
        Bodies { request: Some(self.0.max_body), response, unread: self.0.responses }
    }
}

impl Inner {
    /// Sends one of an exchange's messages. None where the byte budget has no room for it.
    fn send(
        &self,
        of: &Exchange,
        kind: Kind,
        at: Duration,
        took: Duration,
        head: Bytes,
        body: Bytes,
    ) -> Option<impl Future<Output = Reply> + Send + 'static> {
        let head = of.charge().another(head.len())?.hold(head);
        let meta = Meta { kind, id: MessageId::of(of.id().0), at: nanos(at), took: nanos(took) };
        Some(self.program.send(connection(of), Message { meta, head, body }))
    }

    /// Makes of the request what the program has made of it.
    fn take_reply(self: &Arc<Self>, exchange: &mut Exchange, body: &Bytes, reply: Reply) -> Verdict {
        let printed = match reply {
            Reply::Unchanged => return self.pass(exchange),
            Reply::Filtered => return Verdict::Skip(SkipReason::Middleware),
            Reply::Failed => return self.failed(exchange, DropReason::Middleware),
            Reply::Changed(printed) => printed,
        };
        let Some((head, new)) = message::request(&printed, &exchange.request, body) else {
            return self.cannot_see(exchange, Screening::Malformed, DropReason::Middleware);
        };
        self.program.count(Screening::Changed);
        exchange.request = Arc::new(head);
        if let Some(new) = new {
            exchange.replace_body(new);
        }
        self.pass(exchange)
    }

    fn pass(self: &Arc<Self>, exchange: &mut Exchange) -> Verdict {
        if self.responses {
            exchange.change_responses(Arc::new(Responses::new(self.clone())));
        }
        Verdict::Continue
    }

    fn cannot_see(self: &Arc<Self>, exchange: &mut Exchange, why: Screening, drop: DropReason) -> Verdict {
        self.program.count(why);
        self.failed(exchange, drop)
    }

    fn failed(self: &Arc<Self>, exchange: &mut Exchange, drop: DropReason) -> Verdict {
        match self.on_failure {
            OnFailure::Drop => Verdict::Drop(drop),
            OnFailure::Pass => self.pass(exchange),
        }
    }
}

/// What belongs together: all messages of a client's connection.
fn connection(of: &Exchange) -> u64 {
    let mut hasher = DefaultHasher::new();
    match of.origin().client {
        Some(client) => client.hash(&mut hasher),
        None => of.id().hash(&mut hasher),
    }
    hasher.finish()
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Nanoseconds, up to the year 2554.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
