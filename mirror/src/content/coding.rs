//! Content codings (RFC 9110 §8.4): gzip, deflate, br and zstd, and several of them one over the other.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::{Compression, Decompress, FlushDecompress, Status};

use crate::http1::Headers;

/// The most codings one over the other. One is what everybody sends; each more costs as much as the body's bound allows.
pub const MAX_CODINGS: usize = 4;

/// The codings of a body, in the order in which they were applied. None at all is the identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codings(Vec<Coding>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// A body whose coding is not known here, so that nobody can look into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCoding {
    /// A coding of this name.
    #[error("the coding {0:?} is not known")]
    Named(String),
    /// More than [`MAX_CODINGS`].
    #[error("more than {MAX_CODINGS} codings")]
    TooMany,
}

/// Why a body could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// It decodes to more bytes than were asked for at most.
    #[error("it decodes to more than the bound")]
    TooLong,
    /// It is not what its coding says: not begun as such, cut off, damaged, or with something behind its end.
    #[error("it is not coded as its head says")]
    Broken,
}

impl Codings {
    /// Reads Content-Encoding, and Transfer-Encoding for what stands there before `chunked`, which a source has taken off.
    ///
    /// # Errors
    /// When one of them is not known, or there are too many.
    pub fn of(headers: &Headers) -> Result<Codings, UnknownCoding> {
        let list = |name| headers.get_all(name).flat_map(|value| value.split(|&b| b == b','));
        let transfer = list("transfer-encoding").filter(|member| !member.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        let mut codings = Vec::new();
        for member in list("content-encoding").chain(transfer) {
            let name = member.trim_ascii().to_ascii_lowercase();
            codings.push(match &name[..] {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"deflate" => Coding::Deflate,
                b"br" => Coding::Brotli,
                b"zstd" => Coding::Zstd,
                other => return Err(UnknownCoding::Named(String::from_utf8_lossy(other).into_owned())),
            });
        }
        if codings.len() > MAX_CODINGS { Err(UnknownCoding::TooMany) } else { Ok(Codings(codings)) }
    }

    /// Whether a body is as it was before any coding.
    pub fn is_identity(&self) -> bool {
        self.0.is_empty()
    }

    /// The body before the codings; the same bytes, uncopied, where there is none. An empty body, as an answer to HEAD has one, is empty.
    /// No step holds more than `most` bytes.
    ///
    /// # Errors
    /// When it is longer than `most` bytes before one of the codings, or not coded so.
    pub fn decode(&self, body: &Bytes, most: u64) -> Result<Bytes, ContentError> {
        if body.is_empty() {
            return Ok(body.clone());
        }
        let decoded =
            self.0.iter().rev().try_fold(body.clone(), |body, coding| coding.decode(&body, most).map(Bytes::from))?;
        if decoded.len() as u64 > most { Err(ContentError::TooLong) } else { Ok(decoded) }
    }

    /// The body with the codings, at levels that favour speed: who decodes it gets the same bytes, which is all that is promised.
    pub fn encode(&self, body: &[u8]) -> Bytes {
        match self.0.split_first() {
            None => Bytes::copy_from_slice(body),
            Some((first, rest)) => rest.iter().fold(first.encode(body), |body, coding| coding.encode(&body)).into(),
        }
    }
}

/// RFC 9659: what a zstd body may ask of its reader, as a power of two; 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Where brotli's encoder begins to be slow for little.
const BROTLI_QUALITY: u32 = 4;

/// What brotli's encoders take by default, as a power of two; 4 MiB.
const BROTLI_WINDOW_LOG: u32 = 22;

/// What brotli's reader and writer hold beside their windows, in bytes.
const BROTLI_BUFFER: usize = 4096;

impl Coding {
    fn decode(self, body: &[u8], most: u64) -> Result<Vec<u8>, ContentError> {
        match self {
            // All members, one behind the other (RFC 1952 §2.2); what is behind the last has to be one.
            Coding::Gzip => read(&mut flate2::bufread::MultiGzDecoder::new(body), most),
            Coding::Deflate => inflate(body, most),
            Coding::Brotli => {
                // A window larger than RFC 7932 §9.1 has it, of up to a GiB, is another format, which begins so.
                if body.first().is_some_and(|first| first & 0x7f == 0x11) {
                    return Err(ContentError::Broken);
                }
                let mut decoder = brotli::Decompressor::new(body, BROTLI_BUFFER);
                let decoded = read(&mut decoder, most)?;
                // What is behind the end is told by a read there, or was not looked at.
                match decoder.read(&mut [0]) {
                    Ok(0) if decoder.get_ref().is_empty() => Ok(decoded),
                    _ => Err(ContentError::Broken),
                }
            }
            Coding::Zstd => {
                let broken = |_| ContentError::Broken;
                let mut decoder = zstd::Decoder::with_buffer(body).map_err(broken)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
                read(&mut decoder, most)
            }
        }
    }

    fn encode(self, body: &[u8]) -> Vec<u8> {
        let written = match self {
            Coding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Coding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Coding::Brotli => {
                let mut encoder =
                    brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI_QUALITY, BROTLI_WINDOW_LOG);
                encoder.write_all(body).map(|()| encoder.into_inner())
            }
            Coding::Zstd => zstd::encode_all(body, zstd::DEFAULT_COMPRESSION_LEVEL),
        };
        // Into memory nothing fails to be written but for want of it.
        written.unwrap_or_default()
    }
}

/// All that a decoder gives.
fn read(decoder: &mut impl Read, most: u64) -> Result<Vec<u8>, ContentError> {
    let mut decoded = Vec::new();
    decoder.take(most.saturating_add(1)).read_to_end(&mut decoded).map_err(|_| ContentError::Broken)?;
    if decoded.len() as u64 > most { Err(ContentError::TooLong) } else { Ok(decoded) }
}

/// `deflate` is the zlib format (RFC 9110 §8.4.1.2), and what some servers send for it, deflate without one. Told apart by zlib's header,
/// whose 16 bits are divisible by 31 (RFC 1950 §2.2).
fn inflate(body: &[u8], most: u64) -> Result<Vec<u8>, ContentError> {
    let is_zlib =
        matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flg]).is_multiple_of(31));
    // Not by a reader: it takes a stream that is cut off for one that has ended.
    let mut inflater = Decompress::new(is_zlib);
    let mut decoded = Vec::new();
    loop {
        let room = most.saturating_add(1).saturating_sub(decoded.len() as u64);
        decoded.reserve(INFLATED_AT_ONCE.min(usize::try_from(room).unwrap_or(INFLATED_AT_ONCE)));
        let (read, written) = (inflater.total_in(), inflater.total_out());
        let status = inflater
            .decompress_vec(&body[read as usize..], &mut decoded, FlushDecompress::None)
            .map_err(|_| ContentError::Broken)?;
        if decoded.len() as u64 > most {
            return Err(ContentError::TooLong);
        }
        match status {
            Status::StreamEnd if inflater.total_in() as usize == body.len() => return Ok(decoded),
            Status::StreamEnd => return Err(ContentError::Broken),
            // Nothing came of all there is.
            _ if (read, written) == (inflater.total_in(), inflater.total_out()) => return Err(ContentError::Broken),
            _ => {}
        }
    }
}

/// How many bytes deflate gives at a time.
const INFLATED_AT_ONCE: usize = 16 * 1024;

#[cfg(test)]
mod tests;
