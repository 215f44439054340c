//! A recording on disk: appended to block by block, whole after every write, rotated, kept within a limit.
//!
//! Every block is written by one `pwrite` at a place this process knows, and a write that fails is cut off again: whatever
//! happens, the file is a recording up to its last whole block. A crash in the middle of a write leaves a torn tail, which the
//! next [`RecordingFile::open`] cuts off. Nothing is synced to the medium: a process that dies loses nothing that was written,
//! a machine that loses power may lose what its kernel had not written out yet.
//!
//! A block of Avro is compressed here; one of another format is its own bytes already, and in a compressed file a gzip member of its own. What a HAR ends
//! with is written behind every block, and the next block over it, so that the file is a document at any time.
//!
//! ```text
//! traffic.avro                    no rotation: this file, always
//! traffic.avro, traffic.1.avro …  rotation without conversions: the highest number is the newest
//! traffic-12.avro, traffic-13.avro, traffic-13.1.avro
//!                                 rotation with conversions (UTC); a name that is taken gets a number
//! ```
//!
//! After a restart the newest file of the present name is appended to. No file is ever overwritten, and none removed but
//! finished ones of this recording (see [`FileOptions::keep`]).

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use self::name::NamePattern;
pub(crate) use self::shape::Shape;
use self::standing::{Lock, Standing, create, look};
use crate::recording::avro::{self, MARKER_LENGTH};
use crate::recording::{BlockRef, Format, Kind};

mod error;
mod keep;
mod name;
mod shape;
mod standing;

#[cfg(test)]
mod tests;

pub use error::FileError;

/// Where a recording goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// The file. Its name may have strftime conversions, in UTC, which name a new file at each rotation.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
    /// No file becomes larger than this many bytes, save by a single block that is.
    pub rotate_size: Option<u64>,
    /// A new file is begun by the first block that comes when the file is this old; none while nothing comes.
    pub rotate_interval: Option<Duration>,
    /// A new file is begun by the first block that comes when the name's conversions say another time.
    pub rotate_by_name: bool,
    /// The most bytes all files of this recording take together; beyond it the oldest finished ones are removed. The current
    /// one never is, nor a file that is not a recording, that has none of this recording's names, or that is being recorded to.
    pub keep: Option<u64>,
}

impl FileOptions {
    /// One file, for ever, in the format that its name asks for; Avro where it asks for none.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let format = Format::of(&path).unwrap_or(Format::AVRO);
        FileOptions { path, format, rotate_size: None, rotate_interval: None, rotate_by_name: false, keep: None }
    }

    fn rotates(&self) -> bool {
        self.rotate_size.is_some() || self.rotate_interval.is_some() || self.rotate_by_name
    }
}

/// What was found when a recording was opened, to be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The file that is written to now.
    pub path: PathBuf,
    /// How many whole blocks it has, of HAR entries; they are kept. GoReplay's format and JSON Lines have no blocks: all records together count
    /// as one.
    pub blocks: u64,
    /// Bytes behind the last whole block, as a crash in the middle of a write leaves them. They were cut off.
    pub cut: u64,
    /// Bytes of damage with whole blocks behind them. They are left, and readers skip them.
    pub damaged: u64,
}

/// A recording that is being written. No other process can open it meanwhile (an advisory lock).
#[derive(Debug)]
pub struct RecordingFile {
    options: FileOptions,
    names: NamePattern,
    shape: Shape,
    current: Current,
    /// The bytes of finished files that may be removed; zero where there is no limit.
    finished: u64,
}

/// The file that is written to.
#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    /// What the name said of the time when it was begun or opened.
    stem: String,
    marker: [u8; MARKER_LENGTH],
    /// When the file was begun.
    begun: SystemTime,
    /// Whether there is a block in it.
    has_blocks: bool,
    /// Where its last whole block ends.
    end: u64,
    /// What stands behind that, as the format asks for it: every block is written over it, and has it behind itself.
    tail: Vec<u8>,
    /// Whether there may be a part of a block behind `end`, because it could not be cut off.
    torn: bool,
}

impl Drop for Current {
    /// Gives the lock back now, and not when the last copy of the descriptor is closed: a process that is being started elsewhere in the program has all
    /// descriptors until it becomes another program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl RecordingFile {
    /// Opens the recording to append to it, or begins one, with mode 0600. An existing file keeps the mode it has.
    ///
    /// # Errors
    ///
    /// Where the path cannot be recorded to; then whatever is there is as it was.
    pub fn open(options: FileOptions) -> Result<(Self, Opened), FileError> {
        Self::open_at(options, SystemTime::now())
    }

    fn open_at(options: FileOptions, now: SystemTime) -> Result<(Self, Opened), FileError> {
        let names = NamePattern::new(&options.path)?;
        if options.format == (Format { kind: Kind::Avro, gzip: true }) {
            let (path, found) = (options.path.clone(), "Avro within gzip".to_owned());
            return Err(FileError::Name { path, found, expected: ".avro, whose blocks are compressed already" });
        }
        let stem = names.stem_at(now);
        let (path, standing) = find(&names, &options, &stem, Lock::Exclusive)?;
        let shape = Shape::of(options.format).map_err(FileError::io(&path, "compress for it"))?;
        let tail = shape.tail().map_err(FileError::io(&path, "compress for it"))?;
        let mut opened = Opened { path: path.clone(), blocks: 0, cut: 0, damaged: 0 };
        let current = match standing {
            Standing::Nothing => Current::begin(&shape, path, stem, now)?,
            Standing::Bare(file) => {
                opened.cut = file.metadata().map_err(FileError::io(&path, "look at it"))?.len();
                Current::begin_in(&shape, file, path, stem, now)?
            }
            Standing::Recording(found) => {
                let extent = found.extent;
                opened =
                    Opened { path: path.clone(), blocks: extent.blocks, cut: extent.torn, damaged: extent.damaged };
                if extent.torn > 0 {
                    found.file.set_len(extent.end).map_err(FileError::io(&path, "cut off its torn tail"))?;
                    let written = found.file.write_all_at(&tail, extent.end);
                    written.map_err(FileError::io(&path, "write its end again"))?;
                }
                let ended = found.file.write_all_at(extent.lacks, extent.end);
                ended.map_err(FileError::io(&path, "end its last record"))?;
                Current {
                    file: found.file,
                    path,
                    stem,
                    marker: found.marker,
                    begun: found.made.unwrap_or(now),
                    has_blocks: extent.blocks > 0,
                    end: extent.end + extent.lacks.len() as u64,
                    tail,
                    torn: false,
                }
            }
        };
        let mut recording = RecordingFile { options, names, shape, current, finished: 0 };
        recording.prune();
        Ok((recording, opened))
    }

    /// The file that is written to now.
    pub fn path(&self) -> &Path {
        &self.current.path
    }

    /// Appends one block; an empty one is left out. Waits for the disk, and nothing else.
    ///
    /// Begins a new file first where it is time to, or where the present one was removed or truncated by someone. Logs what
    /// rotation and [`FileOptions::keep`] do.
    ///
    /// # Errors
    ///
    /// The block was not written, and the file is as it was before: whole, and ready for the next call, which may succeed when
    /// there is space again. Where a new file cannot be begun the error has a [`FileError`] in it.
    pub fn write_block<'a>(&mut self, block: impl Into<BlockRef<'a>>) -> io::Result<()> {
        self.write_block_at(block, SystemTime::now())
    }

    fn write_block_at<'a>(&mut self, block: impl Into<BlockRef<'a>>, now: SystemTime) -> io::Result<()> {
        let block = block.into();
        if block.is_empty() {
            return Ok(());
        }
        let length = self.shape.prepare(block)? as u64;
        if self.is_lost()? || self.is_due(length, now) {
            self.rotate(now)?;
        }
        let sealed = self.shape.sealed(&self.current.marker, self.current.has_blocks);
        let appended = sealed.and_then(|(bytes, tail)| self.current.append(bytes, tail));
        self.shape.let_go();
        appended?;
        self.current.has_blocks = true;
        let keep = self.options.keep.unwrap_or(u64::MAX);
        if self.finished > 0 && self.finished.saturating_add(self.current.end) > keep {
            self.prune();
        }
        Ok(())
    }

    /// Whether someone removed the file, or truncated it: what is written to it would be lost without a word.
    fn is_lost(&self) -> io::Result<bool> {
        let metadata = self.current.file.metadata()?;
        let lost = metadata.nlink() == 0 || metadata.len() < self.current.end;
        if lost {
            tracing::warn!(path = %self.current.path.display(), "the recording was removed or truncated by someone; beginning a new file");
        }
        Ok(lost)
    }

    fn is_due(&self, length: u64, now: SystemTime) -> bool {
        let age = now.duration_since(self.current.begun).unwrap_or_default();
        let full = self.options.rotate_size.is_some_and(|size| self.current.end + length > size);
        let old = self.options.rotate_interval.is_some_and(|interval| age >= interval);
        // Not where the clock was set back.
        let later = self.options.rotate_by_name && now > self.current.begun;
        let renamed = later && self.names.stem_at(now) != self.current.stem;
        self.current.has_blocks && (full || old || renamed)
    }

    fn rotate(&mut self, now: SystemTime) -> Result<(), FileError> {
        let stem = self.names.stem_at(now);
        let number = match highest_number(&self.names, &stem)? {
            None => 0,
            Some(highest) => highest.saturating_add(1),
        };
        // The present file stays where this fails, and the next block tries again.
        self.current = Current::begin(&self.shape, self.names.path(&stem, number), stem, now)?;
        tracing::info!(path = %self.current.path.display(), "began a new recording file");
        self.prune();
        Ok(())
    }

    fn prune(&mut self) {
        if let Some(keep) = self.options.keep {
            self.finished = keep::prune(&self.names, self.options.format, &self.current.path, self.current.end, keep);
        }
    }
}

impl Current {
    /// Begins a file that is not there yet, and removes it again where not even its header can be written.
    fn begin(shape: &Shape, path: PathBuf, stem: String, now: SystemTime) -> Result<Self, FileError> {
        let file = create(&path)?;
        Self::begin_in(shape, file, path.clone(), stem, now).inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })
    }

    /// Begins in a file with nothing of worth in it.
    fn begin_in(shape: &Shape, file: File, path: PathBuf, stem: String, now: SystemTime) -> Result<Self, FileError> {
        let marker = avro::new_marker().map_err(FileError::io(&path, "make a marker for it"))?;
        let head = shape.head(&marker).and_then(|head| Ok((head, shape.tail()?)));
        let (mut head, tail) = head.map_err(FileError::io(&path, "compress for it"))?;
        head.extend_from_slice(&tail);
        let behind = tail.len();
        let mut current = Current { file, path, stem, marker, begun: now, has_blocks: false, end: 0, tail, torn: true };
        current.append(&head, behind).map_err(|source| FileError::Io {
            path: current.path.clone(),
            action: "write its header",
            source,
        })?;
        current.has_blocks = false;
        Ok(current)
    }

    /// Writes these bytes behind the last block; the last `tail` of them are what the format has behind all.
    fn append(&mut self, bytes: &[u8], tail: usize) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.end)?;
            self.torn = false;
        }
        // One call, save where the system takes a part only, as a nearly full disk does.
        if let Err(error) = self.file.write_all_at(bytes, self.end) {
            // Its room was there before; of a new file there was none.
            let tail = if self.end > 0 { &self.tail[..] } else { &[] };
            let mended = self.file.set_len(self.end + tail.len() as u64);
            self.torn = mended.and_then(|()| self.file.write_all_at(tail, self.end)).is_err();
            return Err(error);
        }
        self.end += (bytes.len() - tail) as u64;
        Ok(())
    }
}

/// Whether the recording could be opened; nothing is created or changed.
///
/// # Errors
///
/// As [`RecordingFile::open`] would; a [`FileError::Locked`] among them, which a caller may take more lightly: the recording may
/// be that of the very process whose new configuration is being checked.
pub fn check(options: &FileOptions) -> Result<(), FileError> {
    let names = NamePattern::new(&options.path)?;
    find(&names, options, &names.stem_at(SystemTime::now()), Lock::Shared).map(drop)
}

/// The file to record to, and what is there.
fn find(names: &NamePattern, options: &FileOptions, stem: &str, lock: Lock) -> Result<(PathBuf, Standing), FileError> {
    let mut number = if options.rotates() { highest_number(names, stem)?.unwrap_or(0) } else { 0 };
    loop {
        let path = names.path(stem, number);
        match look(&path, names.folder(), lock, options.format) {
            // The name as given has to be ours; one that we numbered gives way to whatever else took it.
            Err(FileError::Foreign { .. } | FileError::NotAFile { .. }) if number > 0 => number += 1,
            Err(error) => return Err(error),
            Ok(standing) => {
                if matches!(standing, Standing::Nothing) || options.rotates() {
                    is_writable(names.folder()).map_err(FileError::io(&path, "create files in its folder"))?;
                }
                return Ok((path, standing));
            }
        }
    }
}

/// The highest number among the files with this stem, whatever they are; none where there is none.
fn highest_number(names: &NamePattern, stem: &str) -> Result<Option<u64>, FileError> {
    let entries = match fs::read_dir(names.folder()) {
        Ok(entries) => entries,
        // Said better by who then finds that nothing can be created.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(FileError::io(names.folder(), "list it")(error)),
    };
    let mut highest = None;
    for entry in entries {
        let entry = entry.map_err(FileError::io(names.folder(), "list it"))?;
        if let Some(parts) = names.parts(&entry.file_name()).filter(|parts| parts.stem == stem) {
            highest = highest.max(Some(parts.number));
        }
    }
    Ok(highest)
}

/// Asks the system whether files can be created in a folder, without creating one.
fn is_writable(folder: &Path) -> io::Result<()> {
    let folder = std::ffi::CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: the pointer is to a C string that outlives the call, which keeps nothing of it.
    let result = unsafe { libc::faccessat(libc::AT_FDCWD, folder.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
