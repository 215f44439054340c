//! An exchange: one request with its response, as a sink sees it while both are still under way.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::body::{BodyReader, TrailerChange};
use crate::budget::Charge;
use crate::collected::Collected;
use crate::condition::{Facts, ResponseFacts};
use crate::http1::{HeadError, RequestHead, ResponseHead, ResponseParts};
use crate::outcome::Abort;
use crate::relay::Relayed;
use crate::replay::Replayed;
use crate::sink::SinkSlot;
use crate::stage::ResponseChange;

mod account;
mod answer;
mod staged;

pub use account::Account;
pub(crate) use account::Accounts;
pub(crate) use answer::Answers;
pub use answer::{Answer, Response};

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
    /// Where it is one of a recording that is sent again.
    pub(crate) replayed: Option<Replayed>,
    pub(crate) upstream: OnceLock<SocketAddr>,
    pub(crate) request_end: OnceLock<Duration>,
    /// When its head came, that, and what it is charged.
    pub(crate) response: OnceLock<(Duration, Bytes, Charge)>,
    /// Somebody may have seen the request or the response end elsewhere, as showed later.
    pub(crate) ended_ambiguously: OnceLock<()>,
    pub(crate) ended: OnceLock<(Duration, Option<Abort>)>,
    pub(crate) sinks: Arc<[SinkSlot]>,
    pub(crate) answers: Answers,
    /// Covers the head and all that is of fixed size.
    pub(crate) charge: Charge,
}

/// One exchange, as handed to stages and to one sink.
pub struct Exchange {
    shared: Arc<Shared>,
    /// The request's head. Stages change it by `Arc::make_mut`, which leaves the other sinks' heads as they are.
    pub request: Arc<RequestHead>,
    pub(crate) request_body: Option<BodyReader>,
    pub(crate) response_body: Option<BodyReader>,
    /// The request's body, once it was collected for a stage.
    body: Option<Collected>,
    /// Whether `body` is another than the source's.
    body_replaced: bool,
    /// What stages are told of the response, once one waited for it.
    seen: Option<Arc<SeenResponse>>,
    /// What is changed of responses, in order; the first ones are those of all sinks' stages.
    changes: Vec<Arc<dyn ResponseChange>>,
    for_all: usize,
    /// What is changed of the request's trailers, in order.
    trailer_changes: Vec<TrailerChange>,
    /// The response as it was changed.
    relayed: Option<Arc<Relayed>>,
    /// Sinks that a stage keeps it from.
    kept_from: Vec<usize>,
    /// Whether its sink has begun to send it.
    is_sent: bool,
}

/// The response as far as it was waited for.
#[derive(Debug)]
struct SeenResponse {
    head: Option<ResponseHead>,
    latency: Option<Duration>,
    /// None before its end.
    size: Option<u64>,
}

impl Exchange {
    /// Parses the head; only now, on the engine's thread. An odd one is taken too: what a passive source saw is recorded as it was sent.
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Exchange, HeadError> {
        let wire = &shared.request_head;
        let request = RequestHead::parse(wire).or_else(|error| RequestHead::parse_lenient(wire).ok_or(error))?;
        let request = Arc::new(request);
        Ok(Exchange {
            shared,
            request,
            request_body: None,
            response_body: None,
            body: None,
            body_replaced: false,
            seen: None,
            changes: Vec::new(),
            for_all: 0,
            trailer_changes: Vec::new(),
            relayed: None,
            kept_from: Vec::new(),
            is_sent: false,
        })
    }

    /// One with this head alone, for tests and benches of what looks at exchanges.
    ///
    /// # Panics
    /// When it is no head.
    #[doc(hidden)]
    pub fn of_head(head: &str, client: Option<SocketAddr>) -> Exchange {
        let charge = crate::budget::Budget::new(1 << 20).charge(1).expect("room for one byte");
        Exchange::new(Arc::new(Shared {
            id: ExchangeId(7),
            origin: Origin { source: "proxy", client },
            started: SystemTime::UNIX_EPOCH,
            request_head: Bytes::copy_from_slice(head.as_bytes()),
            ambiguous: false,
            replayed: None,
            upstream: OnceLock::new(),
            request_end: OnceLock::new(),
            response: OnceLock::new(),
            ended_ambiguously: OnceLock::new(),
            ended: OnceLock::new(),
            sinks: Arc::new([]),
            answers: Answers::default(),
            charge,
        }))
        .expect("a head")
    }

    /// Has this response's head come, for tests.
    #[cfg(test)]
    pub(crate) fn responded(self, head: &'static str) -> Exchange {
        let charge = self.shared.charge.another(head.len()).expect("room for a head");
        let _ = self.shared.response.set((Duration::ZERO, Bytes::from_static(head.as_bytes()), charge));
        self
    }

    /// The same exchange for one sink, with that sink's own readers.
    pub(crate) fn copy(&self, request_body: Option<BodyReader>, response_body: Option<BodyReader>) -> Exchange {
        Exchange {
            shared: self.shared.clone(),
            request: self.request.clone(),
            request_body,
            response_body,
            // What was not read whole is read again by a sink's own stages, which may have another bound.
            body: self.body.clone().filter(|body| self.body_replaced || matches!(body, Collected::Whole { .. })),
            body_replaced: false,
            seen: self.seen.clone(),
            changes: self.changes.clone(),
            for_all: self.changes.len(),
            trailer_changes: self.trailer_changes.clone(),
            relayed: self.relayed.clone(),
            kept_from: Vec::new(),
            is_sent: false,
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
            request_size: match &self.body {
                Some(Collected::Whole { bytes, .. }) => Some(bytes.len() as u64),
                _ => length.and_then(|length| length.parse().ok()),
            },
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

    /// What is known of the response is for stages from now on: at the exchange's end, with so many bytes of a body, or before that, without.
    pub(crate) fn see_response(&mut self, size: Option<u64>) {
        let (latency, head) = self.response().unzip();
        self.seen = Some(Arc::new(SeenResponse { head: head.and_then(Result::ok), latency, size }));
    }

    /// Whether stages are told anything of the response.
    pub(crate) fn is_response_seen(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether the response's head is there, or none will come.
    pub(crate) fn is_answered(&self) -> bool {
        self.shared.response.get().is_some() || self.shared.ended.get().is_some()
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
        let mut reader = self.request_body.take()?;
        reader.change_trailers(self.trailer_changes.iter().cloned());
        Some(reader)
    }

    /// Puts the reader of the request's body back, rewound.
    pub(crate) fn put_request_body(&mut self, body: BodyReader) {
        self.request_body = Some(body);
    }

    /// Takes the reader of the response's body; none for a sink that did not ask for responses.
    pub fn take_response_body(&mut self) -> Option<BodyReader> {
        let mut reader = self.response_body.take()?;
        let change =
            |change: Arc<dyn ResponseChange>| Arc::new(move |section| change.trailers(section)) as TrailerChange;
        reader.change_trailers(self.changes.iter().cloned().map(change));
        Some(reader)
    }

    /// Whether the application may have made another request of what the source saw (RFC 9112 §11.2): sent to a target, it could be one
    /// that the application never got.
    pub fn is_ambiguous(&self) -> bool {
        self.shared.ambiguous || self.request.odd
    }

    /// What is known of it from when it passed first, where it is sent again.
    pub(crate) fn replayed(&self) -> Option<&Replayed> {
        self.shared.replayed.as_ref()
    }

    /// It is about to be sent; `true` for the first time.
    pub(crate) fn is_first_sent(&mut self) -> bool {
        !std::mem::replace(&mut self.is_sent, true)
    }

    /// Whether its source says that others may see the request, or the response, end elsewhere.
    pub fn is_framed_ambiguously(&self) -> bool {
        self.shared.ambiguous || self.shared.ended_ambiguously.get().is_some()
    }

    /// The response's head and when it was seen, since the start; none before it was, or without a response.
    pub fn response(&self) -> Option<(Duration, Result<ResponseHead, HeadError>)> {
        let (at, wire, _) = self.shared.response.get()?;
        let relayed = self.relayed.as_ref().and_then(|relayed| Some((relayed.head.get()?.clone()?, relayed.changes)));
        let (head, changed) = match (relayed, ResponseHead::parse(wire)) {
            (Some((head, changed)), _) => (Ok(head), changed),
            (None, Ok(Some((head, _)))) => (Ok(head), 0),
            (None, Ok(None)) => (Err(HeadError::Incomplete), 0),
            (None, Err(error)) => (ResponseHead::parse_lenient(wire).ok_or(error), 0),
        };
        let head = head.map(|mut head| {
            self.changes[changed..].iter().for_each(|change| change.head(self, &mut head));
            head
        });
        Some((*at, head))
    }

    /// Its head as it stands in the source's bytes, for one who only looks at it. None where it has another ([`response`](Self::response)):
    /// it is changed or odd, or there is none.
    pub(crate) fn look_at_response<T>(&self, at: impl FnOnce(Option<(Duration, ResponseParts<'_>)>) -> T) -> T {
        match self.shared.response.get() {
            Some((seen, wire, _)) if self.changes.is_empty() && self.relayed.is_none() => {
                ResponseParts::look(wire, |parts| at(parts.ok().flatten().map(|(parts, _)| (*seen, parts))))
            }
            _ => at(None),
        }
    }

    /// When the response's head was seen, since the start.
    pub fn response_at(&self) -> Option<Duration> {
        self.shared.response.get().map(|(at, ..)| *at)
    }

    /// When the request's last byte was seen, since the start.
    pub fn request_end(&self) -> Option<Duration> {
        self.shared.request_end.get().copied()
    }

    /// When and how the exchange ended. It is known once the response body's reader has come to the end.
    pub fn ended(&self) -> Option<(Duration, Option<Abort>)> {
        self.shared.ended.get().copied()
    }

    /// Whether it has ended and every target has made something of its copy, so that nothing of it has to be waited for.
    pub fn is_over(&self) -> bool {
        let changed = self.own_changes().is_empty() && self.relayed.as_ref().is_none_or(|relayed| relayed.is_done());
        self.ended().is_some() && changed && self.answers().all(|(_, answer)| answer.is_some())
    }

    /// Every target's name and what it made of its copy, where that is known.
    pub fn answers(&self) -> impl Iterator<Item = (&str, Option<&Answer>)> {
        self.shared
            .sinks
            .iter()
            .enumerate()
            .filter(|(_, sink)| sink.answers)
            .map(|(i, sink)| (sink.name.as_str(), self.shared.answers.of(i)))
    }

    /// Resolves when every target has made something of its copy. One task at a time may wait.
    pub fn poll_answered(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.answers.register(cx.waker());
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

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("id", &self.id()).finish_non_exhaustive()
    }
}
