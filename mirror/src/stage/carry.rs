//! Has a target's own cookies and tokens come back to it: a session that was begun with the application goes on with the target.
//!
//! ```text
//!   application ─ Set-Cookie: s=OLD ─┐
//!                                    ├─▶ table: OLD is NEW ─┐
//!   target ────── Set-Cookie: s=NEW ─┘                      ▼
//!   client ────── Cookie: s=OLD ──────────────▶ Cookie: s=NEW ──▶ target
//! ```
//!
//! Nothing is known of sessions: a value is what the target answered where the application answered another. So it does not matter which
//! connection brings it, or how many. A request with a value whose exchange has been answered by the application and not yet by the target waits
//! for that, within `wait`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::collected::Collected;
use crate::condition::media_type;
use crate::config::{Carried, CarryConfig, HandedOut};
use crate::content::{Codings, json};
use crate::exchange::{Exchange, Response};
use crate::http1::{Headers, ResponseHead};
use crate::stage::{Bodies, BoxFuture, Need, NewBody, ResponseChange, Stage, Verdict, is_quick};
use crate::telemetry::{Counter, Telemetry};

mod brought;
mod table;
#[cfg(test)]
mod tests;

use table::{Found, Table};

/// A longer value is not carried: what is handed out is compared and remembered, and no cookie may be longer (RFC 6265 §6.1).
const MAX_VALUE: usize = 4096;

/// Carries as configured, for one target.
pub struct Carry(Arc<Inner>);

struct Inner {
    values: Vec<Carried>,
    wait: Duration,
    max_body: u64,
    table: Mutex<Table>,
    carried: Counter,
    late: Counter,
}

/// What one message hands out: by the value's number among those configured.
type Values = SmallVec<[(usize, Bytes); 2]>;

impl Carry {
    /// As configured, for a sink of this name.
    pub fn new(config: &CarryConfig, sink: &str, telemetry: &Telemetry) -> Carry {
        let counter = |name: &str, help: &str| telemetry.counter(name, help, ("sink", sink));
        let forgotten =
            counter("mirror_carry_forgotten_total", "Values forgotten, as there were more than carry.most.");
        Carry(Arc::new(Inner {
            values: config.values.iter().cloned().collect(),
            wait: config.wait.0,
            max_body: config.max_body.bytes(),
            table: Mutex::new(Table::new(config.most.get(), forgotten)),
            carried: counter("mirror_carry_values_total", "Values of requests replaced by what the target handed out."),
            late: counter(
                "mirror_carry_late_total",
                "Requests sent as they were, as the target had not answered within carry.wait.",
            ),
        }))
    }
}

impl Stage for Carry {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        let inner = self.0.clone();
        let due = inner.due(exchange);
        if due.is_empty() {
            return inner.pass(exchange);
        }
        Verdict::Wait(Need::Work(Box::pin(async move {
            let all = async {
                for mut answered in due {
                    // It is dropped with its exchange, whatever became of that.
                    let _ = answered.wait_for(|answered| *answered).await;
                }
            };
            if timeout(inner.wait, all).await.is_err() {
                inner.late.inc();
            }
            Box::new(move |exchange: &mut Exchange| inner.pass(exchange)) as Box<_>
        })))
    }

    fn needs_bodies(&self) -> Bodies {
        Bodies { request: None, response: Some(self.0.max_body), unread: true }
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers that this request has to wait for.
    fn due(&self, exchange: &Exchange) -> Vec<watch::Receiver<bool>> {
        let (mut due, table) = (Vec::new(), self.table());
        for (rule, value) in self.values.iter().enumerate() {
            brought::each(&exchange.request, &value.to, |brought| {
                if let Some(Found::Due(answered)) = table.find(rule, brought) {
                    due.push(answered.clone());
                }
            });
        }
        due
    }

    /// Puts in what is known, and looks at what will be answered.
    fn pass(self: &Arc<Self>, exchange: &mut Exchange) -> Verdict {
        for (rule, value) in self.values.iter().enumerate() {
            let new = |brought: &[u8]| match self.table().find(rule, brought) {
                Some(Found::New(new)) => Some(new.clone()),
                _ => None,
            };
            if brought::replace(&mut exchange.request, &value.to, new) {
                self.carried.inc();
            }
        }
        exchange.change_responses(Arc::new(Answered::new(self.clone())));
        Verdict::Continue
    }

    /// What a head hands out.
    fn of_head(&self, headers: &Headers) -> Values {
        let of = |from: &HandedOut| match from {
            HandedOut::Cookie(name) => headers.get_all("set-cookie").filter_map(|line| set_cookie(line, name)).last(),
            HandedOut::Header(name) => headers.get(name).cloned(),
            HandedOut::Json(_) => None,
        };
        self.each(of)
    }

    /// What a body hands out. A long one is looked into on a thread of its own.
    async fn of_body(self: &Arc<Self>, headers: &Headers, body: Collected) -> Values {
        if body.length().is_none_or(|length| is_quick(headers, length)) {
            return self.read_body(headers, &body);
        }
        let (inner, headers) = (self.clone(), headers.clone());
        // Where there is no thread any more the program ends.
        tokio::task::spawn_blocking(move || inner.read_body(&headers, &body)).await.unwrap_or_default()
    }

    fn read_body(&self, headers: &Headers, body: &Collected) -> Values {
        let Collected::Whole { bytes, .. } = body else { return Values::new() };
        let decoded = Codings::of(headers).ok().and_then(|codings| codings.decode(bytes, self.max_body).ok());
        let Some(mut document) = decoded.and_then(|text| json::read(&text).ok()) else { return Values::new() };
        self.each(|from| match from {
            HandedOut::Json(pointer) => match pointer.find(&mut document)? {
                serde_json::Value::String(text) => Some(text.clone().into()),
                serde_json::Value::Number(number) => Some(number.to_string().into()),
                _ => None,
            },
            _ => None,
        })
    }

    fn each(&self, mut of: impl FnMut(&HandedOut) -> Option<Bytes>) -> Values {
        let values = self.values.iter().enumerate().filter_map(|(rule, value)| Some((rule, of(&value.from)?)));
        values.filter(|(_, value)| (1..=MAX_VALUE).contains(&value.len())).collect()
    }

    /// Whether there may be something in the body.
    fn looks_into(&self, headers: &Headers) -> bool {
        let is_json = |kind: &[u8]| kind.eq_ignore_ascii_case(b"application/json") || kind.ends_with(b"+json");
        self.values.iter().any(|value| matches!(value.from, HandedOut::Json(_)))
            && media_type(headers).is_some_and(is_json)
    }
}

/// The value that a `Set-Cookie` line gives a cookie of this name (RFC 6265 §5.2).
fn set_cookie(line: &Bytes, name: &str) -> Option<Bytes> {
    let pair = line.split(|&b| b == b';').next()?;
    let at = pair.iter().position(|&b| b == b'=')?;
    (pair[..at].trim_ascii() == name.as_bytes()).then(|| line.slice_ref(pair[at + 1..].trim_ascii()))
}

/// What is answered to one exchange: by the application, and by the target, whichever comes first.
struct Answered {
    inner: Arc<Inner>,
    halves: Mutex<Halves>,
    /// Told once the target has answered and what it handed out can be found.
    told: watch::Sender<bool>,
}

#[derive(Default)]
struct Halves {
    old: Values,
    /// None before the target has answered.
    new: Option<Values>,
    head_seen: bool,
}

impl Answered {
    fn new(inner: Arc<Inner>) -> Answered {
        Answered { inner, halves: Mutex::default(), told: watch::Sender::new(false) }
    }

    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application has handed these out.
    fn old(&self, values: Values) {
        let mut halves = self.halves();
        let mut table = self.inner.table();
        for (rule, old) in values {
            match &halves.new {
                None => table.expect(rule, &old, self.told.subscribe()),
                Some(new) => meet(&mut table, rule, &old, new),
            }
            halves.old.push((rule, old));
        }
    }

    /// The target has handed these out, in all.
    fn new_values(&self, values: Values) {
        let mut halves = self.halves();
        let mut table = self.inner.table();
        halves.old.iter().for_each(|(rule, old)| meet(&mut table, *rule, old, &values));
        halves.new = Some(values);
        drop(table);
        self.told.send_replace(true);
    }
}

/// What the target handed out where the application handed out `old`.
fn meet(table: &mut Table, rule: usize, old: &Bytes, new: &Values) {
    match new.iter().find(|(of, _)| *of == rule) {
        Some((_, new)) => table.insert(rule, old, new.clone()),
        None => table.remove_due(rule, old),
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        let halves = self.halves();
        if halves.new.is_none() {
            let mut table = self.inner.table();
            halves.old.iter().for_each(|(rule, old)| table.remove_due(*rule, old));
        }
    }
}

impl ResponseChange for Answered {
    fn head(&self, _: &Exchange, head: &mut ResponseHead) {
        if !std::mem::replace(&mut self.halves().head_seen, true) {
            self.old(self.inner.of_head(&head.headers));
        }
    }

    fn body_bound(&self, head: &ResponseHead) -> Option<u64> {
        self.inner.looks_into(&head.headers).then_some(self.inner.max_body)
    }

    fn body<'a>(&'a self, _: &'a Exchange, head: &'a mut ResponseHead, body: Collected) -> BoxFuture<'a, NewBody> {
        Box::pin(async move {
            self.old(self.inner.of_body(&head.headers, body).await);
            NewBody::Same
        })
    }

    fn answer<'a>(&'a self, of: &'a Exchange, answer: &'a mut Response) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let headers = &answer.head.headers;
            let mut values = self.inner.of_head(headers);
            if self.inner.looks_into(headers) {
                let body = answer.collected(self.inner.max_body, of.charge());
                values.extend(self.inner.of_body(headers, body).await);
            }
            self.new_values(values);
        })
    }
}
