//! The protocol's lines: GoReplay's, unchanged. Each way a message is one line of hex, of
//!
//! ```text
//! TYPE ID TIMESTAMP LATENCY\n
//! the HTTP/1 message, head and body
//! ```

use bytes::{Bytes, BytesMut};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A request.
    Request = 1,
    /// The application's response.
    Response = 2,
    /// What a target answered.
    Answer = 3,
}

/// What a request and all that belongs to it have in common: 96 bits, as 24 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(u128);

impl MessageId {
    /// Of the exchange with this id: its lower 96 bits, which differ from those of every other exchange of this run.
    pub fn of(exchange: u128) -> MessageId {
        MessageId(exchange & ((1 << 96) - 1))
    }
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:024x}", self.0)
    }
}

/// The first line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// What it belongs to.
    pub id: MessageId,
    /// When it was seen, in nanoseconds since the Unix epoch.
    pub at: u64,
    /// How long it took, in nanoseconds: from its first byte to its last, and of an answer from the request's first byte sent.
    pub took: u64,
}

/// A message for a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its first line.
    pub meta: Meta,
    /// The HTTP/1 head, its empty line included.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
}

impl Message {
    /// Bytes of it before they are hex.
    pub(super) fn length(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether a payload is this message as it was.
    pub(super) fn is(&self, payload: &[u8]) -> bool {
        payload.len() == self.length() && payload.starts_with(&self.head) && payload.ends_with(&self.body)
    }
}

impl std::fmt::Display for Meta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.kind as u8, self.id, self.at, self.took)
    }
}

/// Bytes that become hex at once: what is held of a line beside the message is twice as long.
const PIECE: usize = 16 * 1024;

/// The line of a message, made as it is written: in hex it is twice as long, and need not be held.
pub(super) struct Line {
    meta: String,
    message: Message,
}

impl Line {
    pub(super) fn of(message: Message) -> Line {
        Line { meta: format!("{}\n", message.meta), message }
    }

    /// Its length in the pipe, its end included.
    pub(super) fn length(&self) -> u64 {
        2 * (self.meta.len() as u64 + self.message.length() as u64) + 1
    }

    /// What to append to the pipe in turn; the line's end comes after the last.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let Message { head, body, .. } = &self.message;
        [self.meta.as_bytes(), head, body].into_iter().flat_map(|part| part.chunks(PIECE))
    }
}

/// Appends bytes in lowercase hex.
pub(super) fn push_hex(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let start = buffer.len();
    buffer.resize(start + 2 * bytes.len(), 0);
    const_hex::encode_to_slice(bytes, &mut buffer[start..]).expect("room for two digits a byte");
}

/// A message that a program has printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Printed {
    pub(super) kind: Kind,
    pub(super) id: MessageId,
    /// As it was given, where the program left it in its place.
    pub(super) at: Option<u64>,
    /// The HTTP/1 message.
    pub(super) payload: Bytes,
}

impl Printed {
    /// Reads a line without its end. None where it is no message in hex.
    pub(super) fn parse(line: &[u8]) -> Option<Printed> {
        let line = line.trim_ascii();
        let mut bytes = BytesMut::zeroed(line.len() / 2);
        const_hex::decode_to_slice(line, &mut bytes).ok()?;
        let end = bytes.iter().position(|&b| b == b'\n')?;
        let mut words = std::str::from_utf8(&bytes[..end]).ok()?.split_ascii_whitespace();
        let kind = match words.next()? {
            "1" => Kind::Request,
            "2" => Kind::Response,
            "3" => Kind::Answer,
            _ => return None,
        };
        let id = words.next().filter(|id| id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let id = MessageId(u128::from_str_radix(id, 16).ok()?);
        let at = words.next().and_then(|at| at.parse().ok());
        Some(Printed { kind, id, at, payload: bytes.split_off(end + 1).freeze() })
    }
}

/// Splits what is read into lines, of which no more than a bound is held.
pub(super) struct Lines {
    buffer: BytesMut,
    most: usize,
    /// How far it was looked for the end of the line at the front.
    searched: usize,
    /// The rest of a line that was too long is passed over.
    skipping: bool,
}

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) line: BytesMut,
    /// Whether it was longer: this is its beginning.
    pub(super) cut: bool,
}

impl Lines {
    pub(super) fn new(most: usize) -> Lines {
        Lines { buffer: BytesMut::new(), most, searched: 0, skipping: false }
    }

    /// Where what is read next goes.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        // A program that prints a line of a megabyte once does not cost that for ever.
        if self.buffer.is_empty() && self.buffer.capacity() > READ {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(READ);
        &mut self.buffer
    }

    /// The next line that is whole, or longer than it may be.
    pub(super) fn next(&mut self) -> Option<Split> {
        loop {
            let end = self.buffer[self.searched..].iter().position(|&b| b == b'\n').map(|at| self.searched + at);
            match (end, self.skipping) {
                (Some(end), true) => {
                    drop(self.buffer.split_to(end + 1));
                    (self.searched, self.skipping) = (0, false);
                }
                (Some(end), false) => {
                    let mut line = self.buffer.split_to(end + 1);
                    self.searched = 0;
                    let cut = end > self.most;
                    line.truncate(end.min(self.most));
                    return Some(Split { line, cut });
                }
                (None, true) => {
                    self.buffer.clear();
                    self.searched = 0;
                    return None;
                }
                (None, false) if self.buffer.len() > self.most => {
                    let line = self.buffer.split_to(self.most);
                    (self.searched, self.skipping) = (0, true);
                    return Some(Split { line, cut: true });
                }
                (None, false) => {
                    self.searched = self.buffer.len();
                    return None;
                }
            }
        }
    }

    /// What is left at the end, which has no line end.
    pub(super) fn last(mut self) -> Option<BytesMut> {
        (!self.skipping && !self.buffer.is_empty()).then(|| self.buffer.split())
    }
}

/// How much is read at once: what a pipe holds.
const READ: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        Meta { kind: Kind::Request, id: MessageId::of(0xabc), at: 1_795_356_240_850_091_280, took: 0 }
    }

    fn written(message: &Message) -> Vec<u8> {
        let line = Line::of(message.clone());
        let mut written = Vec::new();
        line.pieces().for_each(|piece| push_hex(&mut written, piece));
        assert_eq!(written.len() as u64 + 1, line.length());
        written
    }

    #[test]
    fn a_line_is_hex_of_the_meta_line_and_the_message() {
        let (head, body) = (Bytes::from("GET / HTTP/1.1\r\n\r\n"), Bytes::from("a\n\0\u{ff}"));
        let message = Message { meta: meta(), head: head.clone(), body: body.clone() };
        let line = written(&message);
        assert!(line.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        let expected = "1 000000000000000000000abc 1795356240850091280 0\nGET / HTTP/1.1\r\n\r\na\n\0\u{ff}";
        assert_eq!(const_hex::decode_to_slice(&line, &mut vec![0; line.len() / 2]), Ok(()));
        let printed = Printed::parse(&line).unwrap();
        assert_eq!((printed.kind, printed.id, printed.at), (Kind::Request, meta().id, Some(meta().at)));
        assert!(message.is(&printed.payload) && expected.ends_with(std::str::from_utf8(&printed.payload).unwrap()));
        assert!(!message.is(&head) && !message.is(b"") && !message.is(&[&head[..], b"a\n\0xy"].concat()));
    }

    #[test]
    fn long_bodies_are_hex_a_piece_at_a_time() {
        let body: Bytes = (0..100_000u32).map(|i| i as u8).collect::<Vec<_>>().into();
        let message = Message { meta: meta(), head: "POST / HTTP/1.1\r\n\r\n".into(), body };
        assert!(Line::of(message.clone()).pieces().all(|piece| piece.len() <= PIECE));
        assert!(message.is(&Printed::parse(&written(&message)).unwrap().payload));
    }

    #[test]
    fn ids_are_the_lower_96_bits() {
        let id = MessageId::of(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(id.to_string(), "89abcdef0011223344556677");
        assert_eq!(MessageId::of(7).to_string().len(), 24);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let of = |text: &str| Printed::parse(const_hex_of(text).as_bytes());
        assert!(of("2 0123456789abcdef01234567 5 6\nx").is_some());
        // Upper case is hex too, and other fields are the program's own.
        let upper = const_hex_of("3 0123456789ABCDEF01234567\n").to_uppercase() + "\r";
        assert_eq!(Printed::parse(upper.as_bytes()).unwrap().at, None);
        for text in [
            "",
            "1 0123456789abcdef01234567 5 6",
            "4 0123456789abcdef01234567 5 6\n",
            "1 0123456789abcdef0123456 5 6\n",
            "1 +123456789abcdef01234567 5 6\n",
            "1\n",
            "\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(of(text), None, "{text:?}");
        }
        for line in [&b""[..], b"3", b"hello", b"3120\xff0", b"31 32"] {
            assert_eq!(Printed::parse(line), None, "{line:?}");
        }
    }

    fn const_hex_of(text: &str) -> String {
        let mut hex = Vec::new();
        push_hex(&mut hex, text.as_bytes());
        String::from_utf8(hex).unwrap()
    }

    #[test]
    fn lines_have_a_bound_wherever_reads_end() {
        let wire = b"one\n\nfour5\ntoo long by far\r\nsix\ntoo long again\nlast";
        for step in 1..=wire.len() {
            let (mut lines, mut seen) = (Lines::new(5), Vec::new());
            for part in wire.chunks(step) {
                lines.buffer().extend_from_slice(part);
                while let Some(Split { line, cut }) = lines.next() {
                    seen.push((String::from_utf8(line.to_vec()).unwrap(), cut));
                }
                assert!(lines.buffer.len() <= 5 + step);
            }
            let expected =
                [("one", false), ("", false), ("four5", false), ("too l", true), ("six", false), ("too l", true)];
            assert_eq!(seen, expected.map(|(line, cut)| (line.to_owned(), cut)), "step {step}");
            assert_eq!(lines.last().as_deref(), Some(&b"last"[..]));
        }
    }
}
