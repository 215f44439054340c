//! Lists of what may pass between some clients and a server, and what must hold whatever they are. Shared by the property test and the fuzz
//! target.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mirror_capture::flow::{Closed, Counters, Flows, Handler, Limits};
use mirror_capture::{Piece, Segment};

/// Some connections' life.
#[derive(Debug, Clone)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) struct Case {
    /// Whether the server is told by its port.
    pub(crate) by_port: bool,
    /// The first sequence number.
    pub(crate) start: u32,
    /// What passes.
    pub(crate) ops: Vec<Op>,
}

/// What passes. `who` is one of a few clients; `forth`: it is the client's.
#[derive(Debug, Clone)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) enum Op {
    /// A handshake, of which the capture saw some.
    Shake { who: u8, seen: [bool; 3] },
    /// The next bytes, as a sender sends them; or the capture lost them.
    Say { who: u8, forth: bool, said: Said, lost: bool },
    /// The end, as a sender sends it.
    End { who: u8, forth: bool, reset: bool },
    /// An acknowledgment of all that the other side sent.
    Acknowledge { who: u8, forth: bool },
    /// Anything.
    Segment { who: u8, forth: bool, place: i16, acknowledges: Option<i16>, flags: Flags, said: Said, missing: u8 },
    /// From somewhere far off.
    Foreign { who: u8, forth: bool, sequence: u32, said: Said },
    /// Time passes, or goes back.
    Elapse { milliseconds: i32 },
    /// Nothing passes.
    Tick,
}

/// A payload.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) enum Said {
    /// None.
    Nothing,
    /// So many bytes.
    Bytes(u8),
    /// A little more than one direction may hold.
    Much,
    /// One of [`TEXTS`].
    Text(u8),
}

/// What tells who is the server, and what does not.
const TEXTS: [&[u8]; 8] = [
    b"GET / HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"QUERY ",
    b"/ HTTP/1.1\r\n",
    b"H",
    b"TTP/1.0 ",
    b"\x16\x03\x01",
    b"\r\n",
];

/// TCP's.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub(crate) enum Flags {
    /// None of these.
    Plain,
    /// SYN.
    Syn,
    /// FIN.
    Fin,
    /// RST.
    Rst,
    /// What no sender sends: the bits are SYN, FIN, RST.
    Odd(u8),
}

const LIMITS: Limits = Limits { bytes: 2000, flow_bytes: 1000, flows: 4, idle: Duration::from_secs(60) };
const MUCH: usize = 1100;
const CLIENTS: u8 = 6;
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);

/// Runs the operations and checks what must hold whatever they were.
///
/// # Panics
/// When it does not.
pub(crate) fn run(case: &Case) {
    let ports: &[u16] = if case.by_port { &[80] } else { &[] };
    let mut wire = Wire {
        flows: Flows::new(LIMITS, ports),
        strict: Strict::default(),
        next: HashMap::new(),
        handshakes: case.start,
        segments: 0,
        now: Duration::from_secs(1_700_000_000),
    };
    for op in &case.ops {
        wire.op(op);
    }
    wire.flows.finish(&mut wire.strict);
    wire.agree();
    assert_eq!((wire.strict.open, wire.flows.entries(), wire.flows.held()), (0, 0, 0));
}

struct Wire {
    flows: Flows<Connection>,
    strict: Strict,
    /// Each sender's next sequence number.
    next: HashMap<(SocketAddr, SocketAddr), u32>,
    /// Where the next connection's sequence numbers begin.
    handshakes: u32,
    segments: u64,
    now: Duration,
}

impl Wire {
    fn op(&mut self, op: &Op) {
        match *op {
            Op::Shake { who, seen } => self.shake(who, seen),
            Op::Say { who, forth, said, lost } => {
                let (from, to) = ends(who, forth);
                let sequence = self.next(from, to);
                let payload = said.payload(sequence);
                *self.next.entry((from, to)).or_default() = sequence.wrapping_add(payload.len() as u32);
                if !lost {
                    let acknowledgment = Some(self.next(to, from));
                    self.send(&Segment { acknowledgment, payload: &payload, ..self.plain(from, to, sequence) });
                }
            }
            Op::End { who, forth, reset } => {
                let (from, to) = ends(who, forth);
                let sequence = self.next(from, to);
                let acknowledgment = Some(self.next(to, from));
                *self.next.entry((from, to)).or_default() = sequence.wrapping_add(u32::from(!reset));
                self.send(&Segment { acknowledgment, fin: !reset, rst: reset, ..self.plain(from, to, sequence) });
            }
            Op::Acknowledge { who, forth } => {
                let (from, to) = ends(who, forth);
                let acknowledgment = Some(self.next(to, from));
                let sequence = self.next(from, to);
                self.send(&Segment { acknowledgment, ..self.plain(from, to, sequence) });
            }
            Op::Segment { who, forth, place, acknowledges, flags, said, missing } => {
                let (from, to) = ends(who, forth);
                let sequence = self.next(from, to).wrapping_add_signed(place.into());
                let acknowledgment = acknowledges.map(|place| self.next(to, from).wrapping_add_signed(place.into()));
                let (syn, fin, rst) = flags.each();
                let payload = said.payload(sequence.wrapping_add(u32::from(syn)));
                let missing = missing.into();
                let plain = self.plain(from, to, sequence);
                self.send(&Segment { acknowledgment, syn, fin, rst, payload: &payload, missing, ..plain });
            }
            Op::Foreign { who, forth, sequence, said } => {
                let (from, to) = ends(who, forth);
                let payload = said.payload(sequence);
                self.send(&Segment { payload: &payload, ..self.plain(from, to, sequence) });
            }
            Op::Elapse { milliseconds } => {
                let by = Duration::from_millis(milliseconds.unsigned_abs().into());
                self.now = if milliseconds < 0 { self.now.saturating_sub(by) } else { self.now + by };
            }
            Op::Tick => {
                self.flows.tick(self.now, &mut self.strict);
                self.agree();
            }
        }
    }

    fn shake(&mut self, who: u8, seen: [bool; 3]) {
        let (client, server) = ends(who, true);
        let (sequence, answer) = (self.handshakes, self.handshakes.wrapping_mul(7));
        self.handshakes = sequence.wrapping_add(1_000_000);
        let (first, second) = (sequence.wrapping_add(1), answer.wrapping_add(1));
        self.next.extend([((client, server), first), ((server, client), second)]);
        if seen[0] {
            self.send(&Segment { syn: true, ..self.plain(client, server, sequence) });
        }
        if seen[1] {
            let acknowledgment = Some(first);
            self.send(&Segment { syn: true, acknowledgment, ..self.plain(server, client, answer) });
        }
        if seen[2] {
            self.send(&Segment { acknowledgment: Some(second), ..self.plain(client, server, first) });
        }
    }

    fn next(&self, from: SocketAddr, to: SocketAddr) -> u32 {
        self.next.get(&(from, to)).copied().unwrap_or(self.handshakes)
    }

    fn plain(&self, from: SocketAddr, to: SocketAddr, sequence: u32) -> Segment<'static> {
        Segment {
            time: self.now,
            from,
            to,
            sequence,
            acknowledgment: None,
            syn: false,
            fin: false,
            rst: false,
            payload: b"",
            missing: 0,
        }
    }

    fn send(&mut self, segment: &Segment<'_>) {
        self.now += Duration::from_micros(100);
        self.segments += 1;
        self.strict.sent(segment);
        self.flows.segment(segment, &mut self.strict);
        self.agree();
    }

    /// What holds between two segments.
    fn agree(&self) {
        assert!(self.flows.entries() <= LIMITS.flows, "{} entries", self.flows.entries());
        assert!(self.flows.held() <= LIMITS.bytes, "{} bytes", self.flows.held());
        assert!(self.strict.open <= self.flows.entries());
        assert!(self.strict.kept <= self.flows.held(), "{} bytes are kept", self.strict.kept);
        let counters = self.flows.counters();
        assert_eq!(counters.segments, self.segments);
        assert!(counters.ignored + counters.strays + counters.late <= counters.segments);
        assert!(counters.midstream <= counters.opened);
        self.strict.agree(counters);
    }
}

fn ends(who: u8, forth: bool) -> (SocketAddr, SocketAddr) {
    let client = SocketAddr::new(Ipv4Addr::new(11, 0, 0, 1).into(), 1024 + u16::from(who % CLIENTS));
    if forth { (client, SERVER) } else { (SERVER, client) }
}

impl Said {
    fn payload(self, sequence: u32) -> Vec<u8> {
        let length = match self {
            Said::Nothing => 0,
            Said::Bytes(length) => length.into(),
            Said::Much => MUCH,
            Said::Text(text) => return TEXTS[usize::from(text) % TEXTS.len()].to_vec(),
        };
        (0..length as u32).map(|i| byte(sequence.wrapping_add(i))).collect()
    }
}

/// What a sender has with this sequence number.
fn byte(sequence: u32) -> u8 {
    sequence.wrapping_mul(2_654_435_761).to_be_bytes()[0]
}

impl Flags {
    fn each(self) -> (bool, bool, bool) {
        match self {
            Flags::Plain => (false, false, false),
            Flags::Syn => (true, false, false),
            Flags::Fin => (false, true, false),
            Flags::Rst => (false, false, true),
            Flags::Odd(bits) => (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0),
        }
    }
}

/// Holds the rules of [`Handler`], and knows all that was sent.
#[derive(Default)]
struct Strict {
    open: usize,
    opened: u64,
    closed: HashMap<Closed, u64>,
    /// What all connections keep.
    kept: usize,
    /// What anybody sent with a sequence number, each way.
    sent: HashMap<(SocketAddr, SocketAddr), HashMap<u32, Bytes>>,
}

struct Connection {
    /// The server's address and the client's: from whom what it is told by `from_client` comes.
    ends: [SocketAddr; 2],
    ended: [bool; 2],
    /// The sequence numbers that the next byte may have, by all that was told; none yet: any.
    next: [Option<Vec<u32>>; 2],
    /// What some say is kept until the line's end.
    kept: [usize; 2],
}

impl Connection {
    fn keeps(&self) -> bool {
        self.ends[1].port() % 2 == 1
    }
}

/// A set of bytes.
#[derive(Default)]
struct Bytes([u128; 2]);

impl Bytes {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 7)] |= 1 << (byte & 0x7F);
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 7)] >> (byte & 0x7F) & 1 == 1
    }
}

impl Strict {
    fn sent(&mut self, segment: &Segment<'_>) {
        let sent = self.sent.entry((segment.from, segment.to)).or_default();
        let first = segment.sequence.wrapping_add(u32::from(segment.syn));
        for (i, byte) in segment.payload.iter().enumerate() {
            sent.entry(first.wrapping_add(i as u32)).or_default().insert(*byte);
        }
    }

    fn agree(&self, counters: &Counters) {
        let closed = |why| self.closed.get(&why).copied().unwrap_or(0);
        assert_eq!(counters.opened, self.opened);
        assert_eq!(counters.finished, closed(Closed::Finished));
        assert_eq!(counters.reset, closed(Closed::Reset));
        assert_eq!(counters.evicted, closed(Closed::Evicted));
        assert_eq!(counters.idle, closed(Closed::Idle));
        assert_eq!(counters.replaced, closed(Closed::Replaced));
        assert_eq!(self.opened, self.closed.values().sum::<u64>() + self.open as u64);
    }
}

impl Handler for Strict {
    type Connection = Connection;

    fn open(&mut self, client: SocketAddr, server: SocketAddr, _: bool, _: Duration) -> Connection {
        assert_ne!(client, server);
        self.open += 1;
        self.opened += 1;
        Connection { ends: [server, client], ended: [false; 2], next: [None, None], kept: [0; 2] }
    }

    fn piece(&mut self, connection: &mut Connection, from_client: bool, piece: Piece<'_>) {
        let from = usize::from(from_client);
        assert!(!connection.ended[from], "{piece:?} after the end");
        let next = &mut connection.next[from];
        self.kept -= connection.kept[from];
        match piece {
            Piece::Data(bytes, _) => {
                assert!(!bytes.is_empty());
                let sent = &self.sent[&(connection.ends[from], connection.ends[1 - from])];
                let all = || sent.keys().copied().collect();
                let places: Vec<u32> = next.take().unwrap_or_else(all);
                let is_there = |first: u32| {
                    let mut bytes = (first..=u32::MAX).chain(0..first).zip(bytes);
                    bytes.all(|(at, byte)| sent.get(&at).is_some_and(|there| there.contains(*byte)))
                };
                let after = |first: u32| first.wrapping_add(bytes.len() as u32);
                let places: Vec<u32> = places.into_iter().filter(|at| is_there(*at)).map(after).collect();
                assert!(!places.is_empty(), "{:?} was not sent there", bytes.escape_ascii().to_string());
                *next = Some(places);
                if connection.keeps() {
                    connection.kept[from] =
                        if bytes.ends_with(b"\n") { 0 } else { connection.kept[from] + bytes.len() };
                }
            }
            Piece::Gap(length, _) => {
                assert!(length > 0);
                let after = |at: u32| at.wrapping_add(length as u32);
                *next = next.take().map(|places| places.into_iter().map(after).collect());
                connection.kept[from] = 0;
            }
            Piece::End { .. } => {
                connection.ended[from] = true;
                connection.kept[from] = 0;
            }
        }
        self.kept += connection.kept[from];
    }

    fn kept(&self, connection: &Connection) -> usize {
        connection.kept.iter().sum()
    }

    fn give_up(&mut self, connection: &mut Connection, _: Duration) {
        self.kept -= self.kept(connection);
        connection.kept = [0; 2];
    }

    fn close(&mut self, connection: Connection, why: Closed, _: Duration) {
        assert!(connection.ended == [true; 2] || !matches!(why, Closed::Finished | Closed::Reset));
        self.open -= 1;
        self.kept -= self.kept(&connection);
        *self.closed.entry(why).or_default() += 1;
    }
}
