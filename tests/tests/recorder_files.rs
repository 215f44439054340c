//! The files of a recording: whose they are, what a crash leaves of them, when new ones are begun, what a full disk costs.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use mirror_tests::recording::Fastavro;
use mirror_tests::{Config, Conn, Mirror, Server, Value, WITHIN, json, upload, wait_for};

const KIB: u64 = 1024;

fn recording(upstream: &Server, target: &Server, record: Value) -> Config {
    Config::upstream(upstream.address()).shadow("target", target.address()).set("record", record)
}

/// Requests `/first` and on, each with a body of `length` bytes that no compression makes smaller by much.
#[track_caller]
fn send(mirror: &Mirror, numbers: std::ops::Range<usize>, length: usize) {
    let mut client = mirror.connect();
    for n in numbers {
        client.send(format!("PUT /{n} HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\n\r\n"));
        client.send(&upload::body(60_000 + length)[n * 7..][..length]);
        assert_eq!(client.response().text(), "ok");
    }
}

fn number(record: &Value) -> usize {
    let target = record["request"]["target"].as_str().expect("a target");
    target[1..].parse().expect("a number")
}

/// The numbers of the requests in a file, sorted: records are written as their answers come in.
fn numbers(fastavro: &Fastavro, path: &Path) -> Vec<usize> {
    let mut numbers: Vec<_> = fastavro.read(path).iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn only_its_owner_may_read_a_recording() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    for name in ["traffic.avro", "traffic-%Y%m%d.avro"] {
        let path = folder.path().join(name);
        let mirror = Mirror::start(recording(
            &upstream,
            &target,
            json!({ "path": path, "rotate_size": "1KiB", "flush_bytes": "1B" }),
        ));
        send(&mirror, 0..3, 2000);
        mirror.terminate();
    }
    let modes: Vec<u32> =
        files(folder.path()).iter().map(|path| path.metadata().expect("a file").mode() & 0o777).collect();
    assert!(modes.len() > 2 && modes.iter().all(|&mode| mode == 0o600), "{modes:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn what_was_flushed_survives_kill_9_and_a_restart_appends_after_repairing() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.avro");
    let config = recording(&upstream, &target, json!({ "path": path, "flush_interval": "20ms" }));

    let first = Mirror::start(config.clone());
    send(&first, 0..20, 100);
    first.wait_delivered("record", 20);
    first.signal(libc::SIGKILL);
    first.wait_exit();
    assert_eq!(numbers(&fastavro, &path), Vec::from_iter(0..20));

    // As if it had been killed in the middle of a write: the start of a block of 2 records and 1000 bytes.
    let torn = [&[0x04, 0xd0, 0x0f][..], &upload::body(300)].concat();
    append(&path, &torn);
    let second = Mirror::start(config.clone());
    let line = second.wait_log("a torn tail was cut off the recording");
    assert_eq!(line["bytes"], torn.len(), "{line}");
    send(&second, 20..25, 100);
    second.terminate();
    assert_eq!(numbers(&fastavro, &path), Vec::from_iter(0..25));

    append(&path, b"garbage");
    let third = Mirror::start(config);
    send(&third, 25..26, 100);
    third.terminate();
    assert_eq!(numbers(&fastavro, &path), Vec::from_iter(0..26));
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("the recording");
    file.write_all(bytes).expect("more in it");
}

#[test]
fn a_kill_9_under_load_loses_nothing_that_was_counted() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.avro");
    let record = json!({ "path": path, "flush_interval": "5ms", "flush_bytes": "16KiB" });
    let config = recording(&upstream, &target, record);
    let mut counted = 0;
    for _ in 0..3 {
        let mirror = Mirror::start(config.clone());
        let address = mirror.address();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut client = Conn::open(address);
                    let upload =
                        [&b"PUT /0 HTTP/1.1\r\nHost: app\r\nContent-Length: 9000\r\n\r\n"[..], &upload::body(9000)]
                            .concat();
                    while client.try_send(&upload).is_ok() && client.try_head().is_some() && client.pour(2, |_| {}) {}
                })
            })
            .collect();
        counted += mirror.wait_delivered("record", 100).delivered("record");
        mirror.signal(libc::SIGKILL);
        mirror.wait_exit();
        clients.into_iter().for_each(|client| client.join().expect("a client that ends"));
    }
    let mirror = Mirror::start(config);
    mirror.terminate();
    let records = numbers(&fastavro, &path).len() as u64;
    assert!(records >= counted, "{records} of {counted}");
}

#[test]
fn at_sigterm_all_is_flushed() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.avro");
    let record = json!({ "path": path, "flush_interval": "1h", "flush_bytes": "10MiB" });
    let mirror = Mirror::start(recording(&upstream, &target, record));
    send(&mirror, 0..10, 1000);
    assert_eq!(mirror.wait_delivered("target", 10).delivered("record"), 0, "nothing is written yet");
    assert_eq!(mirror.terminate().sink("record").delivered, 10);
    assert_eq!(numbers(&fastavro, &path), Vec::from_iter(0..10));
}

/// Each record is a block of its own here, so that the sizes are known.
#[test]
fn a_new_file_is_begun_by_size_and_the_oldest_go() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let foreign = folder.path().join("traffic-20240101-keep.avro");
    std::fs::write(&foreign, "someone's").expect("a file of someone's");
    let record = json!({
        "path": folder.path().join("traffic-%Y%m%d.avro"), "flush_bytes": "1B",
        "rotate_size": "30KiB", "keep": "100KiB",
    });
    let mirror = Mirror::start(recording(&upstream, &target, record));
    send_one_by_one(&mirror, 0..60, 5000);
    let summary = mirror.terminate();
    assert_eq!(summary.sink("record").delivered, 60);

    assert_eq!(std::fs::read(&foreign).expect("it is still there"), b"someone's");
    let files: Vec<_> = files(folder.path()).into_iter().filter(|path| *path != foreign).collect();
    let sizes: Vec<u64> = files.iter().map(|path| path.metadata().expect("a file").len()).collect();
    assert!(sizes.iter().all(|&size| size <= 30 * KIB), "{sizes:?}");
    let all: u64 = sizes.iter().sum();
    assert!((60 * KIB..=100 * KIB).contains(&all), "{sizes:?}");
    for path in &files {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let date = name.strip_prefix("traffic-").and_then(|rest| rest.get(..8));
        assert!(date.is_some_and(|date| date.bytes().all(|b| b.is_ascii_digit())), "{name}");
    }
    // What is left are the newest, without a gap.
    let left: BTreeSet<usize> = files.iter().flat_map(|path| numbers(&fastavro, path)).collect();
    let first = 60 - left.len();
    assert!((10..60).contains(&left.len()), "{left:?}");
    assert_eq!(left, BTreeSet::from_iter(first..60));
}

#[test]
fn a_new_file_is_begun_by_time() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let record = json!({
        "path": folder.path().join("traffic-%H%M%S.avro"), "flush_interval": "10ms", "rotate_interval": "50ms",
    });
    let mirror = Mirror::start(recording(&upstream, &target, record));
    let mut sent = 0;
    wait_for("a third file", WITHIN, || {
        send(&mirror, sent..sent + 1, 100);
        sent += 1;
        mirror.wait_delivered("record", sent as u64);
        (files(folder.path()).len() >= 3).then_some(())
    });
    mirror.terminate();
    let all: BTreeSet<usize> = files(folder.path()).iter().flat_map(|path| numbers(&fastavro, path)).collect();
    assert_eq!(all, BTreeSet::from_iter(0..sent));
}

/// Two at once would write over each other.
#[test]
fn a_recording_that_is_being_recorded_to_is_refused_to_another() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.avro");
    let mirror = Mirror::start(recording(&upstream, &target, json!({ "path": path })));
    let upstream = upstream.address().to_string();
    let path = path.to_str().expect("UTF-8");
    let arguments = ["--listen=127.0.0.1:0", "--upstream", &upstream, "--admin=off", "--record", path];
    let said = mirror_tests::refusal(folder.path(), &arguments);
    assert!(said.contains("another process"), "{said}");
    send(&mirror, 0..1, 10);
    assert_eq!(mirror.terminate().sink("record").delivered, 1);
}

/// The same, each after the record of the one before it is written or lost. Gives the numbers of those that are written.
#[track_caller]
fn send_one_by_one(mirror: &Mirror, numbers: std::ops::Range<usize>, length: usize) -> Vec<usize> {
    let mut written = mirror.metrics().delivered("record");
    let is_written = |&n: &usize| {
        send(mirror, n..n + 1, length);
        let before = std::mem::replace(&mut written, mirror.wait_settled(n as u64 + 1).delivered("record"));
        written > before
    };
    numbers.filter(is_written).collect()
}

/// The primary and the target are served, records are lost and counted while `full`, and go on when there is `room`. Gives the
/// numbers of those that are written.
#[track_caller]
fn go_through_a_full_disk(
    mirror: &Mirror,
    target: &Server,
    lost: &str,
    full: impl FnOnce(),
    room: impl FnOnce(),
) -> Vec<usize> {
    let before = send_one_by_one(mirror, 0..10, 2000);
    full();
    let meanwhile = send_one_by_one(mirror, 10..30, 2000);
    mirror.wait_log("records are lost: the recording cannot be written");
    room();
    let after = send_one_by_one(mirror, 30..40, 2000);
    assert!((before.len(), after.len()) == (10, 10) && meanwhile.len() < 20, "{meanwhile:?}");

    let metrics = mirror.metrics();
    assert_eq!(metrics.failed("record", lost) as usize, 20 - meanwhile.len(), "{metrics:#?}");
    assert_eq!((metrics.delivered("target"), target.requests().len()), (40, 40));
    [before, meanwhile, after].concat()
}

/// A limit on the size of files cuts writes short as a full disk does, and can be lifted while the process runs.
#[test]
fn writes_that_the_system_refuses_cost_records_only() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("traffic.avro");
    let config = recording(&upstream, &target, json!({ "path": path, "flush_bytes": "1B" }));
    // The limit's signal would end the process.
    let mirror = Mirror::start_through(r#"trap "" XFSZ; exec "$@""#, &config);
    let pid = libc::pid_t::try_from(mirror.pid()).expect("a process id");
    let limit = |bytes| {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: a system call on our own child; `limit` outlives it, and nothing is written back.
        let done = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) };
        assert_eq!(done, 0, "prlimit: {}", std::io::Error::last_os_error());
    };
    let room_for_some = || limit(path.metadata().expect("the recording").len() + 10_000);
    let kept = go_through_a_full_disk(&mirror, &target, "disk", room_for_some, || limit(libc::RLIM_INFINITY));
    assert_eq!(mirror.terminate().sink("record").reason("failed disk") as usize, 40 - kept.len());
    assert_eq!(numbers(&fastavro, &path), kept);
}

/// The real thing: a small disk that only this process sees, where one may be had.
#[test]
fn a_full_disk_costs_records_only() {
    let Some(fastavro) = Fastavro::find() else { return };
    let (upstream, target, folder) = (Server::ok(), Server::ok(), tempfile::tempdir().expect("a folder"));
    let mount = "mount -t tmpfs -o size=256k,mode=700 tmpfs";
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder to mount at");
    let in_private = |command: &str| {
        format!(r#"exec unshare --map-root-user --mount sh -c '{mount} "{}" && {command}' sh "$@""#, disk.display())
    };
    if !Command::new("sh").args(["-c", &in_private("true")]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a tmpfs of one's own cannot be mounted here");
        return;
    }
    let path = disk.join("traffic.avro");
    let config = recording(&upstream, &target, json!({ "path": path, "flush_bytes": "1B" }));
    let mirror = Mirror::start_through(&in_private(r#"exec "$@""#), &config);
    // The disk as the process sees it.
    let inside = PathBuf::from(format!("/proc/{}/root{}", mirror.pid(), disk.display()));
    let filler = inside.join("filler");
    let fill = || {
        let file = std::fs::File::create(&filler).expect("a file");
        let page = [0; 4096];
        let pages =
            (0..).take_while(|n| file.write_at(&page, n * 4096).is_ok_and(|written| written > 0)).count() as u64;
        file.set_len((pages - 4) * 4096).expect("room for some records");
    };
    let copy = folder.path().join("copy.avro");
    let kept =
        go_through_a_full_disk(&mirror, &target, "disk_full", fill, || std::fs::remove_file(&filler).expect("room"));
    // With the process its disk goes.
    std::fs::copy(inside.join("traffic.avro"), &copy).expect("the recording");
    assert_eq!(mirror.terminate().sink("record").reason("failed disk_full") as usize, 40 - kept.len());
    assert_eq!(numbers(&fastavro, &copy), kept);
}
