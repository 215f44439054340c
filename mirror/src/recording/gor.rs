//! GoReplay's format, `.gor`, byte for byte: messages one behind the other, each
//!
//! ```text
//! TYPE ID TIMESTAMP LATENCY\n
//! the HTTP/1 message
//! \n🐵🙈🙉\n
//! ```
//!
//! TYPE is 1 for a request, 2 for the application's response to it, 3 for what a target answered. ID is what a request and all that belongs to it
//! have in common. TIMESTAMP is nanoseconds since 1970; LATENCY, of types 1 and 2, how long the message took from its first byte to its last, and
//! of type 3 the whole round trip. Readers are to take three fields or more.
//!
//! # What is written
//!
//! A record is its request, then its response, then the answers of targets, side by side. The ID is made by GoReplay's rule, in 24 hexadecimal digits: the
//! client's port, the server's port, the client's IPv4 address (of IPv6 the low 32 bits), and 32 bits of the exchange's own id where GoReplay
//! has a TCP sequence number. Without a client it is the low 96 bits of the exchange's id. A record that was read from a `.gor` keeps its ID.
//!
//! Each message is legal HTTP/1, so that GoReplay and other programs find its end, and has the body's bytes exactly:
//!
//! | the head says | the body is written |
//! |---|---|
//! | chunked | in one chunk, with the trailers |
//! | the length that it has | as it is |
//! | another length (the body was cut) | as it is, and Content-Length is put right |
//! | nothing, in a request with a body | as it is, with a Content-Length |
//! | nothing, in a response | as it is; it ends with the record |
//! | what is not to be understood | as it is; it ends with the record |
//!
//! # A separator inside a message
//!
//! Nothing in the format escapes one, and GoReplay cuts such a message in two. It is never written: where the bytes of the separator would stand in a
//! body, the message is written chunked, with a chunk's end in the middle of each (behind the first monkey), so that they never stand together and
//! every reader gets the same body. A body with a length loses its Content-Length for it. An HTTP/1.0 message, or one whose framing is not to be understood, cannot be written so
//! and is refused. No head can have one, as its lines end with CRLF.
//!
//! # What it has no place for
//!
//! The way in, the server's address, the names of targets and what became of copies without an answer, how bodies and exchanges were cut off, versions
//! other than HTTP/1, and times but those above. All of it is counted ([`Unheld`](super::Unheld)).
//!
//! # What is read
//!
//! Responses are found by the ID, wherever they stand within [`MAX_WAITING`] requests, and records come in the order of the requests. The ID may be used
//! again. A separator behind which a body goes on, as its length or its chunks show, is taken for a part of the body; that of a body without a
//! length cannot be told.

mod message;
mod pair;
mod reader;
mod write;

pub(super) use reader::Reader;
pub(super) use write::encode;

/// What stands behind every message.
pub(super) const SEPARATOR: &[u8] = "\n🐵🙈🙉\n".as_bytes();

/// The largest message with its first line: 256 MiB, as a block of Avro. It bounds what a reader holds of one; a larger one is skipped.
pub const MAX_MESSAGE: usize = super::avro::MAX_BLOCK;

/// How many requests wait for their responses, and responses for their requests: 4096 each, a second of the fastest traffic that GoReplay records.
pub const MAX_WAITING: usize = 4096;

/// How many bytes all these take together, beyond which the oldest go on without: 64 MiB.
pub const MAX_WAITING_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests;
