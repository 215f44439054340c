//! The table of connections: which one a segment is of, who is the server, and which are forgotten when there are too many.
//!
//! A connection is told of once something is said on it; until then it is one small entry without allocations of its own. Who is the server is told
//! by the ports given, else by the SYN or the SYN-ACK, else (the connection was open before the capture) by the first bytes: who sends a request
//! is the client, who sends a response is the server; bytes that are neither are passed over, since a reader could only begin at the next
//! head, and heads begin segments.
//!
//! A closed connection leaves a small entry behind for a while, so that what is sent again late does not look like a connection of its own.

mod counters;
mod forget;
mod half;
mod handler;
mod key;
mod limits;
mod open;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod property;
mod sniff;
mod table;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

pub use counters::Counters;
pub use handler::{Closed, Handler};
pub use limits::Limits;

use half::{Half, Hopeless, Step, Unclear};
use key::{End, Key};
use open::{Next, Open};
use sniff::{Sniff, sniff};
use table::{Index, List, Table};

use crate::Segment;

/// How often the lists are looked at for what is to be forgotten, by the packets' stamps.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State<C> {
    Half(Half),
    Unclear(Box<Unclear>),
    Open(Box<Open<C>>),
    /// Gone, with these initial sequence numbers.
    Closed([Option<u32>; 2]),
}

impl<C> State<C> {
    fn held(&self) -> usize {
        match self {
            Self::Half(_) | Self::Closed(_) => 0,
            Self::Unclear(unclear) => unclear.held(),
            Self::Open(open) => open.held(),
        }
    }
}

/// The connections; `C` is what the handler keeps of each.
#[derive(Debug)]
pub struct Flows<C> {
    limits: Limits,
    ports: Box<[u16]>,
    table: Table<State<C>>,
    /// Bytes held in all, out of order and by the handler.
    held: usize,
    /// When the last segment passed.
    now: Duration,
    swept: Duration,
    counters: Counters,
}

impl<C> Flows<C> {
    /// None yet. `ports` are the servers'; where there are none, all segments are looked at.
    pub fn new(limits: Limits, ports: &[u16]) -> Self {
        Self {
            limits,
            ports: ports.into(),
            table: Table::new(),
            held: 0,
            now: Duration::ZERO,
            swept: Duration::ZERO,
            counters: Counters::default(),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many entries there are: connections, handshakes and what closed connections left.
    pub fn entries(&self) -> usize {
        self.table.len()
    }

    /// How much memory is held, out of order and by the handler, in bytes.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes a segment, and tells `handler` of what it puts in order.
    pub fn segment<H: Handler<Connection = C>>(&mut self, segment: &Segment<'_>, handler: &mut H) {
        self.counters.segments += 1;
        self.now = segment.time;
        if segment.time.abs_diff(self.swept) >= SWEEP {
            self.tick(segment.time, handler);
        }
        let (from, to) = (self.is_server(segment.from), self.is_server(segment.to));
        let key = Key::new(segment.from, segment.to).filter(|_| from || to || self.ports.is_empty());
        let Some((key, end)) = key else {
            self.counters.ignored += 1;
            return;
        };
        let client = match (from, to) {
            (true, false) => Some(1 - end),
            (false, true) => Some(end),
            _ => None,
        };
        match self.table.find(&key) {
            Some(at) => self.known(at, end, client, segment, handler),
            None => self.fresh(key, end, client, segment, handler),
        }
    }

    fn is_server(&self, address: SocketAddr) -> bool {
        self.ports.contains(&address.port())
    }

    /// A segment of no connection known.
    fn fresh<H: Handler<Connection = C>>(
        &mut self,
        key: Key,
        end: End,
        client: Option<End>,
        segment: &Segment<'_>,
        handler: &mut H,
    ) {
        let data = has_data(segment);
        if segment.rst || !(data || segment.syn) {
            self.counters.strays += 1;
        } else if segment.syn {
            let at = self.insert(key, segment.time, State::Half(Half::new(segment, end)), handler);
            if data {
                self.known(at, end, client, segment, handler);
            }
        } else {
            let client = client.map_or_else(|| sniff(segment.payload), |client| said(client == end));
            match client {
                Sniff::Neither => self.counters.strays += 1,
                Sniff::Unclear if segment.payload.is_empty() => self.counters.strays += 1,
                Sniff::Unclear => {
                    let at = self.insert(key, segment.time, State::Unclear(Box::default()), handler);
                    self.known(at, end, None, segment, handler);
                }
                told => {
                    let client = if told == Sniff::Request { end } else { 1 - end };
                    let half = Half::unheard(client);
                    let at = self.insert(key, segment.time, State::Half(half), handler);
                    self.open(at, client, &half, segment, end, handler);
                }
            }
        }
    }

    /// A segment between the ends of an entry.
    fn known<H: Handler<Connection = C>>(
        &mut self,
        at: Index,
        end: End,
        client: Option<End>,
        segment: &Segment<'_>,
        handler: &mut H,
    ) {
        let now = segment.time;
        let Some(state) = self.table.get(at) else { return };
        let before = state.held();
        match state {
            State::Open(open) => {
                let next = open.segment(segment, end, &mut self.counters, handler);
                let (after, list) = (open.held(), open.list());
                if !matches!(next, Next::Foreign) {
                    self.table.touch(at, list, now);
                }
                self.account(at, before, after);
                match next {
                    Next::Stay => self.bound(now, handler),
                    Next::Foreign => (),
                    Next::Close(why) => self.close(at, why, now, handler),
                    Next::Replace(half) => {
                        self.close(at, Closed::Replaced, now, handler);
                        self.shake(at, half, end, client, segment, handler);
                    }
                }
            }
            State::Half(half) => match half.segment(segment, end) {
                Step::Foreign => self.counters.streams.foreign += 1,
                Step::Refused => {
                    self.table.remove(at);
                }
                Step::Fine => {
                    let half = *half;
                    self.shake(at, half, end, client, segment, handler);
                }
            },
            State::Unclear(unclear) => {
                if segment.rst || segment.syn {
                    self.forget(at, Closed::Replaced, now, handler);
                    if let Some((key, end)) = Key::new(segment.from, segment.to) {
                        self.fresh(key, end, client, segment, handler);
                    }
                } else if has_data(segment) {
                    let told = unclear.segment(segment, end);
                    let after = unclear.held();
                    self.account(at, before, after);
                    match told {
                        None => self.bound(now, handler),
                        Some(Err(Hopeless)) => {
                            self.counters.strays += 1;
                            self.forget(at, Closed::Replaced, now, handler);
                        }
                        Some(Ok(client)) => self.clear(at, client, handler),
                    }
                }
            }
            State::Closed(isn) => {
                if segment.syn && !segment.rst && isn[end] != Some(segment.sequence) {
                    self.shake(at, Half::new(segment, end), end, client, segment, handler);
                } else {
                    self.counters.late += 1;
                }
            }
        }
    }

    /// A handshake, which ends with the first data.
    fn shake<H: Handler<Connection = C>>(
        &mut self,
        at: Index,
        half: Half,
        end: End,
        client: Option<End>,
        segment: &Segment<'_>,
        handler: &mut H,
    ) {
        if has_data(segment) {
            let by_content = || match sniff(segment.payload) {
                Sniff::Request if half.crossed => end,
                Sniff::Response if half.crossed => 1 - end,
                _ => half.client,
            };
            let client = client.unwrap_or_else(by_content);
            self.open(at, client, &half.meet(segment, end), segment, end, handler);
        } else if let Some(state) = self.table.get(at) {
            *state = State::Half(half);
            self.table.touch(at, List::Small, segment.time);
        }
    }

    /// It is clear who is the client: what was held is taken as if it came now.
    fn clear<H: Handler<Connection = C>>(&mut self, at: Index, client: End, handler: &mut H) {
        let Some(state) = self.table.get(at) else { return };
        let held = state.held();
        let half = Half::unheard(client);
        let State::Unclear(unclear) = std::mem::replace(state, State::Half(half)) else { return };
        self.account(at, held, 0);
        for (end, copied) in unclear.into_segments() {
            self.known(at, end, Some(client), &copied.segment(), handler);
        }
    }

    /// Something is said: a connection, whose first segment this is.
    fn open<H: Handler<Connection = C>>(
        &mut self,
        at: Index,
        client: End,
        half: &Half,
        segment: &Segment<'_>,
        end: End,
        handler: &mut H,
    ) {
        let Some(state) = self.table.get(at) else { return };
        let midstream = half.isn == [None; 2];
        self.counters.opened += 1;
        self.counters.midstream += u64::from(midstream);
        let (from, to) = (segment.from, segment.to);
        let (client_address, server) = if client == end { (from, to) } else { (to, from) };
        let connection = handler.open(client_address, server, midstream, segment.time);
        *state = State::Open(Box::new(Open::new(connection, client, half, self.limits.flow_bytes)));
        self.known(at, end, Some(client), segment, handler);
    }
}

/// Whether a segment says something.
fn has_data(segment: &Segment<'_>) -> bool {
    !segment.payload.is_empty() || segment.missing > 0
}

/// What the client says is a request, and what the server says a response.
fn said(by_client: bool) -> Sniff {
    if by_client { Sniff::Request } else { Sniff::Response }
}
