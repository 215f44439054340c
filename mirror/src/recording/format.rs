//! What the formats of recordings have in common: how they are told apart, read and written.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use thiserror::Error;

use super::{Record, avro};

/// A format of recordings. The file's extension picks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// [Avro](avro), the native one: keeps all that a [`Record`] has.
    Avro,
}

/// Takes records out of an input, one after the other, in memory bounded by the largest of them.
pub trait ReadRecords: Send {
    /// The next record; none at the end, for good.
    ///
    /// Damage is no error: what is whole behind it is read, and [`losses`](Self::losses) tells what was not.
    ///
    /// # Errors
    /// Those of the input.
    fn read(&mut self) -> io::Result<Option<Record>>;

    /// What could not be read so far; of the whole input once the reader is at its end.
    fn losses(&self) -> avro::Losses;
}

/// Puts records into an output, one after the other, in memory bounded by the largest of them and the format's block.
pub trait WriteRecords: Send {
    /// Adds one record, which may be held back for a block.
    ///
    /// # Errors
    /// Those of the output, after which it may end in a torn record; where the format cannot hold the record.
    fn write(&mut self, record: &Record) -> io::Result<()>;

    /// Writes out what is held back, so that the output is whole up to here.
    ///
    /// # Errors
    /// Those of the output.
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the output as the format asks for it.
    ///
    /// # Errors
    /// Those of the output.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A name whose extension says no format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found {name}, expected a name that ends in one of {}", Extensions)]
pub struct UnknownFormat {
    /// The file's name.
    pub name: String,
}

struct Extensions;

impl fmt::Display for Extensions {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Format::ALL.iter().map(|format| format!(".{}", format.extension())).collect();
        to.write_str(&names.join(", "))
    }
}

impl Format {
    /// All there are.
    pub const ALL: [Format; 1] = [Format::Avro];

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Avro => "avro",
        }
    }

    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// Where it asks for none.
    pub fn of(path: &Path) -> Result<Format, UnknownFormat> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let known = Format::ALL.into_iter().find(|format| extension.eq_ignore_ascii_case(format.extension()));
        known.ok_or_else(|| UnknownFormat { name: path.display().to_string() })
    }

    /// The format whose recordings begin as these bytes do.
    pub fn sniff(start: &[u8]) -> Option<Format> {
        start.starts_with(avro::MAGIC).then_some(Format::Avro)
    }

    /// Begins to read at the first record that may have begun at `from` or later, or before it, where the format has no way to find it.
    ///
    /// # Errors
    /// As of [`Format::reader`].
    pub fn reader_from(self, file: File, from: SystemTime) -> Result<Box<dyn ReadRecords>, avro::HeaderError> {
        match self {
            Format::Avro => Ok(Box::new(avro::enter(file, from)?)),
        }
    }

    /// Begins to read. What of the file is no recording of this format is told now, where that can be seen at its start.
    ///
    /// # Errors
    /// Where it is no such recording; those of the input.
    pub fn reader(self, input: impl Read + Send + 'static) -> Result<Box<dyn ReadRecords>, avro::HeaderError> {
        match self {
            Format::Avro => Ok(Box::new(avro::Reader::new(input)?)),
        }
    }

    /// Begins to write.
    ///
    /// # Errors
    /// Those of the output.
    pub fn writer(self, output: impl Write + Send + 'static) -> io::Result<Box<dyn WriteRecords>> {
        match self {
            Format::Avro => Ok(Box::new(avro::RecordWriter::new(output)?)),
        }
    }
}

impl<R: Read + Send> ReadRecords for avro::Reader<R> {
    fn read(&mut self) -> io::Result<Option<Record>> {
        avro::Reader::read(self)
    }

    fn losses(&self) -> avro::Losses {
        avro::Reader::losses(self)
    }
}
