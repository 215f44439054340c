//! GoReplay's several outputs: each file, and stdout, is a recording of its own.

use mirror_tests::{Folder, Ran, refusal};

/// What GoReplay ends a message with.
const SEPARATOR: &str = "\n🐵🙈🙉\n";

/// So many requests, a tenth of a second between them.
fn requests(count: u64) -> String {
    let message = |n| {
        let time = 1_795_356_240_850_091_280_u64 + n * 100_000_000;
        format!("1 824e46b17f0000016f78{n:04x} {time} 0\nGET /{n} HTTP/1.1\r\nHost: app\r\n\r\n{SEPARATOR}")
    };
    (0..count).map(message).collect()
}

fn gor(folder: &Folder, flags: &[&str]) -> Ran {
    folder.run(&[&["gor", "--input-file", "requests.gor"], flags, &["--set=admin.address=off"]].concat())
}

fn count(recording: &str) -> usize {
    recording.matches(SEPARATOR).count()
}

#[test]
fn each_output_has_its_own_limit() {
    let folder = Folder::new();
    folder.write("requests.gor", requests(6));
    let ran = gor(&folder, &["--output-file", "all.gor", "--output-file", "some.gor|1", "--output-stdout"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let file = |name: &str| String::from_utf8(folder.read(name)).expect("text");
    assert_eq!((count(&file("all_0.gor")), count(&file("some_0.gor"))), (6, 1));
    assert_eq!(count(&ran.stdout), 6, "{ran:#?}");
    // The sums give way to the recording on stdout.
    assert!(ran.stderr.contains("record-2") && ran.stderr.contains("record-3"), "{ran:#?}");
}

#[test]
fn what_is_said_of_files_is_said_of_each() {
    let folder = Folder::new();
    let lines = [
        "--output-file",
        "a.gor",
        "--output-file",
        "b.gor.gz|10%",
        "--output-file-append",
        "--output-file-flush-interval",
        "2s",
    ];
    let shown = folder.run(&[&["gor", "--input-raw", ":80", "--print-config"], &lines[..]].concat()).ok();
    for line in ["path: a.gor", "path: b.gor.gz", "fraction: 10%", "name: record-2"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(shown.matches("flush_interval: 2s").count(), 2, "{shown}");
    assert_eq!(shown.matches("responses: false").count(), 2, "{shown}");
}

#[test]
fn one_file_is_not_written_twice() {
    let folder = Folder::new();
    folder.write("requests.gor", requests(1));
    let here = folder.path("");
    let said =
        refusal(&here, &["gor", "--input-file", "requests.gor", "--output-file", "a.gor", "--output-file", "a.gor|5%"]);
    assert!(
        said.contains("--output-file: \"a_0.gor\": expected a file that no other recording is written to"),
        "{said}"
    );
    // The others are looked at all the same.
    let said = refusal(
        &here,
        &["gor", "--input-file", "requests.gor", "--output-file", "%r.gor", "--output-file", "no/b.gor"],
    );
    assert!(said.starts_with("mirror gor: 2 faults\n") && said.contains("%r") && said.contains("no/b_0.gor"), "{said}");
}
