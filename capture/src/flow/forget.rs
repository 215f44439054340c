//! Which connections are forgotten, and when one is closed.
//!
//! Three lists, each ordered by last use, are evicted in this order where there are too many entries: handshakes and what closed connections left;
//! connections of which one side was heard only; all others. So neither a flood of SYNs nor one of data from forged addresses costs a connection
//! that is alive. Entries that were not used for long are dropped by the packets' stamps. Where too much is held in all, out of order or because a head is
//! not whole yet, the connection that has held something for longest gives that up. Each of these takes the first of a list: no packet costs a look
//! at others.

use std::time::Duration;

use super::handler::{Closed, Handler};
use super::key::Key;
use super::open::{Next, Open};
use super::table::{Index, List};
use super::{Flows, State};

/// For how long handshakes, and what closed connections left, are kept: the longest time between two SYNs of one attempt (Linux: 64 s after the
/// sixth), a little more than its TIME-WAIT of 60 s.
const SMALL_IDLE: Duration = Duration::from_secs(64);

impl<C> Flows<C> {
    /// Forgets what was not used for long at this time, by the packets' stamps. [`Self::segment`] does so too: this is for when none come.
    pub fn tick<H: Handler<Connection = C>>(&mut self, now: Duration, handler: &mut H) {
        self.swept = now;
        for list in List::ALL {
            let idle = if list == List::Small { SMALL_IDLE.min(self.limits.idle) } else { self.limits.idle };
            while let Some((at, touched)) = self.table.oldest(list)
                && now.saturating_sub(touched) >= idle
            {
                self.forget(at, Closed::Idle, now, handler);
            }
        }
    }

    /// Closes all: the capture is at its end.
    pub fn finish<H: Handler<Connection = C>>(&mut self, handler: &mut H) {
        for list in List::ALL {
            while let Some((at, _)) = self.table.oldest(list) {
                self.forget(at, Closed::EndOfCapture, self.now, handler);
            }
        }
    }

    /// A new entry; where there are too many, others give way to it.
    pub(super) fn insert<H: Handler<Connection = C>>(
        &mut self,
        key: Key,
        now: Duration,
        state: State<C>,
        handler: &mut H,
    ) -> Index {
        while self.table.len() >= self.limits.flows.clamp(1, Index::MAX as usize - 1) {
            let Some((at, _)) = List::ALL.iter().find_map(|list| self.table.oldest(*list)) else { break };
            self.forget(at, Closed::Evicted, now, handler);
        }
        self.table.insert(key, List::Small, now, state)
    }

    /// Removes an entry, and closes the connection that it may be.
    pub(super) fn forget<H: Handler<Connection = C>>(
        &mut self,
        at: Index,
        why: Closed,
        now: Duration,
        handler: &mut H,
    ) {
        let Some(state) = self.table.remove(at) else { return };
        self.held -= state.held();
        match state {
            State::Open(open) => self.say_closed(*open, why, now, handler),
            State::Half(_) | State::Unclear(_) | State::Closed(_) => {
                self.counters.evicted_small += u64::from(why == Closed::Evicted);
            }
        }
    }

    /// Closes a connection, of which a small entry is left.
    pub(super) fn close<H: Handler<Connection = C>>(&mut self, at: Index, why: Closed, now: Duration, handler: &mut H) {
        let Some(state) = self.table.get(at) else { return };
        let State::Open(open) = state else { return };
        let held = open.held();
        let left = State::Closed(open.isn);
        let State::Open(open) = std::mem::replace(state, left) else { return };
        self.account(at, held, 0);
        self.table.touch(at, List::Small, now);
        self.say_closed(*open, why, now, handler);
    }

    fn say_closed<H: Handler<Connection = C>>(&mut self, open: Open<C>, why: Closed, now: Duration, handler: &mut H) {
        match why {
            Closed::Finished => self.counters.finished += 1,
            Closed::Reset => self.counters.reset += 1,
            Closed::Evicted => self.counters.evicted += 1,
            Closed::Idle => self.counters.idle += 1,
            Closed::Replaced => self.counters.replaced += 1,
            Closed::EndOfCapture => (),
        }
        open.close(why, now, &mut self.counters, handler);
    }

    /// An entry held `before`, and holds `after`.
    pub(super) fn account(&mut self, at: Index, before: usize, after: usize) {
        if before != after {
            self.held = self.held - before + after;
            self.table.hold(at, after > 0);
        }
    }

    /// Makes room where too much is held in all.
    pub(super) fn bound<H: Handler<Connection = C>>(&mut self, now: Duration, handler: &mut H) {
        while self.held > self.limits.bytes
            && let Some(at) = self.table.longest_holding()
        {
            self.counters.released += 1;
            let Some(state) = self.table.get(at) else { return };
            let before = state.held();
            let State::Open(open) = state else {
                self.forget(at, Closed::Evicted, now, handler);
                continue;
            };
            let next = open.release(now, &mut self.counters, handler);
            self.account(at, before, 0);
            if let Next::Close(why) = next {
                self.close(at, why, now, handler);
            }
        }
    }
}
