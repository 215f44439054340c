//! Takes bodies off the wire: by length, by the chunked coding (RFC 9112 §7.1), or to the connection's end.

use bytes::{Buf, Bytes, BytesMut};

use super::Framing;

/// The longest chunk-size line, extensions included. No sender in use comes near; a longer one is an attack or not HTTP.
const MAX_SIZE_LINE: usize = 4096;

/// The longest trailer section: as large as the heads of most servers may be.
const MAX_TRAILERS: usize = 64 * 1024;

/// Decodes one body. Feed it whatever has been read; it takes what belongs to the body and leaves the rest.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
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

/// Why a body cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not a chunk size, or a size line over its bound.
    #[error("bad chunk size")]
    ChunkSize,
    /// A chunk that does not end with CRLF.
    #[error("a chunk is longer than its size")]
    ChunkEnd,
    /// A trailer section over its bound.
    #[error("trailers are longer than {MAX_TRAILERS} bytes")]
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
        }
    }

    /// Takes the next piece from the front of `input`; `Ok(None)` asks for more bytes. After [`Piece::End`] nothing more is taken.
    ///
    /// # Errors
    /// When the chunked coding is broken; the connection has lost its message boundaries then.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, BodyError> {
        loop {
            match self.state {
                State::Ended => return Ok(None),
                State::Length(0) => {
                    self.state = State::Ended;
                    return Ok(Some(Piece::End(None)));
                }
                State::Length(left) => {
                    let taken = take(input, left);
                    self.state = State::Length(left - taken.len() as u64);
                    return Ok(data(taken));
                }
                State::Close => return Ok(data(take(input, u64::MAX))),
                State::Size => match line(input, MAX_SIZE_LINE).ok_or(BodyError::ChunkSize)? {
                    None => return Ok(None),
                    Some(size) => {
                        self.state = match chunk_size(&size)? {
                            0 => State::Trailers,
                            n => State::Chunk(n),
                        }
                    }
                },
                State::Chunk(left) => {
                    let taken = take(input, left);
                    let left = left - taken.len() as u64;
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    return Ok(data(taken));
                }
                State::ChunkEnd => match line(input, 2).ok_or(BodyError::ChunkEnd)? {
                    None => return Ok(None),
                    Some(rest) if rest.is_empty() => self.state = State::Size,
                    Some(_) => return Err(BodyError::ChunkEnd),
                },
                State::Trailers => {
                    let Some(length) = trailers_length(input) else {
                        return if input.len() > MAX_TRAILERS { Err(BodyError::Trailers) } else { Ok(None) };
                    };
                    self.state = State::Ended;
                    let section = input.split_to(length).freeze();
                    return Ok(Some(Piece::End((length > 2).then_some(section))));
                }
            }
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

fn data(bytes: Bytes) -> Option<Piece> {
    (!bytes.is_empty()).then_some(Piece::Data(bytes))
}

fn take(input: &mut BytesMut, most: u64) -> Bytes {
    let n = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    input.split_to(n).freeze()
}

/// A line without its end (CRLF, or LF alone as RFC 9112 §2.2 allows); the outer `None` when there is none within `most` bytes.
fn line(input: &mut BytesMut, most: usize) -> Option<Option<Bytes>> {
    match input.iter().take(most).position(|&b| b == b'\n') {
        Some(at) => {
            let line = input.split_to(at).freeze();
            input.advance(1);
            Some(Some(line.strip_suffix(b"\r").map_or(line.clone(), |l| line.slice_ref(l))))
        }
        None if input.len() >= most => None,
        None => Some(None),
    }
}

/// `chunk-size [ chunk-ext ]`, RFC 9112 §7.1.
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let size = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    if size.is_empty() || size.len() > 16 || !size.iter().all(u8::is_ascii_hexdigit) {
        return Err(BodyError::ChunkSize);
    }
    std::str::from_utf8(size).ok().and_then(|s| u64::from_str_radix(s, 16).ok()).ok_or(BodyError::ChunkSize)
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
    fn broken_codings_are_refused() {
        for (wire, error) in [
            (&b"x\r\n"[..], BodyError::ChunkSize),
            (b"-5\r\nhello\r\n", BodyError::ChunkSize),
            (b"\r\n", BodyError::ChunkSize),
            (b"11111111111111111\r\n", BodyError::ChunkSize),
            (b"2\r\nhello\r\n0\r\n\r\n", BodyError::ChunkEnd),
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
    fn an_empty_body_ends_without_a_byte() {
        assert_eq!(decode(Framing::None, b"x", 1), Ok((vec![], None, b"x".to_vec())));
    }
}
