//! The target `http1`.
//!
//! An input is a byte of options, up to eight that say where to cut, and lines. A line is a byte that says what it is and who says it, and what
//! belongs to it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mirror::outcome::Abort;
use mirror_capture::connection::Connection;
use mirror_capture::{Offer, Orphan, Piece, Write};

use crate::input::Input;
use crate::seen::{Line, parse};
use crate::{holds, memory};

const CLIENT: u8 = 0x08;
const FLOOD: u8 = 3;
/// The length of a flood that is a long one.
const LONG: u8 = 0xFF;
const GAP: u8 = 4;
const FIN: u8 = 5;
const RST: u8 = 6;
/// A client's is that it gives up what it keeps.
const PAUSE: u8 = 7;

/// All that is said in one case, in bytes.
const MOST: usize = 2 << 20;
/// Of more than this only the memory is looked at: it is over what a head may have.
const MUCH: usize = 320 << 10;
/// How many parts a line is cut into at most: a reader looks again at what it waits with at each, and that is not to be tested here.
const PARTS: usize = 200;

/// What a connection holds at most between two pieces: of each direction a head that is not whole (256 KiB), which grew by doubling …
const HEADS: usize = 2 * 2 * 256 * 1024;
/// … and the exchanges that wait (1024), which grew too.
const EXCHANGES: usize = 2 * 1024 * 256;
/// The longest piece.
const SEGMENT: usize = 16 * 1024;
/// What it holds and does not count: a few exchanges.
const USUAL: usize = 4096;

struct Case {
    midstream: bool,
    cuts: Vec<usize>,
    lines: Vec<Line>,
    /// How many bytes are in them, about.
    said: usize,
}

/// Runs one.
///
/// # Panics
/// When what must hold does not.
pub fn run(input: &[u8]) {
    let case = decode(input);
    memory_is_bounded(&case);
    if case.said > MUCH {
        return;
    }
    holds::nothing_is_invented(case.midstream, &case.lines);
    holds::segments_do_not_matter(&case.lines, |line, bytes| cut(&case.cuts, line, bytes));
}

/// The parts of a line.
fn cut<'a>(cuts: &[usize], line: usize, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let least = bytes.len() / PARTS;
    let mut parts = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle().skip(line);
    while let Some(length) = cuts.next().filter(|_| !rest.is_empty()) {
        let (part, behind) = rest.split_at(rest.len().min(least + length));
        parts.push(part);
        rest = behind;
    }
    parts
}

fn memory_is_bounded(case: &Case) {
    let before = memory::held();
    let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
    let mut connection = Connection::new(address(40_000), address(80), case.midstream);
    let mut at = Duration::ZERO;
    for line in &case.lines {
        at += Duration::from_millis(1);
        let check = |connection: &Connection<Nobody>| {
            let held = memory::held().saturating_sub(before);
            let kept = connection.kept();
            assert!(held <= kept + USUAL, "{held} bytes are held, of which it knows of {kept}");
            assert!(held <= HEADS + EXCHANGES + 4 * SEGMENT, "{held} bytes are held");
        };
        let mut piece = |client, piece| {
            connection.piece(client, piece, &mut Nobody);
            check(&connection);
        };
        match line {
            Line::Data(client, bytes) => {
                bytes.chunks(SEGMENT).for_each(|bytes| piece(*client, Piece::Data(bytes, at)));
            }
            Line::Gap(client, length) => piece(*client, Piece::Gap(*length, at)),
            Line::End(client, reset) => piece(*client, Piece::End { reset: *reset, at }),
            Line::Pause(milliseconds) => at += Duration::from_millis(*milliseconds),
            Line::GiveUp => {
                connection.give_up(at, &mut Nobody);
                assert_eq!(connection.kept(), 0);
                check(&connection);
            }
        }
    }
    connection.close(Abort::Shutdown, at, &mut Nobody);
}

/// Takes exchanges, and keeps nothing.
struct Nobody;

impl Offer for Nobody {
    type Writer = Nobody;

    fn begin(&mut self, head: Bytes, _: SocketAddr, _: SocketAddr, _: Duration, _: bool) -> Option<Nobody> {
        head.len().is_multiple_of(2).then_some(Nobody)
    }
    fn orphan(&mut self, _: Orphan) {}
}

impl Write for Nobody {
    fn ambiguous(&mut self) {}
    fn data(&mut self, _: Bytes, _: Duration) {}
    fn lost(&mut self, _: u64, _: Duration) {}
    fn request_end(&mut self, _: Option<Bytes>, _: Duration) {}
    fn respond(&mut self, _: Bytes, _: Duration) {}
    fn response_data(&mut self, _: Bytes, _: Duration) {}
    fn response_lost(&mut self, _: u64, _: Duration) {}
    fn finish(self, _: Option<Bytes>, _: Duration) {}
    fn abort(self, _: Abort, _: Duration) {}
}

fn decode(input: &[u8]) -> Case {
    let mut input = Input(input);
    let options = input.byte();
    let cuts = (0..=options >> 1 & 7).map(|_| 1 + usize::from(input.byte())).collect();
    let mut lines = Vec::new();
    let mut said = 0;
    while !input.is_empty() && said < MOST {
        let byte = input.byte();
        let client = byte & CLIENT != 0;
        lines.push(match byte & 7 {
            FLOOD => {
                let length = input.byte();
                // Few are long enough to fill anything: they take their time.
                let times = if length == LONG { input.number() } else { input.byte().into() };
                let bytes = input.bytes(u16::from(length % 32)).repeat(times.into());
                said += bytes.len();
                Line::Data(client, bytes)
            }
            GAP => Line::Gap(client, input.number().into()),
            FIN => Line::End(client, false),
            RST => Line::End(client, true),
            PAUSE if client => Line::GiveUp,
            PAUSE => Line::Pause(input.number().into()),
            _ => {
                let length = input.byte();
                Line::Data(client, input.bytes(length.into()).to_vec())
            }
        });
    }
    Case { midstream: options & 1 != 0, cuts, lines, said }
}

fn encode(midstream: bool, lines: &[Line]) -> Vec<u8> {
    let mut input = vec![u8::from(midstream), 6];
    let who = |client: &bool| if *client { CLIENT } else { 0 };
    for line in lines {
        match line {
            Line::Data(client, bytes) => {
                for bytes in bytes.chunks(255) {
                    input.extend([who(client), bytes.len() as u8]);
                    input.extend(bytes);
                }
            }
            Line::Gap(client, length) => {
                input.push(GAP | who(client));
                input.extend((*length as u16).to_le_bytes());
            }
            Line::End(client, reset) => input.push(if *reset { RST } else { FIN } | who(client)),
            Line::Pause(milliseconds) => {
                input.push(PAUSE);
                input.extend((*milliseconds as u16).to_le_bytes());
            }
            Line::GiveUp => input.push(PAUSE | CLIENT),
        }
    }
    input
}

/// The transcripts below, as inputs.
///
/// # Panics
/// When they are not read as what they are.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let seeds = TRANSCRIPTS.iter().map(|(name, transcript)| {
        let (midstream, lines) = parse(transcript);
        let seed = encode(midstream, &lines);
        let case = decode(&seed);
        assert_eq!((case.midstream, format!("{:?}", case.lines)), (midstream, format!("{lines:?}")), "{name}");
        ((*name).to_owned(), seed)
    });
    seeds.collect()
}

const TRANSCRIPTS: &[(&str, &str)] = &[
    (
        "in turn",
        r"> POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello
          < HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok
          > GET /b HTTP/1.1\r\n\r\n
          < HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n
          > DELETE /c HTTP/1.1\r\nA: b\r\n\r\n
          < HTTP/1.1 204 No Content\r\n\r\n
          > GET /d HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n
          >.
          <.",
    ),
    (
        "pipelined",
        r"> GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.0\n\n
          < HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n
          < HTTP/1.0 200 OK\r\n\r\nto the end
          <.",
    ),
    (
        "chunked",
        r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n
          < HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ),
    (
        "tunnels",
        r"> CONNECT a:1 HTTP/1.1\r\n\r\nearly
          < HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n
          > CONNECT a:1 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 OK\r\n\r\n\x16\x03\x01\x00\x05\x02",
    ),
    (
        "upgrade",
        r"> GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n
          < HTTP/1.1 101 Switching\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ),
    (
        "torn",
        r"midstream
          > body\r\nGET /a HTTP/1.1\r\nA: b\r\n\r\n
          < HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab
          <~ 6
          < yz
          >~ 0
          > PUT /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc
          + 2000
          < HTTP/1.1 204 x\r\n\r\n
          >!",
    ),
    (
        "given up",
        r"> GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\n\r\nGET /5 HTTP/1.1\r\nA: b
          < HTTP/1.1 200 A\r\nContent-
          -
          < Length: 0\r\n\r\n
          + 2000
          > \r\nGET /6 HTTP/1.1\r\n\r\n
          < HTTP/1.1 200 F\r\nContent-Length: 1\r\n\r\nx",
    ),
    (
        "odd",
        r"> \r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n
          < HTTP/1.1 200\nContent-Length : 2\n\nok
          > POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nhello
          < HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    ),
    ("not http", r"> PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
];
