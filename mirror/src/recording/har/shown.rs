//! What HAR shows of a message beside its lines, for people and tools: the URL, the query, cookies. A reader of ours takes none of it but the URL.

use std::borrow::Cow;

use serde::Serialize;

use crate::recording::json::{self, Text};
use crate::recording::{Record, RecordedMessage, RecordedRequest};

#[derive(Serialize)]
pub(super) struct Pair<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cookie<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secure: Option<bool>,
}

/// Bytes for people; and exactly, where they are not UTF-8.
pub(super) fn shown(bytes: &[u8]) -> (Cow<'_, str>, Text<'_>) {
    match json::text(bytes) {
        (Some(text), exact) => (text, exact),
        (None, exact) => (bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into(), exact),
    }
}

/// The first value with this name, for people; empty where there is none.
pub(super) fn first<'a>(message: &'a RecordedMessage, wanted: &str) -> Cow<'a, str> {
    values(message, wanted).next().unwrap_or_default()
}

fn values<'a>(message: &'a RecordedMessage, wanted: &str) -> impl Iterator<Item = Cow<'a, str>> {
    let found = message.headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
    found.map(|(_, value)| shown(value).0)
}

/// Where the request was sent: the Host header's word for it, else the server's address.
pub(super) fn url(record: &Record) -> String {
    let RecordedRequest { target, message, .. } = &record.request;
    let target = shown(target).0;
    if target.starts_with("http://") || target.starts_with("https://") {
        return target.into_owned();
    }
    let host = match (first(message, "host"), record.server) {
        (host, None) if host.is_empty() => "unknown".into(),
        (host, Some(server)) if host.is_empty() => server.to_string().into(),
        (host, _) => host,
    };
    // The asterisk form and a CONNECT's have no path.
    let path = if target.starts_with('/') { &target } else { "/" };
    format!("http://{host}{path}")
}

pub(super) fn query(request: &RecordedRequest) -> Vec<Pair<'_>> {
    let query = request.target.iter().position(|&byte| byte == b'?').map(|at| &request.target[at + 1..]);
    form_urlencoded::parse(query.unwrap_or_default()).map(|(name, value)| Pair { name, value }).collect()
}

/// RFC 6265 §4.2.
pub(super) fn cookies(message: &RecordedMessage) -> Vec<Cookie<'_>> {
    let pairs = |line: Cow<'_, str>| {
        let pair = |pair: &str| cookie(pair).filter(|cookie| !cookie.name.is_empty());
        line.split(';').filter_map(pair).collect::<Vec<Cookie<'static>>>()
    };
    values(message, "cookie").flat_map(pairs).collect()
}

/// RFC 6265 §4.1. Its Expires is not a time as HAR has them, and is in the header.
pub(super) fn set_cookies(message: &RecordedMessage) -> Vec<Cookie<'_>> {
    let read = |line: Cow<'_, str>| {
        let mut parts = line.split(';');
        let mut read = cookie(parts.next()?)?;
        for part in parts {
            let (name, value) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
            match &name.to_ascii_lowercase()[..] {
                "path" => read.path = Some(value.to_owned().into()),
                "domain" => read.domain = Some(value.to_owned().into()),
                "httponly" => read.http_only = Some(true),
                "secure" => read.secure = Some(true),
                _ => {}
            }
        }
        Some(read)
    };
    values(message, "set-cookie").filter_map(read).collect()
}

fn cookie(pair: &str) -> Option<Cookie<'static>> {
    let (name, value) = pair.split_once('=')?;
    Some(Cookie { name: name.trim().to_owned().into(), value: value.trim().to_owned().into(), ..Cookie::default() })
}
