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
use bytes::BytesMut;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::dial::Noted;
use crate::route::Route;
use inbox::Inbox;
use outbox::Outbox;

/// An open connection.
pub(crate) struct Stream {
    inbox: Inbox,
    outbox: Arc<Outbox>,
    digest: Arc<SocketDigest>,
    established: SystemTime,
    /// Of a client's connection, where more is known of it than its socket tells.
    route: Option<Route>,
    _noted: Noted,
}

/// A client's connection as it was taken.
pub(crate) struct Arrived {
    pub(crate) socket: TcpStream,
    pub(crate) route: Option<Route>,
    /// What was read of it to see what it is.
    pub(crate) read: BytesMut,
    pub(crate) noted: Noted,
}

/// Runs what `serve` makes of a client's connection, and after each of its turns sends what it wrote in it, to the client and upstream.
pub(crate) async fn serve<F: Future<Output = ()>>(arrived: Arrived, serve: impl FnOnce(Box<Stream>) -> F) {
    let stream = Box::new(Stream::of_client(arrived));
    outbox::turns(stream.outbox.clone(), serve(stream)).await;
}

impl Stream {
    /// A connection to the upstream.
    pub(crate) fn to_upstream(socket: TcpStream, noted: Noted) -> Stream {
        Stream::new(socket, BytesMut::new(), None, noted)
    }

    fn of_client(Arrived { socket, route, read, noted }: Arrived) -> Stream {
        Stream::new(socket, read, route, noted)
    }

    fn new(socket: TcpStream, read: BytesMut, route: Option<Route>, noted: Noted) -> Stream {
        // Without the digest pingora does not know the peer's address.
        let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
        if let Some(route) = &route {
            // It is new, and has no other.
            let _ = digest.peer_addr.set(Some(route.client.into()));
        }
        let (from, to) = socket.into_split();
        let (inbox, outbox) = (Inbox::new(from, read), Arc::new(Outbox::new(to)));
        Stream { inbox, outbox, digest: Arc::new(digest), established: SystemTime::now(), route, _noted: noted }
    }

    /// What is known of a client's connection beside what its socket tells.
    pub(crate) fn route(&self) -> Option<&Route> {
        self.route.as_ref()
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
