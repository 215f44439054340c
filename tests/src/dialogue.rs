//! A connection of which the test is both ends, so that it decides what is in each segment, and in which order they pass.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use crate::WITHIN;

/// A server's address, at which the test itself answers.
pub struct Stage(TcpListener);

/// Client and server.
pub struct Dialogue {
    client: TcpStream,
    server: TcpStream,
}

impl Stage {
    /// On a free port of the loopback.
    ///
    /// # Panics
    /// When there is none.
    pub fn new() -> Stage {
        Stage(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// Where it is.
    ///
    /// # Panics
    /// Never: the socket is bound.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("the address of a bound socket")
    }

    /// Opens a connection to it.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn open(&self) -> Dialogue {
        let client = TcpStream::connect_timeout(&self.address(), WITHIN).expect("a connection");
        let (server, from) = self.0.accept().expect("a connection");
        assert_eq!(from, client.local_addr().expect("an address"), "nobody else knows of it");
        for end in [&client, &server] {
            end.set_nodelay(true).expect("an option");
            end.set_read_timeout(Some(WITHIN)).expect("an option");
        }
        Dialogue { client, server }
    }
}

impl Default for Stage {
    fn default() -> Self {
        Stage::new()
    }
}

impl Dialogue {
    /// The client says this, in one segment if it is no longer than one; when it returns, the server has it.
    #[track_caller]
    pub fn client(&mut self, says: impl AsRef<[u8]>) {
        pass(&self.client, &self.server, says.as_ref());
    }

    /// The server says this.
    #[track_caller]
    pub fn server(&mut self, says: impl AsRef<[u8]>) {
        pass(&self.server, &self.client, says.as_ref());
    }

    /// The server closes, then the client: both have seen it when it returns.
    #[track_caller]
    pub fn close(self) {
        let Dialogue { mut client, mut server } = self;
        server.shutdown(Shutdown::Write).expect("an open connection");
        assert_eq!(client.read(&mut [0]).expect("an end"), 0);
        drop(client);
        assert_eq!(server.read(&mut [0]).expect("an end"), 0);
    }
}

/// In pieces that the socket's buffers have room for, as nobody reads meanwhile.
#[track_caller]
fn pass(mut from: &TcpStream, mut to: &TcpStream, bytes: &[u8]) {
    for piece in bytes.chunks(16 * 1024) {
        from.write_all(piece).expect("an open connection");
        let mut read = vec![0; piece.len()];
        to.read_exact(&mut read).expect("all of it");
        assert_eq!(read, piece);
    }
}
