//! What bodies are made of, for stages that look into them: content codings ([`Codings`]), JSON ([`json`]) and forms ([`form`]).
//!
//! All of it works on whole bodies that somebody else collected, and on what an attacker may have sent: nothing decodes to more than it is
//! told to, recurses deeper than it says, or panics.

mod coding;
pub mod form;
pub mod json;
pub mod shown;

use crate::http1::Headers;

pub use coding::{Codings, ContentError, MAX_CODINGS, UnknownCoding};

/// What tells of a body's bytes: of another body it would tell wrongly, and of one that was redacted too much. (RFC 9530; RFC 3230; RFC 1864.)
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Takes out what tells of the body's bytes, which are others now.
pub fn remove_digests(headers: &mut Headers) {
    DIGESTS.into_iter().for_each(|name| headers.remove(name));
}
