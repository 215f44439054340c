//! Records to the bytes of a block (spec: Binary Encoding; the order of fields is the schema's).

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::block::{Block, is_long};
use super::{MAX_BLOCK, MAX_ITEMS, long};
use crate::recording::time::micros_since_epoch;
use crate::recording::view::{Line, MessageView, RecordView, ResponseView};
use crate::recording::{Record, RecordedAnswer, RecordedResponse};

/// What a record's encoding takes beside the bytes it carries: lengths, timings, names.
const RECORD_OVERHEAD: usize = 512;

/// What most records take of a block's own memory at most.
const USUAL_RECORD: usize = 8 << 10;

/// What a header line's encoding takes beside its name and value.
const LINE_OVERHEAD: usize = 8;

/// Why a record was not added to a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DoesNotFit {
    /// The block would be larger than [`MAX_BLOCK`]; where the block is not empty, the next one may take the record.
    #[error("the block would grow over {MAX_BLOCK} bytes")]
    Block,
    /// The record has more headers, trailers and answers than [`MAX_ITEMS`].
    #[error("a record has at most {MAX_ITEMS} headers, trailers and answers")]
    Items,
}

/// Encodes records, one after the other, into one block.
#[derive(Debug)]
pub struct BlockEncoder {
    block: Block,
    capacity: usize,
}

impl BlockEncoder {
    /// An encoder whose blocks are meant to be taken when they hold about `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        // The last record reaches over it, and to grow then would be to copy all.
        let capacity = capacity.saturating_add(USUAL_RECORD);
        BlockEncoder { block: Block::with_capacity(capacity), capacity }
    }

    /// Appends one record.
    ///
    /// Times are kept to the microsecond, rounded down; lengths and times beyond an `i64` become its largest value.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`]; the block then is as it was.
    pub fn push(&mut self, record: &Record) -> Result<(), DoesNotFit> {
        let record = record.view();
        self.push_view(&record, Size::of(&record))
    }

    /// Appends one record of this size, which its caller has asked for.
    pub(crate) fn push_view<Q: Line, S: Line>(
        &mut self,
        record: &RecordView<'_, Q, S>,
        size: Size,
    ) -> Result<(), DoesNotFit> {
        if size.items > MAX_ITEMS {
            return Err(DoesNotFit::Items);
        }
        // Asked of the bodies first, so that what cannot fit is not copied.
        if self.block.len() + size.bodies > MAX_BLOCK {
            return Err(DoesNotFit::Block);
        }
        let block = &mut self.block;
        let before = block.end();
        // No more than that: it would be doubled otherwise, and a block grows so once at most before it is taken.
        block.data.reserve_exact(size.copied);
        put_record(block, record);
        if block.len() > MAX_BLOCK {
            block.cut(before);
            return Err(DoesNotFit::Block);
        }
        block.count += 1;
        Ok(())
    }

    /// How many bytes the block has, before compression.
    pub fn len(&self) -> usize {
        self.block.len()
    }

    /// How many records the block has.
    pub fn count(&self) -> u64 {
        self.block.count()
    }

    /// Whether the block has no record.
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// Hands the block over, which takes no more memory than what is in it, and begins the next.
    pub fn take(&mut self) -> Block {
        let mut block = std::mem::replace(&mut self.block, Block::with_capacity(self.capacity));
        block.shrink();
        block
    }
}

/// What a record takes in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// About how many bytes of the block's own; never fewer by much.
    pub(crate) copied: usize,
    /// How many bytes of bodies it holds as they came.
    pub(crate) held: usize,
    bodies: usize,
    items: usize,
}

impl Size {
    /// That of this record.
    pub(crate) fn of<Q: Line, S: Line>(record: &RecordView<'_, Q, S>) -> Size {
        let copied = record.target.len() + RECORD_OVERHEAD * (1 + record.answers.len());
        let mut size = Size { copied, held: 0, bodies: 0, items: record.answers.len() };
        size.add(&record.request);
        if let Some(response) = &record.response {
            size.add(&response.message);
        }
        for answer in record.answers.iter().filter_map(|answer| answer.response.as_ref()) {
            size.add(&answer.view().message);
        }
        size
    }

    fn add<L: Line>(&mut self, message: &MessageView<'_, L>) {
        self.items += message.headers.len() + message.trailers.len();
        self.copied += message.lines().map(|(name, value)| name.len() + value.len() + LINE_OVERHEAD).sum::<usize>();
        for length in message.body.iter().map(Bytes::len) {
            self.bodies += length;
            *(if is_long(length) { &mut self.held } else { &mut self.copied }) += length;
        }
        self.copied += size_of::<(usize, Bytes)>() * message.body.len();
    }
}

fn put_record<Q: Line, S: Line>(block: &mut Block, record: &RecordView<'_, Q, S>) {
    put_id(&mut block.data, record.id);
    long::put(&mut block.data, micros_since_epoch(record.started));
    put_bytes(&mut block.data, record.source.as_bytes());
    put_address(&mut block.data, record.client);
    put_address(&mut block.data, record.server);

    put_text(&mut block.data, record.method);
    put_text(&mut block.data, record.target);
    put_text(&mut block.data, record.version);
    put_message(block, &record.request);

    put_response(block, record.response.as_ref());
    put_optional_str(&mut block.data, record.aborted);
    put_micros(&mut block.data, record.request_end);
    put_micros(&mut block.data, record.response_start);
    put_micros(&mut block.data, record.end);
    put_array(block, record.answers, put_answer);
}

fn put_answer(block: &mut Block, answer: &RecordedAnswer) {
    put_bytes(&mut block.data, answer.target.as_bytes());
    put_bytes(&mut block.data, answer.outcome.as_bytes());
    put_response(block, answer.response.as_ref().map(RecordedResponse::view).as_ref());
    put_micros(&mut block.data, answer.first_byte);
    put_micros(&mut block.data, answer.total);
}

fn put_response<L: Line>(block: &mut Block, response: Option<&ResponseView<'_, L>>) {
    put_optional(block, response, |block, response| {
        put_text(&mut block.data, response.version);
        long::put(&mut block.data, i64::from(response.status));
        put_text(&mut block.data, response.reason);
        put_message(block, &response.message);
    });
}

fn put_message<L: Line>(block: &mut Block, message: &MessageView<'_, L>) {
    put_array(&mut block.data, message.headers, put_field);
    long::put(&mut block.data, message.body.iter().map(Bytes::len).sum::<usize>() as i64);
    message.body.iter().for_each(|piece| block.put_piece(piece));
    long::put(&mut block.data, i64::try_from(message.body_length).unwrap_or(i64::MAX));
    put_array(&mut block.data, message.trailers, put_field);
    put_optional_str(&mut block.data, message.truncated);
}

#[inline]
fn put_field<L: Line>(buffer: &mut Vec<u8>, line: &L) {
    put_text(buffer, line.name());
    put_text(buffer, line.value());
}

/// An array is blocks of items, each with its count, and an empty one (spec: Complex Types, Arrays).
fn put_array<O: AsMut<Vec<u8>>, T>(output: &mut O, items: &[T], put: impl Fn(&mut O, &T)) {
    if !items.is_empty() {
        long::put(output.as_mut(), items.len() as i64);
        for item in items {
            put(output, item);
        }
    }
    output.as_mut().push(0);
}

/// A union is the number of its branch, zig-zag, and the value: null is branch 0, the value branch 1.
#[inline]
fn put_optional<O: AsMut<Vec<u8>>, T>(output: &mut O, value: Option<T>, put: impl Fn(&mut O, T)) {
    match value {
        None => output.as_mut().push(0),
        Some(value) => {
            output.as_mut().push(2);
            put(output, value);
        }
    }
}

fn put_optional_str(buffer: &mut Vec<u8>, value: Option<&str>) {
    put_optional(buffer, value.map(str::as_bytes), put_bytes);
}

fn put_micros(buffer: &mut Vec<u8>, value: Option<Duration>) {
    put_optional(buffer, value, |buffer, value| {
        long::put(buffer, i64::try_from(value.as_micros()).unwrap_or(i64::MAX));
    });
}

#[inline]
fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    long::put(buffer, bytes.len() as i64);
    buffer.extend_from_slice(bytes);
}

/// Bytes as a string: one character for each (see the format's documentation).
#[inline]
fn put_text(buffer: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_ascii() {
        return put_bytes(buffer, bytes);
    }
    let wide = bytes.iter().filter(|byte| !byte.is_ascii()).count();
    long::put(buffer, (bytes.len() + wide) as i64);
    for &byte in bytes {
        if byte.is_ascii() {
            buffer.push(byte);
        } else {
            buffer.extend_from_slice(&[0xc0 | byte >> 6, 0x80 | byte & 0x3f]);
        }
    }
}

fn put_id(buffer: &mut Vec<u8>, id: u128) {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(id.to_be_bytes()) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    put_bytes(buffer, &digits);
}

fn put_address(buffer: &mut Vec<u8>, address: Option<SocketAddr>) {
    put_optional(buffer, address, |buffer, address| {
        // No address takes more than 63 characters, so its length is one byte, put in afterwards.
        let length = buffer.len();
        buffer.push(0);
        match address {
            // Nearly all are, twice in each record: the standard library's formatting would be a tenth of what recording costs.
            SocketAddr::V4(address) => {
                for (octet, end) in address.ip().octets().into_iter().zip(*b"...:") {
                    put_decimal(buffer, octet.into());
                    buffer.push(end);
                }
                put_decimal(buffer, address.port());
            }
            SocketAddr::V6(address) => write!(buffer, "{address}").expect("a Vec takes every write"),
        }
        buffer[length] = ((buffer.len() - length - 1) as u8) << 1;
    });
}

#[inline]
fn put_decimal(buffer: &mut Vec<u8>, number: u16) {
    for power in [10_000, 1_000, 100, 10].into_iter().filter(|power| number >= *power) {
        buffer.push(b'0' + (number / power % 10) as u8);
    }
    buffer.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::super::tests::small;
    use super::*;

    #[test]
    fn a_small_exchange_byte_for_byte() {
        let mut encoder = BlockEncoder::new(0);
        encoder.push(&small(0x0123)).unwrap();
        let mut expected = Vec::new();
        for part in [
            &b"\x4000000000000000000000000000000123"[..], // id: 32 digits
            b"\x80\x80\xe3\xa0\xb7\xa6\x95\x06",          // start
            b"\x0aproxy",
            b"\x02\x1c127.0.0.1:4000", // client: branch 1, 14 characters
            b"\x02\x14[::1]:8080",
            b"\x06GET\x04/a\x10HTTP/1.1",
            b"\x02\x08Host\x02x\x00", // one header, end of the array
            b"\x00\x00\x00\x00",      // no body, length 0, no trailers, not truncated
            b"\x02\x10HTTP/1.1\x90\x03\x04OK",
            b"\x00\x04hi\x04\x00\x00", // no header, "hi", length 2, no trailers, not truncated
            b"\x00",                   // not aborted
            b"\x02\x14\x02\x28\x02\x3c", // 10, 20, 30 µs
            b"\x00",                   // no answers
        ] {
            expected.extend_from_slice(part);
        }
        let block = encoder.take();
        assert_eq!(block.data, expected, "{}", block.data.escape_ascii());
        assert_eq!((block.count(), encoder.count(), encoder.len()), (1, 0, 0));
    }

    #[test]
    fn bytes_become_characters() {
        for (bytes, text) in [(&b""[..], ""), (b"plain", "plain"), (b"\x00\x7f\x80\xff", "\0\x7f\u{80}\u{ff}")] {
            let mut buffer = Vec::new();
            put_text(&mut buffer, bytes);
            assert_eq!(usize::from(buffer[0]), text.len() * 2);
            assert_eq!(std::str::from_utf8(&buffer[1..]), Ok(text));
        }
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for address in
            ["0.0.0.0:0", "127.0.0.1:80", "10.9.99.100:9999", "255.254.10.1:10000", "1.2.3.4:65535", "[::1]:8080"]
        {
            let mut buffer = Vec::new();
            put_address(&mut buffer, Some(address.parse().unwrap()));
            assert_eq!(String::from_utf8_lossy(&buffer[2..]), address);
            assert_eq!(usize::from(buffer[1]), address.len() * 2);
        }
    }

    #[test]
    fn the_longest_address_fits_its_length_byte() {
        let address = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535".parse().unwrap();
        let mut buffer = Vec::new();
        put_address(&mut buffer, Some(address));
        assert_eq!(usize::from(buffer[1]), (buffer.len() - 2) * 2);
        assert!(buffer[1] < 0x80);
    }

    #[test]
    fn what_does_not_fit_leaves_the_block_as_it_was() {
        let mut encoder = BlockEncoder::new(0);
        encoder.push(&small(1)).unwrap();
        let before = encoder.len();

        let mut record = small(2);
        record.request.message.trailers = vec![Default::default(); MAX_ITEMS];
        assert_eq!(encoder.push(&record), Err(DoesNotFit::Items));

        // The same piece many times: the record is large, the test is not.
        let mut record = small(2);
        let pieces = MAX_BLOCK / (1 << 20);
        record.request.message.body = vec![Bytes::from(vec![0; 1 << 20]); pieces];
        assert_eq!(encoder.push(&record), Err(DoesNotFit::Block));
        assert_eq!((encoder.count(), encoder.len()), (1, before));
    }
}
