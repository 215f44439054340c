//! Secrets in bodies.

use bytes::Bytes;
use serde_json::Value;

use super::Rules;
use super::kind::Kind;
use super::tally::Tally;
use super::url::Secret;
use crate::budget::Charge;
use crate::config::Encoding;
use crate::content::{Codings, ContentError, json};
use crate::http1::Headers;
use crate::outcome::{Redacted, Withheld};

/// What a value of a document costs in memory, in bytes, in a list that may be twice as long as it has to; with a short text of its own.
const VALUE_COST: usize = 2 * size_of::<Value>() + 16;

/// What an object costs more: the table of its keys, which has room for some from the beginning.
const OBJECT_COST: usize = 480;

/// A body as it goes on.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    /// Whether it is without the codings that it had.
    pub(super) decoded: bool,
}

/// Where memory is charged that the work takes.
pub(super) type Room<'a> = &'a dyn Fn(usize) -> Option<Charge>;

/// What a document costs in memory while it is one, at most: a short text can be very many values.
fn document_cost(text: &[u8]) -> usize {
    let (mut values, mut objects) = (1, 0);
    for byte in text {
        values += usize::from(matches!(byte, b',' | b'[' | b'{'));
        objects += usize::from(*byte == b'{');
    }
    2 * text.len() + values * VALUE_COST + objects * OBJECT_COST
}

impl Rules {
    /// Whether a rule concerns bodies.
    pub(super) fn looks_into_bodies(&self) -> bool {
        !self.form.is_empty() || !self.patterns.is_empty() || self.has_json_rules()
    }

    pub(super) fn has_json_rules(&self) -> bool {
        !self.pointers.is_empty() || !self.keys.is_empty()
    }

    /// A whole body, of a message with these headers; none where it stays as it is.
    ///
    /// # Errors
    /// Why it cannot be looked into.
    pub(super) fn body(
        &self,
        headers: &Headers,
        body: &Bytes,
        room: Room<'_>,
        tally: &mut Tally,
    ) -> Result<Option<Content>, Withheld> {
        if body.is_empty() {
            return Ok(None);
        }
        let room = |bytes| room(bytes).ok_or(Withheld::Memory);
        let codings = Codings::of(headers).map_err(|_| Withheld::Coding)?;
        let _decoding =
            room(if codings.is_identity() { 0 } else { usize::try_from(self.max_body).unwrap_or(usize::MAX) })?;
        let text = codings.decode(body, self.max_body).map_err(|error| match error {
            ContentError::TooLong => Withheld::TooLong,
            ContentError::Broken => Withheld::Coding,
        })?;
        let kind = Kind::of(headers, &text)?;
        let mut new = None;
        let mut read = false;
        if kind.may_be_json() {
            let _documents = room(document_cost(&text))?;
            match json::read_all(&text) {
                Ok(documents) => {
                    read = true;
                    new = self.json(documents, &text, tally);
                }
                Err(_) if kind.declared_json || (kind.begins_as_json && self.has_json_rules()) => {
                    return Err(Withheld::Json);
                }
                Err(_) => {}
            }
        }
        if kind.has_parts && (self.has_json_rules() || !self.form.is_empty()) {
            return Err(Withheld::Multipart);
        }
        if kind.has_events && self.has_json_rules() {
            return Err(Withheld::Json);
        }
        let _working = room(text.len().saturating_mul(2))?;
        let seen = new.as_ref().unwrap_or(&text);
        if kind.declared_form || (!read && !self.form.is_empty() && kind.looks_like_form) {
            let secret = Secret { names: &self.form, rule: Redacted::Form };
            new = self.pairs(seen, secret, 0, tally).map(Bytes::from).or(new);
        } else if !read {
            new = self.patterns.replace(seen, &self.substitute, tally).map(Bytes::from);
        }
        let identity = self.encoding == Encoding::Identity && !codings.is_identity();
        Ok(match (new, identity) {
            (None, false) => None,
            (new, true) => Some(Content { bytes: new.unwrap_or(text), decoded: true }),
            (Some(new), false) if codings.is_identity() => Some(Content { bytes: new, decoded: false }),
            (Some(new), false) => Some(Content { bytes: codings.encode(&new), decoded: false }),
        })
    }

    fn json(&self, mut documents: Vec<Value>, text: &[u8], tally: &mut Tally) -> Option<Bytes> {
        let before = tally.clone();
        for document in &mut documents {
            for pointer in &self.pointers {
                pointer.retain_matching(document, &mut |value| self.hide(value, tally));
            }
            if !self.keys.is_empty() {
                json::retain_members(document, &mut |key, value| {
                    !self.keys.has(key.as_bytes()) || self.hide(value, tally)
                });
            }
            if !self.patterns.is_empty() {
                json::edit_texts(document, &mut |text| {
                    let new = self.patterns.replace(text.as_bytes(), &self.substitute, tally)?;
                    Some(String::from_utf8_lossy(&new).into_owned())
                });
            }
        }
        let changed = *tally != before || json::repeats_keys(text, &documents);
        changed.then(|| json::write_all(&documents))
    }

    /// Hides a value, whatever it is; tells whether it stays. null is no secret, nor is what is hidden already.
    fn hide(&self, value: &mut Value, tally: &mut Tally) -> bool {
        let new = match &*value {
            Value::Null => return true,
            Value::String(text) if self.substitute.is_one(text.as_bytes()) => return true,
            Value::String(text) => self.substitute.of(text.as_bytes()),
            other => self.substitute.of(other.to_string().as_bytes()),
        };
        tally.count(Redacted::Json);
        match new {
            Some(new) => {
                *value = Value::String(new);
                true
            }
            None => false,
        }
    }
}
