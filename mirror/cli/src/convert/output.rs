//! The file that is made: whole or not at all, and never over another by mistake.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mirror::config::Fault;
use tempfile::NamedTempFile;

use crate::interrupt::Interrupt;

/// Where to write.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// Whether what is there may be replaced.
    pub(super) force: bool,
}

impl Place {
    pub(super) fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Why nothing can be written there.
    pub(super) fn fault(&self) -> Option<Fault> {
        let fault = |expected: &str| Some(Fault::new("OUT", self.path.display(), expected));
        if self.is_stdout() {
            return None;
        }
        if self.path.is_dir() || self.path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return fault("a file, not a folder");
        }
        if self.path.is_file() && !self.force {
            return fault("a file that is not there yet; `--force` replaces it");
        }
        let folder = self.folder();
        match std::fs::metadata(&folder) {
            Ok(about) if about.is_dir() => None,
            Ok(_) => fault("a file in a folder"),
            Err(error) => fault(&format!("a file in a folder that is there ({}: {error})", folder.display())),
        }
    }

    fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_stdout() {
            true => f.write_str("the standard output"),
            false => self.path.display().fmt(f),
        }
    }
}

/// What is being written.
pub(super) enum Output {
    Stdout,
    /// A device or a pipe, which cannot be replaced.
    Through(File),
    /// Beside the file that it becomes, mode 0600; gone where it does not.
    Becoming {
        file: NamedTempFile,
        path: PathBuf,
        force: bool,
    },
}

impl Output {
    pub(super) fn create(place: &Place, interrupt: &Interrupt) -> io::Result<Output> {
        if place.is_stdout() {
            return Ok(Output::Stdout);
        }
        if place.path.exists() && !place.path.is_file() {
            let file = File::options().write(true).open(&place.path)?;
            return Ok(Output::Through(file));
        }
        // Of a link the file that it leads to is replaced.
        let path = std::fs::canonicalize(&place.path).unwrap_or_else(|_| place.path.clone());
        let folder = Place { path: path.clone(), force: true }.folder();
        let file = tempfile::Builder::new().prefix(".mirror-").suffix(".part").tempfile_in(folder)?;
        interrupt.removes(file.path());
        Ok(Output::Becoming { file, path, force: place.force })
    }

    pub(super) fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Output::Stdout => Box::new(io::BufWriter::new(io::stdout())),
            Output::Through(file) => Box::new(io::BufWriter::new(file.try_clone()?)),
            Output::Becoming { file, .. } => Box::new(io::BufWriter::new(file.as_file().try_clone()?)),
        })
    }

    /// It is whole: it gets its name.
    pub(super) fn keep(self) -> io::Result<()> {
        match self {
            Output::Stdout | Output::Through(_) => Ok(()),
            Output::Becoming { file, path, force } => {
                // Else a power cut could leave the name without what it names.
                file.as_file().sync_all()?;
                let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
                kept.map(drop).map_err(|error| error.error)
            }
        }
    }
}
