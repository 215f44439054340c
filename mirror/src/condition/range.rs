//! Ranges of numbers: of a status, a time in microseconds, a size in bytes.

use std::ops::{Bound, RangeBounds};

/// From one bound to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range(pub Bound<u64>, pub Bound<u64>);

impl Range {
    /// Just this one.
    pub fn exactly(number: u64) -> Range {
        Range(Bound::Included(number), Bound::Included(number))
    }

    /// Whether the number is between the bounds.
    pub fn contains(&self, number: u64) -> bool {
        (self.0, self.1).contains(&number)
    }
}
