//! Captures as a cloud's traffic mirroring sends them.

use std::net::{SocketAddr, UdpSocket};

use super::{Pcap, ethernet};

impl Pcap {
    /// Sends each packet, in an Ethernet frame in VXLAN (RFC 7348), in one datagram to this address.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn send_in_vxlan(&self, to: SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket on the loopback");
        for (_, packet) in self.packets() {
            // The network's number is valid, and 42.
            let datagram = [&[8, 0, 0, 0, 0, 0, 42, 0], &ethernet(packet)[..]].concat();
            socket.send_to(&datagram, to).expect("a datagram to the loopback");
        }
    }
}
