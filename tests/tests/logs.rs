//! What is logged costs those who are served nothing.

use mirror_tests::{Config, Mirror, Refusing, Server, WITHIN, wait_for};

/// Passes stderr on until all is ready, then reads no more of it until there is a file (or the file's folder is gone, with the test).
const STUCK: &str = r#"
exec 3>&2
mkfifo log
(
    while read -r line; do
        echo "$line" >&3
        case $line in *"admin endpoint"*) break ;; esac
    done
    while [ -d "${MIRROR_TEST_READ_ON%/*}" ] && [ ! -e "$MIRROR_TEST_READ_ON" ]; do sleep 0.05; done
    exec cat >&3
) <log &
exec "$@" 2>log"#;

#[test]
fn nobody_waits_for_a_log_that_is_not_read() {
    let upstream = Refusing::new();
    let target = Server::ok();
    let folder = tempfile::tempdir().expect("a folder");
    let read_on = folder.path().join("read-on");
    let shell = format!("MIRROR_TEST_READ_ON={}\n{STUCK}", read_on.display());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start_through(&shell, &config);

    // Each is a long line in the log: more than the pipe takes, and more than may wait.
    let request = format!("GET /{} HTTP/1.1\r\nHost: app\r\n\r\n", "long".repeat(500));
    for _ in 0..1200 {
        let answer = mirror.connect().exchange(&request);
        assert_eq!(answer.status(), 502);
    }
    let dropped = wait_for("lines that are given up", WITHIN, || {
        Some(mirror.metrics().sum("mirror_log_lines_dropped_total", &[])).filter(|&dropped| dropped > 0.0)
    });
    assert!(dropped < 1200.0, "{dropped}");

    std::fs::write(&read_on, "").expect("a file");
    mirror.wait_log("exchange failed");
    mirror.terminate().assert_exact();
}
