//! What is left of a packet.

use super::Unreadable;

/// The bytes after the headers read so far, and how many more there were on the wire.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    /// Bytes that followed on the wire and were not captured.
    beyond: usize,
    /// A header was read because a port or a few bits suggested it, so what does not fit means that the guess was wrong.
    pub(super) guessed: bool,
}

impl<'a> Cursor<'a> {
    /// At a packet's first byte; `length` is its length on the wire.
    pub(super) fn new(data: &'a [u8], length: u32) -> Self {
        Cursor { data, beyond: (length as usize).saturating_sub(data.len()), guessed: false }
    }

    /// Goes on with other bytes, all of which are there.
    pub(super) fn replace(&mut self, data: &'a [u8]) {
        self.data = data;
        self.beyond = 0;
    }

    /// What was captured of the rest.
    pub(super) fn data(&self) -> &'a [u8] {
        self.data
    }

    /// How long the rest was on the wire.
    pub(super) fn wire(&self) -> usize {
        self.data.len().saturating_add(self.beyond)
    }

    /// Whether all of the rest was captured.
    pub(super) fn whole(&self) -> bool {
        self.beyond == 0
    }

    /// Why a header that ends after the data cannot be read.
    pub(super) fn short(&self) -> Unreadable {
        if self.beyond > 0 { Unreadable::Cut } else { Unreadable::Malformed }
    }

    /// Takes the next `N` bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Unreadable> {
        let (taken, rest) = self.data.split_first_chunk().ok_or_else(|| self.short())?;
        self.data = rest;
        Ok(taken)
    }

    /// Takes a number in network order.
    pub(super) fn take_u16(&mut self) -> Result<u16, Unreadable> {
        self.take().map(|&bytes| u16::from_be_bytes(bytes))
    }

    /// Passes `count` bytes.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), Unreadable> {
        self.data = self.data.get(count..).ok_or_else(|| self.short())?;
        Ok(())
    }

    /// The next byte, which stays.
    pub(super) fn peek(&self) -> Result<u8, Unreadable> {
        self.data.first().copied().ok_or_else(|| self.short())
    }

    /// The rest is `length` bytes long, as a header says: what comes after is padding or a trailer, and what is not there was cut. The header
    /// is believed where it claims more than the wire's length, which is lost in some rewritten captures.
    pub(super) fn limit(&mut self, length: usize) {
        self.beyond = length.saturating_sub(self.data.len());
        self.data = &self.data[..self.data.len().min(length)];
    }
}
