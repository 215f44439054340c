//! One line on a terminal while it takes its time.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use crate::inspect::units::moment;
use crate::status::CLEAR;

/// How often the line is written anew. What is done before is done without it.
const EVERY: Duration = Duration::from_millis(250);

pub(super) struct Progress {
    /// When the line was written last; none where stderr is no terminal.
    at: Option<Instant>,
    started: Instant,
    shown: bool,
}

impl Progress {
    pub(super) fn start() -> Progress {
        let now = Instant::now();
        Progress { at: std::io::stderr().is_terminal().then_some(now), started: now, shown: false }
    }

    /// So many were written, the last of them of this time.
    pub(super) fn tell(&mut self, written: u64, last: SystemTime) {
        // The clock is not asked for each.
        if !written.is_multiple_of(64) {
            return;
        }
        let Some(at) = self.at.filter(|at| at.elapsed() >= EVERY) else { return };
        let rate = written as f64 / (at - self.started + at.elapsed()).as_secs_f64();
        let _ = write!(std::io::stderr(), "{CLEAR}{written} exchanges · {rate:.0}/s · up to {}", moment(last));
        (self.at, self.shown) = (Some(Instant::now()), true);
    }

    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }
}
