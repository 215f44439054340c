//! What the formats of recordings have in common: how they are told apart, read and written.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;
use std::str::FromStr;
use std::time::SystemTime;

use thiserror::Error;

use super::plain::{self, Plain};
use super::{Losses, Record, Unheld, avro, gor, gzip, har, jsonl};

/// How the records of a recording are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [Avro](avro), the native one: keeps all that a [`Record`] has.
    Avro,
    /// [GoReplay's own](gor).
    Gor,
    /// [HAR](har): what browsers' tools open; keeps all too.
    Har,
    /// [JSON Lines](jsonl): for people, jq and scripts; keeps all too.
    Jsonl,
}

/// A format of recordings. The file's extension picks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// How its records are written.
    pub kind: Kind,
    /// Whether the whole is compressed by gzip.
    pub gzip: bool,
}

/// Takes records out of an input, one after the other, in memory bounded by the format's named bounds.
pub trait ReadRecords: Send {
    /// The next record; none at the end, for good.
    ///
    /// Damage is no error: what is whole behind it is read, and [`losses`](Self::losses) tells what was not.
    ///
    /// # Errors
    /// Those of the input, after which nothing more is read.
    fn read(&mut self) -> io::Result<Option<Record>>;

    /// What could not be read so far; of the whole input once the reader is at its end.
    fn losses(&self) -> Losses;
}

/// Puts records into an output, one after the other, in memory bounded by the largest of them and the format's block.
pub trait WriteRecords: Send {
    /// Adds one record, which may be held back for a block.
    ///
    /// # Errors
    /// `InvalidInput` where the format cannot hold the record at all: it is left out, and the next may be written. Those of the
    /// output, after which it may end in a torn record.
    fn write(&mut self, record: &Record) -> io::Result<()>;

    /// What of the records so far the format has no place for.
    fn unheld(&self) -> &Unheld;

    /// Writes out what is held back, so that a reader has all records up to here. (A HAR is a whole document only once it is finished.)
    ///
    /// # Errors
    /// Those of the output.
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the output as the format asks for it, and tells what of the records it has no place for.
    ///
    /// # Errors
    /// Those of the output.
    fn finish(self: Box<Self>) -> io::Result<Unheld>;
}

/// Why an input is no recording of the format it is said to be.
#[derive(Debug, Error)]
pub enum FormatError {
    /// It is something else, or breaks off before it has begun.
    #[error("at byte {offset}: found {found}, expected {expected}")]
    Foreign {
        /// How many bytes are before the place.
        offset: u64,
        /// What is there.
        found: String,
        /// What would do.
        expected: String,
    },
    /// It ends before it has begun: nothing was ever recorded, or a crash left it so.
    #[error("at byte {length}: found an end within the header, expected a whole one")]
    Torn {
        /// How many bytes there are.
        length: u64,
    },
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl FormatError {
    pub(super) fn foreign(offset: u64, found: impl Into<String>, expected: impl Into<String>) -> FormatError {
        FormatError::Foreign { offset, found: found.into(), expected: expected.into() }
    }

    /// For an input that begins with these bytes.
    pub(super) fn begins(bytes: &[u8], expected: impl Into<String>) -> FormatError {
        let found = match bytes.len() {
            0 => "nothing".to_owned(),
            length => format!("\"{}\"", bytes[..length.min(16)].escape_ascii()),
        };
        FormatError::foreign(0, found, expected)
    }
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
        let names: Vec<_> = Format::ALL.iter().map(|format| format!(".{format}")).collect();
        write!(to, "{}, with .gz behind it or not", names.join(", "))
    }
}

/// As an extension: `gor.gz`.
impl fmt::Display for Format {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.kind.extension())?;
        to.write_str(if self.gzip { ".gz" } else { "" })
    }
}

/// From an extension, with a dot before it or not: `gor`, `.gor.gz`.
impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Format, UnknownFormat> {
        let unknown = || UnknownFormat { name: text.to_owned() };
        let text = text.strip_prefix('.').unwrap_or(text);
        let (stem, gzip) = match text.rsplit_once('.') {
            Some((stem, end)) if end.eq_ignore_ascii_case("gz") => (stem, true),
            _ => (text, false),
        };
        let kind = Kind::ALL.into_iter().find(|kind| stem.eq_ignore_ascii_case(kind.extension()));
        kind.map(|kind| Format { kind, gzip }).ok_or_else(unknown)
    }
}

/// What is inside the object that a text begins with.
fn inside(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start().strip_prefix(b"{")
}

impl Kind {
    /// All there are.
    pub const ALL: [Kind; 4] = [Kind::Avro, Kind::Gor, Kind::Har, Kind::Jsonl];

    /// Whether a recording begins so.
    fn begins(self, start: &[u8]) -> bool {
        match self {
            Kind::Avro => start.starts_with(avro::MAGIC),
            // A message's type and id.
            Kind::Gor => matches!(start, [b'1'..=b'3', b' ', id, ..] if id.is_ascii_alphanumeric()),
            Kind::Har => inside(start).is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\"log\"")),
            Kind::Jsonl => inside(start).is_some(),
        }
    }

    /// The extension of its files, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Kind::Avro => "avro",
            Kind::Gor => "gor",
            Kind::Har => "har",
            Kind::Jsonl => "jsonl",
        }
    }
}

impl Format {
    /// The native format.
    pub const AVRO: Format = Format { kind: Kind::Avro, gzip: false };

    /// All there are, without the compressed ones.
    pub const ALL: [Format; 4] =
        [Format::AVRO, Format::plain(Kind::Gor), Format::plain(Kind::Har), Format::plain(Kind::Jsonl)];

    const fn plain(kind: Kind) -> Format {
        Format { kind, gzip: false }
    }

    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// Where it asks for none.
    pub fn of(path: &Path) -> Result<Format, UnknownFormat> {
        let unknown = || UnknownFormat { name: path.display().to_string() };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unknown)?;
        let (stem, extension) = name.rsplit_once('.').ok_or_else(unknown)?;
        let extension = match stem.rsplit_once('.') {
            Some((_, before)) if extension.eq_ignore_ascii_case("gz") => &name[name.len() - before.len() - 3..],
            _ => extension,
        };
        extension.parse().map_err(|_| unknown())
    }

    /// The format whose recordings begin as these bytes do, the first few hundred of them or all there are; compressed or not.
    pub fn sniff(start: &[u8]) -> Option<Format> {
        let mut plain = Vec::new();
        let gzip = start.starts_with(gzip::MAGIC);
        if gzip {
            // What is cut off gives what is there.
            let _ = flate2::read::GzDecoder::new(start).read_to_end(&mut plain);
        }
        let start = if gzip { &plain } else { start };
        Kind::ALL.into_iter().find(|kind| kind.begins(start)).map(|kind| Format { kind, gzip })
    }

    /// Begins to read at the first record that may have begun at `from` or later; or at the front, where the format has no way to find it.
    ///
    /// # Errors
    /// As of [`Format::reader`].
    pub fn reader_from(self, mut file: File, from: SystemTime) -> Result<Box<dyn ReadRecords>, FormatError> {
        let mut start = [0; 2];
        let gzip = file.read_exact(&mut start).is_ok() && gzip::MAGIC.starts_with(&start);
        file.rewind()?;
        match self.kind {
            Kind::Avro if !gzip => Ok(Box::new(avro::enter(file, from)?)),
            _ => self.reader(file),
        }
    }

    /// Begins to read. What of the file is no recording of this format is told now, where that can be seen at its start. A compressed
    /// input is read as such whether its name says so or not.
    ///
    /// # Errors
    /// Where it is no such recording; those of the input.
    pub fn reader(self, input: impl Read + Send + 'static) -> Result<Box<dyn ReadRecords>, FormatError> {
        let mut input = BufReader::new(input);
        if gzip::is_compressed(&mut input)? {
            let (input, broken) = gzip::decompress(input);
            return Ok(Box::new(gzip::Reader::new(self.plain_reader(input)?, broken)));
        }
        self.plain_reader(input)
    }

    fn plain_reader(self, input: impl Read + Send + 'static) -> Result<Box<dyn ReadRecords>, FormatError> {
        Ok(match self.kind {
            Kind::Avro => Box::new(avro::Reader::new(input).map_err(FormatError::from)?),
            Kind::Gor => Box::new(gor::Reader::new(input)?),
            Kind::Har => Box::new(har::Reader::new(input)?),
            Kind::Jsonl => Box::new(jsonl::Reader::new(input)?),
        })
    }

    /// Begins to write.
    ///
    /// # Errors
    /// Those of the output.
    pub fn writer(self, output: impl Write + Send + 'static) -> io::Result<Box<dyn WriteRecords>> {
        match self.gzip {
            true => self.plain_writer(gzip::Compressor::new(output)),
            false => self.plain_writer(output),
        }
    }

    fn plain_writer(self, output: impl Write + Send + 'static) -> io::Result<Box<dyn WriteRecords>> {
        Ok(match self.kind {
            Kind::Avro => Box::new(avro::RecordWriter::new(output)?),
            Kind::Gor => Box::new(plain::Writer::new(Plain::Gor, output)),
            Kind::Har => Box::new(plain::Writer::new(Plain::Har, output)),
            Kind::Jsonl => Box::new(plain::Writer::new(Plain::Jsonl, output)),
        })
    }
}

impl<R: Read + Send> ReadRecords for avro::Reader<R> {
    fn read(&mut self) -> io::Result<Option<Record>> {
        avro::Reader::read(self)
    }

    fn losses(&self) -> Losses {
        avro::Reader::losses(self)
    }
}
