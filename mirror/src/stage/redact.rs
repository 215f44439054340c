//! Hides what is secret of an exchange from all that is behind this stage.
//!
//! ```text
//!   request ── head ─────────────────────▶ Rules::request ──┐
//!      └────── body, as a whole ─────────▶ Rules::body ─────┼─▶ what is behind
//!   response ─ head, body ─┐                                │
//!   answers ── head, body ─┴─▶ Responses ─▶ the same rules ─┘
//! ```
//!
//! What it cannot look into it withholds: a body too long, cut off, of an unknown coding or character set, or JSON that cannot be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;

use crate::budget::Charge;
use crate::collected::Collected;
use crate::config::{Encoding, JsonRule, Preset, RedactConfig};
use crate::content::json::Pointer;
use crate::content::remove_digests;
use crate::exchange::Exchange;
use crate::http1::{Framing, Headers, RequestHead, request_framing};
use crate::outcome::Withheld;
use crate::stage::{Bodies, BoxFuture, Need, Stage, Verdict, is_quick};
use crate::telemetry::{RedactMetrics, Telemetry};

mod body;
mod card;
mod head;
mod kind;
mod names;
mod patterns;
mod response;
mod substitute;
mod tally;
#[cfg(test)]
mod tests;
mod url;

use body::Content;
use names::Names;
use patterns::Patterns;
use response::Responses;
use substitute::Substitute;
pub(crate) use substitute::read_key;
use tally::Tally;

/// The headers of the preset `credentials`.
const CREDENTIAL_HEADERS: [&str; 5] = ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key"];

/// Its parameters: what OpenTelemetry names for `url.query`, and what AWS's Signature Version 4 puts there.
const CREDENTIAL_PARAMETERS: [&str; 7] = [
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
];

/// Redacts as configured.
pub struct Redact(Arc<Rules>);

/// What is secret, and what becomes of it.
struct Rules {
    header: Names,
    cookie: Names,
    query: Names,
    form: Names,
    pointers: Vec<Pointer>,
    keys: Names,
    patterns: Patterns,
    /// Whether users and passwords in URLs are secret.
    userinfo: bool,
    substitute: Substitute,
    max_body: u64,
    encoding: Encoding,
    metrics: RedactMetrics,
}

impl Redact {
    /// As configured.
    ///
    /// # Errors
    /// When the key of hashes cannot be read, or the system has no randomness for one.
    pub fn new(config: &RedactConfig, telemetry: &Telemetry) -> std::io::Result<Redact> {
        let credentials = config.preset == Some(Preset::Credentials);
        let json_rules = || config.json.iter().flat_map(|rules| rules.iter());
        let preset = |names: &'static [&'static str]| if credentials { names } else { &[] };
        Ok(Redact(Arc::new(Rules {
            header: Names::new(config.header.iter().flat_map(|names| names.iter()), preset(&CREDENTIAL_HEADERS)),
            cookie: Names::new(config.cookie.iter().flat_map(|names| names.iter()), &[]),
            query: Names::new(config.query.iter().flat_map(|names| names.iter()), preset(&CREDENTIAL_PARAMETERS)),
            form: Names::new(config.form.iter().flat_map(|names| names.iter()), &[]),
            pointers: json_rules().filter_map(JsonRule::pointer).cloned().collect(),
            keys: Names::new(json_rules().filter_map(JsonRule::key), &[]),
            patterns: Patterns::new(config.pattern.iter().flat_map(|patterns| patterns.iter())),
            userinfo: credentials,
            substitute: Substitute::new(&config.replacement)?,
            max_body: config.max_body.0.bytes(),
            encoding: config.encoding,
            metrics: telemetry.redaction(),
        })))
    }
}

impl Stage for Redact {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        let rules = &self.0;
        let body = match rules.bound(&exchange.request.headers) {
            Some(0) => Collected::TooLong,
            Some(bound) if may_have_body(&exchange.request) => match exchange.body(bound) {
                Some(body) => body,
                None => return Verdict::Wait(Need::Body),
            },
            _ => Collected::Whole { bytes: Bytes::new(), trailers: None },
        };
        let partial = is_partial(None, &exchange.request.headers);
        match rules.look(&exchange.request.headers, partial, body, exchange.charge()) {
            Look::Done(looked) => rules.redact(exchange, looked),
            Look::Working(work) => {
                let rules = rules.clone();
                return Verdict::Wait(Need::Work(Box::pin(async move {
                    let looked = work.await;
                    let done: Box<dyn FnOnce(&mut Exchange) -> Verdict + Send> = Box::new(move |exchange| {
                        rules.redact(exchange, looked);
                        Verdict::Continue
                    });
                    done
                })));
            }
        }
        Verdict::Continue
    }

    fn needs_bodies(&self) -> Bodies {
        let bound = self.0.looks_into_bodies().then_some(self.0.max_body);
        Bodies { request: bound, response: bound, unread: false }
    }

    fn redact_path(&self, path: &mut String) {
        if let Some(new) = self.0.target(path.as_bytes(), &mut Tally::default()) {
            *path = String::from_utf8_lossy(&new).into_owned();
        }
    }
}

/// What became of a body that was looked into, and how much was redacted in it.
type Looked = (Result<Option<Content>, Withheld>, Tally);

/// A look into a body.
enum Look {
    Done(Looked),
    Working(BoxFuture<'static, Looked>),
}

impl Rules {
    /// The most bytes that are to be collected of a body with these headers, where bodies are looked into at all; one that says that it is longer
    /// need not be.
    fn bound(self: &Arc<Self>, headers: &Headers) -> Option<u64> {
        let length = headers.get("content-length").and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
        let too_long = length.is_some_and(|length: u64| length > self.max_body);
        self.looks_into_bodies().then_some(if too_long { 0 } else { self.max_body })
    }

    /// Looks into a body, a long one on a thread of its own.
    fn look(self: &Arc<Self>, headers: &Headers, partial: bool, body: Collected, charge: &Charge) -> Look {
        let failed = |reason| Look::Done((Err(reason), Tally::default()));
        let bytes = match body {
            Collected::Whole { bytes, .. } if bytes.is_empty() => return Look::Done((Ok(None), Tally::default())),
            Collected::Whole { .. } if partial => return failed(Withheld::Partial),
            Collected::Whole { bytes, .. } => bytes,
            Collected::TooLong => return failed(Withheld::TooLong),
            Collected::Cut => return failed(Withheld::Cut),
        };
        let Some(charge) = charge.another(0) else { return failed(Withheld::Memory) };
        let at_once = is_quick(headers, bytes.len());
        let (rules, headers) = (self.clone(), headers.clone());
        let work = move || {
            let mut tally = Tally::default();
            let looked = rules.body(&headers, &bytes, &|n| charge.another(n), &mut tally);
            (looked, tally)
        };
        if at_once {
            return Look::Done(work());
        }
        Look::Working(Box::pin(async move {
            // Where there is no thread any more the program ends.
            tokio::task::spawn_blocking(work).await.unwrap_or((Err(Withheld::Memory), Tally::default()))
        }))
    }

    /// The request, its body having been looked into.
    fn redact(self: &Arc<Self>, exchange: &mut Exchange, (looked, mut tally): Looked) {
        let mut head = (*exchange.request).clone();
        mend(&mut head.headers, &looked);
        self.request(&mut head, &mut tally);
        exchange.request = Arc::new(head);
        tally.add_to(&self.metrics);
        match looked {
            Ok(None) => {}
            Ok(Some(content)) => exchange.replace_body(content.bytes),
            Err(reason) => {
                self.metrics.withheld.inc(reason as usize);
                exchange.withhold_body();
            }
        }
        let (rules, counted) = (self.clone(), AtomicBool::new(false));
        exchange.change_trailers(Arc::new(move |section| rules.counted_trailers(&section, &counted)));
        exchange.change_responses(Arc::new(Responses::new(self.clone())));
    }

    /// Trailers, which each sink reads for itself: what is redacted of them counts once.
    fn counted_trailers(&self, section: &Bytes, counted: &AtomicBool) -> Option<Bytes> {
        let mut tally = Tally::default();
        let new = self.trailers(section, &mut tally);
        if !counted.swap(true, Relaxed) {
            tally.add_to(&self.metrics);
        }
        new
    }
}

/// Takes out of a head what was said of a body that is another now, or that nobody gets to see: its digests, of which a secret that can be
/// guessed can be told. Many servers' ETag is one too.
fn mend(headers: &mut Headers, looked: &Result<Option<Content>, Withheld>) {
    if matches!(looked, Ok(None)) {
        return;
    }
    remove_digests(headers);
    headers.remove("etag");
    headers.remove("x-amz-content-sha256");
    if matches!(looked, Ok(Some(Content { decoded: true, .. }))) {
        headers.remove("content-encoding");
    }
}

/// Whether a message has only a part of what it is about (RFC 9110 §14.4; RFC 3229), which may begin and end within a secret.
fn is_partial(status: Option<u16>, headers: &Headers) -> bool {
    matches!(status, Some(206 | 226)) || headers.get("content-range").is_some()
}

/// Whether the request has a body, or may have one where its head is not clear.
fn may_have_body(head: &RequestHead) -> bool {
    head.odd || request_framing(head) != Ok(Framing::None)
}
