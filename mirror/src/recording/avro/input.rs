//! Bytes of a reader, looked at before they are taken.

use std::io::{self, ErrorKind, Read};

/// How much is asked of the reader at once.
const CHUNK: usize = 64 << 10;

/// A reader with what was read and not yet taken.
#[derive(Debug)]
pub(crate) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    /// `buffer[start..end]` is what was read and not yet taken.
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(reader: R) -> Self {
        Input { reader, buffer: Vec::new(), start: 0, end: 0 }
    }

    /// Reads until `wanted` bytes are there; fewer only where the input ends. What is there is returned, often more.
    ///
    /// The memory grows with what comes, not with what is wanted: a length that lies costs nothing.
    pub(crate) fn want(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.end - self.start < wanted {
            // Only where no more is moved than was taken, so that the moves never cost more than the reads.
            if self.start > 0 && self.start >= self.end - self.start {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.buffer.len() - self.end < CHUNK {
                let grown = (self.buffer.len() + self.buffer.len() / 2).max(self.end + CHUNK);
                self.buffer.resize(grown, 0);
            }
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.peek())
    }

    /// What was read and not yet taken.
    pub(crate) fn peek(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes the first `length` bytes, which have to be there.
    pub(crate) fn take(&mut self, length: usize) {
        assert!(length <= self.end - self.start);
        self.start += length;
    }
}
