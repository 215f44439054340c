//! JSON documents, read and written again with their keys in their order and their numbers to the digit.
//!
//! White space between tokens, and how strings (`\u0040`, `\/`) and exponents (`1E2`) are spelled, is not kept. Of a key that an object has
//! twice, the last value stays.

use bytes::Bytes;
use serde_json::Value;

mod members;
mod pointer;

pub use pointer::{MAX_SEGMENTS, Pointer};

/// Why a body is not read as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Arrays and objects one within the other, more than 127 deep.
    #[error("JSON that is more than 127 deep")]
    TooDeep,
    /// It is not JSON, or not one document in UTF-8.
    #[error("not JSON")]
    Syntax,
}

/// Reads one document. A byte order mark in front is skipped, as RFC 8259 §8.1 allows.
///
/// # Errors
/// When it is not one, or too deep.
pub fn read(body: &[u8]) -> Result<Value, JsonError> {
    serde_json::from_slice(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)).map_err(told)
}

/// Reads documents one behind the other, with white space between them: one, or JSON lines.
///
/// # Errors
/// When one of them is not a document, or too deep.
pub fn read_all(body: &[u8]) -> Result<Vec<Value>, JsonError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    serde_json::Deserializer::from_slice(body).into_iter().collect::<Result<_, _>>().map_err(told)
}

/// Writes a document without white space.
pub fn write(value: &Value) -> Bytes {
    value.to_string().into()
}

/// Writes documents a line each; one alone without a line end.
pub fn write_all(values: &[Value]) -> Bytes {
    match values {
        [one] => write(one),
        all => all.iter().map(|value| format!("{value}\n")).collect::<String>().into(),
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn told(error: serde_json::Error) -> JsonError {
    // The crate has no other way to tell.
    match error.to_string().starts_with("recursion limit exceeded") {
        true => JsonError::TooDeep,
        false => JsonError::Syntax,
    }
}

/// Whether the text that these documents were read from has members that they do not have: of a key that an object has twice, other readers
/// may take the first value.
pub fn repeats_keys(body: &[u8], documents: &[Value]) -> bool {
    members::count(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)) != Some(documents.iter().map(members::of).sum())
}

/// Asks `keep` of every member of every object, those of an object before those within them. It may change the value, and takes the
/// member out by `false`.
pub fn retain_members(value: &mut Value, keep: &mut impl FnMut(&str, &mut Value) -> bool) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| retain_members(element, keep)),
        Value::Object(members) => {
            members.retain(|key, value| keep(key, value));
            members.values_mut().for_each(|value| retain_members(value, keep));
        }
        _ => {}
    }
}

/// Asks `edit` of every text: of strings, of numbers as they are spelled, and of keys. Where it tells another, that stands there as a string.
/// Of two keys that become one, the last member stays.
pub fn edit_texts(value: &mut Value, edit: &mut impl FnMut(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = edit(text) {
                *text = new;
            }
        }
        Value::Number(number) => {
            if let Some(new) = edit(&number.to_string()) {
                *value = Value::String(new);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| edit_texts(element, edit)),
        Value::Object(members) => {
            let keys: Vec<Option<String>> = members.keys().map(|key| edit(key)).collect();
            if keys.iter().any(Option::is_some) {
                let renamed = std::mem::take(members).into_iter().zip(keys);
                *members = renamed.map(|((old, value), new)| (new.unwrap_or(old), value)).collect();
            }
            members.values_mut().for_each(|value| edit_texts(value, edit));
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests;
