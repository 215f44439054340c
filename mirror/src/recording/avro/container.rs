//! Blocks into a file (spec: Object Container Files; Required Codecs and zstandard).

use std::io::{self, Write};
use std::ops::Range;

use zstd::bulk::Compressor;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective as Directive;
use zstd::zstd_safe::{CParameter, InBuffer, OutBuffer, ResetDirective, compress_bound, get_error_name};

use super::block::Block;
use super::long::{self, MAX_LENGTH};
use super::{BlockEncoder, DoesNotFit, MAX_BLOCK, header};
use crate::recording::{Record, Unheld, WriteRecords};

/// The length of a file's marker.
pub(crate) const MARKER_LENGTH: usize = 16;

/// zstd's fastest ordinary level. See `benches/encode.rs`: HTTP heads compress nearly as well as at the default, 3.
const LEVEL: i32 = 1;

/// A frame's buffer up to this size is kept for the next; a larger one is let go once it is written: a huge body must not cost its
/// memory for good. Four times what a usual block takes.
pub const KEPT_FRAME: usize = 1 << 20;

/// Makes a block into the bytes that stand in the file, all in one piece, so that they can be written by one call.
pub struct BlockFramer {
    compressor: Compressor<'static>,
    /// Room for count and size, the data behind it, the marker at the end. Never zeroed, so that no more of it is real memory than the
    /// frame takes.
    buffer: Vec<u8>,
    /// Where in `buffer` the frame made last is, without its marker.
    framed: Range<usize>,
}

/// Count and size stand before the data, but the size is known only after it: this much room is left for them.
const ROOM: usize = 2 * MAX_LENGTH;

/// The most bytes the frame of a block takes, which is what a framer holds while it makes it.
pub fn frame_bound(block: &Block) -> usize {
    ROOM + compress_bound(block.len()) + MARKER_LENGTH
}

impl BlockFramer {
    /// A framer with a compressor of its own.
    ///
    /// # Errors
    ///
    /// Those of zstd, for want of memory.
    pub fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        // Without it, damage within a block would be read as other values.
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(BlockFramer { compressor, buffer: Vec::new(), framed: ROOM..ROOM })
    }

    /// The block as it stands in a file with this marker; valid until the next call.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the block is larger than [`MAX_BLOCK`], as no reader would take it; those of zstd.
    pub fn frame(&mut self, block: &Block, marker: &[u8; MARKER_LENGTH]) -> io::Result<&[u8]> {
        self.compress(block)?;
        Ok(self.seal(marker))
    }

    /// The first half of [`BlockFramer::frame`], for one who picks the file by the length, which is returned.
    pub(crate) fn compress(&mut self, block: &Block) -> io::Result<usize> {
        if block.len() > MAX_BLOCK {
            let message = format!("a block of {} bytes, at most {MAX_BLOCK} are allowed", block.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.let_go();
        self.buffer.clear();
        self.buffer.reserve_exact(frame_bound(block));
        self.buffer.resize(ROOM, 0);
        self.compress_parts(block)?;
        let size = self.buffer.len() - ROOM;
        let mut lengths = Vec::with_capacity(ROOM);
        long::put(&mut lengths, block.count as i64);
        long::put(&mut lengths, size as i64);
        self.framed = ROOM - lengths.len()..ROOM + size;
        self.buffer[self.framed.start..ROOM].copy_from_slice(&lengths);
        Ok(self.framed.len() + MARKER_LENGTH)
    }

    /// The data's one zstd frame, behind what is in the buffer.
    fn compress_parts(&mut self, block: &Block) -> io::Result<()> {
        let failed = |code| io::Error::other(get_error_name(code));
        let context = self.compressor.context_mut();
        context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        context.set_pledged_src_size(Some(block.len() as u64)).map_err(failed)?;
        let at = self.buffer.len();
        let mut output = OutBuffer::around_pos(&mut self.buffer, at);
        let mut left = block.len();
        for part in block.parts().filter(|part| !part.is_empty()) {
            left -= part.len();
            // The last part ends the frame by the same call: a block of one part is compressed at one go, with no buffer in between.
            let directive = if left == 0 { Directive::ZSTD_e_end } else { Directive::ZSTD_e_continue };
            let mut input = InBuffer::around(part);
            loop {
                let more = context.compress_stream2(&mut output, &mut input, directive).map_err(failed)?;
                if input.pos() == part.len() && (left > 0 || more == 0) {
                    break;
                }
                if output.pos() == output.capacity() {
                    return Err(io::Error::other("a frame is longer than zstd's own bound"));
                }
            }
        }
        Ok(())
    }

    /// The second half: the frame of the block compressed last, with its marker.
    pub(crate) fn seal(&mut self, marker: &[u8; MARKER_LENGTH]) -> &[u8] {
        self.buffer.truncate(self.framed.end);
        self.buffer.extend_from_slice(marker);
        &self.buffer[self.framed.start..]
    }

    /// Lets go of the frame made last where it is a large one.
    pub(crate) fn let_go(&mut self) {
        if self.buffer.capacity() > KEPT_FRAME {
            self.buffer = Vec::new();
        }
    }
}

impl std::fmt::Debug for BlockFramer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BlockFramer").field("buffer", &self.buffer.len()).finish_non_exhaustive()
    }
}

/// The largest size a block's data may have in a file.
pub(super) fn max_frame() -> usize {
    compress_bound(MAX_BLOCK)
}

/// A marker for a new file.
///
/// # Errors
///
/// Those of the system's source of randomness.
pub(crate) fn new_marker() -> io::Result<[u8; MARKER_LENGTH]> {
    let mut marker = [0; MARKER_LENGTH];
    getrandom::fill(&mut marker).map_err(io::Error::other)?;
    Ok(marker)
}

/// Writes a recording to anything that takes bytes; for a file that outlives crashes and rotates see `RecordingFile`.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    framer: BlockFramer,
    marker: [u8; MARKER_LENGTH],
}

impl<W: Write> Writer<W> {
    /// Begins a recording with its header.
    ///
    /// # Errors
    ///
    /// Those of `output`, of zstd and of the system's source of randomness.
    pub fn new(mut output: W) -> io::Result<Self> {
        let marker = new_marker()?;
        output.write_all(&header::write(&marker))?;
        Ok(Writer { output, framer: BlockFramer::new()?, marker })
    }

    /// Writes one block; an empty one is left out.
    ///
    /// # Errors
    ///
    /// Those of `output`, after which the recording may end in a torn block, and those of [`BlockFramer::frame`].
    pub fn write_block(&mut self, block: &Block) -> io::Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        self.output.write_all(self.framer.frame(block, &self.marker)?)
    }

    /// The output.
    pub fn output(&self) -> &W {
        &self.output
    }

    /// The output, given back; whatever was written is in it.
    pub fn into_inner(self) -> W {
        self.output
    }
}

/// What a block of a [`RecordWriter`] holds before it is written: as `record.flush_bytes` by default.
const BLOCK: usize = 256 << 10;

/// Writes records one by one, in blocks of 256 KiB before compression.
pub(in crate::recording) struct RecordWriter<W> {
    encoder: BlockEncoder,
    writer: Writer<W>,
    /// Stays empty: it holds all.
    unheld: Unheld,
}

impl<W: Write> RecordWriter<W> {
    /// Begins a recording with its header.
    pub(in crate::recording) fn new(output: W) -> io::Result<Self> {
        Ok(RecordWriter { encoder: BlockEncoder::new(BLOCK), writer: Writer::new(output)?, unheld: Unheld::default() })
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.writer.write_block(&self.encoder.take())
    }
}

impl<W: Write + Send> WriteRecords for RecordWriter<W> {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let too_large = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        match self.encoder.push(record) {
            // The next block may take it.
            Err(DoesNotFit::Block) if !self.encoder.is_empty() => {
                self.write_block()?;
                self.encoder.push(record)
            }
            pushed => pushed,
        }
        .map_err(too_large)?;
        if self.encoder.len() >= BLOCK { self.write_block() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_block()?;
        self.writer.output.flush()
    }

    fn unheld(&self) -> &Unheld {
        &self.unheld
    }

    fn finish(mut self: Box<Self>) -> io::Result<Unheld> {
        self.flush()?;
        Ok(self.unheld)
    }
}
