//! What holds for Avro holds for every other format: whole after every write, repaired wherever it was cut, rotated, kept within a limit.

use super::*;
use crate::recording::avro::tests::small;
use crate::recording::{Kind, PlainBlock, PlainEncoder, plain::Plain};

/// All that can be recorded live, but Avro.
fn formats() -> impl Iterator<Item = Format> {
    let plain = Format::ALL.into_iter().filter(|format| format.kind != Kind::Avro);
    plain.flat_map(|format| [format, Format { gzip: true, ..format }])
}

fn block(format: Format, ids: impl IntoIterator<Item = u128>) -> PlainBlock {
    let mut encoder = PlainEncoder::new(Plain::of(format.kind).unwrap(), 0);
    for id in ids {
        encoder.push(&small(id), &mut |_| true).unwrap();
    }
    encoder.take()
}

/// The ids in a file, the low 32 bits of each, as GoReplay's have no more of ours.
#[track_caller]
fn ids(path: &Path) -> Vec<u32> {
    let mut reader = Format::of(path).unwrap().reader(File::open(path).unwrap()).unwrap();
    let mut ids = Vec::new();
    while let Some(record) = reader.read().unwrap() {
        ids.push(record.id as u32);
    }
    assert_eq!(reader.losses(), Losses::default(), "{}", path.display());
    ids
}

#[test]
fn every_block_is_in_the_file_once_it_is_written_and_a_restart_appends() {
    for format in formats() {
        let folder = Folder::new();
        let options = folder.options(&format!("traffic.{format}"));
        check(&options).unwrap();
        let (mut file, opened) = open(&options);
        assert_eq!((opened.blocks, opened.cut), (0, 0), "{format}");
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        if format.kind == Kind::Har || !format.gzip {
            assert!(ids(&options.path).is_empty(), "{format}");
        }
        file.write_block(&block(format, [1, 2])).unwrap();
        file.write_block(&PlainBlock::default()).unwrap();
        assert_eq!(ids(&options.path), [1, 2], "{format}");
        file.write_block(&block(format, [3])).unwrap();
        assert_eq!(ids(&options.path), [1, 2, 3], "{format}");
        assert!(matches!(RecordingFile::open(options.clone()), Err(FileError::Locked { .. })));
        drop(file);

        check(&options).unwrap();
        let (mut file, opened) = open(&options);
        assert_eq!((opened.cut, opened.damaged), (0, 0), "{format}");
        assert!(opened.blocks > 0, "{format}");
        file.write_block(&block(format, [4])).unwrap();
        assert_eq!(ids(&options.path), [1, 2, 3, 4], "{format}");
    }
}

#[test]
fn a_file_cut_anywhere_is_repaired_and_appended_to() {
    let folder = Folder(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
    for format in formats() {
        let options = folder.options(&format!("traffic.{format}"));
        let (mut file, _) = open(&options);
        let mut ends = vec![file.current.end as usize];
        for ids in [vec![1, 2], vec![3], vec![4, 5]] {
            file.write_block(&block(format, ids)).unwrap();
            ends.push(file.current.end as usize);
        }
        drop(file);
        let whole = fs::read(&options.path).unwrap();
        for length in (0..=whole.len()).step_by(if format.gzip { 1 } else { 3 }) {
            fs::write(&options.path, &whole[..length]).unwrap();
            let (mut file, _) = open(&options);
            file.write_block(&block(format, [9])).unwrap();
            let found = ids(&options.path);
            // Also of a block that is not whole its whole records, where the format has them one by one.
            let blocks = ends.iter().filter(|&&end| end <= length).count().saturating_sub(1);
            let least = [0, 2, 3, 5][blocks];
            assert!(found.len() > least, "{format} cut at {length}: {found:?}");
            let kept = found.len() - 1;
            assert_eq!(found, [&[1, 2, 3, 4, 5][..kept], &[9]].concat(), "{format} cut at {length}");
        }
        fs::remove_file(&options.path).unwrap();
    }
}

#[test]
fn damage_in_the_middle_of_a_compressed_file_is_left_for_what_is_behind_it() {
    let folder = Folder::new();
    let format: Format = "jsonl.gz".parse().unwrap();
    let options = folder.options("traffic.jsonl.gz");
    let (mut file, _) = open(&options);
    file.write_block(&block(format, [1])).unwrap();
    let second = file.current.end as usize;
    file.write_block(&block(format, [2])).unwrap();
    let third = file.current.end as usize;
    file.write_block(&block(format, [3])).unwrap();
    drop(file);
    let mut bytes = fs::read(&options.path).unwrap();
    bytes[second + 20] ^= 0xff;
    fs::write(&options.path, [&bytes[..], b"\x1f\x8b\x08 torn"].concat()).unwrap();

    let (mut file, opened) = open(&options);
    assert_eq!((opened.blocks, opened.cut, opened.damaged), (2, 8, (third - second) as u64));
    file.write_block(&block(format, [4])).unwrap();
    let mut reader = format.reader(File::open(&options.path).unwrap()).unwrap();
    let mut ids = Vec::new();
    while let Some(record) = reader.read().unwrap() {
        ids.push(record.id);
    }
    assert_eq!(ids, [1, 3, 4]);
    assert!(reader.losses().any());
}

#[test]
fn damage_in_the_middle_of_a_har_is_left_for_what_is_behind_it() {
    let folder = Folder::new();
    let options = folder.options("traffic.har");
    let (mut file, _) = open(&options);
    for id in 1..=4 {
        file.write_block(&block(options.format, [id])).unwrap();
    }
    drop(file);
    let whole = fs::read(&options.path).unwrap();
    let starts: Vec<_> = memchr::memmem::find_iter(&whole, b"{\"startedDateTime\"").collect();
    // Behind it the next entry is sound, or the one after that is.
    for (what, at) in [("a quote", starts[1] + 1), ("a brace", starts[1]), ("the end of a name", starts[1] + 17)] {
        let mut bytes = whole.clone();
        bytes[at] = b' ';
        fs::write(&options.path, &bytes).unwrap();
        let (mut file, opened) = open(&options);
        let damaged = (starts[2] - starts[1]) as u64;
        assert_eq!((opened.blocks, opened.cut), (3, 0), "{what}");
        assert!((1..=damaged).contains(&opened.damaged), "{what}: {} of {damaged}", opened.damaged);
        assert_eq!(fs::read(&options.path).unwrap(), bytes, "{what}");
        file.write_block(&block(options.format, [5])).unwrap();
        let mut reader = options.format.reader(File::open(&options.path).unwrap()).unwrap();
        let ids: Vec<_> = std::iter::from_fn(|| reader.read().unwrap()).map(|record| record.id).collect();
        assert_eq!((ids, reader.losses().stretches), (vec![1, 3, 4, 5], 1), "{what}");
    }

    // Nothing whole is behind the last one, so it goes.
    let mut bytes = whole.clone();
    bytes[starts[3] + 1] = b' ';
    fs::write(&options.path, &bytes).unwrap();
    let (mut file, opened) = open(&options);
    assert_eq!((opened.blocks, opened.damaged, opened.cut > 0), (3, 0, true));
    file.write_block(&block(options.format, [5])).unwrap();
    assert_eq!(ids(&options.path), [1, 2, 3, 5]);
}

#[test]
fn a_last_line_without_its_end_gets_it() {
    let folder = Folder::new();
    for first in ["", "\u{feff}", "{\"request\":{}}\n"] {
        let line = format!("{first}{{\"request\":{{}},\"id\":\"{:032x}\"}}", 7);
        let options = FileOptions::new(folder.put("traffic.jsonl", line.as_bytes()));
        check(&options).unwrap();
        assert_eq!(fs::read(&options.path).unwrap(), line.as_bytes());
        let (mut file, opened) = open(&options);
        assert_eq!((opened.blocks, opened.cut), (1, 0), "{first:?}");
        file.write_block(&block(options.format, [8])).unwrap();
        assert!(ids(&options.path).ends_with(&[7, 8]), "{first:?}");
    }
}

#[test]
fn what_is_not_ours_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let member = |bytes: &[u8]| crate::recording::gzip::member(bytes).unwrap();
    for (name, bytes, message) in [
        ("a.gor", &b"GET / HTTP/1.1\r\n\r\n"[..], "expected a GoReplay recording"),
        ("a.jsonl", b"id,name\n", "expected a line with a JSON object that has a `request`"),
        ("b.jsonl", b"{\"level\":\"info\"}\n", "missing field `request`"),
        ("c.jsonl", b"{\"level\":\"in", "expected a line with a JSON object that has a `request`"),
        ("b.jsonl.gz", &member(b"{\"level\":\"info\"}\n"), "missing field `request`"),
        (
            "a.har",
            br#"{"log":{"version":"1.2","creator":{"name":"Firefox"},"entries":[]}}"#,
            "expected a HAR that mirror wrote",
        ),
        ("a.gor.gz", b"1 00 5 0\n", "expected a file compressed by gzip"),
        ("b.gor.gz", &member(b"GET / HTTP/1.1\r\n\r\n"), "expected a GoReplay recording"),
        ("c.gor.gz", &member(b"1 00 5 0\nGET / HTTP/1.1\r\n"), "the middle of a record"),
        (
            "a.har.gz",
            &member(
                b"{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"mirror\",\"version\":\"1\"},\"entries\":[]}}",
            ),
            "a HAR compressed in one piece",
        ),
    ] {
        let path = folder.put(name, bytes);
        let error = RecordingFile::open(FileOptions::new(&path)).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("left as it is"), "{name}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
    }
    let error = RecordingFile::open(folder.options("a.avro.gz")).unwrap_err().to_string();
    assert!(error.contains("found Avro within gzip, expected .avro"), "{error}");
}

#[test]
fn files_are_rotated_by_size_and_kept_within_a_limit() {
    for format in formats() {
        let folder = Folder::new();
        let options = FileOptions { rotate_size: Some(1), keep: Some(1), ..folder.options(&format!("t.{format}")) };
        let (mut file, _) = open(&options);
        folder.put(&format!("t.77.{format}"), b"not ours");
        let log = &b"{\"level\":\"info\"}\n"[..];
        let compressed = crate::recording::gzip::member(log).unwrap();
        folder.put(&format!("t.78.{format}"), if format.gzip { &compressed } else { log });
        for id in 1..=4 {
            file.write_block(&block(format, [id])).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(folder.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        // A number that is taken is passed over; what is no recording is not removed.
        assert_eq!(names, [77, 78, 81].map(|number| format!("t.{number}.{format}")), "{format}");
        assert_eq!(ids(file.path()), [4], "{format}");
    }
}

#[test]
fn a_file_is_a_whole_document_after_every_write() {
    let folder = Folder::new();
    let options = folder.options("traffic.har");
    let (mut file, _) = open(&options);
    for count in 0..4 {
        let document: serde_json::Value = serde_json::from_slice(&fs::read(&options.path).unwrap()).unwrap();
        assert_eq!(document["log"]["entries"].as_array().unwrap().len(), count);
        file.write_block(&block(Format::of(&options.path).unwrap(), [count as u128])).unwrap();
    }
}
