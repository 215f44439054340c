//! Formats that are written record behind record, each as bytes of its own: all but Avro.

use std::io::{self, Write};

use super::{Kind, Record, Unheld, WriteRecords, gor, har, jsonl};

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

    /// Appends a record; nothing where it cannot be held.
    pub(crate) fn encode(self, record: &Record, into: &mut Vec<u8>, unheld: &mut Unheld) -> Result<(), Unfit> {
        match self {
            Plain::Gor => gor::encode(record, into, unheld),
            Plain::Har => {
                har::encode(record, into);
                Ok(())
            }
            Plain::Jsonl => {
                jsonl::encode(record, into);
                Ok(())
            }
        }
    }
}

/// What is held back before it is written: as `record.flush_bytes` by default.
const BLOCK: usize = 256 << 10;

/// Writes records one by one.
pub(super) struct Writer<W> {
    plain: Plain,
    output: W,
    held: Vec<u8>,
    any: bool,
    unheld: Unheld,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(plain: Plain, output: W) -> Writer<W> {
        Writer { plain, output, held: plain.head().to_vec(), any: false, unheld: Unheld::default() }
    }

    fn write_held(&mut self) -> io::Result<()> {
        self.output.write_all(&self.held)?;
        self.held.clear();
        // A huge record must not cost its memory for good.
        self.held.shrink_to(2 * BLOCK);
        Ok(())
    }
}

impl<W: Write + Send> WriteRecords for Writer<W> {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let start = self.held.len();
        if self.any {
            self.held.extend_from_slice(self.plain.between());
        }
        if let Err(unfit) = self.plain.encode(record, &mut self.held, &mut self.unheld) {
            self.held.truncate(start);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, unfit));
        }
        self.any = true;
        if self.held.len() >= BLOCK { self.write_held() } else { Ok(()) }
    }

    fn unheld(&self) -> &Unheld {
        &self.unheld
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_held()?;
        self.output.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<Unheld> {
        self.held.extend_from_slice(self.plain.tail());
        self.flush()?;
        Ok(self.unheld)
    }
}
