//! Reads recordings ahead of time, as often as they are replayed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::process::nice;

use super::ahead::{Ahead, Item};
use super::progress::{Ending, Progress};
use super::request::Request;
use crate::config::{Config, MarkerConfig, Passes, ReplayConfig, ShadowConfig, StageConfig};
use crate::recording::{ReadOptions, ReadOrder, Recordings};

/// How many requests are handed over at once.
const BATCH: usize = 64;

/// How many bytes of them are: a few long ones are not waited for.
const BATCH_BYTES: usize = 256 * 1024;

/// How much lower the priority of the thread is that reads: what is read already goes first, and a target that shares the CPUs does not wait for what is
/// read ahead of time.
const NICE: i32 = 10;

pub(super) struct Reader {
    files: Vec<PathBuf>,
    passes: Passes,
    options: ReadOptions,
    /// The header that marks copies: it is not sent again.
    marker: Option<String>,
    /// Whether anybody may read responses.
    responses: bool,
    ahead: Arc<Ahead>,
    progress: Arc<Progress>,
}

impl Reader {
    pub(super) fn new(
        config: &Config,
        replay: &ReplayConfig,
        responses: bool,
        ahead: Arc<Ahead>,
        progress: Arc<Progress>,
    ) -> Reader {
        let ReplayConfig { files, passes, .. } = replay.clone();
        let marker = match &config.marker {
            MarkerConfig::Off => None,
            MarkerConfig::Header { name, .. } => Some(name.clone()),
        };
        Reader { files, passes, options: options(config, replay), marker, responses, ahead, progress }
    }

    /// Reads all passes, the first of which is of what is open already.
    pub(super) fn run(self, first: Recordings) {
        if let Err(error) = nice(NICE) {
            tracing::debug!(%error, "recordings are read with the priority of all else");
        }
        let mut recordings = first;
        let mut pass = 1u64;
        loop {
            match self.pass(&mut recordings, pass == 1) {
                Read::All(0) if pass == 1 => break,
                Read::All(_) if self.passes.are_over(pass) => break,
                Read::All(_) => {}
                Read::Enough => break,
            }
            let mut end = vec![Item::PassEnd];
            if !self.ahead.put(&mut end) {
                break;
            }
            pass += 1;
            recordings = match Recordings::open_with(&self.files, &self.options) {
                Ok(recordings) => recordings,
                Err(errors) => {
                    for error in errors {
                        self.progress.unread(error.to_string());
                    }
                    break;
                }
            };
        }
        self.progress.all_read();
        self.ahead.end();
    }

    /// Reads all once.
    fn pass(&self, recordings: &mut Recordings, is_first: bool) -> Read {
        let (mut batch, mut bytes, mut count) = (Vec::with_capacity(BATCH), 0, 0);
        while let Some(record) = recordings.next() {
            let late = recordings.late();
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    self.progress.unread(error.to_string());
                    self.progress.end(Ending::Unreadable);
                    self.ahead.put(&mut batch);
                    return Read::Enough;
                }
            };
            if is_first {
                self.progress.read.fetch_add(1, Relaxed);
                if self.options.order == ReadOrder::ByStart {
                    self.progress.out_of_order.store(late, Relaxed);
                }
            }
            let request = match Request::of(record, self.marker.as_deref(), self.responses) {
                Ok(request) => request,
                Err(reason) => {
                    self.progress.leave_out(reason);
                    continue;
                }
            };
            self.progress.read_to(request.started);
            count += 1;
            bytes += request.cost;
            batch.push(Item::Request(Box::new(request)));
            if batch.len() == BATCH || bytes >= BATCH_BYTES {
                bytes = 0;
                if !self.ahead.put(&mut batch) {
                    return Read::Enough;
                }
            }
        }
        if !batch.is_empty() && !self.ahead.put(&mut batch) {
            return Read::Enough;
        }
        if is_first {
            for (path, losses) in recordings.losses() {
                tracing::warn!(recording = %path.display(), %losses, "not all of it can be read");
                self.progress.unread(path.display().to_string());
            }
        }
        Read::All(count)
    }
}

/// What of the recordings is replayed, and in which order.
pub(super) fn options(config: &Config, replay: &ReplayConfig) -> ReadOptions {
    let order = if is_in_order(config, replay) { ReadOrder::ByStart } else { ReadOrder::AsRecorded };
    ReadOptions { from: replay.from, to: replay.to, order, ..ReadOptions::default() }
}

/// Whether it shows which request is read first: not where all go as fast as they can, many at once, and none of them for another. There tens of
/// thousands would be held back, and fall out of the CPU's caches, for an order that is lost on their way.
fn is_in_order(config: &Config, replay: &ReplayConfig) -> bool {
    let carries = |pipeline: &[StageConfig]| pipeline.iter().any(|stage| matches!(stage, StageConfig::Carry(_)));
    let of_target =
        |shadow: &ShadowConfig| shadow.order.is_some() || shadow.concurrency.get() == 1 || carries(&shadow.pipeline);
    !replay.is_untimed() || replay.limit.is_some() || carries(&config.pipeline) || config.shadow.iter().any(of_target)
}

/// How far it read.
enum Read {
    /// To the end; so many requests.
    All(u64),
    /// As far as it can, or anybody takes it.
    Enough,
}
