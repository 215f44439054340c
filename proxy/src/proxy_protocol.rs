//! The PROXY protocol: a header at a connection's beginning that names its ends, as load balancers write it. Versions 1 and 2 are read and written.
//!
//! Source: <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use mirror::config::ProxyProtocolVersion;
use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::route::Route;

/// The longest header of version 2 that is read, in bytes: 52, and what else its sender has to say.
const LONGEST: usize = 4096;

/// What every header of version 2 has, in bytes: the last two say how much follows.
const FIXED: usize = 16;

/// The longest of version 1, in bytes, as the protocol has it.
const LONGEST_LINE: usize = 107;

/// How long a connection may take to send its header: who sends one does so with the first segment, or with the second of a slow network.
const WITHIN: Duration = Duration::from_secs(5);

/// The ends that a header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
}

/// What came instead of a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoHeader;

/// Takes a header off what was read; none where more of it has to come. A connection that its sender made for itself (`LOCAL`, `UNKNOWN`) names
/// no ends.
fn take(bytes: &mut BytesMut) -> Result<Option<Option<Ends>>, NoHeader> {
    let begins = |with: &[u8]| bytes.starts_with(&with[..with.len().min(bytes.len())]);
    // The parser is given whole headers only: it takes a cut address for a wrong one.
    let length = match (begins(v1::PROTOCOL_PREFIX.as_bytes()), begins(v2::PROTOCOL_PREFIX)) {
        (true, _) => bytes.iter().take(LONGEST_LINE).position(|&byte| byte == b'\n').map(|end| end + 1),
        (_, true) if bytes.len() < FIXED => None,
        (_, true) => Some(FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]))),
        (false, false) => return Err(NoHeader),
    };
    let most = if begins(v2::PROTOCOL_PREFIX) { LONGEST } else { LONGEST_LINE };
    match length {
        Some(length) if length > most => return Err(NoHeader),
        Some(length) if length > bytes.len() => return Ok(None),
        None if bytes.len() >= most => return Err(NoHeader),
        None => return Ok(None),
        Some(_) => {}
    }
    let (length, ends) = match HeaderResult::parse(&bytes[..length.unwrap_or_default()]) {
        HeaderResult::V1(Ok(header)) => (header.header.len(), of_v1(header.addresses)),
        HeaderResult::V2(Ok(header)) => {
            let is_proxied = header.command == v2::Command::Proxy && header.protocol == v2::Protocol::Stream;
            (header.header.len(), if is_proxied { of_v2(header.addresses) } else { None })
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Err(NoHeader),
    };
    bytes.advance(length);
    Ok(Some(ends))
}

fn of_v1(addresses: v1::Addresses) -> Option<Ends> {
    match addresses {
        v1::Addresses::Tcp4(of) => Some(of_ipv4(of)),
        v1::Addresses::Tcp6(of) => Some(of_ipv6(of)),
        v1::Addresses::Unknown => None,
    }
}

fn of_v2(addresses: v2::Addresses) -> Option<Ends> {
    match addresses {
        v2::Addresses::IPv4(of) => Some(of_ipv4(of)),
        v2::Addresses::IPv6(of) => Some(of_ipv6(of)),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    }
}

fn of_ipv4(of: v2::IPv4) -> Ends {
    Ends {
        client: (of.source_address, of.source_port).into(),
        server: (of.destination_address, of.destination_port).into(),
    }
}

fn of_ipv6(of: v2::IPv6) -> Ends {
    Ends {
        client: (of.source_address, of.source_port).into(),
        server: (of.destination_address, of.destination_port).into(),
    }
}

/// Reads the header; what came behind it is left in `read`.
///
/// # Errors
/// `InvalidData` where there is none, `TimedOut` where it did not come, and those of the connection; `UnexpectedEof` where it ended without a word.
pub(crate) async fn read(socket: &mut TcpStream, read: &mut BytesMut) -> io::Result<Option<Ends>> {
    let header = async {
        loop {
            match take(read) {
                Ok(Some(ends)) => return Ok(ends),
                Ok(None) => {}
                Err(NoHeader) => return Err(io::ErrorKind::InvalidData.into()),
            }
            if socket.read_buf(read).await? == 0 {
                let kind = if read.is_empty() { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
                return Err(kind.into());
            }
        }
    };
    tokio::time::timeout(WITHIN, header).await?
}

/// What a connection to the application is to begin with. The application's own calls go to others, who know of no header.
pub(crate) fn preamble(version: Option<ProxyProtocolVersion>, route: &Route) -> Option<Vec<u8>> {
    let ends = Ends { client: route.client, server: route.server };
    Some(header(version.filter(|_| !route.egress)?, ends))
}

/// A header that names these ends. Where they are of different families, both are told as IPv6.
fn header(version: ProxyProtocolVersion, ends: Ends) -> Vec<u8> {
    let Ends { mut client, mut server } = ends;
    if client.is_ipv4() != server.is_ipv4() {
        (client, server) = (as_v6(client), as_v6(server));
    }
    match version {
        ProxyProtocolVersion::V1 => v1::Addresses::from((client, server)).to_string().into_bytes(),
        ProxyProtocolVersion::V2 => {
            let proxied = v2::Version::Two | v2::Command::Proxy;
            let built = v2::Builder::with_addresses(proxied, v2::Protocol::Stream, (client, server)).build();
            built.expect("two addresses are shorter than 64 KiB")
        }
    }
}

fn as_v6(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        v6 => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, server: &str) -> Ends {
        let address = |text: &str| text.parse().expect("an address");
        Ends { client: address(client), server: address(server) }
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        for ends in [ends("10.0.0.1:40000", "10.0.0.2:80"), ends("[2001:db8::1]:40000", "[2001:db8::2]:80")] {
            for version in [ProxyProtocolVersion::V1, ProxyProtocolVersion::V2] {
                let header = header(version, ends);
                for cut in 0..header.len() {
                    assert_eq!(take(&mut header[..cut].into()), Ok(None), "{version:?} cut at {cut}");
                }
                let mut read = BytesMut::from(&[&header[..], b"GET / HTTP/1.1\r\n"].concat()[..]);
                assert_eq!(take(&mut read), Ok(Some(Some(ends))));
                assert_eq!(&read[..], b"GET / HTTP/1.1\r\n");
            }
        }
    }

    #[test]
    fn ends_of_two_families_are_told_as_of_one() {
        let mixed = header(ProxyProtocolVersion::V1, ends("10.0.0.1:1", "[::1]:2"));
        assert_eq!(String::from_utf8_lossy(&mixed), "PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n");
    }

    #[test]
    fn some_headers_name_nobody() {
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        for header in [&b"PROXY UNKNOWN\r\n"[..], local] {
            let mut read = BytesMut::from(header);
            assert_eq!(take(&mut read), Ok(Some(None)), "{:?}", header.escape_ascii().to_string());
            assert!(read.is_empty());
        }
    }

    #[test]
    fn what_is_no_header_is_told_at_once_or_within_bounds() {
        for bytes in
            [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0"]
        {
            assert_eq!(take(&mut bytes.into()), Err(NoHeader), "{:?}", bytes.escape_ascii().to_string());
        }
        let endless = format!("PROXY TCP4 {}", "1".repeat(200));
        assert_eq!(take(&mut endless.as_bytes().into()), Err(NoHeader));
    }
}
