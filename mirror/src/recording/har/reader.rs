//! Entries out of a document, one after the other, never the whole of it.

use std::io::{self, Read};

use super::foreign::Entry;
use super::scan::Scan;
use super::{HEAD, MAX_ENTRY, OURS};
use crate::recording::format::FormatError;
use crate::recording::input::Input;
use crate::recording::{Losses, ReadRecords, Record};

const EXPECTED: &str = "a HAR: an object with a `log`, which has `entries`";

/// How an entry of ours begins on a line of its own: behind damage, reading goes on there.
const NEXT: &[u8] = b"\n{\"startedDateTime\"";

/// Reads entries.
pub(in crate::recording) struct Reader<R> {
    input: Input<R>,
    offset: u64,
    /// How many entries there were.
    number: u64,
    losses: Losses,
    ended: bool,
}

/// What comes next in the list of entries.
enum Next {
    /// An entry of this length, at the front of the input.
    Entry(usize),
    /// The list's end.
    End,
    /// The input's end, or something that is none of both.
    Broken,
}

impl<R: Read> Reader<R> {
    /// Reads up to the first entry.
    pub(in crate::recording) fn new(input: R) -> Result<Reader<R>, FormatError> {
        let mut reader =
            Reader { input: Input::new(input), offset: 0, number: 0, losses: Losses::default(), ended: false };
        if reader.input.want(3)?.starts_with(b"\xef\xbb\xbf") {
            reader.take(3);
        }
        reader.expect(b'{')?;
        reader.enter("log", "an object without a `log`")?;
        reader.expect(b'{')?;
        reader.enter("entries", "a `log` without `entries`")?;
        reader.expect(b'[')?;
        Ok(reader)
    }

    fn take(&mut self, length: usize) {
        self.input.take(length);
        self.offset += length as u64;
    }

    /// The next byte that is not white space, which is left there; none at the end.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let bytes = self.input.want(1)?;
            let space = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let next = bytes.get(space).copied();
            let at_end = bytes.is_empty();
            self.take(space);
            if next.is_some() || at_end {
                return Ok(next);
            }
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), FormatError> {
        match self.peek()? {
            Some(found) if found == wanted => {
                self.take(1);
                Ok(())
            }
            _ => Err(self.foreign(None)),
        }
    }

    fn foreign(&mut self, found: Option<&str>) -> FormatError {
        let bytes = self.input.peek();
        let shown = match (found, bytes.is_empty()) {
            (Some(found), _) => found.to_owned(),
            (None, true) => "its end".to_owned(),
            (None, false) => format!("\"{}\"", bytes[..bytes.len().min(16)].escape_ascii()),
        };
        FormatError::foreign(self.offset, shown, EXPECTED)
    }

    /// Passes over the members of an object up to the value of this one.
    fn enter(&mut self, key: &str, missing: &str) -> Result<(), FormatError> {
        loop {
            match self.peek()? {
                Some(b',') => self.take(1),
                Some(b'"') => {
                    let length = self.value()?.filter(|length| *length <= 1024).ok_or_else(|| self.foreign(None))?;
                    let found = serde_json::from_slice::<String>(&self.input.peek()[..length]);
                    self.take(length);
                    self.expect(b':')?;
                    if found.is_ok_and(|found| found == key) {
                        return Ok(());
                    }
                    self.skip_value()?;
                }
                Some(b'}') => return Err(self.foreign(Some(missing))),
                _ => return Err(self.foreign(None)),
            }
        }
    }

    /// The length of the value at the front; none where it does not end within bounds.
    fn value(&mut self) -> io::Result<Option<usize>> {
        let (mut scan, mut known) = (Scan::default(), 0);
        loop {
            let bytes = self.input.want(known + 1)?;
            if let Some(end) = scan.end(&bytes[known..]) {
                return Ok(Some(known + end));
            }
            if bytes.len() == known || bytes.len() > MAX_ENTRY {
                return Ok(None);
            }
            known = bytes.len();
        }
    }

    /// Passes over a value, however long it is.
    fn skip_value(&mut self) -> Result<(), FormatError> {
        let mut scan = Scan::default();
        self.peek()?;
        loop {
            let bytes = self.input.want(1)?;
            let (end, had) = (scan.end(bytes), bytes.len());
            self.take(end.unwrap_or(had));
            if end.is_some() {
                return Ok(());
            }
            if had == 0 {
                return Err(self.foreign(None));
            }
        }
    }

    fn next(&mut self) -> io::Result<Next> {
        if self.peek()? == Some(b',') && self.number > 0 {
            self.take(1);
        }
        Ok(match self.peek()? {
            Some(b']') => Next::End,
            Some(b'{') => match self.value()? {
                Some(length) => Next::Entry(length),
                None => Next::Broken,
            },
            _ => Next::Broken,
        })
    }

    /// Passes over what is broken, up to what begins as an entry of ours does; to the end where nothing does.
    fn skip_damage(&mut self) -> io::Result<()> {
        let start = self.offset;
        loop {
            let bytes = self.input.want(NEXT.len())?;
            if let Some(found) = memchr::memmem::find(bytes, NEXT) {
                self.take(found + 1);
                self.losses.stretch(start, self.offset - start, "not an entry");
                return Ok(());
            }
            if bytes.len() < NEXT.len() {
                let rest = bytes.len();
                self.take(rest);
                self.losses.torn(start, self.offset - start, "the list of entries does not end");
                self.ended = true;
                return Ok(());
            }
            let done = bytes.len() - (NEXT.len() - 1);
            self.take(done);
        }
    }

    /// Looks at what is behind the entries, to the end.
    fn close(&mut self) -> io::Result<()> {
        self.ended = true;
        self.take(1);
        let (at, mut depth) = (self.offset, 2);
        while depth > 0 {
            match self.peek()? {
                Some(b'}') => {
                    self.take(1);
                    depth -= 1;
                }
                Some(b',' | b':') => self.take(1),
                Some(b']') | None => {
                    let rest = self.offset - at;
                    self.losses.torn(at, rest, "the document does not end");
                    return Ok(());
                }
                Some(_) => match self.skip_value() {
                    Ok(()) => {}
                    Err(FormatError::Io(error)) => return Err(error),
                    Err(FormatError::Foreign { .. } | FormatError::Torn { .. }) => {}
                },
            }
        }
        Ok(())
    }
}

impl<R: Read + Send> ReadRecords for Reader<R> {
    fn read(&mut self) -> io::Result<Option<Record>> {
        while !self.ended {
            match self.next()? {
                Next::End => self.close()?,
                Next::Broken => self.skip_damage()?,
                Next::Entry(length) => {
                    let bytes = &self.input.peek()[..length];
                    self.number += 1;
                    let record = match serde_json::from_slice::<Entry<'_>>(bytes) {
                        Ok(entry) => {
                            entry.into_record(self.number).map_err(|_| "an entry with a value that makes no sense")
                        }
                        Err(error) if error.is_data() => Err("an entry without what it needs"),
                        Err(_) => Err("not an entry"),
                    };
                    match record {
                        Ok(record) => {
                            self.take(length);
                            return Ok(Some(record));
                        }
                        Err(reason) => {
                            // A quote too few, and it has swallowed others.
                            let length = memchr::memmem::find(bytes, NEXT).map_or(length, |at| at + 1);
                            let at = self.offset;
                            self.take(length);
                            self.losses.stretch(at, length as u64, reason);
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    fn losses(&self) -> Losses {
        self.losses
    }
}

/// How far a document of ours is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::recording) struct Extent {
    /// How many entries there are.
    pub(in crate::recording) entries: u64,
    /// Where the last whole one ends.
    pub(in crate::recording) end: u64,
    /// Bytes of damage before that.
    pub(in crate::recording) damaged: u64,
}

/// Measures a document of ours, which can be appended to: its list of entries is its last part. None where it is another's.
pub(in crate::recording) fn measure(input: impl Read) -> Result<Option<Extent>, FormatError> {
    let mut reader = Reader::new(input)?;
    let mut extent = Extent { entries: 0, end: reader.offset, damaged: 0 };
    while !reader.ended {
        match reader.next()? {
            // One of ours is a line: a quote too few, and it has swallowed others.
            Next::Entry(length) if memchr::memmem::find(&reader.input.peek()[..length], NEXT).is_some() => {
                reader.skip_damage()?;
            }
            Next::Entry(length) => {
                reader.number += 1;
                reader.take(length);
                extent = Extent { entries: reader.number, end: reader.offset, damaged: reader.losses.bytes };
            }
            // Whole entries may follow: cutting here would lose them.
            Next::Broken => reader.skip_damage()?,
            Next::End => {
                let mut rest = *b"]}}";
                for wanted in &mut rest {
                    match reader.peek()? {
                        Some(found) if found == *wanted => reader.take(1),
                        // Torn in the middle of its tail.
                        None => return Ok(Some(extent)),
                        Some(_) => return Ok(None),
                    }
                }
                return Ok(Some(extent));
            }
        }
    }
    Ok(Some(extent))
}

/// Whether a file that begins so is one of ours, or the start of one.
pub(in crate::recording) fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(OURS) || HEAD.starts_with(bytes)
}
