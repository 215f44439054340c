//! Programs of the user's own that see messages and say what goes on, by GoReplay's middleware protocol: a message is a line of hex on the program's
//! stdin, and what it prints on stdout goes on.
//!
//! ```text
//!   send(message) ─▶ InFlight ─▶ hex ─▶ stdin   ┐
//!        │              ▲  ▲                    ├ the program
//!     Reply ◀───────────┘  └─── unhex ◀─ stdout ┘ stderr ─▶ log
//! ```
//!
//! Whoever sends never waits to be let in: where a bound is full, the reply says at once that the message has failed. A program that ends is started
//! again after a pause; what it had been given has failed, and what waits is for the next one. It ends when nobody sends to it any more: its
//! stdin is closed, then it is told to end, then it is killed, with all that it has started in its process group.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::MiddlewareConfig;
use crate::outcome::Screening;
use crate::telemetry::{MiddlewareMetrics, Telemetry};

mod in_flight;
mod line;
pub(crate) mod message;
mod process;
mod seldom;
mod stderr;
mod worker;

pub use in_flight::Reply;
pub use line::{Kind, Message, MessageId, Meta};
pub(crate) use process::LONGEST_END;
use worker::Worker;

/// A program that cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {command} cannot be started: {error}")]
pub struct StartError {
    /// The key of its settings.
    pub place: String,
    /// Its command.
    pub command: String,
    /// What the system says.
    pub error: std::io::Error,
}

/// Where a program is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Whose stages it is among: a sink's, by its name, which it keeps when its key is another; or, where there is none, those of all.
    pub sink: Option<&'a str>,
    /// The key of the pipeline: `shadow[0].pipeline`.
    pub pipeline: &'a str,
    /// Which of its stages.
    pub index: usize,
}

/// A program, or several of the same that share the connections.
pub struct Middleware {
    workers: Box<[Arc<Worker>]>,
    metrics: MiddlewareMetrics,
    ending: watch::Sender<bool>,
}

impl Middleware {
    /// Gives a message to the worker of this connection, and its reply when that is there; at the latest a little after the timeout.
    pub fn send(&self, connection: u64, message: Message) -> impl Future<Output = Reply> + Send + 'static {
        let worker = connection % self.workers.len() as u64;
        let reply = self.workers[worker as usize].take(message);
        async move { reply.await.unwrap_or(Reply::Failed) }
    }

    /// How full the fullest worker's queue is where so many more come: 0 is empty, 1 is where messages fail.
    pub fn level(&self, arriving: usize) -> f32 {
        self.workers.iter().map(|worker| worker.level(arriving)).fold(0.0, f32::max)
    }

    /// Counts what became of a message that was not sent, or that was changed.
    pub fn count(&self, outcome: Screening) {
        self.metrics.messages.inc(outcome as usize);
    }
}

impl Drop for Middleware {
    fn drop(&mut self) {
        self.ending.send_replace(true);
    }
}

/// All programs of an engine. Those that the next configuration asks for too, go on running.
pub struct Programs {
    telemetry: Arc<Telemetry>,
    running: Mutex<Vec<Running>>,
    tasks: Mutex<JoinSet<()>>,
}

struct Running {
    sink: Option<String>,
    config: MiddlewareConfig,
    middleware: Weak<Middleware>,
}

/// Gathers the programs of one configuration.
pub struct Selection<'a> {
    programs: &'a Programs,
    taken: Mutex<Vec<Arc<Middleware>>>,
}

impl Programs {
    /// None yet.
    pub fn new(telemetry: &Arc<Telemetry>) -> Programs {
        Programs { telemetry: telemetry.clone(), running: Mutex::default(), tasks: Mutex::default() }
    }

    /// Begins to gather those of a configuration.
    pub fn select(&self) -> Selection<'_> {
        Selection { programs: self, taken: Mutex::default() }
    }

    /// Has all end, and waits for that; [`LONGEST_END`] at the most.
    pub(crate) async fn end(&self) {
        for running in locked(&self.running).drain(..) {
            if let Some(middleware) = running.middleware.upgrade() {
                middleware.ending.send_replace(true);
            }
        }
        let mut tasks = std::mem::take(&mut *locked(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }

    fn start(&self, place: Place<'_>, config: &MiddlewareConfig) -> Result<Arc<Middleware>, StartError> {
        let failed = |error| {
            let Place { pipeline, index, .. } = place;
            let place = format!("{pipeline}[{index}].middleware.command");
            StartError { place, command: config.command.to_string(), error }
        };
        let name: Arc<str> = config.command.to_string().into();
        let metrics = self.telemetry.middleware(&name);
        let (ending, is_ending) = watch::channel(false);
        // All of them, or none: those that are there are killed as they are dropped.
        let children = (0..config.workers.get())
            .map(|_| process::start(&config.command))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let mut tasks = locked(&self.tasks);
        while tasks.try_join_next().is_some() {}
        let workers = children.into_iter().map(|child| {
            let worker = Arc::new(Worker::new(name.clone(), config, metrics.clone()));
            tasks.spawn(worker.clone().supervise(child, is_ending.clone()));
            worker
        });
        Ok(Arc::new(Middleware { workers: workers.collect(), metrics, ending }))
    }
}

impl Selection<'_> {
    /// The program of these settings at this place: one that runs already in this pipeline, or a new one. Must be called within the runtime that is to look after it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn get(&self, place: Place<'_>, config: &MiddlewareConfig) -> Result<Arc<Middleware>, StartError> {
        let mut running = locked(&self.programs.running);
        running.retain(|it| it.middleware.strong_count() > 0);
        let is_free = |it: &Arc<Middleware>| !locked(&self.taken).iter().any(|taken| Arc::ptr_eq(taken, it));
        let found = running.iter().filter(|it| it.sink.as_deref() == place.sink && it.config == *config);
        let middleware = match found.filter_map(|it| it.middleware.upgrade()).find(is_free) {
            Some(middleware) => middleware,
            None => {
                let middleware = self.programs.start(place, config)?;
                running.push(Running {
                    sink: place.sink.map(str::to_owned),
                    config: config.clone(),
                    middleware: Arc::downgrade(&middleware),
                });
                middleware
            }
        };
        locked(&self.taken).push(middleware.clone());
        Ok(middleware)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
