//! The fields of an exchange that conditions name.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::Facts;
use super::pattern::Kind;
use crate::http1::Headers;

/// What of an exchange is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The request's method.
    Method,
    /// The host asked for, without the port.
    Host,
    /// The request's target as sent: the path with the query, of an absolute target all of it.
    Target,
    /// The target's path as sent, without the query.
    Path,
    /// All of the query as sent, or the values of one parameter, decoded.
    Query(Option<String>),
    /// The values of a request header of this name, one a line.
    Header(String),
    /// The values of a cookie of this name.
    Cookie(String),
    /// The user and the password of `Authorization: Basic` (RFC 7617 §2), decoded, with the colon between them.
    BasicAuth,
    /// The media type of the request's body, without parameters.
    ContentType,
    /// The length of the request's body, in bytes.
    RequestSize,
    /// The way in: `proxy`, `capture`, `replay`.
    Source,
    /// The response's status.
    Status,
    /// From the request's first byte to the response's head, in microseconds.
    Latency,
    /// The length of the response's body, in bytes.
    ResponseSize,
    /// The media type of the response's body, without parameters.
    ResponseType,
    /// The values of a response header of this name, one a line.
    ResponseHeader(String),
}

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Texts(Kind),
    Statuses,
    Times,
    Sizes,
}

impl Field {
    pub(crate) fn values(&self) -> Values {
        match self {
            Field::Path => Values::Texts(Kind::Path),
            Field::Host | Field::ContentType | Field::ResponseType => Values::Texts(Kind::AnyCase),
            Field::Method
            | Field::Target
            | Field::Query(_)
            | Field::Header(_)
            | Field::Cookie(_)
            | Field::BasicAuth
            | Field::Source
            | Field::ResponseHeader(_) => Values::Texts(Kind::Text),
            Field::Status => Values::Statuses,
            Field::Latency => Values::Times,
            Field::RequestSize | Field::ResponseSize => Values::Sizes,
        }
    }

    pub(super) fn needs_response(&self) -> bool {
        matches!(
            self,
            Field::Status | Field::Latency | Field::ResponseSize | Field::ResponseType | Field::ResponseHeader(_)
        )
    }

    /// Whether one of the field's values passes the test; none while the response is not there.
    pub(super) fn texts(&self, facts: &Facts<'_>, test: impl Fn(&[u8]) -> bool) -> Option<bool> {
        Some(match self {
            Field::Method => test(facts.method),
            Field::Host => facts.host().is_some_and(test),
            Field::Target => test(facts.target),
            Field::Path => test(facts.path()),
            Field::Query(None) => facts.query().is_some_and(test),
            Field::Query(Some(name)) => {
                let pairs = form_urlencoded::parse(facts.query().unwrap_or_default());
                pairs.into_iter().any(|(key, value)| key == name.as_str() && test(value.as_bytes()))
            }
            Field::Header(name) => facts.headers.get_all(name).any(|value| test(value)),
            Field::Cookie(name) => cookies(facts.headers).any(|(key, value)| key == name.as_bytes() && test(value)),
            Field::BasicAuth => facts.headers.get_all("authorization").filter_map(basic).any(|value| test(&value)),
            Field::ContentType => media_type(facts.headers).is_some_and(test),
            Field::Source => test(facts.source.as_bytes()),
            Field::ResponseType => facts.response?.headers.and_then(media_type).is_some_and(test),
            Field::ResponseHeader(name) => {
                facts.response?.headers.is_some_and(|headers| headers.get_all(name).any(|value| test(value)))
            }
            // Of numbers only their presence is asked for.
            Field::Status | Field::Latency | Field::RequestSize | Field::ResponseSize => {
                self.number(facts)?.is_some_and(|_| test(b""))
            }
        })
    }

    /// The first value that the request has of a field that is its own text; none of any other.
    pub(crate) fn first<'a>(&self, facts: &Facts<'a>) -> Option<Cow<'a, [u8]>> {
        Some(Cow::Borrowed(match self {
            Field::Method => facts.method,
            Field::Target => facts.target,
            Field::Host => facts.host()?,
            Field::Path => facts.path(),
            Field::Source => facts.source.as_bytes(),
            Field::Query(None) => facts.query()?,
            Field::Query(Some(name)) => {
                let mut pairs = form_urlencoded::parse(facts.query()?);
                let (_, value) = pairs.find(|(key, _)| key == name.as_str())?;
                return Some(Cow::Owned(value.into_owned().into_bytes()));
            }
            Field::Header(name) => facts.headers.get(name)?,
            Field::Cookie(name) => cookies(facts.headers).find(|(key, _)| *key == name.as_bytes())?.1,
            _ => return None,
        }))
    }

    /// The field's number, where it has one; none while the response is not there.
    pub(super) fn number(&self, facts: &Facts<'_>) -> Option<Option<u64>> {
        Some(match self {
            Field::Status => facts.response?.status.map(u64::from),
            Field::Latency => facts.response?.latency.map(|latency| latency.as_micros() as u64),
            Field::ResponseSize => Some(facts.response?.size?),
            Field::RequestSize => facts.request_size,
            _ => None,
        })
    }
}

/// The cookies of a request (RFC 6265 §4.2.1, as servers read them: quotes belong to the value).
pub(crate) fn cookies(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all("cookie").flat_map(|line| line.split(|&b| b == b';')).filter_map(|pair| {
        let at = pair.iter().position(|&b| b == b'=')?;
        Some((pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()))
    })
}

/// What credentials of the scheme Basic (RFC 7617 §2) say.
fn basic(credentials: &Bytes) -> Option<Vec<u8>> {
    let at = credentials.iter().position(|&b| b == b' ')?;
    let (scheme, encoded) = credentials.split_at(at);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    STANDARD.decode(encoded.trim_ascii()).ok()
}

/// The media type of a message (RFC 9110 §8.3), without parameters.
pub(crate) fn media_type(headers: &Headers) -> Option<&[u8]> {
    let value: &Bytes = headers.get("content-type")?;
    let end = value.iter().position(|&b| b == b';').unwrap_or(value.len());
    Some(value[..end].trim_ascii())
}

/// The names of fields in expressions and in YAML's maps; those of the second list are followed by `.` and a name there.
pub(super) const PLAIN: [(&str, Field); 13] = [
    ("method", Field::Method),
    ("host", Field::Host),
    ("target", Field::Target),
    ("path", Field::Path),
    ("query", Field::Query(None)),
    ("basic_auth", Field::BasicAuth),
    ("content_type", Field::ContentType),
    ("request_size", Field::RequestSize),
    ("source", Field::Source),
    ("status", Field::Status),
    ("latency", Field::Latency),
    ("response_size", Field::ResponseSize),
    ("response_type", Field::ResponseType),
];

type Named = fn(String) -> Field;

pub(super) const NAMED: [(&str, Named); 4] = [
    ("query", |name| Field::Query(Some(name))),
    ("header", Field::Header),
    ("cookie", Field::Cookie),
    ("response_header", Field::ResponseHeader),
];

impl std::str::FromStr for Field {
    type Err = ();

    fn from_str(text: &str) -> Result<Field, ()> {
        if let Some((_, field)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(field.clone());
        }
        let (kind, name) = text.split_once('.').ok_or(())?;
        let (_, named) = NAMED.iter().find(|(known, _)| *known == kind).ok_or(())?;
        if name.is_empty() { Err(()) } else { Ok(named(name.to_owned())) }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Field::Query(Some(name)) => write!(f, "query.{name}"),
            Field::Header(name) => write!(f, "header.{name}"),
            Field::Cookie(name) => write!(f, "cookie.{name}"),
            Field::ResponseHeader(name) => write!(f, "response_header.{name}"),
            plain => f.write_str(PLAIN.iter().find(|(_, field)| field == plain).map_or("", |(name, _)| name)),
        }
    }
}
