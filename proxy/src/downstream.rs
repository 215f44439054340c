//! A downstream connection as pingora takes it.
//!
//! pingora writes a response's head, each piece of its body and the end of the chunks by calls of their own, and flushes in between where
//! the client is to see something at once. Each call that reaches the socket costs a segment and wakes the client. So small writes, and
//! flushes, wait until pingora has nothing more to do in this turn of its task, and go out together then; a large write takes what waits along
//! in one `writev`, so that no body is copied for it. Nothing waits longer than a turn: a piece of an event stream leaves when it has come.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use std::os::fd::AsRawFd;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Writes up to this size are kept until the turn ends: a head, or a small body.
const SMALL: usize = 2048;

/// The most that is kept.
const KEPT: usize = 8 * 1024;

/// The most slices that go out in one write, beside what is kept.
const SLICES: usize = 8;

/// How long a client may take to receive the last few kilobytes before the connection is closed.
const LAST_WRITE: Duration = Duration::from_secs(60);

/// A TCP connection from a client, as pingora holds it.
pub(crate) struct Downstream {
    inbox: OwnedReadHalf,
    outbox: Arc<Outbox>,
    digest: Arc<SocketDigest>,
    established: SystemTime,
}

/// What waits to be sent. Shared with the task that serves the connection, which sends what is left each time pingora has nothing more
/// to do: see [`serve`]. The lock is never contended: pingora runs within that task.
struct Outbox(Mutex<Waiting>);

struct Waiting {
    socket: OwnedWriteHalf,
    kept: BytesMut,
    /// The upstream's `Date`, for the head that is written next.
    date: Option<Date>,
}

/// A date as HTTP writes it: always as long (RFC 9110 §5.6.7, IMF-fixdate).
type Date = [u8; 29];

/// Runs what `serve` makes of the connection, and after each of its turns sends what it wrote in it.
pub(crate) async fn serve<F: Future<Output = ()>>(socket: TcpStream, serve: impl FnOnce(Box<Downstream>) -> F) {
    // Without the digest pingora does not know the client's address.
    let digest = Arc::new(SocketDigest::from_raw_fd(socket.as_raw_fd()));
    let (inbox, socket) = socket.into_split();
    let outbox = Arc::new(Outbox(Mutex::new(Waiting { socket, kept: BytesMut::new(), date: None })));
    let served = serve(Box::new(Downstream { inbox, outbox: outbox.clone(), digest, established: SystemTime::now() }));
    tokio::pin!(served);
    poll_fn(|cx| {
        let served = served.as_mut().poll(cx);
        // What cannot be sent now wakes this task when it can; errors are met by pingora's next read or write.
        let _ = outbox.waiting().poll_send(cx);
        served
    })
    .await;
    // The end of the last answer, to a client that is slow to take it: pingora takes it for sent.
    let _ = tokio::time::timeout(LAST_WRITE, poll_fn(|cx| outbox.waiting().poll_send(cx))).await;
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Downstream {
    /// Has the next head say this date. pingora puts its own into every head as it writes it, over the upstream's, which makes old
    /// answers young to caches; the switch that turns that off is private. Other forms of dates than today's are left to it.
    pub(crate) fn keep_date(&self, date: &[u8]) {
        self.outbox.waiting().date = date.try_into().ok();
    }
}

impl Waiting {
    /// Sends what is kept.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &self.kept))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.kept.advance(n),
            }
        }
        Poll::Ready(Ok(()))
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

impl AsyncRead for Downstream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inbox).poll_read(cx, buf)
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.outbox.waiting();
        let waiting = &mut *waiting;
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        let is_head = waiting.date.is_some() && bufs.first().is_some_and(|buf| buf.starts_with(b"HTTP/1."));
        if is_head || (length <= SMALL && waiting.kept.len() + length <= KEPT) {
            let at = waiting.kept.len();
            bufs.iter().for_each(|buf| waiting.kept.extend_from_slice(buf));
            if is_head {
                waiting.put_date_back(at);
            }
            return Poll::Ready(Ok(length));
        }
        // What is kept and what comes, together; until some of the latter is sent there is nothing to tell.
        loop {
            let before = waiting.kept.len();
            let mut slices = [IoSlice::new(&[]); SLICES + 1];
            slices[0] = IoSlice::new(&waiting.kept);
            let given = bufs.len().min(SLICES);
            slices[1..=given].copy_from_slice(&bufs[..given]);
            let all = if before == 0 { &slices[1..=given] } else { &slices[..=given] };
            match ready!(Pin::new(&mut waiting.socket).poll_write_vectored(cx, all))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n if n > before => {
                    waiting.kept.clear();
                    return Poll::Ready(Ok(n - before));
                }
                n => waiting.kept.advance(n),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing to do: what is kept is sent when this turn of the task ends.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waiting = self.outbox.waiting();
        ready!(waiting.poll_send(cx))?;
        Pin::new(&mut waiting.socket).poll_shutdown(cx)
    }
}

impl std::fmt::Debug for Downstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Downstream").field("socket", &self.inbox).finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for Downstream {
    async fn shutdown(&mut self) {
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            tracing::debug!(%error, "a connection was gone before it was closed");
        }
    }
}

impl UniqueID for Downstream {
    fn id(&self) -> UniqueIDType {
        self.inbox.as_ref().as_raw_fd()
    }
}

impl GetTimingDigest for Downstream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        let established_ts = self.established;
        vec![Some(TimingDigest { established_ts, establishment_duration: None, offload_wait_duration: None })]
    }
}

impl GetProxyDigest for Downstream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Downstream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}

impl Ssl for Downstream {}
impl Peek for Downstream {}
