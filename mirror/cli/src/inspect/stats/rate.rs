//! How many exchanges began when, in a bounded number of bars, whatever the span.

use std::time::{Duration, SystemTime};

/// What a bar may stand for, in milliseconds; each is a multiple of the one before, so that bars can be put together.
const WIDTHS: [u64; 11] = [1, 10, 100, 1000, 10_000, 60_000, 600_000, 3_600_000, 21_600_000, 86_400_000, 864_000_000];

/// The most bars that are kept. When there would be more, those of the next width are.
const BARS: usize = 600;

/// The most that are shown.
const SHOWN: usize = 60;

#[derive(Default)]
pub(super) struct Rate {
    first: Option<SystemTime>,
    /// Of [`WIDTHS`].
    width: usize,
    counts: Vec<u64>,
}

impl Rate {
    pub(super) fn add(&mut self, time: SystemTime) {
        let first = *self.first.get_or_insert(time);
        // One that comes late and began before the first counts with it.
        let since = time.duration_since(first).unwrap_or_default().as_millis();
        let at = loop {
            let at = usize::try_from(since / u128::from(WIDTHS[self.width])).unwrap_or(usize::MAX);
            if at < BARS {
                break at;
            }
            if self.width + 1 == WIDTHS.len() {
                break BARS - 1;
            }
            self.widen();
        };
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
    }

    fn widen(&mut self) {
        let times = (WIDTHS[self.width + 1] / WIDTHS[self.width]) as usize;
        self.counts = self.counts.chunks(times).map(|bars| bars.iter().sum()).collect();
        self.width += 1;
    }

    /// At most [`SHOWN`] bars, and what each stands for.
    pub(super) fn bars(&self) -> (Duration, Vec<u64>) {
        let together = self.counts.len().div_ceil(SHOWN).max(1);
        let bars = self.counts.chunks(together).map(|bars| bars.iter().sum()).collect();
        (Duration::from_millis(WIDTHS[self.width] * together as u64), bars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exchange_is_in_a_bar_whatever_the_span() {
        let mut rate = Rate::default();
        let mut added = 0;
        for (upto, width) in
            [(500u64, 9), (5_000, 90), (59_000, 1000), (35_000_000, 600_000), (8_640_000_000_000, 8_640_000_000)]
        {
            for i in 0..100 {
                rate.add(SystemTime::UNIX_EPOCH + Duration::from_millis(upto * i / 99));
                added += 1;
            }
            let (bar, bars) = rate.bars();
            assert!(bars.len() <= SHOWN && bars.iter().sum::<u64>() == added, "{upto}: {bars:?}");
            assert_eq!(bar, Duration::from_millis(width), "{upto}");
        }
        rate.add(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(rate.bars().1.iter().sum::<u64>(), added + 1);
    }
}
