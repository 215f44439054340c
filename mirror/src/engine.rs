//! Builds the engine from its configuration, runs it on threads of its own, and drains it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::budget::Budget;
use crate::config::Config;
use crate::control::Control;
use crate::fanout;
use crate::middleware::{LONGEST_END, StartError};
use crate::recording::file::FileError;
use crate::sink::SinkSlot;
use crate::source::Tap;
use crate::telemetry::Telemetry;

/// After the drain's limit, how long sinks have to settle what they hold: a recorder writes its last block in it.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

/// An engine that has had something to do twice within this is busy.
const BUSY: Duration = Duration::from_micros(500);

/// How long a busy engine rests. At 10,000 requests a second it is the time of three, which a copy's latency bears.
const REST: Duration = Duration::from_micros(300);

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The recording cannot be written.
    #[error(transparent)]
    Record(#[from] FileError),
    /// A middleware's program cannot be started.
    #[error(transparent)]
    Middleware(#[from] StartError),
    /// There is no key for hashes.
    #[error("redact: {0}")]
    Redact(#[source] std::io::Error),
    /// No thread, or no randomness, is to be had from the system.
    #[error("the engine cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// A running engine.
pub struct Engine {
    tap: Tap,
    runtime: Handle,
    control: Control,
    drain: watch::Sender<bool>,
    shutdown: watch::Sender<bool>,
    /// Told when the sinks have ended, and again when all has.
    finished: std::sync::mpsc::Receiver<()>,
    budget: Arc<Budget>,
    seen: crate::telemetry::Counter,
}

impl Engine {
    /// Opens the sinks and starts the threads. `source` names the way in of [`tap`](Self::tap), for its counters.
    ///
    /// # Errors
    /// When a recording cannot be opened, a key not read, a program not started, or the system gives no thread.
    pub fn start(config: &Config, source: &str, telemetry: &Arc<Telemetry>) -> Result<Engine, EngineError> {
        let budget = Budget::new(usize::try_from(config.limits.memory.bytes()).unwrap_or(usize::MAX));
        let (drain, draining) = watch::channel(false);
        let (shutdown, shutting_down) = watch::channel(false);
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let (finish, finished) = std::sync::mpsc::channel();
        let settled = finish.clone();

        // A replay has nobody to spare, and is to be on time, or as fast as can be.
        let is_replay = config.replay.is_some();
        let threads = config.engine.threads.get();
        let mut builder = match threads {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder
            .worker_threads(threads)
            .thread_name("mirror-engine")
            .on_thread_start(move || {
                if !is_replay {
                    yield_to_others();
                }
            })
            .on_thread_park(move || {
                if !is_replay {
                    rest_when_busy();
                }
            })
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let control = Control::start(config, handle.clone(), shutting_down, &budget, telemetry)?;
        observe(telemetry, &budget);
        let metrics = telemetry.source(source);
        let seen = metrics.seen.clone();
        let tap = Tap::new(arrivals, budget.clone(), control.generation(), metrics).map_err(std::io::Error::other)?;

        let sinks = control.clone();
        std::thread::Builder::new().name("mirror-engine".into()).spawn(move || {
            if !is_replay {
                yield_to_others();
            }
            runtime.block_on(async move {
                if let Err(error) = tokio::spawn(fanout::run(arriving, draining)).await {
                    tracing::error!(%error, "the fan-out ended badly");
                }
                sinks.close().await;
                let _ = settled.send(());
                // No message is on its way to them any more.
                sinks.end_programs().await;
            });
            runtime.shutdown_timeout(SETTLE);
            let _ = finish.send(());
        })?;
        Ok(Engine { tap, runtime: handle, control, drain, shutdown, finished, budget, seen })
    }

    /// What sources hold.
    pub fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// What the sources of another way in hold.
    pub fn tap_of(&self, source: &str, telemetry: &Telemetry) -> Tap {
        self.tap.counted_by(telemetry.source(source))
    }

    /// Changes it while it runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The sinks with their counters, as they are now; see [`Control::all_sinks`] for later.
    pub fn sinks(&self) -> Vec<SinkSlot> {
        self.control.all_sinks()
    }

    /// Its threads, for a source that is a task among the sinks'.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Exchanges that the source of [`tap`](Self::tap) has seen.
    pub fn seen(&self) -> crate::telemetry::Counter {
        self.seen.clone()
    }

    /// The byte budget.
    pub fn budget(&self) -> Arc<Budget> {
        self.budget.clone()
    }

    /// Takes no more exchanges, lets the sinks finish what they have within `limit`, then ends them. Gives whether all finished
    /// in time; either way every account is settled afterwards.
    pub fn drain(self, limit: Duration) -> bool {
        let _ = self.drain.send(true);
        drop(self.tap);
        let in_time = self.finished.recv_timeout(limit).is_ok();
        if !in_time {
            let _ = self.shutdown.send(true);
            let _ = self.finished.recv_timeout(2 * SETTLE);
        }
        // Then middlewares end.
        let _ = self.finished.recv_timeout(LONGEST_END + SETTLE);
        in_time
    }
}

/// Has the calling thread not take the CPU from one that runs when there is something to do (SCHED_BATCH, see sched(7)): the proxy's finishes its turn
/// first, which also halves the engine's wake-ups. The engine's claim to a CPU that is short stays a thread's full one. A nicer engine
/// (nice(2)) starved: on one CPU with a proxy that took all of it, one copy in six was dropped, and the primary was no faster for it.
fn yield_to_others() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the one pointer is to a value that lives. 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &none) } != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "the engine's threads are scheduled as any other");
    }
}

/// Called when an engine thread has nothing to do at the moment. Under load the next event is microseconds away, and to wait for
/// it in the kernel costs a wake-up for each: the proxy's thread writes to an event descriptor, and is preempted by the engine's. So a
/// busy engine rests for [`REST`] and then finds many events at once (network drivers poll for the same reason). An idle one does not rest:
/// a lone exchange is shadowed at once.
fn rest_when_busy() {
    thread_local! {
        static PARKED: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let before = PARKED.replace(Some(Instant::now()));
    if before.is_some_and(|before| before.elapsed() < BUSY) {
        std::thread::sleep(REST);
        PARKED.set(Some(Instant::now()));
    }
}

fn observe(telemetry: &Telemetry, budget: &Arc<Budget>) {
    let of_budget = |name: &str, help: &str, read: fn(&Budget) -> usize| {
        let budget = budget.clone();
        telemetry.gauge(name, help, Box::new(move || read(&budget) as u64));
    };
    of_budget("mirror_memory_used_bytes", "Bytes of exchanges held now.", Budget::used);
    of_budget("mirror_memory_peak_bytes", "The most bytes of exchanges held so far.", Budget::peak);
    of_budget("mirror_memory_limit_bytes", "The byte budget (limits.memory).", Budget::limit);
}
