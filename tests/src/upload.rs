//! A body of any length whose bytes tell where they belong, so that it need not be held to be compared.

use std::sync::LazyLock;

/// A prime, so that no buffer's length is a multiple of it.
const PERIOD: usize = 65_521;

/// Longer than a period by the most that is compared at once.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 1_u32;
    let period: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(PERIOD)
    .collect();
    period.repeat(4)
});

/// At most this many bytes from a place in the body on.
const PIECE: usize = 2 * PERIOD;

/// The body's bytes from a place on, as many as there are in one piece, `most` at the most.
pub fn piece(at: usize, most: usize) -> &'static [u8] {
    &BYTES[at % PERIOD..][..most.min(PIECE)]
}

/// The whole of a body.
pub fn body(length: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(length);
    while body.len() < length {
        body.extend_from_slice(piece(body.len(), length - body.len()));
    }
    body
}

/// Looks at a body as it comes.
#[derive(Debug, Default)]
pub struct Check {
    at: usize,
    wrong: bool,
}

impl Check {
    /// The next bytes.
    pub fn next(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.wrong {
            let expected = piece(self.at, bytes.len());
            self.wrong = bytes[..expected.len()] != *expected;
            self.at += expected.len();
            bytes = &bytes[expected.len()..];
        }
    }

    /// Whether all that came is right so far; how much it was.
    pub fn right(&self) -> Option<usize> {
        (!self.wrong).then_some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_itself_in_any_pieces_and_no_other() {
        let mut whole = body(1_000_000);
        let mut check = Check::default();
        whole.chunks(77_777).for_each(|piece| check.next(piece));
        assert_eq!(check.right(), Some(1_000_000));
        whole[999_999] ^= 1;
        let mut check = Check::default();
        check.next(&whole);
        assert_eq!(check.right(), None);
    }
}
