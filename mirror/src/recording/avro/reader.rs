//! Records out of a file, also out of a damaged one.

use std::io::{self, Read};
use std::ops::Range;

use super::container::{MARKER_LENGTH, max_frame};
use super::decode::{Corrupt, Decoder, Frames};
use super::header::{Codec, Header, HeaderError};
use super::long::{self, Taken};
use super::{Input, MAX_BLOCK};
use crate::recording::{Losses, Record};

/// Reads a recording, record by record; an iterator that ends for good at the first I/O error.
///
/// Damage ends nothing: the reader goes on behind the next marker, and [`Reader::losses`] tells what was skipped. It holds one
/// block at a time, decompressed, at most [`MAX_BLOCK`] bytes, and up to about twice that of the file, though only where a
/// block is so large or damage made its size so; the records share the memory of their block.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    header: Header,
    frames: Frames,
    block: Option<OpenBlock>,
    /// How many bytes of the input are before what is not taken yet.
    offset: u64,
    losses: Losses,
    ended: bool,
}

/// A block being read.
#[derive(Debug)]
struct OpenBlock {
    decoder: Decoder,
    /// How many records are still in it.
    records: u64,
    /// How many bytes it takes in the file.
    length: u64,
}

/// What is at the front of the input.
enum Front {
    /// A whole block with this many records, and its data at these places.
    Block { records: u64, data: Range<usize> },
    /// The end of the file.
    End,
    /// No whole block.
    Damage,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Where it is not the header of a recording with our schema.
    pub fn new(input: R) -> Result<Self, HeaderError> {
        let mut input = Input::new(input);
        let header = Header::read(&mut input)?;
        let offset = header.length as u64;
        Ok(Reader::over(input, header, offset))
    }

    /// Reads on where the input stands, which is where a block begins, with `offset` bytes before it.
    pub(super) fn within(input: R, header: Header, offset: u64) -> Self {
        Reader::over(Input::new(input), header, offset)
    }

    fn over(input: Input<R>, header: Header, offset: u64) -> Self {
        let (frames, losses) = (Frames::new(), Losses::default());
        Reader { input, header, frames, block: None, offset, losses, ended: false }
    }

    /// What could not be read so far; of the whole file once the reader is at its end.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// The next record; none at the end.
    ///
    /// # Errors
    ///
    /// Those of the input; never for damage.
    pub fn read(&mut self) -> io::Result<Option<Record>> {
        loop {
            if let Some(block) = &mut self.block {
                if block.records > 0
                    && let Ok(record) = block.decoder.record()
                {
                    block.records -= 1;
                    return Ok(Some(record));
                }
                if block.records > 0 || !block.decoder.is_at_end() {
                    // The frame was sound, so this is a faulty writer's doing; what of the block was read stands.
                    self.losses.stretch(
                        self.offset - block.length,
                        block.length,
                        "a block whose records are not what its count says",
                    );
                }
                self.block = None;
            }
            if !self.next_block()? {
                return Ok(None);
            }
        }
    }

    /// Opens the next sound block; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        loop {
            match self.front()? {
                Front::End => return Ok(false),
                Front::Block { records, data } => {
                    let length = data.end + MARKER_LENGTH;
                    let data = &self.input.peek()[data];
                    let data = match self.header.codec {
                        Codec::Zstandard => self.frames.decompress(data),
                        Codec::Null if data.len() > MAX_BLOCK => Err(Corrupt),
                        Codec::Null => Ok(data.to_vec().into()),
                    };
                    if let Ok(data) = data {
                        self.take(length);
                        self.block = Some(OpenBlock { decoder: Decoder::new(data), records, length: length as u64 });
                        return Ok(true);
                    }
                }
                Front::Damage => {}
            }
            // Even a block whose ends are right is searched: its size may be a lie that spans sound ones.
            self.skip_damage()?;
        }
    }

    fn front(&mut self) -> io::Result<Front> {
        let bytes = self.input.want(2 * long::MAX_LENGTH)?;
        if bytes.is_empty() {
            return Ok(Front::End);
        }
        let Some((records, data)) = block_head(bytes) else { return Ok(Front::Damage) };
        let end = data.end + MARKER_LENGTH;
        let bytes = self.input.want(end)?;
        if bytes.get(data.end..end) == Some(&self.header.marker) {
            Ok(Front::Block { records, data })
        } else {
            Ok(Front::Damage)
        }
    }

    fn take(&mut self, length: usize) {
        self.input.take(length);
        self.offset += length as u64;
    }

    /// Takes everything up to and with the next marker; all there is where there is none.
    fn skip_damage(&mut self) -> io::Result<()> {
        let start = self.offset;
        loop {
            let bytes = self.input.want(MARKER_LENGTH)?;
            if let Some(at) = find(bytes, &self.header.marker) {
                self.take(at + MARKER_LENGTH);
                self.losses.stretch(start, self.offset - start, "a damaged block");
                return Ok(());
            }
            let at_end = bytes.len() < MARKER_LENGTH;
            // The marker's start may be at the very end of what was read.
            let done = if at_end { bytes.len() } else { bytes.len() - (MARKER_LENGTH - 1) };
            self.take(done);
            if at_end {
                self.losses.torn(start, self.offset - start, "a block that is not whole");
                return Ok(());
            }
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.read().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

/// How many records a block says it has, and where its data is, counted from the block's start.
///
/// None where the bytes are too few, or make no sense for a block that could be read.
pub(crate) fn block_head(bytes: &[u8]) -> Option<(u64, Range<usize>)> {
    let Taken::Value(records, first) = long::take(bytes) else { return None };
    let Taken::Value(size, second) = long::take(&bytes[first..]) else { return None };
    let (records, size) = (u64::try_from(records).ok()?, usize::try_from(size).ok()?);
    let start = first + second;
    (size <= max_frame()).then_some((records, start..start + size))
}

/// Where `marker` first is in `bytes`.
pub(crate) fn find(bytes: &[u8], marker: &[u8; MARKER_LENGTH]) -> Option<usize> {
    bytes.windows(MARKER_LENGTH).position(|window| window == marker)
}
