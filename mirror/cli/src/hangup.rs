//! SIGHUP, which says two things: a service's operator means that it shall read its settings again, and the system that the terminal is gone.

use std::io::IsTerminal;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The SIGHUPs that come.
pub(crate) struct Hangups {
    signal: Signal,
    /// Whether it was started at a terminal.
    at_terminal: bool,
}

impl Hangups {
    pub(crate) fn new() -> std::io::Result<Hangups> {
        Ok(Hangups { signal: signal(SignalKind::hangup())?, at_terminal: is_at_terminal() })
    }

    /// Waits for the next, and tells whether the terminal that it was started at is gone. A terminal that is gone is none any more.
    pub(crate) async fn next_is_the_end(&mut self) -> bool {
        self.signal.recv().await;
        self.at_terminal && !is_at_terminal()
    }
}

fn is_at_terminal() -> bool {
    std::io::stdin().is_terminal() || std::io::stdout().is_terminal() || std::io::stderr().is_terminal()
}
