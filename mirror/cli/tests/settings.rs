//! Flags and files make the same settings, and bad ones are refused all at once, before anything is done.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mirror::config::Config;

fn mirror(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mirror")).args(args).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What is said on stderr by a run that was refused.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn file(dir: &Path, name: &str, yaml: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, yaml).unwrap();
    path
}

#[test]
fn print_config_without_settings_prints_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(stdout(&mirror(dir.path(), &["--print-config"])), Config::default().to_yaml());
}

#[test]
fn every_flag_sets_what_its_key_sets() {
    let dir = tempfile::tempdir().unwrap();
    let flags = [
        "--listen=:80",
        "--listen=[::1]:81",
        "--upstream=app:8080",
        "--capture=eth0:80,8080",
        "--capture=vxlan::4789",
        "--capture-buffer=8MiB",
        "--forwarded",
        "--proxy-threads=2",
        "--shadow=:8082",
        "--shadow=http://10.0.0.7/p",
        "--fraction=25%",
        "--host=target",
        "--marker=x-a: b",
        "--shadow-timeout=1s",
        "--shadow-concurrency=3",
        "--shadow-queue=4",
        "--record=a.avro",
        "--max-body=1MiB",
        "--rotate-size=2MiB",
        "--rotate-interval=1h",
        "--keep=8MiB",
        "--memory=64MiB",
        "--engine-threads=2",
        "--admin=:9901",
        "--admin-control",
        "--drain-timeout=5s",
        "--exit-after=1m",
        "--log-format=json",
        "--log-level=warn,mirror=debug",
        "--set=capture.0.promiscuous=true",
        "--set=capture.0.bpf=not host 10.0.0.9",
        "--set=shadow.1.lag=2MiB",
        "--set=shadow[0].name=first",
        "--set=shadow.0.backoff={after: 1, min: 1s}",
        "--print-config",
    ];
    let by_flags = stdout(&mirror(dir.path(), &flags));
    let yaml = "
        listen: [':80', '[::1]:81']
        upstream: app:8080
        capture:
          - {interface: eth0, ports: [80, 8080], buffer: 8MiB, promiscuous: true, bpf: not host 10.0.0.9}
          - {vxlan: ':4789', buffer: 8MiB}
        shadow:
          - {target: ':8082', name: first, host: target, timeout: 1s, concurrency: 3, queue: 4, backoff: {after: 1, min: 1s}}
          - {target: 'http://10.0.0.7/p', host: target, timeout: 1s, concurrency: 3, queue: 4, lag: 2MiB}
        record: {path: a.avro, max_body: 1MiB, rotate_size: 2MiB, rotate_interval: 1h, keep: 8MiB}
        fraction: 25%
        marker: 'x-a: b'
        proxy: {forwarded: true, threads: 2}
        engine: {threads: 2}
        limits: {memory: 64MiB}
        admin: {address: ':9901', control: true}
        log: {format: json, level: 'warn,mirror=debug'}
        drain_timeout: 5s
        exit_after: 1m";
    assert_eq!(by_flags, Config::from_yaml(yaml).unwrap().to_yaml());
    // And what was printed is a file that makes the same.
    file(dir.path(), "printed.yaml", &by_flags);
    assert_eq!(stdout(&mirror(dir.path(), &["run", "printed.yaml", "--print-config"])), by_flags);
}

#[test]
fn flags_go_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    file(
        dir.path(),
        "a.yaml",
        "listen: ':80'\nupstream: ':8080'\nshadow: [':8082', ':8083']\nrecord: a.avro\nfraction: 10%",
    );
    let args =
        ["run", "a.yaml", "--print-config", "--shadow=:8084", "--record=b.avro", "--max-body=1kB", "--set=fraction="];
    let config = Config::from_yaml(&stdout(&mirror(dir.path(), &args))).unwrap();
    assert_eq!(config.shadow.iter().map(|shadow| shadow.target.port()).collect::<Vec<_>>(), [8084]);
    assert_eq!(config.record[0].path, Path::new("b.avro"));
    assert_eq!(config.fraction.to_string(), "100%", "an empty value is none");
    assert_eq!(config.listen[0].to_string(), ":80");
}

#[test]
fn all_that_is_wrong_with_flags_is_told_at_once_and_nothing_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--listen=:0",
        "--listen=app:80",
        "--upstream=https://app",
        "--shadow=:8082",
        "--shadow=:8082",
        "--shadow-queue=many",
        "--fraction=150%",
        "--record=none/a.avro",
        "--keep=-1",
        "--memory=1 megabyte",
        "--set=shadow.5.lag=1",
        "--set=nonsense",
        "--set=limits.memry=1MiB",
        "--exit-after=30",
        "--log-level=loud",
    ];
    let said = refused(&mirror(dir.path(), &args));
    let places: Vec<&str> = said.lines().skip(1).map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(said.lines().next(), Some("mirror: 14 faults"), "{said}");
    for place in [
        "--listen",
        "--upstream",
        "--shadow-queue",
        "--fraction",
        "--record",
        "--keep",
        "--memory",
        "--set shadow.5.lag",
        "--set",
        "--set limits.memry",
        "--exit-after",
        "--log-level",
        "--shadow",
    ] {
        assert!(places.contains(&place), "{place}\n{said}");
    }
    assert!(said.contains(r#"--fraction: "150%": expected a fraction from 0% to 100%"#), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was created");
}

#[test]
fn flags_for_what_is_not_there_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(&mirror(dir.path(), &["--listen=:0", "--upstream=:80", "--host=target", "--keep=1MiB"]));
    assert!(
        said.contains("--host: expected `--shadow` beside it") && said.contains("--keep: expected `--record`"),
        "{said}"
    );
}

#[test]
fn captures_by_flag() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "a.yaml", "{capture: [eth0:80, 'vxlan::4789'], shadow: ':8082'}");
    let flags = [
        "run",
        "a.yaml",
        "--capture=eth1:81",
        "--capture=any:82",
        "--bpf=not port 22",
        "--set=capture.1.snaplen=64KiB",
    ];
    let printed = stdout(&mirror(dir.path(), &[&flags[..], &["--print-config"]].concat()));
    let expected = "{capture: [{interface: eth1, ports: 81, bpf: not port 22}, \
                    {interface: any, ports: 82, bpf: not port 22, snaplen: 64KiB}], shadow: ':8082'}";
    assert_eq!(printed, Config::from_yaml(expected).unwrap().to_yaml());
    // A key is set in what a file says by a word.
    let printed = stdout(&mirror(dir.path(), &["run", "a.yaml", "--set=capture.1.ports=[80]", "--print-config"]));
    let expected = "{capture: [eth0:80, 'vxlan::4789:80'], shadow: ':8082'}";
    assert_eq!(printed, Config::from_yaml(expected).unwrap().to_yaml());
}

#[test]
fn captures_by_flag_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    for (args, said) in [
        (&["--capture=:0", "--bpf=tcp"][..], "mirror: 1 fault\n--capture: \":0\": expected ports from 1 to 65535"),
        (&["--capture=:70000"], "--capture: \":70000\": expected ports from 1 to 65535"),
        (&["--capture=eth0"], "--capture: \"eth0\": expected what to capture"),
        (&["--capture=none.pcap"], "--capture: \"none.pcap\": expected a saved capture that can be read"),
        (&["--capture=vxlan::4789", "--bpf=tcp"], "--bpf: \"tcp\": expected no filter for VXLAN"),
        (&["--capture=:80", "--promiscuous"], "--promiscuous: \"true\": expected one interface's name"),
        (&["--capture=:80", "--capture-buffer=1kB"], "--capture-buffer: \"1kB\": expected a size from 512KiB"),
        (&["--listen=:0", "--upstream=:1", "--bpf=tcp"], "--bpf: expected `--capture` beside it"),
        (&["--capture=:80", "--capture=lo:8082"], "expected another address than capture[1] listens to (lo:8082)"),
        (&["--capture=:80", "--set=capture.0.file=a.pcap"], "expected `file` or `interface` alone"),
    ] {
        let said_ = refused(&mirror(dir.path(), &[args, &["--shadow=:8082"]].concat()));
        assert!(said_.contains(said), "{args:?}: {said_}");
    }
    let said = refused(&mirror(dir.path(), &["--capture=:80"]));
    assert!(said.contains("shadow: expected a target, or something to `record` to"), "{said}");
}

#[test]
fn a_loop_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(&mirror(dir.path(), &["--listen=:8080", "--upstream=:8081", "--shadow=localhost:8080"]));
    assert!(said.contains("--shadow: \"localhost:8080\": expected another address than :8080"), "{said}");
}

#[test]
fn usage_errors_of_clap_have_the_same_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--no-such-flag"][..], &["--listen"], &["walk"], &["--listen=:80", "check", "a.yaml"], &[]] {
        refused(&mirror(dir.path(), args));
    }
}

#[test]
fn check_says_ok_or_all_faults() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "good.yaml", "{listen: ':80', upstream: ':8080', shadow: ':8082', fraction: 1/4}");
    let said = stdout(&mirror(dir.path(), &["check", "good.yaml"]));
    assert_eq!(said, "good.yaml: ok\nlistens on :80; before 127.0.0.1:8080; shadows to 127.0.0.1:8082 (25%)\n");

    file(dir.path(), "listener.yaml", "{capture: [':8080', 'vxlan::4789'], record: a.avro}");
    let said = stdout(&mirror(dir.path(), &["check", "listener.yaml"]));
    let expected = "captures any:8080, vxlan::4789; shadows to no target; records to a.avro (100%)";
    assert_eq!(said, format!("listener.yaml: ok\n{expected}\n"));

    file(dir.path(), "bad.yaml", "{lissen: ':80', fraction: 101%}");
    let said = refused(&mirror(dir.path(), &["check", "bad.yaml"]));
    let expected = "bad.yaml: 2 faults\n\
                    lissen: \":80\": expected a known key; did you mean `listen`?\n\
                    fraction: \"101%\": expected a fraction from 0% to 100%, as in 25%, 12.5%, 1/1000 or 0.25\n";
    assert_eq!(said, expected);
    refused(&mirror(dir.path(), &["run", "bad.yaml"]));

    for missing in ["none.yaml", "."] {
        let said = refused(&mirror(dir.path(), &["check", missing]));
        assert!(said.contains("expected a file that can be read"), "{said}");
    }
}
