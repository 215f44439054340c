//! Replay: recordings are a source, whose requests are sent when they are due.
//!
//! ```text
//!  reader's thread                          │ engine: a task that paces
//!                                           │
//!  Recordings ─▶ from, to ─▶ Request ── Ahead (bytes) ──▶ Schedule ─▶ Alarm ─▶ Tap ─▶ targets ─▶ Tally
//!                    ▲ again in each pass   │             when it is due,
//!                                           │             from one clock
//! ```
//!
//! The loop is open: a request leaves when it is due, whatever became of those before it. Where a bound is full (a target's `concurrency` and then its
//! queue, the byte budget) the pacer waits, and what follows is sent late and not lost. How late is measured where it counts, at the first byte that is
//! written to each target.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;

use crate::config::Config;
use crate::engine::Engine;
use crate::recording::{OpenError, Recordings};
use crate::source::Tap;
use crate::telemetry::Telemetry;

mod ahead;
mod clock;
mod pacer;
mod progress;
mod reader;
mod report;
mod request;
mod response;
mod schedule;
mod tally;
mod waits;

pub use progress::{Ending, Progress, Watch};
pub use report::{Failure, Recorded, Report, StatusChange, TargetReport, Times};
pub(crate) use tally::Tally;

use ahead::Ahead;
use pacer::Pacer;
use reader::Reader;
use schedule::Schedule;

/// The way in, as recordings and metrics call it.
pub const SOURCE: &str = "replay";

/// What is known of a request that is sent again from when it passed first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replayed {
    /// When its first byte should leave; none where requests leave as fast as they can.
    pub(crate) due: Option<Instant>,
    /// The status that it was answered with,
    pub(crate) status: Option<u16>,
    /// and how long that took, to the answer's last byte.
    pub(crate) latency: Option<Duration>,
    /// Tells the passes apart,
    pub(crate) pass: u64,
    /// and the servers, of which a client has one connection each.
    pub(crate) server: u64,
}

impl Replayed {
    /// A session of the recording, as the session that it is in this pass.
    pub(crate) fn session(&self, session: u64, is_connection: bool) -> u64 {
        let server = if is_connection { self.server } else { 0 };
        // Odd multipliers keep what differs different.
        session ^ self.pass.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ server.wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
}

/// Recordings that are open and not yet read.
pub struct Opened {
    recordings: Recordings,
}

impl Opened {
    /// Opens what is to be replayed; none where nothing is.
    ///
    /// # Errors
    /// Every recording that cannot be read.
    pub fn open(config: &Config) -> Result<Option<Opened>, Vec<OpenError>> {
        let Some(replay) = &config.replay else { return Ok(None) };
        Ok(Some(Opened { recordings: Recordings::open_with(&replay.files, &reader::options(config, replay))? }))
    }

    /// Begins to send what is read. `may_change`: there may be another configuration before it ends, with sinks that read what these do not.
    ///
    /// # Errors
    /// When the system gives no thread or timer.
    ///
    /// # Panics
    /// When the configuration has no replay: then nothing was opened by it.
    pub fn start(
        self,
        config: &Config,
        may_change: bool,
        engine: &Engine,
        telemetry: &Arc<Telemetry>,
    ) -> std::io::Result<Running> {
        let replay = config.replay.as_ref().expect("a replay that was opened");
        make_room_for_connections(config);
        let progress = Arc::new(Progress::new(replay, telemetry));
        let ahead = Arc::new(Ahead::new(replay.read_ahead.as_usize()));
        let tap = engine.tap_of(SOURCE, telemetry);
        let (stop, stopped) = watch::channel(false);
        let (done, ended) = watch::channel(false);
        let (told, last) = mpsc::channel();
        let responses = may_change || tap.reads_responses();
        let reader = Reader::new(config, replay, responses, ahead.clone(), progress.clone());
        let pacer = {
            let _within = engine.runtime().enter();
            Pacer::new(replay, tap.patient(), ahead.clone(), progress.clone(), stopped)?
        };
        let reading = std::thread::Builder::new().name("mirror-replay-read".into());
        // It is not joined: where it reads from a pipe that says nothing it would be waited for without end.
        reading.spawn(move || reader.run(self.recordings))?;
        let schedule = Schedule::new(replay);
        engine.runtime().spawn(async move {
            pacer.run(schedule).await;
            let _ = done.send(true);
            let _ = told.send(());
        });
        Ok(Running { watch: Watch::new(progress, telemetry.clone()), tap, ahead, stop, ended, last })
    }
}

/// Files and sockets that are open beside the connections to the targets.
const OTHER_FILES: u64 = 64;

/// As many connections may be open as the targets may have. The soft limit (1024 by default) is for programs that know no more than that many.
fn make_room_for_connections(config: &Config) {
    let wanted =
        config.shadow.iter().map(|shadow| shadow.concurrency.get() as u64).sum::<u64>().saturating_add(OTHER_FILES);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|current| *current < wanted) else { return };
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let done = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    if done.is_err() || raised < wanted {
        let now = if done.is_ok() { raised } else { current };
        tracing::warn!(
            open_files = now,
            "targets may have more connections than files may be open (ulimit -n): beyond that, requests fail"
        );
    }
}

/// A replay under way.
pub struct Running {
    watch: Watch,
    tap: Tap,
    ahead: Arc<Ahead>,
    stop: watch::Sender<bool>,
    /// Told by the task that sends, when it sends no more,
    ended: watch::Receiver<bool>,
    /// and again, for who cannot but wait for it.
    last: mpsc::Receiver<()>,
}

/// How often it is looked whether the last answers are there.
const LAST_ANSWERS: Duration = Duration::from_millis(2);

impl Running {
    /// Resolves when everything was sent, and every target has made something of it.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error is a task that has ended without a word.
        let _ = ended.wait_for(|ended| *ended).await;
        while !self.tap.is_settled() {
            tokio::time::sleep(LAST_ANSWERS).await;
        }
        self.watch.progress().settled();
    }

    /// Tells how far it is.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Sends no more.
    pub fn stop(self) {
        self.watch.progress().end(Ending::Interrupted);
        let _ = self.stop.send(true);
        self.ahead.close();
        if self.last.recv().is_err() {
            tracing::error!("a part of the replay ended badly");
        }
    }
}
