//! A downstream connection as pingora takes it.
//!
//! pingora writes a response's head and each piece of its body by a call of its own, and flushes where the client is to see
//! something at once. Its own listeners put a buffer below that; the stream that a foreign accept loop can make has none, and sends a
//! segment a call. This one keeps small writes until the flush, or sends them before a large write in one `writev`, so that
//! no body is copied for it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

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

/// Writes up to this size are kept until the flush: a head, or a small body.
const SMALL: usize = 2048;

/// The most that is kept.
const KEPT: usize = 8 * 1024;

/// The most slices that go out in one write, beside what is kept.
const SLICES: usize = 8;

/// A TCP connection from a client.
pub(crate) struct Downstream {
    socket: TcpStream,
    kept: BytesMut,
    digest: Arc<SocketDigest>,
    established: SystemTime,
}

impl Downstream {
    pub(crate) fn new(socket: TcpStream) -> Downstream {
        // Without the digest pingora does not know the client's address.
        let digest = Arc::new(SocketDigest::from_raw_fd(socket.as_raw_fd()));
        Downstream { socket, kept: BytesMut::new(), digest, established: SystemTime::now() }
    }

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
}

impl AsyncRead for Downstream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        if length <= SMALL && this.kept.len() + length <= KEPT {
            bufs.iter().for_each(|buf| this.kept.extend_from_slice(buf));
            return Poll::Ready(Ok(length));
        }
        // What is kept and what comes, together; until some of the latter is sent there is nothing to tell.
        loop {
            let before = this.kept.len();
            let mut slices = [IoSlice::new(&[]); SLICES + 1];
            slices[0] = IoSlice::new(&this.kept);
            let given = bufs.len().min(SLICES);
            slices[1..=given].copy_from_slice(&bufs[..given]);
            let all = if before == 0 { &slices[1..=given] } else { &slices[..=given] };
            match ready!(Pin::new(&mut this.socket).poll_write_vectored(cx, all))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n if n > before => {
                    this.kept.clear();
                    return Poll::Ready(Ok(n - before));
                }
                n => this.kept.advance(n),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Drop for Downstream {
    /// pingora drops connections that it has written to without a flush; its own stream sends what it can then, too.
    fn drop(&mut self) {
        if !self.kept.is_empty() {
            let _ = self.socket.try_write(&self.kept);
        }
    }
}

impl std::fmt::Debug for Downstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Downstream").field("socket", &self.socket).field("kept", &self.kept.len()).finish()
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
        self.socket.as_raw_fd()
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
