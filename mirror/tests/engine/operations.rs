//! Lists of what a source may do, run against a whole engine with a real target and a real recording. Shared by the property test
//! and the fuzz target.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mirror::config::{ByteSize, Config, Fraction, RecordConfig, ShadowConfig};
use mirror::engine::Engine;
use mirror::exchange::Origin;
use mirror::outcome::Abort;
use mirror::recording::avro::Reader;
use mirror::source::ExchangeWriter;
use mirror::telemetry::Telemetry;

/// What the target is called.
const TARGET: &str = "target";

/// What a target does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) enum Manner {
    /// Answers each request.
    Answers,
    /// Closes at once.
    Resets,
    /// Takes connections and nothing more.
    Ignores,
    /// Answers what is not HTTP.
    Babbles,
}

/// What a source does.
#[derive(Debug, Clone)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) enum Op {
    /// Begins an exchange; `length` announced in its head, or chunked.
    Begin { length: Option<u16>, marked: bool },
    /// More of exchange `i`'s request.
    Data { i: u8, length: u16 },
    /// Bytes of exchange `i`'s request that its source lost.
    Lose { i: u8, length: u16 },
    /// The end of exchange `i`'s request.
    RequestEnd { i: u8 },
    /// The head of exchange `i`'s response.
    Respond { i: u8, broken: bool },
    /// More of exchange `i`'s response.
    ResponseData { i: u8, length: u16 },
    /// Exchange `i` ends well.
    Finish { i: u8 },
    /// Exchange `i` is aborted.
    Abort { i: u8 },
    /// Exchange `i` is forgotten.
    Forget { i: u8 },
    /// Other settings are taken: the target anew or not, another target beside it or not, the recording in another file or nowhere.
    Reload { anew: bool, beside: bool, record: Option<bool> },
    /// The target is paused or resumed.
    Pause { on: bool },
    /// The target gets this part of 255.
    Fraction { part: u8 },
}

/// Stages for all, for the target, and for the recorder: each bit of `choice` is one of them.
fn pipelines(config: &mut Config, choice: u8) {
    let body = "{rewrite: {body: {max_body: 16KiB, replace: [{match: q, with: xy}]}}}";
    let withheld = "{rewrite: {body: {max_body: 8KiB, unreadable: withhold, replace: [{match: y, with: ''}]}}}";
    let response =
        "{rewrite: {response: {body: {max_body: 32KiB, unreadable: withhold, replace: [{match: r, with: s}]}}}}";
    let redact = "{redact: {preset: credentials, pattern: [card, '~q{2}'], json: a, max_body: 16KiB, with: hash}}";
    let by_status = "{filter: {allow: 'status = 200 or not status'}}";
    let by_size = "{filter: {deny: 'response_size > 100KB'}}";
    let chosen = |stages: &[(u8, &str)]| {
        let stages: Vec<&str> = stages.iter().filter(|(bit, _)| choice & bit != 0).map(|(_, stage)| *stage).collect();
        Config::from_yaml(&format!("{{listen: ':1', upstream: ':2', pipeline: [{}]}}", stages.join(", ")))
            .expect("stages")
            .pipeline
    };
    config.pipeline = chosen(&[(1, by_status), (2, body), (4, response), (16, redact)]);
    config.shadow[0].pipeline = chosen(&[(4, redact), (8, withheld), (16, by_size)]);
    config.record[0].pipeline = chosen(&[(16, redact), (32, by_size), (64, response), (128, body)]);
}

/// Runs the operations and checks what must hold whatever they were.
///
/// # Panics
/// When it does not.
pub(crate) fn run(manner: Manner, memory: usize, stages: u8, ops: &[Op]) {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = ["ops.avro", "other.avro"].map(|name| folder.path().join(name));
    let mut shadow = ShadowConfig::new(target(manner).to_string().parse().expect("an address"));
    shadow.name = Some(TARGET.into());
    shadow.lag = ByteSize::kib(64);
    shadow.timeout = mirror::config::Period(Duration::from_millis(200));
    let mut record = RecordConfig::new(&paths[0]);
    record.max_body = ByteSize::kib(32);
    record.answer_wait = mirror::config::Period(Duration::from_millis(300));
    let mut config = Config { shadow: vec![shadow], record: vec![record], ..Config::default() };
    config.limits.memory = format!("{memory}").parse().expect("a size");
    pipelines(&mut config, stages);

    let telemetry = Telemetry::new();
    let engine = Engine::start(&config, "test", &telemetry).expect("an engine");
    let (tap, control) = (engine.tap(), engine.control());
    let mut open: Vec<ExchangeWriter> = Vec::new();
    let mut begun = 0u64;
    for op in ops {
        let at = |i: &u8, open: &[ExchangeWriter]| (!open.is_empty()).then(|| usize::from(*i) % open.len());
        match op {
            Op::Begin { length, marked } => {
                begun += 1;
                let framing = match length {
                    Some(length) => format!("Content-Length: {length}"),
                    None => "Transfer-Encoding: chunked".into(),
                };
                let marker = if *marked { "X-Mirror-Shadow: 1\r\n" } else { "" };
                let head = format!("POST /{begun} HTTP/1.1\r\nHost: a\r\n{framing}\r\n{marker}\r\n");
                open.extend(tap.begin(head.into(), Origin { source: "test", client: None }));
            }
            Op::Data { i, length } => {
                if let Some(i) = at(i, &open) {
                    open[i].data(vec![b'q'; usize::from(*length)].into());
                }
            }
            Op::Lose { i, length } => {
                if let Some(i) = at(i, &open) {
                    open[i].lost(u64::from(*length));
                }
            }
            Op::RequestEnd { i } => {
                if let Some(i) = at(i, &open) {
                    open[i].request_end(None);
                }
            }
            Op::Respond { i, broken } => {
                if let Some(i) = at(i, &open) {
                    let head = if *broken { &b"nonsense"[..] } else { b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" };
                    open[i].respond(Bytes::from_static(head));
                }
            }
            Op::ResponseData { i, length } => {
                if let Some(i) = at(i, &open) {
                    open[i].response_data(vec![b'r'; usize::from(*length)].into());
                }
            }
            Op::Finish { i } => {
                if let Some(i) = at(i, &open) {
                    open.swap_remove(i).finish(None);
                }
            }
            Op::Abort { i } => {
                if let Some(i) = at(i, &open) {
                    open.swap_remove(i).abort(Abort::Downstream);
                }
            }
            Op::Forget { i } => {
                if let Some(i) = at(i, &open) {
                    drop(open.swap_remove(i));
                }
            }
            Op::Reload { anew, beside, record } => {
                let next = reloaded(&config, *anew, *beside, record.map(|other| &*paths[usize::from(other)]));
                // The file before may be written still, and then nothing changes.
                match control.reload(&next) {
                    Ok(_) => config = next,
                    Err(error) => assert!(error.to_string().contains("being recorded to"), "{error}"),
                }
            }
            Op::Pause { on: true } => control.pause(TARGET).expect("a target"),
            Op::Pause { on: false } => control.resume(TARGET).expect("a target"),
            Op::Fraction { part } => {
                let fraction = Fraction::new((*part).into(), 255).expect("a part");
                control.set_fraction(TARGET, fraction).expect("a target");
            }
        }
        let budget = engine.budget();
        assert!(budget.used() <= budget.limit(), "{} of {}", budget.used(), budget.limit());
    }
    drop((open, tap));
    let kept = ops.iter().all(|op| !matches!(op, Op::Reload { .. } | Op::Fraction { .. }));
    check(engine, begun, kept, &paths);
}

/// The target may have other settings, or another beside it; the recording may be another.
fn reloaded(config: &Config, anew: bool, beside: bool, record: Option<&Path>) -> Config {
    let mut next = config.clone();
    next.shadow.truncate(1);
    if anew {
        next.shadow[0].answer_body = ByteSize::new(next.shadow[0].answer_body.bytes() ^ 1);
    }
    if beside {
        let mut other = next.shadow[0].clone();
        other.name = Some("beside".into());
        other.fraction = Fraction::new(1, 2);
        next.shadow.push(other);
    }
    let record = record.into_iter().map(|path| {
        let mut record = RecordConfig::new(path);
        record.max_body = ByteSize::kib(32);
        record.answer_wait = mirror::config::Period(Duration::from_millis(300));
        record
    });
    next.record = record.collect();
    next
}

fn check(engine: Engine, begun: u64, kept: bool, paths: &[PathBuf]) {
    let (control, budget, seen) = (engine.control(), engine.budget(), engine.seen());
    assert!(engine.drain(Duration::from_secs(30)), "all ends by itself");
    assert_eq!(seen.get(), begun);
    let sinks = control.all_sinks();
    for sink in &sinks {
        let metrics = &sink.metrics;
        let settled = metrics.delivered.get() + metrics.dropped.total() + metrics.failed.total();
        assert_eq!(metrics.offered.get(), settled, "the account of {}", sink.name);
        let all = metrics.offered.get() + metrics.skipped.total();
        assert!(all <= begun, "no exchange comes twice to {}", sink.name);
        // Others were not always there, or had a fraction: what is outside of that is not counted.
        assert!(all == begun || !kept, "every exchange is accounted for at {}", sink.name);
        assert_eq!(sink.share.held(), 0, "what {} holds", sink.name);
    }
    assert_eq!(budget.used(), 0, "what is held in the end");
    let records: u64 = paths.iter().filter(|path| path.exists()).map(|path| read(path)).sum();
    let recorder = sinks.iter().find(|sink| sink.name == "record");
    assert_eq!(records, recorder.map_or(0, |recorder| recorder.metrics.delivered.get()));
}

/// How many records there are, each of which is as it should be.
fn read(path: &Path) -> u64 {
    let mut reader = Reader::new(std::fs::File::open(path).expect("the recording")).expect("a recording");
    let mut records = 0;
    while let Some(record) = reader.read().expect("a record") {
        records += 1;
        let body: usize = record.request.message.body.iter().map(Bytes::len).sum();
        assert!(body <= 32 * 1024 && body as u64 <= record.request.message.body_length);
        assert!(record.request.message.truncated.is_some() || body as u64 == record.request.message.body_length);
    }
    records
}

/// A target on a port of its own; its threads end with their connections.
fn target(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = Arc::new(listener);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        // Ends when nobody has come for a while: the engine is gone by then.
        listener.set_nonblocking(true).expect("a socket");
        let mut idle = 0;
        while idle < 1000 {
            match listener.accept() {
                Err(_) => {
                    idle += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok((connection, _)) => {
                    idle = 0;
                    match manner {
                        Manner::Resets => drop(connection),
                        Manner::Ignores => kept.push(connection),
                        Manner::Answers => drop(std::thread::spawn(move || converse(connection))),
                        Manner::Babbles => {
                            let mut connection = connection;
                            let _ = connection.write_all(b"what? what?\r\n\r\n");
                            kept.push(connection);
                        }
                    }
                }
            }
        }
    });
    address
}

/// Answers at each end of a message: a chunked one's last chunk, or a head with a length and as many bytes.
fn converse(mut connection: TcpStream) -> Option<()> {
    connection.set_nonblocking(false).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 64 * 1024]);
    loop {
        if let Some(length) = whole(&seen) {
            seen.drain(..length);
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()?;
            continue;
        }
        match connection.read(&mut buffer).ok()? {
            0 => return None,
            n => seen.extend_from_slice(&buffer[..n]),
        }
    }
}

fn whole(seen: &[u8]) -> Option<usize> {
    let head = mirror::http1::head_length(seen)?;
    let text = std::str::from_utf8(&seen[..head]).ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let end = match length {
        Some(length) => head + length.parse::<usize>().ok()?,
        None => head + seen[head..].windows(5).position(|w| w == b"0\r\n\r\n")? + 5,
    };
    (seen.len() >= end).then_some(end)
}
