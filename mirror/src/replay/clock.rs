//! One monotonic clock, and sleeps to moments on it: what a sleep is too long does not add up.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Within so long a sleep ends that is not wanted any more.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// When a replay began, by both of the clocks that are asked. They are one (CLOCK_MONOTONIC), which the standard library does not promise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) began: Instant,
    /// The same in nanoseconds.
    nanos: u128,
}

impl Clock {
    /// It begins now.
    pub(super) fn start() -> Clock {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
        let nanos =
            u128::try_from(tv_sec).unwrap_or_default() * 1_000_000_000 + u128::try_from(tv_nsec).unwrap_or_default();
        Clock { began: Instant::now(), nanos }
    }

    /// Sleeps until so long after the beginning, unless it is told to stop.
    pub(super) fn sleep_until(&self, due: Duration, stop: &AtomicBool) {
        loop {
            let now = self.began.elapsed();
            if now >= due || stop.load(Relaxed) {
                return;
            }
            let until = self.nanos + due.min(now + LOOK_EVERY).as_nanos();
            let (seconds, nanos) = (until / 1_000_000_000, until % 1_000_000_000);
            let until = Timespec { tv_sec: seconds as i64, tv_nsec: nanos as _ };
            // One that is interrupted is begun again.
            let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
        }
    }
}

/// Has the calling thread's sleeps end when they should, and not up to 50 µs later as by default (PR_SET_TIMERSLACK, prctl(2)).
pub(super) fn be_precise() {
    let nanosecond: libc::c_ulong = 1;
    // SAFETY: a system call on the calling thread that takes a number.
    if unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanosecond) } != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "sleeps are as precise as any other thread's");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_wakes_when_it_should_or_is_told_to() {
        let clock = Clock::start();
        let stop = AtomicBool::new(false);
        clock.sleep_until(Duration::from_millis(20), &stop);
        assert!(clock.began.elapsed() >= Duration::from_millis(20));
        clock.sleep_until(Duration::from_millis(10), &stop);
        stop.store(true, Relaxed);
        clock.sleep_until(Duration::from_secs(3600), &stop);
    }
}
