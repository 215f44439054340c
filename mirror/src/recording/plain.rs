//! Formats that are written record behind record, each as bytes of its own: all but Avro.

use std::io::{self, Write};

use super::{Kind, PlainEncoder, Record, Unheld, WriteRecords, gor, har, jsonl};

mod room;

pub(super) use room::Need;
pub(crate) use room::Room;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    Gor,
    Har,
    Jsonl,
}

/// A record that a format cannot hold; it is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be written in this format, expected {expected}")]
pub(crate) struct Unfit {
    what: &'static str,
    expected: &'static str,
}

impl Unfit {
    pub(super) fn new(expected: &'static str, what: &'static str) -> Unfit {
        Unfit { what, expected }
    }
}

/// Why a record was not encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The format cannot hold it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// There is no room for its encoding.
    #[error("there is no room for its encoding")]
    NoRoom,
}

impl Plain {
    /// Which of them it is; none for Avro.
    pub(crate) fn of(kind: Kind) -> Option<Plain> {
        match kind {
            Kind::Avro => None,
            Kind::Gor => Some(Plain::Gor),
            Kind::Har => Some(Plain::Har),
            Kind::Jsonl => Some(Plain::Jsonl),
        }
    }

    /// What every record ends with; nothing where that does not tell.
    pub(super) fn ends_with(self) -> &'static [u8] {
        match self {
            Plain::Gor => gor::SEPARATOR,
            Plain::Har => b"",
            Plain::Jsonl => b"\n",
        }
    }

    /// What a file begins with.
    pub(crate) fn head(self) -> &'static [u8] {
        match self {
            Plain::Gor | Plain::Jsonl => b"",
            Plain::Har => har::HEAD,
        }
    }

    /// What stands between two records.
    pub(crate) fn between(self) -> &'static [u8] {
        match self {
            Plain::Gor | Plain::Jsonl => b"",
            Plain::Har => har::BETWEEN,
        }
    }

    /// What a file ends with.
    pub(crate) fn tail(self) -> &'static [u8] {
        match self {
            Plain::Gor | Plain::Jsonl => b"",
            Plain::Har => har::TAIL,
        }
    }

    /// Appends a record, and asks for the room for it first; nothing where it is refused.
    pub(crate) fn encode(
        self,
        record: &Record,
        into: &mut Vec<u8>,
        unheld: &mut Unheld,
        room: &mut Room<'_>,
    ) -> Result<(), Refused> {
        match self {
            Plain::Gor => gor::encode(record, into, unheld, room),
            Plain::Har => har::encode(record, into, room),
            Plain::Jsonl => jsonl::encode(record, into, room),
        }
    }
}

/// What is held back before it is written: as `record.flush_bytes` by default.
const BLOCK: usize = 256 << 10;

/// Writes records one by one, in blocks one behind the other.
pub(super) struct Writer<W> {
    plain: Plain,
    output: W,
    encoder: PlainEncoder,
    /// What is still to be written before anything else.
    head: &'static [u8],
    any: bool,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(plain: Plain, output: W) -> Writer<W> {
        Writer { plain, output, encoder: PlainEncoder::new(plain, BLOCK), head: plain.head(), any: false }
    }

    fn write_held(&mut self) -> io::Result<()> {
        self.output.write_all(std::mem::take(&mut self.head))?;
        if self.encoder.is_empty() {
            return Ok(());
        }
        if std::mem::replace(&mut self.any, true) {
            self.output.write_all(self.plain.between())?;
        }
        self.output.write_all(&self.encoder.take().bytes)
    }
}

impl<W: Write + Send> WriteRecords for Writer<W> {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        // Its caller holds records one by one, and has no bound to ask.
        let refused = |refused| io::Error::new(io::ErrorKind::InvalidInput, refused);
        self.encoder.push(record, &mut |_| true).map_err(refused)?;
        if self.encoder.len() >= BLOCK { self.write_held() } else { Ok(()) }
    }

    fn unheld(&self) -> &Unheld {
        self.encoder.unheld()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_held()?;
        self.output.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<Unheld> {
        self.write_held()?;
        self.output.write_all(self.plain.tail())?;
        self.output.flush()?;
        Ok(self.encoder.into_unheld())
    }
}

#[cfg(test)]
mod tests;
