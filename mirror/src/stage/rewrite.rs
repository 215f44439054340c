//! Changes requests' heads on their way to what is behind.

use std::sync::Arc;

use bytes::Bytes;
use form_urlencoded::byte_serialize;

use crate::condition::Condition;
use crate::config::{PathEdit, RewriteConfig};
use crate::exchange::Exchange;
use crate::http1::{Header, Headers, RequestHead};
use crate::stage::{Stage, Verdict};

mod edit;
#[cfg(test)]
mod tests;

use edit::{Editor, Entry};

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

/// Rewrites the request's head as configured, in the order: method, path, query, host, headers, cookies.
pub struct Rewrite {
    when: Option<Condition>,
    config: RewriteConfig,
}

impl Rewrite {
    /// As configured.
    pub fn new(config: &RewriteConfig) -> Rewrite {
        Rewrite { when: config.when.as_ref().map(|when| when.condition()), config: config.clone() }
    }
}

impl Stage for Rewrite {
    fn apply(&self, exchange: &mut Exchange) -> Verdict {
        match self.when.as_ref().map_or(Some(true), |when| when.holds(&exchange.facts())) {
            Some(true) => {}
            Some(false) => return Verdict::Continue,
            None => return Verdict::Wait,
        }
        let mut head = (*exchange.request).clone();
        let (config, seen) = (&self.config, &*exchange);
        if let Some(method) = &config.method {
            head.method = Bytes::copy_from_slice(method.as_str().as_bytes());
        }
        if config.path.is_some() || !config.query.is_empty() {
            head.target = target(config, seen);
        }
        if let Some(host) = &config.host {
            let host = value(host.fill(seen));
            head.target = without_authority(&head.target);
            set(&mut head, "Host", host);
        }
        if !config.header.is_empty() {
            head.headers = headers(config, seen, head.headers);
        }
        if !config.cookie.is_empty() {
            cookies(config, seen, &mut head);
        }
        exchange.request = Arc::new(head);
        Verdict::Continue
    }

    fn needs_response(&self) -> bool {
        self.when.as_ref().is_some_and(Condition::needs_response)
    }
}

/// The target, with another path and query. What stands before them stays.
fn target(config: &RewriteConfig, seen: &Exchange) -> Bytes {
    let facts = seen.facts();
    let (whole, path, query) = (facts.target, facts.path(), facts.query());
    let before = &whole[..whole.len() - path.len() - query.map_or(0, |query| query.len() + 1)];
    let mut target = before.to_vec();
    match &config.path {
        Some(edit) => target.extend(printable(&new_path(edit, seen, path))),
        None => target.extend_from_slice(path),
    }
    let pairs = query.unwrap_or_default().split(|&b| b == b'&').filter(|pair| !pair.is_empty());
    let entries = pairs.map(|pair| {
        let (name, value) = form_urlencoded::parse(pair).next().unwrap_or_default();
        Entry::sent(name.into_owned(), value.into_owned(), Bytes::copy_from_slice(pair))
    });
    let encode = |entry: &Entry| -> Vec<u8> {
        let serialize = |bytes: &[u8]| byte_serialize(bytes).collect::<String>();
        format!("{}={}", serialize(&entry.name), serialize(&entry.value)).into_bytes()
    };
    let entries = Editor { edits: &config.query, any_case: false, fixed: &[] }.edit(entries.collect(), seen);
    for (i, entry) in entries.iter().enumerate() {
        target.push(if i == 0 { b'?' } else { b'&' });
        target.extend(entry.sent.as_ref().map_or_else(|| encode(entry), |sent| sent.to_vec()));
    }
    // Neither an edit nor an empty template makes a start line of two words.
    if target.is_empty() { Bytes::from_static(b"/") } else { target.into() }
}

fn new_path(edit: &PathEdit, seen: &Exchange, path: &[u8]) -> Vec<u8> {
    let new = match (&edit.prefix, &edit.found) {
        (Some(prefix), _) => {
            let prefix = prefix.trim_end_matches('/').as_bytes();
            match path.strip_prefix(prefix) {
                Some(rest) if rest.is_empty() || rest[0] == b'/' => {
                    [edit.with.trim_end_matches('/').as_bytes(), rest].concat()
                }
                _ => return path.to_vec(),
            }
        }
        (None, Some(found)) => found.regex().replace_all(path, edit.with.as_bytes()).into_owned(),
        (None, None) => match edit.with.parse::<crate::template::Template>() {
            Ok(template) => template.fill(seen).to_vec(),
            Err(_) => edit.with.clone().into_bytes(),
        },
    };
    // A path begins with a slash (RFC 9112 §3.2.1); `*` and CONNECT's authority have none and are left as they were.
    match (path.first(), new.first()) {
        (Some(b'/') | None, Some(b'/')) => new,
        (Some(b'/') | None, _) => [b"/".as_slice(), &new].concat(),
        _ => path.to_vec(),
    }
}

/// An absolute target without what another host would contradict.
fn without_authority(target: &Bytes) -> Bytes {
    let Some(at) = target.windows(3).position(|three| three == b"://").filter(|_| target[0] != b'/') else {
        return target.clone();
    };
    let rest = &target[at + 3..];
    match rest.iter().position(|b| matches!(b, b'/' | b'?')) {
        Some(path) if rest[path] == b'/' => target.slice_ref(&rest[path..]),
        Some(query) => [b"/", &rest[query..]].concat().into(),
        None => Bytes::from_static(b"/"),
    }
}

fn headers(config: &RewriteConfig, seen: &Exchange, headers: Headers) -> Headers {
    let entries = headers.iter().map(|Header { name, value }| Entry::new(name.clone(), value.clone())).collect();
    let edited = Editor { edits: &config.header, any_case: true, fixed: &FRAMING }.edit(entries, seen);
    edited.into_iter().map(|entry| Header { name: entry.name, value: value(entry.value) }).collect()
}

/// All cookies are edited as one list, and are one line afterwards (RFC 6265 §5.4).
fn cookies(config: &RewriteConfig, seen: &Exchange, head: &mut RequestHead) {
    let sent = crate::condition::cookies(&head.headers);
    let own = Bytes::copy_from_slice;
    let entries = sent.map(|(name, value)| Entry::new(own(name), own(value))).collect();
    let edited = Editor { edits: &config.cookie, any_case: false, fixed: &[] }.edit(entries, seen);
    let plain =
        |bytes: &[u8]| bytes.iter().copied().filter(|b| !matches!(b, b';' | b'\r' | b'\n' | 0)).collect::<Vec<u8>>();
    let pairs: Vec<Vec<u8>> =
        edited.iter().map(|entry| [&plain(&entry.name)[..], b"=", &plain(&entry.value)].concat()).collect();
    match pairs.is_empty() {
        true => remove(head, "cookie"),
        false => set(head, "Cookie", pairs.join(&b"; "[..]).into()),
    }
}

/// One line of this name, where the first was.
fn set(head: &mut RequestHead, name: &'static str, value: Bytes) {
    let at = head.headers.iter().position(|line| line.name.eq_ignore_ascii_case(name.as_bytes()));
    let spelled = at.and_then(|at| head.headers.iter().nth(at)).map(|line| line.name.clone());
    let line = Header { name: spelled.unwrap_or(Bytes::from_static(name.as_bytes())), value };
    remove(head, name);
    let mut lines: Vec<Header> = head.headers.iter().cloned().collect();
    lines.insert(at.unwrap_or(lines.len()).min(lines.len()), line);
    head.headers = lines.into_iter().collect();
}

fn remove(head: &mut RequestHead, name: &str) {
    let others = head.headers.iter().filter(|line| !line.name.eq_ignore_ascii_case(name.as_bytes()));
    head.headers = others.cloned().collect();
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

/// A path in which nothing ends the target: white space, controls, `?` and `#` are percent-encoded.
fn printable(path: &[u8]) -> Vec<u8> {
    let mut printable = Vec::with_capacity(path.len());
    for &b in path {
        match b {
            0..=b' ' | 0x7f | b'?' | b'#' => printable.extend_from_slice(format!("%{b:02X}").as_bytes()),
            b => printable.push(b),
        }
    }
    printable
}
