//! Sessions: copies that go to the target in their order, each behind the one before it. (Where the copies come out of order from stages that hold
//! some of them back, that is the order.)

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::condition::Key;
use crate::config::OrderConfig;
use crate::outcome::DropReason;
use crate::pressure::Backlog;
use crate::queue::Offer;
use crate::telemetry::{Observed, Several, Telemetry};

/// The sessions of one target.
pub(super) struct Order {
    by: Key,
    /// Whether a session's copies are sent before those before them are answered.
    pub(super) pipelined: bool,
    /// The most copies that wait, of all sessions together.
    most: usize,
    waiting: Arc<AtomicUsize>,
    /// Those of which a copy is under way.
    sessions: Mutex<HashMap<u64, Session>>,
    _observed: Observed,
}

#[derive(Default)]
struct Session {
    /// What waits behind the copy under way.
    behind: VecDeque<Offer>,
    /// Told when more does.
    more: Arc<Notify>,
}

impl Order {
    /// Of which at most so many copies wait.
    pub(super) fn new(config: &OrderConfig, most: usize, name: &str, telemetry: &Telemetry) -> Order {
        let waiting: Arc<AtomicUsize> = Arc::default();
        let told = waiting.clone();
        let observed = telemetry.gauge_while(
            "mirror_shadow_order_waiting",
            "Copies that wait for those before them in their session.",
            ("sink", name),
            Several::Sum,
            Box::new(move || told.load(Relaxed) as u64),
        );
        let OrderConfig { by, pipelined } = config.clone();
        Order { by, pipelined, most, waiting, sessions: Mutex::default(), _observed: observed }
    }

    /// Those that wait, against the most that may.
    pub(super) fn backlog(&self) -> Backlog {
        Backlog { waiting: self.waiting.clone(), most: self.most }
    }

    /// The session that a copy belongs to, where it has one.
    fn session(&self, offer: &Offer) -> Option<u64> {
        let session = self.by.hash(&offer.exchange.facts())?;
        Some(match offer.exchange.replayed() {
            Some(replayed) => replayed.session(session, self.by == Key::Connection),
            None => session,
        })
    }

    /// Takes a copy to the end of its session. Gives it back where it may go now: what is behind it in its session, where it has one, is asked for by
    /// [`next`](Self::next). Otherwise it goes after others, which take it along; or it was dropped, as too many wait.
    pub(super) fn take(&self, offer: Offer) -> Option<(Offer, Option<u64>)> {
        let Some(session) = self.session(&offer) else { return Some((offer, None)) };
        let mut sessions = self.sessions();
        let Some(Session { behind, more }) = sessions.get_mut(&session) else {
            sessions.insert(session, Session::default());
            return Some((offer, Some(session)));
        };
        if self.waiting.load(Relaxed) >= self.most {
            offer.account.dropped(DropReason::QueueFull);
        } else {
            self.waiting.fetch_add(1, Relaxed);
            behind.push_back(offer);
            more.notify_one();
        }
        None
    }

    /// The session's next copy, once the one before is answered or given up; the session ends where there is none.
    pub(super) fn next(&self, session: u64) -> Option<Offer> {
        let mut sessions = self.sessions();
        let offer = sessions.get_mut(&session).and_then(|session| session.behind.pop_front());
        match offer {
            Some(_) => _ = self.waiting.fetch_sub(1, Relaxed),
            None => _ = sessions.remove(&session),
        }
        offer
    }

    /// The session's next copy, where one waits; the session stays.
    pub(super) fn next_waiting(&self, session: u64) -> Option<Offer> {
        let offer = self.sessions().get_mut(&session)?.behind.pop_front()?;
        self.waiting.fetch_sub(1, Relaxed);
        Some(offer)
    }

    /// What tells that more of a session waits.
    pub(super) fn more(&self, session: u64) -> Option<Arc<Notify>> {
        self.sessions().get(&session).map(|session| session.more.clone())
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Session>> {
        self.sessions.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
