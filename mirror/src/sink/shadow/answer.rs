//! Reads a target's answer to its end, so that the connection can be used again, and keeps as much of it as is asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::body::CHUNK_OVERHEAD;
use crate::budget::{Budget, Charge, Share};
use crate::exchange::Response;
use crate::http1::{BodyDecoder, Framing, Header, ResponseHead, ResponseParts, Span, head_length};
use crate::outcome::{DropReason, FailReason};

/// The longest head an answer may have: far over what servers send, and small beside the byte budget.
const MAX_HEAD: usize = 256 * 1024;

/// How much is read at once: a usual answer whole. A connection keeps a buffer of about this size.
const READ: usize = 32 * 1024;

/// Why a body is not whole that is longer than what is kept: the setting.
const CUT: &str = "answer_body";

/// How much of an answer is kept.
#[derive(Clone)]
pub(super) struct Keep {
    /// Of its body, in bytes.
    pub(super) most: u64,
    /// What is kept is charged here,
    pub(super) budget: Arc<Budget>,
    /// and to the sink that it is kept for: a recorder that is slow costs records, not copies.
    pub(super) share: Arc<Share>,
}

/// An answer that was read to its end.
pub(super) struct Answered {
    pub(super) status: u16,
    /// Whether the connection is at a message boundary and stays open.
    pub(super) reusable: bool,
    /// Whether nothing has come behind it yet.
    pub(super) last: bool,
    pub(super) response: Option<Response>,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// The connection ended before a byte of it.
    Silent,
    /// It began, or came out as something else.
    Failed(FailReason),
}

impl From<FailReason> for Unanswered {
    fn from(reason: FailReason) -> Self {
        Unanswered::Failed(reason)
    }
}

/// Reads the final answer to a request of this method; interim answers are passed over, save 101, which ends it. So does a 2xx to a CONNECT: a tunnel
/// has no end that would be the answer's (RFC 9110 §9.3.6).
pub(super) async fn receive(
    read: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
    method: &[u8],
    keep: Option<&Keep>,
    sent: Instant,
) -> Result<Answered, Unanswered> {
    let mut silent = true;
    let (told, head) = loop {
        // A target may send heads and pieces of a byte without an end: each is paid for, so that the engine's other tasks run.
        tokio::task::consume_budget().await;
        let length = match head_within(read, input).await {
            Err(FailReason::Reset) if silent && input.is_empty() => return Err(Unanswered::Silent),
            read => read?,
        };
        silent = false;
        let told = Told::by(&input[..length], method)?;
        // Only what became of the copy is told of an answer whose head there is no room for.
        let head = keep.filter(|_| !told.is_interim()).and_then(|keep| keep.head(&input[..length], sent));
        pass(input, length);
        if !told.is_interim() {
            break (told, head);
        }
    };
    let mut kept = Kept { keep: keep.filter(|_| head.is_some()), body: Vec::new(), length: 0, truncated: None };
    let mut decoder = BodyDecoder::new(told.framing);
    let (trailers, closed) = loop {
        tokio::task::consume_budget().await;
        let (taken, span) = decoder.scan(input).map_err(|_| FailReason::Protocol)?;
        let last = |n: usize| &input[taken - n..taken];
        let end = match span {
            Some(Span::Data(n)) => {
                kept.push(last(n));
                None
            }
            Some(Span::End(n)) => Some((n > 0 && head.is_some()).then(|| Bytes::copy_from_slice(last(n)))),
            None => None,
        };
        input.advance(taken);
        if let Some(trailers) = end {
            break (trailers, false);
        }
        if span.is_none() && fill(read, input).await? == 0 {
            decoder.finish().map_err(|_| FailReason::Reset)?;
            break (None, true);
        }
    };
    Ok(Answered {
        status: told.status,
        reusable: told.keeps_open && !closed && !told.is_tunnel,
        last: input.is_empty(),
        response: head.map(|(first_byte, head)| Response {
            first_byte,
            total: sent.elapsed(),
            body: kept.body,
            body_length: kept.length,
            truncated: kept.truncated,
            trailers,
            head,
        }),
    })
}

/// What an answer's head tells of the rest. Looked at where it stands: most answers are kept by nobody.
struct Told {
    status: u16,
    framing: Framing,
    keeps_open: bool,
    is_tunnel: bool,
}

impl Told {
    fn by(wire: &[u8], method: &[u8]) -> Result<Told, FailReason> {
        ResponseParts::look(wire, |parts| {
            let Ok(Some((parts, _))) = parts else { return Err(FailReason::Protocol) };
            let status = parts.status;
            let is_tunnel = status == 101 || method == b"CONNECT" && matches!(status, 200..=299);
            let framing = match is_tunnel {
                true => Framing::None,
                false => parts.framing(method).map_err(|_| FailReason::Protocol)?,
            };
            Ok(Told { status, framing, keeps_open: parts.keeps_open(), is_tunnel })
        })
    }

    fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }
}

impl Keep {
    /// The head, when it came, where there is room for it. It is copied, off the read buffer: that is many times larger than most answers.
    fn head(&self, wire: &[u8], sent: Instant) -> Option<(Duration, ResponseHead)> {
        let first_byte = sent.elapsed();
        let wire = self.charge(head_cost(wire)).ok()?.hold(Bytes::copy_from_slice(wire));
        let (head, _) = ResponseHead::parse(&wire).ok()??;
        Some((first_byte, head))
    }

    fn charge(&self, n: usize) -> Result<Charge, DropReason> {
        self.budget.charge_to(&self.share, n)
    }
}

/// What a head costs: its bytes, and each line as parsed.
fn head_cost(wire: &[u8]) -> usize {
    wire.len() + wire.iter().filter(|byte| **byte == b'\n').count() * size_of::<Header>()
}

/// Cuts a body off at so many bytes.
pub(super) fn trim(response: &mut Response, most: u64) {
    let mut room = usize::try_from(most).unwrap_or(usize::MAX);
    for piece in &mut response.body {
        if piece.len() > room {
            piece.truncate(room);
            response.truncated = response.truncated.or(Some(CUT));
        }
        room -= piece.len();
    }
    response.body.retain(|piece| !piece.is_empty());
}

struct Kept<'a> {
    keep: Option<&'a Keep>,
    body: Vec<Bytes>,
    length: u64,
    truncated: Option<&'static str>,
}

impl Kept<'_> {
    /// Keeps what is within the bound, copied for the same reason.
    fn push(&mut self, bytes: &[u8]) {
        let before = self.length;
        self.length += bytes.len() as u64;
        let Some(keep) = self.keep else { return };
        if self.truncated.is_some() {
            return;
        }
        let room = usize::try_from(keep.most.saturating_sub(before)).unwrap_or(usize::MAX).min(bytes.len());
        if room < bytes.len() {
            self.truncated = Some(CUT);
        }
        if room == 0 {
            return;
        }
        match keep.charge(room + CHUNK_OVERHEAD) {
            Ok(charge) => self.body.push(charge.hold(Bytes::copy_from_slice(&bytes[..room]))),
            Err(reason) => self.truncated = Some(reason.label()),
        }
    }
}

/// Goes on behind a head.
fn pass(input: &mut BytesMut, length: usize) {
    match length {
        // A long head must not cost the buffer it came in as long as the connection lives.
        READ.. => *input = BytesMut::from(&input[length..]),
        _ => input.advance(length),
    }
}

/// Reads until a whole head is at the front, and gives its length.
async fn head_within(read: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) -> Result<usize, FailReason> {
    loop {
        if let Some(length) = head_length(input) {
            return Ok(length);
        }
        let start = &input[..input.len().min(5)];
        if !b"HTTP/".starts_with(start) || input.len() > MAX_HEAD {
            return Err(FailReason::Protocol);
        }
        if fill(read, input).await? == 0 {
            return Err(if input.is_empty() { FailReason::Reset } else { FailReason::Protocol });
        }
    }
}

async fn fill(read: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) -> Result<usize, FailReason> {
    input.reserve(READ);
    read.read_buf(input).await.map_err(|_| FailReason::Reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the other end says, while it goes on listening.
    async fn answer(method: &[u8], says: &str) -> (u16, bool) {
        let (mut read, mut target) = tokio::io::duplex(1024);
        tokio::io::AsyncWriteExt::write_all(&mut target, says.as_bytes()).await.expect("room for it");
        let answered = receive(&mut read, &mut BytesMut::new(), method, None, Instant::now()).await;
        let Ok(answered) = answered else { panic!("{says}: no answer") };
        (answered.status, answered.reusable && answered.last)
    }

    #[tokio::test]
    async fn a_tunnel_ends_an_answer_and_is_not_used_again() {
        assert_eq!(answer(b"CONNECT", "HTTP/1.1 200 Established\r\n\r\n").await, (200, false));
        assert_eq!(answer(b"CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await, (200, false));
        assert_eq!(answer(b"GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n").await, (101, false));
        assert_eq!(answer(b"CONNECT", "HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno").await, (405, true));
        assert_eq!(answer(b"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await, (200, true));
    }
}
