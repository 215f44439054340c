//! Transcripts of connections: who is told apart, what is told of them, and what is forgotten.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::*;
use crate::Piece;

/// Writes down what it is told.
#[derive(Default)]
struct Log {
    lines: String,
    opened: usize,
    open: usize,
}

impl Handler for Log {
    type Connection = usize;

    fn open(&mut self, client: SocketAddr, server: SocketAddr, midstream: bool, _: Duration) -> usize {
        let midstream = if midstream { " midstream" } else { "" };
        self.opened += 1;
        self.open += 1;
        writeln!(self.lines, "{} {client} to {server}{midstream}", self.opened).unwrap();
        self.opened
    }

    fn piece(&mut self, connection: &mut usize, from_client: bool, piece: Piece<'_>) {
        let arrow = if from_client { ">" } else { "<" };
        match piece {
            Piece::Data(bytes, _) => writeln!(self.lines, "{connection} {arrow} {}", String::from_utf8_lossy(bytes)),
            Piece::Gap(length, _) => writeln!(self.lines, "{connection} {arrow} [{length}]"),
            Piece::End { reset, .. } => {
                writeln!(self.lines, "{connection} {arrow} {}", if reset { "reset" } else { "end" })
            }
        }
        .unwrap();
    }

    fn close(&mut self, connection: usize, why: Closed, _: Duration) {
        self.open -= 1;
        writeln!(self.lines, "{connection} {why:?}").unwrap();
    }
}

struct Wire {
    flows: Flows<usize>,
    log: Log,
    now: Duration,
}

const CLIENT: &str = "10.0.0.1:5000";
const SERVER: &str = "10.0.0.2:80";

/// From whom to whom, the flags ("S", "SA", "F", "R", "A", …), the sequence number and what is acknowledged (0: without an ACK), the payload.
type Line<'a> = (&'a str, &'a str, &'a str, u32, u32, &'a str);

impl Wire {
    fn new(ports: &[u16], limits: Limits) -> Self {
        Self { flows: Flows::new(limits, ports), log: Log::default(), now: Duration::from_secs(1_700_000_000) }
    }

    fn any() -> Self {
        Self::new(&[], Limits::default())
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, flags: &str, sequence: u32, ack: u32, payload: &[u8]) {
        self.now += Duration::from_millis(1);
        let has = |flag| flags.contains(flag);
        let segment = Segment {
            time: self.now,
            from,
            to,
            sequence,
            acknowledgment: (ack != 0).then_some(ack),
            syn: has('S'),
            fin: has('F'),
            rst: has('R'),
            payload,
            missing: 0,
        };
        self.flows.segment(&segment, &mut self.log);
    }

    fn lines(&mut self, lines: &[Line<'_>]) -> &mut Self {
        for &(from, to, flags, sequence, ack, payload) in lines {
            self.send(from.parse().unwrap(), to.parse().unwrap(), flags, sequence, ack, payload.as_bytes());
        }
        self
    }

    fn shake(&mut self, client: u32, server: u32) -> &mut Self {
        self.lines(&[
            (CLIENT, SERVER, "S", client, 0, ""),
            (SERVER, CLIENT, "SA", server, client + 1, ""),
            (CLIENT, SERVER, "A", client + 1, server + 1, ""),
        ])
    }

    fn client(&mut self, flags: &str, sequence: u32, ack: u32, payload: &str) -> &mut Self {
        self.lines(&[(CLIENT, SERVER, flags, sequence, ack, payload)])
    }

    fn server(&mut self, flags: &str, sequence: u32, ack: u32, payload: &str) -> &mut Self {
        self.lines(&[(SERVER, CLIENT, flags, sequence, ack, payload)])
    }

    fn finish(&mut self) -> &mut Self {
        self.flows.finish(&mut self.log);
        assert_eq!((self.flows.entries(), self.flows.held(), self.log.open), (0, 0, 0));
        self
    }

    /// What was told since the last time.
    #[track_caller]
    fn told(&mut self, lines: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.log.lines).lines().collect::<Vec<_>>(), lines);
        self
    }
}

const OPENED: &str = "1 10.0.0.1:5000 to 10.0.0.2:80";
const MIDSTREAM: &str = "1 10.0.0.1:5000 to 10.0.0.2:80 midstream";

#[test]
fn a_connection() {
    let mut wire = Wire::any();
    wire.shake(99, 499).told(&[]);
    wire.client("A", 100, 500, "GET").told(&[OPENED, "1 > GET"]);
    wire.server("A", 500, 103, "OK").client("A", 103, 502, "").told(&["1 < OK"]);
    wire.client("FA", 103, 502, "").server("A", 502, 104, "more").server("FA", 506, 104, "");
    wire.told(&["1 > end", "1 < more", "1 < end", "1 Finished"]);
    // The last acknowledgment, and what comes again.
    wire.client("A", 104, 507, "").server("FA", 506, 104, "").server("A", 500, 103, "OK").told(&[]);
    wire.finish().told(&[]);
    assert_eq!((wire.flows.counters().late, wire.flows.counters().finished), (3, 1));
}

#[test]
fn nothing_is_said() {
    let mut wire = Wire::any();
    wire.shake(99, 499).client("FA", 100, 500, "").server("FA", 500, 101, "").finish().told(&[]);
}

#[test]
fn refused() {
    let mut wire = Wire::any();
    wire.client("S", 99, 0, "").server("RA", 0, 0x5000_0000, "");
    assert_eq!(wire.flows.entries(), 1, "a forged one");
    wire.server("RA", 0, 100, "");
    assert_eq!(wire.flows.entries(), 0);
}

#[test]
fn the_ports_tell_the_server() {
    let mut wire = Wire::new(&[80], Limits::default());
    wire.server("A", 500, 100, "\0\u{1}").told(&[MIDSTREAM, "1 < \0\u{1}"]);
    wire.lines(&[("10.0.0.1:5000", "10.0.0.2:81", "A", 1, 1, "GET / HTTP/1.1\r\n\r\n")]).told(&[]);
    assert_eq!(wire.flows.counters().ignored, 1);
    // Both ports are servers': the SYN tells.
    wire.lines(&[("10.0.0.1:80", SERVER, "S", 99, 0, ""), ("10.0.0.1:80", SERVER, "A", 100, 500, "?")]);
    wire.told(&["2 10.0.0.1:80 to 10.0.0.2:80", "2 > ?"]);
}

#[test]
fn the_syn_tells_the_server() {
    let mut wire = Wire::any();
    wire.shake(99, 499).server("A", 500, 100, "220 hello").told(&[OPENED, "1 < 220 hello"]);
    // The SYN-ACK alone does too.
    let mut wire = Wire::any();
    wire.server("SA", 499, 100, "").server("A", 500, 100, "?").client("A", 100, 501, "!");
    wire.told(&[OPENED, "1 < ?", "1 > !"]);
}

#[test]
fn the_content_tells_the_server() {
    let mut wire = Wire::any();
    wire.server("A", 400, 100, "the end of a body").client("A", 100, 417, "").told(&[]);
    wire.server("A", 417, 100, "HTTP/1.1 200 OK").told(&[MIDSTREAM, "1 < HTTP/1.1 200 OK"]);
    let mut wire = Wire::any();
    wire.client("A", 100, 500, "GET /").told(&[MIDSTREAM, "1 > GET /"]);
}

#[test]
fn what_is_not_clear_is_held() {
    let mut wire = Wire::any();
    wire.client("A", 100, 500, "QU").client("A", 105, 500, " /a HTTP/").told(&[]);
    assert!(wire.flows.held() > 0);
    wire.client("A", 102, 500, "ERY").client("A", 114, 500, "1.1\r\n");
    wire.told(&[MIDSTREAM, "1 > QU", "1 > ERY", "1 >  /a HTTP/", "1 > 1.1", ""]);
    assert_eq!(wire.flows.held(), 0);
    // Within bounds.
    let mut wire = Wire::any();
    wire.client("A", 100, 500, "QUERY ");
    for at in 0..100 {
        wire.client("A", 106 + 1000 * at, 500, &"a".repeat(1000));
        assert!(wire.flows.held() < 16 * 1024);
    }
    wire.told(&[]);
    assert_eq!(wire.flows.entries(), 0);
}

#[test]
fn simultaneous_open() {
    let mut wire = Wire::any();
    wire.server("S", 499, 0, "").client("S", 99, 0, "").server("SA", 499, 100, "").client("SA", 99, 500, "");
    wire.client("A", 100, 500, "GET /").server("A", 500, 105, "OK").told(&[OPENED, "1 > GET /", "1 < OK"]);
}

#[test]
fn fast_open() {
    let mut wire = Wire::any();
    wire.client("S", 99, 0, "GET").told(&[OPENED, "1 > GET"]);
    wire.server("SA", 499, 103, "").server("A", 500, 103, "OK").client("A", 103, 502, "").told(&["1 < OK"]);
    // The server did not take the data of the SYN.
    let mut wire = Wire::any();
    wire.client("S", 99, 0, "GET")
        .server("SA", 499, 100, "")
        .client("A", 100, 500, "GET /")
        .told(&[OPENED, "1 > GET", "1 >  /"]);
}

#[test]
fn syns_come_again() {
    let mut wire = Wire::any();
    wire.client("S", 99, 0, "").client("S", 99, 0, "").server("SA", 499, 100, "").server("SA", 499, 100, "");
    wire.client("A", 100, 500, "GET").client("S", 99, 0, "").server("SA", 499, 100, "").server("A", 500, 103, "OK");
    wire.told(&[OPENED, "1 > GET", "1 < OK"]);
    // Another attempt, by another number.
    let mut wire = Wire::any();
    wire.client("S", 99, 0, "").client("S", 2_000_099, 0, "").server("SA", 499, 2_000_100, "");
    wire.client("A", 2_000_100, 500, "GET").told(&[OPENED, "1 > GET"]);
}

#[test]
fn another_connection_after_the_end() {
    let mut wire = Wire::any();
    wire.shake(99, 499).client("FA", 100, 500, "a").server("FA", 500, 102, "b");
    wire.told(&[OPENED, "1 > a", "1 > end", "1 < b", "1 < end", "1 Finished"]);
    wire.client("S", 99, 0, "");
    wire.shake(70_000, 90_000).client("A", 70_001, 90_001, "c").finish();
    wire.told(&["2 10.0.0.1:5000 to 10.0.0.2:80", "2 > c", "2 EndOfCapture"]);
}

#[test]
fn another_connection_where_the_end_was_not_captured() {
    let mut wire = Wire::any();
    wire.shake(99, 499).client("A", 100, 500, "a").shake(70_000, 90_000).client("A", 70_001, 90_001, "c");
    wire.told(&[OPENED, "1 > a", "1 Replaced", "2 10.0.0.1:5000 to 10.0.0.2:80", "2 > c"]);
    // A SYN alone replaces nothing, not even with data behind it.
    wire.client("S", 5_000_000, 0, "").client("A", 5_000_001, 1, "x").client("A", 70_002, 90_001, "d").told(&["2 > d"]);
    // Where one side is captured only, its data tells.
    let mut wire = Wire::any();
    wire.client("S", 99, 0, "").client("A", 100, 500, "a").client("S", 70_000, 0, "").client("A", 70_001, 9, "b");
    wire.told(&[OPENED, "1 > a", "1 Replaced", "2 10.0.0.1:5000 to 10.0.0.2:80", "2 > b"]);
}

#[test]
fn resets() {
    let mut wire = Wire::any();
    wire.shake(99, 499).client("A", 100, 500, "a").server("A", 500, 101, "b").told(&[OPENED, "1 > a", "1 < b"]);
    wire.server("RA", 0x9000_0000, 101, "").server("R", 499, 0, "").client("R", 3_000_000, 0, "").told(&[]);
    assert_eq!(wire.flows.counters().resets_ignored + wire.flows.counters().streams.foreign, 3);
    wire.server("A", 503, 101, "ef").server("A", 501, 101, "cd").told(&["1 < cd", "1 < ef"]);
    wire.client("A", 103, 505, "k").client("RA", 104, 505, "");
    wire.told(&["1 > [2]", "1 > k", "1 > reset", "1 < reset", "1 Reset"]);
    wire.server("A", 505, 101, "late").told(&[]);
}

#[test]
fn forged_answers() {
    // A SYN-ACK with a number of its own, before and after the right one, and within the connection.
    for forged_first in [true, false] {
        let mut wire = Wire::any();
        wire.client("S", 99, 0, "");
        let (first, second) = if forged_first { (77_777, 499) } else { (499, 77_777) };
        wire.server("SA", first, 100, "").server("SA", second, 100, "").client("A", 100, 500, "");
        wire.client("A", 100, 500, "GET").server("SA", 88_888, 100, "").server("A", 500, 103, "OK");
        wire.told(&[OPENED, "1 > GET", "1 < OK"]);
    }
}

#[test]
fn one_direction_only() {
    let mut wire = Wire::any();
    wire.client("S", 99, 0, "").client("A", 100, 500, "a").client("A", 102, 500, "c").client("A", 101, 500, "b");
    wire.client("FA", 103, 600, "").told(&[OPENED, "1 > a", "1 > b", "1 > c", "1 > end"]);
    wire.finish().told(&["1 EndOfCapture"]);
}

#[test]
fn a_lost_request_is_told_before_the_next() {
    let mut wire = Wire::any();
    wire.shake(99, 499).client("A", 100, 500, "one").server("A", 500, 103, "1").client("A", 103, 501, "");
    // "two" is lost.
    wire.server("A", 501, 106, "2").client("A", 106, 502, "").client("A", 106, 502, "three").server("A", 502, 111, "3");
    wire.told(&[OPENED, "1 > one", "1 < 1", "1 < 2", "1 > [3]", "1 > three", "1 < 3"]);
}

#[test]
fn idle_connections_are_forgotten() {
    let mut wire = Wire::any();
    wire.shake(99, 499).client("A", 100, 500, "a").lines(&[("10.0.0.3:1", SERVER, "S", 1, 0, "")]);
    wire.now += Duration::from_secs(100);
    wire.flows.tick(wire.now, &mut wire.log);
    assert_eq!(wire.flows.entries(), 1, "the handshake is gone");
    wire.client("A", 101, 500, "b").told(&[OPENED, "1 > a", "1 > b"]);
    wire.now += Duration::from_secs(361);
    wire.lines(&[("10.0.0.3:1", SERVER, "S", 1, 0, "")]).told(&["1 Idle"]);
    assert_eq!(wire.flows.entries(), 1);
    // Stamps may go back.
    wire.now -= Duration::from_secs(1000);
    wire.lines(&[("10.0.0.3:2", SERVER, "S", 1, 0, "")]).finish().told(&[]);
}

fn stranger(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(0x0b00_0000 + number).into(), 1024)
}

#[test]
fn a_flood_costs_nothing_that_is_alive() {
    let mut wire = Wire::new(&[], Limits { flows: 1000, idle: Duration::from_secs(10_000), ..Limits::default() });
    let server = SERVER.parse().unwrap();
    wire.shake(99, 499).client("A", 100, 500, "a").server("A", 500, 101, "b").told(&[OPENED, "1 > a", "1 < b"]);
    for number in 0..1_000_000 {
        wire.send(stranger(number), server, "S", number, 0, b"");
        assert!(wire.flows.entries() <= 1000);
    }
    // Data from nowhere as well.
    for number in 0..10_000 {
        wire.send(stranger(number), server, "A", number, 1, b"GET / HTTP/1.1\r\n\r\n");
    }
    assert!(wire.flows.entries() <= 1000 && wire.log.open <= 1000);
    wire.log.lines.clear();
    wire.client("A", 101, 501, "c").told(&["1 > c"]);
    wire.finish();
    let counters = *wire.flows.counters();
    assert_eq!(counters.opened, 10_001);
    assert!(counters.evicted_small > 990_000 && counters.evicted > 9000, "{counters:?}");
}

#[test]
fn what_is_held_in_all_is_bounded() {
    let mut wire = Wire::new(&[80], Limits { bytes: 100_000, ..Limits::default() });
    let server = SERVER.parse().unwrap();
    for number in 0..200 {
        wire.send(stranger(number), server, "A", 1000, 1, b"x");
        wire.send(server, stranger(number), "A", 1, 1001, b"");
        wire.send(stranger(number), server, "A", 1002, 1, &[b'y'; 2000]);
        assert!(wire.flows.held() <= 100_000);
    }
    // Those that held first gave up, and are alive.
    assert_eq!(wire.flows.counters().released, wire.flows.counters().streams.gaps);
    assert!(wire.flows.counters().released > 100);
    wire.log.lines.clear();
    wire.send(stranger(0), server, "A", 3002, 1, b"z");
    wire.told(&["1 > z"]);
    wire.finish();
}
