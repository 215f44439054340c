//! Several recordings read as one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Format, FormatError, Losses, ReadRecords, Record, UnknownFormat};

/// Why a recording cannot be read.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its name says no format.
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
}

/// The records of several recordings: an iterator that ends for good at the first error of an input.
pub struct Recordings {
    /// Those still to be read, the present one last.
    readers: Vec<(PathBuf, Box<dyn ReadRecords>)>,
    losses: Vec<(PathBuf, Losses)>,
}

impl Recordings {
    /// Opens recordings, each in the format that its extension names.
    ///
    /// # Errors
    /// Every one that cannot be read.
    pub fn open(paths: &[PathBuf]) -> Result<Recordings, Vec<OpenError>> {
        let mut errors = Vec::new();
        let mut readers = Vec::new();
        for path in paths.iter().rev() {
            match open(path) {
                Ok(reader) => readers.push((path.clone(), reader)),
                Err(error) => errors.insert(0, error),
            }
        }
        if errors.is_empty() { Ok(Recordings { readers, losses: Vec::new() }) } else { Err(errors) }
    }

    /// What could not be read, of each recording that has come to its end and was not sound.
    pub fn losses(&self) -> &[(PathBuf, Losses)] {
        &self.losses
    }
}

impl Iterator for Recordings {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (path, reader) = self.readers.last_mut()?;
            match reader.read() {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {
                    let losses = reader.losses();
                    if losses.any() {
                        self.losses.push((path.clone(), losses));
                    }
                    self.readers.pop();
                }
                Err(error) => {
                    self.readers.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn ReadRecords>, OpenError> {
    let format = Format::of(path)?;
    let file = File::open(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    format.reader(file).map_err(|source| OpenError::Foreign { path: path.to_owned(), source })
}
