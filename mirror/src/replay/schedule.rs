//! When each request is due. Sans-io: recorded times in, times since the replay's beginning out, all of them from exact sums, so that nothing drifts.

use std::time::{Duration, SystemTime};

use crate::config::{Arrivals, ReplayConfig, RequestRate};
use crate::recording::is_set_back;

/// How long a pass of one request takes at least: a recording may say that it took no time at all.
const SHORTEST_PASS: Duration = Duration::from_millis(1);

/// The times of one replay.
pub(super) struct Schedule {
    times: Times,
}

enum Times {
    Recorded(Recorded),
    Rate(Rate),
    /// There are none.
    Untimed,
}

struct Recorded {
    factor: f64,
    max_gap: Option<Duration>,
    /// The latest start of this pass, by the clock as it was set then.
    last: Option<SystemTime>,
    /// Recorded time that has gone by, gaps cut.
    elapsed: Duration,
    /// What of it had before this pass.
    pass_began: Duration,
    /// The requests of this pass, and how long its last one took.
    count: u32,
    lasted: Duration,
}

struct Rate {
    per_second: f64,
    count: u64,
    /// The random numbers of a Poisson process, and its time in seconds.
    poisson: Option<(Random, f64)>,
}

impl Schedule {
    pub(super) fn new(config: &ReplayConfig) -> Schedule {
        let times = match (config.rate, config.speed.unwrap_or(crate::config::Speed::Percent(100.0)).factor()) {
            (Some(rate), _) => Times::Rate(Rate::new(rate, config.arrivals)),
            (None, Some(factor)) => Times::Recorded(Recorded {
                factor,
                max_gap: config.max_gap.map(|gap| gap.0),
                last: None,
                elapsed: Duration::ZERO,
                pass_began: Duration::ZERO,
                count: 0,
                lasted: Duration::ZERO,
            }),
            (None, None) => Times::Untimed,
        };
        Schedule { times }
    }

    /// When a request is due that began at `started` and was answered after `lasted`; none where that is at once.
    pub(super) fn due(&mut self, started: SystemTime, lasted: Duration) -> Option<Duration> {
        match &mut self.times {
            Times::Recorded(recorded) => Some(recorded.due(started, lasted)),
            Times::Rate(rate) => Some(rate.due()),
            Times::Untimed => None,
        }
    }

    /// The next request is the first of another pass.
    pub(super) fn next_pass(&mut self) {
        if let Times::Recorded(recorded) = &mut self.times {
            recorded.next_pass();
        }
    }
}

impl Recorded {
    fn due(&mut self, started: SystemTime, lasted: Duration) -> Duration {
        let last = self.last.unwrap_or(started);
        match started.duration_since(last) {
            Ok(gap) => {
                self.elapsed += self.max_gap.map_or(gap, |most| gap.min(most));
                self.last = Some(started);
            }
            // How much time went by meanwhile is not known: time goes on from where it was set to.
            Err(behind) if is_set_back(behind.duration(), lasted) => self.last = Some(started),
            // One that comes behind a later one is due at once.
            Err(_) => {}
        }
        self.count += 1;
        self.lasted = lasted;
        self.elapsed.div_f64(self.factor)
    }

    /// As if it went on: after the mean of its gaps. One request alone is followed by itself when it was answered.
    fn next_pass(&mut self) {
        let gap = match self.count {
            0 => return,
            1 => self.lasted.max(SHORTEST_PASS),
            count => (self.elapsed - self.pass_began) / (count - 1),
        };
        self.elapsed += self.max_gap.map_or(gap, |most| gap.min(most));
        self.pass_began = self.elapsed;
        (self.last, self.count) = (None, 0);
    }
}

impl Rate {
    fn new(rate: RequestRate, arrivals: Option<Arrivals>) -> Rate {
        let poisson = (arrivals == Some(Arrivals::Poisson)).then(|| (Random::new(), 0.0));
        Rate { per_second: rate.per_second(), count: 0, poisson }
    }

    fn due(&mut self) -> Duration {
        let seconds = match &mut self.poisson {
            None => self.count as f64 / self.per_second,
            Some((random, time)) => {
                // Times between events are exponential: the inverse of its distribution at an even random number.
                let now = *time;
                *time -= (-random.below_one()).ln_1p() / self.per_second;
                now
            }
        };
        self.count += 1;
        Duration::from_secs_f64(seconds)
    }
}

/// Even random numbers: SplitMix64 (Steele, Lea, Flood 2014), which is more than a load needs.
struct Random(u64);

impl Random {
    fn new() -> Random {
        // Without randomness the sequence is the same each time, which does no harm.
        Random(getrandom::u64().unwrap_or(1))
    }

    /// From 0 to below 1.
    fn below_one(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn schedule(yaml: &str) -> Schedule {
        Schedule::new(&serde_yaml::from_str(&format!("{{files: a.avro, {yaml}}}")).unwrap())
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// When requests are due that began at these milliseconds of some day.
    fn due(schedule: &mut Schedule, starts: &[u64]) -> Vec<u64> {
        due_from(schedule, UNIX_EPOCH + Duration::from_secs(20_000 * 86_400), starts)
    }

    fn due_from(schedule: &mut Schedule, day: SystemTime, starts: &[u64]) -> Vec<u64> {
        starts.iter().map(|&start| schedule.due(day + ms(start), ms(5)).unwrap().as_millis() as u64).collect()
    }

    #[test]
    fn recorded_times_at_a_speed() {
        assert_eq!(due(&mut schedule("speed: 100%"), &[7, 107, 108, 1007]), [0, 100, 101, 1000]);
        assert_eq!(due(&mut schedule("speed: 200%"), &[7, 107, 1007]), [0, 50, 500]);
        assert_eq!(due(&mut schedule("speed: 0.1"), &[7, 107]), [0, 1000]);
        assert_eq!(due(&mut schedule("speed: 1"), &[100, 300, 200, 400]), [0, 200, 200, 300], "one out of order");
        assert_eq!(schedule("speed: max").due(UNIX_EPOCH, ms(1)), None);
    }

    #[test]
    fn where_the_clock_was_set_back_time_goes_on_from_there() {
        let hour = 3_600_000;
        let starts = [hour, hour + 100, 0, 100, 50, 400, hour + 200];
        assert_eq!(due(&mut schedule("speed: 1"), &starts), [0, 100, 100, 200, 200, 500, hour + 300]);
        assert_eq!(due(&mut schedule("speed: 2, max_gap: 1s"), &starts), [0, 50, 50, 100, 100, 250, 750]);
        // As far as records are put in order by it is only the order.
        assert_eq!(due(&mut schedule("speed: 1"), &[60_000, 0, 60_010]), [0, 0, 10]);
        assert_eq!(due(&mut schedule("speed: 1"), &[60_006, 0, 10]), [0, 0, 10]);
    }

    #[test]
    fn one_that_lasted_long_is_no_clock_that_was_set_back() {
        let mut schedule = schedule("speed: 1");
        let mut due = |start, lasted| schedule.due(UNIX_EPOCH + ms(start), ms(lasted)).map(|due| due.as_millis());
        assert_eq!([due(100_000, 5), due(9_000, 91_000), due(100_100, 5)], [Some(0), Some(0), Some(100)]);
    }

    #[test]
    fn starts_before_1970_keep_their_gaps() {
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(due_from(&mut schedule("speed: 1"), before, &[0, 300, 1000, 1200]), [0, 300, 1000, 1200]);
    }

    #[test]
    fn gaps_are_cut() {
        assert_eq!(due(&mut schedule("max_gap: 100ms"), &[0, 50, 5000, 5010]), [0, 50, 150, 160]);
        assert_eq!(due(&mut schedule("max_gap: 100ms, speed: 2"), &[0, 5000]), [0, 50]);
    }

    #[test]
    fn a_pass_follows_as_if_the_one_before_it_went_on() {
        let mut three = schedule("speed: 1");
        for first in [0, 300, 600] {
            assert_eq!(due(&mut three, &[0, 50, 200]), [first, first + 50, first + 200]);
            three.next_pass();
        }
        let mut one = schedule("speed: 1");
        for first in [0, 5, 10] {
            assert_eq!(due(&mut one, &[9]), [first]);
            one.next_pass();
        }
        let mut none = schedule("speed: 1");
        none.next_pass();
        assert_eq!(due(&mut none, &[9]), [0]);
    }

    #[test]
    fn a_rate_keeps_no_recorded_time() {
        assert_eq!(due(&mut schedule("rate: 1000/s"), &[0, 9000, 9001]), [0, 1, 2]);
        let mut fast = schedule("rate: 3000/s");
        let last = (0..=3_000_000).filter_map(|_| fast.due(UNIX_EPOCH, ms(0))).last();
        assert_eq!(last, Some(Duration::from_secs(1000)), "without drift");
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_theirs() {
        let mut poisson = schedule("rate: 1000/s, arrivals: poisson");
        let times: Vec<f64> =
            (0..=100_000).filter_map(|_| poisson.due(UNIX_EPOCH, ms(0))).map(|due| due.as_secs_f64()).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) * 1000.0).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert_eq!(times[0], 0.0);
        assert!((mean - 1.0).abs() < 0.03 && (variance - 1.0).abs() < 0.1, "{mean} {variance}");
    }
}
