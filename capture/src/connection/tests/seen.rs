//! The language of the transcripts, and a list that takes exchanges. Shared by the tests and the fuzz target.
//!
//! A transcript is lines; each is a millisecond later than the one before.
//!
//! ```text
//! > bytes    the client sends (\r, \n, \xhh as in Rust)        < bytes    the server sends
//! >~ 5       five of the client's bytes are lost (0: unknown)  <~ 5
//! >.  <.     FIN                                               >!  <!     RST
//! + 2000     so many milliseconds pass
//! -          too much is held elsewhere: it gives up what it keeps
//! midstream  (first) the connection was open already
//! ```

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use mirror::outcome::Abort;
use mirror_capture::connection::Connection;
use mirror_capture::{Offer, Orphan, Piece, Write};

/// One message or end of a transcript.
#[derive(Debug, Clone)]
pub(super) enum Line {
    Data(bool, Vec<u8>),
    Gap(bool, u64),
    End(bool, bool),
    Pause(u64),
    GiveUp,
}

/// What is told of one exchange.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) head: Bytes,
    pub(super) response: Option<Bytes>,
    pub(super) request_body: Vec<u8>,
    pub(super) response_body: Vec<u8>,
    pub(super) times: [Option<Duration>; 4],
    pub(super) request_lost: Option<u64>,
    pub(super) response_lost: Option<u64>,
    pub(super) request_trailers: Option<Option<Bytes>>,
    pub(super) response_trailers: Option<Bytes>,
    pub(super) ambiguous: [bool; 2],
    pub(super) end: Option<Result<(), Abort>>,
}

/// All that is told of one connection.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) losses: u64,
    /// From the client, and from the server.
    pub(super) opaque: (u64, u64),
    pub(super) exchanges: Vec<Rc<RefCell<Seen>>>,
    pub(super) orphans: Vec<Orphan>,
    pub(super) parts: Rc<RefCell<Parts>>,
}

/// What was told, in this order. Trailers of responses are not in it, which may have to wait for their requests' ends.
pub(super) type Parts = Vec<Part>;

/// Some bytes that were told.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) from_client: bool,
    pub(super) kind: Kind,
    pub(super) bytes: Bytes,
}

/// What they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The head of this exchange's request or response; none: of an orphan.
    Head(Option<usize>),
    /// A piece of a body.
    Body,
    /// A request's.
    Trailers,
}

pub(super) struct Writer {
    number: usize,
    seen: Rc<RefCell<Seen>>,
    parts: Rc<RefCell<Parts>>,
}

impl Offer for Told {
    type Writer = Writer;

    fn begin(&mut self, head: Bytes, _: SocketAddr, _: SocketAddr, at: Duration, ambiguous: bool) -> Option<Writer> {
        let number = self.exchanges.len();
        let part = Part { from_client: true, kind: Kind::Head(Some(number)), bytes: head.clone() };
        self.parts.borrow_mut().push(part);
        let times = [Some(at), None, None, None];
        let seen = Seen { head, times, ambiguous: [ambiguous, false], ..Seen::default() };
        let seen = Rc::new(RefCell::new(seen));
        self.exchanges.push(seen.clone());
        Some(Writer { number, seen, parts: self.parts.clone() })
    }

    fn orphan(&mut self, orphan: Orphan) {
        let part = Part { from_client: false, kind: Kind::Head(None), bytes: orphan.head.clone() };
        self.parts.borrow_mut().push(part);
        self.orphans.push(orphan);
    }
}

impl Writer {
    fn part(&self, from_client: bool, kind: Kind, bytes: &Bytes) {
        self.parts.borrow_mut().push(Part { from_client, kind, bytes: bytes.clone() });
    }
}

impl Write for Writer {
    fn ambiguous(&mut self) {
        let mut seen = self.seen.borrow_mut();
        let side = usize::from(seen.response.is_some());
        seen.ambiguous[side] = true;
    }
    fn data(&mut self, bytes: Bytes, _: Duration) {
        assert!(!bytes.is_empty() && self.seen.borrow().request_trailers.is_none());
        self.part(true, Kind::Body, &bytes);
        self.seen.borrow_mut().request_body.extend_from_slice(&bytes);
    }
    fn lost(&mut self, length: u64, _: Duration) {
        *self.seen.borrow_mut().request_lost.get_or_insert(0) += length;
    }
    fn request_end(&mut self, trailers: Option<Bytes>, at: Duration) {
        trailers.iter().for_each(|trailers| self.part(true, Kind::Trailers, trailers));
        let mut seen = self.seen.borrow_mut();
        assert!(seen.request_trailers.is_none(), "ended twice");
        seen.request_trailers = Some(trailers);
        seen.times[1] = Some(at);
    }
    fn respond(&mut self, head: Bytes, at: Duration) {
        self.part(false, Kind::Head(Some(self.number)), &head);
        let mut seen = self.seen.borrow_mut();
        assert!(seen.response.is_none(), "answered twice");
        seen.response = Some(head);
        seen.times[2] = Some(at);
    }
    fn response_data(&mut self, bytes: Bytes, _: Duration) {
        assert!(!bytes.is_empty() && self.seen.borrow().response.is_some());
        self.part(false, Kind::Body, &bytes);
        self.seen.borrow_mut().response_body.extend_from_slice(&bytes);
    }
    fn response_lost(&mut self, length: u64, _: Duration) {
        *self.seen.borrow_mut().response_lost.get_or_insert(0) += length;
    }
    fn finish(self, trailers: Option<Bytes>, at: Duration) {
        let mut seen = self.seen.borrow_mut();
        assert!(seen.request_trailers.is_some() && seen.response.is_some() && seen.end.is_none());
        seen.end = Some(Ok(()));
        seen.response_trailers = trailers;
        seen.times[3] = Some(at);
    }
    fn abort(self, why: Abort, _: Duration) {
        let mut seen = self.seen.borrow_mut();
        assert!(seen.end.is_none());
        seen.end = Some(Err(why));
    }
}

impl Told {
    /// One line an exchange: `request "body" [trailers] -> response "body" [trailers] end`, then the orphans.
    pub(super) fn lines(&self) -> Vec<String> {
        let orphans = self.orphans.iter().map(|orphan| format!("orphan {}", first_line(&orphan.head)));
        self.exchanges.iter().map(|seen| seen.borrow().line()).chain(orphans).collect()
    }
}

impl Seen {
    fn line(&self) -> String {
        let mut line = first_line(&self.head).trim_end_matches(" HTTP/1.1").to_owned();
        let doubt = |yes: bool| if yes { " ambiguous" } else { "" };
        line += &message(&self.request_body, self.request_lost, self.request_trailers.clone().flatten());
        line += doubt(self.ambiguous[0]);
        if self.request_trailers.is_none() {
            line += " cut";
        }
        if let Some(head) = &self.response {
            line += " -> ";
            line += first_line(head).trim_start_matches("HTTP/1.1 ");
            line += &message(&self.response_body, self.response_lost, self.response_trailers.clone());
            line += doubt(self.ambiguous[1]);
        }
        match self.end {
            None => line + " open",
            Some(Ok(())) => line,
            Some(Err(why)) => format!("{line} ({why})"),
        }
    }
}

fn message(body: &[u8], lost: Option<u64>, trailers: Option<Bytes>) -> String {
    let mut said = String::new();
    if !body.is_empty() {
        said = format!(" {:?}", String::from_utf8_lossy(body));
    }
    if let Some(n) = lost {
        said += &format!(" lost {n}");
    }
    if let Some(trailers) = trailers {
        said += &format!(" [{}]", trailers.escape_ascii());
    }
    said
}

fn first_line(head: &[u8]) -> String {
    let line = head.split(|&b| b == b'\n').next().unwrap_or_default();
    line.trim_ascii_end().escape_ascii().to_string()
}

/// Reads a transcript.
pub(super) fn parse(transcript: &str) -> (bool, Vec<Line>) {
    let mut lines = transcript.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    let midstream = lines.next_if_eq(&"midstream").is_some();
    let lines = lines.map(|line| {
        let (sign, rest) = line.split_at(2.min(line.len()));
        let client = sign.starts_with('>');
        match sign.trim_end() {
            ">" | "<" => Line::Data(client, unescape(rest)),
            ">~" | "<~" => Line::Gap(client, rest.trim().parse().unwrap()),
            ">." | "<." => Line::End(client, false),
            ">!" | "<!" => Line::End(client, true),
            "-" => Line::GiveUp,
            "+" => Line::Pause(rest.trim().parse().unwrap()),
            _ => panic!("{line}"),
        }
    });
    (midstream, lines.collect())
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next().unwrap() {
                'r' => bytes.push(b'\r'),
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                'x' => {
                    let hex: String = chars.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&hex, 16).unwrap());
                }
                c => panic!("\\{c}"),
            },
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Plays the lines; each one's bytes are fed in the parts that `cut` makes of them.
pub(super) fn play<'a>(midstream: bool, lines: &'a [Line], cut: impl Fn(usize, &'a [u8]) -> Vec<&'a [u8]>) -> Told {
    let mut told = Told::default();
    let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
    let mut connection = Connection::new(address(40_000), address(80), midstream);
    let mut at = Duration::ZERO;
    for (i, line) in lines.iter().enumerate() {
        at += Duration::from_millis(1);
        match line {
            Line::Data(client, bytes) => {
                for part in cut(i, bytes) {
                    connection.piece(*client, Piece::Data(part, at), &mut told);
                }
            }
            Line::Gap(client, n) => connection.piece(*client, Piece::Gap(*n, at), &mut told),
            Line::End(client, reset) => connection.piece(*client, Piece::End { reset: *reset, at }, &mut told),
            Line::Pause(n) => at += Duration::from_millis(*n),
            Line::GiveUp => {
                connection.give_up(at, &mut told);
                assert_eq!(connection.kept(), 0);
            }
        }
    }
    told.losses = connection.losses();
    told.opaque = connection.opaque();
    connection.close(Abort::Shutdown, at, &mut told);
    told
}

/// Plays a transcript whole, byte by byte, and cut at each point of each line; all must be told as these lines.
#[track_caller]
pub(super) fn check(transcript: &str, expected: &[&str]) {
    let (midstream, lines) = parse(transcript);
    assert_eq!(play(midstream, &lines, |_, bytes| vec![bytes]).lines(), expected, "whole");
    assert_eq!(play(midstream, &lines, |_, bytes| bytes.chunks(1).collect()).lines(), expected, "byte by byte");
    for (i, line) in lines.iter().enumerate() {
        let Line::Data(_, bytes) = line else { continue };
        for at in 1..bytes.len() {
            let told = play(midstream, &lines, |j, bytes| match i == j {
                true => vec![&bytes[..at], &bytes[at..]],
                false => vec![bytes],
            });
            assert_eq!(told.lines(), expected, "line {i} cut at {at}");
        }
    }
}
