//! Pipelining (RFC 9112 §9.3.2): a session's copies on one connection, each sent before the one before it is answered. For clients that pipeline, and
//! for targets that are to see what the application saw; a target that is far away answers sooner so, too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;

use super::Shadow;
use super::answer::{Keep, Unanswered, receive};
use super::connection::{Connection, LAST_WORD, Unsent, send};
use super::order::Order;
use super::request::Request;
use crate::body::BodyReader;
use crate::exchange::{Account, Exchange};
use crate::outcome::{DropReason, FailReason};
use crate::queue::Offer;

/// The most copies of one session that are under way at once: what nginx and others read ahead of is a buffer of a few heads, and what a lost
/// connection loses is so many copies at most.
const DEPTH: usize = 16;

/// Sends a session's copies until none waits.
pub(super) async fn deliver(shadow: &Shadow, order: &Order, session: u64, first: Offer) {
    let mut first = VecDeque::from([first]);
    loop {
        let Some(offer) = first.pop_front().or_else(|| shadow.next(Some(session))) else { return };
        match shadow.pool.get(Some(session)).await {
            Err(reason) => {
                shadow.backoff.failed(Instant::now());
                offer.account.failed(reason);
            }
            Ok(connection) => {
                first.push_front(offer);
                first = Pipeline::new(shadow, order, session, first).run(connection).await;
            }
        }
    }
}

/// A copy under way.
struct Flight {
    number: u64,
    exchange: Box<Exchange>,
    account: Account,
    request: Arc<Request>,
    keep: Option<Arc<Keep>>,
    started: Instant,
    /// The writer's while it sends.
    body: Arc<tokio::sync::Mutex<BodyReader>>,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Sending,
    Sent,
    /// It was given up half way.
    Cut(DropReason),
    /// The target does not take more of it; an answer may be on its way.
    Broken(FailReason),
}

/// How a connection ended.
enum End {
    /// All that was sent is answered, and nothing waits.
    Idle,
    /// The target said that it closes the connection: what was not answered was not looked at (RFC 9112 §9.6).
    Closed,
    /// It was closed while it was idle, before it said a word.
    Stale,
    Failed(FailReason),
}

struct Pipeline<'a> {
    shadow: &'a Shadow,
    order: &'a Order,
    session: u64,
    first: Mutex<VecDeque<Offer>>,
    flights: Mutex<VecDeque<Flight>>,
    /// Told when a flight begins or gets on,
    on: Notify,
    /// and when one is over.
    over: Notify,
}

impl<'a> Pipeline<'a> {
    fn new(shadow: &'a Shadow, order: &'a Order, session: u64, first: VecDeque<Offer>) -> Pipeline<'a> {
        let first = Mutex::new(first);
        Pipeline { shadow, order, session, first, flights: Mutex::default(), on: Notify::new(), over: Notify::new() }
    }

    /// Gives back what may be sent again, in its order.
    async fn run(self, mut connection: Box<Connection>) -> VecDeque<Offer> {
        let reused = connection.served > 0;
        let Connection { stream, input, served, .. } = &mut *connection;
        let (mut read, mut write) = stream.split();
        let end = {
            let writing = self.write(&mut write);
            let reading = self.read(&mut read, input, served, reused);
            tokio::pin!(writing, reading);
            tokio::select! {
                end = &mut reading => end,
                idle = &mut writing => match idle {
                    true => End::Idle,
                    // What was sent before may be answered still.
                    false => reading.await,
                },
            }
        };
        if let End::Idle = end {
            if connection.input.is_empty() {
                connection.idle_since = Instant::now();
                self.shadow.pool.put(connection);
            }
            return VecDeque::new();
        }
        drop(connection);
        self.give_up(end).await
    }

    /// Sends what comes. `true` when all is answered and no more waits, `false` when the connection does not take more.
    async fn write(&self, write: &mut WriteHalf<'_>) -> bool {
        let Some(more) = self.order.more(self.session) else { return true };
        let mut number = 0;
        loop {
            let Some(Offer { mut exchange, account }) = self.next() else {
                // The session ends with the last answer.
                if self.flights().is_empty() {
                    match self.shadow.next(Some(self.session)) {
                        Some(offer) => self.first().push_front(offer),
                        None => return true,
                    }
                } else {
                    tokio::select! {
                        () = more.notified() => {}
                        () = self.over.notified() => {}
                    }
                }
                continue;
            };
            let Some(mut body) = exchange.take_request_body() else { continue };
            let Some(request) = self.shadow.encode(&exchange) else {
                account.dropped(DropReason::Ambiguous);
                continue;
            };
            body.mark_start(self.shadow.rewind);
            let body = Arc::new(tokio::sync::Mutex::new(body));
            let request = Arc::new(request);
            let started = Instant::now();
            self.shadow.sending(&mut exchange, started);
            number += 1;
            self.flights().push_back(Flight {
                number,
                keep: self.shadow.keep(&account).map(Arc::new),
                exchange,
                account,
                request: request.clone(),
                started,
                body: body.clone(),
                progress: Progress::Sending,
            });
            self.on.notify_one();
            let sent = send(write, &request, &mut *body.lock().await, self.shadow.timeout).await;
            let progress = match sent {
                Ok(_) => Progress::Sent,
                Err(Unsent::Dropped(reason)) => Progress::Cut(reason),
                Err(Unsent::Broken) => Progress::Broken(FailReason::Reset),
                Err(Unsent::Late) => Progress::Broken(FailReason::Timeout),
            };
            // An answer may have come before the request's end.
            if let Some(flight) = self.flights().iter_mut().find(|flight| flight.number == number) {
                flight.progress = progress;
            }
            self.on.notify_one();
            if progress != Progress::Sent {
                return false;
            }
            while self.flights().len() >= DEPTH {
                self.over.notified().await;
            }
        }
    }

    fn next(&self) -> Option<Offer> {
        let given_back = self.first().pop_front();
        given_back.or_else(|| self.order.next_waiting(self.session).and_then(|offer| self.shadow.admit(offer)))
    }

    /// Reads answers in the order of the requests.
    async fn read(&self, read: &mut ReadHalf<'_>, input: &mut BytesMut, served: &mut u64, reused: bool) -> End {
        let mut silent = reused;
        loop {
            let front = self
                .flights()
                .front()
                .map(|flight| (flight.request.method.clone(), flight.keep.clone(), flight.started));
            let Some((method, keep, started)) = front else {
                self.on.notified().await;
                continue;
            };
            let answered = {
                let receiving = receive(read, input, &method, keep.as_deref(), started);
                tokio::pin!(receiving);
                loop {
                    // Anew whenever the flight gets on: the target's time runs from the request's end.
                    let limit = match self.progress() {
                        Progress::Cut(_) => Duration::ZERO,
                        Progress::Broken(_) => LAST_WORD.min(self.shadow.timeout),
                        Progress::Sending | Progress::Sent => self.shadow.timeout,
                    };
                    tokio::select! {
                        biased;
                        answered = &mut receiving => break Some(answered),
                        () = self.on.notified() => {}
                        () = tokio::time::sleep(limit) => match self.progress() {
                            // Its writing has a limit of its own.
                            Progress::Sending => {}
                            _ => break None,
                        },
                    }
                }
            };
            let answered = match answered {
                Some(Ok(answered)) => answered,
                Some(Err(Unanswered::Silent)) if silent => return End::Stale,
                Some(Err(Unanswered::Silent)) => return End::Failed(FailReason::Reset),
                Some(Err(Unanswered::Failed(reason))) => return End::Failed(reason),
                None => return End::Failed(FailReason::Timeout),
            };
            silent = false;
            *served += 1;
            let Some(flight) = self.flights().pop_front() else { return End::Failed(FailReason::Protocol) };
            self.over.notify_one();
            let whole = flight.progress == Progress::Sent;
            self.shadow.timed(&flight.exchange, answered.status, flight.started.elapsed());
            self.shadow.answered(flight.exchange, flight.account, answered.response);
            // What is left of a request that was answered early would be read as the next one's.
            if !answered.reusable || !whole {
                return End::Closed;
            }
        }
    }

    /// How far the flight is whose answer is waited for.
    fn progress(&self) -> Progress {
        self.flights().front().map_or(Progress::Sent, |flight| flight.progress)
    }

    /// Settles what was not answered, but for what may be sent again.
    async fn give_up(self, end: End) -> VecDeque<Offer> {
        let flights = std::mem::take(&mut *self.flights());
        match end {
            End::Failed(_) => self.shadow.backoff.failed(Instant::now()),
            _ => self.shadow.backoff.undecided(),
        }
        let mut again = VecDeque::new();
        for Flight { mut exchange, account, request, body, progress, .. } in flights {
            let reason = match (progress, &end) {
                (Progress::Cut(reason), _) => {
                    account.dropped(reason);
                    continue;
                }
                (Progress::Broken(reason), _) => reason,
                (_, End::Failed(reason)) => *reason,
                _ => FailReason::Reset,
            };
            let may = matches!(end, End::Closed) || (matches!(end, End::Stale) && request.idempotent);
            let rewound = |body: tokio::sync::Mutex<BodyReader>| {
                let mut body = body.into_inner();
                body.rewind().then_some(body)
            };
            match Arc::into_inner(body).filter(|_| may).and_then(rewound) {
                Some(body) => {
                    exchange.put_request_body(body);
                    again.push_back(Offer { exchange, account });
                }
                None => account.failed(reason),
            }
        }
        again.extend(std::mem::take(&mut *self.first()));
        again
    }

    fn flights(&self) -> MutexGuard<'_, VecDeque<Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&self) -> MutexGuard<'_, VecDeque<Offer>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
