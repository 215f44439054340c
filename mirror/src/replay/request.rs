//! One recorded request as it is sent again, with what is known of its response.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};

use super::response::Response;
use super::waits::Waits;
use super::{Replayed, SOURCE};
use crate::exchange::Origin;
use crate::http1::push_line;
use crate::outcome::{Abort, LeftOut};
use crate::recording::{Record, RecordedMessage};
use crate::source::{ExchangeWriter, Passed, Tap};

/// What a request takes beside its bytes: its struct and those of its response's lines.
const OVERHEAD: usize = 512;

/// A body is written in pieces of this size, in bytes, and there is looked for room before each: a longer one need not fit in at once.
const PIECE: usize = 1 << 20;

/// A request that is ready to be sent.
pub(super) struct Request {
    /// When it began; before 1970 too, as what has no clock of its own says.
    pub(super) started: SystemTime,
    pub(super) head: Bytes,
    pub(super) body: Vec<Bytes>,
    pub(super) trailers: Option<Bytes>,
    pub(super) response: Option<Response>,
    pub(super) client: Option<SocketAddr>,
    pub(super) server: Option<SocketAddr>,
    pub(super) aborted: Option<Abort>,
    /// What is told of it from when it passed first, but for what this pass is.
    pub(super) replayed: Replayed,
    /// When the request's last byte, the response's head and its last byte came, since the start.
    pub(super) times: [Option<Duration>; 3],
    /// About how many bytes all of it holds.
    pub(super) cost: usize,
}

impl Request {
    /// As recorded, but for what marks it as a copy: of a recording of copies each is sent again, and marked again. `responses`: whether anybody may
    /// read its response.
    ///
    /// # Errors
    /// Why it cannot be sent.
    pub(super) fn of(record: Record, marker: Option<&str>, responses: bool) -> Result<Request, LeftOut> {
        let Record { request, response, .. } = record;
        match record.aborted.as_deref() {
            Some("malformed head") => return Err(LeftOut::Malformed),
            Some("ambiguous framing") => return Err(LeftOut::Ambiguous),
            _ if request.message.truncated.is_some() => return Err(LeftOut::Truncated),
            _ => {}
        }
        let RecordedMessage { headers, body, trailers, .. } = request.message;
        let is_word = |word: &Bytes| word.iter().all(|b| *b != 0 && !b.is_ascii_whitespace());
        let stays_one_line = |part: &Bytes| !part.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
        let mut lines = headers.iter().chain(&trailers).flat_map(|(name, value)| [name, value]);
        // JSON holds any text: written as a head, such a one would be more lines than were recorded, or another request (RFC 9112 §11.1).
        if !is_word(&request.method) || !is_word(&request.target) || !lines.all(stays_one_line) {
            return Err(LeftOut::Malformed);
        }
        let length: usize = body.iter().map(Bytes::len).sum();
        let mut head = BytesMut::with_capacity(request.target.len() + 64 + headers.len() * 48);
        let version: &[u8] = if &request.version[..] == b"HTTP/1.0" { b"HTTP/1.0" } else { b"HTTP/1.1" };
        for part in [&request.method[..], b" ", &request.target, b" ", version, b"\r\n"] {
            head.extend_from_slice(part);
        }
        let mut is_framed = false;
        for (name, value) in &headers {
            if marker.is_some_and(|marker| name.eq_ignore_ascii_case(marker.as_bytes())) {
                continue;
            }
            is_framed |=
                [&b"content-length"[..], b"transfer-encoding"].iter().any(|known| name.eq_ignore_ascii_case(known));
            push_line(&mut head, name, value);
        }
        // HTTP/2 needs none.
        if length > 0 && !is_framed {
            push_line(&mut head, b"Content-Length", length.to_string().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let answered = response.as_ref().map(|response| response.status);
        let response = response.filter(|_| responses).map(Response::of);
        // What is read is slices of blocks, which hold the responses too: nothing counts those now, so that nothing may keep them.
        let own = |piece: Bytes| if responses { piece } else { Bytes::copy_from_slice(&piece) };
        let body = body.into_iter().map(own).collect();
        Ok(Request {
            started: record.started,
            cost: OVERHEAD + head.len() + length + response.as_ref().map_or(0, Response::cost),
            replayed: Replayed {
                due: None,
                status: answered,
                latency: answered.and(record.end),
                pass: 0,
                server: hash(&record.server),
            },
            head: head.freeze(),
            body,
            trailers: section(&trailers),
            response,
            client: record.client,
            server: record.server,
            aborted: record.aborted.and_then(|label| Abort::ALL.iter().copied().find(|why| why.label() == label)),
            times: [record.request_end, record.response_start, record.end],
        })
    }

    /// How long it took to its end, as recorded.
    pub(super) fn lasted(&self) -> Option<Duration> {
        let [.., end] = self.times;
        end
    }

    /// Offers it as one that began at `now`, since the Unix epoch. Of a long one each part waits for room.
    pub(super) async fn offer(self, tap: &Tap, now: Duration, replayed: Replayed, waits: &mut Waits) {
        let origin = Origin { source: SOURCE, client: self.client };
        let passed = Passed { server: self.server, at: now, ambiguous: false };
        let Some(mut writer) = tap.begin_again(self.head, origin, passed, Some(replayed)) else { return };
        let [request_end, response_start, end] = self.times;
        let mut room = Room { tap, waits };
        room.write(&mut writer, &self.body, ExchangeWriter::data).await;
        writer.at(now + request_end.unwrap_or_default());
        writer.request_end(self.trailers);
        let response = self.response.filter(|_| writer.is_response_read());
        let trailers = match response {
            Some(response) => room.respond(&mut writer, response, now + response_start.unwrap_or_default()).await,
            None => None,
        };
        writer.at(now + end.or(response_start).or(request_end).unwrap_or_default());
        match self.aborted {
            Some(why) => writer.abort(why),
            None => writer.finish(trailers),
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests(started: SystemTime) -> Request {
        let head = Bytes::from_static(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        Request {
            started,
            head,
            body: Vec::new(),
            trailers: None,
            response: None,
            client: None,
            server: None,
            aborted: None,
            replayed: Replayed { due: None, status: None, latency: None, pass: 0, server: 0 },
            times: [None; 3],
            cost: OVERHEAD,
        }
    }
}

/// What there has to be room for.
struct Room<'a> {
    tap: &'a Tap,
    waits: &'a mut Waits,
}

impl Room<'_> {
    /// Writes the response with its head at that time, and gives its trailers.
    async fn respond(&mut self, writer: &mut ExchangeWriter, response: Response, at: Duration) -> Option<Bytes> {
        let Response { head, body, lost, trailers, .. } = response;
        writer.at(at);
        writer.respond(head);
        self.write(writer, &body, ExchangeWriter::response_data).await;
        if lost > 0 {
            writer.response_lost(lost);
        }
        trailers
    }

    async fn write(&mut self, writer: &mut ExchangeWriter, body: &[Bytes], append: fn(&mut ExchangeWriter, Bytes)) {
        let mut appended = 0;
        for whole in body {
            for at in (0..whole.len()).step_by(PIECE) {
                let piece = whole.slice(at..whole.len().min(at + PIECE));
                if appended >= PIECE {
                    writer.arrive();
                    self.waits.for_room(self.tap).await;
                    appended = 0;
                }
                appended += piece.len();
                append(writer, piece);
            }
        }
    }
}

fn hash(server: &Option<SocketAddr>) -> u64 {
    let mut hasher = DefaultHasher::new();
    server.hash(&mut hasher);
    hasher.finish()
}

/// A trailer section as it was sent; none where there were no trailers.
pub(super) fn section(trailers: &[(Bytes, Bytes)]) -> Option<Bytes> {
    if trailers.is_empty() {
        return None;
    }
    let mut section = BytesMut::new();
    trailers.iter().for_each(|(name, value)| push_line(&mut section, name, value));
    section.extend_from_slice(b"\r\n");
    Some(section.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::RecordedRequest;

    fn record(headers: &[(&'static str, &'static str)], body: &'static str) -> Record {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        Record {
            id: 7,
            started: std::time::UNIX_EPOCH + Duration::from_secs(9),
            source: "proxy".into(),
            client: None,
            server: None,
            request: RecordedRequest {
                method: bytes("POST"),
                target: bytes("/a?b"),
                version: bytes("HTTP/1.1"),
                message: RecordedMessage {
                    headers: headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
                    body: vec![bytes(body)],
                    body_length: body.len() as u64,
                    ..RecordedMessage::default()
                },
            },
            response: None,
            aborted: None,
            request_end: None,
            response_start: None,
            end: Some(Duration::from_millis(3)),
            answers: Vec::new(),
        }
    }

    #[test]
    fn the_head_is_as_recorded() {
        let request = Request::of(record(&[("hOst", "a"), ("Content-Length", "2"), ("hOst", "b")], "hi"), None, true)
            .ok()
            .unwrap();
        assert_eq!(&request.head[..], b"POST /a?b HTTP/1.1\r\nhOst: a\r\nContent-Length: 2\r\nhOst: b\r\n\r\n");
        assert_eq!(
            (request.started, request.lasted()),
            (std::time::UNIX_EPOCH + Duration::from_secs(9), Some(Duration::from_millis(3)))
        );
    }

    #[test]
    fn a_copy_is_sent_again_and_a_body_without_framing_gets_one() {
        let request =
            Request::of(record(&[("X-Mirror-Shadow", "1")], "hi"), Some("x-mirror-shadow"), true).ok().unwrap();
        assert_eq!(&request.head[..], b"POST /a?b HTTP/1.1\r\nContent-Length: 2\r\n\r\n");
        let request = Request::of(record(&[("Transfer-Encoding", "chunked")], "hi"), None, true).ok().unwrap();
        assert_eq!(&request.head[..], b"POST /a?b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    }

    #[test]
    fn a_line_without_a_name_does_not_become_another() {
        for line in [("", "X-Admin: 1"), ("", "")] {
            let record = record(&[line, ("Host", "a")], "");
            let head = Request::of(record, None, true).ok().unwrap().head;
            assert!(crate::http1::RequestHead::parse(&head).is_err(), "{:?}", head.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_body_keeps_what_it_was_read_with_only_together_with_the_response() {
        let block = Bytes::from(vec![b'a'; 100]);
        for responses in [true, false] {
            let mut record = record(&[], "");
            record.request.message.body = vec![block.slice(..10)];
            let request = Request::of(record, None, responses).ok().unwrap();
            assert_eq!(request.body.concat(), block[..10]);
            assert_eq!(request.body[0].as_ptr() == block.as_ptr(), responses);
        }
    }

    #[test]
    fn what_is_not_to_be_trusted_is_left_out() {
        let with = |aborted: Option<&str>, truncated: Option<&str>| {
            let mut record = record(&[], "");
            record.aborted = aborted.map(str::to_owned);
            record.request.message.truncated = truncated.map(str::to_owned);
            Request::of(record, None, true).map(|request| request.aborted)
        };
        assert!(matches!(with(Some("malformed head"), None), Err(LeftOut::Malformed)));
        assert!(matches!(with(Some("ambiguous framing"), None), Err(LeftOut::Ambiguous)));
        assert!(matches!(with(Some("downstream"), Some("aborted")), Err(LeftOut::Truncated)));
        assert!(matches!(with(Some("downstream"), None), Ok(Some(Abort::Downstream))));
        assert!(matches!(with(Some("unreadable response"), None), Ok(None)));
    }

    #[test]
    fn what_would_be_more_lines_than_were_recorded_is_left_out() {
        let is_malformed = |change: &dyn Fn(&mut RecordedRequest)| {
            let mut record = record(&[("Host", "a")], "");
            change(&mut record.request);
            matches!(Request::of(record, None, true), Err(LeftOut::Malformed))
        };
        for odd in ["a\r\nX-Admin: 1", "a\rb", "a\nb", "a\0b"] {
            let odd = || Bytes::from_static(odd.as_bytes());
            assert!(is_malformed(&|request| request.method = odd()), "{odd:?}", odd = odd());
            assert!(is_malformed(&|request| request.target = odd()), "{odd:?}", odd = odd());
            assert!(is_malformed(&|request| request.message.headers.push((odd(), "1".into()))), "{odd:?}", odd = odd());
            assert!(is_malformed(&|request| request.message.headers.push(("X".into(), odd()))), "{odd:?}", odd = odd());
            assert!(
                is_malformed(&|request| request.message.trailers.push(("X".into(), odd()))),
                "{odd:?}",
                odd = odd()
            );
        }
        for odd in ["/a b", "/a\tb"] {
            assert!(is_malformed(&|request| request.target = odd.into()), "{odd:?}");
            assert!(is_malformed(&|request| request.method = odd.into()), "{odd:?}");
        }
        assert!(!is_malformed(&|request| request.message.headers.push(("X".into(), "a b\tc; \u{e9}".into()))));
    }
}
