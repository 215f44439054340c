//! Addresses at which nobody can be reached, held as long as the value lives, so that no other test gets them meanwhile.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// An address that refuses connections: bound, but not listening.
pub struct Refusing {
    _socket: OwnedFd,
    address: SocketAddr,
}

impl Refusing {
    /// Takes a free port.
    ///
    /// # Panics
    /// When the system gives no socket.
    pub fn new() -> Refusing {
        // SAFETY: plain system calls on a descriptor of our own; `bound` outlives the call that reads it, and its length is right.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "no socket: {}", std::io::Error::last_os_error());
            let socket = OwnedFd::from_raw_fd(fd);
            let bound = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be() },
                sin_zero: [0; 8],
            };
            let length = size_of_val(&bound) as libc::socklen_t;
            let done = libc::bind(fd, (&raw const bound).cast(), length);
            assert_eq!(done, 0, "no port: {}", std::io::Error::last_os_error());
            socket
        };
        // A listener's view of the socket is only borrowed to read the address by std's means.
        let view = TcpListener::from(socket.try_clone().expect("a second descriptor"));
        let address = view.local_addr().expect("the address of a bound socket");
        Refusing { _socket: socket, address }
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Default for Refusing {
    fn default() -> Self {
        Refusing::new()
    }
}

/// An address at which connecting never ends: it listens, but its queue is full and nobody accepts.
pub struct BlackHole {
    listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// Takes a free port and fills its queue.
    ///
    /// # Panics
    /// When the system gives no socket, or the queue does not fill.
    pub fn new() -> BlackHole {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        // SAFETY: a system call on a descriptor of our own; a second `listen` only changes the length of the queue.
        let done = unsafe { libc::listen(listener.as_raw_fd(), 0) };
        assert_eq!(done, 0, "listen: {}", std::io::Error::last_os_error());
        let address = listener.local_addr().expect("the address of a bound socket");
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queued.push(stream);
            assert!(queued.len() < 64, "the queue does not fill");
        }
        BlackHole { listener, _queued: queued }
    }

    /// The address.
    ///
    /// # Panics
    /// Never: the socket is bound.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("the address of a bound socket")
    }
}

impl Default for BlackHole {
    fn default() -> Self {
        BlackHole::new()
    }
}
