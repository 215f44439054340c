//! Captures through all steps.

mod frames;
mod strict;
mod wraps;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use etherparse::PacketBuilder;

use super::*;
use crate::offer::{Orphan, Write};
use crate::packet::LinkType;

#[test]
fn a_conversation_in_every_wrap() {
    for (name, case) in wraps::seeds() {
        assert_eq!(frames::run(&case, || ()), wraps::TOLD, "{name}");
    }
}

/// Counts exchanges that end well.
#[derive(Default)]
struct Whole(Arc<Mutex<usize>>);

struct Writer(Arc<Mutex<usize>>);

impl Offer for Whole {
    type Writer = Writer;

    fn begin(&mut self, _: Bytes, _: SocketAddr, _: SocketAddr, _: Duration, _: bool) -> Option<Writer> {
        Some(Writer(self.0.clone()))
    }
    fn orphan(&mut self, _: Orphan) {}
}

impl Write for Writer {
    fn ambiguous(&mut self) {}
    fn data(&mut self, _: Bytes, _: Duration) {}
    fn lost(&mut self, _: u64, _: Duration) {}
    fn request_end(&mut self, _: Option<Bytes>, _: Duration) {}
    fn respond(&mut self, _: Bytes, _: Duration) {}
    fn response_data(&mut self, _: Bytes, _: Duration) {}
    fn response_lost(&mut self, _: u64, _: Duration) {}
    fn finish(self, _: Option<Bytes>, _: Duration) {
        *self.0.lock().unwrap() += 1;
    }
    fn abort(self, _: Abort, _: Duration) {}
}

/// Sends segments of clients, who come in their order.
struct Wire {
    assembly: Assembly<Whole>,
    whole: Arc<Mutex<usize>>,
    counters: Arc<Mutex<Counters>>,
    sequences: Vec<[u32; 2]>,
    now: Duration,
}

impl Wire {
    fn new(limits: flow::Limits) -> Wire {
        let whole = Whole::default();
        let (count, assembly) = (whole.0.clone(), Assembly::new(whole, limits, &[80]));
        let counters = assembly.counters();
        Wire { assembly, whole: count, counters, sequences: Vec::new(), now: Duration::from_secs(1_700_000_000) }
    }

    fn send(&mut self, client: u16, forth: bool, payload: &[u8]) {
        if self.sequences.len() == usize::from(client) {
            self.sequences.push([0; 2]);
            self.segment(client, true, true, b"");
            self.segment(client, false, true, b"");
        }
        self.segment(client, forth, false, payload);
        self.assembly.tick(self.now);
    }

    fn segment(&mut self, client: u16, forth: bool, syn: bool, payload: &[u8]) {
        let next = &mut self.sequences[usize::from(client)];
        let (ports, addresses) = ([10_000 + client, 80], [[10, 0, 0, 1], [10, 0, 0, 2]]);
        let (from, to) = (usize::from(!forth), usize::from(forth));
        let ip = PacketBuilder::ipv4(addresses[from], addresses[to], 64);
        let mut data = Vec::new();
        let tcp = ip.tcp(ports[from], ports[to], next[from], 64_000);
        let tcp = if syn { tcp.syn() } else { tcp };
        tcp.ack(next[to]).write(&mut data, payload).unwrap();
        next[from] += payload.len() as u32 + u32::from(syn);
        self.now += Duration::from_millis(1);
        let length = data.len() as u32;
        self.assembly.packet(Packet { time: self.now, link: LinkType(101), data: &data, length });
    }

    fn counters(&self) -> Counters {
        *self.counters.lock().unwrap()
    }
}

#[test]
fn heads_that_never_end_are_bounded_in_all() {
    let limits = flow::Limits { bytes: 1 << 20, ..flow::Limits::default() };
    let mut wire = Wire::new(limits);
    for client in 0..100 {
        wire.send(client, true, b"GET / HTTP/1.1\r\n");
        for _ in 0..50 {
            wire.send(client, true, &b"A: b\r\n".repeat(200));
            assert!(wire.counters().held <= limits.bytes);
        }
    }
    assert!(wire.counters().flows.released > 50);
    assert_eq!((wire.counters().flows.evicted, wire.counters().entries), (0, 100), "those that gave up are alive");
    wire.send(0, true, b"\r\nGET /again HTTP/1.1\r\n\r\n");
    wire.send(0, false, b"HTTP/1.1 204 No\r\n\r\n");
    assert_eq!(*wire.whole.lock().unwrap(), 1);
}

#[test]
fn requests_without_answers_are_bounded_in_all() {
    let limits = flow::Limits { bytes: 1 << 20, ..flow::Limits::default() };
    let mut wire = Wire::new(limits);
    for client in 0..100 {
        for _ in 0..10 {
            wire.send(client, true, &b"GET / HTTP/1.1\r\n\r\n".repeat(100));
            assert!(wire.counters().held <= limits.bytes);
        }
    }
    assert!(wire.counters().flows.released > 50);
    // Another client is not hurt.
    wire.send(100, true, b"GET / HTTP/1.1\r\n\r\n");
    wire.send(100, false, b"HTTP/1.1 204 No\r\n\r\n");
    assert_eq!(*wire.whole.lock().unwrap(), 1);
}
