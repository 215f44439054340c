//! What becomes one block of a file.

use bytes::Bytes;

/// A piece of a body of at least this many bytes is not copied into a block, which holds it as it came: a long body is held once. Below
/// it the copy costs less than an entry in a list and a call of the compressor. (With all below
/// 64 KiB copied, which spares the compressor a copy of its own, the engine's thread paid twice what the disk's saved: each byte goes to another
/// CPU once more.)
const LONG: usize = 4 << 10;

/// Whether a piece of this length is held as it came.
pub(super) fn is_long(length: usize) -> bool {
    length >= LONG
}

/// Some records, encoded and not yet compressed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// All but the long pieces of bodies.
    pub(super) data: Vec<u8>,
    /// Those in order, each with where in `data` it belongs.
    long: Vec<(usize, Bytes)>,
    /// Their length together.
    long_length: usize,
    pub(super) count: u64,
}

/// A place in a block that it can be cut back to.
pub(super) struct End {
    data: usize,
    long: usize,
    long_length: usize,
}

impl Block {
    pub(super) fn with_capacity(capacity: usize) -> Block {
        Block { data: Vec::with_capacity(capacity), ..Block::default() }
    }

    /// How many records.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes, before compression.
    pub fn len(&self) -> usize {
        self.data.len() + self.long_length
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends a piece of a body.
    pub(super) fn put_piece(&mut self, piece: &Bytes) {
        if !is_long(piece.len()) {
            return self.data.extend_from_slice(piece);
        }
        self.long.push((self.data.len(), piece.clone()));
        self.long_length += piece.len();
    }

    /// All bytes in order, in one part more than there are long pieces, and those.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        let pieces = self.long.iter().map(|(end, piece)| (*end, &piece[..])).chain([(self.data.len(), &[][..])]);
        pieces.flat_map(move |(end, piece)| [&self.data[std::mem::replace(&mut start, end)..end], piece])
    }

    pub(super) fn end(&self) -> End {
        End { data: self.data.len(), long: self.long.len(), long_length: self.long_length }
    }

    pub(super) fn cut(&mut self, end: End) {
        self.data.truncate(end.data);
        self.long.truncate(end.long);
        self.long_length = end.long_length;
    }

    /// Gives back the room that was not used.
    pub(super) fn shrink(&mut self) {
        self.data.shrink_to_fit();
        self.long.shrink_to_fit();
    }
}

/// Where all goes but the long pieces.
impl AsMut<Vec<u8>> for Block {
    fn as_mut(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_pieces_are_held_as_they_came_and_stand_in_their_places() {
        let long = Bytes::from(vec![b'l'; LONG]);
        let mut block = Block::default();
        block.put_piece(&long);
        block.put_piece(&Bytes::from_static(b"short"));
        let before = block.end();
        block.put_piece(&long);
        assert!(block.parts().any(|part| part.as_ptr() == long.as_ptr()), "it was copied");
        assert_eq!(block.parts().collect::<Vec<_>>().concat(), [&long[..], b"short", &long].concat());
        assert_eq!((block.len(), block.data.len()), (2 * LONG + 5, 5));
        block.cut(before);
        assert_eq!(block.parts().collect::<Vec<_>>().concat(), [&long[..], b"short"].concat());
        assert_eq!(block.len(), LONG + 5);
    }
}
