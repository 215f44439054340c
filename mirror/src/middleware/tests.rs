//! With real programs.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::*;

/// Programs as these settings have them, whose command is a line of shell.
struct Rig {
    programs: Programs,
    telemetry: Arc<Telemetry>,
}

impl Rig {
    fn new() -> Rig {
        let telemetry = Telemetry::new();
        Rig { programs: Programs::new(&telemetry), telemetry }
    }

    /// `settings` go beside the command.
    fn start(&self, shell: &str, settings: &str) -> Arc<Middleware> {
        self.programs.select().get(at("pipeline"), &config(shell, settings)).unwrap()
    }

    async fn end(self) {
        self.programs.end().await;
    }

    /// The value of a metric of the only middleware, with this label beside its name.
    fn counted(&self, name: &str, label: &str) -> u64 {
        let text = String::from_utf8(self.telemetry.render()).unwrap();
        let line = text.lines().find(|line| line.starts_with(name) && line.contains(label));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }
}

fn config(shell: &str, settings: &str) -> MiddlewareConfig {
    let command = serde_json::json!(["sh", "-c", shell]);
    serde_yaml::from_str(&format!("{{command: {command}, {settings}}}")).unwrap()
}

fn at(pipeline: &str) -> Place<'_> {
    Place { sink: Some(pipeline), pipeline, index: 0 }
}

fn message(id: u128) -> Message {
    let meta = Meta { kind: Kind::Request, id: MessageId::of(id), at: 1, took: 0 };
    Message { meta, head: format!("POST /{id} HTTP/1.1\r\n\r\n").into(), body: "a body".into() }
}

async fn wait_until(mut ready: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain");
}

fn is_alive(pid: &str) -> bool {
    // A zombie has ended.
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.starts_with(" Z"))
}

/// A program in Python that gets `message`, a bytes object, for each line, and prints what `change` makes of it; none is not printed.
fn python(change: &str) -> String {
    format!(
        "exec python3 -uc '\nimport sys, os, binascii\nfor line in sys.stdin.buffer:\n    message = binascii.unhexlify(line.strip())\n    \
         message = {change}\n    if message: sys.stdout.buffer.write(binascii.hexlify(message) + b\"\\n\")'"
    )
}

#[tokio::test]
async fn what_a_program_prints_is_the_reply() {
    let rig = Rig::new();
    let middleware =
        rig.start(&python("None if b\"/3 \" in message else message.replace(b\"/2 \", b\"/two \")"), "timeout: 2s");
    let replies = [1, 2, 3].map(|id| middleware.send(0, message(id)));
    let [one, two, three] = replies;
    assert_eq!(one.await, Reply::Unchanged);
    assert_eq!(two.await, Reply::Changed("POST /two HTTP/1.1\r\n\r\na body".into()));
    assert_eq!(three.await, Reply::Filtered);
    rig.end().await;
}

#[tokio::test]
async fn long_messages_pass_whole_both_ways_while_others_wait() {
    let rig = Rig::new();
    let middleware = rig.start("exec cat", "max_body: 8MiB");
    let body: Bytes = (0..8 << 20u32).map(|i: u32| (i >> 8) as u8 ^ i as u8).collect::<Vec<_>>().into();
    let long = middleware.send(0, Message { body, ..message(1) });
    let short: Vec<_> = (2..1000).map(|id| middleware.send(0, message(id))).collect();
    assert_eq!(long.await, Reply::Unchanged);
    for reply in short {
        assert_eq!(reply.await, Reply::Unchanged);
    }
    rig.end().await;
}

#[tokio::test]
async fn a_program_that_ends_is_started_again_and_loses_what_it_was_given() {
    let rig = Rig::new();
    // It takes three, and answers two of them.
    let middleware = rig.start("read a; echo $a; read b; echo $b; read c; exit 3", "restart: {min: 10ms}");
    for round in 0..3 {
        let replies = [1, 2, 3].map(|id| middleware.send(0, message(3 * round + id)));
        let [one, two, three] = replies;
        assert_eq!((one.await, two.await), (Reply::Unchanged, Reply::Unchanged));
        assert_eq!(three.await, Reply::Failed);
    }
    assert_eq!(rig.counted("mirror_middleware_messages_total", "exited"), 3);
    wait_until(|| rig.counted("mirror_middleware_restarts_total", "") == 3).await;
    rig.end().await;
}

#[tokio::test]
async fn what_waits_while_a_program_is_down_is_for_the_next_one() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    // Only the second one reads; the first one runs until it is told.
    let shell = format!("cd {dir}; [ -e go ] || {{ until [ -e go ]; do sleep 0.01; done; exit 1; }}; exec cat");
    let middleware = rig.start(&shell, "timeout: 10s, restart: {min: 200ms}");
    let running = || rig.counted("mirror_middleware_running", "");
    wait_until(|| running() == 1).await;
    std::fs::write(folder.path().join("go"), "").unwrap();
    wait_until(|| running() == 0).await;
    assert_eq!(middleware.send(0, message(1)).await, Reply::Unchanged);
    rig.end().await;
}

#[tokio::test]
async fn a_program_that_never_reads_fails_what_it_is_given_and_is_made_to_end() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let shell = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
    let middleware = rig.start(&shell, "timeout: 200ms, queue: 3, in_flight: 1");
    let replies: Vec<_> = (0..5).map(|id| middleware.send(0, message(id))).collect();
    for reply in replies {
        assert_eq!(reply.await, Reply::Failed);
    }
    assert_eq!(rig.counted("mirror_middleware_messages_total", "stalled"), 3);
    assert_eq!(rig.counted("mirror_middleware_messages_total", "full"), 2);
    wait_until(|| pid.exists()).await;
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(is_alive(&pid));
    drop(middleware);
    rig.end().await;
    wait_until(|| !is_alive(&pid)).await;
}

#[tokio::test]
async fn a_program_that_closes_its_stdin_filters_nothing() {
    let rig = Rig::new();
    let middleware = rig.start("exec <&-; sleep 1000", "timeout: 200ms");
    for id in 0..2 {
        assert_eq!(middleware.send(0, message(id)).await, Reply::Failed);
    }
    rig.end().await;
}

#[tokio::test]
async fn a_program_ends_with_its_stdin_and_may_do_so_in_peace() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let middleware = rig.start(&format!("cat; sleep 0.2; echo the end > {}", told.display()), "");
    assert_eq!(middleware.send(0, message(1)).await, Reply::Unchanged);
    rig.end().await;
    assert_eq!(std::fs::read_to_string(told).unwrap(), "the end\n");
    assert_eq!(middleware.send(0, message(2)).await, Reply::Failed, "there is none any more");
}

#[tokio::test]
async fn garbage_is_counted_and_does_not_matter() {
    let rig = Rig::new();
    let shell = "while read line; do echo nonsense; echo 3132; echo $line; echo $line; head -c 5000000 /dev/zero | tr '\\0' a; echo; done";
    let middleware = rig.start(shell, "max_body: 1KiB");
    for id in 0..3 {
        assert_eq!(middleware.send(0, message(id)).await, Reply::Unchanged);
    }
    let bad = |reason| rig.counted("mirror_middleware_bad_lines_total", reason);
    wait_until(|| (bad("malformed"), bad("unmatched"), bad("too_long")) == (6, 3, 3)).await;
    rig.end().await;
}

#[tokio::test]
async fn a_flood_on_stderr_does_not_hold_it_up() {
    let rig = Rig::new();
    let middleware = rig.start("while read line; do seq 1 20000 >&2; echo $line; done", "");
    for id in 0..3 {
        assert_eq!(middleware.send(0, message(id)).await, Reply::Unchanged);
    }
    wait_until(|| rig.counted("mirror_middleware_stderr_suppressed_total", "") > 10_000).await;
    rig.end().await;
}

#[tokio::test]
async fn a_connection_stays_with_one_worker() {
    let rig = Rig::new();
    let middleware = rig.start(&python("message + str(os.getpid()).encode()"), "workers: 3");
    let mut of_connection = Vec::new();
    for id in 0..12 {
        let Reply::Changed(printed) = middleware.send(id % 4, message(id.into())).await else { panic!("not changed") };
        of_connection.push((id % 4, printed.slice(printed.len() - 2..), printed));
    }
    let pid = |printed: &Bytes| printed[printed.iter().rposition(|b| *b == b'y').unwrap() + 1..].to_vec();
    let pids: Vec<Vec<u8>> = of_connection.iter().map(|(_, _, printed)| pid(printed)).collect();
    for (i, of) in pids.iter().enumerate() {
        assert_eq!(*of, pids[i % 4], "the worker of connection {}", i % 4);
    }
    assert_eq!(pids[0], pids[3], "three workers for four connections");
    assert!(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2]);
    rig.end().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_with_its_place() {
    let rig = Rig::new();
    let config: MiddlewareConfig = serde_yaml::from_str("{command: /no/such/program --mask}").unwrap();
    let error = rig.programs.select().get(Place { sink: None, pipeline: "pipeline", index: 2 }, &config).err().unwrap();
    let told = error.to_string();
    assert!(
        told.starts_with("pipeline[2].middleware.command: /no/such/program --mask cannot be started: No such file"),
        "{told}"
    );
}

#[tokio::test]
async fn the_next_configuration_keeps_the_programs_that_it_asks_for_too() {
    let rig = Rig::new();
    let (cat, other) = (config("exec cat", ""), config("exec cat", "workers: 2"));
    let first = rig.programs.select();
    let [a, b, c] =
        [("x", &cat), ("x", &cat), ("y", &other)].map(|(place, config)| first.get(at(place), config).unwrap());
    assert!(!Arc::ptr_eq(&a, &b), "two of them in one pipeline are two");
    let second = rig.programs.select();
    let again =
        [("y", &other), ("x", &cat), ("x", &other)].map(|(place, config)| second.get(at(place), config).unwrap());
    assert!(Arc::ptr_eq(&again[0], &c) && Arc::ptr_eq(&again[1], &a));
    drop((a, b, c, first));
    // What nobody holds any more ends by itself, and the others go on.
    wait_until(|| rig.counted("mirror_middleware_running", "") == 5).await;
    assert_eq!(again[0].send(0, message(1)).await, Reply::Unchanged);
    drop(second);
    rig.end().await;
}
