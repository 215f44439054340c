//! Every packet of the corpus, decoded alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use mirror_capture::decode::{Decoded, Decoder, Limits};
use mirror_capture::{LinkType, Packet};
use serde_json::Value;

use super::corpus;

/// A packet's time, link type, bytes, and length on the wire.
type Saved = (Duration, LinkType, Vec<u8>, u32);

/// The captures, sorted, with their packets.
fn captures(folder: &Path) -> Vec<(String, Vec<Saved>)> {
    let mut names = std::fs::read_dir(folder.join("pcaps"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".pcap") || name.ends_with(".pcapng"))
        .collect::<Vec<_>>();
    names.sort();
    let packets = |name: &String| {
        let path = folder.join("pcaps").join(name);
        let mut capture = pcap::Capture::from_file_with_precision(path, pcap::Precision::Nano).unwrap();
        let link = LinkType(capture.get_datalink().0);
        let mut packets = Vec::new();
        while let Ok(packet) = capture.next_packet() {
            let time = Duration::new(packet.header.ts.tv_sec as u64, packet.header.ts.tv_usec as u32);
            packets.push((time, link, packet.data.to_vec(), packet.header.len));
        }
        packets
    };
    names.iter().map(|name| (name.clone(), packets(name))).collect()
}

/// Who sent what message to whom, by the oracle.
fn endpoints(folder: &Path, name: &str) -> (usize, BTreeSet<(SocketAddr, SocketAddr)>) {
    let stem = name.trim_end_matches(".pcapng").trim_end_matches(".pcap");
    let oracle = std::fs::read(folder.join("oracle").join(format!("{stem}.json"))).unwrap();
    let oracle: Value = serde_json::from_slice(&oracle).unwrap();
    let end = |message: &Value, address: &str, port: &str| {
        let address: IpAddr = message[address].as_str().unwrap().parse().unwrap();
        SocketAddr::new(address, message[port].as_u64().unwrap() as u16)
    };
    let ends = ["requests", "responses"]
        .iter()
        .flat_map(|kind| oracle["http1"][kind].as_array().unwrap())
        .map(|message| (end(message, "src", "sport"), end(message, "dst", "dport")))
        .collect();
    (oracle["frames"].as_u64().unwrap() as usize, ends)
}

#[test]
fn the_ends_of_every_message_are_seen() {
    let Some(folder) = corpus() else { return };
    let mut wrong = Vec::new();
    for (name, packets) in captures(&folder) {
        let (frames, expected) = endpoints(&folder, &name);
        let mut decoder = Decoder::new(Limits::default());
        let mut seen = BTreeSet::new();
        let (mut segments, mut others, mut fragments) = (0, 0, 0);
        let mut unreadable = BTreeMap::<_, usize>::new();
        for &(time, link, ref data, length) in &packets {
            match decoder.decode(Packet { time, link, data, length }) {
                Decoded::Segment(segment) => {
                    segments += 1;
                    if !segment.payload.is_empty() {
                        seen.insert((segment.from, segment.to));
                    }
                }
                Decoded::Other => others += 1,
                Decoded::Fragment => fragments += 1,
                Decoded::Unreadable(why) => *unreadable.entry(why.label()).or_default() += 1,
            }
        }
        let missed = expected.difference(&seen).collect::<Vec<_>>();
        eprintln!(
            "{name}: {frames} frames, {segments} segments, {others} others, {fragments} fragments, unreadable {unreadable:?}"
        );
        if frames != packets.len() || !missed.is_empty() {
            wrong.push(format!("{name}: {} of {frames} frames read, not seen {missed:?}", packets.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first packets of every capture, cut at every length: nothing is upset, and the numbers do not change with the cut.
#[test]
fn packets_cut_at_every_length() {
    const PACKETS: usize = 40;
    const LONGEST: usize = 400;
    let Some(folder) = corpus() else { return };
    for (name, packets) in captures(&folder) {
        for (time, link, data, length) in packets.iter().take(PACKETS) {
            let (&time, &link, &length) = (time, link, length);
            let mut decoder = Decoder::new(Limits::default());
            let Decoded::Segment(whole) = decoder.decode(Packet { time, link, data, length }) else {
                for cut in 0..data.len().min(LONGEST) {
                    decoder.decode(Packet { time, link, data: &data[..cut], length });
                    decoder.decode(Packet { time, link, data: &data[..cut], length: cut as u32 });
                }
                continue;
            };
            for cut in 0..data.len().min(LONGEST) {
                let mut decoder = Decoder::new(Limits::default());
                decoder.decode(Packet { time, link, data: &data[..cut], length: cut as u32 });
                if let Decoded::Segment(segment) = decoder.decode(Packet { time, link, data: &data[..cut], length }) {
                    assert_eq!((segment.from, segment.to), (whole.from, whole.to), "{name}, {cut}");
                    assert_eq!(segment.sequence, whole.sequence, "{name}, {cut}");
                    assert!(whole.payload.starts_with(segment.payload), "{name}, {cut}");
                    assert_eq!(
                        segment.payload.len() + segment.missing as usize,
                        whole.payload.len() + whole.missing as usize,
                        "{name}, {cut}"
                    );
                }
            }
        }
    }
}
