//! A TCP connection as pingora holds it, from a client or to the upstream: read by [`inbox`], written by [`outbox`].

mod inbox;
mod outbox;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use inbox::Inbox;
use outbox::Outbox;

/// An open connection.
pub(crate) struct Stream {
    inbox: Inbox,
    outbox: Arc<Outbox>,
    digest: Arc<SocketDigest>,
    established: SystemTime,
}

/// Runs what `serve` makes of a client's connection, and after each of its turns sends what it wrote in it, to the client and upstream.
pub(crate) async fn serve<F: Future<Output = ()>>(socket: TcpStream, serve: impl FnOnce(Box<Stream>) -> F) {
    let stream = Box::new(Stream::new(socket));
    outbox::turns(stream.outbox.clone(), serve(stream)).await;
}

impl Stream {
    pub(crate) fn new(socket: TcpStream) -> Stream {
        // Without the digest pingora does not know the peer's address.
        let digest = Arc::new(SocketDigest::from_raw_fd(socket.as_raw_fd()));
        let (read, write) = socket.into_split();
        let (inbox, outbox) = (Inbox::new(read), Arc::new(Outbox::new(write)));
        Stream { inbox, outbox, digest, established: SystemTime::now() }
    }

    /// Has the next head say this date. pingora puts its own into every head as it writes it, over the upstream's, which makes old
    /// answers young to caches; the switch that turns that off is private. Other forms of dates than today's are left to it.
    pub(crate) fn keep_date(&self, date: &[u8]) {
        self.outbox.waiting().date = date.try_into().ok();
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inbox.poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.outbox.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing to do: what is kept is sent when this turn of the task ends.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.waiting().poll_shutdown(cx)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("socket", &self.inbox.socket).finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for Stream {
    async fn shutdown(&mut self) {
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            tracing::debug!(%error, "a connection was gone before it was closed");
        }
    }
}

impl UniqueID for Stream {
    fn id(&self) -> UniqueIDType {
        self.inbox.socket.as_ref().as_raw_fd()
    }
}

impl GetTimingDigest for Stream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        let established_ts = self.established;
        vec![Some(TimingDigest { established_ts, establishment_duration: None, offload_wait_duration: None })]
    }
}

impl GetProxyDigest for Stream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Stream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}

impl Ssl for Stream {}
impl Peek for Stream {}
