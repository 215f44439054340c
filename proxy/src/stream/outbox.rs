//! What is written to a connection, and when it leaves.
//!
//! pingora writes a message's head, each piece of its body and the end of the chunks by calls of their own, and flushes in between where
//! the other end is to see something at once. Each call that reaches the socket costs a segment and wakes the peer. So small writes, and
//! flushes, wait until pingora has nothing more to do in this turn of its task, and go out together then; a large write takes what waits along
//! in one `writev`, so that no body is copied for it. Nothing waits longer than a turn: a piece of an event stream leaves when it has come.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

/// Writes up to this size are kept until the turn ends: a head, or a small body.
const SMALL: usize = 2048;

/// The most that is kept.
const KEPT: usize = 8 * 1024;

/// The most slices that go out in one write, beside what is kept.
const SLICES: usize = 8;

/// How long a client may take to receive the last few kilobytes before the connection is closed.
const LAST_WRITE: Duration = Duration::from_secs(60);

/// What waits to be sent on one connection. Shared with the turn, which sends what is left: see [`turns`]. The lock is never contended:
/// pingora runs within the same task.
pub(super) struct Outbox(Mutex<Waiting>);

pub(super) struct Waiting {
    socket: OwnedWriteHalf,
    kept: BytesMut,
    /// What sending at a turn's end met, for pingora's next write.
    failed: Option<io::Error>,
    /// The upstream's `Date`, for the head that is written next.
    pub(super) date: Option<Date>,
}

/// A date as HTTP writes it: always as long (RFC 9110 §5.6.7, IMF-fixdate).
pub(super) type Date = [u8; 29];

thread_local! {
    /// The outboxes with something to send when the turn that runs on this thread ends; none while no turn runs.
    static TURN: RefCell<Option<Vec<Arc<Outbox>>>> = const { RefCell::new(None) };
}

/// Runs what serves a connection, and after each of its turns sends what it wrote in it, to whichever side. `last` is the connection whose
/// last answer is waited for at the end: pingora takes it for sent.
pub(super) async fn turns(last: Arc<Outbox>, served: impl Future<Output = ()>) {
    let mut served = pin!(served);
    let mut unsent: Vec<Arc<Outbox>> = Vec::new();
    poll_fn(|cx| {
        TURN.set(Some(std::mem::take(&mut unsent)));
        let served = served.as_mut().poll(cx);
        unsent = TURN.take().unwrap_or_default();
        // What cannot be sent now wakes this task when it can.
        unsent.retain(|outbox| outbox.waiting().poll_send(cx).is_pending());
        served
    })
    .await;
    let _ = tokio::time::timeout(LAST_WRITE, poll_fn(|cx| last.waiting().poll_send(cx))).await;
}

impl Outbox {
    pub(super) fn new(socket: OwnedWriteHalf) -> Outbox {
        Outbox(Mutex::new(Waiting { socket, kept: BytesMut::new(), failed: None, date: None }))
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Has the running turn send what is kept when it ends. Gives whether there is one.
    fn enlist(self: &Arc<Outbox>) -> bool {
        TURN.with_borrow_mut(|turn| turn.as_mut().map(|turn| turn.push(self.clone())).is_some())
    }

    /// Keeps or sends; as `AsyncWrite::poll_write_vectored`.
    pub(super) fn poll_write(
        self: &Arc<Outbox>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.waiting();
        if let Some(error) = waiting.failed.take() {
            return Poll::Ready(Err(error));
        }
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        let dated = waiting.date.is_some() && bufs.first().is_some_and(|buf| buf.starts_with(b"HTTP/1."));
        let small = length <= SMALL && waiting.kept.len() + length <= KEPT;
        if (dated || small) && (!waiting.kept.is_empty() || self.enlist()) {
            return Poll::Ready(Ok(waiting.keep(bufs, dated)));
        }
        waiting.poll_send_with(cx, bufs)
    }
}

impl Waiting {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn keep(&mut self, bufs: &[IoSlice<'_>], dated: bool) -> usize {
        let before = self.kept.len();
        bufs.iter().for_each(|buf| self.kept.extend_from_slice(buf));
        if dated {
            self.put_date_back(before);
        }
        self.kept.len() - before
    }

    /// Sends what is kept. An error is told to the next write.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.kept.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &self.kept)) {
                Ok(0) => self.fail(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.kept.advance(n),
                Err(error) => self.fail(error),
            }
        }
        Poll::Ready(())
    }

    fn fail(&mut self, error: io::Error) {
        self.kept.clear();
        self.failed = Some(error);
    }

    /// Sends what is kept and what comes, together; until some of the latter is sent there is nothing to tell.
    fn poll_send_with(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let before = self.kept.len();
            let mut slices = [IoSlice::new(&[]); SLICES + 1];
            slices[0] = IoSlice::new(&self.kept);
            let given = bufs.len().min(SLICES);
            slices[1..=given].copy_from_slice(&bufs[..given]);
            let all = if before == 0 { &slices[1..=given] } else { &slices[..=given] };
            match ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, all))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n if n > before => {
                    self.kept.clear();
                    return Poll::Ready(Ok(n - before));
                }
                n => self.kept.advance(n),
            }
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx));
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    /// Puts the upstream's date over pingora's in a head that was just kept.
    fn put_date_back(&mut self, head_at: usize) {
        const NAME: &[u8] = b"\r\ndate: ";
        let Some(date) = self.date.take() else { return };
        let head = &mut self.kept[head_at..];
        let value = head
            .windows(NAME.len())
            .position(|line| line.eq_ignore_ascii_case(NAME))
            .map(|at| at + NAME.len()..at + NAME.len() + date.len());
        if let Some(value) = value.and_then(|value| head.get_mut(value)) {
            value.copy_from_slice(&date);
        }
    }
}
