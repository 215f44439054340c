//! Bad input is refused: one message with every fault, its place, its value and what was expected; exit code 2; nothing bound,
//! nothing overwritten.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mirror_tests::{Config, Mirror, Server, Unprivileged, refusal, run_to_end};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder of our own")
}

/// What is said of a file with this text, by `run` and by `check` alike.
#[track_caller]
fn refused_file(text: impl AsRef<[u8]>) -> String {
    let folder = folder();
    std::fs::write(folder.path().join("mirror.yaml"), text).expect("a file of our own");
    let said = refusal(folder.path(), &["run", "mirror.yaml"]);
    assert_eq!(refusal(folder.path(), &["check", "mirror.yaml"]), said);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing was created");
    said
}

/// What is said of these flags, beside an address to listen on, an upstream and no admin endpoint.
#[track_caller]
fn refused_flags(flags: &[&str]) -> String {
    let folder = folder();
    let said =
        refusal(folder.path(), &[&["--listen=127.0.0.1:0", "--upstream=127.0.0.1:1", "--admin=off"], flags].concat());
    assert!(!said.contains("listening"), "nothing is bound: {said}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was created");
    said
}

/// That this is the one fault, told as `place: "value": expected …`.
#[track_caller]
fn assert_only(said: &str, place: &str, value: &str, expected: &str) {
    let (head, fault) = said.split_once('\n').unwrap_or_default();
    assert!(head.ends_with(": 1 fault"), "{said}");
    let start = format!("{place}: {value:?}: expected ");
    assert!(
        fault.starts_with(&start) && fault.contains(expected) && fault.lines().count() == 1,
        "{start}{expected}\n{said}"
    );
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let said = refused_file(
        r#"
        listen: ["127.0.0.1:0", ":eighty"]
        upstream: https://app:8080
        upstreem: ":8080"
        shadow:
          - target: http://host:99999
          - { target: ":8082", fraction: 101%, queue: 0, lagg: 1MiB }
        record: { path: none/traffic.avro, max_body: 1 apple }
        limits: { memory: 0 }
        admin: 300.0.0.1:9900
        log: { level: loud }
        drain_timeout: 10
        exit_after: 0s
        "#,
    );
    let starts = [
        r#"listen[1]: ":eighty": expected an address to listen on"#,
        r#"upstream: "https://app:8080": expected an address"#,
        r#"upstreem: ":8080": expected a known key; did you mean `upstream`?"#,
        r#"shadow[0].target: "http://host:99999": expected an address"#,
        r#"shadow[1].fraction: "101%": expected a fraction from 0% to 100%"#,
        r#"shadow[1].queue: "0": expected a whole number of at least 1"#,
        r#"shadow[1].lagg: "1MiB": expected a known key; did you mean `lag`?"#,
        r#"record.max_body: "1 apple": expected a size in bytes"#,
        r#"record.path: "none/traffic.avro": expected a path in a directory that exists"#,
        r#"limits.memory: "0": expected a size of at least 1 byte"#,
        r#"admin: "300.0.0.1:9900": expected off, or an address to listen on"#,
        r#"log.level: "loud": expected a level"#,
        r#"drain_timeout: "10": expected a time with its unit"#,
        r#"exit_after: "0s": expected a time longer than 0s"#,
    ];
    assert_eq!(said.lines().next(), Some("mirror.yaml: 14 faults"), "{said}");
    assert_eq!(said.lines().count(), 1 + starts.len(), "one line a fault: {said}");
    for start in starts {
        assert!(said.lines().any(|line| line.starts_with(start)), "{start}\n{said}");
    }
}

#[test]
fn all_faults_of_flags_are_told_at_once() {
    let said = refused_flags(&[
        "--shadow=:x",
        "--fraction=200%",
        "--memory=lots",
        "--set=limits.memry=1",
        "--drain-timeout=-1s",
    ]);
    assert_eq!(said.lines().next(), Some("mirror: 5 faults"), "{said}");
    for start in [
        r#"--shadow: ":x": expected"#,
        r#"--fraction: "200%": expected"#,
        r#"--memory: "lots": expected"#,
        r#"--set limits.memry: "1": expected"#,
        r#"--drain-timeout: "-1s": expected"#,
    ] {
        assert!(said.lines().any(|line| line.starts_with(start)), "{start}\n{said}");
    }
}

#[test]
fn unknown_flags_and_keys() {
    for flags in [&["--nonsense"][..], &["--lisen=:1"], &["stroll"], &["--listen"]] {
        refused_flags(flags);
    }
    let said = refused_file("{listen: '127.0.0.1:0', upstream: ':1', proxy: {theads: 2}}");
    assert_only(&said, "proxy.theads", "2", "did you mean `threads`?");
}

#[test]
fn contradictory_flags_and_keys() {
    // Each is good alone.
    for (flags, told) in [
        (&["--host=target"][..], "--host: expected `--shadow` beside it"),
        (&["--keep=1MiB"], "--keep: expected `--record` beside it"),
        (
            &["--record=a.avro", "--keep=1MiB"],
            "--keep: \"1MiB\": expected `rotate_size` or `rotate_interval` beside it",
        ),
        (
            &["--record=a.avro", "--rotate-size=2MiB", "--keep=1MiB"],
            "--keep: \"1MiB\": expected at least `rotate_size`",
        ),
        (&["--shadow=:9", "--shadow=127.0.0.1:9"], "--shadow: \"127.0.0.1:9\": expected a name other than"),
        (&["--shadow=:9", "--memory=1MiB"], "shadow[0].lag: \"4MiB\": expected at most"),
        (&["--shadow=:9", "--set=shadow.0.backoff={min: 2s, max: 1s}"], "expected a time of at least `min`"),
    ] {
        let said = refused_flags(flags);
        assert!(said.starts_with("mirror: 1 fault\n") && said.contains(told), "{told}\n{said}");
    }
    let said = refused_file("{listen: '127.0.0.1:0', upstream: ':1', upstream: ':2'}");
    assert_only(&said, "upstream", ":2", "this key only once");
}

#[test]
fn half_a_proxy() {
    let folder = folder();
    assert!(refusal(folder.path(), &["--listen=127.0.0.1:0"]).contains("upstream: expected the application's address"));
    assert!(refusal(folder.path(), &["--upstream=:1"]).contains("listen: expected an address to listen on"));
    assert!(refusal(folder.path(), &["--shadow=:1"]).contains("listen: expected an address to listen on"));
    assert!(refusal(folder.path(), &[]).contains("Usage"));
}

#[test]
fn bad_addresses() {
    for address in ["", ":", "80", ":65536", ":-1", "a b:80", "ftp://app:80", "app:80:80", "[::1:80"] {
        let said = refused_flags(&["--shadow", address]);
        assert_only(&said, "--shadow", address, "an address");
    }
    for address in ["", "80", "app:80", "http://127.0.0.1:80", ":http", "127.0.0.1"] {
        let said = refusal(folder().path(), &["--upstream=:1", "--listen", address]);
        assert_only(&said, "--listen", address, "an address to listen on");
    }
}

#[test]
fn fractions_that_are_none() {
    for fraction in ["101%", "100.1%", "-1%", "2", "1/0", "3/2", "some", "%", "NaN", "1e-3%%"] {
        assert_only(
            &refused_flags(&["--shadow=:9", &format!("--fraction={fraction}")]),
            "--fraction",
            fraction,
            "0% to 100%",
        );
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = folder();
    std::fs::write(folder.path().join("binary.yaml"), b"listen: \xff").expect("a file of our own");
    std::fs::write(folder.path().join("cut.yaml"), "listen: [").expect("a file of our own");
    std::fs::write(folder.path().join("list.yaml"), "- listen").expect("a file of our own");
    for (file, told) in [
        ("none.yaml", "expected a file that can be read"),
        (".", "expected a file that can be read"),
        ("/dev/zero", "expected a file of at most"),
        ("binary.yaml", "expected UTF-8 text"),
        ("cut.yaml", "expected plain YAML"),
        ("list.yaml", "expected a map"),
    ] {
        for command in ["run", "check"] {
            let said = refusal(folder.path(), &[command, file]);
            assert!(said.starts_with(&format!("{file}: 1 fault\n")) && said.contains(told), "{said}");
        }
    }
}

/// All that the outside world refuses is told at once, too.
#[test]
fn ports_in_use_and_a_foreign_file_at_once() {
    let taken = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = |taken: &TcpListener| taken.local_addr().expect("its address").to_string();
    let (listen, admin, folder) = (taken(), taken(), folder());
    let foreign = folder.path().join("notes.avro");
    std::fs::write(&foreign, "someone's notes").expect("a file of someone's");
    let (listen, admin) = (address(&listen), address(&admin));
    let arguments = [
        "--listen=127.0.0.1:0",
        "--listen",
        &listen,
        "--upstream=127.0.0.1:1",
        "--admin",
        &admin,
        "--record=notes.avro",
    ];
    let said = refusal(folder.path(), &arguments);
    assert_eq!(said.lines().next(), Some("mirror: 3 faults"), "{said}");
    for start in [
        format!("listen: {listen:?}: expected"),
        format!("admin: {admin:?}: expected"),
        r#"record: "notes.avro": expected"#.into(),
    ] {
        assert!(said.lines().any(|line| line.starts_with(&start)), "{start}\n{said}");
    }
    assert_eq!(std::fs::read(&foreign).expect("it is still there"), b"someone's notes");
    // And where only the port is at fault, no recording is begun.
    let arguments = ["--listen", &listen, "--upstream=127.0.0.1:1", "--admin=off", "--record=new.avro"];
    assert!(refusal(folder.path(), &arguments).contains("in use"));
    assert!(!folder.path().join("new.avro").exists());
}

#[test]
fn paths_that_cannot_be_recorded_to() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("folder")).expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("a file");
    for (path, told) in [
        ("folder", "a directory's"),
        ("folder/", "a directory's"),
        ("/dev/null", "a regular file's path"),
        ("none/traffic.avro", "a directory that exists"),
        ("file/traffic.avro", "is a directory"),
        ("traffic-%Q.avro", "strftime"),
        ("%Y/traffic.avro", "name alone"),
        ("", "a file's path"),
        ("/proc/traffic.avro", ""),
    ] {
        let arguments = ["--listen=127.0.0.1:0", "--upstream=127.0.0.1:1", "--admin=off", "--record", path];
        let said = refusal(folder.path(), &arguments);
        assert!(said.contains(&format!("{path:?}: expected")) || said.contains(&format!("{path}: ")), "{said}");
        assert!(said.starts_with("mirror: 1 fault\n") && said.contains(told), "{path}: {said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing was created");
}

#[test]
fn paths_that_one_may_not_record_to() {
    let Some(unprivileged) = Unprivileged::find() else { return };
    let folder = folder();
    let set = |name: &str, mode| {
        std::fs::set_permissions(folder.path().join(name), Permissions::from_mode(mode)).expect("a file of our own");
    };
    for name in ["read-only", "closed"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    for name in ["theirs.avro", "read-only/open.avro"] {
        std::fs::write(folder.path().join(name), "").expect("a file");
    }
    for (name, mode) in
        [("theirs.avro", 0o444), ("read-only/open.avro", 0o666), ("read-only", 0o555), ("closed", 0), ("", 0o755)]
    {
        set(name, mode);
    }
    for (path, place, expected) in [
        ("read-only/traffic.avro", "--record", "a path in a directory that can be written to (read-only: "),
        ("read-only/traffic-%Y.avro", "--record", "a path in a directory that can be written to (read-only: "),
        ("closed/traffic.avro", "--record", "a path in a directory that can be written to (closed: "),
        ("theirs.avro", "--record", "a file that can be appended to ("),
        // It could be appended to, but none could be begun beside it.
        ("read-only/open.avro", "record", "a path that can be recorded to (read-only/open.avro: "),
    ] {
        let arguments = ["--listen=127.0.0.1:0", "--upstream=127.0.0.1:1", "--admin=127.0.0.1:0"];
        let record = ["--record", path, "--rotate-size=1MiB"];
        let said = unprivileged.refusal(folder.path(), &[&arguments[..], &record].concat());
        assert_only(&said, place, path, expected);
        assert!(said.contains("Permission denied"), "{said}");
        assert!(!said.contains("listening"), "nothing is bound: {said}");
    }
    // So that they can be looked into, and removed.
    for (name, files) in [("closed", 0), ("read-only", 1)] {
        set(name, 0o700);
        assert_eq!(std::fs::read_dir(folder.path().join(name)).expect("a folder").count(), files, "none was created");
    }
}

/// Files that are there already and are no recordings of ours, or not any more.
#[test]
fn what_is_no_recording_stays_as_it_is() {
    let (upstream, folder) = (Server::ok(), folder());
    let path = folder.path().join("traffic.avro");
    let mirror = Mirror::start(Config::upstream(upstream.address()).set("record", path.to_str()));
    assert_eq!(mirror.connect().exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").status(), 200);
    mirror.terminate();
    let whole = std::fs::read(&path).expect("the recording");

    let edited = |from: &[u8], to: &[u8]| {
        let at = whole.windows(from.len()).position(|window| window == from).expect("it is in the recording");
        [&whole[..at], to, &whole[at + from.len()..]].concat()
    };
    for (what, bytes) in [
        ("text", b"dear diary\n".to_vec()),
        ("another magic", edited(b"Obj\x01", b"Obj\x02")),
        ("another schema", edited(b"body_length", b"body_lengtt")),
        ("a schema that is no JSON", edited(b"{", b"<")),
        ("another codec", edited(b"zstandard", b"zstandarc")),
        ("zeroes", vec![0; 100_000]),
        ("a part from the middle", whole[100..].to_vec()),
    ] {
        std::fs::write(&path, &bytes).expect("a file of our own");
        assert_refuses_to_record(folder.path(), what);
        assert!(std::fs::read(&path).expect("it is still there") == bytes, "{what} was changed");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "and nothing is beside it");
}

#[track_caller]
fn assert_refuses_to_record(folder: &Path, what: &str) {
    let arguments = ["--listen=127.0.0.1:0", "--upstream=127.0.0.1:1", "--admin=off", "--record=traffic.avro"];
    let said = refusal(folder, &arguments);
    let told = r#"record: "traffic.avro": expected a path that can be recorded to ("#;
    assert!(said.contains(told) && said.contains("left as it is"), "{what}: {said}");
}

#[test]
fn loops() {
    let folder = folder();
    for (listen, other) in [
        (":8080", ":8080"),
        (":8080", "localhost:8080"),
        (":8080", "http://[::1]:8080/prefix"),
        ("127.0.0.1:8080", ":8080"),
        ("[::1]:8080", "[::1]:8080"),
    ] {
        let said = refusal(folder.path(), &["--listen", listen, "--upstream=:1", "--shadow", other]);
        assert!(said.contains("--shadow: ") && said.contains("this is a loop"), "{said}");
        let said = refusal(folder.path(), &["--listen", listen, "--upstream", other.trim_end_matches("/prefix")]);
        assert!(said.contains("--upstream: ") && said.contains("this is a loop"), "{said}");
    }
}

/// A fault must not put a secret into a log.
#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let said = refused_flags(&["--shadow=http://me:hunter2@app:80"]);
    assert!(said.contains("--shadow: ") && said.contains("without a user or password"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// What is asked for only to be looked at is printed, whatever this host says to it; it is nothing to run.
#[test]
fn what_is_only_printed_binds_and_creates_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (listen, folder) = (taken.local_addr().expect("its address").to_string(), folder());
    let output =
        run_to_end(folder.path(), &["--listen", &listen, "--upstream=:1", "--record=traffic.avro", "--print-config"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was created");
}
