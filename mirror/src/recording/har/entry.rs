//! Records to entries.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::decoded::{Decoded, decoded};
use super::shown::{Cookie, Pair, cookies, first, query, set_cookies, shown, url};
use super::{MAX_ENTRY, need};
use crate::recording::json::{self, Answer, Text, micros};
use crate::recording::plain::{Refused, Room};
use crate::recording::{Record, RecordedMessage, RecordedRequest, RecordedResponse, time};

/// Appends a record as an entry.
pub(in crate::recording) fn encode(record: &Record, into: &mut Vec<u8>, room: &mut Room<'_>) -> Result<(), Refused> {
    encode_within(MAX_ENTRY, record, into, room)
}

/// The same where an entry may have so many bytes.
pub(super) fn encode_within(
    most: usize,
    record: &Record,
    into: &mut Vec<u8>,
    room: &mut Room<'_>,
) -> Result<(), Refused> {
    let decoded = match &record.response {
        Some(response) => decoded(&response.message, room)?,
        None => None,
    };
    let need = need::of_record(record, decoded.as_ref());
    json::put(|| Entry::of(record, decoded), need, most, into, room)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    started_date_time: String,
    time: f64,
    request: Request<'a>,
    response: Response<'a>,
    cache: Empty,
    timings: Timings,
    #[serde(rename = "serverIPAddress", skip_serializing_if = "Option::is_none")]
    server_ip_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(rename = "_mirror")]
    mirror: ExchangeExtra<'a>,
}

#[derive(Serialize)]
struct Empty {}

/// In milliseconds.
#[derive(Serialize)]
struct Timings {
    send: f64,
    wait: f64,
    receive: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    method: Cow<'a, str>,
    url: String,
    http_version: Cow<'a, str>,
    cookies: Vec<Cookie<'a>>,
    headers: Vec<Line<'a>>,
    query_string: Vec<Pair<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData<'a>>,
    headers_size: i64,
    body_size: u64,
    #[serde(rename = "_mirror", skip_serializing_if = "MessageExtra::is_empty")]
    mirror: MessageExtra<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    status: u16,
    status_text: Cow<'a, str>,
    http_version: Cow<'a, str>,
    cookies: Vec<Cookie<'a>>,
    headers: Vec<Line<'a>>,
    content: Content<'a>,
    #[serde(rename = "redirectURL")]
    redirect_url: Cow<'a, str>,
    headers_size: i64,
    body_size: i64,
    #[serde(rename = "_mirror", skip_serializing_if = "MessageExtra::is_empty")]
    mirror: MessageExtra<'a>,
}

/// A header line.
#[derive(Serialize)]
struct Line<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    #[serde(rename = "_name_base64", skip_serializing_if = "Option::is_none")]
    name_base64: Text<'a>,
    #[serde(rename = "_value_base64", skip_serializing_if = "Option::is_none")]
    value_base64: Text<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostData<'a> {
    mime_type: Cow<'a, str>,
    text: Cow<'a, str>,
    /// HAR has a name for it in responses alone.
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<i64>,
    mime_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

/// What HAR has no field for, of an entry.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExchangeExtra<'a> {
    #[serde(default)]
    pub(super) id: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start_micros: Option<i64>,
    #[serde(default)]
    pub(super) source: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<std::net::SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<std::net::SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) aborted: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request_end_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) response_start_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) answers: Vec<Answer<'a>>,
}

/// The same of a request or a response.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct MessageExtra<'a> {
    /// There is a response, though its status is 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_response: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) method_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body_base64: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body_length: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) trailers: Vec<json::Field<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) truncated: Text<'a>,
}

impl MessageExtra<'_> {
    fn is_empty(&self) -> bool {
        let text = [&self.method_base64, &self.target, &self.target_base64, &self.version_base64, &self.reason_base64];
        !self.is_response
            && text.iter().all(|text| text.is_none())
            && self.body_base64.is_none()
            && self.body_length.is_none()
            && self.trailers.is_empty()
            && self.truncated.is_none()
    }

    fn of(message: &RecordedMessage) -> MessageExtra<'_> {
        let length = message.body.iter().map(Bytes::len).sum::<usize>() as u64;
        MessageExtra {
            body_length: (message.body_length != length).then_some(message.body_length),
            trailers: json::fields(&message.trailers),
            truncated: message.truncated.as_deref().map(Cow::from),
            ..MessageExtra::default()
        }
    }
}

impl<'a> Entry<'a> {
    fn of(record: &'a Record, decoded: Option<Decoded>) -> Entry<'a> {
        let start = time::rfc3339(record.started);
        let start_micros = start.is_none().then(|| time::micros_since_epoch(record.started));
        let timings = Timings::of(record);
        Entry {
            // The epoch stands for a time that has no such form.
            started_date_time: start.unwrap_or_else(|| "1970-01-01T00:00:00.000000Z".to_owned()),
            time: timings.send + timings.wait + timings.receive,
            request: Request::of(record),
            response: match &record.response {
                Some(response) => Response::of(response, decoded),
                None => Response::none(),
            },
            cache: Empty {},
            timings,
            server_ip_address: record.server.map(|server| server.ip().to_string()),
            connection: record.client.map(|client| client.to_string()),
            mirror: ExchangeExtra {
                id: Some(format!("{:032x}", record.id).into()),
                start_micros,
                source: Some((&*record.source).into()),
                client: record.client,
                server: record.server,
                aborted: record.aborted.as_deref().map(Cow::from),
                request_end_micros: record.request_end.map(micros),
                response_start_micros: record.response_start.map(micros),
                end_micros: record.end.map(micros),
                answers: record.answers.iter().map(Answer::of).collect(),
            },
        }
    }
}

impl Timings {
    /// What is not known takes no time.
    fn of(record: &Record) -> Timings {
        let milliseconds = |duration: Duration| micros(duration) as f64 / 1000.0;
        let sent = record.request_end.unwrap_or_default();
        let began = record.response_start.unwrap_or(sent).max(sent);
        let ended = record.end.unwrap_or(began).max(began);
        Timings { send: milliseconds(sent), wait: milliseconds(began - sent), receive: milliseconds(ended - began) }
    }
}

impl<'a> Request<'a> {
    fn of(record: &'a Record) -> Request<'a> {
        let request @ RecordedRequest { method, target, version, message } = &record.request;
        let url = url(record);
        let (method, method_base64) = shown(method);
        let (version, version_base64) = shown(version);
        let body = json::whole(&message.body);
        let mut extra = MessageExtra { method_base64, version_base64, ..MessageExtra::of(message) };
        if super::foreign::target_of(&url).as_bytes() != &target[..] {
            (extra.target, extra.target_base64) = json::text(target);
        }
        Request {
            method,
            http_version: version,
            cookies: cookies(message),
            headers: lines(message),
            query_string: query(request),
            post_data: (!body.is_empty()).then(|| {
                let (text, encoding) = text_of(body);
                PostData { mime_type: first(message, "content-type"), text, encoding }
            }),
            headers_size: -1,
            body_size: message.body_length,
            mirror: extra,
            url,
        }
    }
}

impl<'a> Response<'a> {
    fn of(response: &'a RecordedResponse, decoded: Option<Decoded>) -> Response<'a> {
        let message = &response.message;
        let (version, version_base64) = shown(&response.version);
        let (reason, reason_base64) = shown(&response.reason);
        let mut extra = MessageExtra { version_base64, reason_base64, ..MessageExtra::of(message) };
        extra.is_response = response.status == 0;
        let content = match decoded {
            Some(Decoded { sent, decoded }) => {
                extra.body_base64 = Some(json::base64(&sent).into());
                let compression = decoded.len() as i64 - sent.len() as i64;
                Content::of(Cow::Owned(decoded.into()), Some(compression), message)
            }
            None => Content::of(json::whole(&message.body), None, message),
        };
        Response {
            status: response.status,
            status_text: reason,
            http_version: version,
            cookies: set_cookies(message),
            headers: lines(message),
            content,
            redirect_url: first(message, "location"),
            headers_size: -1,
            body_size: i64::try_from(message.body_length).unwrap_or(i64::MAX),
            mirror: extra,
        }
    }

    /// As browsers have it where there was none.
    fn none() -> Response<'a> {
        Response {
            status: 0,
            status_text: "".into(),
            http_version: "".into(),
            cookies: Vec::new(),
            headers: Vec::new(),
            content: Content { size: 0, compression: None, mime_type: "x-unknown".into(), text: None, encoding: None },
            redirect_url: "".into(),
            headers_size: -1,
            body_size: -1,
            mirror: MessageExtra::default(),
        }
    }
}

impl<'a> Content<'a> {
    fn of(body: Cow<'a, [u8]>, compression: Option<i64>, message: &'a RecordedMessage) -> Content<'a> {
        let size = body.len() as u64;
        let (text, encoding) = text_of(body);
        let mime_type = first(message, "content-type");
        Content { size, compression, mime_type, text: Some(text).filter(|text| !text.is_empty()), encoding }
    }
}

/// A body as text, and how that is encoded.
fn text_of(body: Cow<'_, [u8]>) -> (Cow<'_, str>, Option<&'static str>) {
    match json::text_of(body) {
        Ok(text) => (text, None),
        Err(base64) => (base64.into(), Some("base64")),
    }
}

fn lines(message: &RecordedMessage) -> Vec<Line<'_>> {
    message.headers.iter().map(|(name, value)| Line::of(name, value)).collect()
}

impl<'a> Line<'a> {
    fn of(name: &'a Bytes, value: &'a Bytes) -> Line<'a> {
        let ((name, name_base64), (value, value_base64)) = (shown(name), shown(value));
        Line { name, value, name_base64, value_base64 }
    }
}
