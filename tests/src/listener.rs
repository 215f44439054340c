//! A `mirror` that listens, and what is looked at of what came of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::capture::is_permitted;
use crate::recording::Fastavro;
use crate::{Config, Message, Mirror, Server, Summary, Value, json};

/// A `mirror` that listens to a server's port, with a target, and a recording of what it hears.
pub struct Listener {
    /// The process.
    pub mirror: Mirror,
    target: Server,
    path: PathBuf,
    fastavro: Fastavro,
    _folder: tempfile::TempDir,
}

impl Listener {
    /// None where that cannot be tested, which is said.
    pub fn to(server: SocketAddr) -> Option<Listener> {
        Listener::with_buffer(server, "64MiB")
    }

    /// With a ring of this size.
    pub fn with_buffer(server: SocketAddr, buffer: &str) -> Option<Listener> {
        Listener::of(json!({ "interface": "lo", "ports": server.port(), "buffer": buffer }))
    }

    /// Of what these settings, or a list of such, say.
    pub fn of(capture: Value) -> Option<Listener> {
        Listener::configured(Config::capture(capture))
    }

    /// With all that this says beside the target and the recording.
    pub fn configured(config: Config) -> Option<Listener> {
        if !is_permitted() {
            return None;
        }
        let fastavro = Fastavro::find()?;
        let (target, folder) = (Server::ok(), tempfile::tempdir().expect("a folder of our own"));
        let path = folder.path().join("traffic.avro");
        // Room for what a slow machine leaves lying: whether it is bounded is tested elsewhere.
        let config = config
            .shadow_with("target", target.address(), json!({ "lag": "128MiB", "queue": 16384 }))
            .set("record", json!({ "path": path, "max_body": "32MiB", "disk_queue": "256MiB", "answer_wait": "50ms", "flush_interval": "20ms" }))
            .set("limits.memory", "1GiB");
        Some(Listener { mirror: Mirror::start(config), target, path, fastavro, _folder: folder })
    }

    /// Waits until so many exchanges are through all of it, none of whose packets the kernel dropped, and ends it as [`Listener::end`] does.
    #[track_caller]
    pub fn end_settled(self, count: usize) -> (Vec<Value>, Vec<Message>) {
        // Megabytes take a debug build longer than the drain waits.
        let metrics = self.mirror.wait_settled(count as u64);
        let dropped = metrics.sum("mirror_capture_kernel_dropped_packets_total", &[]);
        assert_eq!(dropped, 0.0, "the kernel's ring was full: {metrics:#?}");
        self.end(count)
    }

    /// Ends it at once, while packets may still be on their way through it, and gives what came of this many exchanges: the records, in the order
    /// in which they began, and what the target got.
    #[track_caller]
    pub fn end(self, count: usize) -> (Vec<Value>, Vec<Message>) {
        let (mut records, requests, summary) = self.end_any();
        assert_eq!((summary.seen, records.len()), (count as u64, count), "{summary:#?}");
        assert_eq!(summary.sink("target").delivered, count as u64, "{summary:#?}");
        assert_eq!(requests.len(), count);
        for record in &records {
            assert_eq!((&record["source"], &record["aborted"]), (&json!("capture"), &Value::Null), "{record:#}");
        }
        records.sort_by_key(|record| record["start"].as_u64());
        (records, requests)
    }

    /// The same of however many, with the summary.
    #[track_caller]
    pub fn end_any(self) -> (Vec<Value>, Vec<Message>, Summary) {
        let summary = self.mirror.terminate();
        (self.fastavro.read(&self.path), self.target.requests(), summary)
    }
}

/// The ring is never full while a debug build on a busy machine is slower than the wire: what the kernel drops then is no fault of the
/// reading. Its blocks are handed over when they are full or this old, hence the time.
pub fn patient(interface: &str, port: u16) -> Value {
    json!({ "interface": interface, "ports": port, "buffer": "256MiB", "block_time": "5ms" })
}

/// A head's lines as a recording has them.
fn fields(head: &str) -> Value {
    let lines = head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
    let field = |line: &str| line.split_once(':').map(|(name, value)| json!({ "name": name, "value": value.trim() }));
    lines.filter_map(field).collect()
}

/// Whether a recorded body is this one.
pub fn is(text: &Value, body: &[u8]) -> bool {
    text.as_str().expect("a body").chars().eq(body.iter().map(|&byte| char::from(byte)))
}

/// That one side of a record is this message, whole.
#[track_caller]
pub fn assert_message(side: &Value, head: &str, body: &[u8]) {
    let start: Vec<&str> = head.split("\r\n").next().expect("a line").splitn(3, ' ').collect();
    match side["method"].as_str() {
        Some(method) => assert_eq!([method, side["target"].as_str().expect("a target")], start[..2], "{side:#}"),
        None => {
            let status = (side["status"].to_string(), side["reason"].as_str().expect("a reason"));
            assert_eq!((status.0.as_str(), status.1), (start[1], start.get(2).copied().unwrap_or("")), "{side:#}");
        }
    }
    assert_eq!(side["headers"], fields(head), "{head}");
    assert!(is(&side["body"], body), "the body of {head}: {} bytes", side["body_length"]);
    assert_eq!((&side["body_length"], &side["truncated"]), (&json!(body.len()), &Value::Null), "{head}");
}

/// That the target got this request, whole: what has been added to its head does not matter.
#[track_caller]
pub fn assert_arrived(requests: &[Message], head: &str, body: &[u8]) {
    let line = head.split("\r\n").next().expect("a line");
    let of_line: Vec<_> = requests.iter().filter(|request| request.start_line() == line).collect();
    let [request] = of_line[..] else { panic!("{line}: {} times", of_line.len()) };
    assert!(request.body == body, "{line}: {} bytes", request.body.len());
    for sent in head.split("\r\n").skip(1).filter(|sent| !sent.is_empty()) {
        let framing = ["connection", "content-length", "transfer-encoding", "expect", "te"];
        let name = sent.split(':').next().unwrap_or_default().to_ascii_lowercase();
        assert!(framing.contains(&&*name) || request.lines().contains(&sent), "{sent}: {request:?}");
    }
}
