//! Changes a running engine: other settings, a sink that pauses, another fraction.
//!
//! Every change makes a generation of stages and sinks, and puts it in the place of the one before. What is under way notices nothing, and the
//! source that begins an exchange meanwhile waits for nobody. Changes are made one after another.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

use crate::budget::Budget;
use crate::config::{Config, Fraction};
use crate::engine::EngineError;
use crate::generation::Generation;
use crate::middleware::Programs;
use crate::queue::Queue;
pub use crate::reload::Change;
use crate::reload::{Before, Next, Wanted};
use crate::sink::{Planner, Shutdown, SinkSlot};
use crate::telemetry::{Observed, Reading, Several, Telemetry};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The settings ask for what cannot be had.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is no such sink.
    #[error("there is no sink {name:?}, only {}", there.join(", "))]
    NoSink {
        /// What was asked for.
        name: String,
        /// What there is.
        there: Vec<String>,
    },
    /// The engine ends.
    #[error("mirror is draining, and changes nothing any more")]
    Draining,
}

/// A sink as it is now.
pub struct SinkNow {
    /// What is counted of it and stands before it.
    pub slot: SinkSlot,
    /// Where its exchanges go: an address or a file.
    pub to: String,
    /// The fraction that the settings say.
    pub configured: Fraction,
    /// Copies that wait.
    pub waiting: usize,
}

/// Changes a running engine. Cheap to clone; after the engine's end it still tells what was counted.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    budget: Arc<Budget>,
    telemetry: Arc<Telemetry>,
    /// Those that stages have messages go through.
    programs: Programs,
    runtime: Handle,
    shutting_down: Shutdown,
    generation: Arc<ArcSwap<Generation>>,
    /// Held while a change is made, and a recording opened.
    changing: Mutex<()>,
    /// What the generation was made of.
    config: Mutex<Arc<Config>>,
    /// The sinks that run, those of earlier generations among them; none once the engine takes no more. Never held for long: the drain must not wait.
    running: Mutex<Option<JoinSet<()>>>,
    known: Mutex<Known>,
}

/// The sinks that there have been, each name once.
#[derive(Default)]
struct Known {
    sinks: Vec<SinkSlot>,
    /// So many of them, the first ones, are there.
    there: usize,
}

impl Control {
    /// Opens the sinks of a configuration and has them run.
    ///
    /// # Errors
    /// When a recording cannot be opened, or a stage not be built. Nothing runs then.
    pub(crate) fn start(
        config: &Config,
        runtime: Handle,
        shutting_down: Shutdown,
        budget: &Arc<Budget>,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Control, EngineError> {
        let programs = Programs::new(telemetry);
        let next = {
            let _within = runtime.enter();
            Next::of(None, &Planner { config, programs: &programs.select(), budget, telemetry })?
        };
        let held = Arc::new(AtomicUsize::new(0));
        let generation = Generation::new(next.pipeline.clone(), Vec::new(), Vec::new(), budget.clone(), held.clone());
        let control = Control(Arc::new(Inner {
            budget: budget.clone(),
            telemetry: telemetry.clone(),
            programs,
            runtime,
            shutting_down,
            generation: Arc::new(ArcSwap::from_pointee(generation)),
            changing: Mutex::default(),
            config: Mutex::new(Arc::new(config.clone())),
            running: Mutex::new(Some(JoinSet::new())),
            known: Mutex::default(),
        }));
        let held: Reading = Box::new(move || held.load(Relaxed) as u64);
        telemetry.gauge("mirror_pipeline_held", "Exchanges that wait for what a stage needs of them.", held);
        let generation = control.0.generation.clone();
        let paused =
            move || generation.load().sinks.iter().map(|sink| (sink.name.clone(), sink.paused.into())).collect();
        telemetry.gauges_now("mirror_sink_paused", "1 while a sink is paused.", "sink", Box::new(paused));
        control.put(next).map_err(|_| ()).expect("an engine that begins does not drain");
        Ok(control)
    }

    /// Runs on with these settings: stages and sinks are from now on as they say. All of it, or where there is an error nothing.
    ///
    /// What the engine cannot change while it runs (`limits`, `engine`, what is said of a recording that goes on in the same file) is taken to be as it was;
    /// [`Config::reloaded`] gives such a configuration. Sinks that the settings do not know any more finish what they have.
    ///
    /// # Errors
    /// When a recording cannot be opened, a stage not be built, or the engine drains.
    pub fn reload(&self, config: &Config) -> Result<Vec<Change>, ControlError> {
        let inner = &*self.0;
        let _one_by_one = locked(&inner.changing);
        if locked(&inner.running).is_none() {
            return Err(ControlError::Draining);
        }
        let (before, generation) = (locked(&inner.config).clone(), inner.generation.load_full());
        let mut next = {
            let (programs, _within) = (inner.programs.select(), inner.runtime.enter());
            let planner = Planner { config, programs: &programs, budget: &inner.budget, telemetry: &inner.telemetry };
            Next::of(Some(&Before { config: &before, generation: &generation }), &planner)?
        };
        let changes = std::mem::take(&mut next.changes);
        self.put(next)?;
        *locked(&inner.config) = Arc::new(config.clone());
        Ok(changes)
    }

    /// Gives a sink nothing more until it is resumed; it finishes what it has. What it would have got counts as skipped.
    ///
    /// # Errors
    /// When there is no such sink, or the engine drains.
    pub fn pause(&self, sink: &str) -> Result<(), ControlError> {
        self.alter(sink, |sink| sink.paused = true)
    }

    /// The other way about.
    ///
    /// # Errors
    /// When there is no such sink, or the engine drains.
    pub fn resume(&self, sink: &str) -> Result<(), ControlError> {
        self.alter(sink, |sink| sink.paused = false)
    }

    /// Gives a sink this fraction of the exchanges, until the settings have another for it than now.
    ///
    /// # Errors
    /// When there is no such sink, or the engine drains.
    pub fn set_fraction(&self, sink: &str, fraction: Fraction) -> Result<(), ControlError> {
        self.alter(sink, |sink| sink.fraction = fraction)
    }

    /// The sinks that there are.
    pub fn sinks(&self) -> Vec<SinkNow> {
        let config = locked(&self.0.config).clone();
        let generation = self.0.generation.load();
        let queues = generation.queues.iter().map(Queue::waiting).chain(std::iter::repeat(0));
        let there = Wanted::all(&config).into_iter().zip(generation.sinks.iter().cloned()).zip(queues);
        let now = |((wanted, slot), waiting): ((Wanted<'_>, SinkSlot), usize)| SinkNow {
            to: wanted.to(),
            configured: wanted.fraction(&config),
            slot,
            waiting,
        };
        there.map(now).collect()
    }

    /// All sinks with their counters: first those that there are, then those that there have been and that were offered anything.
    pub fn all_sinks(&self) -> Vec<SinkSlot> {
        let known = locked(&self.0.known);
        let (there, gone) = known.sinks.split_at(known.there);
        there.iter().chain(gone.iter().filter(|sink| sink.metrics.is_counted())).cloned().collect()
    }

    /// What sources load.
    pub(crate) fn generation(&self) -> Arc<ArcSwap<Generation>> {
        self.0.generation.clone()
    }

    /// Nothing comes to the sinks any more, and nothing is changed; resolves when all have ended.
    pub(crate) async fn close(&self) {
        let running = {
            let mut running = locked(&self.0.running);
            // A sink ends when its queue has. Taps may be there longer than the engine, and they have the generation.
            self.0.generation.rcu(|last| last.closed());
            running.take()
        };
        let Some(mut running) = running else { return };
        while let Some(how) = running.join_next().await {
            ended(how);
        }
    }

    /// Ends the programs that stages had; once no message is on its way to them any more.
    pub(crate) async fn end_programs(&self) {
        self.0.programs.end().await;
    }

    /// The same sinks, one of them altered.
    fn alter(&self, name: &str, alter: impl FnOnce(&mut SinkSlot)) -> Result<(), ControlError> {
        let _one_by_one = locked(&self.0.changing);
        let generation = self.0.generation.load_full();
        let mut sinks = generation.sinks.to_vec();
        let Some(sink) = sinks.iter_mut().find(|sink| sink.name == name) else {
            let there = sinks.into_iter().map(|sink| sink.name).collect();
            return Err(ControlError::NoSink { name: name.to_owned(), there });
        };
        alter(sink);
        let (pipeline, queues) = (generation.pipeline.clone(), generation.queues.clone());
        self.put(Next { pipeline, sinks, queues, beginning: Vec::new(), changes: Vec::new() })
    }

    /// Puts it in the place of what is there, and has those sinks run that begin.
    fn put(&self, next: Next) -> Result<(), ControlError> {
        let inner = &*self.0;
        let Next { pipeline, sinks, queues, beginning, .. } = next;
        let mut running = locked(&inner.running);
        let running = running.as_mut().ok_or(ControlError::Draining)?;
        while let Some(how) = running.try_join_next() {
            ended(how);
        }
        for (number, stream, run) in beginning {
            let observed = observe(&inner.telemetry, &sinks[number], &queues[number]);
            let ending = run(stream, inner.shutting_down.clone());
            running.spawn_on(
                async move {
                    ending.await;
                    drop(observed);
                },
                &inner.runtime,
            );
        }
        // Those that finish what they have keep theirs: the byte budget bounds all of them together.
        let share = inner.budget.limit() / (sinks.len() + 1);
        sinks.iter().for_each(|sink| sink.share.set_limit(share));
        let mut known = locked(&inner.known);
        let before = std::mem::take(&mut known.sinks).into_iter();
        let gone = before.filter(|before| sinks.iter().all(|sink| sink.name != before.name));
        *known = Known { sinks: sinks.iter().cloned().chain(gone).collect(), there: sinks.len() };
        let held = inner.generation.load().held.clone();
        inner.generation.store(Arc::new(Generation::new(pipeline, sinks, queues, inner.budget.clone(), held)));
        Ok(())
    }
}

fn ended(how: Result<(), JoinError>) {
    if let Err(error) = how {
        tracing::error!(%error, "a sink ended badly");
    }
}

/// What is told of a sink as long as it runs. Two of one name, of which one finishes what it has, have their counters together.
fn observe(telemetry: &Telemetry, sink: &SinkSlot, queue: &Queue) -> Observed {
    let gauge = |name: &str, help: &str, several, reading: Reading| {
        telemetry.gauge_while(name, help, ("sink", &sink.name), several, reading)
    };
    let (length, limit) = (queue.length(), sink.queue as u64);
    let (held, most, metrics) = (sink.share.clone(), sink.share.clone(), sink.metrics.clone());
    [
        gauge("mirror_sink_queue_length", "Copies that wait.", Several::Sum, Box::new(move || length.get() as u64)),
        gauge("mirror_sink_queue_limit", "Copies that may wait.", Several::Sum, Box::new(move || limit)),
        gauge(
            "mirror_sink_held_bytes",
            "Bytes of bodies that the sink holds back.",
            Several::Sum,
            Box::new(move || held.held() as u64),
        ),
        gauge(
            "mirror_sink_held_limit_bytes",
            "Bytes of bodies that the sink may hold back: its share of the byte budget.",
            Several::Sum,
            Box::new(move || most.limit() as u64),
        ),
        gauge(
            "mirror_sink_in_flight",
            "Exchanges offered whose account is not settled.",
            Several::Most,
            Box::new(move || metrics.in_flight()),
        ),
    ]
    .into_iter()
    .fold(Observed::default(), Observed::and)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
