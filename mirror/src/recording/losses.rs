//! What is lost on the way: of an input that is damaged, and of a record that goes into a format which has no place for all of it.

use std::collections::BTreeMap;
use std::fmt;

/// What of an input could not be read. All zero for a sound one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Stretches of damage with something sound behind them, mostly one record or block each, but neighbours may count as one.
    pub stretches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes behind the last whole record, as a crash in the middle of a write leaves them.
    pub torn: u64,
    /// Responses and answers whose request is not there. (A request without a response is a record without one, and no loss.)
    pub orphans: u64,
    /// The first of all these.
    pub first: Option<Damage>,
}

/// A place that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// How many bytes are before it; of a compressed file, of what was compressed.
    pub offset: u64,
    /// What is wrong there.
    pub reason: &'static str,
}

impl Losses {
    /// Whether anything was lost.
    pub fn any(&self) -> bool {
        *self != Losses::default()
    }

    /// A stretch with something sound behind it.
    pub(super) fn stretch(&mut self, offset: u64, bytes: u64, reason: &'static str) {
        self.stretches += 1;
        self.bytes += bytes;
        self.at(offset, reason);
    }

    /// The end, behind the last whole record.
    pub(super) fn torn(&mut self, offset: u64, bytes: u64, reason: &'static str) {
        self.torn += bytes;
        self.at(offset, reason);
    }

    /// A response or answer without its request.
    pub(super) fn orphan(&mut self, offset: u64, reason: &'static str) {
        self.orphans += 1;
        self.at(offset, reason);
    }

    fn at(&mut self, offset: u64, reason: &'static str) {
        if self.first.is_none_or(|first| offset < first.offset) {
            self.first = Some(Damage { offset, reason });
        }
    }
}

/// As a clause: `3 damaged stretches (1200 bytes), the first at byte 77: not an HTTP/1 message`.
impl fmt::Display for Losses {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        let mut parts = Vec::new();
        if self.stretches > 0 {
            parts.push(format!(
                "{} damaged stretch{} ({} bytes)",
                self.stretches,
                if self.stretches == 1 { "" } else { "es" },
                self.bytes
            ));
        }
        if self.orphans > 0 {
            parts.push(format!("{} response{} without a request", self.orphans, plural(self.orphans)));
        }
        if self.torn > 0 {
            parts.push(format!("a torn tail of {} byte{}", self.torn, plural(self.torn)));
        }
        if let Some(Damage { offset, reason }) = self.first {
            match parts.len() {
                0 => parts.push(format!("at byte {offset}: {reason}")),
                _ => parts.push(format!("the first at byte {offset}: {reason}")),
            }
        }
        to.write_str(if parts.is_empty() { "nothing" } else { "" })?;
        to.write_str(&parts.join(", "))
    }
}

/// What of the records written a format has no place for: of each kind, in how many records there was some.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unheld(BTreeMap<&'static str, u64>);

impl Unheld {
    /// Whether there was any.
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Each kind, e.g. `the names of targets`, with the number of records.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(what, records)| (*what, *records))
    }

    pub(super) fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

/// As a list: `the client's address (2 records), trailers (1 record)`.
impl fmt::Display for Unheld {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (what, records)) in self.iter().enumerate() {
            let (comma, plural) = (if index > 0 { ", " } else { "" }, if records == 1 { "" } else { "s" });
            write!(to, "{comma}{what} ({records} record{plural})")?;
        }
        Ok(())
    }
}
