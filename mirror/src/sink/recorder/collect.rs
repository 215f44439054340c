//! Collects one exchange as a record, while it flows.

use std::future::poll_fn;

use bytes::Bytes;

use crate::body::{BodyEnd, BodyReader, Chunk};
use crate::exchange::{Exchange, Response};
use crate::http1::{HeadError, Headers, RequestHead, ResponseHead};
use crate::outcome::{Abort, DropReason};
use crate::recording::{Record, RecordedAnswer, RecordedMessage, RecordedRequest, RecordedResponse};

/// A long body is read when this much of it is there, so that it does not wake the collector for each chunk.
const READ_EVERY: u64 = 256 * 1024;

/// An exchange that has come to its end.
pub(super) struct Collected {
    pub(super) record: Record,
    /// For what comes after the end: the targets' answers.
    pub(super) exchange: Exchange,
    /// The bodies' readers: what they have not given back, which the record holds, counts to the recorder as long as they are there.
    pub(super) bodies: [Option<BodyReader>; 2],
}

/// A body as far as it is kept.
#[derive(Default)]
struct Body {
    pieces: Vec<Bytes>,
    length: u64,
    trailers: Option<Bytes>,
    truncated: Option<&'static str>,
}

/// Reads both bodies to their ends.
///
/// # Errors
/// Why the recorder was cut off, or has nothing to record.
pub(super) async fn collect(mut exchange: Exchange, max_body: u64) -> Result<Collected, DropReason> {
    let (mut requests, mut responses) = (exchange.take_request_body(), exchange.take_response_body());
    let (request, response) = tokio::join!(read(requests.as_mut(), max_body), read(responses.as_mut(), max_body));
    let (request, (response, lost)) = (request?.0, response?);
    // There was no room for the response's head: the record would tell of an exchange without a response.
    if let Some(reason) = lost
        && exchange.response().is_none()
    {
        return Err(reason);
    }
    Ok(Collected { record: record(&exchange, request, response), exchange, bodies: [requests, responses] })
}

/// A body, and why the engine lost the rest of it, where it did.
async fn read(reader: Option<&mut BodyReader>, most: u64) -> Result<(Body, Option<DropReason>), DropReason> {
    let mut body = Body::default();
    let Some(reader) = reader else { return Ok((body, None)) };
    loop {
        match reader.try_next()? {
            None => poll_fn(|cx| reader.poll_behind(cx, READ_EVERY)).await?,
            Some(Chunk::Data(bytes)) => {
                let room = usize::try_from(most.saturating_sub(body.length)).unwrap_or(usize::MAX).min(bytes.len());
                body.length += bytes.len() as u64;
                match room {
                    0 => reader.done_with(&bytes),
                    _ => body.pieces.push(bytes.slice(..room)),
                }
                if room < bytes.len() {
                    body.truncated = Some("max_body");
                }
            }
            Some(Chunk::End(end)) => {
                let missing = reader.lost();
                body.length = body.length.saturating_add(missing);
                let mut lost = None;
                match end {
                    BodyEnd::Complete(trailers) => {
                        body.trailers = trailers;
                        if missing > 0 {
                            body.truncated = Some(Abort::Capture.label());
                        }
                    }
                    BodyEnd::Aborted(Abort::Capture) => body.truncated = Some(Abort::Capture.label()),
                    BodyEnd::Aborted(_) => body.truncated = Some("aborted"),
                    BodyEnd::Lost(reason) => {
                        body.truncated = Some(reason.label());
                        lost = Some(reason);
                    }
                }
                return Ok((body, lost));
            }
        }
    }
}

fn record(exchange: &Exchange, request: Body, response: Body) -> Record {
    let head: &RequestHead = &exchange.request;
    let (response_start, response_head) = exchange.response().unzip();
    let (end, aborted) = exchange.ended().unzip();
    let aborted = aborted.flatten().map(Abort::label);
    let aborted = aborted.or_else(|| doubt(exchange, response_head.as_ref())).map(str::to_owned);
    Record {
        id: exchange.id().0,
        started: exchange.started(),
        source: exchange.origin().source.to_owned(),
        client: exchange.origin().client,
        server: exchange.upstream(),
        request: RecordedRequest {
            method: head.method.clone(),
            target: head.target.clone(),
            version: Bytes::from_static(head.version().as_bytes()),
            message: message(head.headers.clone(), request),
        },
        response: response_head.and_then(Result::ok).map(|head| recorded(head, response)),
        aborted,
        request_end: exchange.request_end(),
        response_start,
        end,
        answers: Vec::new(),
    }
}

/// Why an exchange that came to its end is not to be trusted.
fn doubt(exchange: &Exchange, response: Option<&Result<ResponseHead, HeadError>>) -> Option<&'static str> {
    match response {
        Some(Err(_)) => Some("unreadable response"),
        _ if exchange.is_framed_ambiguously() => Some("ambiguous framing"),
        Some(Ok(head)) if head.odd => Some("malformed head"),
        _ if exchange.request.odd => Some("malformed head"),
        _ => None,
    }
}

fn recorded(head: ResponseHead, body: Body) -> RecordedResponse {
    RecordedResponse {
        version: Bytes::from_static(head.version().as_bytes()),
        status: head.status,
        reason: head.reason,
        message: message(head.headers, body),
    }
}

fn message(headers: Headers, body: Body) -> RecordedMessage {
    RecordedMessage {
        headers: lines(headers),
        body: body.pieces,
        body_length: body.length,
        trailers: trailers(body.trailers.as_ref()),
        truncated: body.truncated.map(str::to_owned),
    }
}

fn lines(headers: Headers) -> Vec<(Bytes, Bytes)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}

fn trailers(section: Option<&Bytes>) -> Vec<(Bytes, Bytes)> {
    let read = |section| Headers::parse(section).ok().or_else(|| Headers::parse_lenient(section));
    section.and_then(read).map(lines).unwrap_or_default()
}

/// What the targets have made of their copies by now, as the recorder's own stages leave it.
pub(super) async fn answers(exchange: &Exchange) -> Vec<RecordedAnswer> {
    let mut answers = Vec::new();
    for (target, answer) in exchange.answers() {
        let mut response = answer.and_then(|answer| answer.response.clone());
        if let Some(response) = &mut response {
            for change in exchange.own_changes() {
                change.answer(exchange, response).await;
            }
        }
        answers.push(RecordedAnswer {
            target: target.to_owned(),
            outcome: answer.map_or_else(|| "pending".to_owned(), |answer| answer.outcome.to_string()),
            first_byte: response.as_ref().map(|response| response.first_byte),
            total: response.as_ref().map(|response| response.total),
            response: response.map(answered),
        });
    }
    answers
}

fn answered(response: Response) -> RecordedResponse {
    let Response { head, body, body_length, trailers, truncated, .. } = response;
    recorded(head, Body { pieces: body, length: body_length, trailers, truncated })
}
