//! One recording opened: a file, a pipe, the standard input.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;
use std::time::SystemTime;

use thiserror::Error;

use super::names::Name;
use super::{Format, FormatError, ReadRecords};
use crate::recording::UnknownFormat;

/// Enough of an input to tell its format by, also where it is compressed.
pub(super) const SNIFFED: usize = 4096;

/// Of fewer bytes one format may be taken for another.
const TOLD: usize = 16;

/// Why a recording cannot be read.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Neither its name nor its start says a format.
    #[error(transparent)]
    Unknown(#[from] UnknownFormat),
    /// It is no recording of that format.
    #[error("{}: {source}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What about it.
        source: FormatError,
    },
    /// It cannot be opened.
    #[error("{}: cannot be opened: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a folder.
    #[error("{}: found a folder, expected files: {}/*.avro", path.display(), path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A glob that matches no file.
    #[error("{pattern}: found no file of that name, expected at least one")]
    NoMatch {
        /// The glob.
        pattern: String,
    },
    /// A glob that makes no sense.
    #[error("{pattern}: found a glob that cannot be read ({expected}), expected one as in traffic-*.avro")]
    Glob {
        /// The glob.
        pattern: String,
        /// What about it.
        expected: &'static str,
    },
    /// The standard input, a second time.
    #[error("-: found it twice, expected the standard input once")]
    StdinTwice,
    /// The standard input is of no format that is known.
    #[error("-: found {found}, expected a recording")]
    Unsniffed {
        /// Its first bytes, escaped.
        found: String,
    },
}

/// Whether what was read of it is gone: the standard input, a named pipe, a shell's `<(…)`.
pub(super) fn can_be_read_once(name: &Name) -> bool {
    match name {
        Name::Stdin => true,
        Name::File(path) => !path.is_file(),
    }
}

/// Begins to read; where it can be, at the first record that may have begun at `from` or later.
pub(super) fn open(
    name: &Name,
    format: Option<Format>,
    from: Option<SystemTime>,
) -> Result<Box<dyn ReadRecords>, OpenError> {
    let path = name.path();
    let failed = |source| OpenError::Io { path: path.clone(), source };
    let foreign = |source| OpenError::Foreign { path: path.clone(), source };
    match name {
        Name::Stdin => match format {
            Some(format) => format.reader(io::stdin()).map_err(foreign),
            None => {
                let start = start_of(&mut io::stdin()).map_err(failed)?;
                let unsniffed =
                    || OpenError::Unsniffed { found: format!("\"{}\"", start[..start.len().min(8)].escape_ascii()) };
                let format = Format::sniff(&start).ok_or_else(unsniffed)?;
                format.reader(io::Cursor::new(start).chain(io::stdin())).map_err(foreign)
            }
        },
        Name::File(path) => {
            let mut file = File::open(path).map_err(failed)?;
            let is_file = path.is_file();
            let named = Format::of(path);
            if named.is_err() && !is_file {
                // Nobody names a pipe.
                let start = start_of(&mut file).map_err(failed)?;
                let format = Format::sniff(&start).map_or(named, Ok)?;
                return format.reader(io::Cursor::new(start).chain(file)).map_err(foreign);
            }
            let format = match named {
                Ok(format) => format,
                Err(unknown) => {
                    let start = start_of(&mut file).map_err(failed)?;
                    file.rewind().map_err(failed)?;
                    Format::sniff(&start).ok_or(unknown)?
                }
            };
            match from {
                Some(from) if is_file => format.reader_from(file, from).map_err(foreign),
                _ => format.reader(file).map_err(foreign),
            }
        }
    }
}

/// Enough of an input's start to tell its format by, where there is so much; no more is waited for.
fn start_of(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = vec![0; SNIFFED];
    let mut length = 0;
    while length < SNIFFED {
        match input.read(&mut start[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if length >= TOLD && Format::sniff(&start[..length]).is_some() {
            break;
        }
    }
    start.truncate(length);
    Ok(start)
}
