//! The response that a request had when it passed first, made ready by the thread that reads, where anybody may want it: the one that sends only hands it
//! on, or lets go of it.

use bytes::{Bytes, BytesMut};

use super::request::section;
use crate::http1::push_line;
use crate::recording::RecordedResponse;

/// A recorded response as it is told again.
pub(super) struct Response {
    pub(super) head: Bytes,
    pub(super) body: Vec<Bytes>,
    /// How many bytes of the body were not recorded.
    pub(super) lost: u64,
    pub(super) trailers: Option<Bytes>,
}

impl Response {
    pub(super) fn of(recorded: RecordedResponse) -> Response {
        let RecordedResponse { version, status, reason, message } = recorded;
        let mut head = BytesMut::with_capacity(64 + message.headers.len() * 48);
        let version: &[u8] = if &version[..] == b"HTTP/1.0" { b"HTTP/1.0" } else { b"HTTP/1.1" };
        for part in [version, b" ", status.to_string().as_bytes(), b" ", &reason, b"\r\n"] {
            head.extend_from_slice(part);
        }
        message.headers.iter().for_each(|(name, value)| push_line(&mut head, name, value));
        head.extend_from_slice(b"\r\n");
        let kept = message.body.iter().map(|piece| piece.len() as u64).sum();
        let lost = message.truncated.map_or(0, |_| message.body_length.saturating_sub(kept));
        Response { head: head.freeze(), body: message.body, lost, trailers: section(&message.trailers) }
    }

    /// About how many bytes it holds.
    pub(super) fn cost(&self) -> usize {
        self.head.len() + self.body.iter().map(Bytes::len).sum::<usize>()
    }
}
