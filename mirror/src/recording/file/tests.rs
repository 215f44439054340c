//! Recordings on a real file system, told as transcripts: what is done, and the folder afterwards.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::recording::avro::tests::{block, read};
use crate::recording::avro::{BlockEncoder, Losses, Reader, SCHEMA};

/// 2025-01-01 12:00:05 UTC, and seconds after it.
fn noon(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_735_732_805 + seconds)
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self, name: &str) -> FileOptions {
        FileOptions::new(self.path(name))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// The names, and the ids recorded in each; none for what is no recording.
    fn listing(&self) -> BTreeMap<String, Option<Vec<u128>>> {
        let ids = |path: PathBuf| {
            let (ids, losses) = read(&fs::read(path).ok()?).ok()?;
            assert_eq!(losses, Losses::default());
            Some(ids)
        };
        let entries = fs::read_dir(self.0.path()).unwrap().map(Result::unwrap);
        entries.map(|entry| (entry.file_name().into_string().unwrap(), ids(entry.path()))).collect()
    }

    fn assert_listing(&self, expected: &[(&str, &[u128])]) {
        let expected = expected.iter().map(|(name, ids)| (name.to_string(), Some(ids.to_vec()))).collect();
        assert_eq!(self.listing(), expected);
    }
}

fn open(options: &FileOptions) -> (RecordingFile, Opened) {
    RecordingFile::open(options.clone()).unwrap()
}

/// The size of a file with one block of one small record.
fn size_of_one() -> u64 {
    let folder = Folder::new();
    let (mut file, _) = open(&folder.options("one"));
    file.write_block(&block([1])).unwrap();
    file.current.end
}

#[test]
fn every_block_is_in_the_file_once_it_is_written_and_the_file_is_its_owners_alone() {
    let folder = Folder::new();
    let options = folder.options("traffic.avro");
    check(&options).unwrap();
    folder.assert_listing(&[]);

    let (mut file, opened) = open(&options);
    assert_eq!(opened, Opened { path: options.path.clone(), blocks: 0, cut: 0, damaged: 0 });
    assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
    folder.assert_listing(&[("traffic.avro", &[])]);
    file.write_block(&block([1, 2])).unwrap();
    file.write_block(&Block::default()).unwrap();
    folder.assert_listing(&[("traffic.avro", &[1, 2])]);
    file.write_block(&block([3])).unwrap();
    drop(file);

    check(&options).unwrap();
    let (mut file, opened) = open(&options);
    assert_eq!(opened, Opened { path: options.path, blocks: 2, cut: 0, damaged: 0 });
    file.write_block(&block([4])).unwrap();
    folder.assert_listing(&[("traffic.avro", &[1, 2, 3, 4])]);
}

#[test]
fn a_file_cut_anywhere_is_repaired_and_appended_to() {
    // In memory where there is such a place: ext4 flushes a file that was cut to nothing, here thousands of times.
    let folder = Folder(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
    let options = folder.options("traffic.avro");
    let (mut file, _) = open(&options);
    let mut ends = vec![file.current.end as usize];
    for ids in [vec![1, 2], vec![3], vec![4, 5]] {
        file.write_block(&block(ids)).unwrap();
        ends.push(file.current.end as usize);
    }
    drop(file);
    let whole = fs::read(&options.path).unwrap();

    for length in 0..=whole.len() {
        folder.put("traffic.avro", &whole[..length]);
        check(&options).unwrap();
        assert_eq!(fs::read(&options.path).unwrap(), whole[..length], "checking changes nothing, cut at {length}");

        let (mut file, opened) = open(&options);
        let blocks = ends.iter().filter(|&&end| end <= length).count().saturating_sub(1);
        let kept = if length < ends[0] { 0 } else { ends[blocks] };
        assert_eq!((opened.blocks, opened.cut, opened.damaged), (blocks as u64, (length - kept) as u64, 0));
        file.write_block(&block([9])).unwrap();
        let mut ids = [1, 2, 3, 4, 5][..[0, 2, 3, 5][blocks]].to_vec();
        ids.push(9);
        folder.assert_listing(&[("traffic.avro", &ids)]);
    }
}

#[test]
fn damage_in_the_middle_is_left_for_what_is_behind_it() {
    let folder = Folder::new();
    let options = folder.options("traffic.avro");
    let (mut file, _) = open(&options);
    file.write_block(&block([1])).unwrap();
    let second = file.current.end as usize;
    file.write_block(&block([2])).unwrap();
    let third = file.current.end;
    file.write_block(&block([3])).unwrap();
    drop(file);
    let mut bytes = fs::read(&options.path).unwrap();
    bytes[second + 1] ^= 0x10; // its size
    bytes.extend_from_slice(&[0; 100]); // and a torn tail, as a machine without power may leave it
    fs::write(&options.path, &bytes).unwrap();

    let (mut file, opened) = open(&options);
    assert_eq!((opened.blocks, opened.cut, opened.damaged), (2, 100, third - second as u64));
    file.write_block(&block([4])).unwrap();
    let losses = Losses { corrupt_blocks: 1, corrupt_bytes: opened.damaged, torn_bytes: 0 };
    assert_eq!(read(&fs::read(&options.path).unwrap()).unwrap(), (vec![1, 3, 4], losses));
}

#[test]
fn what_is_not_ours_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let recording = {
        let (mut file, _) = open(&folder.options("sound"));
        file.write_block(&block([1])).unwrap();
        fs::read(file.path()).unwrap()
    };
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = recording.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&recording[..at], to.as_bytes(), &recording[at + from.len()..]].concat()
    };
    folder.put("text", b"precious notes");
    folder.put("short", b"Ob");
    folder.put("other", &replaced("\"Exchange\"", "\"Purchase\""));
    folder.put("newer", &replaced("body_length", "body_longth"));
    folder.put("torn other", &replaced("\"Exchange\"", "\"Purchase\"")[..300]);
    folder.put("xz", &replaced("\x12zstandard", "\x12bzip2----"));
    fs::create_dir(folder.path("folder")).unwrap();
    symlink(folder.path("nowhere"), folder.path("dangling")).unwrap();
    symlink(folder.path("text"), folder.path("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    let before: BTreeMap<_, _> =
        folder.listing().into_keys().map(|name| (name.clone(), fs::read(folder.path(&name)).ok())).collect();

    let other = "expected mirror.Exchange as this version writes it; it is left as it is";
    for (name, message) in [
        ("text", r#"found "precious", expected an Avro recording, which begins with "Obj\x01"; it is left as it is"#),
        ("link", r#"found "precious", expected an Avro recording, which begins with "Obj\x01"; it is left as it is"#),
        ("other", &format!("found an Avro file of mirror.Purchase, {other}")),
        ("newer", &format!("found an Avro file of mirror.Exchange, {other}")),
        ("torn other", "found 300 bytes that end within the header, expected a whole one; it is left as it is"),
        ("xz", "found the codec bzip2----, expected zstandard; it is left as it is"),
        ("folder", "found a folder, expected a file, or nothing yet"),
        ("socket", "found a socket, expected a file, or nothing yet"),
        ("dangling", "found a symbolic link that leads nowhere, expected a file, or nothing yet"),
        ("none/x", &format!("found nothing at {}, expected a folder", folder.path("none").display())),
        ("text/x", &format!("found a file at {}, expected a folder", folder.path("text").display())),
        ("new/", "found a folder's name, ending in /, expected that of a file"),
    ] {
        let options = folder.options(name);
        let message = format!("{}: {message}", folder.path(name).display());
        assert_eq!(RecordingFile::open(options.clone()).unwrap_err().to_string(), message);
        assert_eq!(check(&options).unwrap_err().to_string(), message);
    }
    let after: BTreeMap<_, _> =
        folder.listing().into_keys().map(|name| (name.clone(), fs::read(folder.path(&name)).ok())).collect();
    assert_eq!(before, after);
    // "Ob" is how a header of ours begins: a crash may have left it.
    assert_eq!(open(&folder.options("short")).1.cut, 2);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.path("read-only")).unwrap();
    fs::set_permissions(folder.path("read-only"), fs::Permissions::from_mode(0o500)).unwrap();
    if File::create(folder.path("read-only/probe")).is_ok() {
        eprintln!("skipped: this user may write anywhere");
        return;
    }
    let options = folder.options("read-only/traffic.avro");
    for error in [RecordingFile::open(options.clone()).unwrap_err(), check(&options).unwrap_err()] {
        assert!(error.to_string().contains("cannot create files in its folder: Permission denied"), "{error}");
    }
}

#[test]
fn two_cannot_record_to_one_file() {
    let folder = Folder::new();
    let options = folder.options("traffic.avro");
    let (first, _) = open(&options);
    let message = format!(
        "{}: found a file that is being recorded to by another process, expected one that is not",
        options.path.display()
    );
    assert_eq!(RecordingFile::open(options.clone()).unwrap_err().to_string(), message);
    assert_eq!(check(&options).unwrap_err().to_string(), message);
    drop(first);
    check(&options).unwrap();
    open(&options);
}

#[test]
fn a_link_to_a_recording_is_followed() {
    let folder = Folder::new();
    drop(open(&folder.options("elsewhere.avro")));
    symlink(folder.path("elsewhere.avro"), folder.path("traffic.avro")).unwrap();
    let (mut file, _) = open(&folder.options("traffic.avro"));
    file.write_block(&block([1])).unwrap();
    folder.assert_listing(&[("elsewhere.avro", &[1]), ("traffic.avro", &[1])]);
    assert!(fs::symlink_metadata(folder.path("traffic.avro")).unwrap().is_symlink());
}

#[test]
fn rotation_by_size_numbers_the_files_and_a_restart_goes_on_with_the_newest() {
    let folder = Folder::new();
    let mut options = folder.options("traffic.avro");
    options.rotate_size = Some(size_of_one() + 10);
    let (mut file, _) = open(&options);
    for id in 1..=3 {
        file.write_block(&block([id])).unwrap();
    }
    folder.assert_listing(&[("traffic.avro", &[1]), ("traffic.1.avro", &[2]), ("traffic.2.avro", &[3])]);
    drop(file);

    let (mut file, opened) = open(&options);
    assert_eq!((opened.path, opened.blocks), (folder.path("traffic.2.avro"), 1));
    // Larger than the limit by itself, and nothing else is in its file.
    file.write_block(&block(100..400)).unwrap();
    file.write_block(&block([4])).unwrap();
    drop(file);
    let ids: Vec<_> = folder.listing().into_iter().map(|(name, ids)| (name, ids.unwrap().len())).collect();
    let ids: Vec<_> = ids.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(
        ids,
        [
            ("traffic.1.avro", 1),
            ("traffic.2.avro", 1),
            ("traffic.3.avro", 300),
            ("traffic.4.avro", 1),
            ("traffic.avro", 1)
        ]
    );

    // Without rotation the path means what it says.
    options.rotate_size = None;
    assert_eq!(open(&options).1.path, folder.path("traffic.avro"));
}

#[test]
fn rotation_by_time_takes_the_name_of_the_time_and_never_a_name_that_is_taken() {
    let folder = Folder::new();
    let mut options = folder.options("t-%H%M%S.avro");
    options.rotate_interval = Some(Duration::from_secs(10));
    folder.put("t-120036.avro", b"someone's");
    folder.put("t-120036.1.avro", b"someone's");

    let (mut file, _) = RecordingFile::open_at(options.clone(), noon(0)).unwrap();
    file.write_block_at(&block([1]), noon(0)).unwrap();
    file.write_block_at(&block([2]), noon(9)).unwrap();
    file.write_block_at(&block([3]), noon(10)).unwrap();
    file.write_block_at(&block([4]), noon(5)).unwrap(); // the clock was set back: not older, so no new file
    file.write_block_at(&Block::default(), noon(30)).unwrap(); // nothing comes: no file
    file.write_block_at(&block([5]), noon(31)).unwrap();
    // A size that is reached within the second of the name.
    file.options.rotate_size = Some(1);
    file.write_block_at(&block([6]), noon(31)).unwrap();

    let listing = folder.listing();
    let listing: Vec<_> = listing.iter().map(|(name, ids)| (name.as_str(), ids.as_deref())).collect();
    assert_eq!(
        listing,
        [
            ("t-120005.avro", Some(&[1, 2][..])),
            ("t-120015.avro", Some(&[3, 4])),
            ("t-120036.1.avro", None),
            ("t-120036.2.avro", Some(&[5])),
            ("t-120036.3.avro", Some(&[6])),
            ("t-120036.avro", None),
        ]
    );
    drop(file);

    // Opened within the same second again: the newest of that name, past what is not ours.
    folder.put("t-120036.4.avro", b"someone's");
    let (file, _) = RecordingFile::open_at(options.clone(), noon(31)).unwrap();
    assert_eq!(file.path(), folder.path("t-120036.5.avro"));
    // The name as given has to be ours.
    folder.put("t-120037.avro", b"someone's");
    assert!(matches!(RecordingFile::open_at(options, noon(32)), Err(FileError::Foreign { .. })));
}

#[test]
fn a_limit_removes_the_oldest_of_its_own_files_and_nothing_else() {
    let folder = Folder::new();
    let one = size_of_one();
    let mut options = folder.options("traffic.avro");
    options.rotate_size = Some(one);
    let (mut file, _) = open(&options);
    for id in 1..=5 {
        file.write_block(&block([id])).unwrap();
        let written = File::options().write(true).open(file.path()).unwrap();
        written.set_modified(noon(id as u64)).unwrap();
    }
    drop(file);
    // In the way: of the name but no recording, a recording of another name, links, one being recorded to.
    folder.put("traffic.90.avro", b"someone's");
    drop(open(&folder.options("other.avro")));
    symlink(folder.path("other.avro"), folder.path("traffic.0x.avro")).unwrap();
    symlink(folder.path("other.avro"), folder.path("traffic.7.avro")).unwrap();
    let (held, _) = open(&folder.options("traffic.1.avro"));

    options.keep = Some(3 * one);
    let (mut file, _) = open(&options);
    file.write_block(&block([6])).unwrap();
    let names = || folder.listing().into_keys().collect::<Vec<_>>();
    let others = |mut own: Vec<&'static str>| {
        own.extend(["other.avro", "traffic.0x.avro", "traffic.7.avro", "traffic.90.avro"]);
        own.sort_unstable();
        own
    };
    // 1, the one held and the newest: 2 went though it is younger than the one held, which cannot go.
    assert_eq!(file.path(), folder.path("traffic.91.avro"));
    assert_eq!(names(), others(vec!["traffic.1.avro", "traffic.4.avro", "traffic.91.avro"]));
    drop(held);
    file.write_block(&block([7])).unwrap();
    file.write_block(&block([8])).unwrap();
    assert_eq!(names(), others(vec!["traffic.91.avro", "traffic.92.avro", "traffic.93.avro"]));

    // Less than one file: the current one stays, and goes on.
    file.options.keep = Some(1);
    file.write_block(&block([9])).unwrap();
    assert_eq!(names(), others(vec!["traffic.94.avro"]));
}

#[test]
fn a_limit_holds_while_the_current_file_grows() {
    let folder = Folder::new();
    let one = size_of_one();
    let mut options = folder.options("t-%s.avro");
    options.rotate_interval = Some(Duration::from_secs(10));
    options.keep = Some(2 * one + 50);
    let (mut file, _) = RecordingFile::open_at(options, noon(0)).unwrap();
    file.write_block_at(&block([1]), noon(0)).unwrap();
    file.write_block_at(&block([2]), noon(10)).unwrap();
    assert_eq!(folder.listing().len(), 2);
    file.write_block_at(&block([3]), noon(10)).unwrap();
    folder.assert_listing(&[("t-1735732815.avro", &[2, 3])]);
}

#[test]
fn a_file_that_is_taken_away_is_begun_anew() {
    let folder = Folder::new();
    let (mut file, _) = open(&folder.options("traffic.avro"));
    file.write_block(&block([1])).unwrap();
    fs::remove_file(file.path()).unwrap();
    file.write_block(&block([2])).unwrap();
    folder.assert_listing(&[("traffic.avro", &[2])]);
    // As `logrotate` with copytruncate does: blocks without a header in front would be lost.
    File::options().write(true).open(file.path()).unwrap().set_len(0).unwrap();
    file.write_block(&block([3])).unwrap();
    assert_eq!(
        folder.listing(),
        BTreeMap::from([("traffic.avro".into(), None), ("traffic.1.avro".into(), Some(vec![3]))])
    );
}

#[test]
fn a_file_that_cannot_be_begun_leaves_the_present_one() {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    let mut options = folder.options("in/traffic.avro");
    options.rotate_size = Some(1);
    let (mut file, _) = open(&options);
    file.write_block(&block([1])).unwrap();
    // As when a volume is unmounted.
    fs::rename(folder.path("in"), folder.path("away")).unwrap();
    let error = file.write_block(&block([2])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    fs::rename(folder.path("away"), folder.path("in")).unwrap();
    file.write_block(&block([3])).unwrap();
    assert_eq!(read(&fs::read(folder.path("in/traffic.avro")).unwrap()).unwrap().0, [1]);
    assert_eq!(read(&fs::read(folder.path("in/traffic.1.avro")).unwrap()).unwrap().0, [3]);
}

#[test]
fn a_block_no_reader_would_take_is_refused() {
    let folder = Folder::new();
    let (mut file, _) = open(&folder.options("traffic.avro"));
    let mut encoder = BlockEncoder::new(0);
    encoder.push(&crate::recording::avro::tests::small(1)).unwrap();
    let mut huge = encoder.take();
    huge.grow(avro::MAX_BLOCK + 1);
    assert_eq!(file.write_block(&huge).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    file.write_block(&block([2])).unwrap();
    folder.assert_listing(&[("traffic.avro", &[2])]);
}

#[test]
fn the_schema_is_in_the_file_for_others_to_read() {
    let folder = Folder::new();
    let (file, _) = open(&folder.options("traffic.avro"));
    let bytes = fs::read(file.path()).unwrap();
    assert!(bytes.windows(SCHEMA.len()).any(|window| window == SCHEMA.as_bytes()));
    assert_eq!(Reader::new(&bytes[..]).unwrap().count(), 0);
}

/// What may happen to a recording.
#[derive(Debug, Clone)]
enum Step {
    Write(u8),
    /// The process dies in the middle of a write: this much of a block is there.
    Crash(prop::sample::Index),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..20u8).prop_map(Step::Write),
        1 => any::<prop::sample::Index>().prop_map(Step::Crash),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_block_written_is_read_once_and_in_order(
        steps in prop::collection::vec(step(), 1..30), rotate_size in prop::option::of(4_000u64..12_000),
    ) {
        let folder = Folder::new();
        let options = FileOptions { rotate_size, ..folder.options("t.avro") };
        let mut recording = Some(open(&options).0);
        let mut written = 0u128;
        for step in steps {
            let mut file = recording.take().unwrap();
            match step {
                Step::Write(count) => {
                    file.write_block(&block(written..written + u128::from(count))).unwrap();
                    written += u128::from(count);
                    recording = Some(file);
                    continue;
                }
                Step::Crash(cut) => {
                    let mut framer = BlockFramer::new().unwrap();
                    let frame = framer.frame(&block([u128::MAX]), &file.current.marker).unwrap();
                    file.current.file.write_all_at(&frame[..cut.index(frame.len())], file.current.end).unwrap();
                }
                Step::Reopen => {}
            }
            drop(file);
            recording = Some(open(&options).0);
        }
        drop(recording);
        let listing = folder.listing();
        let mut number = 0;
        let mut ids = listing["t.avro"].clone().unwrap();
        while let Some(more) = listing.get(&format!("t.{}.avro", number + 1)) {
            ids.extend(more.clone().unwrap());
            number += 1;
        }
        prop_assert_eq!(listing.len(), number + 1);
        prop_assert_eq!(ids, (0..written).collect::<Vec<_>>());
    }
}
