//! Records exchanges. Each is collected while it flows, encoded when it has ended and its targets have answered, and written in
//! blocks by a thread of its own: a disk that is slow or full costs records, and nobody else anything. That thread also encodes, where the format is another than
//! Avro: it takes longer than all else that is done for an exchange.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::budget::{Budget, Share};
use crate::config::RecordConfig;
use crate::exchange::Account;
use crate::pressure::Backlog;
use crate::queue::{ExchangeStream, Offer};
use crate::recording::file::FileError;
use crate::sink::{Shutdown, Sink};
use crate::telemetry::Telemetry;

mod batch;
mod collect;
mod disk;
mod output;
mod writer;

use batch::Batch;
use collect::Collecting;
use disk::Disk;
pub use output::file_options;

/// Exchanges that may wait to be picked up. The recorder only has to begin with each, so that this is a pause of the engine's.
pub(super) const QUEUE: usize = 4096;

/// How many of these are taken in a row.
const AT_ONCE: usize = 64;

/// How far behind its collecting may be, beside what it keeps: as far as a target by default, which is 40 ms of a fast upload.
pub(super) const READ_AHEAD: u64 = 4 * 1024 * 1024;

/// The sink that writes a recording.
pub struct Recorder {
    responses: bool,
    answers: bool,
    max_body: u64,
    flush_bytes: usize,
    flush_interval: Duration,
    answer_wait: Duration,
    batch: Mutex<Batch>,
    disk: Disk,
}

impl Recorder {
    /// Opens the recording and starts its thread. What is held until it is written counts to `share`.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn open(
        config: &RecordConfig,
        budget: &Arc<Budget>,
        share: &Arc<Share>,
        telemetry: &Telemetry,
    ) -> Result<Recorder, FileError> {
        let flush_bytes = usize::try_from(config.flush_bytes.bytes()).unwrap_or(usize::MAX);
        Ok(Recorder {
            responses: config.responses,
            answers: config.answers,
            max_body: config.max_body.bytes(),
            flush_bytes,
            flush_interval: config.flush_interval.0,
            answer_wait: config.answer_wait.0,
            batch: Mutex::new(Batch::new(config.format(), flush_bytes, budget, share)),
            disk: Disk::open(config, budget, share, telemetry)?,
        })
    }

    /// What waits for the disk.
    pub(super) fn backlog(&self) -> Backlog {
        self.disk.backlog()
    }

    /// Collects one exchange to its end and records it.
    async fn record(&self, mut collecting: Collecting, account: Account) {
        if let Err(reason) = collecting.read(self.max_body).await {
            return account.dropped(reason);
        }
        self.push(&mut collecting, account).await;
    }

    /// Records an exchange whose bodies have been read. What is left of it then is its head and the like, which the caller has just read: it is
    /// freed at once.
    async fn push(&self, collecting: &mut Collecting, account: Account) {
        if self.answers && collecting.is_answered() {
            collecting.read_answers(self.answer_wait).await;
        }
        let mut batch = self.batch();
        let refused = batch.push(collecting, account).err();
        // Where there is no room for more, what is there is to leave at once.
        if batch.len() >= self.flush_bytes || (refused.is_some() && !batch.is_empty()) {
            self.disk.write(batch.take());
        }
        if let Some((account, reason)) = refused {
            account.dropped(reason);
        }
    }

    fn flush(&self) {
        let mut batch = self.batch();
        if !batch.is_empty() {
            self.disk.write(batch.take());
        }
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Sink for Recorder {
    async fn run(self, mut stream: ExchangeStream, mut shutdown: Shutdown) {
        let recorder = Arc::new(self);
        let mut collecting = JoinSet::new();
        let mut tick = interval(recorder.flush_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = true;
        while open || !collecting.is_empty() {
            let mut offer = tokio::select! {
                offer = stream.next(), if open => {
                    open = offer.is_some();
                    offer
                }
                Some(_) = collecting.join_next() => {
                    while collecting.try_join_next().is_some() {}
                    continue;
                }
                _ = tick.tick() => {
                    recorder.flush();
                    continue;
                }
                _ = shutdown.wait_for(|now| *now) => break,
            };
            // What waits already is taken without looking at all else each time; for so many, that all else has its turn.
            for more in (0..AT_ONCE).rev() {
                let Some(Offer { exchange, account }) = offer.take() else { break };
                // A task for one that has nothing to wait for would cost as much as all else that is done for it, and so are most that a
                // listener offers.
                let is_over = exchange.is_over() && exchange.own_changes().is_empty();
                let mut begun = Collecting::new(exchange, recorder.responses);
                match if is_over { begun.take(recorder.max_body) } else { Ok(false) } {
                    Ok(true) => recorder.push(&mut begun, account).await,
                    Ok(false) => {
                        let recorder = recorder.clone();
                        collecting.spawn(async move { recorder.record(begun, account).await });
                    }
                    Err(reason) => account.dropped(reason),
                }
                if more > 0 {
                    offer = stream.try_next();
                }
            }
        }
        // Settles what is still being collected as dropped at shutdown, before the last block.
        collecting.shutdown().await;
        recorder.flush();
        if let Some(recorder) = Arc::into_inner(recorder) {
            recorder.disk.close(shutdown).await;
        }
    }
}
