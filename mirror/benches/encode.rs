//! What recording costs an exchange: `cargo bench -p mirror --bench encode`.
//!
//! Prints nanoseconds a record, of one thread, for encoding (the engine's thread) and for compressing (the disk's thread).
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use mirror::recording::avro::{Block, BlockEncoder, BlockFramer, Reader, Writer};
use mirror::recording::{Record, RecordedMessage, RecordedRequest, RecordedResponse};

const BLOCK: usize = 256 << 10;
const RECORDS: usize = 200_000;

fn main() {
    println!(
        "{:<12} {:>10} {:>12} {:>10} {:>10} {:>8}",
        "exchange", "encode ns", "compress ns", "read ns", "bytes", "in file"
    );
    for (name, body) in [("tiny", 20), ("16 KB", 16 << 10)] {
        let records = if body > 1000 { RECORDS / 20 } else { RECORDS };
        let best = (0..5).map(|_| run(records, body)).min_by_key(|run| run.encode).expect("five runs");
        let each = |time: Duration| time.as_nanos() / records as u128;
        println!(
            "{name:<12} {:>10} {:>12} {:>10} {:>10} {:>8}",
            each(best.encode),
            each(best.compress),
            each(best.read),
            best.bytes / records,
            best.in_file / records
        );
    }
}

struct Run {
    encode: Duration,
    compress: Duration,
    read: Duration,
    bytes: usize,
    in_file: usize,
}

fn run(records: usize, body: usize) -> Run {
    // As many as fill several blocks: the same record twice in one would compress as no traffic does.
    let samples: Vec<Record> = (0..4 * (BLOCK / (700 + body)) as u32).map(|n| exchange(n, body)).collect();
    let mut encoder = BlockEncoder::new(BLOCK + 2 * body);
    let mut blocks: Vec<Block> = Vec::new();
    let begun = Instant::now();
    for index in 0..records {
        encoder.push(black_box(&samples[index % samples.len()])).expect("fits");
        if encoder.len() >= BLOCK {
            blocks.push(encoder.take());
        }
    }
    let encode = begun.elapsed();
    blocks.push(encoder.take());

    let mut framer = BlockFramer::new().expect("memory");
    let begun = Instant::now();
    let in_file = blocks.iter().map(|block| framer.frame(block, &[0; 16]).expect("fits").len()).sum();
    let compress = begun.elapsed();

    let mut writer = Writer::new(Vec::new()).expect("writes to memory");
    blocks.iter().for_each(|block| writer.write_block(block).expect("writes to memory"));
    let file = writer.into_inner();
    let begun = Instant::now();
    assert_eq!(Reader::new(&file[..]).expect("a header").map(black_box).count(), records);
    let read = begun.elapsed();
    Run { encode, compress, read, bytes: blocks.iter().map(Block::len).sum(), in_file }
}

/// An exchange as browsers and services make them: a dozen headers each way.
fn exchange(n: u32, body: usize) -> Record {
    let fields = |fields: &[(&str, String)]| {
        fields.iter().map(|(name, value)| (Bytes::from(name.to_string()), Bytes::from(value.clone()))).collect()
    };
    let mix = |n: u32| n.wrapping_mul(2_654_435_761);
    let text: String = (0..body).map(|at| char::from(b'a' + (mix(at as u32 ^ n) >> 27) as u8 % 26)).collect();
    Record {
        id: u128::from(mix(n)) << 64 | u128::from(n),
        started: SystemTime::now(),
        source: "proxy".into(),
        client: Some(([10, 1, (n >> 8) as u8, n as u8], 40_000).into()),
        server: Some(([127, 0, 0, 1], 8080).into()),
        request: RecordedRequest {
            method: "GET".into(),
            target: format!("/api/v1/items/{}?page={}", mix(n), n % 7).into(),
            version: "HTTP/1.1".into(),
            message: RecordedMessage {
                headers: fields(&[
                    ("Host", "shop.example.org".into()),
                    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into()),
                    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".into()),
                    ("Accept-Language", "en-US,en;q=0.5".into()),
                    ("Accept-Encoding", "gzip, deflate, br, zstd".into()),
                    ("Referer", format!("https://shop.example.org/items?page={}", n % 7)),
                    ("Cookie", format!("session={:08x}{:08x}{:08x}; theme=dark", mix(n), mix(n + 1), mix(n + 2))),
                    ("X-Request-Id", format!("{:08x}-{:08x}", mix(n + 3), mix(n + 4))),
                    ("Connection", "keep-alive".into()),
                    ("Cache-Control", "no-cache".into()),
                ]),
                ..Default::default()
            },
        },
        response: Some(RecordedResponse {
            version: "HTTP/1.1".into(),
            status: 200,
            reason: "OK".into(),
            message: RecordedMessage {
                headers: fields(&[
                    ("Server", "nginx/1.26".into()),
                    ("Date", "Wed, 01 Jan 2025 12:00:05 GMT".into()),
                    ("Content-Type", "application/json".into()),
                    ("Content-Length", body.to_string()),
                    ("ETag", format!("\"{:08x}\"", mix(n + 5))),
                    ("Vary", "Accept-Encoding".into()),
                    ("Connection", "keep-alive".into()),
                ]),
                body: vec![text.into()],
                body_length: body as u64,
                ..Default::default()
            },
        }),
        aborted: None,
        request_end: Some(Duration::from_micros(u64::from(n % 50))),
        response_start: Some(Duration::from_micros(300 + u64::from(mix(n) % 500))),
        end: Some(Duration::from_micros(900 + u64::from(mix(n) % 500))),
        answers: vec![],
    }
}
