//! The arguments as resolved: what is to be done, with settings that are good.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap_complete::Shell;
use mirror::config::{CaptureConfig, Config, Draft, Expected, Fault, Faults, UpstreamAddress};
use serde_yaml::Value;

use crate::args::{Args, Command, Flags};
use crate::convert::Convert;
use crate::gor::{self, Asked};
use crate::inspect::Inspect;
use crate::redirect::Redirect;
use crate::say::tell;

mod replay;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    Run {
        config: Box<Config>,
        /// The file that they are from, and can be read from again.
        from: Option<Settings>,
    },
    Reload {
        admin: UpstreamAddress,
    },
    Print(Box<Config>),
    Tell(String),
    Check {
        file: PathBuf,
        config: Box<Config>,
    },
    Interfaces,
    Inspect(Box<Inspect>),
    Convert(Box<Convert>),
    Redirect(Box<Redirect>),
    Schema,
    Completions(Shell),
    Man {
        folder: Option<PathBuf>,
    },
    Demo {
        requests: u64,
    },
}

/// Why nothing is done.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What was asked for: a file, or the program with its flags.
    pub(crate) what: String,
    pub(crate) faults: Faults,
}

impl Action {
    pub(crate) fn resolve(args: Args) -> Result<Action, Refused> {
        let in_file = |file: &Path| {
            let what = file.display().to_string();
            move |faults| Refused { what: what.clone(), faults }
        };
        Ok(match args.command {
            None => Action::with(Draft::default(), &args.flags)
                .map_err(|faults| Refused { what: "mirror".to_owned(), faults })?,
            Some(Command::Run { file, watch, flags }) => {
                let told = in_file(&file);
                let settings = Settings::read(file, flags, watch).map_err(&told)?;
                match settings.flags.print_config {
                    true => Action::Print(Box::new(settings.draft().and_then(Draft::typed).map_err(&told)?)),
                    false => Action::Run { config: Box::new(settings.config().map_err(&told)?), from: Some(settings) },
                }
            }
            Some(Command::Gor { words }) => Action::gor(words)?,
            Some(Command::Replay { files, replay, flags }) => {
                let mut draft = Draft::default();
                replay::lay_over(&files, &replay, &mut draft);
                Action::with(draft, &flags).map_err(|faults| Refused { what: "mirror replay".to_owned(), faults })?
            }
            Some(Command::Reload { admin }) => match admin.parse() {
                Ok(admin) => Action::Reload { admin },
                Err(Expected(expected)) => {
                    let faults = Fault::new("--admin", admin, expected).into();
                    return Err(Refused { what: "mirror reload".to_owned(), faults });
                }
            },
            Some(Command::Check { file }) => {
                let config = Config::load(&file).and_then(can_run).map_err(in_file(&file))?;
                let config = Box::new(config);
                Action::Check { file, config }
            }
            Some(Command::Interfaces) => Action::Interfaces,
            Some(Command::Convert(arguments)) => Action::Convert(Box::new(arguments.resolve()?)),
            Some(Command::Inspect(arguments)) => Action::Inspect(Box::new(arguments.resolve()?)),
            Some(Command::Redirect(arguments)) => Action::Redirect(Box::new(arguments.resolve()?)),
            Some(Command::Schema) => Action::Schema,
            Some(Command::Completions { shell }) => Action::Completions(shell),
            Some(Command::Man { folder }) => Action::Man { folder },
            Some(Command::Demo { requests }) => Action::Demo { requests },
        })
    }

    /// A run with the draft's settings and the flags over them.
    fn with(mut draft: Draft, flags: &Flags) -> Result<Action, Faults> {
        lay_over(flags, &mut draft);
        Ok(match flags.print_config {
            true => Action::Print(Box::new(draft.typed()?)),
            false => Action::Run { config: Box::new(draft.finish().and_then(can_run)?), from: None },
        })
    }
}

impl Action {
    /// A run with GoReplay's command line.
    fn gor(words: Vec<OsString>) -> Result<Action, Refused> {
        let refused = |faults| Refused { what: "mirror gor".to_owned(), faults };
        let words: Result<Vec<String>, OsString> = words.into_iter().map(OsString::into_string).collect();
        let words = words.map_err(|word| refused(Fault::new("mirror gor", word.display(), "UTF-8").into()))?;
        let Asked { mut draft, told, print_config, help, set } = gor::read(&words);
        if help {
            return Ok(Action::Tell(gor::help()));
        }
        lay_settings_over(&set, &mut draft);
        let config = match print_config {
            true => draft.typed(),
            false => draft.finish().and_then(can_run),
        };
        let config = Box::new(config.map_err(|faults| refused(gor::retold(faults)))?);
        told.iter().for_each(|line| tell!("mirror gor: {line}"));
        Ok(if print_config { Action::Print(config) } else { Action::Run { config, from: None } })
    }
}

/// The settings of `mirror run FILE`: a file with flags over it, as it was read last.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) file: PathBuf,
    /// Whether the file is looked at for changes.
    pub(crate) watch: bool,
    flags: Box<Flags>,
    text: String,
}

impl Settings {
    fn read(file: PathBuf, flags: Box<Flags>, watch: bool) -> Result<Settings, Faults> {
        Ok(Settings { text: Draft::text(&file)?, file, watch, flags })
    }

    /// What the file says now.
    pub(crate) fn now(&self) -> Result<String, Faults> {
        Draft::text(&self.file)
    }

    /// What it said when it was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn config(&self) -> Result<Config, Faults> {
        self.with(&self.text)
    }

    /// The settings with this text in the file.
    pub(crate) fn with(&self, text: &str) -> Result<Config, Faults> {
        self.draft_of(text)?.finish().and_then(can_run)
    }

    fn draft(&self) -> Result<Draft, Faults> {
        self.draft_of(&self.text)
    }

    fn draft_of(&self, text: &str) -> Result<Draft, Faults> {
        let mut draft = Draft::parse(text)?;
        lay_over(&self.flags, &mut draft);
        Ok(draft)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { what, faults } = self;
        match faults.0.len() {
            1 => write!(f, "{what}: 1 fault\n{faults}"),
            n => write!(f, "{what}: {n} faults\n{faults}"),
        }
    }
}

/// Whether this build has all that the settings ask for.
fn can_run(config: Config) -> Result<Config, Faults> {
    match config.capture.first() {
        Some(capture) if !cfg!(feature = "capture") => Err(Fault::new(
            "capture",
            capture,
            "a `mirror` that was built with its feature `capture`; this one was not",
        )
        .into()),
        _ => Ok(config),
    }
}

fn lay_over(flags: &Flags, draft: &mut Draft) {
    // One flag, one key.
    for (flag, key, word) in [
        ("--upstream", "upstream", &flags.upstream),
        ("--transparent", "proxy.transparent", &flags.transparent),
        ("--fraction", "fraction", &flags.fraction),
        ("--marker", "marker", &flags.marker),
        ("--admin", "admin.address", &flags.admin),
        ("--drain-timeout", "drain_timeout", &flags.drain_timeout),
        ("--exit-after", "exit_after", &flags.exit_after),
        ("--memory", "limits.memory", &flags.memory),
        ("--log-format", "log.format", &flags.log_format),
        ("--log-level", "log.level", &flags.log_level),
    ] {
        if let Some(word) = word {
            draft.set(key, Value::from(word.as_str()), flag);
        }
    }
    for (flag, key, word) in [
        ("--proxy-threads", "proxy.threads", &flags.proxy_threads),
        ("--engine-threads", "engine.threads", &flags.engine_threads),
    ] {
        if let Some(word) = word {
            draft.set(key, number(word), flag);
        }
    }
    if flags.forwarded {
        draft.set("proxy.forwarded", Value::from(true), "--forwarded");
    }
    if flags.admin_control {
        draft.set("admin.control", Value::from(true), "--admin-control");
    }
    if !flags.listen.is_empty() {
        draft.set("listen", Value::Sequence(Vec::new()), "--listen");
        for (i, address) in flags.listen.iter().enumerate() {
            draft.set(&format!("listen.{i}"), Value::from(address.as_str()), "--listen");
        }
    }
    lay_stages_over(flags, draft);
    lay_captures_over(flags, draft);
    lay_shadows_over(flags, draft);
    lay_records_over(flags, draft);
    lay_settings_over(&flags.set, draft);
}

/// Any key, as `KEY=VALUE`.
fn lay_settings_over(set: &[String], draft: &mut Draft) {
    for setting in set {
        match setting.split_once('=') {
            // What is no YAML (`[::1]:80`) is a word.
            Some((key, text)) => {
                let value = serde_yaml::from_str(text).unwrap_or_else(|_| Value::from(text));
                draft.set(key, value, &format!("--set {key}"));
            }
            None => draft.fault(Fault::new("--set", setting, "KEY=VALUE, as in limits.memory=64MiB")),
        }
    }
}

/// The stages given come after those of a file.
fn lay_stages_over(flags: &Flags, draft: &mut Draft) {
    let filters = flags.filter.iter().map(|condition| ("--filter", "allow", condition));
    let denials = flags.deny.iter().map(|condition| ("--deny", "deny", condition));
    let first = (0..).find(|i| !draft.has(&format!("pipeline.{i}"))).unwrap_or_default();
    let filters =
        filters.chain(denials).map(|(flag, key, condition)| (flag, format!("filter.{key}"), condition.as_str()));
    // They see what the filters let pass.
    let middlewares =
        flags.middleware.iter().map(|command| ("--middleware", "middleware".to_owned(), command.as_str()));
    for (i, (flag, key, word)) in filters.chain(middlewares).enumerate() {
        draft.set(&format!("pipeline.{}.{key}", first + i), Value::from(word), flag);
    }
}

/// The captures given replace those of a file. What is said of captures by flag is said of all of these, and of no others.
fn lay_captures_over(flags: &Flags, draft: &mut Draft) {
    if !flags.capture.is_empty() {
        draft.set("capture", Value::Sequence(Vec::new()), "--capture");
    }
    for (i, word) in flags.capture.iter().enumerate() {
        draft.set(&format!("capture.{i}"), Value::from(word.as_str()), "--capture");
    }
    for (flag, key, value) in [
        ("--bpf", "bpf", flags.bpf.as_deref().map(Value::from)),
        ("--promiscuous", "promiscuous", flags.promiscuous.then(|| Value::from(true))),
        ("--capture-buffer", "buffer", flags.capture_buffer.as_deref().map(Value::from)),
    ] {
        let Some(value) = value else { continue };
        if flags.capture.is_empty() {
            let expected =
                format!("`--capture` beside it, which it is for; a file's are set by --set capture.0.{key}=…");
            draft.fault(Fault::missing(flag, expected));
        }
        for (i, word) in flags.capture.iter().enumerate() {
            // Of a word that cannot be read that is to be told, and nothing else.
            if word.parse::<CaptureConfig>().is_ok() {
                draft.set(&format!("capture.{i}.{key}"), value.clone(), flag);
            }
        }
    }
}

/// The targets given replace those of a file. What is said of targets by flag is said of all of these, and of no others.
fn lay_shadows_over(flags: &Flags, draft: &mut Draft) {
    if !flags.shadow.is_empty() {
        draft.set("shadow", Value::Sequence(Vec::new()), "--shadow");
    }
    for (i, target) in flags.shadow.iter().enumerate() {
        draft.set(&format!("shadow.{i}"), Value::from(target.as_str()), "--shadow");
    }
    let no_target = |flag: &str, key: &str| {
        let expected =
            format!("`--shadow` beside it, whose targets it is for; a file's are set by --set shadow.0.{key}=…");
        Fault::missing(flag, expected)
    };
    if flags.shadow.is_empty() && !flags.carry.is_empty() {
        draft.fault(no_target("--carry", "pipeline.0.carry"));
    }
    for i in 0..flags.shadow.len() {
        for (k, word) in flags.carry.iter().enumerate() {
            draft.set(&format!("shadow.{i}.pipeline.0.carry.values.{k}"), Value::from(word.as_str()), "--carry");
        }
    }
    for (flag, key, value) in [
        ("--host", "host", flags.host.as_deref().map(Value::from)),
        ("--shadow-timeout", "timeout", flags.shadow_timeout.as_deref().map(Value::from)),
        ("--shadow-concurrency", "concurrency", flags.shadow_concurrency.as_deref().map(number)),
        ("--shadow-queue", "queue", flags.shadow_queue.as_deref().map(number)),
    ] {
        let Some(value) = value else { continue };
        if flags.shadow.is_empty() {
            draft.fault(no_target(flag, key));
        }
        for i in 0..flags.shadow.len() {
            draft.set(&format!("shadow.{i}.{key}"), value.clone(), flag);
        }
    }
}

/// One recording goes over the one of a file, key by key; several, or one over several, replace them. What is said of recordings by flag is said of
/// all that there are then.
fn lay_records_over(flags: &Flags, draft: &mut Draft) {
    let listed = |draft: &Draft| (0..).take_while(|i| draft.has(&format!("record.{i}"))).count();
    let replaces = flags.record.len() > 1 || !flags.record.is_empty() && listed(draft) > 0;
    if replaces {
        draft.set("record", Value::Sequence(Vec::new()), "--record");
    }
    for (i, path) in flags.record.iter().enumerate() {
        let key = if replaces { format!("record.{i}.path") } else { "record.path".to_owned() };
        match path.to_str() {
            Some(path) => draft.set(&key, Value::from(path), "--record"),
            None => draft.fault(Fault::new("--record", path.display(), "a path in UTF-8")),
        }
    }
    let is_set = || flags.set.iter().any(|set| set.starts_with("record"));
    let recorded = draft.has("record") || !flags.record.is_empty() || is_set();
    let places = match listed(draft) {
        0 => vec!["record".to_owned()],
        n => (0..n).map(|i| format!("record.{i}")).collect(),
    };
    for (flag, key, word) in [
        ("--max-body", "max_body", &flags.max_body),
        ("--rotate-size", "rotate_size", &flags.rotate_size),
        ("--rotate-interval", "rotate_interval", &flags.rotate_interval),
        ("--keep", "keep", &flags.keep),
    ] {
        let Some(word) = word else { continue };
        match recorded {
            true => places.iter().for_each(|at| draft.set(&format!("{at}.{key}"), Value::from(word.as_str()), flag)),
            false => draft.fault(Fault::missing(flag, "`--record` beside it, whose recording it is for")),
        }
    }
}

/// A number, where it is one; what it is otherwise is told when it is typed.
fn number(word: &str) -> Value {
    word.parse::<u64>().map_or_else(|_| Value::from(word), Value::from)
}
