//! An Ethernet card whose wire is a file descriptor.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// What precedes a frame where the card offloads: `struct virtio_net_hdr`.
const OFFLOAD_HEADER: usize = 10;

/// The longest that is read at once: a super-segment with the headers before it.
pub(crate) const MOST: usize = OFFLOAD_HEADER + 14 + 65_535 + 64;

/// A card in the namespace of the thread that makes it. It is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Tap(File);

impl Tap {
    /// Plugs a card of this name in. `offloads`: it leaves the cutting into segments and the checksums to the other end, so that what it
    /// sends are super-segments.
    pub(crate) fn new(name: &str, offloads: bool) -> io::Result<Tap> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        // SAFETY: all zero is one.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // The last byte stays zero.
        for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | if offloads { libc::IFF_VNET_HDR } else { 0 };
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: a system call on a descriptor of our own; `request` outlives it.
        succeeded(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
        if offloads {
            let features = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
            // SAFETY: a system call on a descriptor of our own, with a number.
            succeeded(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(features)) })?;
        }
        Ok(Tap(file))
    }

    /// The next frame that the card sends; none where there is none now.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match (&self.0).read(buffer) {
            Ok(length) => Ok(Some(&buffer[..length])),
            // While the card is down there is nothing to be had either.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::EBADFD) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the card a frame.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        match (&self.0).write(frame) {
            Ok(_) => Ok(()),
            // Nobody is at the other end of a wire that is pulled while it is used.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where the frame starts in what was read.
pub(crate) fn frame_at(offloads: bool) -> usize {
    if offloads { OFFLOAD_HEADER } else { 0 }
}

fn succeeded(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
