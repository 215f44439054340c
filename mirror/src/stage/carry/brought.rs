//! Values in requests.

use std::sync::Arc;

use bytes::Bytes;

use crate::condition::cookies;
use crate::config::Brought;
use crate::content::form::{self, Pair};
use crate::http1::RequestHead;

/// Tells each value that the request has there.
pub(super) fn each(head: &RequestHead, at: &Brought, mut tell: impl FnMut(&[u8])) {
    match at {
        Brought::Cookie(name) => {
            cookies(&head.headers).filter(|(key, _)| key == &name.as_bytes()).for_each(|(_, value)| tell(value));
        }
        Brought::Header(name) => {
            for value in head.headers.get_all(name) {
                tell(value);
                tell(behind_scheme(value));
            }
        }
        Brought::Query(name) => {
            let (_, query) = parts(&head.target);
            form::read(&query).iter().filter(|pair| pair.name == *name.as_bytes()).for_each(|pair| tell(&pair.value));
        }
    }
}

/// Puts in other values, and tells whether there was one.
pub(super) fn replace(head: &mut Arc<RequestHead>, at: &Brought, new: impl Fn(&[u8]) -> Option<Bytes>) -> bool {
    let mut replaced = false;
    match at {
        Brought::Cookie(name) => {
            let of = |line: &Bytes| in_cookies(line, name, &new);
            replaced = lines(head, "cookie", of);
        }
        Brought::Header(name) => {
            let of = |value: &Bytes| {
                let token = behind_scheme(value);
                let (before, new) = match (new(value), new(token)) {
                    (Some(new), _) => (&[][..], new),
                    (None, new) => (&value[..value.len() - token.len()], new?),
                };
                Some([before, &new].concat().into())
            };
            replaced = lines(head, name, of);
        }
        Brought::Query(name) => {
            let (before, query) = parts(&head.target);
            let mut pairs = form::read(&query);
            for pair in pairs.iter_mut().filter(|pair| pair.name == *name.as_bytes()) {
                if let Some(value) = new(&pair.value) {
                    *pair = Pair::new(pair.name.clone(), value);
                    replaced = true;
                }
            }
            if replaced {
                let target = [&before[..], b"?", &form::write(&pairs)].concat().into();
                Arc::make_mut(head).target = target;
            }
        }
    }
    replaced
}

/// Replaces values of a header, those that `of` has another for.
fn lines(head: &mut Arc<RequestHead>, name: &str, of: impl Fn(&Bytes) -> Option<Bytes>) -> bool {
    let is_named = |line: &[u8]| line.eq_ignore_ascii_case(name.as_bytes());
    let news: Vec<(usize, Bytes)> = head
        .headers
        .iter()
        .enumerate()
        .filter(|(_, line)| is_named(&line.name))
        .filter_map(|(at, line)| Some((at, of(&line.value)?)))
        .collect();
    if news.is_empty() {
        return false;
    }
    let lines = Arc::make_mut(head).headers.lines_mut();
    news.into_iter().for_each(|(at, value)| lines[at].value = value);
    true
}

/// A line of cookies with another value for one of them; all else stays as it was sent.
fn in_cookies(line: &Bytes, name: &str, new: impl Fn(&[u8]) -> Option<Bytes>) -> Option<Bytes> {
    let (mut changed, mut pairs) = (false, Vec::new());
    for pair in line.split(|&b| b == b';') {
        let at = pair.iter().position(|&b| b == b'=').filter(|&at| pair[..at].trim_ascii() == name.as_bytes());
        match at.and_then(|at| Some((at, new(pair[at + 1..].trim_ascii())?))) {
            Some((at, value)) => {
                pairs.push([&pair[..=at], &value].concat());
                changed = true;
            }
            None => pairs.push(pair.to_vec()),
        }
    }
    changed.then(|| pairs.join(&b';').into())
}

/// Of `Bearer TOKEN` the token (RFC 9110 §11.4).
fn behind_scheme(value: &[u8]) -> &[u8] {
    value.rsplit(|&b| b == b' ').next().unwrap_or(value)
}

/// The target before its query, and the query.
fn parts(target: &Bytes) -> (Bytes, Bytes) {
    match target.iter().position(|&b| b == b'?') {
        Some(at) => (target.slice(..at), target.slice(at + 1..)),
        None => (target.clone(), Bytes::new()),
    }
}
