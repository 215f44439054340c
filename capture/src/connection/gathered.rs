//! A body's bytes, as many as one piece of the stream brings.

use bytes::{Bytes, BytesMut};

/// The body's bytes of one piece: usually they follow each other; with small chunks they are brought together, so that a piece gives one
/// [`Bytes`].
#[derive(Default)]
pub(super) struct Gathered<'a> {
    first: &'a [u8],
    all: BytesMut,
}

impl<'a> Gathered<'a> {
    /// More of the body, and how many bytes of input there are behind it.
    pub(super) fn add(&mut self, bytes: &'a [u8], behind: usize) {
        if self.all.is_empty() && self.first.is_empty() {
            self.first = bytes;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(self.first.len() + bytes.len() + behind);
            self.all.extend_from_slice(self.first);
        }
        self.all.extend_from_slice(bytes);
    }

    /// All of it, if any; the next piece begins.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let first = std::mem::take(&mut self.first);
        if self.all.is_empty() {
            return (!first.is_empty()).then(|| Bytes::copy_from_slice(first));
        }
        Some(std::mem::take(&mut self.all).freeze())
    }
}
