//! Messages out of a file, also out of a damaged one.

use std::collections::VecDeque;
use std::io::{self, Read};

use bytes::Bytes;

use super::message::{self, Meta};
use super::pair::{Paired, Waiting};
use super::{MAX_MESSAGE, SEPARATOR};
use crate::http1::{BodyDecoder, Framing, Span};
use crate::recording::format::FormatError;
use crate::recording::input::Input;
use crate::recording::{Losses, ReadRecords, Record};

/// Reads messages, and pairs them into records.
pub(in crate::recording) struct Reader<R> {
    input: Input<R>,
    offset: u64,
    losses: Losses,
    waiting: Waiting,
    /// Records that wait for nothing more.
    ready: VecDeque<Record>,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Looks at the first line. A file with nothing in it is a recording of nothing, as GoReplay makes them.
    pub(in crate::recording) fn new(input: R) -> Result<Reader<R>, FormatError> {
        let mut input = Input::new(input);
        let bytes = input.want(1024)?;
        if !is_start(bytes) {
            return Err(FormatError::begins(bytes, "a GoReplay recording, which begins with a line as 1 ID TIMESTAMP"));
        }
        let (losses, ready) = (Losses::default(), VecDeque::new());
        Ok(Reader { input, offset: 0, losses, waiting: Waiting::default(), ready, ended: false })
    }

    fn take(&mut self, length: usize) {
        self.input.take(length);
        self.offset += length as u64;
    }

    /// Takes the next message; none at the end.
    fn message(&mut self) -> io::Result<Option<(Meta, Bytes, u64)>> {
        loop {
            let Some(end) = self.separator(0)? else {
                let (at, rest) = (self.offset, self.input.peek().len());
                if !self.input.peek().trim_ascii().is_empty() {
                    self.losses.torn(at, rest as u64, "a message without its end");
                }
                self.take(rest);
                return Ok(None);
            };
            let end = match end {
                End::At(end) => self.beyond(end)?.unwrap_or(end),
                End::TooFar => {
                    self.skip()?;
                    continue;
                }
            };
            let at = self.offset;
            let found = Meta::parse(&self.input.peek()[..end]);
            let message = found
                .map(|(meta, start)| (meta, Bytes::copy_from_slice(&self.input.peek()[start..end]), at + start as u64));
            self.take(end + SEPARATOR.len());
            match message {
                Some(message) => return Ok(Some(message)),
                None => self.losses.stretch(at, self.offset - at, "not a line as 1 ID TIMESTAMP"),
            }
        }
    }

    /// Where the next separator is, at `from` or behind; none where there is none.
    fn separator(&mut self, from: usize) -> io::Result<Option<End>> {
        let mut searched = from;
        loop {
            let bytes = self.input.want(searched + SEPARATOR.len())?;
            if bytes.len() < searched + SEPARATOR.len() {
                return Ok(None);
            }
            if let Some(at) = memchr::memmem::find(&bytes[searched..], SEPARATOR) {
                return Ok(Some(End::At(searched + at)));
            }
            // Its start may be at the very end of what was read.
            searched = bytes.len() - (SEPARATOR.len() - 1);
            if searched > MAX_MESSAGE {
                return Ok(Some(End::TooFar));
            }
        }
    }

    /// Passes over a message that is too long.
    fn skip(&mut self) -> io::Result<()> {
        let start = self.offset;
        loop {
            let bytes = self.input.want(SEPARATOR.len())?;
            let (taken, ended) = match memchr::memmem::find(bytes, SEPARATOR) {
                Some(at) => (at + SEPARATOR.len(), true),
                None if bytes.len() < SEPARATOR.len() => (bytes.len(), true),
                None => (bytes.len() - (SEPARATOR.len() - 1), false),
            };
            self.take(taken);
            if ended {
                self.losses.stretch(start, self.offset - start, "a message that is too long");
                return Ok(());
            }
        }
    }

    /// Where the message really ends that has a separator at `end`, where its body goes on behind that: only where its length or its chunks end
    /// exactly before another separator, as bodies may also be shorter than their heads say.
    fn beyond(&mut self, end: usize) -> io::Result<Option<usize>> {
        let bytes = &self.input.peek()[..end];
        let Some((meta, start)) = Meta::parse(bytes) else { return Ok(None) };
        // Nearly all end where they should, and what most say can be seen without taking the head apart.
        let Some(length) = crate::http1::head_length(&bytes[start..]) else { return Ok(None) };
        let head = Bytes::copy_from_slice(&bytes[start..start + length]);
        let framing = message::head(meta.kind, &head).and_then(|(head, _)| head.framing().ok());
        let body = start + length;
        match framing {
            Some(Framing::Length(length)) => {
                let by_length = usize::try_from(length).ok().and_then(|length| body.checked_add(length));
                match by_length.filter(|&by_length| by_length > end && by_length <= MAX_MESSAGE) {
                    Some(by_length) => self.is_separator(by_length),
                    None => Ok(None),
                }
            }
            Some(Framing::Chunked) => self.end_of_chunks(body, end),
            _ => Ok(None),
        }
    }

    fn end_of_chunks(&mut self, mut at: usize, end: usize) -> io::Result<Option<usize>> {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        loop {
            let bytes = self.input.peek();
            match decoder.scan(&bytes[at..]) {
                Ok((taken, Some(Span::End(_)))) => {
                    let by_chunks = at + taken;
                    return if by_chunks > end { self.is_separator(by_chunks) } else { Ok(None) };
                }
                Ok((taken, Some(Span::Data(_)))) => at += taken,
                Ok((taken, None)) => {
                    at += taken;
                    let had = bytes.len();
                    if had > MAX_MESSAGE || self.input.want(had + 1)?.len() == had {
                        return Ok(None);
                    }
                }
                Err(_) => return Ok(None),
            }
        }
    }

    fn is_separator(&mut self, at: usize) -> io::Result<Option<usize>> {
        let bytes = self.input.want(at + SEPARATOR.len())?;
        Ok(bytes.get(at..).is_some_and(|rest| rest.starts_with(SEPARATOR)).then_some(at))
    }
}

enum End {
    /// The message is so long.
    At(usize),
    /// Longer than [`MAX_MESSAGE`].
    TooFar,
}

/// Whether a file that begins so may be a recording: damage comes later, a first line comes first.
fn is_start(bytes: &[u8]) -> bool {
    // A torn file may be shorter than the line.
    let line = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes, |end| &bytes[..=end]);
    match line {
        [] => true,
        [b'1'..=b'3'] => true,
        [b'1'..=b'3', b' ', rest @ ..] if !rest.ends_with(b"\n") => rest.len() < 1000 && rest.is_ascii(),
        line => Meta::parse(line).is_some(),
    }
}

impl<R: Read + Send> ReadRecords for Reader<R> {
    fn read(&mut self) -> io::Result<Option<Record>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            if self.ended {
                return Ok(None);
            }
            let message = self.message()?;
            let mut paired = Paired { ready: &mut self.ready, losses: &mut self.losses };
            match message {
                Some((meta, payload, at)) => self.waiting.take(meta, payload, at, &mut paired),
                None => {
                    self.waiting.end(&mut paired);
                    self.ended = true;
                }
            }
        }
    }

    fn losses(&self) -> Losses {
        self.losses
    }
}
