//! What a replay waits for, until it is told to stop.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::clock::{Alarm, Clock};
use crate::pressure::Patience;
use crate::source::Tap;

/// How long room is waited for before it is looked for again. Half a queue, which is what there is room for then, lasts for longer at any rate.
const REST: Duration = Duration::from_micros(500);

pub(super) struct Waits {
    alarm: Alarm,
    stop: watch::Receiver<bool>,
    patience: Patience,
}

impl Waits {
    /// # Errors
    /// When the system gives no timer.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn new(stop: watch::Receiver<bool>) -> io::Result<Waits> {
        Ok(Waits { alarm: Alarm::new()?, stop, patience: Patience::default() })
    }

    /// Until so long after the clock's beginning.
    pub(super) async fn until(&mut self, clock: Clock, due: Duration) {
        tokio::select! {
            biased;
            () = self.alarm.at(clock, due) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Until there is room for more.
    pub(super) async fn for_room(&mut self, tap: &Tap) {
        while self.patience.waits(tap.pressure(), Instant::now) && !self.are_over() {
            self.until(Clock::start(), REST).await;
        }
    }

    /// Whether it was told to stop, or there is nobody any more who could.
    pub(super) fn are_over(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}
