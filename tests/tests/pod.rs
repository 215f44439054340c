//! A real pod: the application is not changed, what comes to its port goes through the sidecar, which may do nothing but that.
//!
//! `make test-pod` runs these; they take podman, and a few seconds each.

use std::net::SocketAddr;
use std::path::PathBuf;

use mirror_tests::pod::{Container, Pods, metrics};
use mirror_tests::{Conn, WITHIN, run_to_end, wait_for, wrk};

/// The application's pod with its sidecar, and the target's.
struct Rig {
    app: SocketAddr,
    admin: SocketAddr,
    sidecar: Container,
    target: Container,
    recordings: PathBuf,
    _pods: Pods,
}

impl Rig {
    #[track_caller]
    fn start() -> Rig {
        let pods = Pods::new();
        let recordings = pods.volume("recordings");
        let target = pods.play("target.yaml", &[]).to_string();
        let words = [("TARGET", &*target), ("RECORDINGS", recordings.to_str().expect("UTF-8"))];
        let address = pods.play("app.yaml", &words);
        let rig = Rig {
            app: SocketAddr::new(address, 8080),
            admin: SocketAddr::new(address, 9900),
            sidecar: Container::named("app-mirror"),
            target: Container::named("target-app"),
            recordings,
            _pods: pods,
        };
        rig.wait_ready();
        rig
    }

    #[track_caller]
    fn wait_ready(&self) {
        wait_for("the sidecar", WITHIN, || metrics(self.admin));
    }

    /// Sends requests on a connection of their own, which the application answers.
    #[track_caller]
    fn send(&self, count: usize, path: &str) {
        let mut conn = Conn::open(self.app);
        for i in 0..count {
            let answer = conn.exchange(&format!("GET {path}/{i} HTTP/1.1\r\nHost: app\r\n\r\n"));
            assert_eq!((answer.status(), &*answer.text()), (200, "served by app\n"));
        }
    }

    #[track_caller]
    fn wait_delivered(&self, count: u64) {
        wait_for("copies and records", WITHIN, || {
            let metrics = metrics(self.admin)?;
            (metrics.delivered("next") == count && metrics.delivered("record") == count).then_some(())
        });
    }

    /// What the target has served whose path starts so.
    fn served(&self, path: &str) -> Vec<String> {
        let lines = self.target.said();
        lines.lines().filter(|line| line.starts_with(&format!("GET {path}/"))).map(str::to_owned).collect()
    }

    /// The paths in the recording, as `mirror inspect` reads them.
    #[track_caller]
    fn recorded(&self) -> Vec<String> {
        let ran = run_to_end(&self.recordings, &["inspect", "traffic.avro", "--json"]);
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let lines = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.map(|line| line["request"]["target"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned()).collect()
    }
}

#[test]
#[ignore = "make test-pod"]
fn a_sidecar_that_may_do_nothing_mirrors_and_records_and_drains() {
    let rig = Rig::start();
    // Who it is, and what it may: nothing.
    assert_eq!(rig.sidecar.status("Uid"), "2110\t2110\t2110\t2110");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(rig.sidecar.status(set), "0000000000000000", "{set}");
    }
    assert_eq!((&*rig.sidecar.status("NoNewPrivs"), &*rig.sidecar.status("Seccomp")), ("1", "2"));
    let mounts = std::fs::read_to_string(format!("/proc/{}/mounts", rig.sidecar.pid())).expect("its mounts");
    let root = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).expect("a root");
    assert!(root.split(' ').nth(3).is_some_and(|options| options.split(',').any(|o| o == "ro")), "{root}");
    assert_eq!(rig.sidecar.inspect()["HostConfig"]["Memory"], 96 << 20);

    rig.send(50, "/page");
    rig.wait_delivered(50);
    let served = rig.served("/page");
    assert_eq!(served.len(), 50);
    assert!(served.iter().all(|line| line.ends_with(" 1")), "copies bear the marker: {served:?}");

    assert_eq!(rig.sidecar.end("TERM"), 0, "{}", rig.sidecar.said());
    let summary = rig.sidecar.summary();
    assert_eq!((summary.sink("next").delivered, summary.sink("record").delivered), (50, 50), "{summary:#?}");
    let wanted: Vec<_> = (0..50).map(|i| format!("/page/{i}")).collect();
    assert_eq!(rig.recorded(), wanted);
}

#[test]
#[ignore = "make test-pod"]
fn after_a_kill_a_restart_goes_on_where_it_was() {
    let rig = Rig::start();
    rig.send(20, "/before");
    rig.wait_delivered(20);
    // Blocks are flushed each second at least: one that was counted may be in memory yet.
    wait_for("what was recorded on disk", WITHIN, || (rig.recorded().len() == 20).then_some(()));
    assert_eq!(rig.sidecar.end("KILL"), 137);
    // The redirect stands: what would go past the sidecar is refused instead.
    assert!(Conn::try_open(rig.app).is_err(), "nobody is there");
    rig.sidecar.start();
    rig.wait_ready();
    rig.send(20, "/after");
    rig.wait_delivered(20);
    assert_eq!((rig.served("/before").len(), rig.served("/after").len()), (20, 20));
    assert_eq!(rig.sidecar.end("TERM"), 0);
    let recorded = rig.recorded();
    let begin = |path: &str| recorded.iter().filter(|target| target.starts_with(path)).count();
    assert_eq!((begin("/before"), begin("/after"), recorded.len()), (20, 20, 40));
}

#[test]
#[ignore = "make test-pod"]
fn under_load_with_a_target_that_hangs_it_stays_within_its_limit() {
    let rig = Rig::start();
    if !wrk::is_there() {
        return;
    }
    let pid = rig.sidecar.pid();
    rig.target.pause();
    let script = r#"wrk.method = "POST"; wrk.body = string.rep("x", 65536)"#;
    // It asserts that no answer is missing or an error.
    let answers = wrk::wrk(rig.app, "/load", 64, 4, Some(script));
    rig.target.go_on();
    assert_eq!(rig.sidecar.pid(), pid, "it was not killed");
    assert_eq!(rig.sidecar.inspect()["State"]["OOMKilled"], false);
    let peak: u64 = rig.sidecar.status("VmHWM").trim_end_matches(" kB").parse().expect("a number");
    eprintln!("{answers} answers; at most {} MB resident", peak / 1000);
    assert!(peak < 96 << 10, "{peak} kB");
    assert_eq!(rig.sidecar.end("TERM"), 0);
    let summary = rig.sidecar.summary();
    let next = summary.sink("next");
    assert!(next.offered >= answers && next.dropped > 0, "{summary:#?}");
}
