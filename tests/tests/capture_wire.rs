//! The listener on a server's Ethernet card, past which real clients on another host talk to a real nginx: whole messages, whatever the
//! cable does to the frames.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use mirror_tests::curl::{self, curl};
use mirror_tests::listener::{Listener, is, patient};
use mirror_tests::nginx::{self, Nginx};
use mirror_tests::wire::{CARD, CLIENT, CLIENT_TOO, Cabling, Faults, SERVER, Wire};
use mirror_tests::{Message, Value, WITHIN, json, upload};

const PORT: u16 = 80;

/// Whether nginx and curl are to be had. Where not, that is said.
fn has_ends() -> bool {
    nginx::is_there() && curl::is_there()
}

/// A cable for them.
fn lay(cabling: Cabling) -> Option<Wire> {
    if has_ends() { Wire::lay(cabling) } else { None }
}

/// A body that is no other's.
fn body(number: usize, length: usize) -> Vec<u8> {
    let mut body = upload::body(length);
    body[..8].copy_from_slice(&(number as u64).to_be_bytes());
    body
}

/// What is posted, and how.
#[derive(Default)]
struct Posts {
    cabling: Cabling,
    count: usize,
    /// Of each, in bytes.
    length: usize,
    at_once: bool,
    ipv6: bool,
    /// The listener is where the client is: it sees what is lost behind it, and what is then sent again.
    at_client: bool,
}

impl Posts {
    /// All are recorded and arrive at the target byte for byte.
    #[track_caller]
    fn assert_arrive(self) {
        let Some(wire) = lay(self.cabling) else { return };
        self.assert_arrive_over(&wire);
        wire.carried().assert_met(self.cabling.faults);
        let longest = wire.carried().longest.load(Relaxed);
        assert_eq!(longest > 1514, self.cabling.offloads, "super-segments where the cards offload only: {longest}");
    }

    #[track_caller]
    fn assert_arrive_over(&self, wire: &Wire) {
        let Some(address) = (if self.ipv6 { wire.address_6(PORT) } else { Some(wire.address(PORT)) }) else { return };
        let _nginx = wire.server.within(|| Nginx::start_at(address));
        let host = if self.at_client { &wire.client } else { &wire.server };
        host.within(|| {
            let Some(listener) = Listener::of(patient(CARD, PORT)) else { return };
            wire.client.within(|| self.post(address));
            if self.cabling.faults != Faults::default() {
                self.assert_suffered(&listener);
            }
            let (records, requests) = listener.end_settled(self.count);
            for number in 0..self.count {
                assert_post(&records, &requests, number, &body(number, self.length));
            }
            assert!(records.iter().all(|record| record["server"] == address.to_string()));
        });
    }

    /// That the listener has seen bytes again and, behind the fault, segments in another order.
    #[track_caller]
    fn assert_suffered(&self, listener: &Listener) {
        listener.mirror.wait_for(WITHIN, |metrics| {
            let out_of_order = metrics.sum("mirror_capture_segments_total", &["kind=\"out_of_order\""]);
            let repeated = metrics.sum("mirror_capture_stream_bytes_total", &["kind=\"repeated\""]);
            repeated > 0.0 && (out_of_order > 0.0 || self.at_client)
        });
    }

    #[track_caller]
    fn post(&self, to: SocketAddr) {
        let folder = tempfile::tempdir().expect("a folder of our own");
        let posts: Vec<_> = (0..self.count)
            .map(|number| {
                let file = folder.path().join(number.to_string());
                std::fs::write(&file, body(number, self.length)).expect("a file of our own");
                (format!("http://{to}/post?{number}"), file)
            })
            .collect();
        assert_eq!(curl::post(&posts, self.at_once), "taken".repeat(self.count).as_bytes());
    }
}

#[track_caller]
fn assert_post(records: &[Value], requests: &[Message], number: usize, body: &[u8]) {
    let target = format!("/post?{number}");
    let record = records.iter().find(|record| record["request"]["target"] == target).expect(&target);
    assert!(is(&record["request"]["body"], body), "{target} as recorded");
    assert_eq!((&record["response"]["status"], &record["response"]["body"]), (&json!(200), &json!("taken")));
    let line = format!("POST {target} HTTP/1.1");
    let request = requests.iter().find(|request| request.start_line() == line).expect(&target);
    assert!(request.body == body, "{target} at the target");
}

const MEGABYTE: usize = 1_000_000;

#[test]
fn forty_megabytes_one_after_the_other() {
    Posts { count: 40, length: MEGABYTE, ..Posts::default() }.assert_arrive();
}

#[test]
fn forty_megabytes_at_once_in_super_segments() {
    let cabling = Cabling { offloads: true, ..Cabling::default() };
    Posts { cabling, count: 40, length: MEGABYTE, at_once: true, ..Posts::default() }.assert_arrive();
}

/// Between the kernel's own cards, which put segments together and leave checksums as they are.
#[test]
fn ten_megabytes_between_veth_devices() {
    if !has_ends() {
        return;
    }
    let Some(wire) = Wire::lay_kernels() else { return };
    Posts { count: 10, length: MEGABYTE, at_once: true, ..Posts::default() }.assert_arrive_over(&wire);
}

fn bad() -> Cabling {
    Cabling { faults: Faults::ALL, ..Cabling::default() }
}

#[test]
fn ten_megabytes_each_over_a_bad_cable() {
    Posts { cabling: bad(), count: 2, length: 10 * MEGABYTE, at_once: true, ..Posts::default() }.assert_arrive();
}

#[test]
fn a_megabyte_each_over_a_bad_cable() {
    Posts { cabling: bad(), count: 5, length: MEGABYTE, ..Posts::default() }.assert_arrive();
}

#[test]
fn a_megabyte_each_as_it_is_sent_and_sent_again() {
    Posts { cabling: bad(), count: 5, length: MEGABYTE, at_client: true, ..Posts::default() }.assert_arrive();
}

/// What is sent again is cut at other places than at first, so that segments overlap.
#[test]
fn super_segments_that_are_sent_again() {
    let cabling = Cabling { faults: Faults { lost: 11, repeated: 7, late: 5 }, offloads: true, ..Cabling::default() };
    Posts { cabling, count: 5, length: MEGABYTE, at_once: true, at_client: true, ..Posts::default() }.assert_arrive();
}

#[test]
fn over_ipv6_and_a_bad_cable() {
    Posts { cabling: bad(), count: 4, length: MEGABYTE, at_once: true, ipv6: true, ..Posts::default() }.assert_arrive();
}

/// The loopback, the card, and both together as `any`.
#[test]
fn of_several_interfaces_each_exchange_is_heard_once() {
    for capture in [json!([{ "interface": "lo", "ports": PORT }, { "interface": CARD, "ports": PORT }]), json!(":80")] {
        let Some(wire) = lay(Cabling::default()) else { return };
        wire.server.within(|| {
            let _nginx = Nginx::start_at(([0, 0, 0, 0], PORT).into());
            let Some(listener) = Listener::of(capture.clone()) else { return };
            assert_eq!(wire.client.within(|| curl(&[&format!("http://{SERVER}/tiny?card")])), b"ok");
            assert_eq!(curl(&["http://127.0.0.1/tiny?loopback"]), b"ok");
            let (records, _) = listener.end_settled(2);
            let ends = |record: &Value| [&record["request"]["target"], &record["server"]].map(ToString::to_string);
            assert_eq!(ends(&records[0]), ["\"/tiny?card\"", "\"10.0.0.2:80\""]);
            assert_eq!(ends(&records[1]), ["\"/tiny?loopback\"", "\"127.0.0.1:80\""]);
        });
    }
}

#[test]
fn a_filter_leaves_a_client_out() {
    let Some(wire) = lay(Cabling::default()) else { return };
    wire.server.within(|| {
        let nginx = Nginx::start_at(wire.address(PORT));
        let filter = format!("not host {CLIENT_TOO}");
        let Some(listener) = Listener::of(json!({ "interface": CARD, "ports": PORT, "bpf": filter })) else { return };
        for (number, client) in [CLIENT, CLIENT_TOO, CLIENT, CLIENT_TOO].iter().enumerate() {
            let url = format!("http://{SERVER}/tiny?{number}");
            wire.client.within(|| curl(&["--interface", &client.to_string(), &url]));
        }
        assert_eq!(nginx.wait_served(5).len(), 4, "both were answered");
        let (records, _) = listener.end_settled(2);
        for (record, target) in records.iter().zip(["/tiny?0", "/tiny?2"]) {
            assert_eq!(record["request"]["target"], target);
            assert!(record["client"].as_str().expect("an address").starts_with(&format!("{CLIENT}:")), "{record:#}");
        }
    });
}
