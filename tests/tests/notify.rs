//! A service manager that asked for it is told when it serves and when it ends.

use std::os::unix::net::UnixDatagram;

use mirror_tests::{Config, Folder, Mirror, Server, WITHIN};

#[test]
fn the_service_manager_is_told_when_it_is_ready_and_when_it_stops() {
    let folder = Folder::new();
    let manager = UnixDatagram::bind(folder.path("notify")).expect("a socket of our own");
    manager.set_read_timeout(Some(WITHIN)).expect("a socket of our own");
    let told = || {
        let mut state = [0; 64];
        let read = manager.recv(&mut state).expect("a state");
        String::from_utf8_lossy(&state[..read]).into_owned()
    };
    let upstream = Server::ok();
    let socket = folder.path("notify");
    let line = format!("NOTIFY_SOCKET={} exec \"$@\"", socket.display());
    let mirror = Mirror::start_through(&line, &Config::upstream(upstream.address()));
    assert_eq!(told(), "READY=1");
    assert_eq!(mirror.connect().exchange("GET / HTTP/1.1\r\nHost: app\r\n\r\n").text(), "ok");
    mirror.terminate();
    assert_eq!(told(), "STOPPING=1");
}

#[test]
fn a_service_manager_that_is_gone_is_no_reason_to_end() {
    let upstream = Server::ok();
    let mirror = Mirror::start_through("NOTIFY_SOCKET=/nowhere exec \"$@\"", &Config::upstream(upstream.address()));
    mirror.wait_log("the service manager cannot be told: READY=1");
    mirror.terminate();
}
