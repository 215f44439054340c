//! What each format costs, and how large it is: `cargo bench -p mirror --bench formats`.
//!
//! One thread, in memory, through the writers and readers that `mirror convert` has. MB are of what an exchange carries (heads and bodies), the same
//! for all formats, so that rates can be compared. Avro's writer compresses too; its bound is 3 µs for an exchange with a small body, above
//! which the bench fails.
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::io::Cursor;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mirror::recording::{Format, Record, RecordedMessage};

#[path = "output.rs"]
mod output;
#[path = "sample.rs"]
mod sample;

use output::Output;

/// How long an exchange may take to be written in Avro.
const AVRO_WRITE: Duration = Duration::from_micros(3);

/// Each is measured so often, and the best is told: the machine's other work only adds.
const RUNS: usize = 5;

const FORMATS: [&str; 8] = ["avro", "gor", "gor.gz", "har", "har.gz", "jsonl", "jsonl.gz", "avro.gz"];

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for (name, body, count) in [("a small body (20 B)", 20, 20_000_u32), ("16 KB", 16 << 10, 1_000)] {
        let records: Vec<Record> = (0..count).map(|n| sample::exchange(n, body)).collect();
        let carried: usize = records.iter().map(carried).sum();
        println!("\n{name}: {} exchanges of {} bytes", records.len(), carried / records.len());
        println!(
            "{:<10} {:>11} {:>10} {:>10} {:>11} {:>10} {:>10} {:>9} {:>9}",
            "format", "write µs", "write /s", "write MB/s", "read µs", "read /s", "read MB/s", "bytes", "of gor.gz"
        );
        let runs: Vec<_> =
            FORMATS.iter().map(|format| (format, run(format.parse().expect("a format"), &records))).collect();
        let gor = runs.iter().find(|(format, _)| **format == "gor.gz").map_or(1, |(_, run)| run.bytes);
        for (format, run) in &runs {
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count);
            let rate = |time: Duration| f64::from(count) / time.as_secs_f64();
            let bytes = |time: Duration| carried as f64 / time.as_secs_f64() / 1e6;
            println!(
                "{format:<10} {:>11.2} {:>10.0} {:>10.0} {:>11.2} {:>10.0} {:>10.0} {:>9} {:>8.2}×",
                each(run.write),
                rate(run.write),
                bytes(run.write),
                each(run.read),
                rate(run.read),
                bytes(run.read),
                run.bytes / records.len(),
                run.bytes as f64 / gor as f64
            );
        }
        let avro = runs[0].1.write / count;
        if body < 1000 && avro > AVRO_WRITE {
            println!("too slow: an exchange in Avro is to be written in {AVRO_WRITE:?}, and took {avro:?}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

struct Run {
    write: Duration,
    read: Duration,
    bytes: usize,
}

fn run(format: Format, records: &[Record]) -> Run {
    let mut best = Run { write: Duration::MAX, read: Duration::MAX, bytes: 0 };
    for _ in 0..RUNS {
        let output = Output::default();
        let begun = Instant::now();
        let mut writer = format.writer(output.clone()).expect("writes to memory");
        records.iter().for_each(|record| writer.write(black_box(record)).expect("a format that holds it"));
        writer.finish().expect("writes to memory");
        best.write = best.write.min(begun.elapsed());
        let file = output.take();
        best.bytes = file.len();
        let begun = Instant::now();
        let mut reader = format.reader(Cursor::new(file)).expect("what was written");
        let mut count = 0;
        while let Some(record) = reader.read().expect("memory") {
            black_box(record);
            count += 1;
        }
        best.read = best.read.min(begun.elapsed());
        assert_eq!(count, records.len());
    }
    best
}

/// Bytes that a record carries.
fn carried(record: &Record) -> usize {
    let message = |message: &RecordedMessage| {
        let lines: usize = message.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        lines + message.body.iter().map(Bytes::len).sum::<usize>()
    };
    let request = &record.request;
    let response = record.response.as_ref().map_or(0, |response| 17 + message(&response.message));
    request.method.len() + request.target.len() + 14 + message(&request.message) + response
}
