//! The format as a whole: what is written is read, however the file was damaged in between.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::recording::{Losses, Record, RecordedAnswer, RecordedMessage, RecordedRequest, RecordedResponse};

/// An exchange whose every optional part is there or not in an easily known way.
pub(crate) fn small(id: u128) -> Record {
    let message = |headers, body: &'static [u8]| RecordedMessage {
        headers,
        body: if body.is_empty() { vec![] } else { vec![Bytes::from_static(body)] },
        body_length: body.len() as u64,
        ..Default::default()
    };
    Record {
        id,
        started: UNIX_EPOCH + Duration::from_secs(1_735_689_600),
        source: "proxy".into(),
        client: Some("127.0.0.1:4000".parse().unwrap()),
        server: Some("[::1]:8080".parse().unwrap()),
        request: RecordedRequest {
            method: "GET".into(),
            target: "/a".into(),
            version: "HTTP/1.1".into(),
            message: message(vec![("Host".into(), "x".into())], b""),
        },
        response: Some(RecordedResponse {
            version: "HTTP/1.1".into(),
            status: 200,
            reason: "OK".into(),
            message: message(vec![], b"hi"),
        }),
        aborted: None,
        request_end: Some(Duration::from_micros(10)),
        response_start: Some(Duration::from_micros(20)),
        end: Some(Duration::from_micros(30)),
        answers: vec![],
    }
}

/// A block of the small exchanges with these ids.
pub(in crate::recording) fn block(ids: impl IntoIterator<Item = u128>) -> Block {
    block_of(ids.into_iter().map(small))
}

fn block_of(records: impl IntoIterator<Item = Record>) -> Block {
    let mut encoder = BlockEncoder::new(0);
    for record in records {
        encoder.push(&record).unwrap();
    }
    encoder.take()
}

/// The ids in a file, and what of it was lost.
pub(in crate::recording) fn read(file: &[u8]) -> Result<(Vec<u128>, Losses), HeaderError> {
    let mut reader = Reader::new(file)?;
    let ids = reader.by_ref().map(|record| record.unwrap().id).collect();
    Ok((ids, reader.losses()))
}

/// A file of three blocks with the records 1, 2 | 3 | 4, 5, and where header and blocks end.
fn three_blocks() -> (Vec<u8>, [usize; 4]) {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let mut ends = [writer.output_length(), 0, 0, 0];
    for (end, ids) in ends[1..].iter_mut().zip([vec![1, 2], vec![3], vec![4, 5]]) {
        writer.write_block(&block(ids)).unwrap();
        *end = writer.output_length();
    }
    (writer.into_inner(), ends)
}

impl Block {
    /// Makes it this many bytes, and no block any more.
    pub(in crate::recording) fn grow(&mut self, length: usize) {
        self.data.resize(length, 0);
    }
}

impl Writer<Vec<u8>> {
    fn output_length(&self) -> usize {
        self.output().len()
    }
}

#[test]
fn a_file_cut_anywhere_yields_every_whole_block_and_says_what_was_lost() {
    let (file, ends) = three_blocks();
    for length in 0..=file.len() {
        let result = read(&file[..length]);
        if length < ends[0] {
            assert!(matches!(result, Err(HeaderError::Torn { .. })), "cut at {length}");
            continue;
        }
        let whole = ends.iter().filter(|&&end| end <= length).count() - 1;
        let ids = [1, 2, 3, 4, 5][..[0, 2, 3, 5][whole]].to_vec();
        let mut losses = Losses::default();
        if length > ends[whole] {
            losses.torn(ends[whole] as u64, (length - ends[whole]) as u64, "a block that is not whole");
        }
        assert_eq!(result.unwrap(), (ids, losses), "cut at {length}");
    }
}

#[test]
fn a_flipped_bit_is_noticed_and_costs_at_most_its_block() {
    let (file, ends) = three_blocks();
    let blocks = [&[1, 2][..], &[3], &[4, 5]];
    for at in ends[0]..file.len() {
        let hit = ends.iter().filter(|&&end| end <= at).count() - 1;
        // Without its marker a block is taken for a part of the next.
        let also_hit = if at >= ends[hit + 1] - container::MARKER_LENGTH { hit + 1 } else { hit };
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            let mut reader = Reader::new(&damaged[..]).unwrap();
            let records: Vec<Record> = reader.by_ref().map(Result::unwrap).collect();
            for record in &records {
                assert_eq!(*record, small(record.id), "bit {bit} of byte {at}");
            }
            let ids: Vec<u128> = records.iter().map(|record| record.id).collect();
            let missing = |ids_of: &&[u128]| !ids_of.iter().all(|id| ids.contains(id));
            let hurt: Vec<usize> = (0..3).filter(|&index| missing(&blocks[index])).collect();
            assert!(hurt.iter().all(|&index| index == hit || index == also_hit), "bit {bit} of byte {at}: {ids:?}");
            // zstd's frame header has a bit that means nothing.
            assert!(reader.losses().any() || ids == [1, 2, 3, 4, 5], "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn damage_between_blocks_is_skipped_and_counted() {
    let (file, ends) = three_blocks();
    let spliced = |at: usize, upto: usize, with: &[u8]| [&file[..at], with, &file[upto..]].concat();
    let lost = |stretches, bytes, torn| (stretches, bytes, torn);
    let second = (ends[2] - ends[1]) as u64;
    for (what, damaged, ids, losses) in [
        ("nothing", file.clone(), &[1, 2, 3, 4, 5][..], lost(0, 0, 0)),
        ("data lost", spliced(ends[1] + 9, ends[1] + 19, b""), &[1, 2, 4, 5], lost(1, second - 10, 0)),
        ("garbage in front", spliced(ends[1], ends[1], &[0xff; 50]), &[1, 2, 4, 5], lost(1, second + 50, 0)),
        // A size of 2⁶²: refused before anything is asked for.
        (
            "an absurd size",
            spliced(ends[1] + 1, ends[1] + 3, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
            &[1, 2, 4, 5],
            lost(1, second + 8, 0),
        ),
        // 2 + 2×200M bytes: allowed, but longer than the file.
        (
            "a size over the end",
            spliced(ends[1] + 1, ends[1] + 3, b"\x80\x84\xaf\x5f"),
            &[1, 2, 4, 5],
            lost(1, second + 2, 0),
        ),
        ("zeros at the end", [&file[..], &[0; 4096]].concat(), &[1, 2, 3, 4, 5], lost(0, 0, 4096)),
        ("a negative count", spliced(ends[1], ends[1] + 1, b"\x01"), &[1, 2, 4, 5], lost(1, second, 0)),
        ("a count too high", spliced(ends[1], ends[1] + 1, b"\x7e"), &[1, 2, 3, 4, 5], lost(1, second, 0)),
        (
            "a count too low",
            spliced(ends[0], ends[0] + 1, b"\x02"),
            &[1, 3, 4, 5],
            lost(1, (ends[1] - ends[0]) as u64, 0),
        ),
    ] {
        let (found, told) = read(&damaged).unwrap();
        assert_eq!((found, (told.stretches, told.bytes, told.torn)), (ids.to_vec(), losses), "{what}");
    }
}

#[test]
fn a_large_block_passes_in_small_reads() {
    struct InParts<'a>(&'a [u8]);
    impl std::io::Read for InParts<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let length = into.len().min(self.0.len()).min(1 + self.0.len() % 4099);
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }
    let mut record = small(1);
    let mut body = vec![0; 3_000_000];
    getrandom::fill(&mut body).unwrap();
    record.request.message.body = vec![Bytes::from(body)];
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.write_block(&Block::default()).unwrap();
    writer.write_block(&block_of([record.clone(), small(2)])).unwrap();
    writer.write_block(&block([3])).unwrap();
    let file = writer.into_inner();
    let mut reader = Reader::new(InParts(&file)).unwrap();
    let records: Vec<Record> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(records, [record, small(2), small(3)]);
    assert_eq!(reader.losses(), Losses::default());
}

#[test]
fn an_error_of_the_input_ends_the_reading() {
    struct ThenFails<'a>(&'a [u8]);
    impl std::io::Read for ThenFails<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            match self.0.len().min(into.len()) {
                0 => Err(std::io::Error::other("gone")),
                length => {
                    into[..length].copy_from_slice(&self.0[..length]);
                    self.0 = &self.0[length..];
                    Ok(length)
                }
            }
        }
    }
    let (file, ends) = three_blocks();
    assert!(matches!(Reader::new(ThenFails(&file[..ends[0] - 1])), Err(HeaderError::Io(_))));

    let mut bytes = vec![0; 100_000];
    getrandom::fill(&mut bytes).unwrap();
    let mut large = small(1);
    large.request.message.body = vec![bytes.into()];
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.write_block(&block_of([large])).unwrap();
    let file = writer.into_inner();
    let mut reader = Reader::new(ThenFails(&file)).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().id, 1);
    assert_eq!(reader.next().unwrap().unwrap_err().to_string(), "gone");
    assert!(reader.next().is_none());
}

fn bytes() -> impl Strategy<Value = Bytes> {
    // Mostly text, as most is; else any bytes at all.
    prop_oneof![3 => "[ -~]{0,20}".prop_map(Bytes::from), 1 => vec(any::<u8>(), 0..20).prop_map(Bytes::from)]
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn micros() -> impl Strategy<Value = Option<Duration>> {
    option::of((0..=i64::MAX as u64).prop_map(Duration::from_micros))
}

fn address() -> impl Strategy<Value = Option<SocketAddr>> {
    option::of((any::<std::net::IpAddr>(), any::<u16>()).prop_map(SocketAddr::from))
}

fn message() -> impl Strategy<Value = RecordedMessage> {
    let fields = || vec((bytes(), bytes()), 0..5);
    (fields(), vec(vec(any::<u8>(), 0..300), 0..4), 0..=i64::MAX as u64, fields(), option::of(text())).prop_map(
        |(headers, body, body_length, trailers, truncated)| RecordedMessage {
            headers,
            body: body.into_iter().map(Bytes::from).collect(),
            body_length,
            trailers,
            truncated,
        },
    )
}

fn response() -> impl Strategy<Value = RecordedResponse> {
    (bytes(), any::<u16>(), bytes(), message()).prop_map(|(version, status, reason, message)| RecordedResponse {
        version,
        status,
        reason,
        message,
    })
}

fn answer() -> impl Strategy<Value = RecordedAnswer> {
    (text(), text(), option::of(response()), micros(), micros()).prop_map(
        |(target, outcome, response, first_byte, total)| RecordedAnswer {
            target,
            outcome,
            response,
            first_byte,
            total,
        },
    )
}

fn time() -> impl Strategy<Value = SystemTime> {
    any::<i64>().prop_map(|micros| {
        let distance = Duration::from_micros(micros.unsigned_abs());
        if micros < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    })
}

prop_compose! {
    pub(in crate::recording) fn record()(
        id in any::<u128>(), started in time(), source in text(), client in address(), server in address(),
        (method, target, version, message) in (bytes(), bytes(), bytes(), message()),
        response in option::of(response()), aborted in option::of(text()),
        (request_end, response_start, end) in (micros(), micros(), micros()),
        answers in vec(answer(), 0..3),
    ) -> Record {
        let request = RecordedRequest { method, target, version, message };
        Record { id, started, source, client, server, request, response, aborted, request_end, response_start, end, answers }
    }
}

/// A record as it is read: the body in one piece, none where it is empty.
pub(in crate::recording) fn as_read(mut record: Record) -> Record {
    let answers = record.answers.iter_mut().filter_map(|answer| answer.response.as_mut());
    let responses = record.response.iter_mut().chain(answers).map(|response| &mut response.message);
    for message in std::iter::once(&mut record.request.message).chain(responses) {
        let whole = message.body.concat();
        message.body = if whole.is_empty() { vec![] } else { vec![whole.into()] };
    }
    record
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(blocks in vec(vec(record(), 0..4), 0..4)) {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for records in &blocks {
            writer.write_block(&block_of(records.clone())).unwrap();
        }
        let file = writer.into_inner();
        let mut reader = Reader::new(&file[..]).unwrap();
        let read: Vec<Record> = reader.by_ref().map(Result::unwrap).collect();
        let written: Vec<Record> = blocks.into_iter().flatten().map(as_read).collect();
        prop_assert_eq!(read, written);
        prop_assert_eq!(reader.losses(), Losses::default());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in any::<prop::sample::Index>(),
    ) {
        let (mut file, ends) = three_blocks();
        file.truncate(cut.index(file.len()) + 1);
        for (at, value) in edits {
            let at = at.index(file.len());
            file[at] = value;
        }
        // What comes of it is the other tests' business; that it ends, and allocates no more than there is, is this one's.
        let _ = read(&file);
        let _ = read(&[&three_blocks().0[..ends[0]], &file].concat());
    }

    #[test]
    fn no_block_makes_the_decoder_panic(
        record in record(), edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
    ) {
        let mut data = block_of([record]).data;
        for (at, value) in edits {
            let at = at.index(data.len());
            data[at] = value;
        }
        let _ = decode::Decoder::new(data.into()).record();
    }
}
