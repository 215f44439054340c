//! What the listener is tested with: whether one may listen here, and captures that are written packet by packet.

mod flood;
mod pcapng;
mod vxlan;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::recording::Fastavro;
use crate::{Summary, Value, run_to_end};

/// Whether packets may be taken from an interface here; where not, the test says that it is skipped.
pub fn is_permitted() -> bool {
    // SAFETY: system calls that give a descriptor and close it again.
    let permitted = unsafe {
        match libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) {
            socket @ 0.. => libc::close(socket) == 0,
            _ => false,
        }
    };
    if !permitted {
        eprintln!("skipped: listening to an interface takes CAP_NET_RAW ({})", std::io::Error::last_os_error());
    }
    permitted
}

/// A capture in the classic format (pcap 2.4, little endian, microseconds) of bare IP packets (link type 101).
#[derive(Debug, Clone)]
pub struct Pcap {
    bytes: Vec<u8>,
    /// Microseconds since 1970, a millisecond later with every packet.
    now: u64,
}

impl Default for Pcap {
    fn default() -> Self {
        let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x0004_0000, 101];
        Pcap { bytes: header.into_iter().flat_map(u32::to_le_bytes).collect(), now: Pcap::START }
    }
}

impl Pcap {
    /// When the first packet was seen.
    pub const START: u64 = 1_700_000_000_000_000;

    /// The file so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes the file.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.bytes).expect("a file of our own");
    }

    /// In two: the first so many packets, and the others.
    pub fn split(&self, first: usize) -> [Pcap; 2] {
        let mut parts = [Pcap::default(), Pcap::default()];
        for (number, (time, packet)) in self.packets().enumerate() {
            let part = &mut parts[usize::from(number >= first)];
            part.now = time;
            part.packet(packet);
        }
        parts
    }

    /// The packets, each with its time in microseconds.
    fn packets(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = &self.bytes[24..];
        std::iter::from_fn(move || {
            let (header, behind) = rest.split_first_chunk::<16>()?;
            let field = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let (packet, behind) = behind.split_at(field(8) as usize);
            rest = behind;
            Some((u64::from(field(0)) * 1_000_000 + u64::from(field(4)), packet))
        })
    }

    fn packet(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("a packet's length");
        let (seconds, micros) = ((self.now / 1_000_000) as u32, (self.now % 1_000_000) as u32);
        self.bytes.extend([seconds, micros, length, length].into_iter().flat_map(u32::to_le_bytes));
        self.bytes.extend(bytes);
        self.now += 1000;
    }
}

/// One TCP connection from 10.0.0.1 to 10.0.0.2:80, told into a capture.
#[derive(Debug)]
pub struct Talk {
    port: u16,
    /// The next sequence numbers: the client's, the server's.
    next: [u32; 2],
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What an Ethernet frame leaves of a segment.
const SEGMENT: usize = 1460;

impl Talk {
    /// Opens it, from this port of the client.
    pub fn open(pcap: &mut Pcap, port: u16) -> Talk {
        // The second wraps around within a few bytes.
        let mut talk = Talk { port, next: [1000, u32::MAX - 20] };
        talk.segment(pcap, 0, SYN, b"");
        talk.segment(pcap, 1, SYN | ACK, b"");
        talk.segment(pcap, 0, ACK, b"");
        talk
    }

    /// The client says this, in as many segments as it takes.
    pub fn client(&mut self, pcap: &mut Pcap, bytes: impl AsRef<[u8]>) {
        bytes.as_ref().chunks(SEGMENT).for_each(|piece| self.segment(pcap, 0, ACK, piece));
    }

    /// The server says this.
    pub fn server(&mut self, pcap: &mut Pcap, bytes: impl AsRef<[u8]>) {
        bytes.as_ref().chunks(SEGMENT).for_each(|piece| self.segment(pcap, 1, ACK, piece));
    }

    /// The client says this, but the capture has missed it.
    pub fn missed(&mut self, bytes: impl AsRef<[u8]>) {
        self.next[0] = self.next[0].wrapping_add(bytes.as_ref().len() as u32);
    }

    /// Both end, the server first.
    pub fn close(mut self, pcap: &mut Pcap) {
        self.segment(pcap, 1, FIN | ACK, b"");
        self.segment(pcap, 0, FIN | ACK, b"");
        self.segment(pcap, 1, ACK, b"");
    }

    /// The client resets it.
    pub fn reset(mut self, pcap: &mut Pcap) {
        self.segment(pcap, 0, RST | ACK, b"");
    }

    fn segment(&mut self, pcap: &mut Pcap, from: usize, flags: u8, data: &[u8]) {
        let ends = [([10, 0, 0, 1], self.port), ([10, 0, 0, 2], 80)];
        let acknowledged = if flags & ACK == 0 { 0 } else { self.next[1 - from] };
        pcap.packet(&segment([ends[from], ends[1 - from]], [self.next[from], acknowledged], flags, data));
        let length = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[from] = self.next[from].wrapping_add(length);
    }
}

/// Records a capture into `out.avro`, without any privilege needed; gives the exit code, the sums and what was said.
///
/// # Panics
/// When the sums are none, or are not exact.
#[track_caller]
pub fn read(folder: &Path, capture: &str, more: &[&str]) -> (Option<i32>, Summary, String) {
    let arguments = [&["--capture", capture, "--record=out.avro", "--admin=off"], more].concat();
    let output = run_to_end(folder, &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = Summary::parse(&String::from_utf8_lossy(&output.stdout)).unwrap_or_else(|| panic!("no sums: {said}"));
    summary.assert_exact();
    (output.status.code(), summary, said)
}

/// The recording that [`read`] made, in order of time; what came in one packet, in the order in which it was seen.
#[track_caller]
pub fn records(fastavro: &Fastavro, folder: &Path) -> Vec<Value> {
    let mut records = fastavro.read(&folder.join("out.avro"));
    records.sort_by_key(|record| (record["start"].as_u64(), record["id"].as_str().map(str::to_owned)));
    records
}

/// A packet from one end to another with these numbers: what it says is at the first, and it has seen all before the second.
fn segment(ends: [([u8; 4], u16); 2], numbers: [u32; 2], flags: u8, data: &[u8]) -> Vec<u8> {
    let total = u16::try_from(40 + data.len()).expect("a segment's length");
    let [(source, source_port), (destination, destination_port)] = ends;
    let mut packet = Vec::with_capacity(total.into());
    // RFC 791 and RFC 9293; checksums are left at zero, as captures of what a card is to fill in have them.
    packet.extend([0x45, 0]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend([source, destination].concat());
    packet.extend([source_port, destination_port].map(u16::to_be_bytes).concat());
    packet.extend(numbers.map(u32::to_be_bytes).concat());
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(data);
    packet
}

/// A packet in an Ethernet frame.
fn ethernet(packet: &[u8]) -> Vec<u8> {
    // Two addresses, and that it is IPv4.
    [&[2; 12], &[8, 0][..], packet].concat()
}

/// Compresses a file with gzip; none where there is no gzip, which is said.
///
/// # Panics
/// When gzip fails.
pub fn gzip(bytes: &[u8], folder: &Path) -> Option<Vec<u8>> {
    if !crate::is_there("gzip", &["--version"]) {
        return None;
    }
    let plain = folder.join("to-be-compressed");
    std::fs::write(&plain, bytes).expect("a file of our own");
    let output = Command::new("gzip").arg("-c").arg(&plain).stdin(Stdio::null()).output().expect("gzip");
    assert!(output.status.success(), "{output:?}");
    std::fs::remove_file(plain).expect("a file of our own");
    Some(output.stdout)
}
