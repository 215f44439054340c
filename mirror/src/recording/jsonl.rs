//! JSON Lines: one exchange a line, each a JSON object, in the order in which exchanges ended.
//!
//! ```json
//! {"id":"5f0c…32 digits", "start":"2025-01-01T12:00:05.123456Z", "source":"proxy",
//!  "client":"10.0.0.7:40000", "server":"127.0.0.1:8080",
//!  "request":{"method":"POST", "target":"/a?b=1", "version":"HTTP/1.1",
//!             "headers":[{"name":"Host","value":"shop"}], "body":"x=1", "body_length":3, "trailers":[], "truncated":"max_body"},
//!  "response":{"status":200, "reason":"OK", "version":"HTTP/1.1", "headers":[], "body":"hello"},
//!  "aborted":"upstream", "request_end_micros":10, "response_start_micros":20, "end_micros":30,
//!  "answers":[{"target":"next", "outcome":"delivered", "response":{…}, "first_byte_micros":9, "total_micros":11}]}
//! ```
//!
//! The keys are those of the Avro schema (`exchange.avsc` says what each is), and what is null or empty there is left out here. Two differ: a
//! `start` that RFC 3339 has no form for, as its year is not of four digits, is a number, `start_micros`, since 1970; `body_length` is there only
//! where it is not the body's own.
//!
//! Method, target, version, reason, names and values of headers and bodies are bytes. Where they are UTF-8 they are that text. Where they are not, the
//! key is missing and another has them in base64: `"value_base64":"Y2Fm6Q=="`, `"body_base64":…`. So is a body whose escapes would take more than
//! its text (one of mostly control characters, of which each is `\u0001` and the like). So a line holds all that a [`Record`] has; the pieces of a body are
//! one. A record whose line would be longer than [`MAX_LINE`] is not written.
//!
//! A line that someone else wrote needs no more than `{"request":{}}`: what is missing is `GET / HTTP/1.1` without headers, at the epoch. Keys that
//! are not known are passed over, and so are empty lines.

use std::io::{self, Read};

use super::format::FormatError;
use super::input::Input;
use super::json::{self, Line};
use super::plain::{Refused, Room};
use super::{Losses, ReadRecords, Record};

/// The longest line: 512 MiB, twice what a block of Avro holds, as text takes up to a third more than bytes do, and escapes more. It bounds what a
/// reader holds; a longer line is skipped.
pub const MAX_LINE: usize = 512 << 20;

/// How a line of ours begins.
const OURS: &[u8] = b"{\"id\":\"";

const EXPECTED: &str = "a line with a JSON object that has a `request`";

/// Appends a record as a line.
pub(super) fn encode(record: &Record, into: &mut Vec<u8>, room: &mut Room<'_>) -> Result<(), Refused> {
    encode_within(MAX_LINE, record, into, room)
}

/// The same where a line may have so many bytes.
fn encode_within(most: usize, record: &Record, into: &mut Vec<u8>, room: &mut Room<'_>) -> Result<(), Refused> {
    json::put(|| Line::of(record), json::of_record(record), most, into, room)?;
    into.push(b'\n');
    Ok(())
}

/// Whether a file is one to append to: the reader takes its first line. Where nothing but a part of that is there, which would be cut off, it has
/// to begin as one of ours.
pub(super) fn is_ours(input: impl Read) -> Result<(), FormatError> {
    let mut reader = Reader::new(input)?;
    let Some(Extent { length, end: 0 }) = reader.line()? else { return Ok(()) };
    let bytes = &reader.input.peek()[..length];
    let is_whole = serde_json::from_slice::<Line<'_>>(bytes).is_ok();
    if is_whole || bytes.starts_with(OURS) || OURS.starts_with(bytes) {
        return Ok(());
    }
    Err(FormatError::begins(bytes, EXPECTED))
}

/// Whether what is behind the last line's end is a whole record all the same.
pub(super) fn is_record(input: impl Read + Send) -> io::Result<bool> {
    Ok(Reader::at_start(input)?.read()?.is_some())
}

/// Reads lines.
pub(super) struct Reader<R> {
    input: Input<R>,
    offset: u64,
    losses: Losses,
}

impl<R: Read> Reader<R> {
    /// Looks at the first line.
    pub(super) fn new(input: R) -> Result<Reader<R>, FormatError> {
        let mut reader = Reader::at_start(input)?;
        let Some(line) = reader.line()? else { return Ok(reader) };
        let bytes = &reader.input.peek()[..line.length];
        // Damage may make it no JSON; what is JSON, and something else, is not damaged.
        if !bytes.starts_with(b"{") {
            return Err(FormatError::begins(bytes, EXPECTED));
        }
        match serde_json::from_slice::<Line<'_>>(bytes) {
            Err(error) if error.is_data() => Err(FormatError::foreign(reader.offset, error.to_string(), EXPECTED)),
            _ => Ok(reader),
        }
    }

    fn at_start(input: R) -> io::Result<Reader<R>> {
        let mut reader = Reader { input: Input::new(input), offset: 0, losses: Losses::default() };
        if reader.input.want(3)?.starts_with(b"\xef\xbb\xbf") {
            reader.take(3);
        }
        Ok(reader)
    }

    fn take(&mut self, length: usize) {
        self.input.take(length);
        self.offset += length as u64;
    }

    /// The next line that is not empty, which is at the front of the input then; none at the end.
    fn line(&mut self) -> io::Result<Option<Extent>> {
        let mut known = 0;
        loop {
            let bytes = self.input.want(known + 1)?;
            if let Some(end) = memchr::memchr(b'\n', &bytes[known..]) {
                let length = known + end;
                if bytes[..length].trim_ascii().is_empty() {
                    self.take(length + 1);
                    known = 0;
                    continue;
                }
                return Ok(Some(Extent { length, end: 1 }));
            }
            if bytes.len() == known {
                // The input's end. A line without one may have been cut.
                return Ok((!bytes.trim_ascii().is_empty()).then_some(Extent { length: known, end: 0 }));
            }
            known = bytes.len();
            if known > MAX_LINE {
                self.skip_line()?;
                known = 0;
            }
        }
    }

    /// Passes over a line that is too long.
    fn skip_line(&mut self) -> io::Result<()> {
        let start = self.offset;
        loop {
            let bytes = self.input.want(1)?;
            let (taken, ended) = match memchr::memchr(b'\n', bytes) {
                Some(end) => (end + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            };
            self.take(taken);
            if ended {
                self.losses.stretch(start, self.offset - start, "a line that is too long");
                return Ok(());
            }
        }
    }
}

/// A line at the front of the input.
struct Extent {
    length: usize,
    /// The length of what ends it.
    end: usize,
}

impl<R: Read + Send> ReadRecords for Reader<R> {
    fn read(&mut self) -> io::Result<Option<Record>> {
        while let Some(Extent { length, end }) = self.line()? {
            let record = match serde_json::from_slice::<Line<'_>>(&self.input.peek()[..length]) {
                Ok(line) => line.into_record().map_err(|_| "a line with a value that makes no sense"),
                Err(error) if error.is_data() => Err("a line that is not an exchange"),
                Err(_) => Err("a line that is not JSON"),
            };
            let at = self.offset;
            self.take(length + end);
            match record {
                Ok(record) => return Ok(Some(record)),
                Err(_) if end == 0 => self.losses.torn(at, length as u64, "a line that is not whole"),
                Err(reason) => self.losses.stretch(at, (length + end) as u64, reason),
            }
        }
        let rest = self.input.peek().len();
        self.take(rest);
        Ok(None)
    }

    fn losses(&self) -> Losses {
        self.losses
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::recording::avro::tests::small;

    #[test]
    fn a_line_that_a_reader_would_pass_over_is_not_written() {
        let mut line = Vec::new();
        encode(&small(1), &mut line, &mut |_| true).unwrap();
        let length = line.len() - 1;
        encode_within(length, &small(1), &mut line, &mut |_| true).unwrap();
        let before = line.clone();
        let refused = encode_within(length - 1, &small(1), &mut line, &mut |_| true).unwrap_err();
        assert!(matches!(refused, Refused::Unfit(_)), "{refused}");
        assert_eq!(line, before);
    }

    #[test]
    fn a_body_of_control_characters_is_written_in_base64_and_read() {
        let mut record = small(1);
        record.request.message.body = vec![vec![1; 3000].into()];
        record.request.message.body_length = 3000;
        let mut line = Vec::new();
        encode(&record, &mut line, &mut |_| true).unwrap();
        assert!(line.len() < 3000 * 3 / 2, "{}", line.len());
        assert_eq!(Reader::new(Cursor::new(line)).unwrap().read().unwrap(), Some(record));
    }
}
