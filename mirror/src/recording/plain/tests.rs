//! No encoding takes more than was asked for it.

use proptest::prelude::*;

use super::*;
use crate::recording::avro::tests::{record, small};
use crate::recording::{Format, WriteRecords};

const ALL: [Plain; 3] = [Plain::Gor, Plain::Har, Plain::Jsonl];

/// Encodes it, and tells how much room was asked for, and how much the encoding takes.
fn encode(plain: Plain, record: &Record) -> (usize, usize) {
    let (mut asked, mut bytes) = (0, Vec::new());
    let _ = plain.encode(record, &mut bytes, &mut Unheld::default(), &mut |more| {
        asked += more;
        true
    });
    (asked, bytes.capacity())
}

proptest! {
    #[test]
    fn what_a_record_takes_is_asked_for(record in record()) {
        for plain in ALL {
            let (asked, taken) = encode(plain, &record);
            prop_assert!(taken <= asked, "{plain:?}: {taken} bytes, and {asked} were asked for");
        }
    }
}

/// Whatever HAR shows twice, and whatever has more keys than text.
#[test]
fn what_odd_records_take_is_asked_for() {
    let lines = |name: &str, value: &[u8]| vec![(name.to_owned().into(), value.to_vec().into())];
    let texts =
        [b"\x01".repeat(3000), b"\xff".repeat(3000), b"\x01\xff".repeat(3000), b"a=;".repeat(3000), b"&a".repeat(3000)];
    for text in texts {
        let mut record = small(1);
        record.request.target = [&b"/?"[..], &text].concat().into();
        record.request.method = text.clone().into();
        for name in ["Host", "Cookie", "Set-Cookie", "Content-Type", "Location", ""] {
            for message in [&mut record.request.message, &mut record.response.as_mut().unwrap().message] {
                message.headers = lines(name, &text);
                message.trailers = lines(name, &text);
                message.body = text.chunks(7).map(|piece| piece.to_vec().into()).collect();
            }
            for plain in ALL {
                let (asked, taken) = encode(plain, &record);
                assert!(taken <= asked, "{plain:?}: {taken} bytes, and {asked} were asked for");
            }
        }
    }
    // Separators that chunks take apart, in one piece and in many.
    let separators = gor::SEPARATOR.repeat(300);
    for length in [1, 5, separators.len()] {
        let mut record = small(1);
        let message = &mut record.request.message;
        message.body = separators.chunks(length).map(|piece| piece.to_vec().into()).collect();
        message.body_length = separators.len() as u64;
        let (asked, taken) = encode(Plain::Gor, &record);
        assert!(taken > 0 && taken <= asked, "{taken} bytes, and {asked} were asked for");
    }
}

#[test]
fn a_refused_record_leaves_the_block_as_it_was_and_none_of_its_memory() {
    for plain in ALL {
        let mut encoder = PlainEncoder::new(plain, 1000);
        encoder.push(&small(1), &mut |_| true).unwrap();
        let before = encoder.len();
        assert_eq!(encoder.push(&small(2), &mut |_| false), Err(Refused::NoRoom));
        assert_eq!(encoder.len(), before);
        let grew = encoder.push(&small(3), &mut |_| true).unwrap();
        assert_eq!(grew, before + plain.between().len(), "{plain:?}");
    }
}

/// Blocks of a file stand as one block would.
#[test]
fn a_writer_writes_blocks_that_make_one_file() {
    for kind in [Format::ALL[1], Format::ALL[2], Format::ALL[3]].map(|format| format.kind) {
        let plain = Plain::of(kind).unwrap();
        let expected = {
            let mut encoder = PlainEncoder::new(plain, 0);
            for id in [1, 2, 3] {
                encoder.push(&small(id), &mut |_| true).unwrap();
            }
            [plain.head(), &encoder.take().bytes, plain.tail()].concat()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = Box::new(Writer::new(plain, file.reopen().unwrap()));
        for id in [1, 2, 3] {
            writer.write(&small(id)).unwrap();
            writer.flush().unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), expected, "{kind:?}");
        let mut empty = Box::new(Writer::new(plain, file.reopen().unwrap()));
        file.as_file().set_len(0).unwrap();
        empty.flush().unwrap();
        empty.finish().unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), [plain.head(), plain.tail()].concat(), "{kind:?}");
    }
}
