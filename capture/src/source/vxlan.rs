//! Packets that come as the payload of VXLAN datagrams (RFC 7348) to a socket of ours, as a cloud's traffic mirroring sends them.

use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::OpenError;
use super::stats::Counts;
use super::ticker::system_time;
use crate::{LinkType, Packet};

/// VXLAN's port.
const PORT: u16 = 4789;
/// Its header: flags, reserved, network identifier, reserved.
const HEADER: usize = 8;
/// In the flags: the network identifier is valid, which is always so.
const VALID: u8 = 0x08;
const ETHERNET: LinkType = LinkType(1);
/// How many datagrams a call takes at most.
const BATCH: usize = 32;
/// Room for the largest datagram there is.
const DATAGRAM: usize = 64 * 1024;

/// Where to receive VXLAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VxlanOptions {
    /// The address; `[::]` is also for IPv4.
    pub address: SocketAddr,
    /// The socket's buffer, in bytes. Beyond what `net.core.rmem_max` allows it takes CAP_NET_ADMIN.
    pub buffer: usize,
}

impl Default for VxlanOptions {
    fn default() -> VxlanOptions {
        VxlanOptions { address: (Ipv6Addr::UNSPECIFIED, PORT).into(), buffer: 64 << 20 }
    }
}

/// A socket that receives VXLAN. Any network identifier is taken.
pub(super) struct Vxlan {
    socket: UdpSocket,
    address: SocketAddr,
    datagrams: Vec<Vec<u8>>,
    headers: MultiHeaders<()>,
    // The socket's counter when last asked.
    dropped: u32,
    fill: f64,
    counts: Arc<Counts>,
}

// SAFETY: the headers point into their own buffers, on the heap, and at the datagrams only during a call.
unsafe impl Send for Vxlan {}

impl Vxlan {
    /// Binds the socket.
    ///
    /// # Errors
    /// It cannot be bound.
    pub(super) fn open(options: &VxlanOptions) -> Result<Vxlan, OpenError> {
        let failed = |error| OpenError::Bind { address: options.address, error };
        let socket = bind(options).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        // A kernel that does not stamp is not: without a stamp the clock serves.
        let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
        Ok(Vxlan {
            socket,
            address,
            datagrams: vec![vec![0; DATAGRAM]; BATCH],
            headers: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(libc::timespec))),
            dropped: 0,
            fill: 0.0,
            counts: Arc::new(Counts::new(format!("vxlan:{address}"), "net.core.rmem_max` and `capture.buffer")),
        })
    }

    /// Where it receives.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads at most so many packets (rounded up to a batch), without waiting, and says how many datagrams there were.
    pub(super) fn read(&mut self, most: usize, mut each: impl FnMut(Packet<'_>)) -> usize {
        let mut total = 0;
        while total < most {
            let count = self.read_batch(&mut each);
            total += count;
            if count < BATCH {
                break;
            }
        }
        total
    }

    fn read_batch(&mut self, each: &mut impl FnMut(Packet<'_>)) -> usize {
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = {
            let mut datagrams = self.datagrams.iter_mut();
            std::array::from_fn(|_| [IoSliceMut::new(datagrams.next().map_or(&mut [], |datagram| datagram))])
        };
        let fd = self.socket.as_raw_fd();
        let received = match recvmmsg(fd, &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return 0,
            Err(error) => {
                // What an ICMP message left on the socket; it says nothing of what comes next.
                tracing::debug!(%error, "receiving VXLAN");
                return 0;
            }
        };
        let (mut count, mut packets, mut bytes) = (0, 0, 0);
        for message in received {
            count += 1;
            let Some(frame) = message.iovs().next().and_then(inner) else { continue };
            let stamp = message.cmsgs().ok().and_then(|mut messages| {
                messages.find_map(|message| match message {
                    ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                    _ => None,
                })
            });
            packets += 1;
            bytes += frame.len() as u64;
            let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            each(Packet { time: stamp.unwrap_or_else(system_time), link: ETHERNET, data: frame, length });
        }
        self.counts.add(packets, bytes);
        count
    }

    /// Asks the kernel what it lost, and how full the buffer is.
    pub(super) fn observe(&mut self) {
        let Some(memory) = memory(&self.socket) else { return };
        let dropped = memory.dropped.wrapping_sub(self.dropped);
        self.dropped = memory.dropped;
        self.counts.observe(dropped, 0, std::mem::take(&mut self.fill).max(memory.fill));
    }

    /// Before reading: how full it got by now.
    pub(super) fn begin(&mut self) {
        if let Some(memory) = memory(&self.socket) {
            self.fill = self.fill.max(memory.fill);
        }
    }
}

fn bind(options: &VxlanOptions) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(options.address), Type::DGRAM, Some(Protocol::UDP))?;
    if options.address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    if setsockopt(&socket, sockopt::RcvBufForce, &options.buffer).is_err() {
        socket.set_recv_buffer_size(options.buffer)?;
    }
    socket.bind(&options.address.into())?;
    Ok(socket.into())
}

/// The frame in a datagram, if it is VXLAN.
fn inner(datagram: &[u8]) -> Option<&[u8]> {
    let frame = datagram.get(HEADER..)?;
    (datagram[0] & VALID != 0 && !frame.is_empty()).then_some(frame)
}

struct Memory {
    fill: f64,
    dropped: u32,
}

/// What a socket's buffer holds and has lost: `SO_MEMINFO`, which no crate has.
fn memory(socket: &UdpSocket) -> Option<Memory> {
    // The indices of linux/sock_diag.h.
    const RMEM_ALLOC: usize = 0;
    const RCVBUF: usize = 1;
    const DROPS: usize = 8;
    let mut values = [0u32; 9];
    let mut length = size_of_val(&values) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let room = f64::from(values[RCVBUF].max(1));
    (result == 0).then(|| Memory { fill: f64::from(values[RMEM_ALLOC]) / room, dropped: values[DROPS] })
}
