//! What is said to who started the program. Nobody has to listen: a reader that left (`2>&1 | head`) ends nothing, where the standard macros panic.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Writes to stdout what was asked for. That its reader left (`mirror man | head`) is not an error.
///
/// # Errors
/// When it cannot be written for another reason.
pub(crate) fn all(text: &str) -> anyhow::Result<ExitCode> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// A line on stderr, as by `eprintln!`.
macro_rules! tell {
    ($($line:tt)*) => {
        $crate::say::line(&mut std::io::stderr(), format_args!($($line)*))
    };
}

/// A line on stdout, as by `println!`.
macro_rules! show {
    ($($line:tt)*) => {
        $crate::say::line(&mut std::io::stdout(), format_args!($($line)*))
    };
}

pub(crate) use {show, tell};

/// In one piece, so that lines of several processes do not mix.
pub(crate) fn line(output: &mut impl Write, line: std::fmt::Arguments<'_>) {
    let _ = output.write_all(format!("{line}\n").as_bytes());
}
