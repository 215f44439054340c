//! Recordings as a test needs them: which request began when, and how it was answered. Written by the engine's own writer.

use std::path::Path;
use std::time::{Duration, SystemTime};

use mirror::recording::{Format, Record, RecordedMessage, RecordedRequest, RecordedResponse};

/// A recording in the making, whose first moment is some day at 09:00.
#[derive(Debug, Clone, Default)]
pub struct Tape(Vec<Record>);

/// 2026-11-24T09:00:00Z, in seconds since the Unix epoch.
const FIRST: u64 = 1_795_510_800;

impl Tape {
    /// With a GET that began so many milliseconds after the first moment, on the first client's connection, and was answered with 200 and `ok` a
    /// millisecond later.
    #[must_use]
    pub fn get(self, at: u64, target: &str) -> Tape {
        self.with(at, target, |_| {})
    }

    /// With one that is changed.
    #[must_use]
    pub fn with(mut self, at: u64, target: &str, change: impl FnOnce(&mut Record)) -> Tape {
        let message = |headers: &[(&str, &str)], body: &str| RecordedMessage {
            headers: headers.iter().map(|(name, value)| (name.to_string().into(), value.to_string().into())).collect(),
            body: if body.is_empty() { Vec::new() } else { vec![body.to_owned().into()] },
            body_length: body.len() as u64,
            ..RecordedMessage::default()
        };
        let mut record = Record {
            id: self.0.len() as u128 + 1,
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(FIRST) + Duration::from_millis(at),
            source: "proxy".into(),
            client: Some(([10, 0, 0, 1], 40_000).into()),
            server: Some(([10, 0, 0, 2], 80).into()),
            request: RecordedRequest {
                method: "GET".into(),
                target: target.to_owned().into(),
                version: "HTTP/1.1".into(),
                message: message(&[("Host", "app")], ""),
            },
            response: Some(RecordedResponse {
                version: "HTTP/1.1".into(),
                status: 200,
                reason: "OK".into(),
                message: message(&[("Content-Length", "2")], "ok"),
            }),
            aborted: None,
            request_end: Some(Duration::ZERO),
            response_start: Some(Duration::from_millis(1)),
            end: Some(Duration::from_millis(1)),
            answers: Vec::new(),
        };
        change(&mut record);
        self.0.push(record);
        self
    }

    /// With so many GETs, one every `every` milliseconds: `/0`, `/1`, …
    #[must_use]
    pub fn gets(self, count: u64, every: u64) -> Tape {
        (0..count).fold(self, |tape, i| tape.get(i * every, &format!("/{i}")))
    }

    /// Writes it, in the format that the name asks for.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &Path) {
        let file = std::fs::File::create(path).expect("a file of our own");
        let mut writer = Format::of(path).expect("a format").writer(file).expect("a file of our own");
        for record in &self.0 {
            writer.write(record).expect("a record");
        }
        writer.finish().expect("a file of our own");
    }
}
