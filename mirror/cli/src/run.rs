//! `mirror --listen …`, `mirror --capture …`, `mirror replay …` and `mirror run FILE`: boots, serves, listens or replays, drains, sums up.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mirror::config::{Config, Fault, Faults, Period, RecordConfig};
use mirror::engine::{Engine, EngineError};
use mirror::replay::Watch;
use mirror::telemetry::Telemetry;
use mirror_proxy::{BindError, EGRESS, INGRESS, Listeners, Proxy};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::action::{Refused, Settings};
use crate::admin::Admin;
use crate::hangup::Hangups;
use crate::interrupt::CUT_SHORT;
use crate::listener::{self, Listener};
use crate::log::Log;
use crate::notify;
use crate::reload::{self, Reloader};
use crate::replay::{self, Replay};
use crate::status::{self, StatusLine, Sums};
use crate::watch;

/// The exit code after a second signal: the drain was not waited for.
const EXIT_CUT_SHORT: i32 = 1;

/// Runs until a signal, `exit_after`, or the end of the saved captures where there is nothing else. Nothing is served before everything that can fail has not.
pub(crate) fn run(config: &Config, from: Option<Settings>) -> anyhow::Result<ExitCode> {
    let mut log = crate::log::start(&config.log);
    let runtime = control_runtime()?;
    // Before anything is bound: a signal that comes while the start is under way drains too.
    let (mut signals, hangups) = {
        let _on = runtime.enter();
        (Signals::new()?, Hangups::new()?)
    };
    let opened = runtime.block_on(async {
        tokio::select! {
            opened = replay::Opened::open_apart(config) => Some(opened),
            _ = signals.next() => None,
        }
    });
    // Nothing was sent, and there is nothing to drain.
    let Some(replay) = opened.transpose()? else { return Ok(ExitCode::from(CUT_SHORT)) };
    let running = match Running::start(config, runtime, from, Some(&mut log), replay) {
        Ok(running) => running,
        Err(Failed::Input(faults)) => return Ok(crate::refuse(&Refused { what: "mirror".to_owned(), faults })),
        Err(Failed::System(error)) => return Err(error),
    };
    running.until_told(signals, hangups, log)
}

/// The runtime of the main thread: admin endpoint, signals, status line.
pub(crate) fn control_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Why nothing was started.
pub(crate) enum Failed {
    /// What was asked for cannot be had; every fault of it.
    Input(Faults),
    /// The system did not play along.
    System(anyhow::Error),
}

/// A proxy, a listener or both, or a replay, their engine and its admin endpoint, serving.
pub(crate) struct Running {
    reloader: Arc<Reloader>,
    proxy: Option<Proxy>,
    listener: Option<Listener>,
    replay: Option<Replay>,
    engine: Engine,
    sums: Sums,
    admin: Admin,
    /// Admin, signals and the status line; the main thread's own.
    runtime: Runtime,
    pub(crate) addresses: Vec<std::net::SocketAddr>,
}

impl Running {
    /// Binds and starts everything, or nothing. What is replayed is open, or cannot be.
    pub(crate) fn start(
        config: &Config,
        runtime: Runtime,
        from: Option<Settings>,
        mut log: Option<&mut Log>,
        replay: Result<Option<replay::Opened>, Vec<Fault>>,
    ) -> Result<Running, Failed> {
        let telemetry = Telemetry::new();

        // Everything that the outside world can refuse is asked for first, so that all refusals are told together.
        let mut faults = Faults::default();
        let listeners = Listeners::bind(&config.listen, &config.proxy).map_err(|errors| {
            let taken = |e: &BindError| {
                Fault::new("listen", e.address, format!("an address that can be listened on ({})", e.error))
            };
            faults.0.extend(errors.iter().map(taken));
        });
        let captures = listener::Opened::open(config).map_err(|refused| faults.0.extend(refused));
        let replay = replay.map_err(|refused| faults.0.extend(refused));
        let admin = Admin::bind(config, &telemetry).map_err(|error| {
            faults.0.push(Fault::new(
                "admin",
                &config.admin.address,
                format!("an address that can be listened on ({error})"),
            ));
        });
        for record in config.record.iter().filter(|record| !record.is_stdout()) {
            if let Err(error) = mirror::recording::file::check(&mirror::sink::file_options(record)) {
                let expected = format!("a path that can be recorded to ({error})");
                faults.0.push(Fault::new("record", record.path.display(), expected));
            }
        }
        let (Ok(listeners), Ok(captures), Ok(replay), Ok(admin), true) =
            (listeners, captures, replay, admin, faults.0.is_empty())
        else {
            return Err(Failed::Input(faults));
        };
        if let Some(captures) = &captures {
            captures.drop_privileges(config);
        }
        if let Some(log) = &mut log {
            log.start_thread(&telemetry);
        }

        let engine = Engine::start(config, INGRESS, &telemetry).map_err(|error| match error {
            EngineError::System(error) => Failed::System(error.into()),
            error => Failed::Input(reload::fault(&error).into()),
        })?;
        let addresses = listeners.addresses();
        let egress = config.proxy.transparent.map(|_| engine.tap_of(EGRESS, &telemetry));
        let is_egress_seen = egress.is_some();
        let proxy = match addresses.is_empty() {
            false => Some(
                Proxy::start(config, listeners, engine.tap(), egress, &telemetry)
                    .map_err(|error| Failed::System(anyhow::Error::msg(error.to_string())))?,
            ),
            true => None,
        };
        let listener = captures.map(|captures| captures.start(&engine, &telemetry)).transpose();
        let listener = listener.map_err(|error| Failed::System(error.into()))?;
        let sources: Vec<&str> = proxy
            .iter()
            .map(|_| INGRESS)
            .chain(is_egress_seen.then_some(EGRESS))
            .chain(listener.iter().map(|_| listener::SOURCE))
            .chain(replay.iter().map(|_| mirror::replay::SOURCE))
            .collect();
        let sums = Sums::of(&engine, &sources, &telemetry);
        for address in &addresses {
            tracing::info!(%address, upstream = config.upstream.as_ref().map(ToString::to_string), "listening");
        }
        for capture in &config.capture {
            tracing::info!(%capture, "capturing");
        }
        if let Some(replay) = &config.replay {
            let recordings = replay.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
            tracing::info!(recordings, "replaying");
        }
        let level = log.map(|log| log.level.clone());
        let may_change = from.is_some();
        let reloader = Reloader::new(config, from, engine.control(), level, &telemetry);
        watch::start(&reloader).map_err(|error| Failed::System(error.into()))?;
        admin.serve(&runtime, &reloader);
        // Last, so that all else is there from its first request on.
        let replay = replay.map(|replay| replay.start(config, may_change, &engine, &telemetry)).transpose();
        let replay = replay.map_err(|error| Failed::System(error.into()))?;
        Ok(Running { reloader, proxy, listener, replay, engine, sums, admin, runtime, addresses })
    }

    /// Serves until it is told to end or has nothing more to do, then ends.
    fn until_told(self, mut signals: Signals, mut hangups: Hangups, log: Log) -> anyhow::Result<ExitCode> {
        let mut log = Some(log);
        let replayed = self.replay.as_ref().map(|replay| replay.running.watch());
        let line = StatusLine::new(self.sums.clone(), replayed.clone());
        notify::tell(notify::READY);
        self.runtime.block_on(async {
            tokio::select! {
                name = signals.next() => tracing::info!(signal = name, "draining"),
                () = hung_up(&mut hangups, &self.reloader) => tracing::info!("the terminal is gone: draining"),
                () = exit_after(self.reloader.config().exit_after) => tracing::info!("exit_after: draining"),
                () = self.read_to_the_end() => tracing::info!("the saved captures are read: draining"),
                () = self.replayed() => {}
                () = keep_telling(replayed.as_ref()) => {}
                () = line.show() => {}
            }
        });
        line.clear();
        // From here on a second signal ends at once, wherever the drain is.
        let until = std::thread::Builder::new().name("mirror-drain".into());
        let Running { reloader, proxy, listener, replay, engine, sums, admin, runtime, .. } = self;
        admin.draining();
        notify::tell(notify::STOPPING);
        // What stdout has already is no table's.
        let records_to_stdout = reloader.config().record.iter().any(RecordConfig::is_stdout);
        let cut = listener.as_ref().and_then(Listener::cut);
        let (replay, replayed) = replay.map(Replay::split).unzip();
        let draining = until.spawn(move || drain(&reloader.config(), proxy, listener, replay, engine, &sums))?;
        runtime.block_on(async {
            tokio::select! {
                name = signals.next() => {
                    tracing::warn!(signal = name, "a second signal: ending at once");
                    drop(log.take());
                    std::process::exit(EXIT_CUT_SHORT);
                }
                () = ended(&draining) => {}
            }
        });
        let summary = draining.join().map_err(|_| anyhow::anyhow!("the drain ended badly"))?;
        drop(log);
        // Before the table, as what it is about.
        let replayed = replayed.map(|replayed| replayed.tell(records_to_stdout));
        status::print(&summary, records_to_stdout);
        if let Some(replayed) = replayed {
            return replayed;
        }
        match cut {
            // What was read of it is kept.
            Some(why) => Err(anyhow::Error::msg(why)),
            None => Ok(ExitCode::SUCCESS),
        }
    }

    /// Resolves when there is nothing more to read and nobody to serve.
    async fn read_to_the_end(&self) {
        match (&self.proxy, &self.listener) {
            (None, Some(listener)) => listener.ended().await,
            _ => std::future::pending().await,
        }
    }

    /// Reads saved captures to their ends, or until it is told to stop, and drains. Gives the sums, and why one was not read to its end.
    pub(crate) fn read_out(self, stopped: impl Fn() -> bool) -> (status::Summary, Option<String>) {
        let told_to_stop = async {
            while !stopped() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                () = self.read_to_the_end() => {}
                () = told_to_stop => {}
            }
        });
        let cut = self.listener.as_ref().and_then(Listener::cut);
        (self.end(), cut)
    }

    /// Resolves when all was replayed, and answered.
    async fn replayed(&self) {
        match &self.replay {
            Some(replay) => replay.running.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Drains and gives the sums.
    pub(crate) fn end(self) -> status::Summary {
        self.admin.draining();
        let replay = self.replay.map(|replay| replay.running);
        drain(&self.reloader.config(), self.proxy, self.listener, replay, self.engine, &self.sums)
    }
}

/// First the sources, so that what runs becomes whole; then the engine, so that it arrives.
fn drain(
    config: &Config,
    proxy: Option<Proxy>,
    listener: Option<Listener>,
    replay: Option<mirror::replay::Running>,
    engine: Engine,
    sums: &Sums,
) -> status::Summary {
    let limit = config.drain_timeout.0;
    if let Some(listener) = listener {
        listener.stop();
    }
    if let Some(replay) = replay {
        replay.stop();
    }
    if let Some(proxy) = proxy {
        proxy.drain(limit);
    }
    if !engine.drain(limit) {
        tracing::warn!("drain timeout: what the sinks had not finished is dropped");
    }
    sums.summary()
}

async fn ended<T>(thread: &std::thread::JoinHandle<T>) {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn keep_telling(watch: Option<&Watch>) {
    match watch {
        Some(watch) => replay::keep_telling(watch).await,
        None => std::future::pending().await,
    }
}

async fn exit_after(period: Option<Period>) {
    match period {
        Some(period) => tokio::time::sleep(period.0).await,
        None => std::future::pending().await,
    }
}

/// Reloads at each SIGHUP, save one that says that the terminal it was started at is gone: that ends it, as it ends what knows no SIGHUP.
async fn hung_up(hangups: &mut Hangups, reloader: &Arc<Reloader>) {
    while !hangups.next_is_the_end().await {
        let reloader = reloader.clone();
        reload::apart(move || drop(reloader.reload("SIGHUP"))).await;
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
