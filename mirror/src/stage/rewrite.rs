//! Changes requests, and responses, on their way to what is behind.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use regex::bytes::Regex;

use crate::collected::Collected;
use crate::condition::{Condition, target_parts};
use crate::config::{BodyEdits, HostEdit, PathEdit, RewriteConfig};
use crate::content::form::{self, Pair};
use crate::exchange::Exchange;
use crate::http1::{Framing, RequestHead, request_framing};
use crate::outcome::DropReason;
use crate::stage::{Bodies, Need, NewBody, Stage, Verdict, is_quick};
use crate::template::Template;

mod body;
mod edit;
mod response;
#[cfg(test)]
mod tests;

use edit::Editor;
use response::ResponseEditor;

/// Headers that say where a message ends, or are of one hop: changed by hand they would make another message of it.
pub(crate) const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Rewrites the request as configured, in the order: method, target, path, query, host, headers, cookies, body; and the response when it comes.
pub struct Rewrite(Arc<Inner>);

struct Inner {
    when: Option<Condition>,
    path: Option<NewPath>,
    response: Option<Arc<ResponseEditor>>,
    config: RewriteConfig,
}

/// What becomes of the path.
enum NewPath {
    /// Another beginning, neither with a slash at its end.
    Prefix(Vec<u8>, Vec<u8>),
    /// Another text where the expression is found.
    Found(Regex, Vec<u8>),
    /// Another path.
    Whole(Template),
}

impl Rewrite {
    /// As configured.
    pub fn new(config: &RewriteConfig) -> Rewrite {
        let when = config.when.as_ref().map(|when| when.condition());
        Rewrite(Arc::new(Inner {
            when,
            path: config.path.as_ref().map(NewPath::new),
            response: ResponseEditor::new(&config.response).map(Arc::new),
            config: config.clone(),
        }))
    }
}

impl Stage for Rewrite {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        let inner = &self.0;
        match inner.when.as_ref().map_or(Some(true), |when| when.holds(&exchange.facts())) {
            Some(true) => {}
            Some(false) => return Verdict::Continue,
            None => return Verdict::Wait(Need::Response),
        }
        let body = match inner.body_edits(exchange) {
            None => None,
            Some((_, bound)) => match exchange.body(bound) {
                Some(body) => Some(body),
                None => return Verdict::Wait(Need::Body),
            },
        };
        let Some(body) = body else {
            let new = NewHead::of(inner, exchange);
            // In its place, where nobody else has the head: so before the fan-out.
            new.into(Arc::make_mut(&mut exchange.request));
            return inner.pass(exchange);
        };
        if body.length().is_none_or(|length| is_quick(&exchange.request.headers, length)) {
            let edited = inner.edit(exchange, &body);
            return inner.put(exchange, edited);
        }
        let (inner, seen) = (inner.clone(), exchange.copy(None, None));
        Verdict::Wait(Need::Work(Box::pin(async move {
            let editing = inner.clone();
            let edited = tokio::task::spawn_blocking(move || editing.edit(&seen, &body)).await;
            Box::new(move |exchange: &mut Exchange| match edited {
                Ok(edited) => inner.put(exchange, edited),
                // There is no thread any more: the program ends.
                Err(_) => Verdict::Drop(DropReason::Shutdown),
            }) as Box<_>
        })))
    }

    fn needs_response(&self) -> bool {
        self.0.when.as_ref().is_some_and(Condition::needs_response)
    }

    fn needs_bodies(&self) -> Bodies {
        let bound = |edits: &Option<Box<BodyEdits>>| edits.as_ref().map(|edits| edits.max_body.0.bytes());
        let config = &self.0.config;
        Bodies { request: bound(&config.body), response: bound(&config.response.body), unread: false }
    }
}

impl Inner {
    /// The request with another head and body, filled in from it as it came to this stage.
    fn edit(&self, seen: &Exchange, body: &Collected) -> (RequestHead, NewBody) {
        let mut head = (*seen.request).clone();
        NewHead::of(self, seen).into(&mut head);
        let body = match self.body_edits(seen) {
            Some((edits, _)) => edits.edit(&mut head.headers, body, seen),
            None => NewBody::Same,
        };
        (head, body)
    }

    fn put(&self, exchange: &mut Exchange, (head, body): (RequestHead, NewBody)) -> Verdict {
        exchange.request = Arc::new(head);
        match body {
            NewBody::Other(bytes) => exchange.replace_body(bytes),
            NewBody::Withheld => exchange.withhold_body(),
            NewBody::Same => {}
        }
        self.pass(exchange)
    }

    fn pass(&self, exchange: &mut Exchange) -> Verdict {
        if let Some(response) = &self.response {
            exchange.change_responses(response.clone());
        }
        Verdict::Continue
    }

    /// How the request's body is to change, and the most that is collected of it; none where it has no body or not one of that kind.
    fn body_edits(&self, exchange: &Exchange) -> Option<(&BodyEdits, u64)> {
        let edits = self.config.body.as_deref()?;
        let has_body = !matches!(request_framing(&exchange.request), Ok(Framing::None));
        Some((edits, edits.bound(&exchange.request.headers).filter(|_| has_body)?))
    }

    /// The new target; none where it stays as it is.
    fn target(&self, seen: &Exchange) -> Option<Bytes> {
        let old = &seen.request.target;
        match self.config.target.iter().find(|edit| edit.found.regex().is_match(old)) {
            Some(edit) => Some(target(&edit.found.regex().replace_all(old, edit.with.as_bytes()))),
            // One that has edits of the whole has none of its parts.
            None => (self.path.is_some() || !self.config.query.is_empty()).then(|| self.of_parts(seen)),
        }
    }

    /// The target, with another path and query. What stands before them stays.
    fn of_parts(&self, seen: &Exchange) -> Bytes {
        let facts = seen.facts();
        let (whole, path, query) = (facts.target, facts.path(), facts.query());
        let before = &whole[..whole.len() - path.len() - query.map_or(0, |query| query.len() + 1)];
        let mut target = Vec::with_capacity(2 * whole.len());
        target.extend_from_slice(before);
        match &self.path {
            Some(new) => extend_printable(&mut target, &new.of(path, seen)),
            None => target.extend_from_slice(path),
        }
        if self.config.query.is_empty() {
            target.extend_from_slice(&whole[before.len() + path.len()..]);
        } else {
            let query = query.map_or_else(Bytes::new, |query| seen.request.target.slice_ref(query));
            let mut pairs = form::read(&query);
            Editor::new(&self.config.query, seen).edit(&mut pairs);
            if !pairs.is_empty() {
                target.push(b'?');
                target.extend(form::write(&pairs));
            }
        }
        // Neither an edit nor an empty template makes a start line of two words.
        if target.is_empty() { Bytes::from_static(b"/") } else { target.into() }
    }
}

/// What comes into a request's head, filled in from the request as it was.
struct NewHead<'a> {
    method: Option<Bytes>,
    target: Option<Bytes>,
    host: Option<Bytes>,
    headers: Option<Editor<'a>>,
    cookies: Option<Editor<'a>>,
}

impl<'a> NewHead<'a> {
    fn of(stage: &'a Inner, seen: &Exchange) -> NewHead<'a> {
        let config = &stage.config;
        let (headers, cookies) = (Some(&config.header), Some(&config.cookie));
        NewHead {
            method: config.method.as_ref().map(|method| Bytes::copy_from_slice(method.as_str().as_bytes())),
            target: stage.target(seen),
            host: config.host.as_ref().and_then(|edit| host(edit, seen)).map(value),
            headers: headers.filter(|edits| !edits.is_empty()).map(|edits| Editor::of_headers(edits, seen)),
            cookies: cookies.filter(|edits| !edits.is_empty()).map(|edits| Editor::new(edits, seen)),
        }
    }

    fn into(self, head: &mut RequestHead) {
        if let Some(method) = self.method {
            head.method = method;
        }
        if let Some(target) = self.target {
            head.target = target;
        }
        if let Some(host) = self.host {
            head.target = without_authority(head);
            head.headers.set("Host", host);
        }
        if let Some(edits) = self.headers {
            edits.edit(head.headers.lines_mut());
        }
        if let Some(edits) = self.cookies {
            cookies(&edits, head);
        }
    }
}

impl NewPath {
    fn new(edit: &PathEdit) -> NewPath {
        let trimmed = |path: &str| path.trim_end_matches('/').as_bytes().to_vec();
        match (&edit.prefix, &edit.found) {
            (Some(prefix), _) => NewPath::Prefix(trimmed(prefix), trimmed(&edit.with)),
            (None, Some(found)) => NewPath::Found(found.regex().clone(), edit.with.clone().into_bytes()),
            // A text that is no template was refused with the settings.
            (None, None) => NewPath::Whole(edit.with.parse().unwrap_or_default()),
        }
    }

    fn of<'p>(&self, path: &'p [u8], seen: &Exchange) -> Cow<'p, [u8]> {
        let new = match self {
            NewPath::Prefix(old, new) => match path.strip_prefix(&old[..]) {
                Some(rest) if rest.is_empty() || rest[0] == b'/' => [new, rest].concat(),
                _ => return path.into(),
            },
            NewPath::Found(found, with) => found.replace_all(path, &with[..]).into_owned(),
            NewPath::Whole(template) => template.fill(seen).to_vec(),
        };
        // A path begins with a slash (RFC 9112 §3.2.1); `*` and CONNECT's authority have none and are left as they were.
        match (path.first(), new.first()) {
            (Some(b'/') | None, Some(b'/')) => new.into(),
            (Some(b'/') | None, _) => [b"/".as_slice(), &new].concat().into(),
            _ => path.into(),
        }
    }
}

/// The new host; none where it stays as it is.
fn host(edit: &HostEdit, seen: &Exchange) -> Option<Bytes> {
    match edit {
        HostEdit::Whole(template) => Some(template.fill(seen)),
        HostEdit::Found(edit) => {
            let (found, host) = (edit.found.regex(), seen.request.headers.get("host")?);
            found.is_match(host).then(|| found.replace_all(host, edit.with.as_bytes()).into_owned().into())
        }
    }
}

/// What was made of a target as one that ends nothing (white space, controls and `#` are percent-encoded) and begins as one does (RFC 9112 §3.2).
fn target(new: &[u8]) -> Bytes {
    let begins = new.first() == Some(&b'/') || new == b"*" || new.windows(3).any(|three| three == b"://");
    let mut target = if begins { Vec::new() } else { vec![b'/'] };
    for &b in new {
        match b {
            0..=b' ' | 0x7f | b'#' => target.extend_from_slice(format!("%{b:02X}").as_bytes()),
            b => target.push(b),
        }
    }
    target.into()
}

/// An absolute target without what another host would contradict.
fn without_authority(head: &RequestHead) -> Bytes {
    match target_parts(&head.method, &head.target) {
        (Some(_), rest) if rest.first() == Some(&b'/') => head.target.slice_ref(rest),
        (Some(_), rest) if head.method != "CONNECT" => [b"/", rest].concat().into(),
        _ => head.target.clone(),
    }
}

/// All cookies are edited as one list, and are one line afterwards (RFC 6265 §5.4).
fn cookies(edits: &Editor<'_>, head: &mut RequestHead) {
    let sent = crate::condition::cookies(&head.headers);
    let own = Bytes::copy_from_slice;
    let mut edited: Vec<Pair> = sent.map(|(name, value)| Pair::new(own(name), own(value))).collect();
    edits.edit(&mut edited);
    let plain =
        |bytes: &[u8]| bytes.iter().copied().filter(|b| !matches!(b, b';' | b'\r' | b'\n' | 0)).collect::<Vec<u8>>();
    let pairs: Vec<Vec<u8>> =
        edited.iter().map(|pair| [&plain(&pair.name)[..], b"=", &plain(&pair.value)].concat()).collect();
    match pairs.is_empty() {
        true => head.headers.remove("cookie"),
        false => head.headers.set("Cookie", pairs.join(&b"; "[..])),
    }
}

/// What was filled in cannot end a line: a decoded parameter may have line ends in it.
fn value(bytes: Bytes) -> Bytes {
    match bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        true => {
            bytes.iter().map(|b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { *b }).collect::<Vec<u8>>().into()
        }
        false => bytes,
    }
}

/// Adds a path, of which nothing ends the target: white space, controls, `?` and `#` are percent-encoded.
fn extend_printable(target: &mut Vec<u8>, path: &[u8]) {
    for &b in path {
        match b {
            0..=b' ' | 0x7f | b'?' | b'#' => target.extend_from_slice(format!("%{b:02X}").as_bytes()),
            b => target.push(b),
        }
    }
}
