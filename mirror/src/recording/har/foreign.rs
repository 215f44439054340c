//! Entries to records: ours as they were, those of browsers and other programs as something that can be sent.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde::Deserialize;

use super::entry::{ExchangeExtra, MessageExtra};
use crate::recording::json::{self, Answer, BadValue, Text};
use crate::recording::{Record, RecordedMessage, RecordedRequest, RecordedResponse, time};

/// An entry with what is read of it. Anything may be missing or null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    started_date_time: Text<'a>,
    request: Request<'a>,
    response: Option<Response<'a>>,
    timings: Option<Timings>,
    #[serde(rename = "serverIPAddress")]
    server_ip_address: Text<'a>,
    #[serde(rename = "_mirror")]
    mirror: Option<ExchangeExtra<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    method: Text<'a>,
    url: Text<'a>,
    http_version: Text<'a>,
    #[serde(default)]
    headers: Option<Vec<Line<'a>>>,
    post_data: Option<PostData<'a>>,
    #[serde(rename = "_mirror")]
    mirror: Option<MessageExtra<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    status: Option<i64>,
    status_text: Text<'a>,
    http_version: Text<'a>,
    headers: Option<Vec<Line<'a>>>,
    content: Option<Content<'a>>,
    /// Chrome's word for what went wrong.
    #[serde(rename = "_error")]
    error: Text<'a>,
    #[serde(rename = "_mirror")]
    mirror: Option<MessageExtra<'a>>,
}

#[derive(Deserialize)]
struct Line<'a> {
    name: Text<'a>,
    value: Text<'a>,
    #[serde(rename = "_name_base64")]
    name_base64: Text<'a>,
    #[serde(rename = "_value_base64")]
    value_base64: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData<'a> {
    mime_type: Text<'a>,
    text: Text<'a>,
    #[serde(alias = "_encoding")]
    encoding: Text<'a>,
    params: Option<Vec<Param<'a>>>,
}

#[derive(Deserialize)]
struct Param<'a> {
    name: Text<'a>,
    value: Text<'a>,
}

#[derive(Deserialize)]
struct Content<'a> {
    size: Option<f64>,
    text: Text<'a>,
    encoding: Text<'a>,
}

/// In milliseconds; -1 where it does not apply.
#[derive(Deserialize)]
struct Timings {
    blocked: Option<f64>,
    dns: Option<f64>,
    connect: Option<f64>,
    send: Option<f64>,
    wait: Option<f64>,
    receive: Option<f64>,
}

impl Entry<'_> {
    /// The record; `number` is the entry's in its file.
    pub(super) fn into_record(mut self, number: u64) -> Result<Record, BadValue> {
        match self.mirror.take() {
            Some(mirror) => self.ours(mirror),
            None => self.foreign(number),
        }
    }

    fn start(&self) -> Result<std::time::SystemTime, BadValue> {
        let bad = BadValue { key: "startedDateTime", expected: "a time as ISO 8601 has it" };
        self.started_date_time.as_deref().map_or(Ok(UNIX_EPOCH), |text| time::from_rfc3339(text).ok_or(bad))
    }

    fn ours(self, mirror: ExchangeExtra<'_>) -> Result<Record, BadValue> {
        let bad = BadValue { key: "start_micros", expected: "a time" };
        Ok(Record {
            id: json::id(mirror.id.as_deref())?,
            started: match mirror.start_micros {
                Some(micros) => time::at_micros(micros).ok_or(bad)?,
                None => self.start()?,
            },
            source: json::owned(mirror.source).unwrap_or_default(),
            client: mirror.client,
            server: mirror.server,
            request: self.request.ours()?,
            response: self.response.map_or(Ok(None), Response::ours)?,
            aborted: json::owned(mirror.aborted),
            request_end: mirror.request_end_micros.map(Duration::from_micros),
            response_start: mirror.response_start_micros.map(Duration::from_micros),
            end: mirror.end_micros.map(Duration::from_micros),
            answers: mirror.answers.into_iter().map(Answer::into_recorded).collect::<Result<_, _>>()?,
        })
    }

    fn foreign(self, number: u64) -> Result<Record, BadValue> {
        let started = self.start()?;
        let authority = authority_of(self.request.url.as_deref().unwrap_or_default()).to_owned();
        let is_tls = self.request.url.as_deref().is_some_and(|url| url.starts_with("https:"));
        let ip = self.server_ip_address.as_deref().and_then(|ip| ip.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let server = ip.map(|ip| SocketAddr::from((ip, port.unwrap_or(if is_tls { 443 } else { 80 }))));
        let error = self.response.as_ref().and_then(|response| response.error.as_deref()).map(str::to_owned);
        let response = self.response.map_or(Ok(None), Response::foreign)?;
        let timings = self.timings.as_ref();
        let sum = |parts: &[fn(&Timings) -> Option<f64>]| {
            let known: Vec<f64> = parts.iter().filter_map(|part| part(timings?).filter(|part| *part >= 0.0)).collect();
            (!known.is_empty()).then(|| Duration::from_micros((known.iter().sum::<f64>() * 1000.0).round() as u64))
        };
        let request_end = sum(&[|t| t.blocked, |t| t.dns, |t| t.connect, |t| t.send]);
        let wait = sum(&[|t| t.wait]).filter(|_| response.is_some());
        let receive = sum(&[|t| t.receive]).filter(|_| response.is_some());
        let response_start = wait.map(|wait| request_end.unwrap_or_default().saturating_add(wait));
        Ok(Record {
            // Of its place and time, as it has none.
            id: (time::micros_since_epoch(started) as u64 as u128) << 64 | u128::from(number),
            started,
            source: "har".to_owned(),
            client: None,
            server,
            request: self.request.foreign(&authority)?,
            aborted: error.filter(|error| !error.is_empty() && response.is_none()),
            response,
            request_end,
            response_start,
            end: response_start.map(|start| start.saturating_add(receive.unwrap_or_default())),
            answers: Vec::new(),
        })
    }
}

impl Request<'_> {
    fn ours(self) -> Result<RecordedRequest, BadValue> {
        let extra = self.mirror.unwrap_or_default();
        let target = match (extra.target, extra.target_base64) {
            (None, None) => target_of(self.url.as_deref().unwrap_or_default()).into_owned().into(),
            (text, base64) => json::bytes("target", text, base64)?,
        };
        let body = self.post_data.map_or(Ok(Bytes::new()), |data| body("postData.text", data.text, data.encoding))?;
        let extra = MessageExtra { target: None, target_base64: None, ..extra };
        Ok(RecordedRequest {
            method: json::bytes("method", self.method, extra.method_base64)?,
            target,
            version: json::bytes("httpVersion", self.http_version, extra.version_base64)?,
            message: message(self.headers, body, extra.body_length, extra.trailers, extra.truncated)?,
        })
    }

    fn foreign(self, authority: &str) -> Result<RecordedRequest, BadValue> {
        let mut message = message(self.headers, Bytes::new(), None, Vec::new(), None)?;
        let pseudo = message.headers.iter().find(|(name, _)| &name[..] == b":authority");
        let authority = pseudo.map_or_else(|| authority.to_owned().into(), |(_, authority)| authority.clone());
        message.headers.retain(|(name, _)| !name.starts_with(b":"));
        let has = |message: &RecordedMessage, wanted: &[u8]| {
            message.headers.iter().position(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        if has(&message, b"host").is_none() && !authority.is_empty() {
            message.headers.insert(0, (Bytes::from_static(b"Host"), authority));
        }
        let length = has(&message, b"content-length");
        let said = length.and_then(|at| std::str::from_utf8(&message.headers[at].1).ok()?.trim().parse::<u64>().ok());
        match self.post_data.map_or(Ok(None), PostData::body)? {
            Some(body) => {
                message.body_length = body.len() as u64;
                let value = Bytes::from(body.len().to_string());
                match length {
                    Some(at) => message.headers[at].1 = value,
                    None if !body.is_empty() && has(&message, b"transfer-encoding").is_none() => {
                        message.headers.push((Bytes::from_static(b"Content-Length"), value));
                    }
                    None => {}
                }
                message.body = json::pieces(body);
            }
            None => {
                message.body_length = said.unwrap_or(0);
                message.truncated = (message.body_length > 0).then(|| "har".to_owned());
            }
        }
        Ok(RecordedRequest {
            method: self.method.map_or_else(|| Bytes::from_static(b"GET"), |method| method.into_owned().into()),
            target: target_of(self.url.as_deref().unwrap_or_default()).into_owned().into(),
            version: version(self.http_version),
            message,
        })
    }
}

impl Response<'_> {
    fn ours(self) -> Result<Option<RecordedResponse>, BadValue> {
        let extra = self.mirror.unwrap_or_default();
        let status = self.status.unwrap_or(0);
        if status == 0 && !extra.is_response {
            return Ok(None);
        }
        let body = match (extra.body_base64, self.content) {
            (Some(base64), _) => json::from_base64("body", &base64)?,
            (None, Some(content)) => body("content.text", content.text, content.encoding)?,
            (None, None) => Bytes::new(),
        };
        Ok(Some(RecordedResponse {
            status: self::status(status)?,
            reason: json::bytes("statusText", self.status_text, extra.reason_base64)?,
            version: json::bytes("httpVersion", self.http_version, extra.version_base64)?,
            message: message(self.headers, body, extra.body_length, extra.trailers, extra.truncated)?,
        }))
    }

    fn foreign(self) -> Result<Option<RecordedResponse>, BadValue> {
        let status = self.status.unwrap_or(0);
        if status <= 0 {
            return Ok(None);
        }
        let size = self.content.as_ref().and_then(|content| content.size).filter(|size| *size > 0.0);
        let text = self.content.map(|content| (content.text, content.encoding)).filter(|(text, _)| text.is_some());
        let missing = size.filter(|_| text.is_none()).map(|size| size as u64);
        let body = text.map_or(Ok(Bytes::new()), |(text, encoding)| body("content.text", text, encoding))?;
        let truncated = missing.map(|_| "har".into());
        let mut message = message(self.headers, body, missing, Vec::new(), truncated)?;
        message.headers.retain(|(name, _)| !name.starts_with(b":"));
        Ok(Some(RecordedResponse {
            status: self::status(status)?,
            reason: self.status_text.map(|text| text.into_owned().into()).unwrap_or_default(),
            version: version(self.http_version),
            message,
        }))
    }
}

impl PostData<'_> {
    /// The body; none where it was not saved.
    fn body(self) -> Result<Option<Bytes>, BadValue> {
        let params = self.params.unwrap_or_default();
        match self.text {
            Some(text) if !text.is_empty() || params.is_empty() => {
                body("postData.text", Some(text), self.encoding).map(Some)
            }
            // Of a multipart form nobody knows the boundaries any more.
            _ if self.mime_type.is_some_and(|kind| kind.starts_with("multipart/")) => Ok(None),
            _ => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for param in &params {
                    form.append_pair(
                        param.name.as_deref().unwrap_or_default(),
                        param.value.as_deref().unwrap_or_default(),
                    );
                }
                Ok(Some(form.finish().into()))
            }
        }
    }
}

fn status(status: i64) -> Result<u16, BadValue> {
    u16::try_from(status).map_err(|_| BadValue { key: "status", expected: "a status code" })
}

/// HTTP/2's and others' messages are told in HTTP/1's terms.
fn version(told: Text<'_>) -> Bytes {
    let told = told.map(|told| told.to_ascii_uppercase()).filter(|told| told.starts_with("HTTP/1."));
    told.unwrap_or_else(|| "HTTP/1.1".to_owned()).into()
}

fn body(key: &'static str, text: Text<'_>, encoding: Text<'_>) -> Result<Bytes, BadValue> {
    match encoding {
        Some(encoding) if encoding.eq_ignore_ascii_case("base64") => {
            json::from_base64(key, text.as_deref().unwrap_or_default())
        }
        _ => json::bytes(key, text, None),
    }
}

fn message(
    headers: Option<Vec<Line<'_>>>,
    body: Bytes,
    length: Option<u64>,
    trailers: Vec<json::Field<'_>>,
    truncated: Text<'_>,
) -> Result<RecordedMessage, BadValue> {
    let line = |line: Line<'_>| {
        let name = json::bytes("header's name", line.name, line.name_base64)?;
        Ok((name, json::bytes("header's value", line.value, line.value_base64)?))
    };
    Ok(RecordedMessage {
        headers: headers.unwrap_or_default().into_iter().map(line).collect::<Result<_, _>>()?,
        body_length: length.unwrap_or(body.len() as u64),
        body: json::pieces(body),
        trailers: json::pairs(trailers)?,
        truncated: json::owned(truncated),
    })
}

/// What is behind the scheme.
fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

fn authority_of(url: &str) -> &str {
    let rest = without_scheme(url);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The target in origin form that a URL says.
pub(super) fn target_of(url: &str) -> std::borrow::Cow<'_, str> {
    let rest = without_scheme(url);
    let rest = &rest[..rest.find('#').unwrap_or(rest.len())];
    match rest.find(['/', '?']).map(|at| &rest[at..]) {
        None => "/".into(),
        Some(target) if target.starts_with('?') => format!("/{target}").into(),
        Some(target) => target.into(),
    }
}
