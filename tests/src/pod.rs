//! Real pods, made by podman, in which the built binary runs as a sidecar. For tests that `tests/pod/run.sh` runs: it makes the images, and sees to it
//! that nothing is left.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Conn, Metrics, Summary, WITHIN, wait_for};

/// Pods of a test's own, on a network of their own with this process; gone when it is dropped.
pub struct Pods {
    folder: tempfile::TempDir,
}

/// A container that was started.
#[derive(Debug, Clone)]
pub struct Container(String);

impl Pods {
    /// None yet.
    ///
    /// # Panics
    /// Where there are no images.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Pods {
        assert!(std::env::var_os("MIRROR_TEST_PODS").is_some(), "run this by `make test-pod`");
        Pods { folder: tempfile::tempdir().expect("a folder of our own") }
    }

    /// A folder that containers see at a path of theirs, for the user that `mirror` is in an image.
    ///
    /// # Panics
    /// When there can be none.
    #[track_caller]
    pub fn volume(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder of our own");
        std::os::unix::fs::chown(&path, Some(2110), Some(2110)).expect("a folder of our own");
        path
    }

    /// Starts what a file of `tests/pod` says, with these words of it replaced. It gives the address of the pod.
    ///
    /// # Panics
    /// When it is refused, or an init container fails.
    #[track_caller]
    pub fn play(&self, file: &str, words: &[(&str, &str)]) -> IpAddr {
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("pod").join(file);
        let mut text = std::fs::read_to_string(&from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        for (word, with) in words {
            text = text.replace(word, with);
        }
        let played = self.folder.path().join(file);
        std::fs::write(&played, text).expect("a file of our own");
        let played = played.to_str().expect("UTF-8");
        podman(&["play", "kube", "--build=false", played]);
        let pod = file.strip_suffix(".yaml").expect("its name");
        let infra = podman(&["pod", "inspect", pod, "--format", "{{.InfraContainerID}}"]);
        let inspected = Container(infra.trim().to_owned()).inspect();
        let networks = inspected["NetworkSettings"]["Networks"].as_object().expect("networks").values();
        let mut addresses = networks.filter_map(|network| network["IPAddress"].as_str()?.parse().ok());
        addresses.next().unwrap_or_else(|| panic!("{pod} has no address"))
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let ran = Command::new("podman").args(["ps", "--all"]).output().expect("podman");
            eprintln!("{}", String::from_utf8_lossy(&ran.stdout));
            for name in ["app-redirect", "app-app", "app-mirror", "target-app"] {
                eprintln!("{name} said: {}", Container::named(name).said());
            }
        }
        let _ =
            Command::new("podman").args(["pod", "rm", "--all", "--force", "--time=0"]).stdout(Stdio::null()).status();
    }
}

impl Container {
    /// As `pod-container`.
    pub fn named(name: &str) -> Container {
        Container(name.to_owned())
    }

    /// All that podman knows of it.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn inspect(&self) -> Value {
        let said = podman(&["container", "inspect", &self.0]);
        serde_json::from_str::<Value>(&said).expect("JSON")[0].take()
    }

    /// The number of its first process.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn pid(&self) -> u64 {
        let pid = self.inspect()["State"]["Pid"].as_u64().unwrap_or(0);
        assert_ne!(pid, 0, "{} has ended: {}", self.0, self.said());
        pid
    }

    /// A line of the kernel's about its first process, as `Uid` or `CapEff`.
    ///
    /// # Panics
    /// When there is no such line.
    #[track_caller]
    pub fn status(&self, key: &str) -> String {
        let path = format!("/proc/{}/status", self.pid());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {key}: {text}")).trim().to_owned()
    }

    /// What it has written so far.
    pub fn said(&self) -> String {
        let ran = Command::new("podman").args(["logs", &self.0]).output().expect("podman");
        String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned()
    }

    /// Sends a signal, and waits for its end. Gives the exit code.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn end(&self, signal: &str) -> i64 {
        podman(&["kill", "--signal", signal, &self.0]);
        wait_for("its end", WITHIN * 2, || {
            let state = self.inspect()["State"].take();
            (state["Status"] == "exited").then(|| state["ExitCode"].as_i64().expect("a number"))
        })
    }

    /// Stops all of its processes where they are.
    #[track_caller]
    pub fn pause(&self) {
        podman(&["pause", &self.0]);
    }

    /// Has them go on.
    #[track_caller]
    pub fn go_on(&self) {
        podman(&["unpause", &self.0]);
    }

    /// Starts it again.
    #[track_caller]
    pub fn start(&self) {
        podman(&["start", &self.0]);
    }

    /// The sums at its end, which it asserts to be exact.
    ///
    /// # Panics
    /// When there are none.
    #[track_caller]
    pub fn summary(&self) -> Summary {
        // On stdout, which has nothing else; the log is on stderr.
        let said = podman(&["logs", &self.0]);
        let summary = Summary::parse(&said).unwrap_or_else(|| panic!("no summary: {said}"));
        summary.assert_exact();
        summary
    }
}

/// Runs podman, and gives what it printed.
#[track_caller]
fn podman(arguments: &[&str]) -> String {
    let ran = Command::new("podman").args(arguments).stdin(Stdio::null()).output().expect("podman");
    assert!(ran.status.success(), "podman {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// What the sidecar at this admin address counts; none while it is not there.
pub fn metrics(admin: SocketAddr) -> Option<Metrics> {
    let mut conn = Conn::try_open(admin).ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    Some(Metrics::parse(&conn.exchange(&request).text()))
}
