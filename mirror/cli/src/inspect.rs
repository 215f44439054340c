//! `mirror inspect`: what is in recordings, for people (a table, whole exchanges, totals) and for programs (JSON).

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use mirror::recording::Record;

use crate::chosen::{self, Opened};
use crate::interrupt::{CUT_SHORT, Interrupt};
use crate::say::tell;

mod args;
mod follow;
mod json;
mod paint;
mod stats;
mod table;
pub(crate) mod units;
mod whole;

use args::Output;
pub(crate) use args::{Inspect, InspectArgs};
use follow::Followed;

const WHAT: &str = "mirror inspect";

/// Where exchanges are shown.
trait Show {
    fn show(&mut self, record: &Record) -> io::Result<()>;

    /// All that was shown can be seen.
    fn flush(&mut self) -> io::Result<()>;

    /// There are no more.
    fn end(&mut self) -> io::Result<()>;
}

/// Where they come from.
enum Source {
    Opened(Box<Opened>),
    Followed(Followed),
}

impl Source {
    /// Opens them; or says why that cannot be, and with which code to exit.
    fn open(inspect: &Inspect, interrupt: &Interrupt) -> anyhow::Result<Result<Source, ExitCode>> {
        let Inspect { chosen, follow, .. } = inspect;
        // The standard input comes to its end by itself.
        if !follow || chosen.files == [Path::new("-")] {
            return Ok(chosen.open(WHAT, interrupt)?.map(|opened| Source::Opened(Box::new(opened))));
        }
        let followed = Followed::open(&chosen.files, &chosen.options, interrupt.clone());
        Ok(followed.map(Source::Followed).map_err(|errors| chosen::refuse(WHAT, &errors)))
    }

    fn next(&mut self) -> Option<io::Result<Record>> {
        match self {
            Source::Opened(opened) => opened.recordings.next(),
            Source::Followed(followed) => followed.next(),
        }
    }

    /// Tells what could not be read, and whether that is nothing.
    fn tell_losses(&self) -> bool {
        match self {
            Source::Opened(opened) => opened.tell_losses(WHAT),
            Source::Followed(followed) => {
                chosen::tell_losses(WHAT, followed.losses());
                followed.losses().is_empty()
            }
        }
    }
}

pub(crate) fn run(inspect: &Inspect) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch()?;
    let mut source = match Source::open(inspect, &interrupt)? {
        Ok(source) => source,
        Err(code) => return Ok(code),
    };
    let whole = match show_all(inspect, &mut source, &interrupt) {
        // Who reads it has seen enough (`mirror inspect … | head`).
        Err(Failed::Output(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(Failed::Output(error)) => return Err(anyhow::Error::from(error).context("cannot be printed")),
        Err(Failed::Input(error)) => {
            tell!("{WHAT}: {error}");
            false
        }
        Ok(()) => true,
    };
    let sound = source.tell_losses() && whole;
    // What is followed ends no other way.
    if interrupt.came() && !inspect.follow {
        return Ok(CUT_SHORT.into());
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Failed {
    Input(io::Error),
    Output(io::Error),
}

fn show_all(inspect: &Inspect, source: &mut Source, interrupt: &Interrupt) -> Result<(), Failed> {
    let mut show = shown_by(inspect).map_err(Failed::Output)?;
    let mut left = inspect.chosen.limit.unwrap_or(u64::MAX);
    let mut failed = None;
    while left > 0 && !interrupt.came() {
        let record = match source.next() {
            Some(Ok(record)) => record,
            Some(Err(error)) => {
                failed = Some(Failed::Input(error));
                break;
            }
            None => break,
        };
        if !inspect.chosen.takes(&record) {
            continue;
        }
        left -= 1;
        show.show(&record).map_err(Failed::Output)?;
        if inspect.follow {
            show.flush().map_err(Failed::Output)?;
        }
    }
    // What was read is shown, whatever came then.
    show.end().map_err(Failed::Output)?;
    failed.map_or(Ok(()), Err)
}

fn shown_by(inspect: &Inspect) -> io::Result<Box<dyn Show>> {
    let output = BufWriter::new(io::stdout());
    let paint = paint::Paint(inspect.color);
    Ok(match inspect.output {
        Output::Table => {
            let columns = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
            Box::new(table::Table::new(output, paint, columns.filter(|_| io::stdout().is_terminal()))?)
        }
        Output::Whole => Box::new(whole::Whole::new(output, paint, inspect.body_limit)),
        Output::Json => Box::new(json::Lines::new(output)?),
        Output::Stats => Box::new(stats::Shown::new(output, false)),
        Output::StatsJson => Box::new(stats::Shown::new(output, true)),
    })
}

/// Writes a text, and gives it to whoever reads.
fn print(output: &mut impl Write, text: &str) -> io::Result<()> {
    output.write_all(text.as_bytes())?;
    output.flush()
}
