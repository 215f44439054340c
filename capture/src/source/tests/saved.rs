//! Saved captures, written byte by byte after <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/> and its pcapng companion.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn pcap(magic: u32, link: u32) -> Vec<u8> {
    let mut file = magic.to_le_bytes().to_vec();
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(262_144u32.to_le_bytes());
    file.extend(link.to_le_bytes());
    file
}

fn record(file: &mut Vec<u8>, seconds: u32, fraction: u32, data: &[u8], length: u32) {
    for field in [seconds, fraction, data.len() as u32, length] {
        file.extend(field.to_le_bytes());
    }
    file.extend(data);
}

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;

fn three_packets() -> Vec<u8> {
    let mut file = pcap(MICRO, 1);
    record(&mut file, 1_700_000_000, 123_456, b"first", 5);
    record(&mut file, 1_700_000_000, 999_999, b"second", 60);
    record(&mut file, 1_700_000_003, 0, b"third", 5);
    file
}

fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() as u32 + 12).to_le_bytes();
    file.extend(kind.to_le_bytes());
    file.extend(length);
    file.extend(body);
    file.extend(length);
}

fn pcapng(links: &[u16]) -> Vec<u8> {
    let mut file = Vec::new();
    block(&mut file, 0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    for link in links {
        let mut interface = link.to_le_bytes().to_vec();
        interface.extend([0, 0]);
        interface.extend(262_144u32.to_le_bytes());
        block(&mut file, 1, &interface);
    }
    file
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> SourceOptions {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    saved(path)
}

fn saved(path: PathBuf) -> SourceOptions {
    SourceOptions::Saved(SavedOptions { path, ..SavedOptions::default() })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

/// Reads all, to the end.
fn read(sources: &[SourceOptions]) -> (Seen, Vec<Cut>) {
    let (running, sink) = start(sources).expect("open");
    let limit = Instant::now() + Duration::from_secs(20);
    while !running.has_ended() {
        assert!(Instant::now() < limit, "it ends");
        std::thread::sleep(Duration::from_millis(1));
    }
    let cuts = running.cut();
    assert!(running.join());
    (sink.seen(), cuts)
}

fn texts(seen: &Seen) -> Vec<String> {
    seen.packets.iter().map(|packet| String::from_utf8_lossy(&packet.data).into_owned()).collect()
}

#[test]
fn a_pcap_is_read_to_its_end_by_its_own_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    let (seen, cuts) = read(&[write(folder.path(), "a.pcap", &three_packets())]);
    assert_eq!(texts(&seen), ["first", "second", "third"]);
    let at = |nanoseconds| Duration::from_nanos(nanoseconds);
    assert_eq!(seen.packets[0].time, at(1_700_000_000_123_456_000));
    assert_eq!((seen.packets[1].link, seen.packets[1].length), (1, 60));
    let ticks = [1_700_000_000_123_456_000, 1_700_000_000_999_999_000, 1_700_000_003_000_000_000].map(at);
    assert_eq!(seen.ticks, ticks);
    assert_eq!(seen.end, Some(ticks[2]));
    assert_eq!(cuts, []);
}

#[test]
fn nanoseconds_and_odd_times_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = pcap(NANO, 101);
    record(&mut file, 1, 999_999_999, b"a", 1);
    record(&mut file, 2, u32::MAX, b"b", 1);
    let (seen, _) = read(&[write(folder.path(), "a.pcap", &file)]);
    assert_eq!(seen.packets[0].time, Duration::new(1, 999_999_999));
    assert_eq!(seen.packets[1].time.as_secs(), 2);
    assert_eq!(seen.packets[0].link, 101, "by its LINKTYPE, not libpcap's DLT");
}

#[test]
fn several_are_read_in_the_order_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut later = pcap(MICRO, 1);
    record(&mut later, 1_700_000_100, 0, b"fourth", 6);
    let first = write(folder.path(), "1.pcap", &three_packets());
    let (seen, _) = read(&[first, write(folder.path(), "2.pcap", &later)]);
    assert_eq!(texts(&seen), ["first", "second", "third", "fourth"]);
}

#[test]
fn gzip_is_told_by_its_first_bytes_and_may_have_members() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = three_packets();
    let (head, tail) = whole.split_at(50);
    let mut members = gzip(head);
    members.extend(gzip(tail));
    let (seen, cuts) = read(&[write(folder.path(), "compressed", &members)]);
    assert_eq!(texts(&seen), ["first", "second", "third"]);
    assert_eq!(cuts, []);
}

#[test]
fn a_pcapng_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = pcapng(&[1]);
    // An enhanced packet block: interface 0, 1.5 s in microseconds, 4 bytes.
    let mut packet = vec![0; 4];
    for field in [0u32, 1_500_000, 4, 4] {
        packet.extend(field.to_le_bytes());
    }
    packet.extend(b"next");
    block(&mut file, 6, &packet);
    let (seen, _) = read(&[write(folder.path(), "a.pcapng", &file)]);
    assert_eq!(texts(&seen), ["next"]);
    assert_eq!(seen.packets[0].time, Duration::from_millis(1_500));
}

#[test]
fn what_is_cut_short_is_kept_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = three_packets();
    file.truncate(file.len() - 2);
    for (name, bytes) in [("cut.pcap", file.clone()), ("cut.pcap.gz", gzip(&file))] {
        let (seen, cuts) = read(&[write(folder.path(), name, &bytes)]);
        assert_eq!(texts(&seen), ["first", "second"]);
        assert_eq!((cuts.len(), cuts[0].packets), (1, 2));
        assert!(cuts[0].why.contains("truncated"), "{}", cuts[0]);
    }
    // The compression itself is cut: what came out of it is kept.
    let mut long = three_packets();
    let mut state = 1u32;
    for _ in 0..2_000 {
        let noise = std::array::from_fn::<u8, 400, _>(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        record(&mut long, 1_700_000_004, 0, &noise, 400);
    }
    let mut compressed = gzip(&long);
    compressed.truncate(compressed.len() / 2);
    let (seen, cuts) = read(&[write(folder.path(), "half.pcap.gz", &compressed)]);
    assert!(seen.packets.len() > 500, "{}", seen.packets.len());
    assert!(cuts[0].why.contains("the gzip stream is cut short"), "{}", cuts[0]);
    // The next file is read all the same.
    let sources = [write(folder.path(), "cut.pcap", &file), write(folder.path(), "whole.pcap", &three_packets())];
    let (seen, cuts) = read(&sources);
    assert_eq!((seen.packets.len(), cuts.len()), (5, 1));
}

#[test]
fn what_is_no_capture_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = error_of(&[write(folder.path(), "notes.txt", b"not a capture, a note of some length")], |_| true);
    assert!(text.contains("notes.txt is not a capture"), "{text}");
    let text = error_of(&[write(folder.path(), "empty", b"")], |_| true);
    assert!(text.contains("empty is not a capture"), "{text}");
    let text = error_of(&[write(folder.path(), "notes.gz", &gzip(b"not a capture, a note of some length"))], |_| true);
    assert!(text.contains("notes.gz is not a capture"), "{text}");
    let text = error_of(&[write(folder.path(), "odd.gz", b"\x1f\x8b\x08and then nonsense of a kind")], |_| true);
    assert!(text.contains("odd.gz is not a capture"), "{text}");
    let text = error_of(&[saved(folder.path().join("absent")), saved(folder.path().into())], |_| true);
    assert!(text.contains("absent: No such file") && text.contains("is a directory"), "all that is wrong: {text}");
}

#[test]
fn a_link_type_that_is_not_supported_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = error_of(&[write(folder.path(), "usb.pcap", &pcap(MICRO, 189))], |link| link.0 != 189);
    assert!(text.contains("usb.pcap is of link type USB_LINUX, which is not supported"), "{text}");
}

#[test]
fn interfaces_that_differ_are_told_apart_from_nonsense() {
    let folder = tempfile::tempdir().expect("a folder");
    let sources = [write(folder.path(), "two.pcapng", &pcapng(&[1, 113]))];
    let (seen, cuts) = read(&sources);
    assert_eq!(seen.packets, []);
    assert!(cuts[0].why.contains("an interface of another link type"), "{}", cuts[0]);
}

#[test]
fn a_filter_is_the_users_and_its_error_libpcaps() {
    let folder = tempfile::tempdir().expect("a folder");
    let SourceOptions::Saved(mut options) = write(folder.path(), "a.pcap", &three_packets()) else { return };
    options.bpf = Some("host 10.0.0.1".into());
    let (seen, _) = read(&[SourceOptions::Saved(options.clone())]);
    assert_eq!(seen.packets, []);
    options.bpf = Some("host and".into());
    let text = error_of(&[SourceOptions::Saved(options)], |_| true);
    assert!(text.contains("`host and` does not compile") && text.contains("syntax error"), "{text}");
}

#[test]
fn reading_from_a_pipe_is_stopped_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let writing = path.clone();
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::File::create(writing).expect("the pipe");
        file.write_all(&three_packets()).expect("written");
        file
    });
    let (running, sink) = start(&[saved(path)]).expect("open");
    let file = writer.join().expect("the writer");
    let limit = Instant::now() + Duration::from_secs(10);
    while sink.seen().packets.len() < 3 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!running.has_ended(), "more may come");
    let stopped = Instant::now();
    running.stop();
    assert!(running.join());
    assert!(stopped.elapsed() < Duration::from_millis(500));
    assert_eq!(sink.seen().packets.len(), 3);
    assert!(sink.seen().end.is_some());
    drop(file);
}

/// Any bytes after a capture's header, and any change to a capture, are read to an end.
#[test]
fn damaged_captures_end() {
    use proptest::prelude::*;
    let folder = tempfile::tempdir().expect("a folder");
    let damage = (0..3usize, any::<u16>(), prop::collection::vec(any::<u8>(), 1..200), any::<bool>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 64, ..ProptestConfig::default() });
    let result = runner.run(&damage, |(kind, at, bytes, compress)| {
        let mut file = match kind {
            0 => three_packets(),
            1 => pcapng(&[1]),
            _ => pcap(NANO, 1),
        };
        let at = usize::from(at) % file.len();
        let end = (at + bytes.len() / 8).min(file.len());
        file.splice(at..end, bytes);
        if compress {
            file = gzip(&file);
        }
        let source = write(folder.path(), "damaged", &file);
        if let Ok((running, sink)) = start(&[source]) {
            prop_assert!(running.join());
            prop_assert!(sink.seen().end.is_some());
        }
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
}
