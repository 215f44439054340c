//! The thread that writes blocks, and the bounded queue before it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::batch::{Full, Pending};
use crate::budget::{Budget, Share};
use crate::config::RecordConfig;
use crate::engine::SETTLE;
use crate::outcome::{DropReason, FailReason, Outcome};
use crate::pressure::Backlog;
use crate::recording::avro::{self, KEPT_FRAME};
use crate::recording::file::{FileError, FileOptions, RecordingFile};
use crate::recording::{Block, RecordingStream};
use crate::sink::Shutdown;
use crate::telemetry::{Counter, Observed, Several, Telemetry};

/// Errors of the disk are logged once in so long.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Where the recording goes, in the format's own terms.
pub fn file_options(config: &RecordConfig) -> FileOptions {
    FileOptions {
        path: config.path.clone(),
        format: config.format(),
        rotate_size: config.rotate_size.map(|size| size.bytes()),
        rotate_interval: config.rotate_interval.map(|period| period.0),
        rotate_by_name: config.rotate_by_name,
        keep: config.keep.map(|size| size.bytes()),
    }
}

/// The records of the blocks that were handed to the thread, in the blocks' order. They are not in its hands, as they have to be
/// settled also where it never comes back from a write.
#[derive(Clone, Default)]
struct Unsettled(Arc<Mutex<VecDeque<Pending>>>);

impl Unsettled {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Pending>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Those of the oldest block; none once they were given up.
    fn next(&self) -> Option<Pending> {
        self.lock().pop_front()
    }
}

/// The writing end of the queue.
pub(super) struct Disk {
    // Unbounded in number: what bounds it is its bytes.
    queue: Sender<Block>,
    unsettled: Unsettled,
    waiting: Arc<AtomicUsize>,
    /// Bytes that may wait (`record.disk_queue`), within the share.
    queued: usize,
    share: Arc<Share>,
    ended: tokio::sync::oneshot::Receiver<()>,
    _observed: Observed,
}

impl Disk {
    /// Opens the recording, so that what is wrong with it is told before anything runs, and starts the thread.
    pub(super) fn open(
        config: &RecordConfig,
        budget: &Arc<Budget>,
        share: &Arc<Share>,
        telemetry: &Telemetry,
    ) -> Result<Disk, FileError> {
        let output = if config.is_stdout() { Output::stdout(config)? } else { Output::file(config)? };
        let (queue, full) = channel();
        let unsettled = Unsettled::default();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (end, ended) = tokio::sync::oneshot::channel();
        let counter = |name: &str, help: &str| telemetry.counter(name, help, ("sink", config.label()));
        let writer = Writer {
            output,
            unsettled: unsettled.clone(),
            budget: budget.clone(),
            waiting: waiting.clone(),
            records: counter("mirror_record_records_total", "Records written."),
            bytes: counter("mirror_record_bytes_total", "Bytes of records written, before compression."),
            blocks: counter("mirror_record_blocks_total", "Blocks written."),
            complained: None,
        };
        std::thread::Builder::new()
            .name("mirror-record".into())
            .spawn(move || {
                writer.run(&full);
                let _ = end.send(());
            })
            .map_err(|source| FileError::Io { path: config.path.clone(), action: "start a thread for it", source })?;
        let queued = config.disk_queue.as_usize();
        let (held, of_share) = (waiting.clone(), share.clone());
        let gauge = |name: &str, help: &str, reading| {
            telemetry.gauge_while(name, help, ("sink", config.label()), Several::Sum, reading)
        };
        let observed = gauge(
            "mirror_record_waiting_bytes",
            "Bytes of finished blocks that wait for the disk.",
            Box::new(move || held.load(Relaxed) as u64),
        )
        .and(gauge(
            "mirror_record_waiting_limit_bytes",
            "Bytes of finished blocks that may wait for the disk: record.disk_queue, within the sink's share of the byte budget.",
            Box::new(move || queued.min(of_share.limit()) as u64),
        ));
        Ok(Disk { queue, unsettled, waiting, queued, share: share.clone(), ended, _observed: observed })
    }

    /// What waits in the queue.
    pub(super) fn backlog(&self) -> Backlog {
        Backlog { waiting: self.waiting.clone(), most: self.queued }
    }

    /// Hands a block to the thread, or drops its records where that one does not keep up.
    pub(super) fn write(&self, full: Full) {
        let Full { block, pending } = full;
        let mut refused = Some(pending);
        let bytes = block.len();
        let waiting = self.waiting.fetch_add(bytes, Relaxed);
        // A single block larger than the queue may pass an idle disk: it is no slower for it.
        if waiting == 0 || waiting + bytes <= self.queued.min(self.share.limit()) {
            let mut unsettled = self.unsettled.lock();
            unsettled.extend(refused);
            if self.queue.send(block).is_ok() {
                return;
            }
            refused = unsettled.pop_back();
        }
        self.waiting.fetch_sub(bytes, Relaxed);
        if let Some(mut pending) = refused {
            pending.accounts.settle(Outcome::Dropped(DropReason::DiskSlow));
        }
    }

    /// Waits until all that was handed over is written. After a shutdown the disk has [`SETTLE`] for it, and what it has not written
    /// then is dropped: a disk that hangs may do so for ever.
    pub(super) async fn close(self, mut shutdown: Shutdown) {
        drop(self.queue);
        let too_late = async {
            let _ = shutdown.wait_for(|now| *now).await;
            tokio::time::sleep(SETTLE).await;
        };
        tokio::select! {
            _ = self.ended => {}
            () = too_late => tracing::warn!("the disk has not taken the last records: they are dropped"),
        }
        let late = std::mem::take(&mut *self.unsettled.lock());
        late.into_iter().for_each(|mut pending| pending.accounts.settle(Outcome::Dropped(DropReason::Shutdown)));
    }
}

/// Where blocks go.
enum Output {
    File(Box<RecordingFile>),
    Stream(RecordingStream),
}

impl Output {
    fn file(config: &RecordConfig) -> Result<Output, FileError> {
        let (file, found) = RecordingFile::open(file_options(config))?;
        let path = found.path.display();
        if found.blocks > 0 {
            tracing::info!(%path, blocks = found.blocks, "appending to the recording");
        }
        if found.cut > 0 {
            tracing::warn!(%path, bytes = found.cut, "a torn tail was cut off the recording");
        }
        if found.damaged > 0 {
            tracing::warn!(%path, bytes = found.damaged, "the recording is damaged; readers skip that part");
        }
        Ok(Output::File(Box::new(file)))
    }

    fn stdout(config: &RecordConfig) -> Result<Output, FileError> {
        let stream = RecordingStream::new(config.format(), std::io::stdout());
        let failed = |source| FileError::Io { path: "-".into(), action: "write to stdout", source };
        stream.map(Output::Stream).map_err(failed)
    }

    fn write_block(&mut self, block: &Block) -> std::io::Result<()> {
        match self {
            Output::File(file) => file.write_block(block),
            Output::Stream(stream) => stream.write_block(block),
        }
    }
}

/// What is held beside a block while it is made into the bytes that are written.
fn frame_bound(block: &Block) -> usize {
    match block {
        Block::Avro(block) => avro::frame_bound(block),
        // Gzip takes five bytes more for every 16 KiB that it cannot compress, beside its head and what stands around a block.
        Block::Plain(_) => block.len() + block.len() / 1024 + 1024,
    }
}

struct Writer {
    output: Output,
    unsettled: Unsettled,
    budget: Arc<Budget>,
    waiting: Arc<AtomicUsize>,
    records: Counter,
    bytes: Counter,
    blocks: Counter,
    complained: Option<std::time::Instant>,
}

impl Writer {
    fn run(mut self, full: &Receiver<Block>) {
        while let Ok(block) = full.recv() {
            let outcome = self.write(&block);
            if let Some(mut pending) = self.unsettled.next() {
                pending.accounts.settle(outcome);
            }
            self.waiting.fetch_sub(block.len(), Relaxed);
        }
        if let Output::Stream(stream) = &mut self.output
            && let Err(error) = stream.finish()
        {
            tracing::error!(%error, "the recording could not be ended");
        }
    }

    /// Writes a block, and tells what becomes of its records. Its frame is held beside it meanwhile: a usual one in a buffer that is
    /// there for good, a larger one within the budget.
    fn write(&mut self, block: &Block) -> Outcome {
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
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FailReason::DiskFull,
                    _ => FailReason::Disk,
                })
            }
        }
    }

    fn complain(&mut self, error: &std::io::Error, records: u64) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            tracing::error!(%error, records, "records are lost: the recording cannot be written");
            self.complained = Some(std::time::Instant::now());
        }
    }
}
