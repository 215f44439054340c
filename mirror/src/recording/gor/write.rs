//! Records to messages.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use memchr::memmem;

use super::message::{self, Head, Type};
use super::{MAX_MESSAGE, SEPARATOR};
use crate::http1::{Framing, Header, push_odd_line, response_framing};
use crate::recording::plain::{Need, Refused, Room, Unfit};
use crate::recording::{Record, RecordedMessage, RecordedRequest, RecordedResponse, Unheld, json, pairs};

/// The longest trailer section, as readers have it.
const MAX_TRAILERS: usize = 64 << 10;

/// The longest first line of a message: its type, and three numbers.
const MAX_META: usize = 128;

/// Appends a record as its messages; where one cannot be written, none is.
pub(in crate::recording) fn encode(
    record: &Record,
    into: &mut Vec<u8>,
    unheld: &mut Unheld,
    room: &mut Room<'_>,
) -> Result<(), Refused> {
    let need = need(record);
    need.make_room(into, room)?;
    let start = into.len();
    put(record, into, unheld).inspect_err(|_| into.truncate(start))?;
    let length = into.len() - start;
    debug_assert!(length <= need.output, "{length} bytes, and no more than {} were meant to be", need.output);
    Ok(())
}

/// What the messages take at most.
fn need(record: &Record) -> Need {
    let answers = record.answers.iter().filter_map(|answer| answer.response.as_ref());
    let responses = record.response.iter().chain(answers);
    let request = &record.request;
    let mut need = of_message(request.method.len() + request.target.len(), &request.message);
    for response in responses {
        need += of_message(response.reason.len(), &response.message);
    }
    need
}

/// That of one, whose first line has so many bytes of its own. Its head is put together and parsed first, and its body where it is in pieces; of that a
/// separator may be taken apart by a chunk's end and the next one's size, and one may stand where two pieces meet.
fn of_message(line: usize, message: &RecordedMessage) -> Need {
    const FRAMING: usize = 512;
    const CHUNK: usize = 24;
    const LINE: usize = 4;
    let lines = || message.headers.iter().chain(&message.trailers);
    let head = FRAMING + line + lines().map(|(name, value)| name.len() + value.len() + LINE).sum::<usize>();
    let length: usize = message.body.iter().map(Bytes::len).sum();
    let cores: usize = message.body.iter().map(|piece| 1 + memmem::find_iter(piece, &SEPARATOR[1..]).count()).sum();
    let lists = 3 * size_of::<Header>() * lines().count();
    let whole = if message.body.len() > 1 { length } else { 0 };
    Need { output: head + length + CHUNK * cores, beside: 3 * head + lists + whole }
}

fn put(record: &Record, into: &mut Vec<u8>, unheld: &mut Unheld) -> Result<(), Unfit> {
    let (id, started) = (id(record), nanos(record.started)?);
    let mut missing = Missing::default();
    let end = record.request_end.unwrap_or_default();
    put_meta(into, Type::Request, id, started, end);
    put_request(&record.request, into, &mut missing)?;
    let method = &record.request.method;
    if let Some(response) = &record.response {
        let at = record.response_start.or(record.request_end).unwrap_or_default();
        let took = record.end.map(|end| end.saturating_sub(at)).unwrap_or_default();
        put_meta(into, Type::Response, id, after(started, at)?, took);
        put_response("response", method, response, into, &mut missing)?;
    }
    for answer in &record.answers {
        let Some(response) = &answer.response else { continue };
        put_meta(into, Type::Answer, id, started, answer.total.unwrap_or_default());
        put_response("answer", method, response, into, &mut missing)?;
    }
    missing.of(record, id).for_each(|what| unheld.add(what));
    Ok(())
}

/// The ID of a record's messages (see the format's documentation).
fn id(record: &Record) -> u128 {
    let own = record.id & ((1 << 96) - 1);
    match record.client {
        Some(client) if record.id >> 96 != 0 => {
            let low = match client.ip() {
                IpAddr::V4(ip) => u32::from(ip),
                IpAddr::V6(ip) => u128::from(ip) as u32,
            };
            let server = record.server.map_or(0, |server| server.port());
            let ends = u64::from(client.port()) << 48 | u64::from(server) << 32 | u64::from(low);
            u128::from(ends) << 32 | (own & 0xffff_ffff)
        }
        _ => own,
    }
}

fn nanos(time: SystemTime) -> Result<i64, Unfit> {
    let unfit = |_| Unfit::new("a time within 292 years of 1970", "the record's start");
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).map_err(unfit),
        Err(before) => i64::try_from(before.duration().as_nanos()).map(|nanos| -nanos).map_err(unfit),
    }
}

fn after(at: i64, since: Duration) -> Result<i64, Unfit> {
    let unfit = || Unfit::new("a time within 292 years of 1970", "the response's start");
    i64::try_from(since.as_nanos()).ok().and_then(|since| at.checked_add(since)).ok_or_else(unfit)
}

fn put_meta(into: &mut Vec<u8>, kind: Type, id: u128, at: i64, took: Duration) {
    let took = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
    writeln!(into, "{} {id:024x} {at} {took}", kind as u8).expect("a Vec takes every write");
}

/// What of a record finds no place, beside what all have.
#[derive(Default)]
struct Missing {
    version: bool,
    trailers: bool,
    length: bool,
    framing: bool,
    body: bool,
}

impl Missing {
    fn of(self, record: &Record, id: u128) -> impl Iterator<Item = &'static str> {
        let answers = || record.answers.iter();
        let responses = record.response.iter().chain(answers().filter_map(|answer| answer.response.as_ref()));
        let is_cut = |message: &RecordedMessage| {
            message.truncated.is_some()
                || message.body_length != message.body.iter().map(Bytes::len).sum::<usize>() as u64
        };
        let cut = is_cut(&record.request.message) || responses.map(|response| &response.message).any(is_cut);
        let (start, end) = (record.response_start, record.end);
        let timed = match &record.response {
            Some(_) => start.is_some() && end >= start,
            None => start.is_none() && end.is_none(),
        };
        let named = |client: SocketAddr| client.is_ipv4() && !client.ip().is_unspecified() && client.port() != 0;
        [
            (record.id != id, "the id"),
            (record.source != "gor", "the way in"),
            (record.client.is_some_and(|client| !named(client)), "the client's address"),
            (record.server.is_some(), "the server's address"),
            (record.aborted.is_some(), "why the exchange did not come to its end"),
            (record.request_end.is_none() || !timed, "times"),
            (!record.answers.is_empty(), "targets' names and times"),
            (answers().any(|answer| answer.response.is_none()), "copies without an answer"),
            (cut, "how bodies were cut"),
            (self.version, "a version other than HTTP/1"),
            (self.trailers, "trailers without chunks"),
            (self.length, "a Content-Length, which is put right"),
            (self.framing, "a Content-Length, as there is a separator in the body"),
            (self.body, "the body of a response that can have none"),
        ]
        .into_iter()
        .filter_map(|(missing, what)| missing.then_some(what))
    }
}

/// What the first line of a head says.
type Line<'a> = [&'a [u8]; 3];

fn put_request(request: &RecordedRequest, into: &mut Vec<u8>, missing: &mut Missing) -> Result<(), Unfit> {
    let version = version(&request.version, missing);
    let line = [&request.method[..], &request.target, version];
    let headers = Lines::of(&request.message);
    let Head::Request(head) = parsed(Type::Request, line, &headers, "request")? else {
        return Err(Unfit::new("HTTP/1", "the request"));
    };
    let same = head.method == request.method && head.target == request.target;
    if !same || pairs(head.headers.clone()) != request.message.headers {
        return Err(Unfit::new("what an HTTP/1 head can say", "the request's head"));
    }
    let framing = crate::http1::request_framing(&head).ok();
    put_message("request", line, headers, &request.message, framing, into, missing)
}

fn put_response(
    what: &'static str,
    method: &[u8],
    response: &RecordedResponse,
    into: &mut Vec<u8>,
    missing: &mut Missing,
) -> Result<(), Unfit> {
    let version = version(&response.version, missing);
    let status = response.status.to_string();
    let line = [version, status.as_bytes(), &response.reason];
    let headers = Lines::of(&response.message);
    let Head::Response(head) = parsed(Type::Response, line, &headers, what)? else {
        return Err(Unfit::new("HTTP/1", what));
    };
    let same = head.status == response.status && head.reason == response.reason;
    if !same || pairs(head.headers.clone()) != response.message.headers {
        return Err(Unfit::new("what an HTTP/1 head can say", what));
    }
    let framing = response_framing(method, &head).ok();
    put_message(what, line, headers, &response.message, framing, into, missing)
}

fn version<'a>(version: &'a [u8], missing: &mut Missing) -> &'a [u8] {
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => version,
        _ => {
            missing.version = true;
            b"HTTP/1.1"
        }
    }
}

/// A head's lines behind the first.
struct Lines<'a>(Vec<(&'a [u8], std::borrow::Cow<'a, [u8]>)>);

impl<'a> Lines<'a> {
    fn of(message: &'a RecordedMessage) -> Lines<'a> {
        Lines(message.headers.iter().map(|(name, value)| (&name[..], (&value[..]).into())).collect())
    }

    /// One line in the place of the first that says how the body is framed; behind all where there is none.
    fn frame(&mut self, name: &'static str, value: String) {
        let is_framing = |name: &[u8]| {
            name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
        };
        let at = self.0.iter().position(|(name, _)| is_framing(name)).unwrap_or(self.0.len());
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        for (index, line) in std::mem::take(&mut self.0).into_iter().enumerate() {
            if index == at {
                // In the case in which it was.
                let spelled = if line.0.eq_ignore_ascii_case(name.as_bytes()) { line.0 } else { name.as_bytes() };
                kept.push((spelled, value.clone().into_bytes().into()));
            }
            if !is_framing(line.0) {
                kept.push(line);
            }
        }
        if kept.len() == at {
            kept.push((name.as_bytes(), value.into_bytes().into()));
        }
        self.0 = kept;
    }

    fn put(&self, line: Line<'_>, into: &mut Vec<u8>) {
        into.extend_from_slice(&line.join(&b' '));
        into.extend_from_slice(b"\r\n");
        for (name, value) in &self.0 {
            push_odd_line(into, name, value);
        }
        into.extend_from_slice(b"\r\n");
    }
}

/// The head as a reader will have it.
fn parsed(kind: Type, line: Line<'_>, lines: &Lines<'_>, what: &'static str) -> Result<Head, Unfit> {
    let mut wire = Vec::with_capacity(1024);
    lines.put(line, &mut wire);
    let (length, wire) = (wire.len(), Bytes::from(wire));
    match message::head(kind, &wire) {
        Some((head, parsed)) if parsed == length => Ok(head),
        _ => Err(Unfit::new("what an HTTP/1 head can say", what)),
    }
}

/// A message, framed so that its end is found, and what stands behind it.
fn put_message(
    what: &'static str,
    line: Line<'_>,
    mut lines: Lines<'_>,
    message: &RecordedMessage,
    framing: Option<Framing>,
    into: &mut Vec<u8>,
    missing: &mut Missing,
) -> Result<(), Unfit> {
    let start = into.len();
    let mut body = json::whole(&message.body);
    let length = body.len() as u64;
    let is_request = what == "request";
    match framing {
        Some(Framing::Length(said)) if said != length => {
            lines.frame("Content-Length", length.to_string());
            missing.length = true;
        }
        Some(Framing::None) if is_request && length > 0 => {
            lines.frame("Content-Length", length.to_string());
            missing.length = true;
        }
        Some(Framing::None) if length > 0 => {
            body = Default::default();
            missing.body = true;
        }
        _ => {}
    }
    let chunked = framing == Some(Framing::Chunked);
    missing.trailers |= !chunked && !message.trailers.is_empty();
    lines.put(line, into);
    match chunked {
        true => put_chunks(&body, &message.trailers, what, into)?,
        false => into.extend_from_slice(&body),
    }
    into.extend_from_slice(SEPARATOR);
    // With the line end before the head, as another separator may also begin there.
    let first = memmem::find(&into[start.saturating_sub(1)..], SEPARATOR).map(|at| start.saturating_sub(1) + at);
    if first != Some(into.len() - SEPARATOR.len()) {
        let version = line.iter().any(|part| *part == b"HTTP/1.1");
        if chunked || framing.is_none() || !version {
            return Err(Unfit::new("no separator of GoReplay's within it, or one that chunks can take apart", what));
        }
        lines.frame("Transfer-Encoding", "chunked".to_owned());
        missing.framing = true;
        into.truncate(start);
        lines.put(line, into);
        put_chunks(&body, &[], what, into)?;
        into.extend_from_slice(SEPARATOR);
    }
    if into.len() - start > MAX_MESSAGE - MAX_META {
        return Err(Unfit::new("at most 256 MiB", what));
    }
    Ok(())
}

/// The body as one chunk, or as several that take each separator apart (RFC 9112 §7.1).
fn put_chunks(body: &[u8], trailers: &[(Bytes, Bytes)], what: &'static str, into: &mut Vec<u8>) -> Result<(), Unfit> {
    // Also without its line end: the one of a chunk's size stands before every chunk.
    let core = &SEPARATOR[1..];
    let monkey = "🐵".len();
    let mut at = 0;
    let cuts = memmem::find_iter(body, core).map(|found| found + monkey).chain([body.len()]);
    for cut in cuts.filter(|&cut| cut > 0) {
        write!(into, "{:x}\r\n", cut - at).expect("a Vec takes every write");
        into.extend_from_slice(&body[at..cut]);
        into.extend_from_slice(b"\r\n");
        at = cut;
    }
    into.extend_from_slice(b"0\r\n");
    let start = into.len();
    trailers.iter().for_each(|(name, value)| push_odd_line(into, name, value));
    into.extend_from_slice(b"\r\n");
    let section = &into[start..];
    let same = trailers.is_empty()
        || (section.len() <= MAX_TRAILERS
            && crate::recording::trailers(&Bytes::copy_from_slice(section)).is_some_and(|read| read == trailers));
    if same { Ok(()) } else { Err(Unfit::new("lines of at most 64 KiB that HTTP/1 can have as trailers", what)) }
}
