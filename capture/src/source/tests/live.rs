//! Interfaces, on the loopback and in network namespaces of their own, and VXLAN sockets. Without CAP_NET_RAW they are skipped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Instant;

use rustix::thread::{CapabilitySet, UnshareFlags};

use super::*;
use crate::decode::{Decoded, Decoder};

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

/// The ring's first blocks are filtered by libpcap, where a packet does not say which way it went.
#[test]
fn a_filter_by_direction_takes_the_first_packets_too() {
    if !permitted() {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    for (bpf, times) in [("inbound", 2), ("inbound and src port", 1), ("outbound or (inbound and dst port)", 1)] {
        let mut options = interface("lo", &[port]);
        let bpf = bpf.replace("port", &format!("port {port}"));
        options.bpf = Some(bpf.clone());
        let (running, sink) = start(&[SourceOptions::Live(options)]).expect("open");
        exchange(&listener, b"the very first");
        running.stop();
        assert!(running.join());
        assert_eq!(times_seen(&sink, b"the very first"), times, "{bpf}");
    }
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

/// An interface `tap7` that is there as long as the file is open; what is written to the file comes in by it. None where there can be none.
fn tap() -> Option<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun").ok()?;
    // SAFETY: an ifreq is plain data; the kernel reads its name and flags.
    let result = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"tap7") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
        libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request)
    };
    (result == 0 && ip("link set tap7 up")).then_some(file)
}

/// Ethernet, these tags, IPv4, and TCP without ports' checksums: from 1234 to this port.
fn frame(tags: &[u16], port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 7]);
    }
    frame.extend([8, 0, 0x45, 0, 0, 40 + payload.len() as u8, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([1234u16.to_be_bytes(), port.to_be_bytes()].as_flattened());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}

#[test]
fn an_interface_that_vanishes_is_opened_again_and_the_others_go_on() {
    in_a_namespace(|| {
        let Some(mut tap) = self::tap() else {
            eprintln!("skipped: no TAP interfaces");
            return;
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sources = ["tap7", "lo"].map(|name| SourceOptions::Live(interface(name, &[port, 99])));
        let (running, sink) = start(&sources).expect("open");
        let up = || running.stats().iter().map(|stats| stats.up).collect::<Vec<_>>();
        tap.write_all(&frame(&[], 99, b"before")).expect("sent");
        until("a packet by the interface", || times_seen(&sink, b"before") == 1);
        // Down and up again: the same interface.
        assert!(ip("link set tap7 down"));
        std::thread::sleep(Duration::from_millis(50));
        assert!(ip("link set tap7 up"));
        until("a packet after it was down", || {
            tap.write_all(&frame(&[], 99, b"after it was down")).expect("sent");
            std::thread::sleep(Duration::from_millis(20));
            times_seen(&sink, b"after it was down") > 0
        });
        // Gone, and another of the same name.
        drop(tap);
        until("gone", || up() == [false, true]);
        exchange(&listener, b"the loopback goes on");
        until("there and back", || times_seen(&sink, b"the loopback goes on") == 2);
        tap = self::tap().expect("another");
        until("back", || up() == [true, true]);
        tap.write_all(&frame(&[], 99, b"after it was gone")).expect("sent");
        until("a packet by the new one", || times_seen(&sink, b"after it was gone") == 1);
        drop(tap);
        until("gone again", || up() == [false, true]);
        let stopped = Instant::now();
        running.stop();
        assert!(running.join());
        assert!(stopped.elapsed() < Duration::from_millis(500));
    });
}

#[test]
fn tagged_packets_come_up() {
    in_a_namespace(|| {
        let Some(mut tap) = self::tap() else {
            eprintln!("skipped: no TAP interfaces");
            return;
        };
        for name in ["tap7", "any"] {
            let (running, sink) = start(&[SourceOptions::Live(interface(name, &[99]))]).expect("open");
            for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100], &[0x8100, 0x8100, 0x8100]] {
                tap.write_all(&frame(tags, 98, b"other port")).expect("sent");
                tap.write_all(&frame(tags, 99, b"wanted")).expect("sent");
            }
            let expected = if name == "any" { 4 } else { 3 };
            until("all of them", || times_seen(&sink, b"wanted") >= expected);
            running.stop();
            assert!(running.join());
            let seen = sink.seen().packets;
            // Multicast of the interface's own comes up too, for its extension headers.
            let wanted: Vec<_> = seen.iter().filter(|packet| contains(packet, b"wanted")).collect();
            assert_eq!(wanted.len(), expected, "each once");
            for packet in &wanted {
                let mut decoder = Decoder::new(crate::decode::Limits::default());
                let &Seen1 { time, link, ref data, length } = *packet;
                let decoded = decoder.decode(Packet { time, link: LinkType(link), data, length });
                let Decoded::Segment(segment) = decoded else { panic!("{name}: {decoded:?}") };
                assert_eq!((segment.to.port(), segment.payload), (99, &b"wanted"[..]), "{name}");
            }
            if name != "any" {
                let types: Vec<_> = wanted.iter().map(|packet| (packet.data[12], packet.data[13])).collect();
                assert_eq!(types, [(8, 0), (0x81, 0), (0x88, 0xa8)], "with their tags");
            }
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
