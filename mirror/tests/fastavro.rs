//! Recordings against another implementation of Avro: Python's fastavro reads what we write, and we read what it writes.
//!
//! Needs `pip install 'fastavro[zstandard]'`. The interpreter is `$MIRROR_TEST_PYTHON`, by default `python3`; without the
//! package the tests are skipped and say so, unless the variable is set, as then someone means them to run.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use mirror::recording::avro::{BlockEncoder, Reader};
use mirror::recording::file::{FileOptions, RecordingFile};
use mirror::recording::{Losses, Record, RecordedAnswer, RecordedMessage, RecordedRequest, RecordedResponse};
use serde_json::{Value, json};

#[test]
fn fastavro_reads_what_we_write() {
    let Some(python) = Python::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.avro");
    let records = records();
    record(&path, &records);

    let output = python.run(&["dump", path.to_str().unwrap()]);
    let read = String::from_utf8(output.stdout).unwrap();
    let read: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.len(), records.len());
    for (read, record) in read.iter().zip(&records) {
        assert_eq!(*read, expected(record));
    }
}

#[test]
fn we_read_what_fastavro_writes() {
    let Some(python) = Python::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.avro");
    let records = records();
    record(&path, &records);
    for codec in ["zstandard", "null"] {
        let rewritten = folder.path().join(codec);
        python.run(&["rewrite", path.to_str().unwrap(), rewritten.to_str().unwrap(), codec]);
        let mut reader = Reader::new(fs::File::open(&rewritten).unwrap()).unwrap();
        let read: Vec<Record> = reader.by_ref().map(Result::unwrap).collect();
        assert_eq!(read, records, "{codec}");
        assert_eq!(reader.losses(), Losses::default(), "{codec}");
    }
}

struct Python(String);

impl Python {
    fn find() -> Option<Python> {
        let wanted = std::env::var("MIRROR_TEST_PYTHON").ok();
        let python = Python(wanted.clone().unwrap_or_else(|| "python3".into()));
        let found = python.command(&["probe"]).output();
        if found.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(python);
        }
        assert!(wanted.is_none(), "{} cannot import fastavro with its zstandard codec: {found:?}", python.0);
        eprintln!("skipped: {} has no fastavro with its zstandard codec (pip install 'fastavro[zstandard]')", python.0);
        None
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_with_fastavro.py")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

/// Writes the records in blocks of different sizes, with a restart in between.
fn record(path: &Path, records: &[Record]) {
    for half in records.chunks(records.len().div_ceil(2)) {
        let (mut file, _) = RecordingFile::open(FileOptions::new(path)).unwrap();
        let mut encoder = BlockEncoder::new(0);
        for (index, record) in half.iter().enumerate() {
            encoder.push(record).unwrap();
            if index % 7 == 3 {
                file.write_block(&encoder.take()).unwrap();
            }
        }
        file.write_block(&encoder.take()).unwrap();
    }
}

/// Records with everything, with as little as there may be, and with what is likely to go wrong.
fn records() -> Vec<Record> {
    let fields = |fields: &[(&'static [u8], &'static [u8])]| {
        fields.iter().map(|(name, value)| (Bytes::from_static(name), Bytes::from_static(value))).collect()
    };
    let every_byte = Bytes::from_iter(0..=255);
    let full = Record {
        id: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        started: UNIX_EPOCH + Duration::from_micros(1_735_732_805_123_456),
        source: "proxy".into(),
        client: Some("[2001:db8::1]:40000".parse().unwrap()),
        server: Some("127.0.0.1:8080".parse().unwrap()),
        request: RecordedRequest {
            method: "POST".into(),
            target: "/search?q=%C3%A9".into(),
            version: "HTTP/1.1".into(),
            message: RecordedMessage {
                headers: fields(&[
                    (b"Host", b"example.org"),
                    (b"X-Twice", b"1"),
                    (b"x-twice", b""),
                    (b"X-Latin", b"caf\xe9"),
                    (b"X-Utf8", "naïve ☃".as_bytes()),
                ]),
                body: vec![every_byte.clone()],
                body_length: 1 << 40,
                trailers: fields(&[(b"Expires", b"never")]),
                truncated: Some("max_body".into()),
            },
        },
        response: Some(RecordedResponse {
            version: "HTTP/1.0".into(),
            status: 404,
            reason: Bytes::from_static(b"Nicht gefunden \xfc"),
            message: RecordedMessage { headers: vec![(every_byte.clone(), every_byte)], ..Default::default() },
        }),
        aborted: Some("downstream left ☃".into()),
        request_end: Some(Duration::from_micros(63)),
        response_start: Some(Duration::from_micros(64)),
        end: Some(Duration::from_secs(3600)),
        answers: vec![
            RecordedAnswer {
                target: "staging".into(),
                outcome: "delivered".into(),
                response: Some(RecordedResponse { status: 200, ..Default::default() }),
                first_byte: Some(Duration::ZERO),
                total: Some(Duration::from_micros(u64::from(u32::MAX))),
            },
            RecordedAnswer {
                target: String::new(),
                outcome: "dropped: queue_full".into(),
                response: None,
                first_byte: None,
                total: None,
            },
        ],
    };
    let bare = Record {
        id: 0,
        started: UNIX_EPOCH - Duration::from_micros(1),
        source: String::new(),
        client: None,
        server: None,
        request: RecordedRequest::default(),
        response: None,
        aborted: None,
        request_end: None,
        response_start: None,
        end: None,
        answers: vec![],
    };
    let mut records = vec![full.clone(), bare];
    records.extend((1..100u32).map(|n| {
        let mut record = full.clone();
        record.id = u128::MAX / u128::from(n);
        record.request.message.body = vec![Bytes::from(vec![n as u8; 1 << (n % 18)])];
        record
    }));
    records
}

/// The record as the script prints it.
fn expected(record: &Record) -> Value {
    let micros_after = |value: Option<Duration>| value.map(|value| value.as_micros() as u64);
    let start = match record.started.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_micros() as i64,
        Err(before) => -(before.duration().as_micros() as i64),
    };
    let answers: Vec<Value> = record
        .answers
        .iter()
        .map(|answer| {
            json!({
                "target": answer.target,
                "outcome": answer.outcome,
                "response": answer.response.as_ref().map(response),
                "first_byte_micros": micros_after(answer.first_byte),
                "total_micros": micros_after(answer.total),
            })
        })
        .collect();
    let mut request = message(&record.request.message);
    request["method"] = text(&record.request.method);
    request["target"] = text(&record.request.target);
    request["version"] = text(&record.request.version);
    json!({
        "id": format!("{:032x}", record.id),
        "start": start,
        "source": record.source,
        "client": record.client.map(|address| address.to_string()),
        "server": record.server.map(|address| address.to_string()),
        "request": request,
        "response": record.response.as_ref().map(response),
        "aborted": record.aborted,
        "request_end_micros": micros_after(record.request_end),
        "response_start_micros": micros_after(record.response_start),
        "end_micros": micros_after(record.end),
        "answers": answers,
    })
}

fn response(response: &RecordedResponse) -> Value {
    let mut value = message(&response.message);
    value["version"] = text(&response.version);
    value["status"] = response.status.into();
    value["reason"] = text(&response.reason);
    value
}

fn message(message: &RecordedMessage) -> Value {
    let fields = |fields: &[(Bytes, Bytes)]| -> Value {
        fields.iter().map(|(name, value)| json!({"name": text(name), "value": text(value)})).collect()
    };
    let body: String = message.body.concat().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "headers": fields(&message.headers),
        "body": body,
        "body_length": message.body_length,
        "trailers": fields(&message.trailers),
        "truncated": message.truncated,
    })
}

/// Bytes as the format's strings have them: one character each.
fn text(bytes: &[u8]) -> Value {
    bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into()
}
