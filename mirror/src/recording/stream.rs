//! A recording that is written as it comes to something that is no file, as stdout is.

use std::io::{self, Write};

use super::avro::{self, MARKER_LENGTH};
use super::file::Shape;
use super::{BlockRef, Format};

/// A recording on its way through a pipe. Nothing that was written can be taken back.
pub struct RecordingStream {
    output: Box<dyn Write + Send>,
    shape: Shape,
    marker: [u8; MARKER_LENGTH],
    has_blocks: bool,
    /// A write failed, and nobody knows how much of it was taken: more would be behind a torn block.
    torn: bool,
}

impl RecordingStream {
    /// Begins a recording.
    ///
    /// # Errors
    /// Those of the output, and of the system's source of randomness.
    pub fn new(format: Format, output: impl Write + Send + 'static) -> io::Result<RecordingStream> {
        let (shape, marker) = (Shape::of(format)?, avro::new_marker()?);
        let mut output: Box<dyn Write + Send> = Box::new(output);
        output.write_all(&shape.head(&marker)?)?;
        output.flush()?;
        Ok(RecordingStream { output, shape, marker, has_blocks: false, torn: false })
    }

    /// Writes one block; an empty one is left out.
    ///
    /// # Errors
    /// Those of the output, once and for all: nothing is written behind a block that may be torn.
    pub fn write_block<'a>(&mut self, block: impl Into<BlockRef<'a>>) -> io::Result<()> {
        let block = block.into();
        if block.is_empty() {
            return Ok(());
        }
        if self.torn {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "an earlier block could not be written"));
        }
        self.shape.prepare(block)?;
        let (bytes, tail) = self.shape.sealed(&self.marker, self.has_blocks)?;
        let written = self.output.write_all(&bytes[..bytes.len() - tail]).and_then(|()| self.output.flush());
        self.shape.let_go();
        self.torn = written.is_err();
        self.has_blocks |= written.is_ok();
        written
    }

    /// Ends it as the format asks for it.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.torn {
            return Ok(());
        }
        self.output.write_all(&self.shape.tail()?)?;
        self.output.flush()
    }
}
