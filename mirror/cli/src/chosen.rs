//! Which exchanges of which recordings: what `mirror inspect` and `mirror convert` have in common.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mirror::condition::Condition;
use mirror::config::{Expected, Fault, Faults};
use mirror::recording::{Format, Losses, Moment, OpenError, ReadOptions, Record, Recordings};

use crate::action::Refused;
use crate::captures::{CaptureOptions, Captures};
use crate::interrupt::Interrupt;
use crate::run::Failed;
use crate::say::tell;

/// As typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// Only exchanges that this holds for: `status >= 500`, `method = POST and path = /api/**`; may be repeated.
    #[arg(long = "where", value_name = "CONDITION", help_heading = "Choice")]
    conditions: Vec<String>,
    /// Only what began then or later: `2026-11-24T09:30:00Z`, or `+30s` after the first exchange.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Choice")]
    from: Option<String>,
    /// Only what began before.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Choice")]
    to: Option<String>,
    /// Only the exchange of this id, or whose id ends so; may be repeated.
    #[arg(long = "id", value_name = "ID", help_heading = "Choice")]
    ids: Vec<String>,
    /// End after so many exchanges.
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true, help_heading = "Choice")]
    limit: Option<String>,
    /// The servers' ports in saved captures (`trace.pcap`) that are named without.
    #[arg(long, value_name = "PORTS", help_heading = "Choice")]
    port: Option<String>,
    /// What the standard input is (`avro`, …), where its first bytes do not tell.
    #[arg(long, value_name = "FORMAT", help_heading = "Choice")]
    input_format: Option<String>,
}

/// As resolved.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) options: ReadOptions,
    pub(crate) captures: CaptureOptions,
    /// The most exchanges that are taken.
    pub(crate) limit: Option<u64>,
    conditions: Vec<Condition>,
    /// The ends of ids in hexadecimal, in lower case.
    ids: Vec<String>,
}

impl Choice {
    /// What was typed, with `files`. What is wrong with it is added to the faults.
    pub(crate) fn resolve(self, files: Vec<PathBuf>, faults: &mut Faults) -> Chosen {
        let moment = |text: &str| text.parse::<Moment>().map_err(|Expected(expected)| expected.into_owned());
        let from = told(faults, "--from", self.from, moment);
        let to = told(faults, "--to", self.to, moment);
        if let (Some(Moment::At(from)), Some(Moment::At(to))) = (from, to)
            && to <= from
        {
            faults.0.push(Fault::new("--to", Moment::At(to), "a time after that of `--from`"));
        }
        if let (Some(Moment::After(from)), Some(Moment::After(to))) = (from, to)
            && to <= from
        {
            faults.0.push(Fault::new("--to", Moment::After(to), "a time after that of `--from`"));
        }
        let condition = |text: String| {
            told(faults, "--where", Some(text), |text| text.parse::<Condition>().map_err(|error| error.to_string()))
        };
        let conditions = self.conditions.into_iter().filter_map(condition).collect();
        let id = |text: String| {
            told(faults, "--id", Some(text), |text| {
                let id = text.to_ascii_lowercase();
                let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_id { Ok(id) } else { Err("an id, or its last hexadecimal digits".into()) }
            })
        };
        let ids = self.ids.into_iter().filter_map(id).collect();
        let limit = told(faults, "--limit", self.limit, |text| {
            text.parse::<u64>().ok().filter(|limit| *limit > 0).ok_or_else(|| "a whole number from 1".into())
        });
        let captures = CaptureOptions::resolve(&files, self.port, faults);
        let format = told(faults, "--input-format", self.input_format, format);
        if format.is_some() && !files.iter().any(|file| file == Path::new("-")) {
            faults.0.push(Fault::missing("--input-format", "`-` among the files, which it is for: other names say it"));
        }
        let options = ReadOptions { from, to, format, ..ReadOptions::default() };
        Chosen { files, options, captures, limit, conditions, ids }
    }
}

impl Chosen {
    /// Whether an exchange is one of them, as far as not its time decides.
    pub(crate) fn takes(&self, record: &Record) -> bool {
        let is_asked_for = || {
            let id = format!("{:032x}", record.id);
            self.ids.iter().any(|end| id.ends_with(end))
        };
        (self.ids.is_empty() || is_asked_for()) && self.conditions.iter().all(|condition| condition.holds_for(record))
    }
}

/// A format by its name.
pub(crate) fn format(name: &str) -> Result<Format, String> {
    name.parse().map_err(|_| {
        let names: Vec<_> = Format::ALL.iter().map(Format::to_string).collect();
        format!("one of {}, with .gz behind it or not", names.join(", "))
    })
}

/// What a flag's word says; a fault is added where it says nothing.
pub(crate) fn told<T>(
    faults: &mut Faults,
    flag: &str,
    word: Option<String>,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let word = word?;
    read(&word).map_err(|expected| faults.0.push(Fault::new(flag, word, expected))).ok()
}

/// What is to be read, opened.
pub(crate) struct Opened {
    pub(crate) recordings: Recordings,
    /// What of captures could not be read.
    cut: Vec<String>,
    _captures: Captures,
}

impl Chosen {
    /// Opens all of them, captures too; or says why that cannot be, and with which code to exit.
    pub(crate) fn open(&self, what: &str, interrupt: &Interrupt) -> anyhow::Result<Result<Opened, ExitCode>> {
        let mut captures = match Captures::read(&self.files, &self.captures, interrupt) {
            Ok(captures) => captures,
            Err(Failed::Input(faults)) => return Ok(Err(crate::refuse(&Refused { what: what.to_owned(), faults }))),
            Err(Failed::System(error)) => return Err(error),
        };
        Ok(match Recordings::open_with(&captures.files, &self.options) {
            Ok(recordings) => Ok(Opened { recordings, cut: std::mem::take(&mut captures.cut), _captures: captures }),
            Err(errors) => Err(refuse(what, &errors)),
        })
    }
}

impl Opened {
    /// Tells what could not be read, and whether that is nothing.
    pub(crate) fn tell_losses(&self, what: &str) -> bool {
        let losses = self.recordings.losses();
        tell_losses(what, &losses);
        self.cut.iter().for_each(|cut| tell!("{what}: {cut}"));
        losses.is_empty() && self.cut.is_empty()
    }
}

/// Tells every recording that cannot be read.
pub(crate) fn refuse(what: &str, errors: &[OpenError]) -> ExitCode {
    match errors.len() {
        1 => tell!("{what}: 1 fault"),
        n => tell!("{what}: {n} faults"),
    }
    errors.iter().for_each(|error| tell!("{error}"));
    crate::BAD_INPUT.into()
}

/// Tells what could not be read, a line a file.
pub(crate) fn tell_losses(what: &str, losses: &[(PathBuf, Losses)]) {
    for (path, losses) in losses {
        tell!("{what}: {}: {losses}", path.display());
    }
}
