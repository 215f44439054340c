//! What recording costs an exchange: `cargo bench -p mirror --bench encode`.
//!
//! Prints nanoseconds a record, of one thread, for encoding (the engine's thread) and for compressing (the disk's thread).
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mirror::recording::Record;
use mirror::recording::avro::{Block, BlockEncoder, BlockFramer, Reader, Writer};

#[path = "sample.rs"]
mod sample;

use sample::exchange;

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
