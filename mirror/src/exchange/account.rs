//! What became of one exchange at one sink.

use std::sync::Arc;

use super::{Answer, Response, Shared};
use crate::outcome::{DropReason, FailReason, Outcome, SkipReason};
use crate::sink::{KeptAnswers, SinkSlot};

/// One sink's account of one exchange: settled exactly once, at the latest when it is dropped. This is what makes
/// offered = delivered + dropped + failed hold whatever happens to a task.
#[derive(Debug)]
pub struct Account {
    shared: Arc<Shared>,
    sink: usize,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    Offered,
    Settled,
}

impl Account {
    pub(crate) fn new(shared: Arc<Shared>, sink: usize) -> Account {
        Account { shared, sink, state: State::Open }
    }

    pub(crate) fn sink(&self) -> usize {
        self.sink
    }

    /// What is kept of the target's answer; none where nobody reads it.
    pub(crate) fn kept_answers(&self) -> Option<&KeptAnswers> {
        self.shared.sinks[self.sink].kept_answers.as_ref()
    }

    /// The sink was meant to have it.
    pub(crate) fn offer(&mut self) {
        if self.state == State::Open {
            self.state = State::Offered;
            self.shared.sinks[self.sink].metrics.offered.inc();
        }
    }

    /// The sink was not meant to have it.
    pub(crate) fn skipped(mut self, reason: SkipReason) {
        debug_assert_eq!(self.state, State::Open);
        self.state = State::Settled;
        self.shared.sinks[self.sink].metrics.skipped.inc(reason as usize);
        self.shared.answers.settle(self.sink, || Answer { outcome: Outcome::Skipped(reason), response: None });
    }

    /// It arrived; with what was answered.
    pub fn delivered(self, response: Option<Response>) {
        self.settle(Outcome::Delivered, response);
    }

    /// It was given up.
    pub fn dropped(self, reason: DropReason) {
        self.settle(Outcome::Dropped(reason), None);
    }

    /// It did not arrive.
    pub fn failed(self, reason: FailReason) {
        self.settle(Outcome::Failed(reason), None);
    }

    fn settle(mut self, outcome: Outcome, response: Option<Response>) {
        self.close(outcome, response);
    }

    fn close(&mut self, outcome: Outcome, response: Option<Response>) {
        self.offer();
        if self.state == State::Settled {
            return;
        }
        self.state = State::Settled;
        self.shared.sinks[self.sink].metrics.settle(outcome, 1);
        self.shared.answers.settle(self.sink, || Answer { outcome, response });
    }
}

impl Drop for Account {
    /// A task that ended without a word was ended by the program's end.
    fn drop(&mut self) {
        if self.state != State::Settled {
            self.close(Outcome::Dropped(DropReason::Shutdown), None);
        }
    }
}

/// Accounts that are settled together, without what their exchanges hold. Dropped unsettled, they count as dropped at shutdown.
#[derive(Default)]
pub(crate) struct Accounts(Vec<Alike>);

/// Those of one sink.
struct Alike {
    sinks: Arc<[SinkSlot]>,
    sink: usize,
    count: u64,
}

impl From<Account> for Accounts {
    fn from(account: Account) -> Accounts {
        let mut accounts = Accounts::default();
        accounts.add(account);
        accounts
    }
}

impl Accounts {
    /// Adds one. What its exchange holds is let go of with the last that refers to it.
    pub(crate) fn add(&mut self, mut account: Account) {
        account.offer();
        account.state = State::Settled;
        let (sinks, sink) = (&account.shared.sinks, account.sink);
        match self.0.last_mut() {
            Some(last) if last.sink == sink && Arc::ptr_eq(&last.sinks, sinks) => last.count += 1,
            _ => self.0.push(Alike { sinks: sinks.clone(), sink, count: 1 }),
        }
    }

    /// Settles all. Only for sinks that are no targets: nobody waits for their answers.
    pub(crate) fn settle(&mut self, outcome: Outcome) {
        for Alike { sinks, sink, count } in self.0.drain(..) {
            debug_assert!(!sinks[sink].answers);
            sinks[sink].metrics.settle(outcome, count);
        }
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.settle(Outcome::Dropped(DropReason::Shutdown));
    }
}
