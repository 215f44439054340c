//! What is no HTTP/1, passed on as it is.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use mirror::telemetry::Counter;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// How much is read at once, in bytes: as bodies are.
const READ: usize = 64 * 1024;

/// How long a connection may be silent before its other end is asked whether it is still there, and how often it is asked before it is taken for gone:
/// a tunnel may be idle for as long as its ends like, but not for ever where one of them has vanished. A minute is below what firewalls and
/// load balancers commonly forget connections after.
const ALIVE: Duration = Duration::from_secs(60);
const ALIVE_EVERY: Duration = Duration::from_secs(15);
const ALIVE_TRIES: u32 = 4;

/// Passes what was `read` of the client, and then all that comes, both ways, until both sides have ended or one breaks. An end of one side is
/// passed on as such, and the other goes on.
///
/// # Errors
/// Those of either connection.
pub(crate) async fn pass(
    client: &mut TcpStream,
    server: &mut TcpStream,
    read: BytesMut,
    [up, down]: [&Counter; 2],
) -> io::Result<()> {
    for socket in [&*client, server] {
        keep_alive(socket)?;
        // A tunnel that is cut, be it by the end of a drain, has not ended, and whoever is left is told so.
        reset(socket);
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let both =
        tokio::try_join!(flow(from_client, to_server, read, up), flow(from_server, to_client, BytesMut::new(), down));
    both?;
    for socket in [client, server] {
        SockRef::from(&*socket).set_linger(None)?;
    }
    Ok(())
}

fn keep_alive(socket: &TcpStream) -> io::Result<()> {
    let alive = TcpKeepalive::new().with_time(ALIVE).with_interval(ALIVE_EVERY).with_retries(ALIVE_TRIES);
    SockRef::from(socket).set_tcp_keepalive(&alive)
}

/// Has a connection end by RST when it is dropped, as one does that was refused or broke.
pub(crate) fn reset(socket: &TcpStream) {
    // Where it cannot be had it ends as if all were well.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

async fn flow(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, read: BytesMut, count: &Counter) -> io::Result<()> {
    let mut buffer = read;
    loop {
        to.write_all(&buffer).await?;
        count.inc_by(buffer.len() as u64);
        // An idle tunnel holds no buffer.
        drop(buffer);
        from.readable().await?;
        buffer = BytesMut::with_capacity(READ);
        if from.read_buf(&mut buffer).await? == 0 {
            return to.shutdown().await;
        }
    }
}
