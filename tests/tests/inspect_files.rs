//! Which files are read: globs, several as one, the standard input, damaged ones, and one that is written meanwhile.

use std::io::Write;

use mirror_tests::{Config, Folder, Mirror, Server, Value, json};

/// An exchange that began at this second, which its path says.
fn at(second: u32) -> Value {
    json!({
        "id": format!("{second:032x}"),
        "start": format!("2026-11-24T09:{:02}:{:02}Z", second / 60, second % 60),
        "request": { "target": format!("/{second}") },
        "response": { "status": 200, "body": "x".repeat(200) },
        "end_micros": 1,
    })
}

fn seconds(seconds: &[u32]) -> Vec<Value> {
    seconds.iter().copied().map(at).collect()
}

/// The seconds in a table.
#[track_caller]
fn listed(table: &str) -> Vec<u32> {
    let last = |line: &str| line.rsplit('/').next().and_then(|second| second.parse().ok());
    table.lines().map(|line| last(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn globs_and_several_files_are_merged_by_time() {
    let folder = Folder::new();
    folder.record("t.10.avro", &seconds(&[1, 4]));
    folder.record("t.2.jsonl", &seconds(&[2, 6]));
    folder.record("other.gor", &seconds(&[3, 5]));
    assert_eq!(listed(&folder.run(&["inspect", "t.*", "other.gor"]).ok()), [1, 2, 3, 4, 5, 6]);
    assert_eq!(listed(&folder.run(&["inspect", "t.2.jsonl"]).ok()), [2, 6]);
}

#[test]
fn the_standard_input_is_read_whatever_it_is() {
    let folder = Folder::new();
    folder.record("a.avro", &seconds(&[1, 2]));
    for format in ["avro", "gor", "har", "jsonl", "gor.gz", "avro.gz", "har.gz"] {
        let line = format!("mirror convert a.avro - --format {format} 2>/dev/null | mirror inspect -");
        assert_eq!(listed(&folder.shell(&line).ok()), [1, 2], "{format}");
    }
    folder.record("b.avro", &seconds(&[0, 3]));
    assert_eq!(listed(&folder.shell("mirror inspect b.avro - < a.avro").ok()), [0, 1, 2, 3]);
    assert_eq!(listed(&folder.shell("mirror inspect - --input-format avro < a.avro").ok()), [1, 2]);
    let ran = folder.shell("echo hello, world | mirror inspect -");
    assert_eq!(
        (ran.code, &*ran.stderr),
        (Some(2), "mirror inspect: 1 fault\n-: found \"hello, w\", expected a recording\n")
    );
}

#[test]
fn who_reads_no_further_is_no_error() {
    let folder = Folder::new();
    folder.record("a.avro", &seconds(&(0..3000).collect::<Vec<_>>()));
    let ran = folder.shell("mirror inspect a.avro | head -n 1; exit ${PIPESTATUS[0]}");
    assert_eq!((ran.code, &*ran.stderr, listed(&ran.stdout)), (Some(0), "", vec![0]));
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_read() {
    let folder = Folder::new();
    folder.record("whole.avro", &seconds(&[1, 2]));
    folder.record("torn.avro", &seconds(&[3]));
    let bytes = folder.read("torn.avro");
    folder.write("torn.avro", &bytes[..bytes.len() - 1]);
    let ran = folder.run(&["inspect", "torn.avro", "whole.avro"]);
    assert_eq!((ran.code, listed(&ran.stdout)), (Some(1), vec![1, 2]));
    let header = bytes.len()
        - bytes.windows(16).rev().skip(1).position(|end| end == &bytes[bytes.len() - 16..]).expect("a marker")
        - 1;
    let torn = format!("torn.avro: a torn tail of {} bytes", bytes.len() - 1 - header);
    assert!(ran.stderr.contains(&torn) && ran.stderr.contains(&format!("at byte {header}")), "{torn}: {}", ran.stderr);

    // Only begun, as a crash or the moment leaves it.
    folder.write("begun.avro", &bytes[..100]);
    folder.write("empty.avro", "");
    let ran = folder.run(&["inspect", "begun.avro", "empty.avro", "whole.avro"]);
    assert_eq!((ran.code, listed(&ran.stdout)), (Some(1), vec![1, 2]));
    assert!(ran.stderr.contains("begun.avro: a torn tail of 100 bytes"), "{}", ran.stderr);
}

#[test]
fn all_that_is_no_recording_is_refused_at_once() {
    let folder = Folder::new();
    folder.record("whole.avro", &seconds(&[1]));
    folder.write("t.txt", "PK\x03\x04 and so on");
    folder.write("foreign.avro", "PK\x03\x04 and so on");
    std::fs::create_dir(folder.path("folder")).expect("a folder of our own");
    let ran = folder.run(&[
        "inspect",
        "whole.avro",
        "none-*.avro",
        "folder",
        "t.txt",
        "none.avro",
        "foreign.avro",
        "a[.avro",
    ]);
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    let told: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(told[0], "mirror inspect: 6 faults", "{}", ran.stderr);
    for fault in [
        "none-*.avro: found no file of that name, expected at least one",
        "folder: found a folder, expected files: folder/*.avro",
        "found t.txt, expected a name that ends in one of .avro",
        "none.avro: cannot be opened: No such file or directory",
        "foreign.avro: at byte 0: found \"PK\\x03\\x04",
        "a[.avro: found a glob that cannot be read",
    ] {
        assert!(told.iter().any(|line| line.starts_with(fault)), "{fault:?} is not in\n{}", ran.stderr);
    }
}

#[test]
fn a_recording_is_followed_while_it_is_written() {
    for format in ["avro", "jsonl", "jsonl.gz"] {
        followed(format);
    }
}

#[track_caller]
fn followed(format: &str) {
    let folder = Folder::new();
    let upstream = Server::ok();
    let path = format!("t.{format}");
    let record = json!({ "path": folder.path(&path), "flush_interval": "20ms" });
    let mirror = Mirror::start(Config::upstream(upstream.address()).set("record", record));
    let mut client = mirror.connect();
    let get = |n: u32| format!("GET /{n} HTTP/1.1\r\nHost: app\r\n\r\n");
    client.exchange(&get(1));
    mirror.wait_delivered("record", 1);
    let glob = folder.path(&format!("t*.{format}"));
    let followed = folder.start(&["inspect".as_ref(), "--follow".as_ref(), glob.as_os_str()]);
    assert_eq!(listed(&followed.wait_lines(1).join("\n")), [1]);
    client.exchange(&get(2));
    client.exchange(&get(3));
    assert_eq!(listed(&followed.wait_lines(3).join("\n")), [1, 2, 3]);
    // The writer is not in its way, nor it in the writer's; and then comes another file.
    mirror.terminate();
    folder.record(&format!("t.1.{format}"), &seconds(&[4]));
    assert_eq!(listed(&followed.wait_lines(4).join("\n")), [1, 2, 3, 4]);
    assert_eq!(followed.interrupt(), Some(0));

    let mut two = folder.start(&["inspect", "-f", &path, "-n", "2"]);
    assert_eq!((two.wait(), two.wait_lines(2).len()), (Some(0), 2));
    for (files, fault) in [
        (&["t.avro", "-"][..], r#"--follow: "-": expected the standard input alone, or files"#),
        (
            &["t.har.gz"],
            r#"--follow: "t.har.gz": expected a recording that is written from its front to its end; a .har is not"#,
        ),
        (&["t.pcap:80"], r#"--follow: "t.pcap:80": expected a recording; a saved capture is not"#),
    ] {
        let ran = folder.run(&[&["inspect", "--follow"], files].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains(fault), "{ran:?}");
    }
}

#[test]
fn what_comes_through_a_pipe_is_shown_as_it_comes() {
    let folder = Folder::new();
    let made = folder.shell("mkfifo live");
    assert_eq!(made.code, Some(0), "{made:?}");
    let shown = folder.start_in_shell("mirror inspect --follow - < live");
    let mut live = std::fs::File::options().write(true).open(folder.path("live")).expect("a pipe of our own");
    for second in 1..=3 {
        writeln!(live, "{}", at(second)).expect("it is read");
        assert_eq!(listed(&shown.wait_lines(second as usize).join("\n")), (1..=second).collect::<Vec<_>>());
    }
    drop(live);
    let mut shown = shown;
    assert_eq!(shown.wait(), Some(0));
    // A name that says nothing.
    folder.record("a.gor", &seconds(&[1, 2]));
    assert_eq!(listed(&folder.shell("mirror inspect <(cat a.gor)").ok()), [1, 2]);
    assert_eq!(listed(&folder.shell("cp a.gor requests; mirror inspect requests").ok()), [1, 2]);
}

/// Of a file that is replaced, as by one who moves it out of the way, the new one is read on.
#[test]
fn another_file_of_the_same_name_is_followed() {
    let folder = Folder::new();
    folder.record("t.jsonl", &seconds(&[1]));
    let followed = folder.start(&["inspect", "--follow", "t.jsonl"]);
    followed.wait_lines(1);
    std::fs::rename(folder.path("t.jsonl"), folder.path("old.jsonl")).expect("it is there");
    folder.record("t.jsonl", &seconds(&[2]));
    assert_eq!(listed(&followed.wait_lines(2).join("\n")), [1, 2]);
    assert_eq!(followed.interrupt(), Some(0));
}
