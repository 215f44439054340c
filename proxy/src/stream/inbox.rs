//! What is read from a connection.
//!
//! pingora reads a message's head into 4 KiB, with as much of the body as fits behind it, and hands that part of the body on as a piece of
//! its own: a second write to the other side, a second segment, a second wake-up of whoever reads it. So a read for a head ends with the head,
//! and what came behind it is given to the next read, together with what has arrived since. At most one head's buffer is copied for that, once
//! a message, and no body beyond it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

/// A read into at most this much is one for a head; pingora reads bodies into 64 KiB.
const HEAD_READ: usize = 8 * 1024;

const HEAD_END: &[u8] = b"\r\n\r\n";

pub(super) struct Inbox {
    pub(super) socket: OwnedReadHalf,
    /// Read, and not yet given.
    held: BytesMut,
    /// What reading met behind the bytes that were given.
    failed: Option<io::Error>,
}

impl Inbox {
    /// What was read of it already comes first.
    pub(super) fn new(socket: OwnedReadHalf, read: BytesMut) -> Inbox {
        Inbox { socket, held: read, failed: None }
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let for_head = buf.remaining() <= HEAD_READ;
        let before = buf.filled().len();
        if self.held.is_empty() {
            let read = Pin::new(&mut self.socket).poll_read(cx, buf);
            // Where there is room left, nothing came behind that would be worth a piece of its own.
            if for_head && buf.remaining() == 0 {
                let end = before + head_length(&buf.filled()[before..]);
                self.held.extend_from_slice(&buf.filled()[end..]);
                buf.set_filled(end);
            }
            return read;
        }
        let mut given = self.held.len().min(buf.remaining());
        if for_head {
            given = head_length(&self.held[..given]);
        }
        buf.put_slice(&self.held[..given]);
        self.held.advance(given);
        if !for_head && self.held.is_empty() {
            self.held = BytesMut::new();
            if let Poll::Ready(Err(error)) = Pin::new(&mut self.socket).poll_read(cx, buf) {
                self.failed = Some(error);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Where the head that these bytes begin with ends; their length where it does not.
fn head_length(bytes: &[u8]) -> usize {
    memmem::find(bytes, HEAD_END).map_or(bytes.len(), |at| at + HEAD_END.len())
}
