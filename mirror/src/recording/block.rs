//! Blocks of any format: what is written to a recording at once.

use bytes::Bytes;

use super::avro;
use super::plain::{Plain, Unfit};
use super::{Record, Unheld};

/// Some records as they stand in a file, in the case of Avro before they are compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Of Avro.
    Avro(avro::Block),
    /// Of any other format.
    Plain(PlainBlock),
}

/// Some records of a format that has them one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlainBlock {
    pub(super) bytes: Bytes,
    pub(super) count: u64,
}

impl Block {
    /// How many records.
    pub fn count(&self) -> u64 {
        match self {
            Block::Avro(block) => block.count(),
            Block::Plain(block) => block.count,
        }
    }

    /// How many bytes, before compression.
    pub fn len(&self) -> usize {
        match self {
            Block::Avro(block) => block.len(),
            Block::Plain(block) => block.bytes.len(),
        }
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

/// A block on loan.
#[derive(Debug, Clone, Copy)]
pub enum BlockRef<'a> {
    /// Of Avro.
    Avro(&'a avro::Block),
    /// Of any other format.
    Plain(&'a PlainBlock),
}

impl<'a> From<&'a Block> for BlockRef<'a> {
    fn from(block: &'a Block) -> BlockRef<'a> {
        match block {
            Block::Avro(block) => BlockRef::Avro(block),
            Block::Plain(block) => BlockRef::Plain(block),
        }
    }
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
    /// Whether there is no record.
    pub fn is_empty(self) -> bool {
        match self {
            BlockRef::Avro(block) => block.is_empty(),
            BlockRef::Plain(block) => block.count == 0,
        }
    }
}

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

    /// Appends one record, and says by how much the block grew.
    pub(crate) fn push(&mut self, record: &Record) -> Result<usize, Unfit> {
        let start = self.bytes.len();
        if self.count > 0 {
            self.bytes.extend_from_slice(self.plain.between());
        }
        if let Err(unfit) = self.plain.encode(record, &mut self.bytes, &mut self.unheld) {
            self.bytes.truncate(start);
            return Err(unfit);
        }
        self.count += 1;
        Ok(self.bytes.len() - start)
    }

    /// Takes the last record back, which made the block so much longer.
    pub(crate) fn pop(&mut self, length: usize) {
        self.bytes.truncate(self.bytes.len() - length);
        // There was no room for a huge one: nor is there for its memory.
        self.bytes.shrink_to(2 * self.capacity);
        self.count -= 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What of the records so far the format has no place for.
    pub(crate) fn unheld(&self) -> &Unheld {
        &self.unheld
    }

    pub(crate) fn take(&mut self) -> PlainBlock {
        let room = self.capacity.min(self.bytes.len());
        let mut bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(room));
        bytes.shrink_to_fit();
        PlainBlock { bytes: bytes.into(), count: std::mem::take(&mut self.count) }
    }
}
