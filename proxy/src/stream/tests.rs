use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Arrived, Stream, serve};
use crate::dial::Noted;

const HEAD: &str = "POST /a HTTP/1.1\r\nHost: a\r\n\r\n";

/// As pingora reads heads, and bodies.
const HEAD_READ: usize = 4096;
const BODY_READ: usize = 64 * 1024;

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let connecting = TcpStream::connect(listener.local_addr().expect("an address"));
    let (connected, accepted) = tokio::join!(connecting, listener.accept());
    let (ours, theirs) = (accepted.expect("a connection").0, connected.expect("a connection"));
    theirs.set_nodelay(true).expect("a socket");
    (ours, theirs)
}

/// A client's connection of which nothing more is known.
fn arrived_as(socket: TcpStream) -> Arrived {
    Arrived { socket, route: None, read: bytes::BytesMut::new(), noted: Noted::nothing() }
}

/// One read; an error as the kind it is of.
async fn read(stream: &mut Stream, most: usize) -> Result<Vec<u8>, std::io::ErrorKind> {
    let mut bytes = vec![0; most];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut bytes)).await.expect("bytes in time");
    bytes.truncate(read.map_err(|error| error.kind())?);
    Ok(bytes)
}

/// Waits until the other end's bytes have arrived.
async fn arrived(stream: &Stream, length: usize) {
    let mut peeked = vec![0; length];
    while stream.inbox.socket.as_ref().peek(&mut peeked).await.expect("a connection") < length {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_body_comes_as_one_piece_behind_its_head() {
    let (ours, mut theirs) = pair().await;
    let mut stream = Stream::to_upstream(ours, Noted::nothing());
    let body = vec![b'x'; 16_384];
    theirs.write_all(&[HEAD.as_bytes(), &body].concat()).await.expect("a connection");
    arrived(&stream, HEAD.len() + body.len()).await;
    assert_eq!(read(&mut stream, HEAD_READ).await, Ok(HEAD.into()));
    assert_eq!(read(&mut stream, BODY_READ).await, Ok(body));
}

#[tokio::test]
async fn what_fits_behind_the_head_is_left_there() {
    let (ours, mut theirs) = pair().await;
    let mut stream = Stream::to_upstream(ours, Noted::nothing());
    let message = format!("{HEAD}small");
    theirs.write_all(message.as_bytes()).await.expect("a connection");
    arrived(&stream, message.len()).await;
    assert_eq!(read(&mut stream, HEAD_READ).await, Ok(message.into()));
}

#[tokio::test]
async fn of_many_pipelined_heads_nothing_is_lost() {
    let (ours, mut theirs) = pair().await;
    let mut stream = Stream::to_upstream(ours, Noted::nothing());
    let all = HEAD.repeat(300);
    theirs.write_all(all.as_bytes()).await.expect("a connection");
    arrived(&stream, all.len()).await;
    let mut given = Vec::new();
    while given.len() < all.len() {
        let piece = read(&mut stream, HEAD_READ).await.expect("heads");
        assert!(!piece.is_empty(), "it ended after {} bytes", given.len());
        given.extend(piece);
    }
    assert_eq!(given, all.as_bytes());
}

#[tokio::test]
async fn a_head_longer_than_the_read_and_any_bytes_at_all_pass_as_they_are() {
    let (ours, mut theirs) = pair().await;
    let mut stream = Stream::to_upstream(ours, Noted::nothing());
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let (sent, read) = tokio::join!(
        async {
            theirs.write_all(&bytes).await.expect("a connection");
            theirs.shutdown().await.expect("a connection");
        },
        async {
            let mut all = Vec::new();
            for most in [HEAD_READ, 1, 7, HEAD_READ, BODY_READ].into_iter().cycle() {
                match read(&mut stream, most).await.expect("bytes") {
                    piece if piece.is_empty() => return all,
                    piece => all.extend(piece),
                }
            }
            all
        }
    );
    let () = sent;
    assert_eq!(read, bytes);
}

#[tokio::test]
async fn a_reset_is_told_after_the_bytes_that_came_before_it() {
    let (ours, mut theirs) = pair().await;
    let mut stream = Stream::to_upstream(ours, Noted::nothing());
    let body = [b'x'; HEAD_READ];
    theirs.write_all(&[HEAD.as_bytes(), &body].concat()).await.expect("a connection");
    arrived(&stream, HEAD.len() + body.len()).await;
    assert_eq!(read(&mut stream, HEAD_READ).await, Ok(HEAD.into()));
    socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(theirs);
    // The kernel throws away what was not read when the reset came: what we hold is still given.
    let mut rest = Vec::new();
    let end = loop {
        match read(&mut stream, BODY_READ).await {
            Ok(piece) if piece.is_empty() => break None,
            Ok(piece) => rest.extend(piece),
            Err(kind) => break Some(kind),
        }
    };
    assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset));
    assert!(rest.len() >= HEAD_READ - HEAD.len() && body.starts_with(&rest), "{}", rest.len());
}

#[tokio::test]
async fn what_a_turn_wrote_to_both_sides_leaves_when_it_ends() {
    let (client, mut at_client) = pair().await;
    let (upstream, mut at_upstream) = pair().await;
    let served = serve(arrived_as(client), |mut down| async move {
        let mut up = Stream::to_upstream(upstream, Noted::nothing());
        for piece in ["head ", "body ", "end"] {
            up.write_all(piece.as_bytes()).await.expect("a connection");
            up.flush().await.expect("a connection");
        }
        assert!(!up.outbox.waiting().is_empty(), "it waits for the turn's end");
        tokio::task::yield_now().await;
        assert!(up.outbox.waiting().is_empty(), "it was sent");
        down.write_all(b"answer").await.expect("a connection");
        down.shutdown().await.expect("a connection");
    });
    let (mut sent, mut answered) = (Vec::new(), String::new());
    let (.., read) = tokio::join!(served, at_upstream.read_buf(&mut sent), at_client.read_to_string(&mut answered));
    read.expect("an answer");
    assert_eq!((&sent[..], answered.as_str()), (&b"head body end"[..], "answer"));
}

#[tokio::test]
async fn outside_of_a_turn_nothing_is_kept() {
    let (ours, mut theirs) = pair().await;
    let mut stream = Stream::to_upstream(ours, Noted::nothing());
    stream.write_all(b"at once").await.expect("a connection");
    let mut read = [0; 7];
    theirs.read_exact(&mut read).await.expect("what was written");
    assert_eq!(&read, b"at once");
}

#[tokio::test]
async fn what_a_turn_could_not_send_leaves_when_the_other_side_reads() {
    let (client, mut at_client) = pair().await;
    let served = serve(arrived_as(client), |mut down| async move {
        // Fills the sockets' buffers: a write then waits, and so does what is kept behind it.
        let bulk = vec![b'x'; BODY_READ];
        while tokio::time::timeout(Duration::from_millis(50), down.write_all(&bulk)).await.is_ok() {}
        down.write_all(b"the end").await.expect("kept");
    });
    let read = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut all = Vec::new();
        at_client.read_to_end(&mut all).await.expect("a connection");
        all
    };
    let ((), all) = tokio::join!(served, read);
    assert!(all.ends_with(b"xthe end"), "{}", String::from_utf8_lossy(&all[all.len() - 20..]));
}
