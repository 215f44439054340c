//! The listener behind a switch: it is sent copies of frames that are not for its host, as they are, behind the tags of VLANs, or in VXLAN.

use mirror_tests::curl::{self, curl};
use mirror_tests::listener::{Listener, is, patient};
use mirror_tests::nginx::{self, Nginx};
use mirror_tests::wire::{CARD, Cabling, Copies, Faults, SERVER, Wire};
use mirror_tests::{Value, json, upload};

const PORT: u16 = 80;
/// 802.1Q, VLAN 7.
const VLAN: [u16; 2] = [0x8100, 7];
/// 802.1ad, VLAN 70.
const SERVICE: [u16; 2] = [0x88a8, 70];

/// A page, a short answer and an upload, through a cable with faults, are heard whole at the mirror port.
#[track_caller]
fn assert_heard(copies: Copies, capture: Value) {
    if !nginx::is_there() || !curl::is_there() {
        return;
    }
    let Some(wire) = Wire::lay(Cabling { copies, faults: Faults::ALL, ..Cabling::default() }) else { return };
    let nginx = wire.server.within(|| Nginx::start_at(wire.address(PORT)));
    let page = upload::body(300_000);
    let file = nginx.file("page");
    std::fs::write(&file, &page).expect("a file of our own");
    wire.port.within(|| {
        let Some(listener) = Listener::of(capture) else { return };
        wire.client.within(|| {
            let url = |path: &str| format!("http://{SERVER}{path}");
            assert!(curl(&[&url("/page")]) == page);
            assert_eq!(curl(&[&url("/tiny")]), b"ok");
            curl(&["-T", file.to_str().expect("UTF-8"), &url("/put/page")]);
        });
        assert!(std::fs::read(nginx.file("put/page")).expect("what was uploaded") == page);
        let (records, requests) = listener.end_settled(3);
        for (record, (request, response)) in records.iter().zip([(&b""[..], &page[..]), (b"", b"ok"), (&page, b"")]) {
            assert!(is(&record["request"]["body"], request), "{}", record["request"]["target"]);
            assert!(is(&record["response"]["body"], response), "{}", record["request"]["target"]);
        }
        assert!(
            requests.iter().any(|request| request.start_line() == "PUT /put/page HTTP/1.1" && request.body == page)
        );
    });
    wire.carried().assert_met(Faults::ALL);
}

/// As one listens there: also to what is not for this host.
fn promiscuous() -> Value {
    let mut capture = patient(CARD, PORT);
    capture["promiscuous"] = json!(true);
    capture
}

#[test]
fn frames_as_they_are() {
    assert_heard(Copies::Frames(&[]), promiscuous());
}

#[test]
fn frames_of_a_vlan() {
    assert_heard(Copies::Frames(&[VLAN]), promiscuous());
}

#[test]
fn frames_of_a_vlan_on_every_interface() {
    assert_heard(Copies::Frames(&[VLAN]), patient("any", PORT));
}

#[test]
fn frames_of_a_vlan_that_is_asked_for() {
    let mut capture = promiscuous();
    capture["bpf"] = json!("vlan 7");
    assert_heard(Copies::Frames(&[VLAN]), capture);
}

#[test]
fn frames_of_a_vlan_in_another() {
    assert_heard(Copies::Frames(&[SERVICE, VLAN]), promiscuous());
}

/// Who is the server is told by the SYN.
#[test]
fn frames_in_vxlan() {
    assert_heard(Copies::Vxlan, json!("vxlan::4789"));
}

#[test]
fn frames_in_vxlan_of_a_port() {
    assert_heard(Copies::Vxlan, json!("vxlan::4789:80"));
}

/// Of a VLAN that is not asked for, nothing is heard.
#[test]
fn frames_of_another_vlan() {
    if !nginx::is_there() || !curl::is_there() {
        return;
    }
    let Some(wire) = Wire::lay(Cabling { copies: Copies::Frames(&[VLAN]), ..Cabling::default() }) else { return };
    let _nginx = wire.server.within(|| Nginx::start_at(wire.address(PORT)));
    wire.port.within(|| {
        let capture = |bpf: &str| json!({ "interface": CARD, "ports": PORT, "promiscuous": true, "bpf": bpf });
        let (Some(other), Some(ours)) = (Listener::of(capture("vlan 8")), Listener::of(capture("vlan 7"))) else {
            return;
        };
        assert_eq!(wire.client.within(|| curl(&[&format!("http://{SERVER}/tiny")])), b"ok");
        ours.end_settled(1);
        other.end(0);
    });
}
