use super::*;

const REQUEST: &str = "GET /a?x=1&token=t0p&sig=s1%26g#f HTTP/1.1\n\
    Host: app\n\
    authorization: Bearer abc.def\n\
    X-Session: s3\n\
    Cookie: sid=s1; theme=dark; SID=\"s;2\"\n\
    Referer: http://me:pw@app/b?token=t0p&y=2#access=1\n\
    Accept: */*\n\n";

/// A request's head with the stage behind it.
fn redacted(yaml: &str, request: &str) -> String {
    let wire_head = Bytes::from(request.replace('\n', "\r\n"));
    let head = RequestHead::parse(&wire_head).ok().or_else(|| RequestHead::parse_lenient(&wire_head));
    let mut head = head.unwrap_or_else(|| panic!("{request}"));
    rules(yaml).request(&mut head, &mut Tally::default());
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{} {} {}\n{}\n", text(&head.method), text(&head.target), head.version(), wire(&head.headers))
}

#[test]
fn one_rule_hides_one_thing() {
    for (yaml, from, to) in [
        ("{header: X-Session}", "s3", "REDACTED"),
        ("{header: 'x-s*'}", "s3", "REDACTED"),
        ("{header: 'x-s*', with: remove}", "X-Session: s3\n", ""),
        ("{cookie: theme}", "dark", "REDACTED"),
        ("{cookie: theme, with: remove}", " theme=dark;", ""),
        ("{cookie: sid}", "sid=s1; theme=dark; SID=\"s;2\"", "sid=REDACTED; theme=dark; SID=REDACTED"),
        ("{cookie: '*', with: remove}", "Cookie: sid=s1; theme=dark; SID=\"s;2\"\n", ""),
        ("{query: x}", "x=1", "x=REDACTED"),
        ("{query: x, with: remove}", "x=1&", ""),
        ("{query: y}", "y=2", "y=REDACTED"),
        ("{query: access}", "access=1", "access=REDACTED"),
        ("{query: sig}", "s1%26g", "REDACTED"),
        ("{pattern: bearer}", "abc.def", "REDACTED"),
        ("{pattern: '~s[0-9]$'}", "X-Session: s3", "X-Session: REDACTED"),
        ("{pattern: '~^/a'}", "/a", "/REDACTED"),
    ] {
        assert_eq!(redacted(yaml, REQUEST), REQUEST.replacen(from, to, 1), "{yaml}");
    }
    assert_eq!(redacted("{query: token}", REQUEST), REQUEST.replace("t0p", "REDACTED"));
}

#[test]
fn the_preset_hides_what_gives_access() {
    let expected = "GET /a?x=1&token=t0p&sig=REDACTED#f HTTP/1.1\n\
        Host: app\n\
        authorization: REDACTED\n\
        X-Session: s3\n\
        Cookie: REDACTED\n\
        Referer: http://REDACTED@app/b?token=t0p&y=2#access=1\n\
        Accept: */*\n\n";
    assert_eq!(redacted("credentials", REQUEST), expected);
    let signed = "GET http://app/o?X-Amz-Signature=a&AWSAccessKeyId=b&signature=c&X-Goog-Signature=d&z HTTP/1.1\n\
        X-API-Key: k\nProxy-Authorization: Basic eDp5\n\n";
    assert_eq!(redacted("{preset: credentials, with: remove}", signed), "GET http://app/o?z HTTP/1.1\n\n");
}

#[test]
fn parameters_are_found_wherever_servers_see_them() {
    for (target, expected) in [
        ("/?a=1;token=t&b", "/?a=1;token=REDACTED&b"),
        ("/?a=1;token=t;c=2", "/?a=1;token=REDACTED"),
        ("/?next=/login?token=t&b", "/?next=/login?token=REDACTED&b"),
        ("/?next=http%3A%2F%2Fh%2F%3Ftoken%3Dt%26b%3D1", "/?next=http%3A%2F%2Fh%2F%3Ftoken%3DREDACTED%26b%3D1"),
        ("/?%74oken=t", "/?token=REDACTED"),
        ("/?TOKEN=t", "/?TOKEN=REDACTED"),
        ("/?user[token]=t", "/?user%5Btoken%5D=REDACTED"),
        ("/?token[]=t", "/?token%5B%5D=REDACTED"),
        ("/?+token=t", "/?+token=REDACTED"),
        ("/?token=", "/?token="),
        ("/?token", "/?token"),
        ("/?tokens=1&a=token", "/?tokens=1&a=token"),
        ("/token=t", "/token=t"),
        ("*", "*"),
    ] {
        let head = |target: &str| format!("GET {target} HTTP/1.1\nHost: app\n\n");
        assert_eq!(redacted("{query: token}", &head(target)), head(expected), "{target}");
    }
}

#[test]
fn cookies_are_set_with_their_attributes() {
    let rules = rules("{cookie: sid}");
    for (sent, expected) in [
        ("sid=s1; Path=/; HttpOnly", "sid=REDACTED; Path=/; HttpOnly"),
        ("sid=\"a;b\"; Secure", "sid=REDACTED; Secure"),
        ("sid=", "sid="),
        ("other=s1; Path=/sid=1", "other=s1; Path=/sid=1"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nSet-Cookie: {sent}\r\n\r\n");
        let (mut head, _) = ResponseHead::parse(&Bytes::from(head)).unwrap().unwrap();
        rules.response(&mut head, &mut Tally::default());
        assert_eq!(wire(&head.headers), format!("Set-Cookie: {expected}\n"));
    }
}

#[test]
fn cookies_that_servers_part_differently() {
    for (sent, expected) in [
        ("sid=\"a; b", "sid=REDACTED; b"),
        ("x=\"a; sid=s; b\"", "x=\"a; sid=REDACTED; b\""),
        ("sid=\"a; b\"; x=1", "sid=REDACTED; x=1"),
        ("sid", "sid"),
        (" sid = s ;x=1", "sid =REDACTED;x=1"),
    ] {
        let head = |value: &str| format!("GET / HTTP/1.1\nCookie: {value}\n\n");
        assert_eq!(redacted("{cookie: sid}", &head(sent)), head(expected), "{sent}");
    }
}

#[test]
fn what_frames_and_describes_the_message_stays() {
    let request = "POST / HTTP/1.1\nHost: 4111111111111111\nContent-Length: 4111111111111111\n\
        Content-Type: text/plain\nContent-Encoding: gzip\nX: a\n\n";
    let expected = request.replacen("4111111111111111", "REDACTED", 1).replace("X: a", "X: REDACTED");
    assert_eq!(redacted("{header: '*', pattern: card}", request), expected);
}

#[test]
fn a_head_that_is_read_in_several_ways_keeps_no_line_that_may_be_secret() {
    let odd = "GET /?token=a b HTTP/1.1\nAuthorization : Basic eDp5\nX: a\n b\nno colon: eDp5\nX-Key: eDp5\n\n";
    let expected =
        "GET /?token=REDACTED HTTP/1.1\nAuthorization : REDACTED\nX: a b\nREDACTED: REDACTED\nX-Key: eDp5\n\n";
    assert_eq!(redacted("{preset: credentials, query: token}", odd), expected);
}

#[test]
fn a_token_has_one_hash_wherever_it_stands() {
    let hashed = redacted(
        "{preset: credentials, query: token, cookie: t, pattern: bearer, with: hash}",
        "GET /?token=abc HTTP/1.1\nAuthorization: Bearer abc\nX-Echo: Bearer abc\nReferer: /?token=%61bc\nX-Api-Key: other\n\n",
    );
    let hashes: Vec<&str> = hashed.match_indices("REDACTED-").map(|(at, _)| &hashed[at..at + 25]).collect();
    assert_eq!(hashes.len(), 5, "{hashed}");
    assert!(hashes[..4].iter().all(|hash| *hash == hashes[0]) && hashes[4] != hashes[0], "{hashed}");
}

#[test]
fn reasons_and_trailers() {
    let rules = rules("{header: X-Key, pattern: [email, card]}");
    let (mut head, _) =
        ResponseHead::parse(&Bytes::from_static(b"HTTP/1.1 404 no me@example.com\r\n\r\n")).unwrap().unwrap();
    rules.response(&mut head, &mut Tally::default());
    assert_eq!(head.reason, "no REDACTED");
    for (sent, expected) in [
        ("X-Key: a\r\nX-Sum: 1\r\n\r\n", Some("X-Key: REDACTED\r\nX-Sum: 1\r\n\r\n")),
        ("Content-MD5: x\r\nX: me@example.com\r\n\r\n", Some("X: REDACTED\r\n\r\n")),
        ("X-Sum:   1\r\n\r\n", Some("X-Sum:   1\r\n\r\n")),
        ("\r\n", Some("\r\n")),
    ] {
        let new = rules.trailers(&Bytes::from_static(sent.as_bytes()), &mut Tally::default());
        assert_eq!(new.as_deref(), expected.map(str::as_bytes), "{sent:?}");
    }
}
