//! Recordings: files of exchanges.
//!
//! A [`Record`] is one exchange as plain data, the same for every format; each format is one file below `recording/`, behind [`ReadRecords`] and
//! [`WriteRecords`]. [`avro`], [`har`] and [`jsonl`] hold all that a record has, [`gor`] what GoReplay knows; any of them may be compressed as a whole.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::http1::{Header, Headers};

pub mod avro;
mod block;
pub mod file;
mod format;
pub mod gor;
mod gzip;
pub mod har;
mod input;
mod json;
pub mod jsonl;
mod losses;
pub(crate) mod plain;
mod recordings;
mod stream;
mod time;
pub(crate) mod view;

pub(crate) use block::PlainEncoder;
pub use block::{BlockRef, PlainBlock};
pub use format::{Format, FormatError, Kind, ReadRecords, UnknownFormat, WriteRecords};
pub use losses::{Damage, Losses, Unheld};
pub(crate) use recordings::is_set_back;
pub use recordings::{
    MOST_OPEN, Moment, OVERHANG, OpenError, REORDER_BYTES, REORDER_TIME, ReadOptions, ReadOrder, Recordings,
    files_named,
};
pub use stream::RecordingStream;

/// One exchange as it is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The exchange's id; unique over processes and hosts.
    pub id: u128,
    /// When the source saw the request's first byte; kept to the microsecond.
    pub started: SystemTime,
    /// The way in: `proxy`, `capture`, `replay`.
    pub source: String,
    /// The downstream end (the client).
    pub client: Option<SocketAddr>,
    /// The upstream end (the application).
    pub server: Option<SocketAddr>,
    /// The request.
    pub request: RecordedRequest,
    /// The response; none where there was none.
    pub response: Option<RecordedResponse>,
    /// Why the exchange did not come to its end, e.g. `downstream`, or is not to be trusted: `ambiguous framing` (others may see the request
    /// or the response end elsewhere), `malformed head` (one of them breaks RFC 9112's syntax), `unreadable response`. None where it did and
    /// is.
    pub aborted: Option<String>,
    /// When the request's last byte was seen, since `started`.
    pub request_end: Option<Duration>,
    /// When the response's head was seen, since `started`.
    pub response_start: Option<Duration>,
    /// When the exchange ended, since `started`.
    pub end: Option<Duration>,
    /// What each target answered.
    pub answers: Vec<RecordedAnswer>,
}

/// A request as it is recorded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordedRequest {
    /// The method token.
    pub method: Bytes,
    /// The request target as sent: origin-form, absolute-form, …
    pub target: Bytes,
    /// As in `HTTP/1.1`.
    pub version: Bytes,
    /// Headers, body, trailers.
    pub message: RecordedMessage,
}

/// A response as it is recorded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordedResponse {
    /// As in `HTTP/1.1`.
    pub version: Bytes,
    /// The status code.
    pub status: u16,
    /// The reason phrase, often empty.
    pub reason: Bytes,
    /// Headers, body, trailers.
    pub message: RecordedMessage,
}

/// What requests and responses have in common.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordedMessage {
    /// Names and values in order, in their case, duplicates and all.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The body's pieces as they came, transfer coding removed.
    pub body: Vec<Bytes>,
    /// The body's whole length as seen, which is more than `body` holds where it was cut.
    pub body_length: u64,
    /// Trailers in order.
    pub trailers: Vec<(Bytes, Bytes)>,
    /// Why `body` is not the whole body, e.g. `max_body`, `memory`, `lag`, `aborted`, `capture` (bytes that a capture lost, or did not see any more); none where it is.
    pub truncated: Option<String>,
}

impl RecordedMessage {
    /// The header lines, for those who look for names.
    pub fn headers(&self) -> Headers {
        let lines = self.headers.iter();
        lines.map(|(name, value)| Header { name: name.clone(), value: value.clone() }).collect()
    }

    /// The body in one piece; not copied where it is one.
    pub fn whole_body(&self) -> Bytes {
        match &self.body[..] {
            [] => Bytes::new(),
            [piece] => piece.clone(),
            pieces => pieces.concat().into(),
        }
    }
}

/// The lines of a trailer section as it was sent; none where it cannot be read.
pub(crate) fn trailers(section: &Bytes) -> Option<Vec<(Bytes, Bytes)>> {
    Headers::parse(section).ok().or_else(|| Headers::parse_lenient(section)).map(pairs)
}

/// Lines as they are recorded.
pub(crate) fn pairs(headers: Headers) -> Vec<(Bytes, Bytes)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}

/// What a target made of its copy.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedAnswer {
    /// The target's name.
    pub target: String,
    /// `delivered`, or the reason it was dropped or failed, e.g. `dropped: queue_full`, `failed: connect`.
    pub outcome: String,
    /// The answer, where there was one.
    pub response: Option<RecordedResponse>,
    /// From sending the first byte to the answer's head.
    pub first_byte: Option<Duration>,
    /// From sending the first byte to the answer's end.
    pub total: Option<Duration>,
}

#[cfg(test)]
mod tests;
