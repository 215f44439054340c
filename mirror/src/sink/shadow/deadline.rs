//! How long one copy after the other may take, on one timer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// A deadline that is set anew for each copy of a connection. Hardly one is ever reached, so that the timer is not: where it rings too early, because the
/// deadline was put off since, it is set to the deadline of then. Timers that are made, set and taken back for each copy cost more than its head's parsing.
pub(super) struct Deadline {
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn at(at: Instant) -> Deadline {
        Deadline { at, timer: Box::pin(sleep_until(at.into())) }
    }

    /// From now on it is then, earlier or later.
    pub(super) fn set(&mut self, at: Instant) {
        self.at = at;
        if self.timer.deadline() > at.into() {
            self.timer.as_mut().reset(at.into());
        }
    }

    /// Resolves when it is reached.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= self.at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_is_reached_when_it_was_set_to_last() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut deadline = Deadline::at(start + ms(5));
        for put_off in [20, 40] {
            deadline.set(start + ms(put_off));
            poll_fn(|cx| deadline.poll(cx)).await;
            assert!(start.elapsed() >= ms(put_off));
        }
        deadline.set(start + Duration::from_secs(3600));
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx).is_pending())).await);
        deadline.set(start + ms(60));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert!((ms(60)..Duration::from_secs(60)).contains(&start.elapsed()));
    }
}
