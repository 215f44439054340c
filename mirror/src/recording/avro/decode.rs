//! The bytes of a block to records; the mirror image of `encode.rs`.

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use zstd::zstd_safe::{DCtx, ResetDirective};

use super::long::{self, Taken};
use super::{MAX_BLOCK, MAX_ITEMS};
use crate::recording::{Record, RecordedAnswer, RecordedMessage, RecordedRequest, RecordedResponse, time};

/// The bytes are no record of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Corrupt;

/// Takes records off the front of a block's bytes.
///
/// What a record holds are slices of the block, not copies: a block lives as long as the last of its records.
#[derive(Debug)]
pub(super) struct Decoder {
    rest: Bytes,
    /// How many more headers, trailers and answers the record may have.
    items_left: usize,
}

impl Decoder {
    pub(super) fn new(data: Bytes) -> Self {
        Decoder { rest: data, items_left: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn record(&mut self) -> Result<Record, Corrupt> {
        self.items_left = MAX_ITEMS;
        Ok(Record {
            id: self.id()?,
            started: self.time()?,
            source: self.string()?,
            client: self.address()?,
            server: self.address()?,
            request: RecordedRequest {
                method: self.text()?,
                target: self.text()?,
                version: self.text()?,
                message: self.message()?,
            },
            response: self.optional(Self::response)?,
            aborted: self.optional(Self::string)?,
            request_end: self.optional(Self::micros)?,
            response_start: self.optional(Self::micros)?,
            end: self.optional(Self::micros)?,
            answers: self.array(Self::answer)?,
        })
    }

    fn answer(&mut self) -> Result<RecordedAnswer, Corrupt> {
        Ok(RecordedAnswer {
            target: self.string()?,
            outcome: self.string()?,
            response: self.optional(Self::response)?,
            first_byte: self.optional(Self::micros)?,
            total: self.optional(Self::micros)?,
        })
    }

    fn response(&mut self) -> Result<RecordedResponse, Corrupt> {
        Ok(RecordedResponse {
            version: self.text()?,
            status: u16::try_from(self.long()?).map_err(|_| Corrupt)?,
            reason: self.text()?,
            message: self.message()?,
        })
    }

    fn message(&mut self) -> Result<RecordedMessage, Corrupt> {
        Ok(RecordedMessage {
            headers: self.array(Self::field)?,
            body: match self.bytes()? {
                body if body.is_empty() => Vec::new(),
                body => vec![body],
            },
            body_length: self.unsigned()?,
            trailers: self.array(Self::field)?,
            truncated: self.optional(Self::string)?,
        })
    }

    fn field(&mut self) -> Result<(Bytes, Bytes), Corrupt> {
        Ok((self.text()?, self.text()?))
    }

    /// An array's blocks; other writers may give a block's size in bytes as well, its count negated then.
    fn array<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Corrupt>) -> Result<Vec<T>, Corrupt> {
        let mut items = Vec::new();
        loop {
            let count = match self.long()? {
                0 => return Ok(items),
                count if count > 0 => count.unsigned_abs(),
                count => {
                    self.unsigned()?;
                    count.unsigned_abs()
                }
            };
            let count = usize::try_from(count).map_err(|_| Corrupt)?;
            // Asked before anything is allocated: no count, however absurd, costs more than the bound.
            self.items_left = self.items_left.checked_sub(count).ok_or(Corrupt)?;
            items.reserve_exact(count.min(self.rest.len()));
            for _ in 0..count {
                items.push(item(self)?);
            }
        }
    }

    fn optional<T>(&mut self, value: impl Fn(&mut Self) -> Result<T, Corrupt>) -> Result<Option<T>, Corrupt> {
        match self.long()? {
            0 => Ok(None),
            1 => value(self).map(Some),
            _ => Err(Corrupt),
        }
    }

    fn id(&mut self) -> Result<u128, Corrupt> {
        let digits = self.bytes()?;
        // `from_str_radix` alone would take a sign, and fewer digits.
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Corrupt);
        }
        let digits = std::str::from_utf8(&digits).map_err(|_| Corrupt)?;
        u128::from_str_radix(digits, 16).map_err(|_| Corrupt)
    }

    fn time(&mut self) -> Result<SystemTime, Corrupt> {
        time::at_micros(self.long()?).ok_or(Corrupt)
    }

    fn micros(&mut self) -> Result<Duration, Corrupt> {
        self.unsigned().map(Duration::from_micros)
    }

    fn address(&mut self) -> Result<Option<SocketAddr>, Corrupt> {
        self.optional(|this| {
            let text = this.bytes()?;
            std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or(Corrupt)
        })
    }

    fn string(&mut self) -> Result<String, Corrupt> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| Corrupt)
    }

    /// A string that stands for bytes: one for each character.
    fn text(&mut self) -> Result<Bytes, Corrupt> {
        let encoded = self.bytes()?;
        if encoded.is_ascii() {
            return Ok(encoded);
        }
        let text = std::str::from_utf8(&encoded).map_err(|_| Corrupt)?;
        text.chars().map(|character| u8::try_from(character).map_err(|_| Corrupt)).collect()
    }

    fn bytes(&mut self) -> Result<Bytes, Corrupt> {
        let length = usize::try_from(self.long()?).map_err(|_| Corrupt)?;
        if length > self.rest.len() {
            return Err(Corrupt);
        }
        Ok(self.rest.split_to(length))
    }

    fn unsigned(&mut self) -> Result<u64, Corrupt> {
        u64::try_from(self.long()?).map_err(|_| Corrupt)
    }

    fn long(&mut self) -> Result<i64, Corrupt> {
        match long::take(&self.rest) {
            Taken::Value(value, length) => {
                self.rest.advance(length);
                Ok(value)
            }
            Taken::Incomplete | Taken::Overlong => Err(Corrupt),
        }
    }
}

/// What zstd needs for a frame is kept for the next one where it is at most so large, in bytes; 1 MiB, so that with as many files as are open at once
/// it is no more than what is held to put records in order. Frames of ours need half of it.
const KEPT: usize = 1 << 20;

/// Takes blocks' data out of their frames. What zstd needs for that is not made anew each time: for the small blocks of some writers that takes longer than
/// all else.
pub(super) struct Frames(Option<DCtx<'static>>);

impl Frames {
    pub(super) fn new() -> Frames {
        Frames(None)
    }

    /// A block's data.
    ///
    /// Frames that do not say their size, or several in a row, as other writers may make them, are read as well. The memory grows
    /// with what comes out, to [`MAX_BLOCK`] at the most, whatever the frame promises.
    pub(super) fn decompress(&mut self, frame: &[u8]) -> Result<Bytes, Corrupt> {
        let context = self.0.get_or_insert_with(DCtx::create);
        // The last one may have broken off.
        context.reset(ResetDirective::SessionOnly).map_err(|_| Corrupt)?;
        let mut data = Vec::with_capacity(frame.len().saturating_mul(4).min(1 << 20));
        let decoder = zstd::stream::read::Decoder::with_context(frame, context);
        let read = decoder.take(MAX_BLOCK as u64 + 1).read_to_end(&mut data);
        self.0 = self.0.take().filter(|context| context.sizeof() <= KEPT);
        read.map_err(|_| Corrupt)?;
        if data.len() > MAX_BLOCK { Err(Corrupt) } else { Ok(data.into()) }
    }
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::BlockEncoder;
    use super::super::tests::small;
    use super::*;

    fn encoded() -> Vec<u8> {
        let mut encoder = BlockEncoder::new(0);
        encoder.push(&small(7)).unwrap();
        encoder.take().data
    }

    fn decode(data: Vec<u8>) -> Result<Record, Corrupt> {
        Decoder::new(data.into()).record()
    }

    #[test]
    fn a_record_cut_short_anywhere_is_corrupt() {
        let data = encoded();
        assert_eq!(decode(data.clone()), Ok(small(7)));
        for length in 0..data.len() {
            assert_eq!(decode(data[..length].to_vec()), Err(Corrupt), "cut at {length}");
        }
    }

    #[test]
    fn values_that_no_writer_of_ours_makes_are_corrupt() {
        let replaced = |from: &[u8], to: &[u8]| {
            let data = encoded();
            let at = data.windows(from.len()).position(|window| window == from).expect("is there");
            decode([&data[..at], to, &data[at + from.len()..]].concat())
        };
        assert!(replaced(b"\x06GET", b"\x06PUT").is_ok());
        for (what, from, to) in [
            ("a sign in the id", &b"\x400"[..], &b"\x40+"[..]),
            ("no address", b"127.0.0.1:4000", b"127.0.0.1:x000"),
            ("no such branch", b"\x02\x1c127", b"\x04\x1c127"),
            ("a character over U+00FF", b"\x06GET", "\u{6}G\u{100}".as_bytes()),
            ("no UTF-8", b"\x06GET", b"\x06G\xff\xff"),
            ("a negative length", b"\x06GET", b"\x05GET"),
            ("a status over 65535", b"\x90\x03\x04OK", b"\x80\x80\x08\x04OK"),
            ("a negative body length", b"\x04hi\x04", b"\x04hi\x03"),
            ("more headers than fit", b"\x02\x08Host", b"\xfe\xff\xff\xff\x0f\x08Host"),
            (
                "a negative count of all there are",
                b"\x02\x08Host",
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x08Host",
            ),
        ] {
            assert_eq!(replaced(from, to), Err(Corrupt), "{what}");
        }
    }

    #[test]
    fn arrays_whose_size_is_given_are_read() {
        let data = encoded();
        let at = data.windows(6).position(|window| window == b"\x02\x08Host").unwrap();
        let sized = [&data[..at], b"\x01\x0e\x08Host", &data[at + 6..]].concat();
        assert_eq!(decode(sized), Ok(small(7)));
    }

    #[test]
    fn a_small_frame_cannot_fill_the_memory() {
        let mut bomb = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..=MAX_BLOCK >> 20 {
            std::io::Write::write_all(&mut bomb, &zeros).unwrap();
        }
        let mut frames = Frames::new();
        assert_eq!(frames.decompress(&bomb.finish().unwrap()), Err(Corrupt));
        assert!(frames.0.as_ref().is_none_or(|context| context.sizeof() <= KEPT));
        let sound = zstd::encode_all(&b"sound"[..], 1).unwrap();
        assert_eq!(frames.decompress(&sound[..sound.len() - 1]), Err(Corrupt));
        assert_eq!(frames.decompress(&sound), Ok(Bytes::from_static(b"sound")), "after those that broke off");
        assert!(frames.0.is_some(), "kept for the next");
    }
}
