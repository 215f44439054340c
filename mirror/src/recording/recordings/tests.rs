//! Files on a disk, read as one.

use std::fs::File;

use bytes::Bytes;
use proptest::prelude::*;

use super::open::SNIFFED;
use super::*;
use crate::recording::Kind;
use crate::recording::avro::tests::small;

fn at(seconds: u64) -> SystemTime {
    small(0).started + Duration::from_secs(seconds)
}

/// An exchange that begins at this second, which is its id too, and lasts so many.
fn exchange(second: u64, lasts: u64) -> Record {
    Record { started: at(second), end: Some(Duration::from_secs(lasts)), ..small(second.into()) }
}

fn write(path: &Path, records: impl IntoIterator<Item = Record>) {
    let mut writer = Format::AVRO.writer(File::create(path).unwrap()).unwrap();
    for record in records {
        writer.write(&record).unwrap();
    }
    writer.finish().unwrap();
}

fn ids(recordings: &mut Recordings) -> Vec<u128> {
    recordings.map(|record| record.unwrap().id).collect()
}

/// A folder with these recordings, of exchanges that last a second but where it is said otherwise.
fn folder(files: &[(&str, &[u64])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, seconds) in files {
        write(&folder.path().join(name), seconds.iter().map(|&second| exchange(second, 1)));
    }
    folder
}

#[test]
fn files_are_merged_by_time() {
    let folder =
        folder(&[("a.avro", &[1, 4, 7, 300]), ("b.avro", &[2, 3, 301]), ("c.avro", &[0, 400]), ("d.avro", &[])]);
    for order in [ReadOrder::ByStart, ReadOrder::AsRecorded] {
        let options = ReadOptions { order, ..ReadOptions::default() };
        let mut recordings = Recordings::open_with(&[folder.path().join("*.avro")], &options).unwrap();
        assert_eq!(recordings.first(), Some(at(0)));
        assert_eq!(ids(&mut recordings), [0, 1, 2, 3, 4, 7, 300, 301, 400]);
        assert_eq!((recordings.late(), recordings.losses()), (0, vec![]));
    }
}

#[test]
fn a_file_in_the_order_of_ends_is_read_by_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.avro");
    // The second lasted half a minute, the last longer than the window.
    let ended = [exchange(10, 1), exchange(20, 1), exchange(2, 30), exchange(120, 1), exchange(3, 200)];
    write(&path, ended);
    let mut recordings = Recordings::open(std::slice::from_ref(&path)).unwrap();
    assert_eq!(ids(&mut recordings), [2, 10, 20, 3, 120]);
    assert_eq!(recordings.late(), 1);

    let as_recorded = ReadOptions { order: ReadOrder::AsRecorded, ..ReadOptions::default() };
    assert_eq!(ids(&mut Recordings::open_with(&[path], &as_recorded).unwrap()), [10, 20, 2, 120, 3]);
}

#[test]
fn where_a_clock_was_set_back_records_stay_in_front_of_what_follows() {
    let folder = folder(&[("a.avro", &[4000, 4002, 4001, 10, 12, 11, 100])]);
    let mut recordings = Recordings::open(&[folder.path().join("a.avro")]).unwrap();
    assert_eq!(ids(&mut recordings), [4000, 4001, 4002, 10, 11, 12, 100]);
    assert_eq!(recordings.late(), 4);
}

#[test]
fn from_one_time_to_another() {
    let folder = folder(&[("a.avro", &[5, 6, 7, 8]), ("b.avro", &[9, 10, 2000, 5000])]);
    let words = [folder.path().join("?.avro")];
    let read = |from: Option<Moment>, to: Option<Moment>| {
        let options = ReadOptions { from, to, ..ReadOptions::default() };
        ids(&mut Recordings::open_with(&words, &options).unwrap())
    };
    let (after, moment) = (|n| Some(Moment::After(Duration::from_secs(n))), |n| Some(Moment::At(at(n))));
    assert_eq!(read(after(1), None), [6, 7, 8, 9, 10, 2000, 5000]);
    assert_eq!(read(after(1), after(5)), [6, 7, 8, 9], "until then, and not with it");
    assert_eq!(read(moment(8), moment(2001)), [8, 9, 10, 2000]);
    assert_eq!(read(moment(6000), None), [0; 0]);
    assert_eq!(read(None, moment(0)), [0; 0]);
}

#[test]
fn hundreds_of_files_are_not_open_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..300 {
        write(&folder.path().join(format!("t.{n}.avro")), [exchange(n * 100, 1), exchange(n * 100 + 50, 1)]);
    }
    let mut recordings = Recordings::open(&[folder.path().join("*.avro")]).unwrap();
    let mut most = 0;
    let mut read = 0;
    while let Some(record) = recordings.next() {
        assert_eq!(record.unwrap().id, read * 50);
        read += 1;
        most = most.max(recordings.open.len());
    }
    assert_eq!((read, recordings.late()), (600, 0));
    assert!(most <= 2, "{most}");
}

#[test]
fn more_files_of_one_time_than_may_be_open_are_read_late() {
    let folder = tempfile::tempdir().unwrap();
    let files = MOST_OPEN as u64 + 10;
    for n in 0..files {
        write(
            &folder.path().join(format!("t.{n}.avro")),
            [exchange(n, 1), exchange(1000 + n, 1), exchange(2000 + n, 1)],
        );
    }
    let mut recordings = Recordings::open(&[folder.path().join("*.avro")]).unwrap();
    let mut found = ids(&mut recordings);
    assert!(recordings.late() > 0);
    found.sort_unstable();
    assert_eq!(
        found,
        (0..files).chain(1000..1000 + files).chain(2000..2000 + files).map(u128::from).collect::<Vec<_>>()
    );
}

#[test]
fn what_is_lost_is_told_of_each_file() {
    let folder = folder(&[("a.avro", &[1, 2]), ("b.avro", &[3, 4])]);
    let torn = folder.path().join("b.avro");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() - 1]).unwrap();
    std::fs::write(folder.path().join("c.avro"), &bytes[..100]).unwrap();
    let mut recordings = Recordings::open(&[folder.path().join("*.avro")]).unwrap();
    assert_eq!(ids(&mut recordings), [1, 2]);
    let lost: Vec<_> = recordings.losses().iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(lost, ["b.avro", "c.avro"]);

    std::fs::write(folder.path().join("d.avro"), "hello, world").unwrap();
    std::fs::write(folder.path().join("e.txt"), "hello, world").unwrap();
    let errors = Recordings::open(&[folder.path().join("*.avro"), folder.path().join("e.txt")]).err().unwrap();
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("d.avro: at byte 0: found \"hello, w"), "{told:?}");
    assert!(told[1].contains("/e.txt, expected a name that ends in one of .avro, "), "{told:?}");

    // Where a name says nothing the start does.
    std::fs::write(folder.path().join("e.txt"), bytes).unwrap();
    assert_eq!(ids(&mut Recordings::open(&[folder.path().join("e.txt")]).unwrap()), [3, 4]);
}

#[test]
fn a_file_that_is_removed_meanwhile_is_told() {
    let folder = folder(&[("a.avro", &[1, 2]), ("b.avro", &[300]), ("c.avro", &[400])]);
    let mut recordings = Recordings::open(&[folder.path().join("*.avro")]).unwrap();
    std::fs::remove_file(folder.path().join("b.avro")).unwrap();
    assert_eq!(ids(&mut recordings), [1, 2, 400]);
    assert_eq!(recordings.losses().len(), 1);
}

#[test]
fn held_records_share_no_more_than_their_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.avro");
    let body = Bytes::from(vec![7; 1 << 20]);
    let long = |second| {
        let mut record = exchange(second, 1);
        record.request.message.body = vec![body.clone()];
        record
    };
    write(&path, (0..200).map(|n| long(n / 50)));
    let mut recordings = Recordings::open(&[path]).unwrap();
    assert_eq!(recordings.next().unwrap().unwrap().started, at(0));
    assert!(recordings.open[0].frontier < at(2), "the window is full before the file is read");
    assert_eq!(recordings.count(), 199);
}

#[test]
fn every_format_is_known_by_its_start() {
    for kind in Kind::ALL {
        for gzip in [false, true] {
            let format = Format { kind, gzip };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(format!("a.{format}"));
            let mut writer = format.writer(File::create(&path).unwrap()).unwrap();
            (0..3).for_each(|second| writer.write(&exchange(second, 1)).unwrap());
            writer.finish().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(Format::sniff(&bytes[..bytes.len().min(SNIFFED)]), Some(format));
            let options = ReadOptions { from: Some(Moment::At(at(1))), ..ReadOptions::default() };
            assert_eq!(Recordings::open_with(&[path], &options).unwrap().count(), 2, "{format}");
        }
    }
    for start in [&b""[..], b"hello", b"\x1f\x8b\x08", b"PK\x03\x04", b"4 abc"] {
        assert_eq!(Format::sniff(start), None, "{}", start.escape_ascii());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever exchanges several recorders saw at once, as long as none lasted longer than the window.
    #[test]
    fn all_there_is_comes_in_order(
        exchanges in prop::collection::vec((0u64..300, 0u64..60, 0usize..4), 0..80),
        from in prop::option::of(0u64..300),
        to in prop::option::of(0u64..300),
    ) {
        let folder = tempfile::tempdir().unwrap();
        for file in 0..4 {
            let mut seen: Vec<_> = exchanges.iter().filter(|(_, _, at)| *at == file).collect();
            seen.sort_by_key(|(start, lasts, _)| start + lasts);
            let path = folder.path().join(format!("{file}.avro"));
            write(&path, seen.into_iter().map(|&(start, lasts, _)| exchange(start, lasts)));
        }
        let moment = |second: Option<u64>| second.map(|second| Moment::At(at(second)));
        let options = ReadOptions { from: moment(from), to: moment(to), ..ReadOptions::default() };
        let mut recordings = Recordings::open_with(&[folder.path().join("*.avro")], &options).unwrap();
        let mut wanted: Vec<_> = exchanges.iter().map(|(start, ..)| *start).collect();
        wanted.retain(|start| from.is_none_or(|from| *start >= from) && to.is_none_or(|to| *start < to));
        wanted.sort_unstable();
        prop_assert_eq!(ids(&mut recordings), wanted.into_iter().map(u128::from).collect::<Vec<_>>());
        prop_assert_eq!(recordings.late(), 0);
    }
}

/// Fails in its middle.
struct Failing(Vec<Record>);

impl ReadRecords for Failing {
    fn read(&mut self) -> io::Result<Option<Record>> {
        self.0.pop().map(Some).ok_or_else(|| io::Error::other("a bad sector"))
    }

    fn losses(&self) -> Losses {
        Losses::default()
    }
}

#[test]
fn what_was_read_before_an_error_is_given_before_it() {
    let folder = folder(&[("a.avro", &[0, 4])]);
    let mut recordings = Recordings::open(&[folder.path().join("a.avro")]).unwrap();
    let reader = Box::new(Failing(vec![exchange(2, 1), exchange(3, 1), exchange(1, 1)]));
    recordings.open.push(Open { path: "bad.avro".into(), reader, ahead: None, frontier: at(0) });
    let given: Vec<_> = recordings.by_ref().collect();
    let (error, before) = given.split_last().unwrap();
    assert!(error.as_ref().is_err_and(|error| error.to_string().contains("a bad sector")), "{given:?}");
    let before: Vec<u128> = before.iter().map(|record| record.as_ref().unwrap().id).collect();
    assert!(before.windows(2).all(|pair| pair[0] < pair[1]), "{before:?}");
    assert!([1, 2, 3].iter().all(|id| before.contains(id)), "{before:?}");
    assert!(recordings.next().is_none());
}
