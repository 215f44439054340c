//! What comes from addresses that are nobody's: connections that are begun, and of which nothing more is heard.

use super::{ACK, Pcap, SYN, segment};

/// How far apart its packets are, in microseconds: so close that nothing of it is forgotten for its age.
const APART: u64 = 10;

/// The most that one packet carries.
const MOST: usize = 65_000;

impl Pcap {
    /// A SYN from each of so many addresses to 10.0.0.2:80.
    pub fn flood_of_syns(&mut self, count: u32) {
        for from in 0..count {
            self.close_to_the_last(&segment(ends(from), [7, 0], SYN, b""));
        }
    }

    /// From each of so many addresses a connection that is opened, and on which only this is said.
    pub fn flood_of_starts(&mut self, count: u32, said: &[u8]) {
        for from in 0..count {
            let [client, server] = ends(from);
            self.close_to_the_last(&segment([client, server], [7, 0], SYN, b""));
            self.close_to_the_last(&segment([server, client], [70, 8], SYN | ACK, b""));
            let mut at = 8;
            for piece in said.chunks(MOST) {
                self.close_to_the_last(&segment([client, server], [at, 71], ACK, piece));
                at += piece.len() as u32;
            }
        }
    }

    fn close_to_the_last(&mut self, packet: &[u8]) {
        let last = self.now;
        self.packet(packet);
        self.now = last + APART;
    }
}

/// A client that is no other's, of 11.0.0.0/8, and the server.
fn ends(number: u32) -> [([u8; 4], u16); 2] {
    let [_, a, b, c] = number.to_be_bytes();
    [([11, a, b, c], 50_000), ([10, 0, 0, 2], 80)]
}
