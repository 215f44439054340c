//! An upstream or a target: a script run for each connection, and all that it got.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use crate::conn::Conn;
use crate::message::Message;
use crate::{WITHIN, wait_for};

/// What came on each connection, and the requests in the order in which they were whole.
#[derive(Default)]
pub(crate) struct Log {
    connections: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    /// Those whose scripts still run, among others.
    open: Mutex<Vec<Weak<TcpStream>>>,
    requests: Mutex<Vec<Message>>,
}

impl Log {
    pub(crate) fn note(&self, request: Message) {
        self.requests.lock().expect("no panic while it is held").push(request);
    }

    pub(crate) fn of_connection(&self, connection: usize) -> usize {
        let requests = self.requests.lock().expect("no panic while it is held");
        requests.iter().filter(|request| request.connection == connection).count()
    }
}

/// A server on a port of its own; it ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    log: Arc<Log>,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Runs `serve` for each connection, each on a thread of its own. The connection closes when `serve` lets go of it.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn script(serve: impl Fn(Conn) + Send + Sync + 'static) -> Server {
        Server::listening(TcpListener::bind("127.0.0.1:0").expect("a free port"), serve)
    }

    /// The same at an address that another server has left just now.
    ///
    /// # Panics
    /// When it does not become free.
    #[track_caller]
    pub fn script_at(address: SocketAddr, serve: impl Fn(Conn) + Send + Sync + 'static) -> Server {
        Server::listening(wait_for("the address", WITHIN, || TcpListener::bind(address).ok()), serve)
    }

    fn listening(listener: TcpListener, serve: impl Fn(Conn) + Send + Sync + 'static) -> Server {
        let address = listener.local_addr().expect("the address of a bound socket");
        let (log, ended) = (Arc::new(Log::default()), Arc::new(AtomicBool::new(false)));
        let mut server = Server { address, log: log.clone(), ended: ended.clone(), accepting: None };
        let serve = Arc::new(serve);
        server.accepting = Some(std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Relaxed) {
                    return;
                }
                let (seen, stream) = (Arc::new(Mutex::new(Vec::new())), Arc::new(stream));
                log.open.lock().expect("no panic while it is held").push(Arc::downgrade(&stream));
                let number = {
                    let mut connections = log.connections.lock().expect("no panic while it is held");
                    connections.push(seen.clone());
                    connections.len() - 1
                };
                let (serve, log) = (serve.clone(), log.clone());
                std::thread::spawn(move || {
                    if let Ok(conn) = Conn::new(stream, seen, Some((number, log))) {
                        serve(conn);
                    }
                });
            }
        }));
        server
    }

    /// Answers each request with the bytes that `answer` gives for it, and keeps connections open.
    pub fn answering<B: AsRef<[u8]>>(answer: impl Fn(&Message) -> B + Send + Sync + 'static) -> Server {
        Server::script(move |mut conn| {
            while let Some(request) = conn.request() {
                if conn.try_send(answer(&request)).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers each request with 200 and `ok`.
    pub fn ok() -> Server {
        Server::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// Stops it as when its process ends: nothing listens any more, and what is open is closed, whatever its script waits for.
    /// Its address is free for [`Server::script_at`].
    ///
    /// # Panics
    /// When a script has panicked while it accepted.
    pub fn stop(mut self) {
        self.ended.store(true, Relaxed);
        drop(TcpStream::connect_timeout(&self.address, WITHIN));
        self.accepting.take().map(JoinHandle::join).transpose().expect("no panic while it accepted");
        for stream in
            self.log.open.lock().expect("no panic while it is held").drain(..).filter_map(|open| open.upgrade())
        {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has had so far.
    pub fn connections(&self) -> usize {
        self.log.connections.lock().expect("no panic while it is held").len()
    }

    /// All bytes that have come on a connection so far, by its number from 0.
    pub fn received(&self, connection: usize) -> Vec<u8> {
        let connections = self.log.connections.lock().expect("no panic while it is held");
        connections
            .get(connection)
            .map_or_else(Vec::new, |seen| seen.lock().expect("no panic while it is held").clone())
    }

    /// All bytes that have come so far, on all connections.
    pub fn received_all(&self) -> Vec<u8> {
        (0..self.connections()).flat_map(|connection| self.received(connection)).collect()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Message> {
        self.log.requests.lock().expect("no panic while it is held").clone()
    }

    /// The requests, once there are this many.
    #[track_caller]
    pub fn wait_requests(&self, count: usize) -> Vec<Message> {
        wait_for(&format!("{count} requests"), WITHIN, || {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
    }

    /// The only request, once there is one.
    ///
    /// # Panics
    /// When there are more.
    #[track_caller]
    pub fn wait_request(&self) -> Message {
        let mut requests = self.wait_requests(1);
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        // Wakes the accepting thread, which then ends; whether it is still there does not matter.
        if self.accepting.is_some() {
            drop(TcpStream::connect_timeout(&self.address, WITHIN));
        }
    }
}
