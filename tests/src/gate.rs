//! Lets a test tell a script when to go on, so that the order of what happens is the transcript's.

use std::sync::{Arc, Condvar, Mutex};

use crate::WITHIN;

/// A gate that is opened for one at a time. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Gate {
    /// A closed one.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets one pass, now or when it comes.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().expect("no panic while it is held") += 1;
        changed.notify_all();
    }

    /// Waits until it may pass; long after every test has given up it passes anyhow.
    pub fn pass(&self) {
        let (open, changed) = &*self.0;
        let open = open.lock().expect("no panic while it is held");
        let (mut open, _) = changed.wait_timeout_while(open, WITHIN * 3, |open| *open == 0).expect("no panic");
        *open = open.saturating_sub(1);
    }
}
