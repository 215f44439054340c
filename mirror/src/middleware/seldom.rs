//! Keeps a message that could come a thousand times a second from filling the log.

use std::time::{Duration, Instant};

/// Lets something be said once in a while, with how often it would have been said since.
#[derive(Debug)]
pub(super) struct Seldom {
    every: Duration,
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    pub(super) fn new(every: Duration) -> Seldom {
        Seldom { every, said: None, unsaid: 0 }
    }

    /// `count` more; gives how many there are by now, where it is time to say so.
    pub(super) fn happened(&mut self, count: u64, now: Instant) -> Option<u64> {
        self.unsaid += count;
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= self.every);
        if self.unsaid == 0 || !due {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_is_counted() {
        let (mut seldom, start, second) =
            (Seldom::new(Duration::from_secs(10)), Instant::now(), Duration::from_secs(1));
        assert_eq!(seldom.happened(0, start), None);
        assert_eq!(seldom.happened(1, start), Some(1));
        assert_eq!(seldom.happened(5, start + second), None);
        assert_eq!(seldom.happened(1, start + 9 * second), None);
        assert_eq!(seldom.happened(1, start + 10 * second), Some(7));
        assert_eq!(seldom.happened(0, start + 30 * second), None);
    }
}
