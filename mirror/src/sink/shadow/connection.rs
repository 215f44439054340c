//! One connection to a target: sends a copy as its body flows and reads the answer at the same time.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;

use super::answer::{Keep, Unanswered, receive};
use super::deadline::Deadline;
use super::request::Request;
use crate::body::{BodyEnd, BodyReader, Chunk};
use crate::exchange::Response;
use crate::http1::{Framing, Header, Headers, push_line};
use crate::outcome::{DropReason, FailReason};

/// What goes out, in order. A head alone, as most copies are, takes no memory of its own.
type Pieces = SmallVec<[Bytes; 1]>;

/// Pieces that go out in one write; a chunk is up to three.
const MAX_PIECES: usize = 24;

/// How much of a body is worth a write of its own, in bytes.
const GATHER: u64 = 64 * 1024;

/// How long less than that is waited for: bodies come in pieces microseconds apart, and each write to the target costs it and us a wake-up.
const GATHER_FOR: Duration = Duration::from_millis(1);

/// After a failed write, how long an answer that may be on its way already is waited for.
pub(super) const LAST_WORD: Duration = Duration::from_secs(1);

/// An open connection, counted.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) input: BytesMut,
    /// Answers read from it.
    pub(super) served: u64,
    pub(super) idle_since: Instant,
    /// The session that it was used for last, where copies go by sessions.
    pub(super) session: Option<u64>,
    /// Of the copy under way.
    deadline: Option<Deadline>,
    open: Arc<AtomicU64>,
}

/// A copy that was answered.
pub(super) struct Done {
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) reusable: bool,
    pub(super) response: Option<Response>,
}

/// Why a copy was not answered.
#[derive(Debug)]
pub(super) enum Fault {
    /// The target closed a connection that had been idle, before it said a word to this request: it may be sent again.
    Stale,
    /// It did not arrive.
    Failed(FailReason),
    /// It was given up.
    Dropped(DropReason),
}

#[derive(Debug)]
pub(super) enum Unsent {
    Dropped(DropReason),
    /// The target does not take more, and said so.
    Broken,
    /// The target takes nothing.
    Late,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, open: Arc<AtomicU64>) -> Connection {
        open.fetch_add(1, Relaxed);
        Connection {
            stream,
            peer,
            input: BytesMut::new(),
            served: 0,
            idle_since: Instant::now(),
            session: None,
            deadline: None,
            open,
        }
    }

    /// Whether the target has closed it, or said something unasked, while it was idle.
    pub(super) fn is_stale(&self) -> bool {
        !matches!(self.stream.try_read(&mut [0]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Sends a request, beginning now, at `start`, and reads its answer. `timeout` bounds how long the target may take no byte of what is there to be sent, and runs
    /// from the request's last byte to the answer's.
    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        body: &mut BodyReader,
        keep: Option<&Keep>,
        timeout: Duration,
        start: Instant,
    ) -> Result<Done, Fault> {
        let reused = self.served > 0;
        let (mut read, mut write) = self.stream.split();
        let send = send(&mut write, request, body, timeout);
        let receive = receive(&mut read, &mut self.input, &request.method, keep, start);
        tokio::pin!(send, receive);
        let deadline = self.deadline.get_or_insert_with(|| Deadline::at(start + timeout));
        deadline.set(start + timeout);

        let (mut sent, mut answer) = (None, None);
        while answer.is_none() || sent.is_none() {
            tokio::select! {
                biased;
                result = &mut send, if sent.is_none() => {
                    let now = Instant::now;
                    match result {
                        Err(Unsent::Dropped(reason)) => return Err(Fault::Dropped(reason)),
                        Err(Unsent::Late) => return Err(Fault::Failed(FailReason::Timeout)),
                        Ok(Sent::AtOnce) => {}
                        Ok(Sent::InTime) => deadline.set(now() + timeout),
                        Err(Unsent::Broken) => deadline.set(now() + LAST_WORD.min(timeout)),
                    }
                    sent = Some(result.is_ok());
                }
                result = &mut receive, if answer.is_none() => match result {
                    Ok(answered) => {
                        // A target that answers and closes has heard enough.
                        if !answered.reusable && sent.is_none() {
                            sent = Some(false);
                        }
                        answer = Some(answered);
                    }
                    Err(Unanswered::Silent) if reused => return Err(Fault::Stale),
                    Err(Unanswered::Silent) => return Err(Fault::Failed(FailReason::Reset)),
                    Err(Unanswered::Failed(reason)) => return Err(Fault::Failed(reason)),
                },
                () = poll_fn(|cx| deadline.poll(cx)), if sent.is_some() => {
                    let broken = sent == Some(false);
                    return Err(Fault::Failed(if broken { FailReason::Reset } else { FailReason::Timeout }));
                }
            }
        }
        self.served += 1;
        let took = start.elapsed();
        self.idle_since = start + took;
        let answer = answer.ok_or(Fault::Failed(FailReason::Protocol))?;
        Ok(Done {
            status: answer.status,
            took,
            // Bytes that nobody asked for make the next answer's start unknown.
            reusable: answer.reusable && answer.last && sent == Some(true),
            response: answer.response,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

pub(super) enum Sent {
    /// With the first write: the deadline that was set at the start is right.
    AtOnce,
    /// As it came.
    InTime,
}

/// Sends the head and the body as it comes. What comes within a moment goes out together.
pub(super) async fn send(
    write: &mut WriteHalf<'_>,
    request: &Request,
    body: &mut BodyReader,
    stall: Duration,
) -> Result<Sent, Unsent> {
    let mut outgoing = Outgoing {
        framing: request.framing,
        pieces: [request.head.clone()].into_iter().collect(),
        taken: Vec::new(),
        length: 0,
        ended: false,
    };
    let mut waited = false;
    loop {
        if outgoing.gather(body)?.is_continue() {
            waited = true;
            let more = tokio::time::timeout(GATHER_FOR, poll_fn(|cx| body.poll_behind(cx, GATHER)));
            if let Ok(Err(reason)) = more.await {
                return Err(Unsent::Dropped(reason));
            }
            let _ = outgoing.gather(body)?;
        }
        // A whole body may be within the lag bound and beyond the sockets' buffers: no cut ends such a wait.
        within(stall, write_all(write, &mut outgoing.pieces, body)).await.unwrap_or(Err(Unsent::Late))?;
        outgoing.taken.drain(..).for_each(|bytes| body.done_with(&bytes));
        if outgoing.ended {
            return Ok(if waited { Sent::InTime } else { Sent::AtOnce });
        }
        waited = true;
        poll_fn(|cx| body.poll_behind(cx, 1)).await.map_err(Unsent::Dropped)?;
    }
}

/// What comes of it within the limit. What is done at once, as most writes are, costs no look at the clock.
async fn within<T>(limit: Duration, what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    match poll_fn(|cx| Poll::Ready(what.as_mut().poll(cx))).await {
        Poll::Ready(done) => Some(done),
        Poll::Pending => tokio::time::timeout(limit, what).await.ok(),
    }
}

/// What goes out with the next write.
struct Outgoing {
    framing: Framing,
    pieces: Pieces,
    /// The chunks among them.
    taken: Vec<Bytes>,
    /// The body's length so far.
    length: u64,
    ended: bool,
}

impl Outgoing {
    /// Takes what is there of the body. `Continue` where more would fit and is not there yet.
    fn gather(&mut self, body: &mut BodyReader) -> Result<ControlFlow<()>, Unsent> {
        while self.pieces.len() < MAX_PIECES && !self.ended {
            let next = body.try_next().map_err(Unsent::Dropped)?;
            // Looked at after the chunk: what is lost before it is told by then. A target is not to see the rest as if it followed.
            if body.lost() > 0 {
                return Err(Unsent::Dropped(DropReason::Incomplete));
            }
            match next {
                None => return Ok(ControlFlow::Continue(())),
                Some(Chunk::Data(bytes)) => {
                    self.length += bytes.len() as u64;
                    push_chunk(&mut self.pieces, self.framing, &bytes);
                    self.taken.push(bytes);
                }
                Some(Chunk::End(end)) => {
                    push_end(&mut self.pieces, self.framing, self.length, end)?;
                    self.ended = true;
                }
            }
        }
        Ok(ControlFlow::Break(()))
    }
}

/// The chunked coding, RFC 9112 §7.1, or the bytes alone.
fn push_chunk(pieces: &mut Pieces, framing: Framing, bytes: &Bytes) {
    if framing != Framing::Chunked {
        return pieces.push(bytes.clone());
    }
    pieces.push(Bytes::from(format!("{:x}\r\n", bytes.len())));
    pieces.push(bytes.clone());
    pieces.push(Bytes::from_static(b"\r\n"));
}

fn push_end(pieces: &mut Pieces, framing: Framing, length: u64, end: BodyEnd) -> Result<(), Unsent> {
    let trailers = match end {
        BodyEnd::Complete(trailers) => trailers,
        BodyEnd::Aborted(_) => return Err(Unsent::Dropped(DropReason::Aborted)),
        BodyEnd::Lost(reason) => return Err(Unsent::Dropped(reason)),
    };
    match framing {
        Framing::Chunked => {
            pieces.push(Bytes::from_static(b"0\r\n"));
            pieces.push(trailers.map_or(Ok(Bytes::from_static(b"\r\n")), trailer_section)?);
            Ok(())
        }
        // A copy of another length than its head says would be read into the next request.
        Framing::Length(n) if n != length => Err(Unsent::Dropped(DropReason::Malformed)),
        Framing::None if length != 0 => Err(Unsent::Dropped(DropReason::Malformed)),
        _ => Ok(()),
    }
}

/// A trailer section anew: one with an end that the target does not take for one would be read on into the next request.
fn trailer_section(sent: Bytes) -> Result<Bytes, Unsent> {
    let lines = Headers::parse(&sent).map_err(|_| Unsent::Dropped(DropReason::Ambiguous))?;
    let mut section = BytesMut::with_capacity(sent.len() + lines.len() + 2);
    for Header { name, value } in &lines {
        push_line(&mut section, name, value);
    }
    section.extend_from_slice(b"\r\n");
    Ok(section.freeze())
}

/// Writes all pieces, unless the reader is cut off meanwhile because the target does not take them.
async fn write_all(write: &mut WriteHalf<'_>, pieces: &mut Pieces, body: &mut BodyReader) -> Result<(), Unsent> {
    poll_fn(|cx| {
        while !pieces.is_empty() {
            match poll_write(Pin::new(&mut *write), cx, pieces) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Err(Unsent::Broken)),
                Poll::Ready(Ok(n)) => advance(pieces, n),
                Poll::Pending => return body.poll_cut(cx).map(|reason| Err(Unsent::Dropped(reason))),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// One piece, as most copies are, costs the system less as it is.
fn poll_write(write: Pin<&mut WriteHalf<'_>>, cx: &mut Context<'_>, pieces: &Pieces) -> Poll<io::Result<usize>> {
    if pieces.len() == 1 {
        return write.poll_write(cx, &pieces[0]);
    }
    let mut slices = [IoSlice::new(&[]); MAX_PIECES + 4];
    let filled = pieces.iter().zip(&mut slices).map(|(piece, slice)| *slice = IoSlice::new(piece)).count();
    write.poll_write_vectored(cx, &slices[..filled])
}

fn advance(pieces: &mut Pieces, mut n: usize) {
    let mut whole = 0;
    while let Some(piece) = pieces.get(whole).filter(|piece| piece.len() <= n) {
        n -= piece.len();
        whole += 1;
    }
    pieces.drain(..whole);
    if let Some(front) = pieces.first_mut() {
        front.advance(n);
    }
}
