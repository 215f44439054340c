//! Several recordings read as one: by time, from one time to another, in bounded memory however many there are.
//!
//! ```text
//!  words ─▶ names ─▶ each looked at: its first record ─▶ opened when its time has come ─▶ window ─▶ records by start
//!          (globs)                                      (entered near `from`)           (order.rs)
//! ```
//!
//! A file is opened to learn when it begins, closed again, and opened for good when those before it have been read so far: of a hundred
//! rotated files that follow one another one is open at a time.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Format, FormatError, Losses, ReadRecords, Record};

mod moment;
mod names;
mod open;
mod order;

pub use moment::Moment;
pub use names::files_named;
pub use open::OpenError;
pub(crate) use order::is_set_back;
pub use order::{REORDER_BYTES, REORDER_TIME};

use names::Name;
use open::{can_be_read_once, open};
use order::Window;

/// How many files are open at once: 64, so that their blocks, of a quarter of a MiB mostly, take no more than the window does. Where more than
/// that cover the same time, the last of them are read late.
pub const MOST_OPEN: usize = 64;

/// How far behind `to` a file is read on, in recorded time, for exchanges that began before it and ended late: 10 min. One that lasted longer
/// is not found.
pub const OVERHANG: Duration = Duration::from_secs(600);

/// What of recordings is read, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Only what began then or later.
    pub from: Option<Moment>,
    /// Only what began before.
    pub to: Option<Moment>,
    /// In which order.
    pub order: ReadOrder,
    /// What `-` is; told by its first bytes where this is none, as is a file whose name says nothing.
    pub format: Option<Format>,
}

/// The order in which records are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadOrder {
    /// By when their exchanges began, within [`REORDER_TIME`] and [`REORDER_BYTES`].
    #[default]
    ByStart,
    /// As they stand in their file, which is about when the exchanges ended: nothing is held back for it. Files are still merged.
    AsRecorded,
}

/// The records of several recordings: an iterator that ends for good at the first error of an input.
pub struct Recordings {
    /// Those whose time has not come, the next one last.
    waiting: Vec<Waiting>,
    open: Vec<Open>,
    window: Window,
    /// An input's error, which is told behind what was read before it.
    failed: Option<io::Error>,
    from: Option<SystemTime>,
    to: Option<SystemTime>,
    first: Option<SystemTime>,
    losses: Vec<(PathBuf, Losses)>,
}

/// A recording that has been looked at.
struct Waiting {
    name: Name,
    /// When its first record began.
    first: SystemTime,
    /// What cannot be opened again, with its first record.
    opened: Option<(Box<dyn ReadRecords>, Record)>,
}

/// A recording that is being read.
struct Open {
    path: PathBuf,
    reader: Box<dyn ReadRecords>,
    /// The record that was read to look at it.
    ahead: Option<Record>,
    /// The latest start that was read, by the clock as it was set then. What follows began no more than the window's time before it.
    frontier: SystemTime,
}

impl Recordings {
    /// Opens all that these words name, to be read whole and by start: paths, globs in quotes, `-` for the standard input.
    ///
    /// # Errors
    /// Every one that cannot be read.
    pub fn open(words: &[PathBuf]) -> Result<Recordings, Vec<OpenError>> {
        Recordings::open_with(words, &ReadOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// Every one that cannot be read.
    pub fn open_with(words: &[PathBuf], options: &ReadOptions) -> Result<Recordings, Vec<OpenError>> {
        let (mut waiting, mut losses) = (Vec::new(), Vec::new());
        let (names, mut errors) = names::named(words);
        for name in names {
            match look_at(name, options.format, &mut losses) {
                Ok(found) => waiting.extend(found),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Stable, and turned around as a whole: of files that begin together the one named first comes first.
        waiting.sort_by_key(|waiting| waiting.first);
        let first = waiting.first().map(|waiting: &Waiting| waiting.first);
        waiting.reverse();
        let moment = |moment: Option<Moment>| Some(moment?.from(first?));
        let (from, to) = (moment(options.from), moment(options.to));
        let window = Window::new(match options.order {
            ReadOrder::ByStart => REORDER_TIME,
            ReadOrder::AsRecorded => Duration::ZERO,
        });
        Ok(Recordings { waiting, open: Vec::new(), window, failed: None, from, to, first, losses })
    }

    /// When the first record of the earliest recording began: what distances count from. None where there is no record.
    pub fn first(&self) -> Option<SystemTime> {
        self.first
    }

    /// What could not be read so far, of each recording that is not sound; of all there is once this is at its end.
    pub fn losses(&self) -> Vec<(PathBuf, Losses)> {
        let open = self.open.iter().map(|open| (open.path.clone(), open.reader.losses()));
        self.losses.iter().cloned().chain(open.filter(|(_, losses)| losses.any())).collect()
    }

    /// How many records were given behind one that began after them: they lasted too long for the window, or it was full, or too many files
    /// cover the same time, or the clock was set back.
    pub fn late(&self) -> u64 {
        self.window.late()
    }

    /// All that is still to come began here or later, but for what is late; none where there is nothing.
    fn frontier(&self) -> Option<SystemTime> {
        let open = self.open.iter().map(|open| open.frontier).min();
        // One that cannot be opened now is not waited for.
        let next = self.waiting.last().map(|waiting| waiting.first).filter(|_| self.open.len() < MOST_OPEN);
        open.into_iter().chain(next).min()
    }

    /// Reads the next record of the recording that has been read least far; one that is at its end is put away.
    fn read(&mut self) -> io::Result<()> {
        let least = self.open.iter().enumerate().min_by_key(|(_, open)| open.frontier);
        let least = least.map(|(at, open)| (at, open.frontier));
        let next = self.waiting.last().map(|waiting| waiting.first).filter(|_| self.open.len() < MOST_OPEN);
        let at = match (least, next) {
            (Some((at, frontier)), next) if next.is_none_or(|next| frontier < next) => at,
            (_, Some(_)) => return self.open_next(),
            _ => return Ok(()),
        };
        let open = &mut self.open[at];
        let read = match open.ahead.take() {
            Some(record) => Some(record),
            None => open.reader.read().map_err(|error| of(&open.path, &error))?,
        };
        if let Some(record) = read {
            let behind = open.frontier.duration_since(record.started).unwrap_or_default();
            if is_set_back(behind, record.end.unwrap_or_default()) {
                self.window.begin_anew();
                open.frontier = record.started;
            }
            open.frontier = open.frontier.max(record.started);
            let done = self.to.is_some_and(|to| open.frontier > to + OVERHANG);
            if self.from.is_none_or(|from| record.started >= from) && self.to.is_none_or(|to| record.started < to) {
                self.window.put(record);
            }
            if !done {
                return Ok(());
            }
        }
        let done = self.open.swap_remove(at);
        let losses = done.reader.losses();
        if losses.any() {
            self.losses.push((done.path, losses));
        }
        Ok(())
    }

    fn open_next(&mut self) -> io::Result<()> {
        let Some(Waiting { name, first, opened }) = self.waiting.pop() else { return Ok(()) };
        if self.to.is_some_and(|to| first > to + OVERHANG) {
            return Ok(());
        }
        let path = name.path();
        let (reader, ahead) = match (opened, name) {
            (Some((reader, record)), _) => (reader, Some(record)),
            (None, name) => match open(&name, None, self.from) {
                Ok(reader) => (reader, None),
                // The writer removes its oldest files.
                Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    let mut lost = Losses::default();
                    lost.stretch(0, 0, "it was removed before it was read");
                    self.losses.push((path, lost));
                    return Ok(());
                }
                Err(error) => return Err(io::Error::other(error)),
            },
        };
        self.open.push(Open { path, reader, ahead, frontier: first });
        Ok(())
    }
}

impl Iterator for Recordings {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.window.take(self.frontier()) {
                return Some(Ok(record));
            }
            if self.open.is_empty() && self.waiting.is_empty() {
                return self.failed.take().map(Err);
            }
            if let Err(error) = self.read() {
                // What was read before it is given first.
                self.losses = self.losses();
                self.waiting.clear();
                self.open.clear();
                self.failed = Some(error);
            }
        }
    }
}

/// When a recording begins; none where there is no record in it. What was lost is added to `losses` then.
fn look_at(
    name: Name,
    format: Option<Format>,
    losses: &mut Vec<(PathBuf, Losses)>,
) -> Result<Option<Waiting>, OpenError> {
    let mut reader = match open(&name, format, None) {
        // A crash, or a look while it is begun, leaves it so: that it has no record is no reason to read none of the others.
        Err(OpenError::Foreign { path, source: FormatError::Torn { length } }) => {
            let mut lost = Losses::default();
            if length > 0 {
                lost.torn(0, length, "a header that is not whole");
                losses.push((path, lost));
            }
            return Ok(None);
        }
        opened => opened?,
    };
    let path = name.path();
    match reader.read() {
        Ok(Some(record)) => {
            let first = record.started;
            let opened = can_be_read_once(&name).then_some((reader, record));
            Ok(Some(Waiting { name, first, opened }))
        }
        Ok(None) => {
            losses.extend(reader.losses().any().then(|| (path, reader.losses())));
            Ok(None)
        }
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// An input's error, with its name.
fn of(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
