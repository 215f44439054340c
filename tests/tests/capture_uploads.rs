//! Large bodies past the listener: each arrives whole, at the target and in the recording, there and back.

use std::net::SocketAddr;

use mirror_tests::listener::{Listener, assert_arrived, assert_message, is};
use mirror_tests::{Conn, Server, upload};

/// A body that is no other's.
fn body(number: usize, length: usize) -> Vec<u8> {
    let mut body = upload::body(length);
    body[..8].copy_from_slice(&(number as u64).to_be_bytes());
    body
}

fn upload_head(number: usize, length: usize) -> String {
    format!("POST /upload/{number} HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\n\r\n")
}

/// Whole both ways: the server gives each body back.
fn echo() -> Server {
    Server::answering(|request| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
        [head.as_bytes(), &request.body].concat()
    })
}

/// All of it at once: a debug build on a busy machine is slower than the loopback, and what the kernel drops then is no fault of the reading.
const ROOM: &str = "256MiB";

fn upload_one(address: SocketAddr, number: usize, length: usize) {
    let mut client = Conn::open(address);
    client.send(upload_head(number, length));
    client.send(body(number, length));
    assert!(client.response().body == body(number, length), "{number} came back whole");
}

#[track_caller]
fn assert_uploads(listener: Listener, count: usize, length: usize) {
    let (records, requests) = listener.end_settled(count);
    for record in &records {
        let target = record["request"]["target"].as_str().expect("a target");
        let number = target.rsplit('/').next().and_then(|number| number.parse().ok()).expect(target);
        let (head, body) = (upload_head(number, length), body(number, length));
        assert_message(&record["request"], &head, &body);
        assert!(is(&record["response"]["body"], &body), "the answer to {number}");
        assert_arrived(&requests, &head, &body);
    }
}

#[test]
fn forty_megabytes_in_sequence() {
    let server = echo();
    let Some(listener) = Listener::with_buffer(server.address(), ROOM) else { return };
    (0..40).for_each(|number| upload_one(server.address(), number, 1_000_000));
    assert_uploads(listener, 40, 1_000_000);
}

#[test]
fn forty_megabytes_at_once() {
    let server = echo();
    let Some(listener) = Listener::with_buffer(server.address(), ROOM) else { return };
    let address = server.address();
    std::thread::scope(|scope| {
        (0..40).for_each(|number| drop(scope.spawn(move || upload_one(address, number, 1_000_000))));
    });
    assert_uploads(listener, 40, 1_000_000);
}

#[test]
fn ten_megabytes_each() {
    let server = echo();
    let Some(listener) = Listener::with_buffer(server.address(), ROOM) else { return };
    let address = server.address();
    upload_one(address, 0, 10_000_000);
    std::thread::scope(|scope| {
        (1..3).for_each(|number| drop(scope.spawn(move || upload_one(address, number, 10_000_000))))
    });
    assert_uploads(listener, 3, 10_000_000);
}
