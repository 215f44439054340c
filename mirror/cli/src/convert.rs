//! `mirror convert`: recordings and saved captures into one recording of any format.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use anyhow::Context;
use mirror::recording::{Recordings, Unheld, WriteRecords};

use crate::interrupt::{CUT_SHORT, Interrupt};
use crate::say::tell;

mod args;
mod output;
mod progress;

pub(crate) use args::{Convert, ConvertArgs};
use output::{Output, Place};
use progress::Progress;

const WHAT: &str = "mirror convert";

/// What became of the records.
#[derive(Default)]
struct Converted {
    records: u64,
    /// Left out, as the format cannot hold them, with the first reason.
    left_out: u64,
    reason: Option<io::Error>,
    unheld: Unheld,
    late: u64,
    /// The input ended so.
    broken: Option<io::Error>,
}

pub(crate) fn run(convert: &Convert) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch()?;
    let mut opened = match convert.chosen.open(WHAT, &interrupt)? {
        Ok(opened) => opened,
        Err(code) => return Ok(code),
    };
    let failed = || format!("{}: cannot be written", convert.place);
    let output = Output::create(&convert.place, &interrupt).with_context(failed)?;
    let done = match convert_all(convert, &mut opened.recordings, &output, &interrupt) {
        // Who reads it has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error).with_context(failed),
        Ok(None) => {
            tell!("{WHAT}: interrupted: {} is as it was", convert.place);
            return Ok(CUT_SHORT.into());
        }
        Ok(Some(done)) => done,
    };
    output.keep().with_context(failed)?;
    let sound = opened.tell_losses(WHAT);
    let named = if convert.place.is_stdout() { WHAT.to_owned() } else { convert.place.to_string() };
    Ok(done.tell(&named, sound))
}

/// None where a signal came.
fn convert_all(
    convert: &Convert,
    recordings: &mut Recordings,
    output: &Output,
    interrupt: &Interrupt,
) -> io::Result<Option<Converted>> {
    let mut writer: Box<dyn WriteRecords> = convert.format.writer(output.writer()?)?;
    let mut progress = Progress::start();
    let mut done = Converted::default();
    let mut left = convert.chosen.limit.unwrap_or(u64::MAX);
    while left > 0 {
        if interrupt.came() {
            progress.clear();
            return Ok(None);
        }
        let record = match recordings.next() {
            Some(Ok(record)) => record,
            Some(Err(error)) => {
                done.broken = Some(error);
                break;
            }
            None => break,
        };
        if !convert.chosen.takes(&record) {
            continue;
        }
        left -= 1;
        match writer.write(&record) {
            Ok(()) => done.records += 1,
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                done.left_out += 1;
                done.reason.get_or_insert(error);
            }
            Err(error) => {
                progress.clear();
                return Err(error);
            }
        }
        progress.tell(done.records, record.started);
    }
    progress.clear();
    done.unheld = writer.finish()?;
    done.late = recordings.late();
    Ok(Some(done))
}

impl Converted {
    /// Tells what came of it, on stderr, as stdout may be the recording.
    fn tell(&self, output: &str, sound: bool) -> ExitCode {
        let exchanges = |n: u64| if n == 1 { "1 exchange".to_owned() } else { format!("{n} exchanges") };
        tell!("{output}: {}", exchanges(self.records));
        if self.unheld.any() {
            tell!("{WHAT}: the format has no place for {}", self.unheld);
        }
        match self.late {
            0 => {}
            1 => tell!("{WHAT}: 1 exchange stands behind later ones: it ended too late to be put in order"),
            n => tell!(
                "{WHAT}: {n} exchanges stand behind later ones: they ended too late to be put in order, or the clock was set back"
            ),
        }
        if let Some(reason) = &self.reason {
            let left_out = exchanges(self.left_out);
            tell!("{WHAT}: {left_out} left out, as the format cannot hold them; the first: {reason}");
        }
        if let Some(error) = &self.broken {
            tell!("{WHAT}: {error}: what was read before is converted");
        }
        match sound && self.left_out == 0 && self.broken.is_none() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}
