//! Sessions that go on with a target by what that one handed out.

use mirror_tests::replay::replay;
use mirror_tests::{Config, Message, Mirror, Server, Tape, WITHIN, json};

/// Who logs in gets this session, and a token; who has it is let in.
fn application(session: &'static str, token: &'static str) -> Server {
    Server::answering(move |request: &Message| {
        let body = format!(r#"{{"token":"{token}"}}"#);
        match request.start_line() {
            "POST /login HTTP/1.1" => format!(
                "HTTP/1.1 200 OK\r\nSet-Cookie: session={session}; Path=/\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            _ if request.header("cookie") == Some(&format!("theme=dark; session={session}"))
                && request.header("authorization") == Some(&format!("Bearer {token}")) =>
            {
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
            _ => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned(),
        }
    })
}

#[test]
fn a_login_goes_on_with_each_target_and_the_primary_is_as_it_was() {
    let upstream = application("s-upstream", "t-upstream");
    let targets = [application("s-a", "t-a"), application("s-b", "t-b")];
    let carry = json!([{ "carry": { "values": ["cookie:session", "json:/token -> header"] } }]);
    let config = Config::upstream(upstream.address())
        .shadow_with("a", targets[0].address(), json!({ "pipeline": carry }))
        .shadow_with("b", targets[1].address(), json!({ "pipeline": carry }))
        .shadow("c", targets[1].address());
    let mirror = Mirror::start(config);
    let mut client = mirror.connect();
    client.exchange("POST /login HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi");
    let next = "GET /account HTTP/1.1\r\nHost: app\r\nCookie: theme=dark; session=s-upstream\r\nAuthorization: Bearer t-upstream\r\n\r\n";
    for _ in 0..3 {
        assert_eq!(client.exchange(next).status(), 200);
    }
    let metrics = mirror.wait_for(WITHIN, |metrics| metrics.sum("mirror_sink_delivered_total", &[]) == 12.0);
    let carried = |sink| metrics.of_sink("mirror_carry_values_total", sink);
    assert_eq!((carried("a"), carried("b"), carried("c")), (6, 6, 0));
    let answered = |sink, class| {
        let labels = [format!("sink=\"{sink}\""), format!("http_response_status_class=\"{class}\"")];
        metrics.sum("http_client_request_duration_seconds_count", &labels.each_ref().map(String::as_str))
    };
    assert_eq!([answered("a", "2xx"), answered("b", "2xx"), answered("c", "4xx")], [4.0, 4.0, 3.0], "{metrics:?}");
    mirror.terminate().assert_exact();
}

/// The recording has the application's session; as fast as can be each request waits for the login that it stands on.
#[test]
fn a_recorded_login_replays() {
    let target = application("s-new", "t-new");
    let login = |record: &mut mirror::recording::Record| {
        record.request.method = "POST".into();
        let response = record.response.as_mut().expect("a response");
        response.message.headers = vec![
            ("Set-Cookie".into(), "session=s-old; Path=/".into()),
            ("Content-Type".into(), "application/json".into()),
        ];
        response.message.body = vec![r#"{"token":"t-old"}"#.into()];
    };
    let account = |record: &mut mirror::recording::Record| {
        for line in [("Cookie", "theme=dark; session=s-old"), ("Authorization", "Bearer t-old")] {
            record.request.message.headers.push((line.0.into(), line.1.into()));
        }
    };
    let tape = Tape::default().with(0, "/login", login).with(1, "/account", account).with(2, "/account", account);
    let carried = ["--speed=max", "--carry=cookie:session", "--carry", "json:/token -> header"];
    for (arguments, statuses) in [(&carried[..], json!({ "200": 3 })), (&carried[..1], json!({ "200": 1, "401": 2 }))] {
        let done = replay(&tape, &target, arguments);
        assert_eq!((done.code, &done.target()["statuses"]), (Some(0), &statuses), "{done:#?}");
    }
}
