//! One monotonic clock, and sleeps to moments on it: what a sleep is too long does not add up.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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

    /// So long after the beginning, as the system is told it.
    fn moment(&self, due: Duration) -> Timespec {
        let at = self.nanos + due.as_nanos();
        Timespec { tv_sec: (at / 1_000_000_000) as i64, tv_nsec: (at % 1_000_000_000) as _ }
    }
}

/// Wakes a task at a moment. tokio's own timers know milliseconds only; this is the kernel's (timerfd_create(2)), which wakes the thread that sends without
/// another thread in between.
#[derive(Debug)]
pub(super) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// When the system gives no file descriptor.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn new() -> io::Result<Alarm> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: the descriptor is owned, is always the same, and stays open until it is dropped with what is made of it here.
        Ok(Alarm(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?))
    }

    /// Resolves so long after the clock's beginning, or at once where that has passed.
    pub(super) async fn at(&self, clock: Clock, due: Duration) {
        if clock.began.elapsed() >= due {
            return;
        }
        let Err(error) = self.ring(&clock.moment(due)).await else { return };
        // Sent late is better than not at all.
        tracing::debug!(%error, "the replay's timer does not work");
        tokio::time::sleep_until((clock.began + due).into()).await;
    }

    async fn ring(&self, moment: &Timespec) -> io::Result<()> {
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: *moment };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            // What a former setting has left, that nobody waited for, was taken back by the new one.
            match ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0; 8])?)) {
                Ok(rung) => return rung.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_when_it_should_and_not_again_for_what_has_passed() {
        let (clock, alarm) = (Clock::start(), Alarm::new().unwrap());
        let ms = Duration::from_millis;
        alarm.at(clock, ms(20)).await;
        assert!(clock.began.elapsed() >= ms(20));
        alarm.at(clock, ms(10)).await;
        let given_up = tokio::time::timeout(ms(5), alarm.at(clock, ms(40))).await;
        assert!(given_up.is_err());
        tokio::time::sleep(ms(40)).await;
        alarm.at(clock, ms(120)).await;
        assert!(clock.began.elapsed() >= ms(120));
    }
}
