//! Takes bodies off the wire: by length, by the chunked coding (RFC 9112 §7.1), or to the connection's end.

use bytes::{Bytes, BytesMut};

use super::Framing;

/// The longest chunk-size line, extensions included. No sender in use comes near; a longer one is an attack or not HTTP.
const MAX_SIZE_LINE: usize = 4096;

/// The longest trailer section: as large as the heads of most servers may be.
const MAX_TRAILERS: usize = 64 * 1024;

/// Decodes one body. Feed it whatever has been read; it takes what belongs to the body and leaves the rest.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    bare_lf: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    Close,
    Size,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Ended,
}

/// What a body consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Some bytes of the body, never empty.
    Data(Bytes),
    /// The end, with the trailer section as sent (its empty line included) where there is one.
    End(Option<Bytes>),
}

/// A [`Piece`] as a count: the last bytes of those that were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// So many bytes of the body, at least one.
    Data(usize),
    /// The end, with so many bytes of trailer section (its empty line included); 0 where there is none.
    End(usize),
}

/// Why a body cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not a chunk size, one beyond 64 bits, or a size line over its bound.
    #[error("bad chunk size")]
    ChunkSize,
    /// A chunk that does not end with CRLF.
    #[error("a chunk is longer than its size")]
    ChunkEnd,
    /// A trailer section over its bound, or with a CR that ends no line (RFC 9112 §2.2).
    #[error("trailers are longer than {MAX_TRAILERS} bytes, or have a CR alone")]
    Trailers,
    /// The connection ended first.
    #[error("the connection ended within the body")]
    Cut,
}

impl BodyDecoder {
    /// A decoder for a body framed so.
    pub fn new(framing: Framing) -> Self {
        BodyDecoder {
            state: match framing {
                Framing::None => State::Length(0),
                Framing::Length(n) => State::Length(n),
                Framing::Chunked => State::Size,
                Framing::Close => State::Close,
            },
            bare_lf: false,
        }
    }

    /// Takes the next piece from the front of `input`; `Ok(None)` asks for more bytes. After [`Piece::End`] nothing more is taken.
    ///
    /// # Errors
    /// When the chunked coding is broken; the connection has lost its message boundaries then.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, BodyError> {
        let (taken, span) = self.scan(input)?;
        let mut taken = input.split_to(taken);
        Ok(span.map(|span| match span {
            Span::Data(n) => Piece::Data(taken.split_off(taken.len() - n).freeze()),
            Span::End(0) => Piece::End(None),
            Span::End(n) => Piece::End(Some(taken.split_off(taken.len() - n).freeze())),
        }))
    }

    /// The same on borrowed bytes: how many it takes from the front of `input`, and what the last of those are. `None` asks for more;
    /// what was taken then is passed over for good.
    ///
    /// # Errors
    /// As [`BodyDecoder::decode`].
    pub fn scan(&mut self, input: &[u8]) -> Result<(usize, Option<Span>), BodyError> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.state {
                State::Ended => return Ok((used, None)),
                State::Length(0) => {
                    self.state = State::Ended;
                    return Ok((used, Some(Span::End(0))));
                }
                State::Length(left) => {
                    let n = most(rest, left);
                    self.state = State::Length(left - n as u64);
                    return Ok((used + n, data(n)));
                }
                State::Close => return Ok((input.len(), data(rest.len()))),
                State::Size => match line(rest, MAX_SIZE_LINE).ok_or(BodyError::ChunkSize)? {
                    None => return Ok((used, None)),
                    Some(size) => {
                        self.state = match chunk_size(&rest[..size])? {
                            0 => State::Trailers,
                            n => State::Chunk(n),
                        };
                        self.bare_lf |= !rest[..size].ends_with(b"\r\n");
                        used += size;
                    }
                },
                State::Chunk(left) => {
                    let n = most(rest, left);
                    let left = left - n as u64;
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    return Ok((used + n, data(n)));
                }
                State::ChunkEnd => match line(rest, 2).ok_or(BodyError::ChunkEnd)? {
                    None => return Ok((used, None)),
                    Some(n) if matches!(&rest[..n], b"\n" | b"\r\n") => {
                        self.state = State::Size;
                        self.bare_lf |= n == 1;
                        used += n;
                    }
                    Some(_) => return Err(BodyError::ChunkEnd),
                },
                State::Trailers => {
                    let Some(n) = trailers_length(rest) else {
                        return if rest.len() > MAX_TRAILERS { Err(BodyError::Trailers) } else { Ok((used, None)) };
                    };
                    if has_bare_cr(&rest[..n]) {
                        return Err(BodyError::Trailers);
                    }
                    self.state = State::Ended;
                    return Ok((used + n, Some(Span::End(if n > 2 { n } else { 0 }))));
                }
            }
        }
    }

    /// Passes over `n` bytes of the wire that were lost, as far as they are surely of this body's data: gives how many those are. All
    /// of them leave the message whole but for the gap; where fewer are, or none, nobody knows what the rest were. Zero at the end.
    pub fn skip(&mut self, n: u64) -> u64 {
        match &mut self.state {
            State::Length(left) => {
                let n = n.min(*left);
                *left -= n;
                n
            }
            State::Close => n,
            // A gap that reaches over the chunk's end may hide other chunks.
            State::Chunk(left) if n <= *left => {
                *left -= n;
                if *left == 0 {
                    self.state = State::ChunkEnd;
                }
                n
            }
            _ => 0,
        }
    }

    /// Whether a chunk or its size has ended with LF alone. It is taken, as many do; others read on to a CRLF, which RFC 9112 §7.1 asks for, and
    /// see the body end elsewhere.
    pub fn has_bare_lf(&self) -> bool {
        self.bare_lf
    }

    /// Whether the body goes on for as long as the connection does.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::Close
    }

    /// How many bytes of data are known to follow: of the body, or of the chunk.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) | State::Chunk(left) => Some(left),
            _ => None,
        }
    }

    /// Tells it that the connection has ended: for a body framed by that, its proper end.
    ///
    /// # Errors
    /// When bytes are missing.
    pub fn finish(&mut self) -> Result<(), BodyError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Close | State::Ended | State::Length(0) => Ok(()),
            _ => Err(BodyError::Cut),
        }
    }
}

fn data(n: usize) -> Option<Span> {
    (n > 0).then_some(Span::Data(n))
}

fn most(input: &[u8], most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX).min(input.len())
}

/// The length of the line at the front with its end (CRLF, or LF alone as RFC 9112 §2.2 allows); the outer `None` when there is none
/// within `most` bytes.
fn line(input: &[u8], most: usize) -> Option<Option<usize>> {
    match input.iter().take(most).position(|&b| b == b'\n') {
        Some(at) => Some(Some(at + 1)),
        None if input.len() >= most => None,
        None => Some(None),
    }
}

/// `chunk-size [ chunk-ext ]`, RFC 9112 §7.1: any number of leading zeros. White space behind the size is no error, and what comes after it
/// is an extension, though it lacks the semicolon: senders that pad sizes are about, and servers take them.
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    if digits == 0 || !matches!(rest, [b' ' | b'\t' | b';' | b'\r' | b'\n', ..]) || has_bare_cr(rest) {
        return Err(BodyError::ChunkSize);
    }
    let digit = |b: &u8| char::from(*b).to_digit(16).map(u64::from);
    size.iter().try_fold(0u64, |n, b| n.checked_mul(16)?.checked_add(digit(b)?)).ok_or(BodyError::ChunkSize)
}

/// Whether there is a CR that no LF follows: two readers may see different lines.
fn has_bare_cr(lines: &[u8]) -> bool {
    lines.split_inclusive(|&b| b == b'\n').any(|line| {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        line.contains(&b'\r')
    })
}

/// The length of the trailer section at the front, its empty line included, when all of it is there.
fn trailers_length(input: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(end) = input[start..].iter().position(|&b| b == b'\n').map(|at| start + at) {
        if matches!(&input[start..end], b"" | b"\r") {
            return Some(end + 1);
        }
        start = end + 1;
        if start > MAX_TRAILERS {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, its trailers and what is left over.
    type Decoded = (Vec<u8>, Option<Bytes>, Vec<u8>);

    /// Feeds it `step` bytes at a time.
    fn decode(framing: Framing, wire: &[u8], step: usize) -> Result<Decoded, BodyError> {
        let (mut decoder, mut input, mut body) = (BodyDecoder::new(framing), BytesMut::new(), Vec::new());
        for part in wire.chunks(step) {
            input.extend_from_slice(part);
            while let Some(piece) = decoder.decode(&mut input)? {
                match piece {
                    Piece::Data(bytes) => body.extend_from_slice(&bytes),
                    Piece::End(trailers) => {
                        let consumed = part.as_ptr() as usize - wire.as_ptr() as usize + part.len();
                        input.extend_from_slice(&wire[consumed..]);
                        return Ok((body, trailers, input.to_vec()));
                    }
                }
            }
        }
        decoder.finish().map(|()| (body, None, input.to_vec()))
    }

    #[test]
    fn every_boundary_gives_the_same() {
        let chunked = b"5;a=\"b\"\r\nhello\r\n001\r\n!\r\n0\r\nX-Sum: 1\r\n\r\nnext";
        for step in 1..=chunked.len() {
            let (body, trailers, rest) = decode(Framing::Chunked, chunked, step).unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"hello!"[..], &b"next"[..]), "step {step}");
            assert_eq!(trailers.unwrap(), &b"X-Sum: 1\r\n\r\n"[..]);
            let (body, _, rest) = decode(Framing::Length(5), b"hellonext", step).unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"hello"[..], &b"next"[..]));
            let (body, _, _) = decode(Framing::Close, b"all of it", step).unwrap();
            assert_eq!(body, b"all of it");
        }
    }

    #[test]
    fn a_size_is_spelled_in_many_ways() {
        for size in ["5", "05", "0000000000000000000005", "5 ", "5\t ", "5;a", "5 ;a=b", "5;a=\"b;c\"", "5 a"] {
            for (end, zero) in [("\r\n", "0"), ("\n", "0"), ("\r\n", "00000000000000000000"), ("\n", "0 ;b")] {
                let wire = format!("{size}{end}hello{end}000A{end}0123456789{end}{zero}{end}{end}next");
                let (body, trailers, rest) = decode(Framing::Chunked, wire.as_bytes(), 3).expect(&wire);
                assert_eq!((&body[..], trailers, &rest[..]), (&b"hello0123456789"[..], None, &b"next"[..]), "{wire:?}");
            }
        }
    }

    #[test]
    fn ends_by_lf_alone_are_told() {
        for (wire, bare) in [
            ("2\r\nhi\r\n0\r\n\r\n", false),
            ("2\nhi\r\n0\r\n\r\n", true),
            ("2\r\nhi\n0\r\n\r\n", true),
            ("2\r\nhi\r\n0;\n\r\n", true),
            // Of lines, as trailers are, it is the end (RFC 9112 §2.2).
            ("2\r\nhi\r\n0\r\nA: b\n\n", false),
        ] {
            let (mut decoder, mut input) = (BodyDecoder::new(Framing::Chunked), BytesMut::from(wire));
            while !matches!(decoder.decode(&mut input), Ok(Some(Piece::End(_)))) {}
            assert_eq!(decoder.has_bare_lf(), bare, "{wire:?}");
        }
    }

    #[test]
    fn broken_codings_are_refused() {
        for (wire, error) in [
            (&b"x\r\n"[..], BodyError::ChunkSize),
            (b"-5\r\nhello\r\n", BodyError::ChunkSize),
            (b"\r\n", BodyError::ChunkSize),
            (b"+5\r\nhello\r\n", BodyError::ChunkSize),
            (b" 5\r\nhello\r\n", BodyError::ChunkSize),
            (b"0x5\r\nhello\r\n", BodyError::ChunkSize),
            (b"5h\r\nhello\r\n", BodyError::ChunkSize),
            (b"5,\r\nhello\r\n", BodyError::ChunkSize),
            (b"5\x0b\r\nhello\r\n", BodyError::ChunkSize),
            (b"5\0\r\nhello\r\n", BodyError::ChunkSize),
            (b"5\r\r\nhello\r\n", BodyError::ChunkSize),
            (b"5;a\rb\r\nhello\r\n", BodyError::ChunkSize),
            (b";a\r\nhello\r\n", BodyError::ChunkSize),
            (b"11111111111111111\r\n", BodyError::ChunkSize),
            (b"2\r\nhello\r\n0\r\n\r\n", BodyError::ChunkEnd),
            (b"2\r\nhi\r\r\n0\r\n\r\n", BodyError::ChunkEnd),
            (b"2\r\nhi0\r\n\r\n", BodyError::ChunkEnd),
            (b"0\r\n\rX: y\r\n\r\n", BodyError::Trailers),
            (b"0\r\nX: y\r\r\n\r\n", BodyError::Trailers),
            (b"5\r\nhel", BodyError::Cut),
            (b"0\r\n", BodyError::Cut),
        ] {
            for step in 1..=wire.len() {
                assert_eq!(decode(Framing::Chunked, wire, step), Err(error), "{wire:?} by {step}");
            }
        }
        assert_eq!(decode(Framing::Length(9), b"short", 2), Err(BodyError::Cut));
        assert_eq!(decode(Framing::Chunked, &[b'0'; MAX_SIZE_LINE + 1], 100), Err(BodyError::ChunkSize));
    }

    #[test]
    fn lost_bytes_are_passed_over_where_the_length_is_known() {
        let mut length = BodyDecoder::new(Framing::Length(10));
        assert_eq!((length.skip(4), length.remaining(), length.skip(9), length.skip(1)), (4, Some(6), 6, 0));
        assert_eq!(length.scan(b"next"), Ok((0, Some(Span::End(0)))));
        let mut chunked = BodyDecoder::new(Framing::Chunked);
        assert_eq!((chunked.skip(1), chunked.scan(b"5\r\nhe")), (0, Ok((5, Some(Span::Data(2))))));
        assert_eq!((chunked.skip(4), chunked.skip(3)), (0, 3), "not over the chunk's end");
        assert_eq!(chunked.scan(b"\r\n0\r\n\r\n"), Ok((7, Some(Span::End(0)))));
        assert_eq!(BodyDecoder::new(Framing::Close).skip(7), 7);
    }

    #[test]
    fn an_empty_body_ends_without_a_byte() {
        assert_eq!(decode(Framing::None, b"x", 1), Ok((vec![], None, b"x".to_vec())));
    }
}
