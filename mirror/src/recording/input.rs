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
            self.make_room();
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.peek())
    }

    /// Moves no more than was taken, or grows by half, so that all moves together never cost more than the reads.
    fn make_room(&mut self) {
        let kept = self.end - self.start;
        if self.start > 0 && self.start >= kept {
            self.buffer.copy_within(self.start..self.end, 0);
        } else if self.buffer.len() - self.end < CHUNK {
            // Zeroed memory comes cheaper from the allocator than by growing a Vec.
            let mut grown = vec![0; (kept + CHUNK).max(self.buffer.len() / 2 * 3)];
            grown[..kept].copy_from_slice(self.peek());
            self.buffer = grown;
        } else {
            return;
        }
        (self.start, self.end) = (0, kept);
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
