//! Leaves a port to another process that listens there too (SO_REUSEPORT), and loses no connection by it.
//!
//! When a socket that listens is closed, the kernel resets what waits in its queue, and handshakes that were answered for it. Sockets that share a port
//! may have a filter that says, by number, which of them gets a new connection (SO_ATTACH_REUSEPORT_CBPF, socket(7)). So one that leaves has that
//! say another's, takes what is still on its way to it, and is closed when nothing comes any more.
//!
//! Numbers are in the order of joining, and who leaves does not know its own: where connections still come, it was its own. A number that nobody
//! has chooses as if there were no filter.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long nothing comes before the port is taken for left: a handshake over a slow network that lost no packet.
const QUIET: Duration = Duration::from_millis(200);

/// How long what was on its way may still come before it shows that the choice was wrong.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// How long accepting rests when the system has no descriptors for another connection.
const PAUSE: Duration = Duration::from_millis(50);

/// How many numbers are tried: those of two that leave at once, and of one that stays.
const NUMBERS: u32 = 3;

/// How long a connection that was taken while a port was left may take to say what it wants, whatever idle ones are given.
pub(crate) const JUST_TAKEN: Duration = Duration::from_secs(1);

/// How long leaving may take. Where nobody else listens, connections come until then.
const LONGEST: Duration = Duration::from_secs(1);

/// Takes what is on its way, and sends all else to another socket at the port, where there is one.
pub(crate) async fn leave(listener: &TcpListener, mut take: impl FnMut(TcpStream)) {
    let began = Instant::now();
    let mut number = 0;
    let mut chosen = choose(listener, number);
    while began.elapsed() < LONGEST
        && let Ok(accepted) = timeout(QUIET, listener.accept()).await
    {
        match accepted {
            Ok((socket, _)) => take(socket),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        if chosen.elapsed() > ON_ITS_WAY {
            number = (number + 1) % NUMBERS;
            chosen = choose(listener, number);
        }
    }
}

/// Has new connections go to the socket of this number.
fn choose(listener: &TcpListener, number: u32) -> Instant {
    // One instruction: return the number (BPF_RET | BPF_K).
    let mut instruction = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: number };
    let program = libc::sock_fprog { len: 1, filter: &raw mut instruction };
    if let Err(error) = set(listener, libc::SO_ATTACH_REUSEPORT_CBPF, &program) {
        tracing::warn!(%error, "connections that come while the port is left may be lost");
    }
    Instant::now()
}

/// Forgets what one that left before has chosen: the connections are all of ours again.
pub(crate) fn join(listener: &impl AsRawFd) {
    // That there is nothing to forget is the usual case.
    let _ = set(listener, libc::SO_DETACH_REUSEPORT_BPF, &0_i32);
}

fn set<T>(socket: &impl AsRawFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("a small value");
    // SAFETY: the kernel reads `length` bytes at a value that lives, and of a program the instructions, which live as long.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const *value).cast(), length) }
    {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn listen(address: SocketAddr) -> TcpListener {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseport(true).expect("an option");
        socket.bind(address).expect("a port that is shared");
        socket.listen(1024).expect("a socket that is bound")
    }

    /// Answers with its name.
    fn answer(mut socket: TcpStream, name: u8) {
        tokio::spawn(async move {
            let _ = socket.read_u8().await;
            let _ = socket.write_all(&[name]).await;
        });
    }

    async fn serve(listener: Arc<TcpListener>, name: u8) {
        while let Ok((socket, _)) = listener.accept().await {
            answer(socket, name);
        }
    }

    /// One of two leaves while others connect without pause: the first that joined, or the second.
    async fn one_of_two_leaves(leaves: usize) {
        let first = listen("127.0.0.1:0".parse().expect("an address"));
        let address = first.local_addr().expect("an address");
        let listeners = [Arc::new(first), Arc::new(listen(address))];
        let serving = [0, 1].map(|name| tokio::spawn(serve(listeners[name].clone(), name as u8)));
        let (ended, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = [(); 4].map(|()| {
            let (ended, asked) = (ended.clone(), asked.clone());
            tokio::spawn(async move {
                while !ended.load(Relaxed) {
                    let mut socket = TcpStream::connect(address).await.expect("a connection");
                    socket.write_all(b"?").await.expect("a connection");
                    socket.read_u8().await.expect("an answer");
                    asked.fetch_add(1, Relaxed);
                }
            })
        });
        while asked.load(Relaxed) < 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let [staying, leaving] = [1 - leaves, leaves];
        serving[leaving].abort();
        leave(&listeners[leaving], |socket| answer(socket, leaving as u8)).await;
        let [one, two] = listeners;
        let (stays, left) = if staying == 0 { (one, two) } else { (two, one) };
        drop(left);
        let before = asked.load(Relaxed);
        while asked.load(Relaxed) < before + 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ended.store(true, Relaxed);
        for client in clients {
            client.await.expect("no error");
        }
        serving[staying].abort();
        drop(stays);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_older_one_leaves() {
        one_of_two_leaves(0).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_newer_one_leaves() {
        one_of_two_leaves(1).await;
    }
}
