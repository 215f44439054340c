//! What the fuzz targets of recordings share.

use std::io::Cursor;

use mirror::recording::{Format, Record};

#[path = "../../benches/output.rs"]
mod output;

use output::Output;

/// Whatever the bytes are, reading them ends, and what was read is the same when it has been written and read again.
pub fn read(format: &str, bytes: &[u8]) {
    let format: Format = format.parse().expect("a format");
    let Ok(mut reader) = format.reader(Cursor::new(bytes.to_vec())) else { return };
    let mut records = Vec::new();
    while let Some(record) = reader.read().expect("memory does not fail") {
        records.push(record);
    }
    let losses = reader.losses();
    assert!(losses.bytes + losses.torn <= expanded(bytes), "{losses}");
    for record in &records {
        again(format, record);
    }
}

/// What is compressed may be more than it seems.
fn expanded(bytes: &[u8]) -> u64 {
    if bytes.starts_with(b"\x1f\x8b") { u64::MAX / 2 } else { bytes.len() as u64 }
}

fn again(format: Format, record: &Record) {
    let output = Output::default();
    let mut writer = format.writer(output.clone()).expect("memory does not fail");
    // A head that only a lenient reader takes may be one that cannot be written.
    if writer.write(record).is_err() {
        return;
    }
    let unheld = writer.finish().expect("memory does not fail");
    let bytes = output.take();
    let mut reader = format.reader(Cursor::new(bytes)).unwrap_or_else(|error| panic!("{error}: {record:?}"));
    let read = reader.read().expect("memory does not fail");
    let same = read.as_ref() == Some(record);
    assert!(same || unheld.any() && read.is_some(), "{read:#?} is not {record:#?}");
    assert!(reader.read().expect("memory does not fail").is_none() && !reader.losses().any(), "{}", reader.losses());
}
