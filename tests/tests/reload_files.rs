//! The file that is read again: what has it read, what it may have in it, and what is said where it will not do.

use std::os::unix::fs::symlink;
use std::path::Path;

use mirror_tests::{Config, Mirror, Server, Value, WITHIN, json, run_to_end, wait_for};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder of our own")
}

/// With a fraction, by which one reload is told from another.
fn settings(upstream: &Server, target: &Server, fraction: &str) -> Config {
    Config::upstream(upstream.address()).shadow("target", target.address()).set("fraction", fraction)
}

/// Waits until it runs with this fraction.
#[track_caller]
fn wait_fraction(mirror: &Mirror, fraction: &str) {
    wait_for(fraction, WITHIN, || {
        let yaml = mirror.admin("/config").text();
        yaml.contains(&format!("\nfraction: {fraction}\n")).then_some(())
    });
}

fn logged(mirror: &Mirror, message: &str, key: &str) -> Vec<Value> {
    mirror.log().into_iter().filter(|line| line["message"] == message).map(|line| line[key].clone()).collect()
}

/// Waits until so many lines are in the log, which is written by a thread of its own, and asserts what all of them say.
#[track_caller]
fn assert_logged(mirror: &Mirror, message: &str, key: &str, expected: &[&str]) {
    let lines =
        wait_for(message, WITHIN, || Some(logged(mirror, message, key)).filter(|it| it.len() >= expected.len()));
    assert_eq!(lines, expected);
}

#[test]
fn on_sighup() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::start(settings(&upstream, &target, "100%"));
    mirror.write(&settings(&upstream, &target, "1%"));
    mirror.signal(libc::SIGHUP);
    wait_fraction(&mirror, "1%");
    assert_eq!(mirror.wait_log("reloaded")["by"], "SIGHUP");
    assert_logged(&mirror, "changed", "what", &["fraction 1%, in place of 100%"]);
    mirror.terminate();
}

#[test]
fn on_the_command_which_says_what_came_of_it() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::start(settings(&upstream, &target, "100%"));
    let file = mirror.file().display().to_string();
    let said = |what: &str| {
        let output = mirror.reload_by_command();
        let text = |bytes| String::from_utf8(bytes).expect("text").replace(&file, "FILE");
        let (stdout, stderr, code) = (text(output.stdout), text(output.stderr), output.status.code());
        match code {
            Some(0) => assert_eq!((stdout.as_str(), stderr.as_str()), (what, "")),
            _ => assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(2), "", what)),
        }
    };
    said("FILE: reloaded; nothing is different\n");
    mirror.write(&settings(&upstream, &target, "1%").set("exit_after", "1h"));
    said("FILE: reloaded\nshadow target: fraction 1%, in place of 100%\nexit_after: changes at the next start\n");
    mirror.write(&settings(&upstream, &target, "101%"));
    let fault = "fraction: \"101%\": expected a fraction from 0% to 100%, as in 25%, 12.5%, 1/1000 or 0.25";
    said(&format!("FILE: 1 fault\n{fault}\n"));

    let admin = mirror.admin_address().to_string();
    mirror.terminate();
    let output = run_to_end(folder().path(), &["reload", "--admin", &admin]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("mirror: {admin}: no mirror's admin endpoint that can be asked: ");
    assert!(output.status.code() == Some(1) && error.starts_with(&expected), "{output:?}");
}

#[test]
fn when_the_file_says_something_else() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let mirror = Mirror::start_beside(&settings(&upstream, &target, "100%"), &["--watch"]);
    mirror.wait_log("watching");
    mirror.write(&settings(&upstream, &target, "1%"));
    wait_fraction(&mirror, "1%");
    // As editors do it.
    let beside = mirror.file().with_extension("new");
    std::fs::write(&beside, settings(&upstream, &target, "2%").text()).expect("a file of our own");
    std::fs::rename(&beside, mirror.file()).expect("a file of our own");
    wait_fraction(&mirror, "2%");
    std::fs::remove_file(mirror.file()).expect("a file of our own");
    let fault = mirror.wait_log("not reloaded")["fault"].clone();
    assert!(fault.as_str().is_some_and(|fault| fault.contains("expected a file that can be read")), "{fault}");
    mirror.write(&settings(&upstream, &target, "3%"));
    wait_fraction(&mirror, "3%");
    // Each was read once.
    assert_logged(&mirror, "reloaded", "by", &["watch"; 3]);
    assert_logged(&mirror, "not reloaded", "by", &["watch"]);
    mirror.terminate();
}

/// A folder as Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is a link to the folder of this version.
fn mount(folder: &Path, version: &str, config: &Config) {
    let data = folder.join(version);
    std::fs::create_dir(&data).expect("a folder of our own");
    std::fs::write(data.join("mirror.yaml"), config.text()).expect("a file of our own");
    symlink(version, folder.join("..data_tmp")).expect("a link of our own");
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("a link of our own");
}

#[test]
fn when_a_config_map_is_another() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    mount(folder.path(), "..1", &settings(&upstream, &target, "100%"));
    let file = folder.path().join("mirror.yaml");
    symlink("..data/mirror.yaml", &file).expect("a link of our own");
    let mirror = Mirror::start_with(&["run", "--watch", file.to_str().expect("UTF-8")]);
    mount(folder.path(), "..2", &settings(&upstream, &target, "1%"));
    std::fs::remove_dir_all(folder.path().join("..1")).expect("a folder of our own");
    wait_fraction(&mirror, "1%");
    // The same text in a new version is nothing new.
    mount(folder.path(), "..3", &settings(&upstream, &target, "1%"));
    mount(folder.path(), "..4", &settings(&upstream, &target, "2%"));
    wait_fraction(&mirror, "2%");
    assert_logged(&mirror, "reloaded", "by", &["watch"; 2]);
    mirror.terminate();
}

#[test]
fn flags_go_over_it_as_at_the_start() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let flags = ["--fraction=5%", "--set=shadow.0.retries=1"];
    let mirror = Mirror::start_beside(&settings(&upstream, &target, "100%"), &flags);
    let said = mirror.reload(&settings(&upstream, &target, "1%").shadow("other", target.address()));
    assert!(said.ends_with("reloaded\nshadow other: added\n"), "{said}");
    wait_fraction(&mirror, "5%");
    // A fault of a flag is told with the flag, as nothing in the file is to blame for it.
    let said = mirror.refuse(&Config::upstream(upstream.address()));
    assert!(said.contains("\n--set shadow.0.retries: expected"), "{said}");
    mirror.terminate();
}

#[test]
fn a_bad_one_changes_nothing_and_every_fault_is_told() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let config = settings(&upstream, &target, "100%");
    let mirror = Mirror::start(config.clone());
    let served = mirror.admin("/config").text();
    let bad = settings(&upstream, &target, "1%")
        .shadow("record", target.address())
        .set("record", folder.path().join("none/traffic.avro").display().to_string())
        .set("lisen", ":80");
    let said = mirror.refuse(&bad);
    let checked = run_to_end(folder.path(), &["check", mirror.file().to_str().expect("UTF-8")]);
    assert_eq!(said, String::from_utf8_lossy(&checked.stderr), "as `mirror check` says it");
    let faults: Vec<&str> = said.lines().skip(1).collect();
    assert_eq!(faults.len(), 3, "{said}");
    assert_logged(&mirror, "not reloaded", "fault", &faults);

    let told = mirror.admin("/config").text();
    let (comment, rest): (Vec<&str>, Vec<&str>) = told.lines().partition(|line| line.starts_with('#'));
    assert!(comment[0].starts_with("# The last reload failed (20") && comment[0].ends_with(": 3 faults"), "{told}");
    assert_eq!(comment[1..], *faults.iter().map(|fault| format!("# {fault}")).collect::<Vec<_>>());
    assert_eq!(rest.join("\n") + "\n", served, "it runs with what it ran with");
    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    let metrics = mirror.wait_delivered("target", 1);
    let results = ["success", "failure"].map(|result| format!("result=\"{result}\""));
    assert_eq!(results.map(|result| metrics.sum("mirror_reloads_total", &[&result])), [0.0, 1.0]);
    let taken = |mirror: &Mirror| mirror.metrics().sum("mirror_config_last_reload_success_timestamp_seconds", &[]);
    let before = taken(&mirror);
    let is_taken = |mirror: &Mirror| mirror.metrics().sum("mirror_config_last_reload_successful", &[]);
    assert_eq!(is_taken(&mirror), 0.0);

    assert!(mirror.reload(&config).ends_with("reloaded; nothing is different\n"));
    assert_eq!(mirror.admin("/config").text(), served, "nothing is told of it any more");
    assert!(taken(&mirror) >= before && before > 1.7e9);
    assert_eq!(is_taken(&mirror), 1.0);
    mirror.terminate();
}

/// The file is good, and what it asks for cannot be had: nothing of it is done.
#[test]
fn all_of_it_is_done_or_nothing() {
    let (upstream, target, folder) = (Server::ok(), Server::ok(), folder());
    let path = folder.path().join("taken.avro");
    let config = Config::upstream(upstream.address());
    let other = Mirror::start(config.clone().set("record", path.display().to_string()));
    let mirror = Mirror::start(config.clone().shadow("old", target.address()));
    let said = mirror.refuse(&config.clone().shadow("new", target.address()).set("record", path.display().to_string()));
    let expected = format!("record.path: {:?}: expected a file that nobody records to", path.display().to_string());
    assert!(said.contains(&expected), "{said}");

    // Good by itself, but not beside the memory that there is until the next start.
    let settings = json!({ "lag": "200MiB" });
    let large = config.shadow_with("new", target.address(), settings).set("limits.memory", "1GiB");
    let said = mirror.refuse(&large);
    assert!(said.contains("shadow[0].lag: \"200MiB\": expected at most 128MiB"), "{said}");
    assert!(said.ends_with("(until the next start, as limits.memory cannot change before)\n"), "{said}");

    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    mirror.wait_delivered("old", 1);
    assert_eq!(mirror.terminate().sinks.keys().collect::<Vec<_>>(), ["old"]);
    other.terminate();
}

#[test]
fn flags_alone_have_nothing_to_reload() {
    let upstream = Server::ok();
    let upstream_address = upstream.address().to_string();
    let arguments =
        ["--listen=127.0.0.1:0", "--upstream", &upstream_address, "--log-format=json", "--admin=127.0.0.1:0"];
    let mirror = Mirror::start_with(&arguments);
    mirror.signal(libc::SIGHUP);
    assert_eq!(mirror.wait_log("nothing to reload: it was started from flags alone")["by"], "SIGHUP");
    let output = mirror.reload_by_command();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && error.contains("started by `mirror run FILE`"), "{output:?}");
    assert_eq!(mirror.connect().exchange(GET).text(), "ok");
    mirror.terminate();
}

#[test]
fn the_log_has_its_level_at_once() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let level = |level| settings(&upstream, &target, "100%").set("log.level", level);
    let mirror = Mirror::start(level("info"));
    mirror.reload(&level("error"));
    mirror.reload(&level("info,mirror=info"));
    mirror.reload(&level("info"));
    let changes = ["info,mirror=info, in place of error", "info, in place of info,mirror=info"];
    assert_logged(&mirror, "changed", "what", &changes);
    mirror.terminate();
}

/// As what knows no SIGHUP ends with its terminal, and not as a service that nobody sees any more.
#[test]
fn a_terminal_that_is_gone_is_not_a_reload() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let (mirror, terminal) = Mirror::start_on_terminal(120, &settings(&upstream, &target, "100%"));
    mirror.signal(libc::SIGHUP);
    mirror.wait_log("reloaded");
    terminal.hang_up();
    mirror.signal(libc::SIGHUP);
    assert_eq!(mirror.wait_exit().status.code(), Some(0));
}
