//! `mirror --listen …` and `mirror run FILE`: boots, serves, drains, sums up.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mirror::config::{Config, Fault, Faults};
use mirror::engine::Engine;
use mirror::telemetry::Telemetry;
use mirror_proxy::{BindError, Listeners, Proxy};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::Admin;
use crate::log::Log;
use crate::status::{self, StatusLine};

/// The exit code after a second signal: the drain was not waited for.
const EXIT_CUT_SHORT: i32 = 1;

/// Runs until a signal, or `exit_after`. Nothing is served before everything that can fail has not.
pub(crate) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let log = crate::log::start(&config.log);
    let runtime = control_runtime()?;
    // Before anything is bound: a signal that comes while the start is under way drains too.
    let signals = {
        let _on = runtime.enter();
        Signals::new()?
    };
    let running = match Running::start(config, runtime) {
        Ok(running) => running,
        Err(Failed::Input(faults)) => return Ok(crate::refuse("mirror", &faults)),
        Err(Failed::System(error)) => return Err(error),
    };
    log.observe(&running.telemetry);
    running.until_told(signals, log)
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

/// A proxy, its engine and its admin endpoint, serving.
pub(crate) struct Running {
    config: Config,
    proxy: Proxy,
    engine: Engine,
    admin: Admin,
    telemetry: Arc<Telemetry>,
    /// Admin, signals and the status line; the main thread's own.
    runtime: Runtime,
    pub(crate) addresses: Vec<std::net::SocketAddr>,
}

impl Running {
    /// Binds and starts everything, or nothing.
    pub(crate) fn start(config: &Config, runtime: Runtime) -> Result<Running, Failed> {
        let telemetry = Telemetry::new();

        // Everything that the outside world can refuse is asked for first, so that all refusals are told together.
        let mut faults = Faults::default();
        let listeners = Listeners::bind(&config.listen).map_err(|errors| {
            let taken = |e: &BindError| {
                Fault::new("listen", e.address, format!("an address that can be listened on ({})", e.error))
            };
            faults.0.extend(errors.iter().map(taken));
        });
        let admin = Admin::bind(config, &telemetry).map_err(|error| {
            faults.0.push(Fault::new("admin", &config.admin, format!("an address that can be listened on ({error})")));
        });
        if let Some(record) = &config.record
            && let Err(error) = mirror::recording::file::check(&mirror::sink::file_options(record))
        {
            faults.0.push(Fault::new(
                "record",
                record.path.display(),
                format!("a path that can be recorded to ({error})"),
            ));
        }
        let (Ok(listeners), Ok(admin), true) = (listeners, admin, faults.0.is_empty()) else {
            return Err(Failed::Input(faults));
        };

        let engine = Engine::start(config, "proxy", &telemetry).map_err(|error| match error {
            mirror::engine::EngineError::Record(error) => {
                Failed::Input(Fault::missing("record", format!("a path that can be recorded to ({error})")).into())
            }
            error => Failed::System(error.into()),
        })?;
        let addresses = listeners.addresses();
        let proxy = Proxy::start(config, listeners, &engine.tap(), &telemetry)
            .map_err(|error| Failed::System(anyhow::Error::msg(error.to_string())))?;
        for address in &addresses {
            tracing::info!(%address, upstream = config.upstream.as_ref().map(ToString::to_string), "listening");
        }
        admin.serve(&runtime);
        Ok(Running { config: config.clone(), proxy, engine, admin, telemetry, runtime, addresses })
    }

    /// Serves until a signal or `exit_after`, then ends.
    fn until_told(self, mut signals: Signals, log: Log) -> anyhow::Result<ExitCode> {
        let mut log = Some(log);
        let line = StatusLine::new(&self.engine);
        self.runtime.block_on(async {
            tokio::select! {
                name = signals.next() => tracing::info!(signal = name, "draining"),
                () = exit_after(&self.config) => tracing::info!("exit_after: draining"),
                () = line.show() => {}
            }
        });
        line.clear();
        // From here on a second signal ends at once, wherever the drain is.
        let until = std::thread::Builder::new().name("mirror-drain".into());
        let Running { config, proxy, engine, admin, runtime, .. } = self;
        admin.draining();
        let draining = until.spawn(move || drain(&config, proxy, engine))?;
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
        status::print(&summary);
        Ok(ExitCode::SUCCESS)
    }

    /// Drains and gives the sums.
    pub(crate) fn end(self) -> status::Summary {
        self.admin.draining();
        drain(&self.config, self.proxy, self.engine)
    }
}

/// First the source, so that what runs becomes whole; then the engine, so that it arrives.
fn drain(config: &Config, proxy: Proxy, engine: Engine) -> status::Summary {
    let limit = config.drain_timeout.0;
    proxy.drain(limit);
    let sums = status::Sums::of(&engine);
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

async fn exit_after(config: &Config) {
    match &config.exit_after {
        Some(period) => tokio::time::sleep(period.0).await,
        None => std::future::pending().await,
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
