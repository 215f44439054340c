//! What keeps a path from being recorded to.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::recording::FormatError;

/// Why a path cannot be recorded to: the path, what was found there, and what was expected. Nothing was changed.
#[derive(Debug, Error)]
pub enum FileError {
    /// The path itself will not do.
    #[error("{}: found {found}, expected {expected}", path.display())]
    Name {
        /// As given.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// Something is there that is no regular file.
    #[error("{}: found {found}, expected a file, or nothing yet", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The folder the file is to be in is not there, or no folder.
    #[error("{}: found {found} at {}, expected a folder", path.display(), folder.display())]
    NoFolder {
        /// The file that was to be.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// A file is there that is not a recording of this version; it is left as it is.
    #[error("{}: {source}; it is left as it is", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// What it is.
        source: FormatError,
    },
    /// Another process, or another sink of this one, is recording to the file.
    #[error("{}: found a file that is being recorded to by another process, expected one that is not", path.display())]
    Locked {
        /// Where.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What it was done to.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl FileError {
    /// For `map_err`: the system refused this.
    pub(super) fn io(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> FileError {
        let path = path.into();
        move |source| FileError::Io { path, action, source }
    }
}

/// Keeps the kind, so that a full disk is still told from other faults.
impl From<FileError> for io::Error {
    fn from(error: FileError) -> io::Error {
        let kind = match &error {
            FileError::Io { source, .. } => source.kind(),
            FileError::Locked { .. } => io::ErrorKind::WouldBlock,
            FileError::NoFolder { .. } => io::ErrorKind::NotFound,
            FileError::Name { .. } | FileError::NotAFile { .. } | FileError::Foreign { .. } => {
                io::ErrorKind::AlreadyExists
            }
        };
        io::Error::new(kind, error)
    }
}
