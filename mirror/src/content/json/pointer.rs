//! JSON pointers (RFC 6901).

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::config::Expected;

/// The most segments of a pointer. What is created on the way to one is so deep, below a document that could be read; its writer recurses.
pub const MAX_SEGMENTS: usize = 64;

/// A place in a document: `/user/name`, `/items/0`; empty it is the whole document. `~0` stands for `~`, `~1` for `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer {
    segments: Vec<String>,
}

impl Pointer {
    /// Puts a value there. Objects that are missing on the way, or null, are made, and an array for `-`; `-` and the index behind the last append to an
    /// array. Tells whether it could be put: not where a text, a number or a boolean is in the way, or an array has no such index.
    pub fn set(&self, document: &mut Value, new: Value) -> bool {
        let mut at = document;
        for segment in &self.segments {
            if at.is_null() {
                *at = if segment == "-" { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
            }
            at = match at {
                Value::Object(members) => members.entry(segment.as_str()).or_insert(Value::Null),
                Value::Array(elements) => {
                    let index = if segment == "-" { Some(elements.len()) } else { index(segment) };
                    match index {
                        Some(index) if index == elements.len() => elements.push(Value::Null),
                        Some(index) if index < elements.len() => {}
                        _ => return false,
                    }
                    let Some(element) = index.and_then(|index| elements.get_mut(index)) else { return false };
                    element
                }
                _ => return false,
            };
        }
        *at = new;
        true
    }

    /// Takes out what is there, and tells it. The whole document becomes null.
    pub fn remove(&self, document: &mut Value) -> Option<Value> {
        let Some((last, way)) = self.segments.split_last() else {
            return Some(document.take());
        };
        match way.iter().try_fold(document, |at, segment| step(at, segment))? {
            Value::Object(members) => members.shift_remove(last),
            Value::Array(elements) => {
                index(last).filter(|&index| index < elements.len()).map(|index| elements.remove(index))
            }
            _ => None,
        }
    }

    /// What is there.
    pub fn find<'a>(&self, document: &'a mut Value) -> Option<&'a mut Value> {
        self.segments.iter().try_fold(document, |at, segment| step(at, segment))
    }

    /// Asks `keep` of what is there, where the segment `*` is any member and any element. It may change the value, and takes it out by
    /// `false`; the whole document, which cannot be taken out, becomes null.
    pub fn retain_matching(&self, document: &mut Value, keep: &mut impl FnMut(&mut Value) -> bool) {
        if !retain(document, &self.segments, keep) {
            *document = Value::Null;
        }
    }
}

/// Whether the value stays, of which what the segments lead to was asked.
fn retain(at: &mut Value, segments: &[String], keep: &mut impl FnMut(&mut Value) -> bool) -> bool {
    let Some((segment, rest)) = segments.split_first() else { return keep(at) };
    match at {
        Value::Object(members) if segment == "*" => members.retain(|_, value| retain(value, rest, keep)),
        Value::Array(elements) if segment == "*" => elements.retain_mut(|element| retain(element, rest, keep)),
        Value::Object(_) | Value::Array(_) => {
            let keeps = step(at, segment).is_none_or(|value| retain(value, rest, keep));
            match at {
                Value::Object(members) if !keeps => drop(members.shift_remove(segment)),
                Value::Array(elements) if !keeps => drop(index(segment).map(|at| elements.remove(at))),
                _ => {}
            }
        }
        _ => {}
    }
    true
}

fn step<'a>(at: &'a mut Value, segment: &str) -> Option<&'a mut Value> {
    match at {
        Value::Object(members) => members.get_mut(segment),
        Value::Array(elements) => elements.get_mut(index(segment)?),
        _ => None,
    }
}

/// An index has no sign and no zero in front (RFC 6901 §4).
fn index(segment: &str) -> Option<usize> {
    let plain = segment == "0" || (!segment.starts_with('0') && segment.bytes().all(|b| b.is_ascii_digit()));
    segment.parse().ok().filter(|_| plain)
}

const EXPECTED: &str = "a JSON pointer, as in /user/name or /items/0, in which ~0 stands for ~ and ~1 for /";

impl FromStr for Pointer {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() { Ok(Pointer { segments: Vec::new() }) } else { Err(EXPECTED.into()) };
        };
        if rest.split('/').count() > MAX_SEGMENTS {
            return Err(format!("a JSON pointer of at most {MAX_SEGMENTS} segments").into());
        }
        // What the two escapes leave of tildes is none of the format's.
        if text.replace("~0", "").replace("~1", "").contains('~') {
            return Err(EXPECTED.into());
        }
        let segments = rest.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Pointer { segments })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| write!(f, "/{}", segment.replace('~', "~0").replace('/', "~1")))
    }
}
