//! The bounded queue before the thread that writes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use super::batch::{Full, Work};
use super::output::Output;
use super::writer::Writer;
use crate::budget::{Budget, Share};
use crate::config::RecordConfig;
use crate::engine::SETTLE;
use crate::exchange::Accounts;
use crate::outcome::{DropReason, Outcome};
use crate::pressure::Backlog;
use crate::recording::file::FileError;
use crate::sink::Shutdown;
use crate::telemetry::{Observed, Several, Telemetry};

/// The accounts of what was handed to the thread, in that order: one of a block, or of each record. They are not in its hands, as they have
/// to be settled also where it never comes back from a write.
#[derive(Clone, Default)]
pub(super) struct Unsettled(Arc<Mutex<VecDeque<Accounts>>>);

impl Unsettled {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Accounts>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Settles the oldest so many; none once they were given up.
    pub(super) fn settle(&self, count: usize, outcome: Outcome) {
        let mut all = self.lock();
        let there = count.min(all.len());
        all.drain(..there).for_each(|mut accounts| accounts.settle(outcome));
    }

    /// Settles the one that has so many before it.
    pub(super) fn settle_behind(&self, before: usize, outcome: Outcome) {
        if let Some(mut accounts) = self.lock().remove(before) {
            accounts.settle(outcome);
        }
    }
}

/// The writing end of the queue.
pub(super) struct Disk {
    // Unbounded in number: what bounds it is its bytes.
    queue: Sender<(Work, usize)>,
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
        let writer = Writer::new(config, output, unsettled.clone(), budget, waiting.clone(), telemetry);
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
            "Bytes of finished blocks, or of records that are still to be encoded, that wait for the disk.",
            Box::new(move || held.load(Relaxed) as u64),
        )
        .and(gauge(
            "mirror_record_waiting_limit_bytes",
            "Bytes that may wait for the disk: record.disk_queue, within the sink's share of the byte budget.",
            Box::new(move || queued.min(of_share.limit()) as u64),
        ));
        Ok(Disk { queue, unsettled, waiting, queued, share: share.clone(), ended, _observed: observed })
    }

    /// What waits in the queue.
    pub(super) fn backlog(&self) -> Backlog {
        Backlog { waiting: self.waiting.clone(), most: self.queued }
    }

    /// Hands a batch to the thread, or drops its records where that one does not keep up.
    pub(super) fn write(&self, full: Full) {
        let Full { work, bytes, mut accounts } = full;
        let waiting = self.waiting.fetch_add(bytes, Relaxed);
        // A single batch larger than the queue may pass an idle disk: it is no slower for it.
        if waiting == 0 || waiting + bytes <= self.queued.min(self.share.limit()) {
            let mut unsettled = self.unsettled.lock();
            let before = unsettled.len();
            unsettled.extend(accounts.drain(..));
            if self.queue.send((work, bytes)).is_ok() {
                return;
            }
            accounts.extend(unsettled.drain(before..));
        }
        self.waiting.fetch_sub(bytes, Relaxed);
        accounts.iter_mut().for_each(|accounts| accounts.settle(Outcome::Dropped(DropReason::DiskSlow)));
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
        late.into_iter().for_each(|mut accounts| accounts.settle(Outcome::Dropped(DropReason::Shutdown)));
    }
}
