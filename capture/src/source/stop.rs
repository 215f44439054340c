//! The wish to stop, which wakes whoever waits in poll.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::event::{EventfdFlags, eventfd};

/// Set once; never unset, so that its descriptor stays readable for all who wait for it.
#[derive(Clone)]
pub(super) struct Stop(Arc<Inner>);

struct Inner {
    set: AtomicBool,
    event: OwnedFd,
}

impl Stop {
    pub(super) fn new() -> io::Result<Stop> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stop(Arc::new(Inner { set: AtomicBool::new(false), event })))
    }

    pub(super) fn set(&self) {
        self.0.set.store(true, Relaxed);
        // Fails only when it has been set very often before.
        let _ = rustix::io::write(&self.0.event, &1u64.to_ne_bytes());
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.set.load(Relaxed)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}
