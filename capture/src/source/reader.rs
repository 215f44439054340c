//! The threads that read: one for all that is live, one for saved captures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::live::Live;
use super::saved::Saved;
use super::stats::{Counts, INTERVAL};
use super::stop::Stop;
use super::ticker::{Ticker, system_time};
use super::vxlan::Vxlan;
use super::{Cut, Sink, TICK};
use crate::Packet;

/// How many packets are read from one source before the next has its turn.
const BATCH: usize = 4096;
/// How long a stop reads on at most, where the ring is full or more comes than is read.
pub(super) const DRAIN: Duration = Duration::from_secs(1);

/// Something live.
pub(super) enum Source {
    Live(Live),
    Vxlan(Vxlan),
}

impl Source {
    pub(super) fn counts(&self) -> Arc<Counts> {
        match self {
            Source::Live(live) => live.counts(),
            Source::Vxlan(vxlan) => vxlan.counts(),
        }
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        let fd = match self {
            Source::Live(live) => live.fd()?,
            Source::Vxlan(vxlan) => vxlan.fd(),
        };
        Some(PollFd::from_borrowed_fd(fd, PollFlags::IN))
    }

    fn read(&mut self, each: impl FnMut(Packet<'_>)) -> usize {
        match self {
            Source::Live(live) => live.read(BATCH, each),
            Source::Vxlan(vxlan) => vxlan.read(BATCH, each),
        }
    }

    fn begin(&mut self, now: Duration) {
        match self {
            Source::Live(live) => live.begin(now),
            Source::Vxlan(vxlan) => vxlan.begin(),
        }
    }

    fn pause(&mut self) {
        if let Source::Live(live) = self {
            live.pause();
        }
    }

    fn observe(&mut self) {
        match self {
            Source::Live(live) => live.observe(),
            Source::Vxlan(vxlan) => vxlan.observe(),
        }
    }

    fn retry_at(&self) -> Option<Instant> {
        if let Source::Live(live) = self { live.retry_at() } else { None }
    }

    fn retry(&mut self) {
        if let Source::Live(live) = self {
            live.retry();
        }
    }

    /// How long a packet may be on its way to us without poll saying so.
    fn hidden_for(&self) -> Duration {
        if let Source::Live(live) = self { 2 * live.block_time() } else { Duration::ZERO }
    }
}

/// Reads all that is live until it is to stop.
pub(super) fn live(mut sources: Vec<Source>, mut sink: impl Sink, stop: &Stop) {
    let mut ticker = Ticker::default();
    let mut observe_at = Instant::now() + INTERVAL;
    while !stop.is_set() {
        let now = Instant::now();
        let retry_at = sources.iter().filter_map(Source::retry_at).min();
        let wake_at = (now + TICK).min(observe_at).min(retry_at.unwrap_or(observe_at));
        let ready = wait(&sources, Some(stop), wake_at.saturating_duration_since(now));
        read(&mut sources, ready, &mut sink, &mut ticker, || stop.is_set());
        // Only now that nothing older is in a ring is it this late.
        let time = system_time();
        if ticker.due(time) {
            sink.tick(time);
        }
        let now = Instant::now();
        if now >= observe_at {
            sources.iter_mut().for_each(Source::observe);
            observe_at = now + INTERVAL;
        }
        sources.iter_mut().filter(|source| source.retry_at().is_some_and(|at| now >= at)).for_each(Source::retry);
    }
    drain(&mut sources, &mut sink, &mut ticker);
    sources.iter_mut().for_each(Source::observe);
    sink.end(system_time());
}

/// Which of the first 64 sources are ready; of any beyond, it is not known, and they are tried.
type Ready = u64;

/// Waits until one is ready, or it is to stop, or the time is up.
fn wait(sources: &[Source], stop: Option<&Stop>, limit: Duration) -> Ready {
    let mut fds = Vec::with_capacity(sources.len() + 1);
    let mut open = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        if let Some(fd) = source.poll_fd() {
            fds.push(fd);
            open.push(index);
        }
    }
    fds.extend(stop.map(|stop| PollFd::new(stop, PollFlags::IN)));
    let limit = Timespec::try_from(limit).ok();
    match poll(&mut fds, limit.as_ref()) {
        Ok(0) => 0,
        Ok(_) => fds
            .iter()
            .zip(open)
            .filter(|(fd, index)| !fd.revents().is_empty() || *index >= Ready::BITS as usize)
            .fold(0, |ready, (_, index)| ready | 1 << index.min(Ready::BITS as usize - 1)),
        // Interrupted: as good as nothing.
        Err(_) => 0,
    }
}

/// Reads those that are ready, in turns, until each had nothing more or it is enough. Returns how many packets there were.
fn read(
    sources: &mut [Source],
    mut ready: Ready,
    sink: &mut impl Sink,
    ticker: &mut Ticker,
    enough: impl Fn() -> bool,
) -> usize {
    let is_ready = |ready: Ready, index: usize| ready >> index.min(Ready::BITS as usize - 1) & 1 == 1;
    let began = system_time();
    for (index, source) in sources.iter_mut().enumerate() {
        if is_ready(ready, index) {
            source.begin(began);
        }
    }
    let all = ready;
    let mut total = 0;
    while ready != 0 && !enough() {
        let mut again = 0;
        for (index, source) in sources.iter_mut().enumerate().filter(|(index, _)| is_ready(ready, *index)) {
            let count = source.read(|packet| push(sink, ticker, packet));
            total += count;
            if count >= BATCH {
                again |= 1 << index.min(Ready::BITS as usize - 1);
            }
        }
        ready = again;
    }
    for (index, source) in sources.iter_mut().enumerate() {
        if is_ready(all, index) {
            source.pause();
        }
    }
    total
}

#[inline]
fn push(sink: &mut impl Sink, ticker: &mut Ticker, packet: Packet<'_>) {
    if ticker.due(packet.time) {
        sink.tick(packet.time);
    }
    sink.packet(packet);
}

/// Reads what had passed when the stop came: what rings and sockets hold, and the block that the kernel is at.
fn drain(sources: &mut [Source], sink: &mut impl Sink, ticker: &mut Ticker) {
    let stopped = system_time();
    let until = Instant::now() + DRAIN;
    let hidden = sources.iter().map(Source::hidden_for).max().unwrap_or_default();
    let quiet_after = Instant::now() + hidden;
    loop {
        let now = Instant::now();
        let ready = wait(sources, None, quiet_after.saturating_duration_since(now));
        let late = std::cell::Cell::new(false);
        let mut until_stop = UntilStop { sink, stopped, late: &late };
        read(sources, ready, &mut until_stop, ticker, || late.get() || Instant::now() >= until);
        let now = Instant::now();
        if late.get() || now >= until || (ready == 0 && now >= quiet_after) {
            return;
        }
    }
}

/// Hands on, and notes when what comes had not yet passed at the stop.
struct UntilStop<'a, S> {
    sink: &'a mut S,
    stopped: Duration,
    late: &'a std::cell::Cell<bool>,
}

impl<S: Sink> Sink for UntilStop<'_, S> {
    fn packet(&mut self, packet: Packet<'_>) {
        if packet.time > self.stopped {
            self.late.set(true);
        }
        self.sink.packet(packet);
    }

    fn tick(&mut self, now: Duration) {
        self.sink.tick(now);
    }

    fn end(&mut self, now: Duration) {
        self.sink.end(now);
    }
}

/// Reads saved captures one after the other to their ends, or until it is to stop.
pub(super) fn saved(saved: Vec<Saved>, mut sink: impl Sink, stop: &Stop, cuts: &Mutex<Vec<Cut>>) {
    let mut ticker = Ticker::default();
    for mut saved in saved {
        while !stop.is_set() {
            match saved.read(BATCH, |packet| push(&mut sink, &mut ticker, packet)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if stop.is_set() => break,
                Err(cut) => {
                    tracing::error!(%cut, "a saved capture");
                    cuts.lock().unwrap_or_else(PoisonError::into_inner).push(cut);
                    break;
                }
            }
        }
    }
    sink.end(ticker.now);
}
