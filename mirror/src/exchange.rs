//! An exchange: one request with its response, as a sink sees it while both are still under way.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use atomic_waker::AtomicWaker;
use bytes::Bytes;

use crate::body::BodyReader;
use crate::budget::{Charge, Share};
use crate::condition::{Facts, ResponseFacts};
use crate::http1::{HeadError, RequestHead, ResponseHead};
use crate::outcome::{Abort, DropReason, FailReason, Outcome, SkipReason};
use crate::sink::SinkSlot;

/// An exchange's id: 64 random bits of the process, then 64 that count. Shown as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExchangeId(pub u128);

impl std::fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Where an exchange came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The way in: `proxy`, `capture`, `replay`.
    pub source: &'static str,
    /// The downstream end, where it is known.
    pub client: Option<SocketAddr>,
}

/// What the source writes and all sinks read. Everything in it is set at most once.
pub(crate) struct Shared {
    pub(crate) id: ExchangeId,
    pub(crate) origin: Origin,
    pub(crate) started: SystemTime,
    pub(crate) request_head: Bytes,
    /// The application may have made another request of it.
    pub(crate) ambiguous: bool,
    pub(crate) upstream: OnceLock<SocketAddr>,
    pub(crate) request_end: OnceLock<Duration>,
    pub(crate) response: OnceLock<(Duration, Bytes)>,
    /// Somebody may have seen the request or the response end elsewhere, as showed later.
    pub(crate) ended_ambiguously: OnceLock<()>,
    pub(crate) ended: OnceLock<(Duration, Option<Abort>)>,
    pub(crate) sinks: Arc<[SinkSlot]>,
    pub(crate) answers: Answers,
    /// Covers the head and all that is of fixed size.
    pub(crate) _charge: Charge,
}

/// One exchange, as handed to stages and to one sink.
#[derive(Debug)]
pub struct Exchange {
    shared: Arc<Shared>,
    /// The request's head. Stages change it by `Arc::make_mut`, which leaves the other sinks' heads as they are.
    pub request: Arc<RequestHead>,
    pub(crate) request_body: Option<BodyReader>,
    pub(crate) response_body: Option<BodyReader>,
    /// What stages are told of the response, once the exchange has ended and a stage waited for that.
    seen: Option<Arc<SeenResponse>>,
    /// Sinks that a stage keeps it from.
    kept_from: Vec<usize>,
}

/// The response of an exchange that has ended, for stages.
#[derive(Debug)]
struct SeenResponse {
    head: Option<ResponseHead>,
    latency: Option<Duration>,
    size: u64,
}

impl Exchange {
    /// Parses the head; only now, on the engine's thread. An odd one is taken too: what a passive source saw is recorded as it was sent.
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Exchange, HeadError> {
        let wire = &shared.request_head;
        let request = RequestHead::parse(wire).or_else(|error| RequestHead::parse_lenient(wire).ok_or(error))?;
        let request = Arc::new(request);
        Ok(Exchange { shared, request, request_body: None, response_body: None, seen: None, kept_from: Vec::new() })
    }

    /// One with this head alone, for tests of what looks at exchanges.
    #[cfg(test)]
    pub(crate) fn of_head(head: &str, client: Option<SocketAddr>) -> Exchange {
        let charge = crate::budget::Budget::new(1 << 20).charge(1).expect("room for one byte");
        Exchange::new(Arc::new(Shared {
            id: ExchangeId(7),
            origin: Origin { source: "proxy", client },
            started: SystemTime::UNIX_EPOCH,
            request_head: Bytes::copy_from_slice(head.as_bytes()),
            ambiguous: false,
            upstream: OnceLock::new(),
            request_end: OnceLock::new(),
            response: OnceLock::new(),
            ended_ambiguously: OnceLock::new(),
            ended: OnceLock::new(),
            sinks: Arc::new([]),
            answers: Answers::default(),
            _charge: charge,
        }))
        .expect("a head")
    }

    /// The same exchange for one sink, with that sink's own readers.
    pub(crate) fn copy(&self, request_body: BodyReader, response_body: Option<BodyReader>) -> Exchange {
        Exchange {
            shared: self.shared.clone(),
            request: self.request.clone(),
            request_body: Some(request_body),
            response_body,
            seen: self.seen.clone(),
            kept_from: Vec::new(),
        }
    }

    /// What conditions may be asked about.
    pub fn facts(&self) -> Facts<'_> {
        let RequestHead { method, target, headers, .. } = &*self.request;
        let length = headers.get("content-length").and_then(|length| std::str::from_utf8(length).ok());
        Facts {
            method,
            target,
            headers,
            client: self.shared.origin.client,
            source: self.shared.origin.source,
            request_size: length.and_then(|length| length.parse().ok()),
            response: self.seen.as_deref().map(|seen| ResponseFacts {
                status: seen.head.as_ref().map(|head| head.status),
                headers: seen.head.as_ref().map(|head| &head.headers),
                latency: seen.latency,
                size: seen.size,
            }),
        }
    }

    /// The request's length in bytes, as far as its head tells it.
    pub(crate) fn request_length(&self) -> u64 {
        self.shared.request_head.len() as u64 + self.facts().request_size.unwrap_or_default()
    }

    /// Another target of a group gets it, and not this one.
    pub(crate) fn keep_from(&mut self, sink: usize) {
        self.kept_from.push(sink);
    }

    /// Whether [`keep_from`](Self::keep_from) was said of it.
    pub(crate) fn is_kept_from(&self, sink: usize) -> bool {
        self.kept_from.contains(&sink)
    }

    /// The exchange has ended, with so many bytes of a response's body.
    pub(crate) fn end_seen(&mut self, size: u64) {
        let (latency, head) = self.response().unzip();
        self.seen = Some(Arc::new(SeenResponse { head: head.and_then(Result::ok), latency, size }));
    }

    /// The id.
    pub fn id(&self) -> ExchangeId {
        self.shared.id
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    /// When the source saw it.
    pub fn started(&self) -> SystemTime {
        self.shared.started
    }

    /// The application's address, once a connection to it was used.
    pub fn upstream(&self) -> Option<SocketAddr> {
        self.shared.upstream.get().copied()
    }

    /// Takes the reader of the request's body.
    pub fn take_request_body(&mut self) -> Option<BodyReader> {
        self.request_body.take()
    }

    /// Takes the reader of the response's body; none for a sink that did not ask for responses.
    pub fn take_response_body(&mut self) -> Option<BodyReader> {
        self.response_body.take()
    }

    /// Whether the application may have made another request of what the source saw (RFC 9112 §11.2): sent to a target, it could be one
    /// that the application never got.
    pub fn is_ambiguous(&self) -> bool {
        self.shared.ambiguous || self.request.odd
    }

    /// Whether its source says that others may see the request, or the response, end elsewhere.
    pub fn is_framed_ambiguously(&self) -> bool {
        self.shared.ambiguous || self.shared.ended_ambiguously.get().is_some()
    }

    /// The response's head and when it was seen, since the start; none before it was, or without a response.
    pub fn response(&self) -> Option<(Duration, Result<ResponseHead, HeadError>)> {
        let (at, wire) = self.shared.response.get()?;
        let head = match ResponseHead::parse(wire) {
            Ok(Some((head, _))) => Ok(head),
            Ok(None) => Err(HeadError::Incomplete),
            Err(error) => ResponseHead::parse_lenient(wire).ok_or(error),
        };
        Some((*at, head))
    }

    /// When the request's last byte was seen, since the start.
    pub fn request_end(&self) -> Option<Duration> {
        self.shared.request_end.get().copied()
    }

    /// When and how the exchange ended. It is known once the response body's reader has come to the end.
    pub fn ended(&self) -> Option<(Duration, Option<Abort>)> {
        self.shared.ended.get().copied()
    }

    /// What is kept of the targets' answers counts to this; none where no sink reads them.
    pub(crate) fn answers_share(&self) -> Option<&Arc<Share>> {
        self.shared.sinks.iter().find(|sink| sink.wants_answers()).map(|sink| &sink.share)
    }

    /// Whether it has ended and every target has made something of its copy.
    pub fn is_over(&self) -> bool {
        self.ended().is_some() && self.answers().all(|(_, answer)| answer.is_some())
    }

    /// Every target's name and what it made of its copy, where that is known.
    pub fn answers(&self) -> impl Iterator<Item = (&str, Option<&Answer>)> {
        self.shared
            .sinks
            .iter()
            .enumerate()
            .filter(|(_, sink)| sink.answers)
            .map(|(i, sink)| (sink.name.as_str(), self.shared.answers.slots.get(i).and_then(OnceLock::get)))
    }

    /// Resolves when every target has made something of its copy. One task at a time may wait.
    pub fn poll_answered(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.answers.waker.register(cx.waker());
        match self.answers().all(|(_, answer)| answer.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a target answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The head.
    pub head: ResponseHead,
    /// The body's pieces, as far as they were kept.
    pub body: Vec<Bytes>,
    /// The whole body's length.
    pub body_length: u64,
    /// The trailer section as sent.
    pub trailers: Option<Bytes>,
    /// Why `body` is not the whole body.
    pub truncated: Option<&'static str>,
    /// From the first byte sent to the answer's head.
    pub first_byte: Duration,
    /// From the first byte sent to the answer's end.
    pub total: Duration,
}

/// What a target made of its copy.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What became of the copy.
    pub outcome: Outcome,
    /// The answer, where there was one.
    pub response: Option<Response>,
}

/// The targets' answers, a slot a sink; no slots where no sink reads them.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    slots: Box<[OnceLock<Answer>]>,
    waker: AtomicWaker,
}

impl Answers {
    pub(crate) fn new(slots: usize) -> Answers {
        Answers { slots: (0..slots).map(|_| OnceLock::new()).collect(), waker: AtomicWaker::new() }
    }

    /// What the sink of this number made of the exchange, where anybody asks.
    pub(crate) fn settle(&self, sink: usize, answer: impl FnOnce() -> Answer) {
        if let Some(slot) = self.slots.get(sink) {
            let _ = slot.set(answer());
            self.waker.wake();
        }
    }
}

/// One sink's account of one exchange: settled exactly once, at the latest when it is dropped. This is what makes
/// offered = delivered + dropped + failed hold whatever happens to a task.
#[derive(Debug)]
pub struct Account {
    shared: Arc<Shared>,
    sink: usize,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    Offered,
    Settled,
}

impl Account {
    pub(crate) fn new(shared: Arc<Shared>, sink: usize) -> Account {
        Account { shared, sink, state: State::Open }
    }

    pub(crate) fn sink(&self) -> usize {
        self.sink
    }

    /// The sink was meant to have it.
    pub(crate) fn offer(&mut self) {
        if self.state == State::Open {
            self.state = State::Offered;
            self.shared.sinks[self.sink].metrics.offered.inc();
        }
    }

    /// The sink was not meant to have it.
    pub(crate) fn skipped(mut self, reason: SkipReason) {
        debug_assert_eq!(self.state, State::Open);
        self.state = State::Settled;
        self.shared.sinks[self.sink].metrics.skipped.inc(reason as usize);
        self.shared.answers.settle(self.sink, || Answer { outcome: Outcome::Skipped(reason), response: None });
    }

    /// It arrived; with what was answered.
    pub fn delivered(self, response: Option<Response>) {
        self.settle(Outcome::Delivered, response);
    }

    /// It was given up.
    pub fn dropped(self, reason: DropReason) {
        self.settle(Outcome::Dropped(reason), None);
    }

    /// It did not arrive.
    pub fn failed(self, reason: FailReason) {
        self.settle(Outcome::Failed(reason), None);
    }

    fn settle(mut self, outcome: Outcome, response: Option<Response>) {
        self.close(outcome, response);
    }

    fn close(&mut self, outcome: Outcome, response: Option<Response>) {
        self.offer();
        if self.state == State::Settled {
            return;
        }
        self.state = State::Settled;
        let metrics = &self.shared.sinks[self.sink].metrics;
        match outcome {
            Outcome::Delivered => metrics.delivered.inc(),
            Outcome::Dropped(reason) => metrics.dropped.inc(reason as usize),
            Outcome::Failed(reason) => metrics.failed.inc(reason as usize),
            Outcome::Skipped(reason) => metrics.skipped.inc(reason as usize),
        }
        self.shared.answers.settle(self.sink, || Answer { outcome, response });
    }
}

impl Drop for Account {
    /// A task that ended without a word was ended by the program's end.
    fn drop(&mut self) {
        if self.state != State::Settled {
            self.close(Outcome::Dropped(DropReason::Shutdown), None);
        }
    }
}
