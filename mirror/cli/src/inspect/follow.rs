//! Recordings while they are written: read to their end, and on as they grow, without the writer's lock.
//!
//! A file is followed until another is there to be read: one that a glob matches and did not before, or another of the same name. The
//! writer begins a new file only when the old one is done, so what is in that by then is all. An exchange of a `.gor` is shown when a message of
//! another comes, as until then more of its own may.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use mirror::recording::{Format, Losses, OpenError, ReadOptions, ReadRecords, Record, files_named};

use crate::interrupt::Interrupt;
use crate::say::tell;

/// How often a file is looked at for more, and folders for files. A recording is written once a second by default.
const EVERY: Duration = Duration::from_millis(100);

/// The records of recordings that may be written yet.
pub(super) struct Followed {
    options: ReadOptions,
    files: Arc<Files>,
    reader: Option<(PathBuf, Box<dyn ReadRecords>)>,
    first: Option<SystemTime>,
    losses: Vec<(PathBuf, Losses)>,
}

/// The files there are.
struct Files {
    words: Vec<PathBuf>,
    interrupt: Interrupt,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// By device and inode: a name may become that of another file.
    known: Vec<(PathBuf, [u64; 2])>,
    queue: VecDeque<PathBuf>,
}

impl Followed {
    pub(super) fn open(
        words: &[PathBuf],
        options: &ReadOptions,
        interrupt: Interrupt,
    ) -> Result<Followed, Vec<OpenError>> {
        let mut errors = Vec::new();
        for path in files_named(words)? {
            errors.extend(refused(path));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let files = Files { words: words.to_vec(), interrupt, found: Mutex::default() };
        files.look();
        Ok(Followed { options: *options, files: Arc::new(files), reader: None, first: None, losses: Vec::new() })
    }

    pub(super) fn losses(&self) -> &[(PathBuf, Losses)] {
        &self.losses
    }

    /// The next record; none when a signal came. It may take its time.
    pub(super) fn next(&mut self) -> Option<io::Result<Record>> {
        loop {
            if self.reader.is_none() && !self.open_next() {
                return None;
            }
            let (path, reader) = self.reader.as_mut()?;
            match reader.read() {
                Ok(Some(record)) => {
                    let first = *self.first.get_or_insert(record.started);
                    let ReadOptions { from, to, .. } = self.options;
                    if from.is_none_or(|from| record.started >= from.from(first))
                        && to.is_none_or(|to| record.started < to.from(first))
                    {
                        return Some(Ok(record));
                    }
                }
                Ok(None) => {
                    let losses = reader.losses();
                    // Where a signal ended it, the writer may be in the middle of a block.
                    if losses.any() && !self.files.interrupt.came() {
                        self.losses.push((path.clone(), losses));
                    }
                    self.reader = None;
                }
                Err(error) => {
                    let error = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                    return Some(Err(error));
                }
            }
        }
    }

    /// Opens the next file; false when a signal came.
    fn open_next(&mut self) -> bool {
        while !self.files.interrupt.came() {
            let Some(path) = self.files.take() else {
                std::thread::sleep(EVERY);
                self.files.look();
                continue;
            };
            let opened = File::open(&path).ok().zip(Format::of(&path).ok());
            let Some((file, format)) = opened else { continue };
            match format.reader(Growing { file, files: self.files.clone() }) {
                Ok(reader) => {
                    self.reader = Some((path, reader));
                    return true;
                }
                Err(_) if self.files.interrupt.came() => return false,
                // A later one of a glob's: those that were there at the start have been looked at.
                Err(error) => tell!("{}: {}: {error}", super::WHAT, path.display()),
            }
        }
        false
    }
}

/// Why a file is not to be followed. One that ends within its head has only been begun.
fn refused(path: PathBuf) -> Option<OpenError> {
    match mirror::recording::Recordings::open(std::slice::from_ref(&path)) {
        Ok(_) => None,
        Err(errors) => errors.into_iter().next(),
    }
}

impl Files {
    /// Takes what is new into the queue, that which was written last at its end; and tells whether there is anything in it.
    fn look(&self) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        for path in files_named(&self.words).unwrap_or_default() {
            let Ok(about) = std::fs::metadata(&path) else { continue };
            let file = (path, [about.dev(), about.ino()]);
            if !found.known.contains(&file) {
                new.push((about.modified().ok(), file));
            }
        }
        new.sort_by_key(|(modified, _)| *modified);
        for (_, file) in new {
            found.queue.push_back(file.0.clone());
            found.known.push(file);
        }
        !found.queue.is_empty()
    }

    fn take(&self) -> Option<PathBuf> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).queue.pop_front()
    }
}

/// A file whose end is not there before another file is.
struct Growing {
    file: File,
    files: Arc<Files>,
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(buffer)?;
            if read > 0 || self.files.interrupt.came() {
                return Ok(read);
            }
            if self.files.look() {
                // What was written before the other file was begun.
                return self.file.read(buffer);
            }
            std::thread::sleep(EVERY);
        }
    }
}
