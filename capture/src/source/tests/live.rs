//! Interfaces, on the loopback and in network namespaces of their own, and VXLAN sockets. Without CAP_NET_RAW they are skipped.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Instant;

use rustix::thread::{CapabilitySet, UnshareFlags};

use super::*;

fn permitted() -> bool {
    let permitted = privileges::has(CapabilitySet::NET_RAW);
    if !permitted {
        eprintln!("skipped: CAP_NET_RAW is missing");
    }
    permitted
}

fn interface(name: &str, ports: &[u16]) -> LiveOptions {
    LiveOptions { interface: name.into(), ports: ports.to_vec(), buffer: 4 << 20, ..LiveOptions::default() }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A connection over which these bytes go there and back.
fn exchange(listener: &TcpListener, bytes: &[u8]) {
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let (mut server, _) = listener.accept().expect("accepted");
    let mut there = vec![0; bytes.len()];
    client.write_all(bytes).and_then(|()| server.read_exact(&mut there)).expect("there");
    server.write_all(&there).and_then(|()| client.read_exact(&mut there)).expect("and back");
}

fn contains(packet: &Seen1, bytes: &[u8]) -> bool {
    packet.data.windows(bytes.len()).any(|window| window == bytes)
}

fn times_seen(sink: &Counting, bytes: &[u8]) -> usize {
    sink.seen().packets.iter().filter(|packet| contains(packet, bytes)).count()
}

#[test]
fn only_the_ports_asked_for_are_seen() {
    if !permitted() {
        return;
    }
    let [wanted, other] = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    let port = wanted.local_addr().expect("an address").port();
    for (name, link) in [("lo", 1), ("any", 276)] {
        let (running, sink) = start(&[SourceOptions::Live(interface(name, &[port]))]).expect("open");
        exchange(&other, b"not wanted");
        exchange(&wanted, b"wanted here");
        until("there and back", || times_seen(&sink, b"wanted here") == 2);
        running.stop();
        assert!(running.join());
        assert_eq!(times_seen(&sink, b"not wanted"), 0);
        let seen = sink.seen();
        assert!(seen.packets.iter().all(|packet| packet.link == link), "{name}");
        let now = ticker::system_time();
        assert!(seen.packets.iter().all(|packet| now - packet.time < Duration::from_secs(30)), "nanoseconds: {name}");
        assert!(seen.packets.iter().any(|packet| packet.time.subsec_nanos() % 1_000 != 0), "nanoseconds: {name}");
    }
}

#[test]
fn a_stop_reads_what_has_passed_and_is_prompt() {
    if !permitted() {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // Nothing passes.
    let (running, sink) = start(&[SourceOptions::Live(interface("lo", &[port]))]).expect("open");
    until("ticks on an idle interface", || sink.seen().ticks.len() >= 3);
    let stopped = Instant::now();
    running.stop();
    assert!(running.join());
    assert!(stopped.elapsed() < Duration::from_millis(200), "{:?}", stopped.elapsed());
    // Something passes, and the block of the ring it is in is not yet ours.
    let mut options = interface("lo", &[port]);
    options.block_time = Duration::from_millis(100);
    let (running, sink) = start(&[SourceOptions::Live(options)]).expect("open");
    exchange(&listener, b"just before");
    running.stop();
    assert!(running.join());
    assert_eq!(times_seen(&sink, b"just before"), 2);
    assert!(sink.seen().end.is_some());
}

#[test]
fn the_users_filter_narrows_it_further() {
    if !permitted() {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut options = interface("lo", &[port]);
    options.bpf = Some(format!("src port {port}"));
    let (running, sink) = start(&[SourceOptions::Live(options.clone())]).expect("open");
    exchange(&listener, b"one way only");
    until("back", || times_seen(&sink, b"one way only") == 1);
    running.stop();
    assert!(running.join());
    assert_eq!(times_seen(&sink, b"one way only"), 1);
    options.bpf = Some("host 1.2.3.4 or".into());
    let text = error_of(&[SourceOptions::Live(options)], |_| true);
    assert!(text.contains("`host 1.2.3.4 or` does not compile: ") && text.contains("syntax error"), "{text}");
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    if !permitted() {
        return;
    }
    let text = error_of(&[SourceOptions::Live(interface("eth77", &[80]))], |_| true);
    assert!(text.contains("there is no interface eth77; there are: ") && text.contains("lo"), "{text}");
    let text = error_of(&[SourceOptions::Live(interface("lo", &[80]))], |_| false);
    assert!(text.contains("lo is of link type EN10MB, which is not supported"), "{text}");
    let unprivileged = std::thread::spawn(|| {
        privileges::drop_all_but(CapabilitySet::empty()).expect("dropped");
        error_of(&[SourceOptions::Live(interface("lo", &[80]))], |_| true)
    });
    let text = unprivileged.join().expect("a thread");
    for grant in ["setcap cap_net_raw+ep /", "AmbientCapabilities=CAP_NET_RAW", "capabilities: { add: [NET_RAW] }"] {
        assert!(text.contains(grant), "{text}");
    }
}

#[test]
fn interfaces_are_listed_with_what_they_are() {
    let interfaces = interfaces().expect("listed");
    let lo = interfaces.iter().find(|interface| interface.name == "lo").expect("the loopback");
    assert!(lo.loopback && lo.addresses.contains(&Ipv4Addr::LOCALHOST.into()));
    if permitted() {
        assert_eq!(lo.link_types.first().map(String::as_str), Some("EN10MB"));
    }
}

/// Runs in a network namespace of its own, if it may.
fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: no memory is unshared, only the network.
        if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.is_err() || !ip("link set lo up") {
            eprintln!("skipped: no network namespaces, or no `ip`");
            return;
        }
        test();
    });
    assert!(thread.join().is_ok());
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

#[test]
fn an_interface_that_vanishes_is_opened_again_and_the_others_go_on() {
    in_a_namespace(|| {
        assert!(ip("link add one type dummy") && ip("addr add 10.1.1.1/24 dev one") && ip("link set one up"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sources = ["one", "lo"].map(|name| SourceOptions::Live(interface(name, &[port, 99])));
        let (running, sink) = start(&sources).expect("open");
        let up = || running.stats().iter().map(|stats| stats.up).collect::<Vec<_>>();
        let to_nobody = |payload: &'static [u8]| {
            // A SYN to a neighbour that is not there goes no further than ARP, so the neighbour is told.
            assert!(ip("neigh replace 10.1.1.2 lladdr 02:00:00:00:00:02 dev one"));
            let socket = UdpSocket::bind("10.1.1.1:0").expect("a port");
            // Fragments, which come up whatever they are of, would be UDP's here; a VXLAN port is a tunnel's.
            socket.send_to(payload, "10.1.1.2:4789").expect("sent");
        };
        to_nobody(b"before");
        until("a packet by the interface", || times_seen(&sink, b"before") == 1);
        // Down and up again: the same interface.
        assert!(ip("link set one down"));
        std::thread::sleep(Duration::from_millis(50));
        assert!(ip("link set one up"));
        until("open", || up() == [true, true]);
        until("a packet after it was down", || {
            to_nobody(b"after it was down");
            times_seen(&sink, b"after it was down") > 0
        });
        // Gone, and another of the same name.
        assert!(ip("link del one"));
        until("gone", || up() == [false, true]);
        exchange(&listener, b"the loopback goes on");
        until("there and back", || times_seen(&sink, b"the loopback goes on") == 2);
        assert!(ip("link add one type dummy") && ip("addr add 10.1.1.1/24 dev one") && ip("link set one up"));
        until("back", || up() == [true, true]);
        to_nobody(b"after it was gone");
        until("a packet by the new one", || times_seen(&sink, b"after it was gone") == 1);
        assert!(ip("link del one"));
        until("gone", || up() == [false, true]);
        let stopped = Instant::now();
        running.stop();
        assert!(running.join());
        assert!(stopped.elapsed() < Duration::from_millis(500));
    });
}

#[test]
fn tagged_packets_come_up() {
    in_a_namespace(|| {
        let made = ip("link add left type veth peer name right")
            && ip("link add link left name left.7 type vlan id 7")
            && ip("addr add 10.2.2.1/24 dev left.7")
            && ["left", "right", "left.7"].iter().all(|name| ip(&format!("link set {name} up")))
            && ip("neigh replace 10.2.2.2 lladdr 02:00:00:00:00:02 dev left.7");
        if !made {
            eprintln!("skipped: no veth or VLAN");
            return;
        }
        let (running, sink) = start(&[SourceOptions::Live(interface("right", &[99]))]).expect("open");
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("set");
        for port in [98, 99] {
            let _ = client.connect(&std::net::SocketAddr::from(([10, 2, 2, 2], port)).into());
            let _ = client.connect(&std::net::SocketAddr::from(([10, 2, 2, 2], port)).into());
        }
        let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        other.set_nonblocking(true).expect("set");
        let _ = other.connect(&std::net::SocketAddr::from(([10, 2, 2, 2], 99)).into());
        until("a SYN", || !sink.seen().packets.is_empty());
        running.stop();
        assert!(running.join());
        for packet in sink.seen().packets {
            assert_eq!(packet.data[12..16], [0x81, 0, 0, 7], "the tag is there");
            assert_eq!(packet.data[40..42], 99u16.to_be_bytes(), "of the port asked for");
        }
    });
}

#[test]
fn vxlan_datagrams_are_unwrapped() {
    let options = VxlanOptions { address: (std::net::Ipv6Addr::UNSPECIFIED, 0).into(), ..VxlanOptions::default() };
    let sink = Counting::default();
    let captures = Captures::open(&[SourceOptions::Vxlan(options)], |_| true).expect("open");
    let port = captures.vxlan_addresses()[0].port();
    let running = captures.start(|_| sink.clone()).expect("threads");
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let send = |datagram: &[u8]| client.send_to(datagram, (Ipv4Addr::LOCALHOST, port)).expect("sent");
    send(b"\x08\0\0\0\0\0\x07\0the frame");
    send(b"\x00\0\0\0\0\0\x07\0not valid");
    send(b"\x08\0\0");
    send(b"\x08\0\0\0\0\0\x07\0");
    let large = [b"\x08\0\0\0\0\0\x07\0".as_slice(), &[7; 65_000]].concat();
    send(&large);
    for _ in 0..100 {
        send(b"\x08\0\0\0\0\0\x07\0another");
    }
    until("all", || sink.seen().packets.len() == 102);
    let stopped = Instant::now();
    running.stop();
    let stats = running.stats().remove(0);
    assert!(running.join());
    assert!(stopped.elapsed() < Duration::from_millis(200));
    let seen = sink.seen();
    assert_eq!((seen.packets[0].data.as_slice(), seen.packets[0].link), (b"the frame".as_slice(), 1));
    assert_eq!(seen.packets[1].data.len(), 65_000);
    assert!(ticker::system_time() - seen.packets[0].time < Duration::from_secs(30));
    assert_eq!((stats.packets, stats.dropped, stats.up), (102, 0, true));
}
