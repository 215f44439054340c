//! Sends each request when it is due, on a thread of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Replayed;
use super::ahead::{Ahead, Item};
use super::clock::{Clock, be_precise};
use super::progress::{Ending, Progress};
use super::request::Request;
use super::schedule::Schedule;
use crate::config::ReplayConfig;
use crate::pressure::Patience;
use crate::source::Tap;

/// How long room is waited for before it is looked for again. Half a queue, which is what there is room for then, lasts for longer at any rate.
const REST: Duration = Duration::from_micros(200);

pub(super) struct Pacer {
    tap: Tap,
    ahead: Arc<Ahead>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    limit: Option<u64>,
    duration: Option<Duration>,
    patience: Patience,
    pass: u64,
}

/// When it began, by the clock that it sleeps by and since the Unix epoch.
#[derive(Clone, Copy)]
struct Began {
    clock: Clock,
    wall: Duration,
}

impl Pacer {
    pub(super) fn new(
        config: &ReplayConfig,
        tap: Tap,
        ahead: Arc<Ahead>,
        progress: Arc<Progress>,
        stop: Arc<AtomicBool>,
    ) -> Pacer {
        let limit = config.limit.map(std::num::NonZeroU64::get);
        let duration = config.duration.map(|duration| duration.0);
        Pacer { tap, ahead, progress, stop, limit, duration, patience: Patience::default(), pass: 1 }
    }

    /// Sends what comes to its end.
    pub(super) fn run(mut self, mut schedule: Schedule) {
        be_precise();
        let mut began: Option<Began> = None;
        let mut items = VecDeque::new();
        let ending = loop {
            let over = self.duration.zip(began).and_then(|(most, began)| began.clock.began.checked_add(most));
            if !self.ahead.take(&mut items, over) {
                break Ending::Duration;
            }
            if items.is_empty() {
                break Ending::Complete;
            }
            if let Some(ending) = items.drain(..).find_map(|item| self.next(item, &mut began, &mut schedule)) {
                break ending;
            }
        };
        self.progress.end(ending);
        self.ahead.close();
    }

    /// Gives the end, where this is not sent any more, or was the last.
    fn next(&mut self, item: Item, began: &mut Option<Began>, schedule: &mut Schedule) -> Option<Ending> {
        let Item::Request(request) = item else {
            schedule.next_pass();
            self.pass += 1;
            self.progress.passes.store(self.pass, Relaxed);
            return None;
        };
        let Began { clock, wall } = *began.get_or_insert_with(|| {
            let wall = SystemTime::now();
            let clock = Clock::start();
            self.progress.begin(clock.began, wall);
            Began { clock, wall: wall.duration_since(UNIX_EPOCH).unwrap_or_default() }
        });
        let started = request.started;
        let due = schedule.due(started, request.lasted().unwrap_or_default());
        let most = self.duration;
        let is_over = |time: Duration| most.is_some_and(|most| time >= most);
        if due.is_some_and(is_over) {
            return Some(Ending::Duration);
        }
        if let Some(due) = due {
            clock.sleep_until(due, &self.stop);
        }
        wait_for_room(&self.tap, &mut self.patience, &self.stop);
        let now = clock.began.elapsed();
        if self.stop.load(Relaxed) {
            return Some(Ending::Interrupted);
        }
        if is_over(now) {
            return Some(Ending::Duration);
        }
        self.send(*request, due.map(|due| clock.began + due), wall + now);
        let sent = self.progress.sent_one(started, due.unwrap_or(now));
        self.limit.is_some_and(|limit| sent >= limit).then_some(Ending::Limit)
    }

    fn send(&mut self, request: Request, due: Option<Instant>, now: Duration) {
        let replayed = Replayed { due, pass: self.pass, ..request.replayed() };
        let (tap, patience, stop) = (&self.tap, &mut self.patience, &self.stop);
        request.offer(tap, now, replayed, &mut || wait_for_room(tap, patience, stop));
    }
}

fn wait_for_room(tap: &Tap, patience: &mut Patience, stop: &AtomicBool) {
    while !stop.load(Relaxed) && patience.waits(tap.pressure(), Instant::now()) {
        std::thread::sleep(REST);
    }
}
