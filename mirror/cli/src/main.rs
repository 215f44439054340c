//! The `mirror` program.
//!
//! All that is asked for is read and checked before anything is done: see `args` (as typed), `action` (as resolved).

use std::process::ExitCode;

use clap::Parser;

mod action;
mod admin;
mod allocator;
mod args;
mod ask;
mod captures;
mod check;
mod chosen;
mod convert;
mod demo;
mod documents;
mod gor;
mod hangup;
mod inspect;
mod interfaces;
mod interrupt;
mod listener;
mod log;
mod notify;
mod redirect;
mod reload;
mod replay;
mod run;
mod say;
mod status;
mod watch;

use action::{Action, Refused};
use args::Args;
use say::tell;

/// As for clap's own usage errors.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    allocator::tune();
    let done = match Action::resolve(Args::parse()) {
        Ok(action) => act(action),
        Err(refused) => return refuse(&refused),
    };
    done.unwrap_or_else(|error| {
        tell!("mirror: {error:#}");
        ExitCode::FAILURE
    })
}

/// Tells every fault of what was asked for.
fn refuse(refused: &Refused) -> ExitCode {
    tell!("{refused}");
    BAD_INPUT.into()
}

fn act(action: Action) -> anyhow::Result<ExitCode> {
    match action {
        Action::Run { config, from } => run::run(&config, from),
        Action::Reload { admin } => ask::reload(&admin),
        Action::Print(config) => say::all(&config.to_yaml()),
        Action::Tell(text) => say::all(&text),
        Action::Check { file, config } => say::all(&check::report(&file, &config)),
        Action::Interfaces => say::all(&interfaces::list()?),
        Action::Convert(convert) => convert::run(&convert),
        Action::Inspect(inspect) => inspect::run(&inspect),
        Action::Redirect(asked) => redirect::run(&asked),
        Action::Schema => say::all(&documents::schema()?),
        Action::Completions(shell) => say::all(&documents::completions(shell)),
        Action::Man { folder: None } => say::all(&documents::man()?),
        Action::Man { folder: Some(folder) } => documents::man_pages(&folder).map(|()| ExitCode::SUCCESS),
        Action::Demo { requests } => demo::run(requests),
    }
}
