//! One exchange to be written, borrowed from wherever it is: a [`Record`], or what the recorder has collected of one that has just passed.
//! A reference to each part of a head, counted and given back, costs more than the writing.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{Record, RecordedAnswer, RecordedMessage, RecordedRequest, RecordedResponse};
use crate::body::CHUNK_OVERHEAD;
use crate::http1::Header;

/// A header line.
pub(crate) trait Line {
    fn name(&self) -> &[u8];
    fn value(&self) -> &[u8];
}

impl Line for (Bytes, Bytes) {
    fn name(&self) -> &[u8] {
        &self.0
    }

    fn value(&self) -> &[u8] {
        &self.1
    }
}

impl Line for Header {
    fn name(&self) -> &[u8] {
        &self.name
    }

    fn value(&self) -> &[u8] {
        &self.value
    }
}

/// As it was parsed.
impl Line for httparse::Header<'_> {
    fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    fn value(&self) -> &[u8] {
        self.value
    }
}

/// The fields of a [`Record`], with the lines of the request's head and of the response's as they are at hand.
pub(crate) struct RecordView<'a, Q, S> {
    pub(crate) id: u128,
    pub(crate) started: SystemTime,
    pub(crate) source: &'a str,
    pub(crate) client: Option<SocketAddr>,
    pub(crate) server: Option<SocketAddr>,
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    pub(crate) version: &'a [u8],
    pub(crate) request: MessageView<'a, Q>,
    pub(crate) response: Option<ResponseView<'a, S>>,
    pub(crate) aborted: Option<&'a str>,
    pub(crate) request_end: Option<Duration>,
    pub(crate) response_start: Option<Duration>,
    pub(crate) end: Option<Duration>,
    pub(crate) answers: &'a [RecordedAnswer],
}

/// Those of a [`RecordedResponse`].
pub(crate) struct ResponseView<'a, L> {
    pub(crate) version: &'a [u8],
    pub(crate) status: u16,
    pub(crate) reason: &'a [u8],
    pub(crate) message: MessageView<'a, L>,
}

/// Those of a [`RecordedMessage`].
pub(crate) struct MessageView<'a, L> {
    pub(crate) headers: &'a [L],
    pub(crate) body: &'a [Bytes],
    pub(crate) body_length: u64,
    pub(crate) trailers: &'a [(Bytes, Bytes)],
    pub(crate) truncated: Option<&'a str>,
}

impl<Q: Line, S: Line> RecordView<'_, Q, S> {
    /// The same with parts of its own; bodies are shared.
    pub(crate) fn to_record(&self) -> Record {
        let bytes = Bytes::copy_from_slice;
        Record {
            id: self.id,
            started: self.started,
            source: self.source.to_owned(),
            client: self.client,
            server: self.server,
            request: RecordedRequest {
                method: bytes(self.method),
                target: bytes(self.target),
                version: bytes(self.version),
                message: self.request.to_message(),
            },
            response: self.response.as_ref().map(|response| RecordedResponse {
                version: bytes(response.version),
                status: response.status,
                reason: bytes(response.reason),
                message: response.message.to_message(),
            }),
            aborted: self.aborted.map(str::to_owned),
            request_end: self.request_end,
            response_start: self.response_start,
            end: self.end,
            answers: self.answers.to_vec(),
        }
    }
}

/// What a [`Record`] of its own takes in memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight {
    /// Its parts, with what the allocator rounds up; no fewer by much.
    pub(crate) own: usize,
    /// The bodies, which it shares, with what each piece has beside its bytes.
    pub(crate) bodies: usize,
}

/// What a line takes beside its bytes: two references, and two allocations.
const LINE: usize = size_of::<(Bytes, Bytes)>() + 2 * 32;

impl Weight {
    /// That of a view's record.
    pub(crate) fn of<Q: Line, S: Line>(record: &RecordView<'_, Q, S>) -> Weight {
        // Its first line, the way in, and why it was cut off are short texts.
        let own = size_of::<Record>() + 256 + record.target.len() + size_of_val(record.answers);
        let mut weight = Weight { own, bodies: 0 };
        weight.add(&record.request);
        if let Some(response) = &record.response {
            weight.own += response.reason.len();
            weight.add(&response.message);
        }
        for answer in record.answers {
            weight.own += answer.target.len() + answer.outcome.len() + 64;
            if let Some(response) = &answer.response {
                weight.add(&response.message.view());
            }
        }
        weight
    }

    fn add<L: Line>(&mut self, message: &MessageView<'_, L>) {
        self.own += message.lines().map(|(name, value)| name.len() + value.len() + LINE).sum::<usize>();
        self.own += size_of_val(message.body);
        self.bodies += message.body.iter().map(|piece| piece.len() + CHUNK_OVERHEAD).sum::<usize>();
    }
}

impl Record {
    pub(crate) fn view(&self) -> RecordView<'_, (Bytes, Bytes), (Bytes, Bytes)> {
        RecordView {
            id: self.id,
            started: self.started,
            source: &self.source,
            client: self.client,
            server: self.server,
            method: &self.request.method,
            target: &self.request.target,
            version: &self.request.version,
            request: self.request.message.view(),
            response: self.response.as_ref().map(RecordedResponse::view),
            aborted: self.aborted.as_deref(),
            request_end: self.request_end,
            response_start: self.response_start,
            end: self.end,
            answers: &self.answers,
        }
    }
}

impl RecordedResponse {
    pub(crate) fn view(&self) -> ResponseView<'_, (Bytes, Bytes)> {
        ResponseView { version: &self.version, status: self.status, reason: &self.reason, message: self.message.view() }
    }
}

impl RecordedMessage {
    fn view(&self) -> MessageView<'_, (Bytes, Bytes)> {
        MessageView {
            headers: &self.headers,
            body: &self.body,
            body_length: self.body_length,
            trailers: &self.trailers,
            truncated: self.truncated.as_deref(),
        }
    }
}

impl<L: Line> MessageView<'_, L> {
    fn to_message(&self) -> RecordedMessage {
        let line = |line: &L| (Bytes::copy_from_slice(line.name()), Bytes::copy_from_slice(line.value()));
        RecordedMessage {
            headers: self.headers.iter().map(line).collect(),
            body: self.body.to_vec(),
            body_length: self.body_length,
            trailers: self.trailers.to_vec(),
            truncated: self.truncated.map(str::to_owned),
        }
    }

    /// Names and values of all its lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let headers = self.headers.iter().map(|line| (line.name(), line.value()));
        headers.chain(self.trailers.iter().map(|line| (line.name(), line.value())))
    }
}
