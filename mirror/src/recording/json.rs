//! A record as a JSON object: a line of [JSON Lines](super::jsonl), and what [HAR](super::har) has no field for.
//!
//! Bytes are text where they are UTF-8. Where they are not, the key is left out, and one with `_base64` behind its name has them (RFC 4648 §4). So it is with
//! a body whose escapes would take more than its text.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::plain::{Need, Refused, Room, Unfit};
use super::{Record, RecordedAnswer, RecordedMessage, RecordedRequest, RecordedResponse, time};

mod need;
mod text;

pub(super) use need::{of_answers, of_body, of_lines, of_record};
pub(super) use text::{Text, base64, base64_length, bytes, from_base64, pieces, text, text_of, whole};

/// Appends a value, which has this need.
///
/// # Errors
/// Where there is no room for it, or it is longer than `most` bytes, which a reader would pass over; then nothing is appended.
pub(super) fn put<T: Serialize>(
    value: impl FnOnce() -> T,
    need: Need,
    most: usize,
    into: &mut Vec<u8>,
    room: &mut Room<'_>,
) -> Result<(), Refused> {
    need.make_room(into, room)?;
    let start = into.len();
    serde_json::to_writer(&mut *into, &value()).expect("a Vec takes every write, and no key is but a string");
    let length = into.len() - start;
    debug_assert!(length <= need.output, "{length} bytes, and no more than {} were meant to be", need.output);
    if length <= most {
        return Ok(());
    }
    into.truncate(start);
    Err(Unfit::new("fewer bytes, as a reader passes over what is longer", "the record").into())
}

/// What a key says that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("found a bad {key}, expected {expected}")]
pub(super) struct BadValue {
    pub(super) key: &'static str,
    pub(super) expected: &'static str,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_micros: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<SocketAddr>,
    request: Request<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aborted: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_end_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_start_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    answers: Vec<Answer<'a>>,
}

/// A request or a response: what is its own, and then what both have. (Serde can flatten one object into another, but it holds all of it in between, bodies and
/// all.)
macro_rules! message {
    ($name:ident { $($(#[$attribute:meta])* $own:ident: $type:ty,)* }) => {
        #[derive(Debug, Serialize, Deserialize)]
        pub(super) struct $name<'a> {
            $($(#[$attribute])* $own: $type,)*
            #[serde(default)]
            headers: Vec<Field<'a>>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            body: Text<'a>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            body_base64: Text<'a>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            body_length: Option<u64>,
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            trailers: Vec<Field<'a>>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            truncated: Text<'a>,
        }

        impl<'a> $name<'a> {
            fn new(message: &'a RecordedMessage, $($own: $type,)*) -> $name<'a> {
                let (body, body_base64, body_length) = body(message);
                $name {
                    $($own,)*
                    headers: fields(&message.headers),
                    body,
                    body_base64,
                    body_length,
                    trailers: fields(&message.trailers),
                    truncated: message.truncated.as_deref().map(Cow::from),
                }
            }
        }
    };
}

message!(Request {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version_base64: Text<'a>,
});

message!(Response {
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version_base64: Text<'a>,
});

/// A header line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Field<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Text<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(default)]
    target: Cow<'a, str>,
    #[serde(default)]
    outcome: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_byte_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_micros: Option<u64>,
}

/// What is told of a body.
type Body<'a> = (Text<'a>, Text<'a>, Option<u64>);

impl<'a> Line<'a> {
    pub(super) fn of(record: &'a Record) -> Line<'a> {
        let start = time::rfc3339(record.started);
        let start_micros = start.is_none().then(|| time::micros_since_epoch(record.started));
        Line {
            id: Some(format!("{:032x}", record.id).into()),
            start: start.map(Cow::from),
            start_micros,
            source: Some((&*record.source).into()),
            client: record.client,
            server: record.server,
            request: Request::of(&record.request),
            response: record.response.as_ref().map(Response::of),
            aborted: record.aborted.as_deref().map(Cow::from),
            request_end_micros: record.request_end.map(micros),
            response_start_micros: record.response_start.map(micros),
            end_micros: record.end.map(micros),
            answers: record.answers.iter().map(Answer::of).collect(),
        }
    }

    pub(super) fn into_record(self) -> Result<Record, BadValue> {
        let bad_start = BadValue { key: "start", expected: "a time as RFC 3339 has it" };
        Ok(Record {
            id: id(self.id.as_deref())?,
            started: match (self.start, self.start_micros) {
                (Some(text), _) => time::from_rfc3339(&text).ok_or(bad_start)?,
                (None, Some(micros)) => time::at_micros(micros).ok_or(bad_start)?,
                (None, None) => UNIX_EPOCH,
            },
            source: owned(self.source).unwrap_or_default(),
            client: self.client,
            server: self.server,
            request: self.request.into_recorded()?,
            response: self.response.map(Response::into_recorded).transpose()?,
            aborted: owned(self.aborted),
            request_end: self.request_end_micros.map(Duration::from_micros),
            response_start: self.response_start_micros.map(Duration::from_micros),
            end: self.end_micros.map(Duration::from_micros),
            answers: self.answers.into_iter().map(Answer::into_recorded).collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> Request<'a> {
    fn of(request: &'a RecordedRequest) -> Request<'a> {
        let (method, method_base64) = text(&request.method);
        let (target, target_base64) = text(&request.target);
        let (version, version_base64) = text(&request.version);
        Request::new(&request.message, method, method_base64, target, target_base64, version, version_base64)
    }

    fn into_recorded(self) -> Result<RecordedRequest, BadValue> {
        let or = |bytes: Bytes, usual: &'static str, told: bool| {
            if told { bytes } else { Bytes::from_static(usual.as_bytes()) }
        };
        let (has_method, has_target) = (
            self.method.is_some() || self.method_base64.is_some(),
            self.target.is_some() || self.target_base64.is_some(),
        );
        let has_version = self.version.is_some() || self.version_base64.is_some();
        Ok(RecordedRequest {
            method: or(bytes("method", self.method, self.method_base64)?, "GET", has_method),
            target: or(bytes("target", self.target, self.target_base64)?, "/", has_target),
            version: or(bytes("version", self.version, self.version_base64)?, "HTTP/1.1", has_version),
            message: message(
                self.headers,
                (self.body, self.body_base64, self.body_length),
                self.trailers,
                self.truncated,
            )?,
        })
    }
}

impl<'a> Response<'a> {
    pub(super) fn of(response: &'a RecordedResponse) -> Response<'a> {
        let (reason, reason_base64) = text(&response.reason);
        let (version, version_base64) = text(&response.version);
        Response::new(&response.message, response.status, reason, reason_base64, version, version_base64)
    }

    pub(super) fn into_recorded(self) -> Result<RecordedResponse, BadValue> {
        let has_version = self.version.is_some() || self.version_base64.is_some();
        let version = bytes("version", self.version, self.version_base64)?;
        Ok(RecordedResponse {
            status: self.status,
            reason: bytes("reason", self.reason, self.reason_base64)?,
            version: if has_version { version } else { Bytes::from_static(b"HTTP/1.1") },
            message: message(
                self.headers,
                (self.body, self.body_base64, self.body_length),
                self.trailers,
                self.truncated,
            )?,
        })
    }
}

impl<'a> Answer<'a> {
    pub(super) fn of(answer: &'a RecordedAnswer) -> Answer<'a> {
        Answer {
            target: (&*answer.target).into(),
            outcome: (&*answer.outcome).into(),
            response: answer.response.as_ref().map(Response::of),
            first_byte_micros: answer.first_byte.map(micros),
            total_micros: answer.total.map(micros),
        }
    }

    pub(super) fn into_recorded(self) -> Result<RecordedAnswer, BadValue> {
        Ok(RecordedAnswer {
            target: self.target.into_owned(),
            outcome: self.outcome.into_owned(),
            response: self.response.map(Response::into_recorded).transpose()?,
            first_byte: self.first_byte_micros.map(Duration::from_micros),
            total: self.total_micros.map(Duration::from_micros),
        })
    }
}

impl<'a> Field<'a> {
    fn of((name, value): &'a (Bytes, Bytes)) -> Field<'a> {
        let ((name, name_base64), (value, value_base64)) = (text(name), text(value));
        Field { name, name_base64, value, value_base64 }
    }
}

pub(super) fn id(text: Option<&str>) -> Result<u128, BadValue> {
    let bad = |_| BadValue { key: "id", expected: "at most 32 hexadecimal digits" };
    text.map_or(Ok(0), |text| u128::from_str_radix(text, 16).map_err(bad))
}

pub(super) fn fields(fields: &[(Bytes, Bytes)]) -> Vec<Field<'_>> {
    fields.iter().map(Field::of).collect()
}

pub(super) fn pairs(fields: Vec<Field<'_>>) -> Result<Vec<(Bytes, Bytes)>, BadValue> {
    let pair = |field: Field<'_>| {
        Ok((
            bytes("header's name", field.name, field.name_base64)?,
            bytes("header's value", field.value, field.value_base64)?,
        ))
    };
    fields.into_iter().map(pair).collect()
}

fn body(message: &RecordedMessage) -> Body<'_> {
    let whole = whole(&message.body);
    let length = (message.body_length != whole.len() as u64).then_some(message.body_length);
    match text_of(whole) {
        Ok(text) => (Some(text).filter(|text| !text.is_empty()), None, length),
        Err(base64) => (None, Some(base64.into()), length),
    }
}

fn message(
    headers: Vec<Field<'_>>,
    (body, base64, length): Body<'_>,
    trailers: Vec<Field<'_>>,
    truncated: Text<'_>,
) -> Result<RecordedMessage, BadValue> {
    let body = bytes("body", body, base64)?;
    Ok(RecordedMessage {
        headers: pairs(headers)?,
        body_length: length.unwrap_or(body.len() as u64),
        body: pieces(body),
        trailers: pairs(trailers)?,
        truncated: owned(truncated),
    })
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn owned(text: Text<'_>) -> Option<String> {
    text.map(Cow::into_owned)
}
