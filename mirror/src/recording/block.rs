//! Blocks of any format: what is written to a recording at once.

use bytes::Bytes;

use super::avro;
use super::plain::{Plain, Refused, Room};
use super::{Record, Unheld};

/// Some records of a format that has them one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlainBlock {
    pub(super) bytes: Bytes,
    pub(super) count: u64,
}

/// Some records as they stand in a file, on loan; of Avro before they are compressed.
#[derive(Debug, Clone, Copy)]
pub enum BlockRef<'a> {
    /// Of Avro.
    Avro(&'a avro::Block),
    /// Of any other format.
    Plain(&'a PlainBlock),
}

impl<'a> From<&'a avro::Block> for BlockRef<'a> {
    fn from(block: &'a avro::Block) -> BlockRef<'a> {
        BlockRef::Avro(block)
    }
}

impl<'a> From<&'a PlainBlock> for BlockRef<'a> {
    fn from(block: &'a PlainBlock) -> BlockRef<'a> {
        BlockRef::Plain(block)
    }
}

impl BlockRef<'_> {
    /// How many records.
    pub fn count(self) -> u64 {
        match self {
            BlockRef::Avro(block) => block.count(),
            BlockRef::Plain(block) => block.count,
        }
    }

    /// How many bytes, before compression.
    pub fn len(self) -> usize {
        match self {
            BlockRef::Avro(block) => block.len(),
            BlockRef::Plain(block) => block.bytes.len(),
        }
    }

    /// Whether there is no record.
    pub fn is_empty(self) -> bool {
        self.count() == 0
    }
}

/// How large a block is made at first: what blocks are meant to hold by default.
const MOST_AT_FIRST: usize = 256 << 10;

/// What most records need of the output at most.
const USUAL_NEED: usize = 64 << 10;

/// Encodes records of a format that has them one behind the other into blocks.
#[derive(Debug)]
pub(crate) struct PlainEncoder {
    plain: Plain,
    capacity: usize,
    bytes: Vec<u8>,
    count: u64,
    unheld: Unheld,
}

impl PlainEncoder {
    /// Blocks that are meant to be taken when they hold about `capacity` bytes.
    pub(crate) fn new(plain: Plain, capacity: usize) -> PlainEncoder {
        PlainEncoder { plain, capacity, bytes: Vec::new(), count: 0, unheld: Unheld::default() }
    }

    /// Appends one record, and says by how much the block grew. What that takes at most is asked of `room` before it is made; all but the growth is
    /// free again afterwards, and where the record is refused, all.
    pub(crate) fn push(&mut self, record: &Record, room: &mut Room<'_>) -> Result<usize, Refused> {
        if self.bytes.capacity() == 0 {
            // Not touched, it costs nothing. A larger one grows.
            self.bytes.reserve(self.capacity.min(MOST_AT_FIRST) + USUAL_NEED);
        }
        let start = self.bytes.len();
        if self.count > 0 {
            self.bytes.extend_from_slice(self.plain.between());
        }
        if let Err(refused) = self.plain.encode(record, &mut self.bytes, &mut self.unheld, room) {
            self.bytes.truncate(start);
            // There was no room for a huge one: nor is there for its memory.
            self.bytes.shrink_to(2 * self.capacity);
            return Err(refused);
        }
        self.count += 1;
        Ok(self.bytes.len() - start)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What of the records so far the format has no place for.
    pub(crate) fn unheld(&self) -> &Unheld {
        &self.unheld
    }

    pub(super) fn into_unheld(self) -> Unheld {
        self.unheld
    }

    pub(crate) fn take(&mut self) -> PlainBlock {
        PlainBlock { bytes: std::mem::take(&mut self.bytes).into(), count: std::mem::take(&mut self.count) }
    }
}
