//! What bodies are made of, for stages that look into them: content codings ([`Codings`]), JSON ([`json`]) and forms ([`form`]).
//!
//! All of it works on whole bodies that somebody else collected, and on what an attacker may have sent: nothing decodes to more than it is
//! told to, recurses deeper than it says, or panics.

mod coding;
pub mod form;
pub mod json;

pub use coding::{Codings, ContentError, MAX_CODINGS, UnknownCoding};
