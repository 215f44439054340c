//! The head of a file: magic, metadata, marker (spec: Object Container Files).

use std::io::{self, Read};

use thiserror::Error;

use super::container::MARKER_LENGTH;
use super::long::{self, Taken};
use super::schema::{self, SCHEMA, SCHEMA_NAME};
use super::{Input, MAX_BLOCK};
use crate::recording::FormatError;

/// How a file begins.
pub(crate) const MAGIC: &[u8; 4] = b"Obj\x01";

/// The most a header may take. Ours takes 5 KB; other tools may add metadata of their own.
const MAX_HEADER: usize = 1 << 20;

/// How the blocks of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all. Never written; read because other tools write it.
    Null,
    /// One zstd frame a block; what is written.
    Zstandard,
}

/// What a file's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// How the blocks are compressed.
    pub(crate) codec: Codec,
    /// What ends every block.
    pub(crate) marker: [u8; MARKER_LENGTH],
    /// How many bytes the header takes; the first block is right behind.
    pub(crate) length: usize,
}

/// Why a file is not a recording that can be read.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// It is something else.
    #[error("found {found}, expected an Avro recording, which begins with \"Obj\\x01\"")]
    NotAvro {
        /// Its first bytes, escaped.
        found: String,
    },
    /// It ends within its header: nothing was ever recorded, or a crash left it so.
    #[error("found {length} bytes that end within the header, expected a whole one")]
    Torn {
        /// How many bytes there are.
        length: usize,
    },
    /// The header makes no sense.
    #[error("found a corrupt header ({what}), expected that of an Avro recording")]
    Corrupt {
        /// What about it.
        what: &'static str,
    },
    /// It is an Avro file of something else, or a recording of another version.
    #[error("found an Avro file of {found}, expected {SCHEMA_NAME} as this version writes it")]
    OtherSchema {
        /// What its schema describes.
        found: String,
    },
    /// Its compression is not supported.
    #[error("found the codec {found}, expected zstandard")]
    OtherCodec {
        /// As the header names it.
        found: String,
    },
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl From<HeaderError> for FormatError {
    fn from(error: HeaderError) -> FormatError {
        let ours = || format!("{SCHEMA_NAME} as this version writes it");
        match error {
            HeaderError::NotAvro { found } => {
                FormatError::foreign(0, found, "an Avro recording, which begins with \"Obj\\x01\"")
            }
            HeaderError::Torn { length } => FormatError::Torn { length: length as u64 },
            HeaderError::Corrupt { what } => {
                FormatError::foreign(0, format!("a corrupt header ({what})"), "that of an Avro recording")
            }
            HeaderError::OtherSchema { found } => FormatError::foreign(0, format!("an Avro file of {found}"), ours()),
            HeaderError::OtherCodec { found } => FormatError::foreign(0, format!("the codec {found}"), "zstandard"),
            HeaderError::Io(error) => FormatError::Io(error),
        }
    }
}

impl Header {
    /// Reads a header off the front of `input`.
    pub(crate) fn read<R: Read>(input: &mut Input<R>) -> Result<Header, HeaderError> {
        let mut wanted = 1;
        loop {
            // No more is waited for than it takes: of one that is being written, no more may be there.
            let bytes = input.want(wanted)?;
            let at_end = bytes.len() < wanted;
            if let Some(header) = parse(bytes)? {
                input.take(header.length);
                return Ok(header);
            }
            if at_end {
                return Err(HeaderError::Torn { length: bytes.len() });
            }
            if bytes.len() >= MAX_HEADER {
                return Err(HeaderError::Corrupt { what: "longer than 1 MiB" });
            }
            wanted = bytes.len() + 1;
        }
    }
}

/// A header for a new file with this marker.
pub(crate) fn write(marker: &[u8; MARKER_LENGTH]) -> Vec<u8> {
    let mut header = before_marker();
    header.extend_from_slice(marker);
    header
}

/// Whether these bytes, too few for a header, are the start of one that we wrote.
pub(crate) fn is_start_of_header(bytes: &[u8]) -> bool {
    let ours = before_marker();
    let fixed = bytes.len().min(ours.len());
    bytes.len() < ours.len() + MARKER_LENGTH && bytes[..fixed] == ours[..fixed]
}

fn before_marker() -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    long::put(&mut header, 2);
    for (key, value) in [("avro.schema", SCHEMA), ("avro.codec", "zstandard")] {
        for part in [key, value] {
            long::put(&mut header, part.len() as i64);
            header.extend_from_slice(part.as_bytes());
        }
    }
    header.push(0);
    header
}

/// Parses the header at the start of `bytes`; none where more bytes are needed.
fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let magic = bytes.len().min(MAGIC.len());
    if bytes[..magic] != MAGIC[..magic] {
        let found = format!("\"{}\"", bytes[..bytes.len().min(8)].escape_ascii());
        return Err(HeaderError::NotAvro { found });
    }
    let mut rest = Rest { bytes, at: magic };
    match metadata(&mut rest) {
        Ok((schema, codec)) => {
            let Some(marker) = bytes.get(rest.at..rest.at + MARKER_LENGTH) else { return Ok(None) };
            let marker = marker.try_into().expect("its length was asked for");
            let schema = schema.ok_or(HeaderError::Corrupt { what: "no avro.schema" })?;
            schema::is_ours(schema).map_err(|found| HeaderError::OtherSchema { found })?;
            let codec = match codec {
                Some(b"zstandard") => Codec::Zstandard,
                None | Some(b"null") => Codec::Null,
                Some(other) => {
                    return Err(HeaderError::OtherCodec { found: other.escape_ascii().to_string() });
                }
            };
            Ok(Some(Header { codec, marker, length: rest.at + MARKER_LENGTH }))
        }
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Corrupt(what)) => Err(HeaderError::Corrupt { what }),
    }
}

/// Why the metadata could not be read to its end.
enum Stop {
    Incomplete,
    Corrupt(&'static str),
}

type Metadata<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// The schema and the codec, out of a map of bytes; what else is in there is another tool's business.
fn metadata<'a>(rest: &mut Rest<'a>) -> Result<Metadata<'a>, Stop> {
    let (mut schema, mut codec) = (None, None);
    loop {
        let count = match rest.long()? {
            0 => return Ok((schema, codec)),
            count if count < 0 => {
                rest.long()?; // its size in bytes, for those who want to skip it
                count.unsigned_abs()
            }
            count => count.unsigned_abs(),
        };
        // Every entry takes two bytes at least, so this ends with the bytes, whatever the count.
        for _ in 0..count {
            let (key, value) = (rest.bytes()?, rest.bytes()?);
            match key {
                b"avro.schema" => schema = Some(value),
                b"avro.codec" => codec = Some(value),
                _ => {}
            }
        }
    }
}

struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn long(&mut self) -> Result<i64, Stop> {
        match long::take(&self.bytes[self.at..]) {
            Taken::Value(value, length) => {
                self.at += length;
                Ok(value)
            }
            Taken::Incomplete => Err(Stop::Incomplete),
            Taken::Overlong => Err(Stop::Corrupt("an integer of more than 64 bits")),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Stop> {
        let length = usize::try_from(self.long()?).map_err(|_| Stop::Corrupt("a negative length"))?;
        if length > MAX_BLOCK {
            return Err(Stop::Corrupt("an absurd length"));
        }
        let bytes = self.bytes.get(self.at..self.at + length).ok_or(Stop::Incomplete)?;
        self.at += length;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
        Header::read(&mut Input::new(bytes))
    }

    fn with_metadata(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (key, value) in entries {
            long::put(&mut bytes, 1); // one block of the map for each, as a writer may
            for part in [key, value] {
                long::put(&mut bytes, part.len() as i64);
                bytes.extend_from_slice(part.as_bytes());
            }
        }
        bytes.push(0);
        bytes.extend_from_slice(&[7; MARKER_LENGTH]);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = write(&[9; MARKER_LENGTH]);
        let header = read(&[&bytes[..], b"more"].concat()).unwrap();
        assert_eq!(header, Header { codec: Codec::Zstandard, marker: [9; MARKER_LENGTH], length: bytes.len() });
    }

    #[test]
    fn every_start_of_a_header_is_torn_and_known_as_ours() {
        let bytes = write(&[9; MARKER_LENGTH]);
        for length in 0..bytes.len() {
            let start = &bytes[..length];
            assert!(matches!(read(start), Err(HeaderError::Torn { length: found }) if found == length), "{length}");
            assert!(is_start_of_header(start), "{length}");
        }
        assert!(!is_start_of_header(&bytes));
        assert!(!is_start_of_header(b"Obj\x02"));
        assert!(!is_start_of_header(b"x"));
    }

    #[test]
    fn other_headers() {
        let others = [("user", "anything"), ("avro.schema", SCHEMA), ("avro.codec", "null")];
        assert_eq!(read(&with_metadata(&others)).unwrap().codec, Codec::Null);
        assert_eq!(read(&with_metadata(&others[..2])).unwrap().codec, Codec::Null);

        for (bytes, message) in [
            (
                b"PK\x03\x04....".to_vec(),
                r#"found "PK\x03\x04....", expected an Avro recording, which begins with "Obj\x01""#,
            ),
            (
                with_metadata(&[("avro.schema", "\"long\"")]),
                "found an Avro file of long, expected mirror.Exchange as this version writes it",
            ),
            (with_metadata(&[("avro.schema", SCHEMA), ("avro.codec", "xz")]), "found the codec xz, expected zstandard"),
            (
                with_metadata(&[("avro.codec", "null")]),
                "found a corrupt header (no avro.schema), expected that of an Avro recording",
            ),
            (
                b"Obj\x01\x02\x01".to_vec(),
                "found a corrupt header (a negative length), expected that of an Avro recording",
            ),
            (
                b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
                "found a corrupt header (an integer of more than 64 bits), expected that of an Avro recording",
            ),
            (
                b"Obj\x01\x02\xfe\xff\xff\xff\xff\xff\x0f".to_vec(),
                "found a corrupt header (an absurd length), expected that of an Avro recording",
            ),
            (
                [b"Obj\x01\xfe\xff\xff\xff\x0f".to_vec(), vec![0; 2 * MAX_HEADER]].concat(),
                "found a corrupt header (longer than 1 MiB), expected that of an Avro recording",
            ),
            (b"".to_vec(), "found 0 bytes that end within the header, expected a whole one"),
        ] {
            assert_eq!(read(&bytes).unwrap_err().to_string(), message);
        }
    }
}
