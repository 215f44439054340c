//! What stands at a path: nothing, a recording and how far it is whole, or something to keep the hands off.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use super::{FileError, shape};
use crate::recording::avro::{self, Codec, Header, HeaderError, Input, MARKER_LENGTH};
use crate::recording::plain::Plain;
use crate::recording::{Format, FormatError};

/// What a path holds that can be recorded to.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nothing yet.
    Nothing,
    /// A file with nothing in it but, at the most, the start of a header of ours.
    Bare(File),
    /// A recording.
    Recording(Found),
}

/// A recording that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    pub(super) marker: [u8; MARKER_LENGTH],
    pub(super) extent: Extent,
    /// When the file was made, where the file system knows.
    pub(super) made: Option<SystemTime>,
}

/// How far a recording is whole, in bytes where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// How many blocks.
    pub(super) blocks: u64,
    /// Where the last whole one ends.
    pub(super) end: u64,
    /// Damage before that, which the reader skips.
    pub(super) damaged: u64,
    /// What is behind that.
    pub(super) torn: u64,
    /// What the last whole one ends with, where it is not there: readers take it so, and the next would run into it.
    pub(super) lacks: &'static [u8],
}

/// Looks at a path, and locks the file where there is one. Nothing is changed.
///
/// A symbolic link to a recording is followed: an operator who links `traffic.avro` to another disk means it. One that leads
/// nowhere is refused, as creating its target would let anyone who can write to the folder choose where a file appears.
pub(super) fn look(path: &Path, folder: &Path, lock: Lock, format: Format) -> Result<Standing, FileError> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(found) => {
            return Err(FileError::NotAFile { path: path.to_owned(), found: kind(found.file_type()) });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                let found = "a symbolic link that leads nowhere";
                return Err(FileError::NotAFile { path: path.to_owned(), found });
            }
            look_at_folder(path, folder)?;
            return Ok(Standing::Nothing);
        }
        Err(error) => {
            look_at_folder(path, folder)?;
            return Err(FileError::io(path, "look at it")(error));
        }
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(FileError::io(path, "open it"))?;
    lock.take(&file, path)?;
    let metadata = file.metadata().map_err(FileError::io(path, "look at it"))?;
    if metadata.nlink() == 0 {
        // Removed between opening and locking, by one who keeps within a limit.
        return Ok(Standing::Nothing);
    }
    let foreign = |source| FileError::Foreign { path: path.to_owned(), source };
    let made = metadata.created().ok();
    if let Some(plain) = Plain::of(format.kind) {
        let marker = [0; MARKER_LENGTH];
        return match shape::measure(plain, format.gzip, &file, metadata.len()) {
            Ok(shape::Found::Bare) => Ok(Standing::Bare(file)),
            Ok(shape::Found::Whole(extent)) => Ok(Standing::Recording(Found { file, marker, extent, made })),
            Err(FormatError::Io(error)) => Err(FileError::io(path, "read it")(error)),
            Err(error) => Err(foreign(error)),
        };
    }
    match Header::read(&mut Input::new(&file)) {
        Ok(header) if header.codec == Codec::Null => {
            Err(foreign(HeaderError::OtherCodec { found: "null".into() }.into()))
        }
        Ok(header) => {
            let extent = measure(&file, &header, metadata.len()).map_err(FileError::io(path, "read it"))?;
            Ok(Standing::Recording(Found { file, marker: header.marker, extent, made }))
        }
        Err(HeaderError::Torn { length }) => {
            let mut start = vec![0; length];
            file.read_exact_at(&mut start, 0).map_err(FileError::io(path, "read it"))?;
            if avro::is_start_of_header(&start) {
                Ok(Standing::Bare(file))
            } else {
                Err(foreign(HeaderError::Torn { length }.into()))
            }
        }
        Err(HeaderError::Io(error)) => Err(FileError::io(path, "read it")(error)),
        Err(error) => Err(foreign(error.into())),
    }
}

fn look_at_folder(path: &Path, folder: &Path) -> Result<(), FileError> {
    let found = match fs::metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(found) => kind(found.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "nothing",
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => "a path through a file",
        Err(error) => return Err(FileError::io(folder, "look at it")(error)),
    };
    Err(FileError::NoFolder { path: path.to_owned(), folder: folder.to_owned(), found })
}

fn kind(file_type: fs::FileType) -> &'static str {
    match file_type {
        kind if kind.is_file() => "a file",
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something special",
    }
}

/// How a file is kept for oneself. The locks are advisory (flock): they bind `mirror` alone, and end with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// To record to it.
    Exclusive,
    /// To see whether one could: others may see so at the same time.
    Shared,
}

impl Lock {
    pub(super) fn take(self, file: &File, path: &Path) -> Result<(), FileError> {
        let result = match self {
            Lock::Exclusive => file.try_lock(),
            Lock::Shared => file.try_lock_shared(),
        };
        match result {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(FileError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %path.display(), "this file system has no locks: nothing keeps another process off the recording");
                Ok(())
            }
            Err(TryLockError::Error(error)) => Err(FileError::io(path, "lock it")(error)),
        }
    }
}

/// Makes a new, empty file, for its owner alone, and locks it. Never follows a link, never touches what is there.
pub(super) fn create(path: &Path) -> Result<File, FileError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(FileError::io(path, "create it"))?;
    Lock::Exclusive.take(&file, path)?;
    Ok(file)
}

/// Walks the blocks by their sizes and markers, without reading what is in them.
fn measure(file: &File, header: &Header, length: u64) -> io::Result<Extent> {
    let mut extent = Extent { blocks: 0, end: header.length as u64, damaged: 0, torn: 0, lacks: b"" };
    let mut at = extent.end;
    while at < length {
        if let Some(next) = end_of_block(file, at, &header.marker)? {
            extent.blocks += 1;
            at = next;
        } else if let Some(next) = end_of_damage(file, at, &header.marker)? {
            // Whole blocks may follow: cutting here would lose them.
            extent.damaged += next - at;
            at = next;
        } else {
            break;
        }
        extent.end = at;
    }
    extent.torn = length - extent.end;
    Ok(extent)
}

/// Where the block that begins at `at` ends; none where none does.
fn end_of_block(file: &File, at: u64, marker: &[u8; MARKER_LENGTH]) -> io::Result<Option<u64>> {
    let mut bytes = [0; 20];
    let read = read_at(file, &mut bytes, at)?;
    let Some((_, data)) = avro::block_head(&bytes[..read]) else { return Ok(None) };
    let end = at + data.end as u64;
    let mut found = [0; MARKER_LENGTH];
    let read = read_at(file, &mut found, end)?;
    Ok((read == MARKER_LENGTH && found == *marker).then_some(end + MARKER_LENGTH as u64))
}

/// Where the next marker ends; none where there is none.
fn end_of_damage(file: &File, mut at: u64, marker: &[u8; MARKER_LENGTH]) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; 1 << 20];
    loop {
        let read = read_at(file, &mut bytes, at)?;
        if let Some(found) = avro::find(&bytes[..read], marker) {
            return Ok(Some(at + (found + MARKER_LENGTH) as u64));
        }
        if read < bytes.len() {
            return Ok(None);
        }
        at += (read - (MARKER_LENGTH - 1)) as u64;
    }
}

/// Reads until `bytes` is full or the file ends.
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
