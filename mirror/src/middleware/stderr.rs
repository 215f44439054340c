//! What a program says on its stderr is for the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;

use super::line::{Lines, Split};
use crate::telemetry::Counter;

/// The longest line that is logged whole: a long stack frame.
const LONGEST: usize = 4096;

/// Lines that are logged in a second, so that a program that says something for each message does not drown the rest; more are counted.
const A_SECOND: u32 = 100;

/// Logs line by line, until the program has closed its stderr.
pub(super) async fn log(mut stderr: ChildStderr, name: Arc<str>, suppressed: Counter) {
    let mut lines = Lines::new(LONGEST);
    let mut second = Second::default();
    let mut say = |line: &[u8], cut: bool| {
        let (may, left_out) = second.may_say(Instant::now());
        if left_out > 0 {
            tracing::info!(middleware = &*name, lines = left_out, "the middleware said more than is logged");
        }
        match may {
            true => {
                let (line, more) = (String::from_utf8_lossy(line), if cut { "…" } else { "" });
                tracing::info!(middleware = &*name, "{}{more}", line.trim_end());
            }
            false => suppressed.inc(),
        }
    };
    while stderr.read_buf(lines.buffer()).await.is_ok_and(|n| n > 0) {
        while let Some(Split { line, cut }) = lines.next() {
            say(&line, cut);
        }
    }
    if let Some(line) = lines.last() {
        say(&line, false);
    }
}

/// What was said within a second.
#[derive(Default)]
struct Second {
    began: Option<Instant>,
    said: u32,
    left_out: u64,
}

impl Second {
    /// Whether one more line may be said, and how many were left out in a second that has passed.
    fn may_say(&mut self, now: Instant) -> (bool, u64) {
        let mut left_out = 0;
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1)) {
            left_out = self.left_out;
            *self = Second { began: Some(now), said: 0, left_out: 0 };
        }
        let may = self.said < A_SECOND;
        match may {
            true => self.said += 1,
            false => self.left_out += 1,
        }
        (may, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_said_in_a_second_and_the_rest_is_told_in_the_next() {
        let (mut second, start) = (Second::default(), Instant::now());
        let said = (0..1000).filter(|_| second.may_say(start).0).count();
        assert_eq!(said, A_SECOND as usize);
        assert_eq!(second.may_say(start + Duration::from_secs(1)), (true, 900));
        assert_eq!(second.may_say(start + Duration::from_secs(1)), (true, 0));
    }
}
