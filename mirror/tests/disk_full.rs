//! A recording on a disk that fills up: the records are lost, the file is not, and it goes on when there is space.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use mirror::recording::avro::{Block, BlockEncoder, Reader};
use mirror::recording::file::{FileOptions, RecordingFile};
use mirror::recording::{Losses, Record, RecordedRequest};

/// Set in the child process of the test that is named by it, to the path to record to.
const CHILD: &str = "MIRROR_TEST_RECORD_UNTIL_FULL";

/// A limit on the size of files cuts writes short just as a full disk does, needs no privilege, and binds one process only.
/// The limit's signal is ignored across the exec, as it would end the child.
#[test]
fn a_write_that_the_system_cuts_short_is_taken_back() {
    if let Ok(path) = std::env::var(CHILD) {
        return record_until_full(Path::new(&path), ErrorKind::FileTooLarge);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.avro");
    // 64 units of 512 or 1024 bytes, as the shell likes.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_write_that_the_system_cuts_short_is_taken_back", "--nocapture"])
        .env(CHILD, &path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!ids(&path).is_empty(), "the child recorded");
}

/// The real thing, where it can be had: root may mount a file system of 64 KiB.
#[test]
fn a_full_disk_costs_records_and_not_the_recording() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: needs to mount a tmpfs");
        return;
    };
    let filler = disk.0.path().join("filler");
    fs::write(&filler, vec![0; 16 << 10]).unwrap();
    let path = disk.0.path().join("traffic.avro");
    record_until_full(&path, ErrorKind::StorageFull);

    // Full to the last page: not even a header fits, and nothing is left behind.
    let mut fill = fs::File::create(disk.0.path().join("rest")).unwrap();
    while std::io::Write::write(&mut fill, &[0; 4096]).is_ok_and(|written| written > 0) {}
    let new = disk.0.path().join("new.avro");
    let error = RecordingFile::open(FileOptions::new(&new)).unwrap_err();
    assert!(error.to_string().contains("new.avro: cannot write its header: "), "{error}");
    assert!(!new.exists());

    let (mut file, opened) = RecordingFile::open(FileOptions::new(&path)).unwrap();
    assert_eq!((opened.cut, opened.damaged), (0, 0));
    let before = ids(&path);
    assert_eq!(file.write_block(&block(u128::MAX, 8 << 10)).unwrap_err().kind(), ErrorKind::StorageFull);
    fs::remove_file(filler).unwrap();
    file.write_block(&block(77, 8 << 10)).unwrap();
    assert_eq!(ids(&path), [before, vec![77]].concat());
}

/// Records blocks of 5000 bytes until one fails, sees that the file is whole, and that a block which fits is written.
fn record_until_full(path: &Path, expected: ErrorKind) {
    let (mut file, _) = RecordingFile::open(FileOptions::new(path)).unwrap();
    let mut written = Vec::new();
    let error = loop {
        let id = written.len() as u128;
        match file.write_block(&block(id, 5000)) {
            Ok(()) => written.push(id),
            Err(error) => break error,
        }
        assert!(written.len() < 1000, "it never fills up");
    };
    assert_eq!(error.kind(), expected, "{error}");
    assert!(written.len() > 3);
    assert_eq!(ids(path), written);
    assert!(file.write_block(&block(u128::MAX, 5000)).is_err(), "it is still full");
    file.write_block(&block(1000, 10)).unwrap();
    written.push(1000);
    assert_eq!(ids(path), written);
}

/// The ids in a recording, which has to be whole.
fn ids(path: &Path) -> Vec<u128> {
    let mut reader = Reader::new(fs::File::open(path).unwrap()).unwrap();
    let ids = reader.by_ref().map(|record| record.unwrap().id).collect();
    assert_eq!(reader.losses(), Losses::default());
    ids
}

/// A block of one record with a body of this many bytes that no compression makes smaller.
fn block(id: u128, body: usize) -> Block {
    let mut bytes = vec![0; body];
    getrandom::fill(&mut bytes).unwrap();
    let mut record = Record {
        id,
        started: UNIX_EPOCH,
        source: "proxy".into(),
        client: None,
        server: None,
        request: RecordedRequest::default(),
        response: None,
        aborted: None,
        request_end: None,
        response_start: None,
        end: None,
        answers: vec![],
    };
    record.request.message.body = vec![Bytes::from(bytes)];
    let mut encoder = BlockEncoder::new(0);
    encoder.push(&record).unwrap();
    encoder.take()
}

/// A file system of 64 KiB, as long as this lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a file may still be open where an assertion failed.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
