//! Collects one exchange as a record, while it flows.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::time::timeout;

use super::batch::Batch;
use crate::body::{BodyEnd, BodyReader, Chunk};
use crate::exchange::{Answer, Exchange, Response};
use crate::http1::{Header, RequestHead};
use crate::outcome::{Abort, DropReason};
use crate::recording::view::{MessageView, RecordView, ResponseView};
use crate::recording::{RecordedAnswer, RecordedMessage, RecordedResponse, pairs};

/// A long body is read when this much of it is there, so that it does not wake the collector for each chunk.
const READ_EVERY: u64 = 256 * 1024;

/// An exchange as far as it is known.
pub(super) struct Collecting {
    exchange: Box<Exchange>,
    request: Body,
    response: Body,
    /// Whether the response is recorded, which others may see in any case.
    responses: bool,
    answers: Vec<RecordedAnswer>,
}

/// A response, with its head where that can be read.
struct Seen<'a, L> {
    /// Since the exchange began.
    at: Duration,
    head: Option<Head<'a, L>>,
}

struct Head<'a, L> {
    version: &'static str,
    status: u16,
    reason: &'a [u8],
    headers: &'a [L],
}

/// A body as far as it is kept.
#[derive(Default)]
struct Body {
    /// None where there is nothing to read. What it has not given back, which the record holds, counts to the recorder as long as it is there.
    reader: Option<BodyReader>,
    /// Usually one.
    pieces: SmallVec<[Bytes; 1]>,
    length: u64,
    trailers: Option<Bytes>,
    truncated: Option<&'static str>,
    /// Why the engine lost the rest of it.
    lost: Option<DropReason>,
    is_whole: bool,
}

impl Collecting {
    pub(super) fn new(mut exchange: Box<Exchange>, responses: bool) -> Collecting {
        let (request, response) = (exchange.take_request_body(), exchange.take_response_body());
        let response = Body::of(response.filter(|_| responses));
        Collecting { exchange, request: Body::of(request), response, responses, answers: Vec::new() }
    }

    /// Takes what is there of both bodies, and tells whether that was all.
    ///
    /// # Errors
    /// Why the recorder was cut off.
    pub(super) fn take(&mut self, max_body: u64) -> Result<bool, DropReason> {
        Ok(self.request.take(max_body)? & self.response.take(max_body)?)
    }

    /// Reads both bodies to their ends.
    ///
    /// # Errors
    /// Why the recorder was cut off.
    pub(super) async fn read(&mut self, max_body: u64) -> Result<(), DropReason> {
        poll_fn(|cx| {
            let (request, response) = (self.request.poll(cx, max_body)?, self.response.poll(cx, max_body)?);
            if request.is_ready() && response.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Whether there are targets whose answers are to be recorded.
    pub(super) fn is_answered(&self) -> bool {
        self.exchange.answers().next().is_some()
    }

    /// Waits at most so long until every target has made something of its copy. What they have made by then is recorded, as the recorder's
    /// own stages leave it.
    pub(super) async fn read_answers(&mut self, most: Duration) {
        let _ = timeout(most, poll_fn(|cx| self.exchange.poll_answered(cx))).await;
        for (target, answer) in self.exchange.answers() {
            self.answers.push(recorded(&self.exchange, target, answer).await);
        }
    }

    /// Adds it to the batch, and says how many bytes of bodies that holds as they came.
    ///
    /// # Errors
    /// Why there is nothing to record, or no room.
    pub(super) fn record(&self, batch: &mut Batch) -> Result<usize, DropReason> {
        let exchange = &self.exchange;
        // There was no room for the response's head: the record would tell of an exchange without a response.
        if let Some(reason) = self.response.lost
            && exchange.response().is_none()
        {
            return Err(reason);
        }
        let trailers = [&self.request, &self.response].map(|body| trailers(body.trailers.as_ref()));
        let doubt = |odd: bool| match exchange.is_framed_ambiguously() {
            true => Some("ambiguous framing"),
            false => (odd || exchange.request.odd).then_some("malformed head"),
        };
        if !self.responses {
            return batch.take_in(&self.view::<Header>(None, &trailers, doubt(false)));
        }
        let looked = exchange.look_at_response(|response| {
            let (at, head) = response?;
            let (version, status, reason, headers) = (head.version(), head.status, head.reason, head.headers);
            let seen = Seen { at, head: Some(Head { version, status, reason, headers }) };
            Some(batch.take_in(&self.view(Some(seen), &trailers, doubt(false))))
        });
        if let Some(taken) = looked {
            return taken;
        }
        match exchange.response() {
            None => batch.take_in(&self.view::<Header>(None, &trailers, doubt(false))),
            Some((at, Err(_))) => {
                let seen = Seen::<Header> { at, head: None };
                batch.take_in(&self.view(Some(seen), &trailers, Some("unreadable response")))
            }
            Some((at, Ok(head))) => {
                let (version, status, reason, headers) =
                    (head.version(), head.status, &head.reason[..], head.headers.lines());
                let seen = Seen { at, head: Some(Head { version, status, reason, headers }) };
                batch.take_in(&self.view(Some(seen), &trailers, doubt(head.odd)))
            }
        }
    }

    /// Lets go of the bodies: what the batch has of them is its own.
    pub(super) fn let_go(&mut self) {
        (self.request, self.response) = (Body::default(), Body::default());
    }

    /// The record; with the response's head, both bodies' trailers, and why it is not to be trusted though it came to its end.
    fn view<'a, L>(
        &'a self,
        response: Option<Seen<'a, L>>,
        [of_request, of_response]: &'a [Vec<(Bytes, Bytes)>; 2],
        doubt: Option<&'static str>,
    ) -> RecordView<'a, Header, L> {
        let exchange = &self.exchange;
        let head: &RequestHead = &exchange.request;
        let (response_start, response) = response.map(|seen| (seen.at, seen.head)).unzip();
        let (end, aborted) = exchange.ended().unzip();
        RecordView {
            id: exchange.id().0,
            started: exchange.started(),
            source: exchange.origin().source,
            client: exchange.origin().client,
            server: exchange.upstream(),
            method: &head.method,
            target: &head.target,
            version: head.version().as_bytes(),
            request: self.request.view(head.headers.lines(), of_request),
            response: response.flatten().map(|head| ResponseView {
                version: head.version.as_bytes(),
                status: head.status,
                reason: head.reason,
                message: self.response.view(head.headers, of_response),
            }),
            aborted: aborted.flatten().map(Abort::label).or(doubt),
            request_end: exchange.request_end(),
            response_start,
            end,
            answers: &self.answers,
        }
    }
}

impl Body {
    fn of(reader: Option<BodyReader>) -> Body {
        Body { is_whole: reader.is_none(), reader, ..Body::default() }
    }

    /// Takes what is there, and tells whether that was all.
    fn take(&mut self, most: u64) -> Result<bool, DropReason> {
        let Some(reader) = self.reader.as_mut().filter(|_| !self.is_whole) else { return Ok(true) };
        while let Some(chunk) = reader.try_next()? {
            match chunk {
                Chunk::Data(bytes) => {
                    let room = usize::try_from(most.saturating_sub(self.length)).unwrap_or(usize::MAX);
                    self.length += bytes.len() as u64;
                    if room < bytes.len() {
                        self.truncated = Some("max_body");
                    }
                    match room {
                        0 => reader.done_with(&bytes),
                        room if room < bytes.len() => self.pieces.push(bytes.slice(..room)),
                        _ => self.pieces.push(bytes),
                    }
                }
                Chunk::End(end) => {
                    let missing = reader.lost();
                    self.end(end, missing);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn poll(&mut self, cx: &mut Context<'_>, most: u64) -> Poll<Result<(), DropReason>> {
        while !self.take(most)? {
            if let Some(reader) = &mut self.reader {
                ready!(reader.poll_behind(cx, READ_EVERY))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// It has ended, and so many bytes of it the source never had.
    fn end(&mut self, end: BodyEnd, missing: u64) {
        self.is_whole = true;
        self.length = self.length.saturating_add(missing);
        match end {
            BodyEnd::Complete(trailers) => {
                self.trailers = trailers;
                if missing > 0 {
                    self.truncated = Some(Abort::Capture.label());
                }
            }
            BodyEnd::Aborted(Abort::Capture) => self.truncated = Some(Abort::Capture.label()),
            BodyEnd::Aborted(_) => self.truncated = Some("aborted"),
            BodyEnd::Lost(reason) => {
                self.truncated = Some(reason.label());
                self.lost = Some(reason);
            }
        }
    }

    fn view<'a, L>(&'a self, headers: &'a [L], trailers: &'a [(Bytes, Bytes)]) -> MessageView<'a, L> {
        MessageView { headers, body: &self.pieces, body_length: self.length, trailers, truncated: self.truncated }
    }
}

fn trailers(section: Option<&Bytes>) -> Vec<(Bytes, Bytes)> {
    section.and_then(crate::recording::trailers).unwrap_or_default()
}

async fn recorded(exchange: &Exchange, target: &str, answer: Option<&Answer>) -> RecordedAnswer {
    let mut response = answer.and_then(|answer| answer.response.clone());
    if let Some(response) = &mut response {
        for change in exchange.own_changes() {
            change.answer(exchange, response).await;
        }
    }
    RecordedAnswer {
        target: target.to_owned(),
        outcome: answer.map_or_else(|| "pending".to_owned(), |answer| answer.outcome.to_string()),
        first_byte: response.as_ref().map(|response| response.first_byte),
        total: response.as_ref().map(|response| response.total),
        response: response.map(answered),
    }
}

fn answered(response: Response) -> RecordedResponse {
    let Response { head, body, body_length, trailers: section, truncated, .. } = response;
    RecordedResponse {
        version: Bytes::from_static(head.version().as_bytes()),
        status: head.status,
        reason: head.reason,
        message: RecordedMessage {
            headers: pairs(head.headers),
            body,
            body_length,
            trailers: trailers(section.as_ref()),
            truncated: truncated.map(str::to_owned),
        },
    }
}
