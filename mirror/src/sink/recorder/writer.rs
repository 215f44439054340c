//! The thread that writes: blocks as they come, and records that it encodes into blocks first.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::batch::Work;
use super::disk::Unsettled;
use super::output::Output;
use crate::budget::{Budget, Charge};
use crate::config::RecordConfig;
use crate::outcome::{DropReason, FailReason, Outcome};
use crate::recording::avro::{self, KEPT_FRAME};
use crate::recording::plain::{Plain, Refused};
use crate::recording::{BlockRef, PlainEncoder, Record};
use crate::telemetry::{Counter, Telemetry};

/// Errors of the disk are logged once in so long.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// What the thread has at hand.
pub(super) struct Writer {
    disk: DiskEnd,
    /// None for Avro, which comes in blocks.
    encoding: Option<Encoding>,
    waiting: Arc<AtomicUsize>,
}

/// The block that records are encoded into.
struct Encoding {
    encoder: PlainEncoder,
    /// When it has so many bytes it is written.
    flush_bytes: usize,
    /// Covers the block.
    charge: Charge,
    /// How many records it has.
    records: usize,
}

/// What is written to, and told of it.
struct DiskEnd {
    output: Output,
    unsettled: Unsettled,
    budget: Arc<Budget>,
    records: Counter,
    bytes: Counter,
    blocks: Counter,
    complained: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        config: &RecordConfig,
        output: Output,
        unsettled: Unsettled,
        budget: &Arc<Budget>,
        waiting: Arc<AtomicUsize>,
        telemetry: &Telemetry,
    ) -> Writer {
        let counter = |name: &str, help: &str| telemetry.counter(name, help, ("sink", config.label()));
        let flush_bytes = usize::try_from(config.flush_bytes.bytes()).unwrap_or(usize::MAX);
        let encoding = |plain| Encoding {
            encoder: PlainEncoder::new(plain, flush_bytes),
            flush_bytes,
            charge: budget.charge_alone(),
            records: 0,
        };
        Writer {
            encoding: Plain::of(config.format().kind).map(encoding),
            waiting,
            disk: DiskEnd {
                output,
                unsettled,
                budget: budget.clone(),
                records: counter("mirror_record_records_total", "Records written."),
                bytes: counter("mirror_record_bytes_total", "Bytes of records written, before compression."),
                blocks: counter("mirror_record_blocks_total", "Blocks written."),
                complained: None,
            },
        }
    }

    /// Does all that comes, and ends the recording.
    pub(super) fn run(mut self, queue: &Receiver<(Work, usize)>) {
        while let Some((work, bytes)) = self.next(queue) {
            match work {
                Work::Block(block, held) => {
                    let outcome = self.disk.write((&block).into());
                    drop((block, held));
                    self.disk.unsettled.settle(1, outcome);
                }
                Work::Records(kept) => {
                    if let Some(encoding) = &mut self.encoding {
                        // Each is let go of when it is encoded.
                        kept.into_iter().for_each(|kept| encoding.push(&kept.record, &mut self.disk));
                    }
                }
            }
            self.waiting.fetch_sub(bytes, Relaxed);
        }
        if let Some(unheld) = self.encoding.as_ref().map(|encoding| encoding.encoder.unheld()).filter(|all| all.any()) {
            tracing::info!(%unheld, "the recording's format has no place for all that was recorded");
        }
        if let Err(error) = self.disk.output.finish() {
            tracing::error!(%error, "the recording could not be ended");
        }
    }

    /// The next that is to be done; none at the end. A block that has begun is written before it is waited for.
    fn next(&mut self, queue: &Receiver<(Work, usize)>) -> Option<(Work, usize)> {
        if let Ok(next) = queue.try_recv() {
            return Some(next);
        }
        if let Some(encoding) = &mut self.encoding {
            encoding.write(&mut self.disk);
        }
        queue.recv().ok()
    }
}

impl Encoding {
    /// Encodes a record, and writes the block when it is full.
    fn push(&mut self, record: &Record, disk: &mut DiskEnd) {
        let mut encoded = self.encode(record);
        if encoded == Err(Refused::NoRoom) && self.records > 0 {
            // What is there is to leave first.
            self.write(disk);
            encoded = self.encode(record);
        }
        match encoded {
            Ok(()) => self.records += 1,
            Err(refused) => {
                let reason = match &refused {
                    Refused::NoRoom => DropReason::Memory,
                    Refused::Unfit(unfit) => {
                        tracing::warn!(error = %unfit, "an exchange cannot be recorded");
                        DropReason::Format
                    }
                };
                disk.unsettled.settle_behind(self.records, Outcome::Dropped(reason));
            }
        }
        if self.encoder.len() >= self.flush_bytes {
            self.write(disk);
        }
    }

    /// Charges what it takes at most before it is made, and keeps the charge of what was made.
    fn encode(&mut self, record: &Record) -> Result<(), Refused> {
        let (before, charge) = (self.charge.bytes(), &mut self.charge);
        let pushed = self.encoder.push(record, &mut |bytes| charge.grow(bytes).is_ok());
        self.charge.shrink_to(before + pushed.as_ref().copied().unwrap_or_default());
        pushed.map(drop)
    }

    fn write(&mut self, disk: &mut DiskEnd) {
        if self.records == 0 {
            return;
        }
        let block = self.encoder.take();
        let outcome = disk.write((&block).into());
        drop(block);
        self.charge.shrink_to(0);
        disk.unsettled.settle(std::mem::take(&mut self.records), outcome);
    }
}

/// What is held beside a block while it is made into the bytes that are written.
fn frame_bound(block: BlockRef<'_>) -> usize {
    match block {
        BlockRef::Avro(block) => avro::frame_bound(block),
        // Gzip takes five bytes more for every 16 KiB that it cannot compress, beside its head and what stands around a block.
        BlockRef::Plain(_) => block.len() + block.len() / 1024 + 1024,
    }
}

impl DiskEnd {
    /// Writes a block, and tells what becomes of its records. Its frame is held beside it meanwhile: a usual one in a buffer that is
    /// there for good, a larger one within the budget.
    fn write(&mut self, block: BlockRef<'_>) -> Outcome {
        let bound = frame_bound(block);
        let _charge = match self.budget.charge(if bound > KEPT_FRAME { bound } else { 0 }) {
            Some(charge) => charge,
            None => return Outcome::Dropped(DropReason::Memory),
        };
        match self.output.write_block(block) {
            Ok(()) => {
                self.records.inc_by(block.count());
                self.bytes.inc_by(block.len() as u64);
                self.blocks.inc();
                if self.complained.take().is_some() {
                    tracing::info!("the recording is written again");
                }
                Outcome::Delivered
            }
            Err(error) => {
                self.complain(&error, block.count());
                Outcome::Failed(match error.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailReason::DiskFull,
                    _ => FailReason::Disk,
                })
            }
        }
    }

    fn complain(&mut self, error: &std::io::Error, records: u64) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            tracing::error!(%error, records, "records are lost: the recording cannot be written");
            self.complained = Some(Instant::now());
        }
    }
}
