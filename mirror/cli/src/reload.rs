//! Reads the settings of `mirror run FILE` again while it runs: SIGHUP, `mirror reload`, or because the file says something else.
//!
//! All of the file is checked as at the start, with the flags over it. If anything is wrong with it nothing changes. What cannot change while it runs is
//! named, and the rest is taken.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use mirror::config::{Config, Fault, Faults};
use mirror::control::{Change, Control, ControlError};
use mirror::engine::EngineError;
use mirror::middleware::StartError;
use mirror::recording::file::FileError;
use mirror::telemetry::{Counter, Telemetry};

use crate::action::{Refused, Settings};
use crate::log::Level;

/// What runs now, and where other settings come from.
pub(crate) struct Reloader {
    settings: Option<Settings>,
    pub(crate) control: Control,
    level: Option<Level>,
    /// One at a time.
    reloading: Mutex<()>,
    now: Mutex<Now>,
    succeeded: Counter,
    failed: Counter,
    /// When settings were taken last, in seconds since the Unix epoch,
    last_success: Arc<AtomicU64>,
    /// and whether those that were to be taken last were.
    is_taken: Arc<AtomicBool>,
}

struct Now {
    config: Arc<Config>,
    /// What the file said when it was read last.
    read: Result<String, Faults>,
    /// Keys that are different in the file.
    left: Vec<String>,
    /// When the last reload failed, and why.
    failed: Option<(SystemTime, String)>,
}

/// What a reload did.
pub(crate) struct Reloaded {
    file: String,
    changes: Vec<Change>,
    left: Vec<String>,
}

/// Why there was none.
pub(crate) enum NotReloaded {
    /// There is no file.
    FlagsAlone,
    /// The file will not do.
    Refused(Refused),
    /// It ends.
    Draining,
}

impl Reloader {
    /// Of what runs with this configuration; `settings` is the file that it is from.
    pub(crate) fn new(
        config: &Config,
        settings: Option<Settings>,
        control: Control,
        level: Option<Level>,
        telemetry: &Telemetry,
    ) -> Arc<Reloader> {
        let counter = |result| {
            telemetry.counter(
                "mirror_reloads_total",
                "Reloads of the settings, by what came of them.",
                ("result", result),
            )
        };
        let last_success = Arc::new(AtomicU64::new(now()));
        let told = last_success.clone();
        telemetry.gauge(
            "mirror_config_last_reload_success_timestamp_seconds",
            "When the settings were taken that it runs with: at the start, or at the last good reload.",
            Box::new(move || told.load(Relaxed)),
        );
        let is_taken = Arc::new(AtomicBool::new(true));
        let told = is_taken.clone();
        telemetry.gauge(
            "mirror_config_last_reload_successful",
            "Whether it runs with the settings that it was to take last (1), or has refused them (0).",
            Box::new(move || told.load(Relaxed).into()),
        );
        let read = Ok(settings.as_ref().map(|settings| settings.text().to_owned()).unwrap_or_default());
        Arc::new(Reloader {
            settings,
            control,
            level,
            reloading: Mutex::default(),
            now: Mutex::new(Now { config: Arc::new(config.clone()), read, left: Vec::new(), failed: None }),
            succeeded: counter("success"),
            failed: counter("failure"),
            last_success,
            is_taken,
        })
    }

    /// The settings it runs with.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.now().config.clone()
    }

    /// The settings it runs with as YAML, and before them what is different in the file, and why.
    pub(crate) fn shown(&self) -> String {
        let (config, mut comment) = {
            let now = self.now();
            let mut comment = String::new();
            if let Some((at, why)) = &now.failed {
                let at = DateTime::<Utc>::from(*at).to_rfc3339_opts(SecondsFormat::Secs, true);
                let _ = writeln!(comment, "The last reload failed ({at}), and nothing has changed. {why}");
            }
            for key in &now.left {
                let _ = writeln!(comment, "{key}: changes at the next start");
            }
            (now.config.clone(), comment)
        };
        for sink in self.control.sinks() {
            let (name, fraction) = (&sink.slot.name, sink.slot.fraction);
            if fraction != sink.configured {
                let _ = writeln!(comment, "sink {name}: fraction {fraction}, as set while it runs");
            }
            if sink.slot.paused {
                let _ = writeln!(comment, "sink {name}: paused");
            }
        }
        comment.lines().fold(String::new(), |yaml, line| yaml + "# " + line + "\n") + &config.to_yaml()
    }

    /// The file to look at for changes.
    pub(crate) fn watched(&self) -> Option<&Settings> {
        self.settings.as_ref().filter(|settings| settings.watch)
    }

    /// What the file said when it was read last.
    pub(crate) fn last_read(&self) -> Result<String, Faults> {
        self.now().read.clone()
    }

    /// Reads the file again. It waits for the disk, and for a reload that is under way.
    pub(crate) fn reload(&self, by: &str) -> Result<Reloaded, NotReloaded> {
        let Some(settings) = &self.settings else {
            tracing::warn!(by, "nothing to reload: it was started from flags alone");
            return Err(NotReloaded::FlagsAlone);
        };
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let file = settings.file.display().to_string();
        let text = settings.now();
        self.now().read = text.clone();
        match text.and_then(|text| settings.with(&text)).map_err(Failed::Faults).and_then(|wanted| self.take(&wanted)) {
            Ok((changes, left)) => {
                self.succeeded.inc();
                self.last_success.store(now(), Relaxed);
                self.is_taken.store(true, Relaxed);
                tracing::info!(file, by, "reloaded");
                for Change { place, what } in &changes {
                    tracing::info!(place, what, "changed");
                }
                for key in &left {
                    tracing::warn!(key, "changes at the next start");
                }
                Ok(Reloaded { file, changes, left })
            }
            Err(Failed::Draining) => {
                tracing::warn!(file, by, "not reloaded: draining");
                Err(NotReloaded::Draining)
            }
            Err(Failed::Faults(faults)) => {
                self.failed.inc();
                self.is_taken.store(false, Relaxed);
                for fault in &faults.0 {
                    tracing::error!(file, by, %fault, "not reloaded");
                }
                let refused = Refused { what: file, faults };
                self.now().failed = Some((SystemTime::now(), refused.to_string()));
                Err(NotReloaded::Refused(refused))
            }
        }
    }

    /// Takes of these settings what can be taken.
    fn take(&self, wanted: &Config) -> Result<(Vec<Change>, Vec<String>), Failed> {
        let running = self.config();
        let (taken, left) = running.reloaded(wanted);
        if !left.is_empty() {
            // Good by themselves, but not beside what stays.
            let beside = |fault: Fault| Fault {
                expected: format!(
                    "{} (until the next start, as {} cannot change before)",
                    fault.expected,
                    left.join(", ")
                ),
                ..fault
            };
            taken.validate().map_err(|faults| Faults(faults.0.into_iter().map(beside).collect()))?;
        }
        let mut changes = self.control.reload(&taken)?;
        if taken.log.level != running.log.level
            && let Some(level) = &self.level
        {
            level(&taken.log.level);
        }
        let mut tell = |key: &str, before: String, after: String| {
            if before != after {
                changes.push(Change::new(key, format!("{after}, in place of {before}")));
            }
        };
        tell("log.level", running.log.level.clone(), taken.log.level.clone());
        tell("drain_timeout", running.drain_timeout.to_string(), taken.drain_timeout.to_string());
        tell("admin.control", running.admin.control.to_string(), taken.admin.control.to_string());
        let mut now = self.now();
        (now.config, now.left, now.failed) = (Arc::new(taken), left.clone(), None);
        Ok((changes, left))
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Does something that may wait for the disk on a thread of its own, so that neither the admin endpoint nor the program's end waits for it. None where
/// the system gives no thread.
pub(crate) async fn apart<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("mirror-reload".into());
    if let Err(error) = thread.spawn(move || drop(done.send(what()))) {
        tracing::error!(%error, "nothing is changed: there is no thread for it");
    }
    result.await.ok()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What of the settings is to blame for it.
pub(crate) fn fault(error: &EngineError) -> Fault {
    match error {
        EngineError::Record(error) => Fault::missing("record", format!("a path that can be recorded to ({error})")),
        EngineError::Middleware(StartError { place, command, error }) => {
            Fault::new(place, command, format!("a program that can be started ({error})"))
        }
        EngineError::Redact(error) => Fault::missing("redact", format!("a key for hashes that can be read ({error})")),
        EngineError::System(error) => Fault::missing("the system", format!("what the engine needs of it ({error})")),
    }
}

enum Failed {
    Faults(Faults),
    Draining,
}

impl From<Faults> for Failed {
    fn from(faults: Faults) -> Failed {
        Failed::Faults(faults)
    }
}

impl From<ControlError> for Failed {
    fn from(error: ControlError) -> Failed {
        match error {
            ControlError::Draining => Failed::Draining,
            ControlError::Engine(EngineError::Record(FileError::Locked { path })) => {
                let expected = "a file that nobody records to: neither another process, nor the recorder before a reload, which finishes what it has";
                Failed::Faults(Fault::new("record.path", path.display(), expected).into())
            }
            ControlError::Engine(error) => Failed::Faults(fault(&error).into()),
            error @ ControlError::NoSink { .. } => unreachable!("a reload asks for none by name: {error}"),
        }
    }
}

impl std::fmt::Display for Reloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Reloaded { file, changes, left } = self;
        match changes.is_empty() && left.is_empty() {
            true => writeln!(f, "{file}: reloaded; nothing is different")?,
            false => writeln!(f, "{file}: reloaded")?,
        }
        changes.iter().try_for_each(|change| writeln!(f, "{change}"))?;
        left.iter().try_for_each(|key| writeln!(f, "{key}: changes at the next start"))
    }
}

impl std::fmt::Display for NotReloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotReloaded::FlagsAlone => {
                writeln!(
                    f,
                    "mirror: expected one that was started by `mirror run FILE`: this one has flags alone, and nothing to reload"
                )
            }
            NotReloaded::Refused(refused) => writeln!(f, "{refused}"),
            NotReloaded::Draining => writeln!(f, "{}", ControlError::Draining),
        }
    }
}
