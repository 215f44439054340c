//! Reads the demo's recording back: what the upstream answered against what the shadow answered.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use mirror::recording::avro::Reader;
use mirror::recording::{Record, RecordedResponse};

#[derive(Default)]
struct Route {
    exchanges: usize,
    same: usize,
    other_status: usize,
    other_body: usize,
    unanswered: usize,
    v1: Vec<Duration>,
    v2: Vec<Duration>,
}

/// A table, a line a route.
pub(super) fn of(recording: &Path) -> anyhow::Result<String> {
    let file = std::fs::File::open(recording).with_context(|| format!("{}: cannot be read", recording.display()))?;
    let mut reader = Reader::new(file)?;
    let mut routes: BTreeMap<String, Route> = BTreeMap::new();
    while let Some(record) = reader.read()? {
        routes.entry(route(&record)).or_default().add(&record);
    }
    let mut table = String::new();
    writeln!(
        table,
        "{:<16} {:>9} {:>6} {:>13} {:>11} {:>10} {:>9} {:>9}",
        "route", "exchanges", "same", "other status", "other body", "no answer", "v1 p50", "v2 p50"
    )?;
    for (name, mut route) in routes {
        writeln!(
            table,
            "{name:<16} {:>9} {:>6} {:>13} {:>11} {:>10} {:>9} {:>9}",
            route.exchanges,
            route.same,
            route.other_status,
            route.other_body,
            route.unanswered,
            median(&mut route.v1),
            median(&mut route.v2),
        )?;
    }
    Ok(table)
}

fn route(record: &Record) -> String {
    let target = String::from_utf8_lossy(&record.request.target);
    let first = target.trim_start_matches('/').split('/').next().unwrap_or_default();
    format!("{} /{first}", String::from_utf8_lossy(&record.request.method))
}

fn median(times: &mut [Duration]) -> String {
    times.sort_unstable();
    times.get(times.len() / 2).map_or_else(|| "-".into(), |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
}

impl Route {
    fn add(&mut self, record: &Record) {
        self.exchanges += 1;
        self.v1.extend(record.end);
        let answer = record.answers.first();
        self.v2.extend(answer.and_then(|answer| answer.total));
        match (&record.response, answer.and_then(|answer| answer.response.as_ref())) {
            (Some(v1), Some(v2)) if v1.status != v2.status => self.other_status += 1,
            (Some(v1), Some(v2)) if body(v1) != body(v2) => self.other_body += 1,
            (Some(_), Some(_)) => self.same += 1,
            _ => self.unanswered += 1,
        }
    }
}

fn body(response: &RecordedResponse) -> Vec<u8> {
    response.message.body.iter().flatten().copied().collect()
}
