//! Sends each request when it is due, as a task of the engine: what it offers is sent by the same thread, with no other to be woken in between.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::Replayed;
use super::ahead::{Ahead, Item};
use super::clock::Clock;
use super::progress::{Ending, Progress};
use super::schedule::Schedule;
use super::waits::Waits;
use crate::config::ReplayConfig;
use crate::source::Tap;

/// So many requests are offered in a row where all of them are due. Then those that send have their turn.
const TURN: u32 = 32;

pub(super) struct Pacer {
    tap: Tap,
    ahead: Arc<Ahead>,
    progress: Arc<Progress>,
    waits: Waits,
    limit: Option<u64>,
    duration: Option<Duration>,
    pass: u64,
    /// Offered since others had their turn.
    in_a_row: u32,
}

/// When it began, by the clock that it sleeps by and since the Unix epoch.
#[derive(Clone, Copy)]
struct Began {
    clock: Clock,
    wall: Duration,
}

impl Pacer {
    /// # Errors
    /// When the system gives no timer.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn new(
        config: &ReplayConfig,
        tap: Tap,
        ahead: Arc<Ahead>,
        progress: Arc<Progress>,
        stop: watch::Receiver<bool>,
    ) -> io::Result<Pacer> {
        let limit = config.limit.map(std::num::NonZeroU64::get);
        let duration = config.duration.map(|duration| duration.0);
        let waits = Waits::new(stop)?;
        Ok(Pacer { tap, ahead, progress, waits, limit, duration, pass: 1, in_a_row: 0 })
    }

    /// Sends what comes to its end.
    pub(super) async fn run(mut self, mut schedule: Schedule) {
        let ending = self.send_all(&mut schedule).await;
        self.progress.end(ending);
        self.ahead.close();
    }

    async fn send_all(&mut self, schedule: &mut Schedule) -> Ending {
        let mut began: Option<Began> = None;
        let mut items = VecDeque::new();
        loop {
            let over = self.duration.zip(began).and_then(|(most, began)| began.clock.began.checked_add(most));
            if !self.ahead.take(&mut items, over).await {
                return Ending::Duration;
            }
            if items.is_empty() {
                return Ending::Complete;
            }
            for item in items.drain(..) {
                if let Some(ending) = self.next(item, &mut began, schedule).await {
                    return ending;
                }
            }
        }
    }

    /// Gives the end, where this is not sent any more, or was the last.
    async fn next(&mut self, item: Item, began: &mut Option<Began>, schedule: &mut Schedule) -> Option<Ending> {
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
        match due.filter(|due| clock.began.elapsed() < *due) {
            Some(due) => {
                self.waits.until(clock, due).await;
                self.in_a_row = 0;
            }
            None if self.in_a_row >= TURN => {
                tokio::task::yield_now().await;
                self.in_a_row = 0;
            }
            None => {}
        }
        self.waits.for_room(&self.tap).await;
        let now = clock.began.elapsed();
        if self.waits.are_over() {
            return Some(Ending::Interrupted);
        }
        if is_over(now) {
            return Some(Ending::Duration);
        }
        self.in_a_row += 1;
        let replayed = Replayed { due: due.map(|due| clock.began + due), pass: self.pass, ..request.replayed };
        request.offer(&self.tap, wall + now, replayed, &mut self.waits).await;
        let sent = self.progress.sent_one(started, due.unwrap_or(now));
        self.limit.is_some_and(|limit| sent >= limit).then_some(Ending::Limit)
    }
}
