//! `mirror gor`: GoReplay's command line, as settings of ours.
//!
//! Each flag sets what does the same here, is told of where there is nothing to set, or is refused by its name: see the list in `flag`. What results is
//! a [`Draft`] as a file's and our own flags', with GoReplay's flags as the places of its settings, and is run like any other.
//!
//! The stages of the pipeline stand in the order in which GoReplay works: what an input adds, its limit, the middleware, the modifiers, the output.

use mirror::config::{ByteSize, Draft, Fault, Faults, Period};
use serde_yaml::{Mapping, Value};

mod file;
mod flag;
mod general;
mod http;
mod limit;
mod line;
mod modifiers;
mod raw;
mod regexp;
#[cfg(test)]
mod tests;
mod value;

use flag::{FLAGS, Fate};
use line::Line;

/// What a command line comes to.
pub(crate) struct Asked {
    /// The settings, and all that is wrong with the line so far.
    pub(crate) draft: Draft,
    /// Flags that have nothing to set, each with the reason.
    pub(crate) told: Vec<String>,
    /// The settings are to be printed.
    pub(crate) print_config: bool,
    /// Only the flags are to be told of.
    pub(crate) help: bool,
    /// Settings of ours that go over these.
    pub(crate) set: Vec<String>,
}

/// Reads a command line of GoReplay's.
pub(crate) fn read(words: &[String]) -> Asked {
    let (line, faults) = Line::read(words);
    let mut settings = Settings::default();
    faults.into_iter().for_each(|fault| settings.draft.fault(fault));
    refuse_and_tell(&line, &mut settings);
    require_both_ends(&line, &mut settings);
    raw::map(&line, &mut settings);
    file::map_inputs(&line, &mut settings);
    limit::of_inputs(&line, &mut settings);
    general::map(&line, &mut settings);
    modifiers::stages(&line, &mut settings);
    http::map(&line, &mut settings);
    file::map_outputs(&line, &mut settings);
    let Settings { draft, told, .. } = settings;
    Asked { draft, told, print_config: line.print_config, help: line.help, set: line.set }
}

/// Every flag, and what becomes of it.
pub(crate) fn help() -> String {
    let widest = FLAGS.iter().map(|flag| flag.name.len()).max().unwrap_or_default();
    let lines = FLAGS.iter().map(|flag| format!("  --{:widest$}  {}\n", flag.name, flag.fate));
    format!("{HELP}{}", lines.collect::<String>())
}

const HELP: &str = "\
Runs with GoReplay's command line: takes every flag of GoReplay 2.0, as -flag or --flag, with its meaning.

Usage: mirror gor [GOREPLAY'S FLAGS] [--set KEY=VALUE] [--print-config]

  mirror gor --input-raw :8080 --output-http http://staging:8082
  mirror gor --input-raw :8080 --output-file requests.gor
  mirror gor --input-file 'requests_*.gor|200%' --output-http http://staging:8082

--print-config prints the settings that a line comes to, for a file that `mirror run` takes. --set sets any key of these. The flags, with the keys that
they set:

";

/// What is wrong with the settings as such is told without what [`read`] has said in GoReplay's words.
pub(crate) fn retold(faults: Faults) -> Faults {
    let said = |fault: &Fault| fault.value.is_none() && matches!(fault.place.as_str(), "listen" | "shadow");
    Faults(faults.0.into_iter().filter(|fault| !said(fault)).collect())
}

/// The settings as they become.
#[derive(Default)]
struct Settings {
    draft: Draft,
    /// How many stages the pipeline has.
    stages: usize,
    told: Vec<String>,
}

impl Settings {
    /// Sets a key to what a flag asks for.
    fn set(&mut self, key: &str, value: impl Into<Value>, flag: &str) {
        self.draft.set(key, value.into(), &format!("--{flag}"));
    }

    fn set_size(&mut self, key: &str, bytes: u64, flag: &str) {
        self.set(key, ByteSize::new(bytes).to_string(), flag);
    }

    fn set_time(&mut self, key: &str, time: std::time::Duration, flag: &str) {
        self.set(key, Period(time).to_string(), flag);
    }

    /// Adds a stage.
    fn stage(&mut self, kind: &str, value: impl Into<Value>, flag: &str) {
        let key = format!("pipeline.{}.{kind}", self.stages);
        self.set(&key, value, flag);
        self.stages += 1;
    }

    fn fault(&mut self, flag: &str, value: &str, expected: impl Into<String>) {
        self.draft.fault(Fault::new(format!("--{flag}"), value, expected));
    }

    /// Tells what is otherwise than with GoReplay.
    fn tell(&mut self, flag: &str, what: &str) {
        let line = format!("--{flag}: {what}");
        if !self.told.contains(&line) {
            self.told.push(line);
        }
    }
}

/// A map of YAML.
fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Mapping(pairs.into_iter().map(|(key, value)| (Value::from(key), value)).collect::<Mapping>())
}

fn refuse_and_tell(line: &Line, settings: &mut Settings) {
    for (flag, _) in line.given() {
        let refusal = match flag.fate {
            Fate::Mapped(_) => continue,
            Fate::Told(why) => {
                settings.tell(flag.name, why);
                continue;
            }
            Fate::Later(what) => format!("a command line without it: not supported yet ({what})"),
            Fate::Paid => "a command line without it: it is of GoReplay's paid edition".to_owned(),
            Fate::Instead(what) => format!("in its place {what}"),
        };
        // A value may be a password.
        let fault = Fault::missing(format!("--{}", flag.name), refusal);
        settings.draft.fault(fault);
    }
}

/// Something is to come in, and to go out. What was refused counts as well.
fn require_both_ends(line: &Line, settings: &mut Settings) {
    const INPUTS: &[&str] = &["input-raw", "input-file", "input-tcp", "input-kafka-host", "input-dummy"];
    const OUTPUTS: &[&str] = &[
        "output-http",
        "output-file",
        "output-stdout",
        "output-null",
        "output-tcp",
        "output-ws",
        "output-binary",
        "output-kafka-host",
    ];
    for (flags, expected) in [
        (INPUTS, "an input, as in --input-raw :8080 or --input-file requests.gor"),
        (OUTPUTS, "an output, as in --output-http http://staging:8082 or --output-file requests.gor"),
    ] {
        if !line.has(flags) {
            settings.draft.fault(Fault::missing("mirror gor", expected));
        }
    }
}
