//! The memory of an encoding, which is asked for before it is made.

use std::ops::{Add, AddAssign};

use super::Refused;

/// Takes so many bytes more for the record that is being encoded, and tells whether there is room for them.
pub(crate) type Room<'a> = dyn FnMut(usize) -> bool + 'a;

/// What encoding a record takes at most, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::recording) struct Need {
    /// The encoding itself.
    pub(in crate::recording) output: usize,
    /// What is made on the way to it and let go of then: bodies put together, in base64, lists of lines.
    pub(in crate::recording) beside: usize,
}

impl Need {
    /// Asks for it all, and makes the output's place, so that it does not grow by doubling.
    pub(in crate::recording) fn make_room(self, into: &mut Vec<u8>, room: &mut Room<'_>) -> Result<(), Refused> {
        if !room(self.output.saturating_add(self.beside)) {
            return Err(Refused::NoRoom);
        }
        into.reserve_exact(self.output);
        Ok(())
    }
}

impl Add for Need {
    type Output = Need;

    fn add(self, other: Need) -> Need {
        let (output, beside) = (self.output.saturating_add(other.output), self.beside.saturating_add(other.beside));
        Need { output, beside }
    }
}

impl AddAssign for Need {
    fn add_assign(&mut self, other: Need) {
        *self = *self + other;
    }
}
