//! The limit on what a recording's files take together.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::name::{NamePattern, Parts};
use super::shape;
use super::standing::Lock;
use crate::recording::avro::{Header, HeaderError, Input, SCHEMA_NAME};
use crate::recording::{Format, Kind};

/// A finished file of the recording.
#[derive(Debug)]
struct Old {
    written: SystemTime,
    parts: Parts,
    length: u64,
    path: PathBuf,
}

impl Old {
    fn age_key(&self) -> (SystemTime, &str, u64) {
        (self.written, &self.parts.stem, self.parts.number)
    }
}

/// Removes the oldest finished files until all together, the `current` file among them, take at most `keep` bytes.
/// Returns how many bytes of finished files are left that could be removed later.
///
/// What is removed is a regular file, of the recording's names, with a header of ours, and nobody is recording to it. Age is
/// the time of the last write, and for equal times the name and the number. What cannot be removed is logged and left,
/// and the next oldest goes instead.
pub(super) fn prune(names: &NamePattern, format: Format, current: &Path, current_length: u64, keep: u64) -> u64 {
    let mut old = match finished(names, format, current) {
        Ok(old) => old,
        Err(error) => {
            let folder = names.folder().display();
            tracing::warn!(%folder, %error, "cannot look for old recordings, so none is removed");
            return 0;
        }
    };
    old.sort_by(|one, other| one.age_key().cmp(&other.age_key()));
    let mut untried: u64 = old.iter().map(|file| file.length).sum();
    let mut stuck = 0;
    for file in &old {
        if current_length + untried + stuck <= keep {
            break;
        }
        untried -= file.length;
        match remove(&file.path) {
            Ok(()) => tracing::info!(path = %file.path.display(), bytes = file.length, "removed an old recording"),
            Err(error) => {
                tracing::warn!(path = %file.path.display(), %error, "cannot remove an old recording");
                stuck += file.length;
            }
        }
    }
    untried
}

/// The recording's files but the current one.
fn finished(names: &NamePattern, format: Format, current: &Path) -> io::Result<Vec<Old>> {
    let current = fs::metadata(current)?;
    let mut old = Vec::new();
    for entry in fs::read_dir(names.folder())? {
        let entry = entry?;
        let Some(parts) = names.parts(&entry.file_name()) else { continue };
        // `DirEntry::metadata` does not follow links.
        let metadata = match entry.metadata() {
            Ok(metadata) if metadata.is_file() => metadata,
            _ => continue,
        };
        if (metadata.dev(), metadata.ino()) == (current.dev(), current.ino()) {
            continue;
        }
        let path = entry.path();
        if is_recording(&path, format) {
            old.push(Old { written: metadata.modified()?, parts, length: metadata.len(), path });
        }
    }
    Ok(old)
}

/// Also one of another version: an upgrade must not leave files that are never removed.
fn is_recording(path: &Path, format: Format) -> bool {
    let Ok(file) = File::open(path) else { return false };
    if format.kind != Kind::Avro {
        return shape::is_recording(format, &file);
    }
    match Header::read(&mut Input::new(file)) {
        Ok(_) => true,
        Err(HeaderError::OtherSchema { found }) => found == SCHEMA_NAME,
        Err(_) => false,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // Held while it is removed, so that nobody begins to append to it meanwhile and records to nowhere.
    Lock::Exclusive.take(&file, path)?;
    fs::remove_file(path)
}
