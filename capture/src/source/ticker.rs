//! When a sink is told the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far apart the ticks are: time-outs of connections are counted in seconds, and a tick costs little.
pub const TICK: Duration = Duration::from_millis(100);

/// A clock that goes back by more than this has been set, or another capture begins; by less, packets of several sources or CPUs mix.
const JUMP: Duration = Duration::from_secs(10);

/// Counts the ticks of one clock.
#[derive(Debug, Default)]
pub(super) struct Ticker {
    next: Duration,
    /// The latest time it was told.
    pub(super) now: Duration,
}

impl Ticker {
    /// Whether at this time a tick is due. After a [`JUMP`] it begins anew from there.
    #[inline]
    pub(super) fn due(&mut self, now: Duration) -> bool {
        self.now = now;
        if now < self.next && self.next - now <= JUMP {
            return false;
        }
        self.next = now.saturating_add(TICK);
        true
    }
}

/// The system's time since the Unix epoch.
pub(super) fn system_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_packets_clock() {
        let mut ticker = Ticker::default();
        let ticks = |ticker: &mut Ticker, at: &[u64]| {
            at.iter().map(|&ms| ticker.due(Duration::from_millis(ms))).collect::<Vec<_>>()
        };
        assert_eq!(ticks(&mut ticker, &[5_000, 5_050, 5_100, 5_099, 5_250]), [true, false, true, false, true]);
        assert_eq!(ticks(&mut ticker, &[90_000_000, 6_000, 6_050, 6_100]), [true, true, false, true]);
    }
}
