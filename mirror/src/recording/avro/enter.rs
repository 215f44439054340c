//! Into the middle of a long recording, without reading what is before.
//!
//! A recording is cut in half, and the half again: at some byte the next marker is looked for, and the block behind it read. That costs two
//! dozen blocks at most, whatever the file's length; a side index would be another file to keep, and hopping from block to block by their sizes
//! takes a call of the system for each (a 1 GB recording has some ten thousand).
//!
//! # Why it is right
//!
//! Records stand in the order in which they were written, which is that of no time they hold: an exchange is written when it has ended and its
//! targets have answered, or were waited for long enough. Say that a block has a record that ended [`MARGIN`] and more before `from`. It was
//! written before `from`, unless its targets took longer than that; and so was all that stands before it. What is written before `from` began
//! before `from`. So nothing before this block is asked for, however long exchanges last. A recording in the order of starts, as `mirror
//! convert` makes it, is right all the more. One whose clock was set back by more than the margin, or whose parts were put together out of their
//! order, is not: it is to be converted first.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::{Duration, SystemTime};

use super::container::MARKER_LENGTH;
use super::decode::{Decoder, Frames};
use super::header::{Codec, Header, HeaderError};
use super::reader::{Reader, block_head, find};
use super::{Input, long};

/// How long targets are waited for, at most, between an exchange's end and its record: 2 min, where by default it is 5 s (`record.answer_wait`).
pub const MARGIN: Duration = Duration::from_secs(120);

/// What is left is read through when it is no more than this: 1 MiB, about what the next cut would cost.
const SHORT: u64 = 1 << 20;

/// Reads a recording from a block behind which all is that began at `from` or later.
///
/// # Errors
/// Where it is not the header of a recording with our schema; those of the input.
pub(in crate::recording) fn enter<R: Read + Seek>(mut input: R, from: SystemTime) -> Result<Reader<R>, HeaderError> {
    let header = Header::read(&mut Input::new(&mut input))?;
    // All before `start` is too early; `end` is not known to be.
    let mut start = header.length as u64;
    let mut end = input.seek(SeekFrom::End(0))?;
    while end.saturating_sub(start) > SHORT {
        let middle = start + (end - start) / 2;
        match block_behind(&mut input, &header, middle, end)? {
            Some((latest, next)) if latest + MARGIN < from => start = next,
            // Where there is no sound block nothing is known, and less is left out.
            _ => end = middle,
        }
    }
    input.seek(SeekFrom::Start(start))?;
    Ok(Reader::within(input, header, start))
}

/// When the last exchange ended of the first whole block behind a place and before `end`, and where the block does.
fn block_behind<R: Read + Seek>(
    input: &mut R,
    header: &Header,
    place: u64,
    end: u64,
) -> io::Result<Option<(SystemTime, u64)>> {
    input.seek(SeekFrom::Start(place))?;
    let mut input = Input::new(input);
    let mut at = place;
    loop {
        let bytes = input.want(MARKER_LENGTH)?;
        if bytes.len() < MARKER_LENGTH || at >= end {
            return Ok(None);
        }
        let found = find(bytes, &header.marker);
        let skipped = found.map_or(bytes.len() - (MARKER_LENGTH - 1), |found| found + MARKER_LENGTH);
        input.take(skipped);
        at += skipped as u64;
        if found.is_some() {
            break;
        }
    }
    let bytes = input.want(2 * long::MAX_LENGTH)?;
    let Some((records, data)) = block_head(bytes) else { return Ok(None) };
    let next = data.end + MARKER_LENGTH;
    let bytes = input.want(next)?;
    if bytes.get(data.end..next) != Some(&header.marker) {
        return Ok(None);
    }
    let data = match header.codec {
        Codec::Zstandard => Frames::new().decompress(&bytes[data]).ok(),
        Codec::Null => Some(bytes[data].to_vec().into()),
    };
    let Some(data) = data else { return Ok(None) };
    let mut decoder = Decoder::new(data);
    let mut latest = None;
    for _ in 0..records {
        let Ok(record) = decoder.record() else { return Ok(None) };
        latest = latest.max(Some(record.started + record.end.unwrap_or_default()));
    }
    Ok(latest.map(|latest| (latest, at + next as u64)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use bytes::Bytes;

    use super::super::tests::small;
    use super::super::{BlockEncoder, Writer};
    use super::*;
    use crate::recording::Record;

    /// A file in memory that counts what is read of it.
    struct Counted(Cursor<Vec<u8>>, Arc<AtomicU64>);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1.fetch_add(read as u64, Relaxed);
            Ok(read)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    fn at(seconds: u64) -> SystemTime {
        small(0).started + Duration::from_secs(seconds)
    }

    /// One exchange a second, written when it ended and its targets answered: each tenth lasts `long` seconds, each third waits for its
    /// targets. Bodies that do not compress.
    fn recording(seconds: u64, long: u64) -> Vec<u8> {
        let mut noise = 1u64;
        let mut exchanges: Vec<(u64, Record)> = (0..seconds)
            .map(|second| {
                let lasts = if second % 10 == 0 { long } else { 1 };
                let waits = if second % 3 == 0 { 30 } else { 0 };
                let body: Vec<u8> = std::iter::repeat_with(|| {
                    noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (noise >> 56) as u8
                })
                .take(8 << 10)
                .collect();
                let mut record = Record { started: at(second), ..small(second.into()) };
                record.request.message.body = vec![Bytes::from(body)];
                record.end = Some(Duration::from_secs(lasts));
                (second + lasts + waits, record)
            })
            .collect();
        exchanges.sort_by_key(|(written, _)| *written);
        let mut writer = Writer::new(Vec::new()).unwrap();
        for block in exchanges.chunks(16) {
            let mut encoder = BlockEncoder::new(0);
            block.iter().for_each(|(_, record)| encoder.push(record).unwrap());
            writer.write_block(&encoder.take()).unwrap();
        }
        writer.into_inner()
    }

    #[test]
    fn little_is_read_and_nothing_is_missed() {
        let seconds = 8000;
        let file = recording(seconds, 600);
        for from in [0, 1, 599, 4321, 7900, 7999] {
            let read = Arc::new(AtomicU64::new(0));
            let mut reader = enter(Counted(Cursor::new(file.clone()), read.clone()), at(from)).unwrap();
            let to_enter = read.load(Relaxed);
            let first = reader.read().unwrap().unwrap();
            let rest = reader.map(|record| record.unwrap());
            let mut ids: Vec<_> = std::iter::once(first.clone())
                .chain(rest)
                .filter(|record| record.started >= at(from))
                .map(|r| r.id)
                .collect();
            ids.sort_unstable();
            assert_eq!(ids, (u128::from(from)..seconds.into()).collect::<Vec<_>>(), "from {from}");
            assert!(to_enter < 4 << 20, "{to_enter} of {} bytes were read from {from}", file.len());
            if from > 1000 {
                let before = at(from).duration_since(first.started).unwrap();
                assert!(before < Duration::from_secs(1200), "it begins {before:?} before {from}");
            }
        }
        assert!(file.len() > 60 << 20, "{}", file.len());
    }

    #[test]
    fn damage_in_the_way_leaves_less_out() {
        let seconds = 2000;
        let mut file = recording(seconds, 5);
        let middle = file.len() / 2;
        file[middle - (1 << 20)..middle + (1 << 20)].fill(0);
        let reader = enter(Cursor::new(file.clone()), at(1900)).unwrap();
        let found = reader.map(|record| record.unwrap()).filter(|record| record.started >= at(1900)).count();
        assert_eq!(found, 100);
        // What is damaged behind the place is told as ever.
        let mut reader = enter(Cursor::new(file), at(100)).unwrap();
        while reader.read().unwrap().is_some() {}
        assert!(reader.losses().bytes >= 2 << 20);
    }
}
