//! Where it listens and where it goes to: a port alone, several addresses, names.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use mirror_tests::{Config, Conn, Mirror, Server, json};

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn a_port_alone_is_every_interface_and_as_an_upstream_or_a_target_this_host() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address())
        .set("listen", ":0")
        .set("upstream", format!(":{}", upstream.address().port()))
        .set("shadow", json!([{ "name": "target", "target": format!(":{}", target.address().port()) }]))
        .set("proxy.forwarded", true);
    let mirror = Mirror::start(config);
    let port = mirror.address().port();

    assert_eq!(Conn::open(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).exchange(GET).text(), "ok");
    // An IPv4 client is one, also where the socket is an IPv6 one that takes both.
    assert_eq!(upstream.wait_request().header("x-forwarded-for"), Some("127.0.0.1"));
    if has_ipv6() {
        assert_eq!(Conn::open(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).exchange(GET).text(), "ok");
        assert_eq!(upstream.wait_requests(2)[1].header("x-forwarded-for"), Some("::1"));
        target.wait_requests(2);
    }
}

#[test]
fn it_listens_at_every_address_of_a_list() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address()).shadow("target", target.address());
    let mirror = Mirror::start(config.set("listen", json!(["127.0.0.1:0", "127.0.0.1:0", "127.0.0.2:0"])));
    let addresses = mirror.addresses();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    for address in addresses {
        assert_eq!(Conn::open(address).exchange(GET).text(), "ok", "{address}");
    }
    assert_eq!(target.wait_requests(3).len(), 3);
}

/// `localhost` is `::1` first on most hosts, where nothing listens here.
#[test]
fn a_name_is_tried_at_each_of_its_addresses() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address())
        .set("upstream", format!("localhost:{}", upstream.address().port()))
        .set("shadow", json!([{ "name": "target", "target": format!("localhost:{}", target.address().port()) }]));
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    for n in 1..=3 {
        assert_eq!(client.exchange(GET).text(), "ok");
        mirror.wait_delivered("target", n);
    }
    assert_eq!(upstream.wait_requests(3)[0].header("host"), Some("app"));
    assert_eq!(mirror.terminate().sink("target").delivered, 3);
}

#[test]
fn an_upload_to_a_name_is_sent_once_whichever_address_answers() {
    let (upstream, target) = (Server::ok(), Server::ok());
    let config = Config::upstream(upstream.address())
        .set("upstream", format!("localhost:{}", upstream.address().port()))
        .shadow("target", target.address());
    let mirror = Mirror::start(config);
    let answer = mirror.connect().exchange("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.text(), "ok");
    assert_eq!([upstream.wait_request().text(), target.wait_request().text()], ["hello", "hello"]);
    mirror.wait_delivered("target", 1);
    assert_eq!(mirror.terminate().seen, 1);
}
