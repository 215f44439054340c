//! The bytes of one direction, to be found again in their order.

use memchr::{memchr, memmem};

/// Runs of bytes, between which some are missing; and how far they were taken.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: Vec<Vec<u8>>,
    run: usize,
    at: usize,
}

impl Runs {
    /// More of the last run.
    pub(crate) fn data(&mut self, bytes: &[u8]) {
        match self.runs.last_mut() {
            Some(run) => run.extend_from_slice(bytes),
            None => self.runs.push(bytes.to_vec()),
        }
    }

    /// Some are missing.
    pub(crate) fn gap(&mut self) {
        self.runs.push(Vec::new());
    }

    /// Takes the next place where these bytes are, in one run and behind all that was taken before. Where they could be at several, the first
    /// leaves most for what comes.
    pub(crate) fn take(&mut self, part: &[u8]) -> bool {
        self.next(|rest| memmem::find(rest, part).map(|found| found + part.len()))
    }

    /// The same for bytes between which there may be others: chunks that were brought together.
    pub(crate) fn take_scattered(&mut self, part: &[u8]) -> bool {
        self.next(|rest| part.iter().try_fold(0, |at, byte| memchr(*byte, &rest[at..]).map(|found| at + found + 1)))
    }

    /// Takes what ends where `end` says, in the first run where it says so.
    fn next(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> bool {
        while let Some(run) = self.runs.get(self.run) {
            if let Some(end) = end(&run[self.at..]) {
                self.at += end;
                return true;
            }
            self.run += 1;
            self.at = 0;
        }
        false
    }

    /// Whether these bytes are anywhere.
    pub(crate) fn has(&self, part: &[u8]) -> bool {
        self.runs.iter().any(|run| memmem::find(run, part).is_some())
    }
}
