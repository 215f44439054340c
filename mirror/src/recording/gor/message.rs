//! One message: its first line, and what is behind it.

use bytes::{Bytes, BytesMut};

use crate::http1::{
    BodyDecoder, Framing, FramingError, Piece, RequestHead, ResponseHead, head_length, request_framing,
    response_framing,
};
use crate::recording::{RecordedMessage, RecordedRequest, RecordedResponse, pairs, trailers};

/// The longest first line. GoReplay's take 60 bytes.
const MAX_META: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Request = 1,
    Response = 2,
    Answer = 3,
}

/// A message's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) kind: Type,
    pub(super) id: u128,
    /// Nanoseconds since 1970.
    pub(super) at: i64,
    /// Nanoseconds.
    pub(super) took: u64,
}

impl Meta {
    /// The first line of these bytes, and its length with its end; none where there is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Meta, usize)> {
        let end = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_META)])?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut fields = line.trim_end_matches('\r').split(' ');
        let kind = match fields.next()? {
            "1" => Type::Request,
            "2" => Type::Response,
            "3" => Type::Answer,
            _ => return None,
        };
        let id = fields.next().filter(|id| !id.is_empty())?;
        let at = fields.next()?.parse().ok()?;
        // Missing in old files, and of no worth where it is negative, as clocks may make it.
        let took = fields.next().and_then(|took| took.parse().ok()).unwrap_or(0);
        Some((Meta { kind, id: number(id), at, took }, end + 1))
    }
}

/// An ID as a number: that of its hexadecimal digits; of any other text, as some tools write, one made of it (FNV-1a).
fn number(id: &str) -> u128 {
    if id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return u128::from_str_radix(id, 16).expect("digits alone");
    }
    const START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    id.bytes().fold(START, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// What is behind a first line.
pub(super) enum Head {
    Request(RequestHead),
    Response(ResponseHead),
}

/// The head of a payload, and its length; none where it has none.
pub(super) fn head(kind: Type, payload: &Bytes) -> Option<(Head, usize)> {
    let length = head_length(payload)?;
    let wire = payload.slice(..length);
    let head = match kind {
        Type::Request => Head::Request(RequestHead::parse(&wire).ok().or_else(|| RequestHead::parse_lenient(&wire))?),
        Type::Response | Type::Answer => {
            let strict = ResponseHead::parse(&wire).ok().flatten().map(|(head, _)| head);
            Head::Response(strict.or_else(|| ResponseHead::parse_lenient(&wire))?)
        }
    };
    Some((head, length))
}

impl Head {
    /// How the body is framed; of a response to a method that is not known here.
    pub(super) fn framing(&self) -> Result<Framing, FramingError> {
        match self {
            Head::Request(head) => request_framing(head),
            Head::Response(head) => response_framing(b"", head),
        }
    }
}

/// A request with its body, and how many bytes are behind its end.
pub(super) fn request(head: RequestHead, rest: Bytes) -> (RecordedRequest, usize) {
    let (mut message, behind) = body(request_framing(&head), rest);
    let version = Bytes::from_static(head.version().as_bytes());
    message.headers = pairs(head.headers);
    (RecordedRequest { method: head.method, target: head.target, version, message }, behind)
}

/// A response to this method with its body, and how many bytes are behind its end.
pub(super) fn response(method: &[u8], head: ResponseHead, rest: Bytes) -> (RecordedResponse, usize) {
    let (mut message, behind) = body(response_framing(method, &head), rest);
    let version = Bytes::from_static(head.version().as_bytes());
    message.headers = pairs(head.headers);
    (RecordedResponse { version, status: head.status, reason: head.reason, message }, behind)
}

fn body(framing: Result<Framing, FramingError>, rest: Bytes) -> (RecordedMessage, usize) {
    let all = |body: Bytes, length: u64, truncated: bool| RecordedMessage {
        headers: Vec::new(),
        body: if body.is_empty() { Vec::new() } else { vec![body] },
        body_length: length,
        trailers: Vec::new(),
        // Whoever recorded it did not see the rest.
        truncated: truncated.then(|| "capture".to_owned()),
    };
    match framing {
        Ok(Framing::None) => (all(Bytes::new(), 0, false), rest.len()),
        Ok(Framing::Length(length)) => match usize::try_from(length) {
            Ok(end) if end <= rest.len() => (all(rest.slice(..end), length, false), rest.len() - end),
            _ => (all(rest, length, true), 0),
        },
        Ok(Framing::Chunked) => match dechunked(&rest) {
            Chunks::Whole(body, trailers, behind) => {
                let length = body.len() as u64;
                (RecordedMessage { trailers, ..all(body, length, false) }, behind)
            }
            Chunks::Cut(body) => {
                let length = body.len() as u64;
                (all(body, length, true), 0)
            }
            // A tool has taken the chunks off and left the header.
            Chunks::None => {
                let length = rest.len() as u64;
                (all(rest, length, false), 0)
            }
        },
        Ok(Framing::Close) | Err(_) => {
            let length = rest.len() as u64;
            (all(rest, length, false), 0)
        }
    }
}

enum Chunks {
    /// With the trailers, and the number of bytes behind it.
    Whole(Bytes, Vec<(Bytes, Bytes)>, usize),
    /// As far as it goes.
    Cut(Bytes),
    /// It is not chunked at all.
    None,
}

fn dechunked(rest: &Bytes) -> Chunks {
    let (mut decoder, mut input, mut body) =
        (BodyDecoder::new(Framing::Chunked), BytesMut::from(&rest[..]), BytesMut::new());
    loop {
        match decoder.decode(&mut input) {
            Ok(Some(Piece::Data(bytes))) if body.is_empty() => body = bytes.into(),
            Ok(Some(Piece::Data(bytes))) => body.extend_from_slice(&bytes),
            Ok(Some(Piece::End(section))) => {
                let trailers = section.and_then(|section| trailers(&section)).unwrap_or_default();
                return Chunks::Whole(body.freeze(), trailers, input.len());
            }
            Ok(None) if body.is_empty() && !rest.first().is_none_or(u8::is_ascii_hexdigit) => return Chunks::None,
            Ok(None) => return Chunks::Cut(body.freeze()),
            Err(_) if body.is_empty() => return Chunks::None,
            Err(_) => return Chunks::Cut(body.freeze()),
        }
    }
}
