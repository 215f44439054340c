//! Messages as programs get them, and what is made of those that they print.
//!
//! A program gets a message in one piece: the head's lines as they were sent, and the body. A chunked one has a Content-Length in the place of its
//! Transfer-Encoding, since the libraries for such programs take all behind the empty line for the body. What goes on is framed as it was sent.
//!
//! What a program prints is taken for what it means. A Content-Length that does not fit the body is mended, since programs forget it, or count letters;
//! line ends behind the body are cut off, since shells add them.

use bytes::{Bytes, BytesMut};

use crate::http1::{
    BodyDecoder, Framing, Header, Headers, Piece, RequestHead, ResponseHead, head_length, push_line, push_odd_line,
};

/// The head of a request that has this body, for a program.
pub(crate) fn of_request(head: &RequestHead, body: &[u8]) -> Bytes {
    let line = [&head.method[..], &head.target, head.version().as_bytes()].join(&b' ');
    // A request without a length has no body.
    with_headers(line, &head.headers, body.len(), !body.is_empty())
}

/// The same of a response.
pub(crate) fn of_response(head: &ResponseHead, body: &[u8]) -> Bytes {
    let line = [head.version().as_bytes(), head.status.to_string().as_bytes(), &head.reason].join(&b' ');
    with_headers(line, &head.headers, body.len(), false)
}

/// What a program has made of a request; None where it is no request any more. The body is there where it is another.
pub(crate) fn request(printed: &Bytes, sent: &RequestHead, body: &Bytes) -> Option<(RequestHead, Option<Bytes>)> {
    let (wire, rest) = split(printed);
    let strict = RequestHead::parse(&wire).ok();
    let mut head = strict.or_else(|| RequestHead::parse_lenient(&wire).filter(|_| sent.odd))?;
    let new = unframed(&head.headers, rest, body);
    head.headers = framed(head.headers, &sent.headers);
    Some((head, (new != body).then_some(new)))
}

/// The same of a response.
pub(crate) fn response(printed: &Bytes, sent: &ResponseHead, body: &Bytes) -> Option<(ResponseHead, Option<Bytes>)> {
    let (wire, rest) = split(printed);
    let strict = ResponseHead::parse(&wire).ok().flatten().map(|(head, _)| head);
    let mut head = strict.or_else(|| ResponseHead::parse_lenient(&wire).filter(|_| sent.odd))?;
    let new = unframed(&head.headers, rest, body);
    head.headers = framed(head.headers, &sent.headers);
    Some((head, (new != body).then_some(new)))
}

fn with_headers(line: Vec<u8>, headers: &Headers, length: usize, needs_length: bool) -> Bytes {
    let chunked = headers.get("transfer-encoding").is_some();
    let (length, mut has_length) = (length.to_string(), false);
    let mut wire = BytesMut::with_capacity(line.len() + 32 + headers.len() * 48);
    wire.extend_from_slice(&line);
    wire.extend_from_slice(b"\r\n");
    for Header { name, value } in headers {
        match is_framing(name) {
            false => push_odd_line(&mut wire, name, value),
            true if !chunked => push_line(&mut wire, name, value),
            // In the place of the first of them.
            true if !has_length => push_line(&mut wire, b"Content-Length", length.as_bytes()),
            true => {}
        }
        has_length |= is_framing(name);
    }
    if needs_length && !has_length {
        push_line(&mut wire, b"Content-Length", length.as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire.freeze()
}

fn is_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// Head and body of what was printed. A head whose empty line was lost gets it back.
fn split(printed: &Bytes) -> (Bytes, Bytes) {
    if let Some(length) = head_length(printed) {
        return (printed.slice(..length), printed.slice(length..));
    }
    let end = printed.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    ([&printed[..end], b"\r\n\r\n"].concat().into(), Bytes::new())
}

/// The body that a program means that prints this behind its head; `sent` is the one that it was given.
fn unframed(headers: &Headers, rest: Bytes, sent: &Bytes) -> Bytes {
    if headers.has_token("transfer-encoding", "chunked")
        && let Some(body) = dechunked(&rest)
    {
        return body;
    }
    let told = headers.get("content-length").and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
    let length: usize = told.unwrap_or(sent.len());
    // Not where the body has a line end of its own, and the length may just be the old one.
    let is_old = length == sent.len() && sent.ends_with(b"\n") && !rest.starts_with(sent);
    match rest.get(length..) {
        Some(behind) if !is_old && behind.iter().all(|b| matches!(b, b'\r' | b'\n')) => rest.slice(..length),
        _ => rest,
    }
}

/// The body without its chunks; None where these are not whole.
fn dechunked(rest: &Bytes) -> Option<Bytes> {
    let (mut decoder, mut input, mut body) =
        (BodyDecoder::new(Framing::Chunked), BytesMut::from(&rest[..]), BytesMut::new());
    loop {
        match decoder.decode(&mut input).ok()?? {
            Piece::Data(bytes) => body.extend_from_slice(&bytes),
            Piece::End(_) => return Some(body.freeze()),
        }
    }
}

/// The headers that were printed, with the framing as it was sent: in the place of the first line that tells of framing, or at the end.
fn framed(printed: Headers, sent: &Headers) -> Headers {
    let at = printed.iter().position(|line| is_framing(&line.name));
    let (mut lines, mut place) = (Vec::with_capacity(printed.len() + 1), None);
    for (i, line) in printed.into_iter().enumerate() {
        if Some(i) == at {
            place = Some(lines.len());
        }
        if !is_framing(&line.name) {
            lines.push(line);
        }
    }
    let place = place.unwrap_or(lines.len());
    lines.splice(place..place, sent.iter().filter(|line| is_framing(&line.name)).cloned());
    lines.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> RequestHead {
        RequestHead::parse(&Bytes::from(text.replace('\n', "\r\n") + "\r\n")).unwrap()
    }

    /// A request as a program gets it.
    fn given(text: &str, body: &str) -> String {
        text_of(&of_request(&head(text), body.as_bytes()))
    }

    fn text_of(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap().replace("\r\n", "\n")
    }

    /// What becomes of `POST / HTTP/1.1` with these lines and this body where this is printed.
    fn mended(lines: &str, body: &str, printed: &str) -> Option<(String, Option<String>)> {
        let sent = head(&format!("POST / HTTP/1.1\n{lines}"));
        let (head, new) = request(&printed.to_owned().into(), &sent, &body.to_owned().into())?;
        let lines = head.headers.iter().map(|line| format!("{}: {}\n", text_of(&line.name), text_of(&line.value)));
        Some((lines.collect(), new.map(|new| text_of(&new))))
    }

    #[test]
    fn a_head_is_as_it_was_sent() {
        let plain = "pRoPFIND /a?b=%20 HTTP/1.0\nhOsT: x\nX-A: 1\nx-a: 2\nContent-length: 2\nEmpty: \n";
        assert_eq!(given(plain, "hi"), format!("{plain}\n"));
        assert_eq!(given("GET / HTTP/1.1\nHost: x\n", ""), "GET / HTTP/1.1\nHost: x\n\n");
        assert_eq!(given("GET / HTTP/1.1\nHost: x\n", "ab"), "GET / HTTP/1.1\nHost: x\nContent-Length: 2\n\n");
        let wire = Bytes::from("HTTP/1.1 404 Not  Here\r\nA: b\r\n\r\n");
        assert_eq!(of_response(&ResponseHead::parse(&wire).unwrap().unwrap().0, b"until the end"), wire);
    }

    #[test]
    fn a_chunked_message_is_given_with_its_length() {
        let sent = "POST / HTTP/1.1\nA: b\nTransfer-Encoding: gzip\ntransfer-encoding: chunked\nC: d\n";
        assert_eq!(given(sent, "hello"), "POST / HTTP/1.1\nA: b\nContent-Length: 5\nC: d\n\n");
        assert_eq!(
            given("POST / HTTP/1.1\nContent-Length: 9\nTransfer-Encoding: chunked\n", ""),
            "POST / HTTP/1.1\nContent-Length: 0\n\n"
        );
    }

    #[test]
    fn what_goes_on_is_framed_as_it_was_sent() {
        let (chunked, printed) = (
            "A: b\nTransfer-Encoding: chunked\nC: d\n",
            "POST /x HTTP/1.1\r\nA: b\r\nContent-Length: 5\r\nC: e\r\n\r\nhello",
        );
        let lines = "A: b\nTransfer-Encoding: chunked\nC: e\n".to_owned();
        assert_eq!(mended(chunked, "hello", printed), Some((lines.clone(), None)));
        assert_eq!(mended(chunked, "other", printed), Some((lines, Some("hello".to_owned()))));
        // A program may print chunks, be it of its own doing.
        let printed = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        assert_eq!(mended("Content-Length: 5\n", "hello", printed), Some(("Content-Length: 5\n".to_owned(), None)));
        let printed = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc";
        let new = Some("abc".to_owned());
        assert_eq!(mended("Content-Length: 5\n", "hello", printed), Some(("Content-Length: 5\n".to_owned(), new)));
        // Without any, it comes last.
        let printed = "POST / HTTP/1.1\r\nA: b\r\n\r\nhello";
        assert_eq!(
            mended("Content-Length: 5\nA: b\n", "hello", printed),
            Some(("A: b\nContent-Length: 5\n".to_owned(), None))
        );
    }

    #[test]
    fn a_length_that_does_not_fit_is_not_believed() {
        let with = |length: &str, body: &str| {
            let printed = format!("POST / HTTP/1.1\r\n{length}\r\n{body}");
            mended("Content-Length: 5\n", "hello", &printed).unwrap().1
        };
        let other = |body: &str| Some(body.to_owned());
        assert_eq!(with("Content-Length: 5\r\n", "hello, world"), other("hello, world"));
        assert_eq!(with("Content-Length: 5\r\n", "hi"), other("hi"));
        assert_eq!(with("Content-Length: 1\r\n", "\u{e9}"), other("\u{e9}"));
        assert_eq!(with("Content-Length: x\r\n", "hell"), other("hell"));
        assert_eq!(with("Content-Length: 4\r\nContent-Length: 5\r\n", "hell"), other("hell"));
        assert_eq!(with("", "hell"), other("hell"));
        assert_eq!(with("Content-Length: 5\r\n", ""), other(""));
    }

    #[test]
    fn line_ends_behind_the_body_are_a_shells() {
        let (sent, length) = ("Content-Length: 5\n", "Content-Length: 5\r\n");
        for behind in ["\n", "\r\n", "\n\n"] {
            for (length, body) in [(length, "hello"), ("", "hello")] {
                let printed = format!("POST / HTTP/1.1\r\n{length}\r\n{body}{behind}");
                assert_eq!(mended(sent, "hello", &printed).unwrap().1, None, "{printed:?}");
            }
            let printed = format!("POST / HTTP/1.1\r\nA: b\r\n\r\n{behind}");
            assert_eq!(mended("A: b\n", "", &printed), Some(("A: b\n".to_owned(), None)));
            // And those that it takes away.
            let printed = format!("POST / HTTP/1.1\r\nA: b{behind}");
            assert_eq!(mended("A: b\n", "", &printed), Some(("A: b\n".to_owned(), None)));
        }
        // One of the body's own stays, and so it does where the length is the old one.
        let with = |body: &str| {
            let printed = format!("POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\n{body}");
            mended("Content-Length: 6\n", "hello\n", &printed).unwrap().1
        };
        assert_eq!((with("hello\n"), with("hello\n\n")), (None, None));
        assert_eq!((with("hollow\n"), with("ho\n")), (Some("hollow\n".to_owned()), Some("ho\n".to_owned())));
    }

    #[test]
    fn what_is_no_message_any_more_is_refused() {
        for printed in ["", "\n", "hello", "HTTP/1.1 200 OK\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
            assert_eq!(mended("A: b\n", "", printed), None, "{printed:?}");
        }
        let odd = RequestHead::parse_lenient(&"GET / HTTP/1.1\r\nno colon\r\n\r\n".into()).unwrap();
        let printed = of_request(&odd, b"");
        assert_eq!(request(&printed, &odd, &Bytes::new()), Some((odd, None)), "what was odd may be");
        let sent = ResponseHead::parse(&"HTTP/1.1 200 OK\r\n\r\n".into()).unwrap().unwrap().0;
        let printed = Bytes::from("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\nlater");
        let (head, body) = response(&printed, &sent, &"ok".into()).unwrap();
        assert_eq!(
            (head.status, &head.reason[..], head.headers.len(), body),
            (503, &b"Busy"[..], 1, Some("later".into()))
        );
        assert_eq!(response(&"GET / HTTP/1.1\r\n\r\n".into(), &sent, &Bytes::new()), None);
    }
}
