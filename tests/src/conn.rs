//! One end of a TCP connection, and what is read from it. Whatever does not come as it should ends the test, with all that
//! was read shown.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::WITHIN;
use crate::message::{Message, latin1};
use crate::server::Log;

/// An open connection.
pub struct Conn {
    // Shared with the server, which closes what is open when it stops.
    stream: Arc<TcpStream>,
    /// Read from the socket, not yet by the test.
    input: Vec<u8>,
    /// All that was ever read.
    seen: Arc<Mutex<Vec<u8>>>,
    /// On a server: where requests are noted.
    log: Option<(usize, Arc<Log>)>,
}

impl Conn {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Conn {
        Conn::try_open(address).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"))
    }

    /// Connects, where that may be refused.
    ///
    /// # Errors
    /// As the system says.
    pub fn try_open(address: SocketAddr) -> std::io::Result<Conn> {
        Conn::new(TcpStream::connect_timeout(&address, WITHIN)?.into(), Arc::default(), None)
    }

    pub(crate) fn new(
        stream: Arc<TcpStream>,
        seen: Arc<Mutex<Vec<u8>>>,
        log: Option<(usize, Arc<Log>)>,
    ) -> std::io::Result<Conn> {
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        stream.set_nodelay(true)?;
        Ok(Conn { stream, input: Vec::new(), seen, log })
    }

    /// On a server: the number of the connection, counted from 0. The client's are all 0.
    pub fn number(&self) -> usize {
        self.log.as_ref().map_or(0, |(number, _)| *number)
    }

    /// This end's address.
    ///
    /// # Panics
    /// Never: the socket is bound.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("the address of a connected socket")
    }

    /// The other end's address.
    ///
    /// # Panics
    /// When the connection is gone.
    #[track_caller]
    pub fn peer_address(&self) -> SocketAddr {
        self.stream.peer_addr().expect("the address of a connected socket")
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the other end does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|e| self.fail(&format!("cannot send: {e}")));
    }

    /// Sends bytes that the other end may not take.
    ///
    /// # Errors
    /// As the system says.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        (&*self.stream).write_all(bytes.as_ref())
    }

    /// Sends one chunk of a chunked body; an empty one ends it.
    #[track_caller]
    pub fn send_chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.send([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat());
    }

    /// Sends no more, but goes on reading. That the other end has reset the connection by then shows when it is read.
    #[track_caller]
    pub fn finish_sending(&mut self) {
        match self.stream.shutdown(Shutdown::Write) {
            Err(e) if e.kind() != ErrorKind::NotConnected => self.fail(&format!("cannot half-close: {e}")),
            _ => {}
        }
    }

    /// Closes with a reset instead of an orderly end.
    #[track_caller]
    pub fn reset(self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        // SAFETY: a system call on a descriptor of our own; `linger` outlives it and its length is right.
        let done = unsafe {
            let length = size_of_val(&linger) as libc::socklen_t;
            libc::setsockopt(
                self.stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                length,
            )
        };
        assert_eq!(done, 0, "SO_LINGER: {}", std::io::Error::last_os_error());
    }

    /// Reads a head, from its start line to the empty line.
    #[track_caller]
    pub fn head(&mut self) -> String {
        latin1(&self.until("\r\n\r\n"))
    }

    /// Reads a head; none when the other end closes before it has sent a whole one.
    pub fn try_head(&mut self) -> Option<String> {
        self.try_until("\r\n\r\n").ok().map(|head| latin1(&head))
    }

    /// Reads up to these bytes, them included.
    #[track_caller]
    pub fn until(&mut self, end: &str) -> Vec<u8> {
        self.try_until(end).unwrap_or_else(|why| self.fail(&why))
    }

    fn try_until(&mut self, end: &str) -> Result<Vec<u8>, String> {
        let mut from = 0;
        loop {
            if let Some(at) = self.input[from..].windows(end.len()).position(|window| window == end.as_bytes()) {
                return Ok(self.input.drain(..from + at + end.len()).collect());
            }
            from = self.input.len().saturating_sub(end.len());
            self.more(&format!("{end:?}"))?;
        }
    }

    /// Reads this many bytes.
    #[track_caller]
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        self.try_exactly(length).unwrap_or_else(|why| self.fail(&why))
    }

    fn try_exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.input.len() < length {
            self.more(&format!("{length} bytes"))?;
        }
        Ok(self.input.drain(..length).collect())
    }

    /// Reads this many bytes and hands them on as they come, without keeping them: for bodies too long to be held. Gives whether
    /// all came.
    pub fn pour(&mut self, length: usize, mut into: impl FnMut(&[u8])) -> bool {
        let mut bytes = vec![0; 64 * 1024];
        let held = self.input.len().min(length);
        into(&self.input.drain(..held).collect::<Vec<_>>());
        let mut left = length - held;
        while left > 0 {
            let most = left.min(bytes.len());
            match (&*self.stream).read(&mut bytes[..most]) {
                Ok(0) | Err(_) => return false,
                Ok(read) => {
                    into(&bytes[..read]);
                    left -= read;
                }
            }
        }
        true
    }

    /// Reads one chunk of a chunked body; the last is empty, and its trailers are passed over.
    #[track_caller]
    pub fn chunk(&mut self) -> Vec<u8> {
        self.try_chunk().unwrap_or_else(|why| self.fail(&why))
    }

    fn try_chunk(&mut self) -> Result<Vec<u8>, String> {
        let line = latin1(&self.try_until("\r\n")?);
        let size = line.trim().split(';').next().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or_else(|| format!("not a chunk's size: {line:?}"))?;
        if size == 0 {
            while self.try_until("\r\n")? != b"\r\n" {}
            return Ok(Vec::new());
        }
        let chunk = self.try_exactly(size)?;
        match &self.try_exactly(2)?[..] {
            b"\r\n" => Ok(chunk),
            other => Err(format!("not the end of a chunk: {:?}", latin1(other))),
        }
    }

    fn try_chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            match self.try_chunk()? {
                chunk if chunk.is_empty() => return Ok(body),
                chunk => body.extend(chunk),
            }
        }
    }

    /// Reads all that comes until the other end closes.
    #[track_caller]
    pub fn to_end(&mut self) -> Vec<u8> {
        while self.fill().unwrap_or_else(|e| self.fail(&format!("no orderly end: {e}"))) > 0 {}
        std::mem::take(&mut self.input)
    }

    /// Reads all that comes until the other end closes or resets.
    #[track_caller]
    pub fn to_any_end(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if is_timeout(&e) => self.fail("no end"),
                Err(_) => break,
            }
        }
        std::mem::take(&mut self.input)
    }

    /// Whether nothing comes for this long: for what must not come, where no event can be waited for instead.
    #[track_caller]
    pub fn is_silent_for(&mut self, period: Duration) -> bool {
        let set = |stream: &TcpStream, period| stream.set_read_timeout(Some(period)).expect("a time-out");
        set(&self.stream, period);
        let silent = self.input.is_empty() && self.fill().is_err_and(|e| is_timeout(&e));
        set(&self.stream, WITHIN);
        silent
    }

    /// Reads a request; none when the other end closes before it has sent a whole one. On a server it is noted.
    pub fn request(&mut self) -> Option<Message> {
        let request = self.try_request().ok()?;
        self.note(request.clone());
        Some(request)
    }

    fn try_request(&mut self) -> Result<Message, String> {
        let head = latin1(&self.try_until("\r\n\r\n")?);
        let mut request = Message { head, connection: self.number(), ..Message::default() };
        request.body = match request.is_chunked() {
            true => self.try_chunks()?,
            false => self.try_exactly(request.content_length().unwrap_or(0))?,
        };
        Ok(request)
    }

    /// On a server: how many requests have come on this connection so far.
    pub fn received_requests(&self) -> usize {
        self.log.as_ref().map_or(0, |(number, log)| log.of_connection(*number))
    }

    /// On a server: notes a request that a script has read piece by piece.
    pub fn note(&self, mut request: Message) {
        if let Some((number, log)) = &self.log {
            request.connection = *number;
            log.note(request);
        }
    }

    /// Reads the response to a request that is not HEAD, interim ones before it included.
    #[track_caller]
    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// Reads the response to a request of this method, interim ones before it included.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Message {
        let mut response = Message::default();
        loop {
            response.head = self.head();
            match response.status() {
                100 | 102..=199 => response.interim.push(std::mem::take(&mut response.head)),
                _ => break,
            }
        }
        response.body = match (response.status(), response.content_length()) {
            _ if method == "HEAD" => Vec::new(),
            (101 | 204 | 304, _) => Vec::new(),
            _ if response.is_chunked() => self.try_chunks().unwrap_or_else(|why| self.fail(&why)),
            (_, Some(length)) => self.exactly(length),
            (_, None) => self.to_end(),
        };
        response
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn exchange(&mut self, request: &str) -> Message {
        self.send(request);
        self.response_to(request.split(' ').next().unwrap_or_default())
    }

    fn more(&mut self, wanted: &str) -> Result<(), String> {
        match self.fill() {
            Ok(0) => Err(format!("the other end closed; wanted {wanted}")),
            Ok(_) => Ok(()),
            Err(e) => Err(format!("wanted {wanted}: {e}")),
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut bytes = [0; 64 * 1024];
        let read = (&*self.stream).read(&mut bytes)?;
        self.input.extend_from_slice(&bytes[..read]);
        self.seen.lock().expect("no panic while it is held").extend_from_slice(&bytes[..read]);
        Ok(read)
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let seen = self.seen.lock().expect("no panic while it is held");
        let shown = &seen[seen.len().saturating_sub(2000)..];
        panic!("{what}\nread so far ({} bytes): {:?}", seen.len(), latin1(shown))
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
