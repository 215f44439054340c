//! How full the engine's bounds are, for sources that can wait.
//!
//! A live source never waits: what there is no room for is dropped, and counted. A saved capture and a replay can, and shall lose nothing
//! for want of room: they ask before each step, and go on when there is room again ([`Patience`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::generation::Generation;

/// How full the fullest of the bounds are: 0 is empty, 1 is where things are dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// Copies and blocks that wait for a sink, and messages that wait for a stage's program. It falls by itself: each of these ends with what it has
    /// within its own times.
    pub waiting: f32,
    /// Bytes that are held, in all or by one sink. Among them are exchanges that are under way, which end only when their source goes on.
    pub held: f32,
    /// The bytes themselves, to tell whether they move.
    pub bytes: usize,
}

impl Pressure {
    pub(crate) fn of(budget: &Budget, of: &Generation, arriving: usize) -> Pressure {
        let part = |n: usize, most: usize| n as f32 / most.max(1) as f32;
        let bytes = budget.used();
        let mut pressure = Pressure { waiting: of.pipeline.level(arriving), held: part(bytes, budget.limit()), bytes };
        for (sink, queue) in of.sinks.iter().zip(&of.queues) {
            // What has arrived may all be for the one.
            let coming = queue.waiting() + arriving;
            let queue = part(coming, sink.queue);
            // A target's are copies, which were in the queue before; a recorder's are bytes.
            let behind = sink.backlog.waiting.load(Relaxed);
            let backlog = match sink.backlog.most {
                0 => 0.0,
                most if sink.answers => part(behind + coming, most),
                most => part(behind, most.min(sink.share.limit())),
            };
            pressure.waiting = pressure.waiting.max(queue).max(backlog).max(sink.pipeline.level(arriving));
            pressure.held = pressure.held.max(part(sink.share.held(), sink.share.limit()));
        }
        pressure
    }
}

/// What a sink has finished with and waits for something else: blocks for the disk; or has taken, as a target's copies that wait for others of their
/// session. None by default. `most` is within the sink's share.
#[derive(Debug, Default, Clone)]
pub(crate) struct Backlog {
    pub(crate) waiting: Arc<AtomicUsize>,
    pub(crate) most: usize,
}

/// Counts arrivals that the fan-out has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Arriving(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct OneArriving(Arc<AtomicUsize>);

impl Arriving {
    pub(crate) fn one_more(&self) -> OneArriving {
        self.0.fetch_add(1, Relaxed);
        OneArriving(self.0.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Drop for OneArriving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Above this a source that can wait does. The other half is for what its next step brings, and for what is under way already.
const HALF_FULL: f32 = 0.5;

/// So full that waiting is over: what is left is less than a step may bring.
const NEARLY_FULL: f32 = 0.98;

/// Nothing has moved in the queues for so long: longer than a target may take to answer by default.
const QUIET_QUEUES: Duration = Duration::from_secs(35);

/// No byte was taken or given back for so long, while the queues have room: what is held waits for its source.
const QUIET_BYTES: Duration = Duration::from_secs(2);

/// When a source that can wait does.
///
/// It waits while a bound is more than half full. But what fills it may itself wait for the source: an upload that takes a target's slot and whose
/// end is still to be read, a response that is kept until it is whole. So where nothing has moved for a while, half of the room that is left is
/// given to it, and so on; when the bound is less than half full again, all is as before.
#[derive(Debug)]
pub struct Patience {
    queues: Limit,
    bytes: Limit,
}

#[derive(Debug)]
struct Limit {
    at: f32,
    quiet: Duration,
    /// What it was when it last moved.
    last: Option<(Instant, f32, usize)>,
}

impl Default for Patience {
    fn default() -> Self {
        let limit = |quiet| Limit { at: HALF_FULL, quiet, last: None };
        Patience { queues: limit(QUIET_QUEUES), bytes: limit(QUIET_BYTES) }
    }
}

impl Patience {
    /// Whether to wait a moment and ask again, rather than to go on. The time is asked for only where a bound is that full.
    pub fn waits(&mut self, pressure: Pressure, now: impl Fn() -> Instant) -> bool {
        let queues = self.queues.is_passed(pressure.waiting, pressure.bytes, &now);
        // As long as queues move, so will the bytes.
        let bytes = self.bytes.is_passed(pressure.held, pressure.bytes, &now);
        queues || bytes
    }
}

impl Limit {
    fn is_passed(&mut self, level: f32, bytes: usize, now: impl Fn() -> Instant) -> bool {
        if level <= self.at {
            self.last = None;
            if level <= HALF_FULL {
                self.at = HALF_FULL;
            }
            return false;
        }
        if self.at >= NEARLY_FULL {
            return false;
        }
        let now = now();
        match self.last {
            Some((since, ..)) if now.saturating_duration_since(since) >= self.quiet => {
                self.at = level + (1.0 - level).max(0.0) / 2.0;
                self.last = None;
                false
            }
            Some((_, then, held)) if (then, held) == (level, bytes) => true,
            _ => {
                self.last = Some((now, level, bytes));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn queues(waiting: f32) -> Pressure {
        Pressure { waiting, held: 0.0, bytes: 0 }
    }

    #[test]
    fn it_waits_as_long_as_a_bound_is_more_than_half_full_and_something_moves() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        assert!(!patience.waits(queues(0.5), || start));
        for (i, waiting) in (0..1000).zip([0.7, 0.6].into_iter().cycle()) {
            assert!(patience.waits(queues(waiting), || at(start, i)), "{i}");
        }
        assert!(!patience.waits(queues(0.4), || at(start, 1000)));
        assert!(patience.waits(Pressure { waiting: 0.0, held: 0.51, bytes: 1 }, || at(start, 1001)));
    }

    #[test]
    fn where_nothing_moves_half_of_what_is_left_is_given_each_time() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        let held = |held, bytes| Pressure { waiting: 0.0, held, bytes };
        assert!(patience.waits(held(0.6, 6), || start));
        assert!(patience.waits(held(0.6, 6), || at(start, 1)));
        assert!(!patience.waits(held(0.6, 6), || at(start, 2)), "two seconds without a byte");
        assert!(!patience.waits(held(0.79, 7), || at(start, 3)), "up to 0.8 it goes on");
        assert!(patience.waits(held(0.81, 8), || at(start, 4)));
        assert!(!patience.waits(held(0.81, 8), || at(start, 6)));
        assert!(!patience.waits(held(0.3, 3), || at(start, 7)));
        assert!(patience.waits(held(0.6, 6), || at(start, 8)), "as before");
    }

    #[test]
    fn it_never_waits_for_ever() {
        let (mut patience, mut now, mut waited) = (Patience::default(), Instant::now(), 0);
        // A bound that is too small for anything: one copy fills it twice.
        while patience.waits(queues(2.0), || now) {
            now += Duration::from_secs(1);
            waited += 1;
        }
        assert!(waited < 60, "{waited}");
        assert!(!patience.waits(queues(2.0), || now));
    }
}
