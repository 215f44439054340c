//! The other format of captures.

use super::{Pcap, ethernet};

impl Pcap {
    /// The same as pcapng, of Ethernet frames from three interfaces in turn, with nanoseconds: blocks of a section, of its interfaces, of its
    /// packets, and between these one that no reader knows.
    pub fn to_pcapng(&self) -> Vec<u8> {
        const SECTION: u32 = 0x0a0d_0d0a;
        const INTERFACE: u32 = 1;
        const PACKET: u32 = 6;
        const UNKNOWN: u32 = 0x0bad;
        let mut file = block(SECTION, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
        // Ethernet, frames of any length; option 9: units of 10^-9 s.
        let interface = [&words(&[1, 0x0004_0000])[..], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat();
        (0..3).for_each(|_| file.extend(block(INTERFACE, &interface)));
        for (number, (micros, packet)) in (0..).zip(self.packets()) {
            let (frame, nanos) = (ethernet(packet), micros * 1000);
            let length = frame.len() as u32;
            let mut body = words(&[number % 3, (nanos >> 32) as u32, nanos as u32, length, length]);
            body.extend(frame);
            body.resize(body.len().next_multiple_of(4), 0);
            file.extend(block(PACKET, &body));
            file.extend(block(UNKNOWN, b"whatever"));
        }
        file
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().copied().flat_map(u32::to_le_bytes).collect()
}

/// Its length stands before and behind it.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = 12 + body.len() as u32;
    [&words(&[kind, length])[..], body, &words(&[length])].concat()
}
