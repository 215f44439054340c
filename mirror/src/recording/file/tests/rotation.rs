//! New files, their names, and the limit on all together.

use std::time::UNIX_EPOCH;

use super::*;

/// 2025-01-01 12:00:05 UTC, and seconds after it.
fn noon(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_735_732_805 + seconds)
}

/// The size of a file with one block of one small record.
fn size_of_one() -> u64 {
    let folder = Folder::new();
    let (mut file, _) = open(&folder.options("one"));
    file.write_block(&block([1])).unwrap();
    file.current.end
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
fn rotation_by_name_begins_a_file_when_the_name_says_another_time() {
    let folder = Folder::new();
    let mut options = folder.options("t-%H%M.avro");
    options.rotate_by_name = true;
    let (mut file, _) = RecordingFile::open_at(options.clone(), noon(0)).unwrap();
    for (id, at) in [(1, 0), (2, 54), (3, 55), (4, 10), (5, 114), (6, 300)] {
        file.write_block_at(&block([id]), noon(at)).unwrap();
    }
    drop(file);
    let expected: [(&str, &[u128]); 3] = [("t-1200.avro", &[1, 2]), ("t-1201.avro", &[3, 4, 5]), ("t-1205.avro", &[6])];
    folder.assert_listing(&expected);

    // Within the minute that was begun, it goes on.
    let (mut file, opened) = RecordingFile::open_at(options, noon(301)).unwrap();
    assert_eq!(opened.blocks, 1);
    file.write_block_at(&block([7]), noon(302)).unwrap();
    folder.assert_listing(&[expected[0], expected[1], ("t-1205.avro", &[6, 7])]);
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
fn a_limit_also_removes_what_another_version_recorded() {
    let folder = Folder::new();
    let mut options = folder.options("traffic.avro");
    options.rotate_size = Some(1);
    let (mut file, _) = open(&options);
    file.write_block(&block([1])).unwrap();
    let mut bytes = fs::read(file.path()).unwrap();
    let at = bytes.windows(11).position(|window| window == b"body_length").unwrap();
    bytes[at..at + 11].copy_from_slice(b"body_octets");
    folder.put("traffic.1.avro", &bytes);
    file.write_block(&block([2])).unwrap();
    file.options.keep = Some(0);
    file.write_block(&block([3])).unwrap();
    folder.assert_listing(&[("traffic.3.avro", &[3])]);
}
