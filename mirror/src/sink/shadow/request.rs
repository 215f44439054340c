//! Turns a request's head into the copy's head: the same lines in the same order and case, but for what belongs to one hop.

use bytes::{Bytes, BytesMut};

use crate::config::{HostPolicy, MarkerConfig, Target};
use crate::http1::{Framing, FramingError, Header, RequestHead, push_line, request_framing};

/// A copy ready to be sent.
#[derive(Debug)]
pub(super) struct Request {
    /// The head's bytes, its empty line included.
    pub(super) head: Bytes,
    /// How its body is framed towards the target.
    pub(super) framing: Framing,
    pub(super) method: Bytes,
    /// Whether sending it twice is the same as once (RFC 9110 §9.2.2).
    pub(super) idempotent: bool,
}

/// Headers of one hop (RFC 9110 §7.6.1 and what is in use beside it). What `Connection` names goes too.
const HOP_BY_HOP: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// Encodes the copy.
///
/// # Errors
/// When the request's framing is ambiguous; sending it on could smuggle a request to the target.
pub(super) fn encode(
    head: &RequestHead,
    target: &Target,
    host: &HostPolicy,
    marker: &MarkerConfig,
) -> Result<Request, FramingError> {
    let framing = request_framing(head)?;
    let names_hops = head.headers.get("connection").is_some();
    let upgrade =
        names_hops && head.headers.has_token("connection", "upgrade") && head.headers.get("upgrade").is_some();
    let authority = match host {
        HostPolicy::Original => None,
        HostPolicy::Target => Some(target.authority()),
        HostPolicy::Literal(host) => Some(host.clone()),
    };

    let mut wire = BytesMut::with_capacity(head.target.len() + 256 + head.headers.len() * 48);
    wire.extend_from_slice(&head.method);
    wire.extend_from_slice(b" ");
    push_target(&mut wire, head, target, authority.is_some());
    wire.extend_from_slice(b" HTTP/1.1\r\n");

    let (mut has_host, mut has_framing) = (false, false);
    for Header { name, value } in &head.headers {
        if name.eq_ignore_ascii_case(b"host") {
            has_host = true;
            push_line(&mut wire, name, authority.as_deref().map_or(&value[..], str::as_bytes));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // In its place, once; what other codings it named have been left on the body by the source.
            if framing == Framing::Chunked && !std::mem::replace(&mut has_framing, true) {
                push_line(&mut wire, name, b"chunked");
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            // Once, and as a number: the same length twice, or as a list, is one that somebody may read otherwise.
            if framing != Framing::Chunked && !std::mem::replace(&mut has_framing, true) {
                let length = if let Framing::Length(length) = framing { length } else { 0 };
                push_line(&mut wire, name, length.to_string().as_bytes());
            }
        } else if upgrade && (name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"upgrade")) {
            // The handshake is shadowed; the tunnel behind it is not.
            push_line(&mut wire, name, value);
        } else if !is_hop_by_hop(head, names_hops, name) {
            push_line(&mut wire, name, value);
        }
    }
    if !has_host {
        push_line(&mut wire, b"Host", authority.unwrap_or_else(|| target.authority()).as_bytes());
    }
    if let MarkerConfig::Header { name, value } = marker {
        push_line(&mut wire, name.as_bytes(), value.as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    Ok(Request {
        head: wire.freeze(),
        framing,
        method: head.method.clone(),
        idempotent: matches!(&head.method[..], b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"),
    })
}

/// `names_hops`: whether there is a `Connection` that could name it.
fn is_hop_by_hop(head: &RequestHead, names_hops: bool, name: &[u8]) -> bool {
    let named = || std::str::from_utf8(name).is_ok_and(|name| head.headers.has_token("connection", name));
    HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop.as_bytes())) || names_hops && named()
}

/// The request target, behind the target's prefix. An absolute-form one keeps its form unless prefix or host would contradict
/// its authority.
fn push_target(wire: &mut BytesMut, head: &RequestHead, target: &Target, other_host: bool) {
    let prefix = target.prefix();
    let sent = &head.target[..];
    let path = match origin_form(sent) {
        Some(path) if !prefix.is_empty() || other_host => path,
        _ if sent.starts_with(b"/") => sent,
        _ => return wire.extend_from_slice(sent),
    };
    wire.extend_from_slice(prefix.as_bytes());
    if !path.starts_with(b"/") && !path.is_empty() {
        wire.extend_from_slice(b"/");
    }
    wire.extend_from_slice(if path.is_empty() && prefix.is_empty() { b"/" } else { path });
}

/// The path and query of an absolute-form target.
fn origin_form(target: &[u8]) -> Option<&[u8]> {
    let scheme = target.windows(3).position(|w| w == b"://")?;
    if !target[..scheme].iter().all(u8::is_ascii_alphanumeric) || scheme == 0 {
        return None;
    }
    let rest = &target[scheme + 3..];
    Some(&rest[rest.iter().position(|&b| matches!(b, b'/' | b'?')).unwrap_or(rest.len())..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(wire: &str, target: &str, host: HostPolicy) -> String {
        let head = RequestHead::parse(&Bytes::from(wire.replace('\n', "\r\n") + "\r\n")).unwrap();
        let request = encode(&head, &target.parse().unwrap(), &host, &MarkerConfig::default()).unwrap();
        String::from_utf8(request.head.to_vec()).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn all_is_kept_but_what_belongs_to_one_hop() {
        assert_eq!(
            copy(
                "PROPFIND /a?b=%20 HTTP/1.1\nhOsT: app\nX-B: 2\nConnection: keep-alive, X-Hop\nx-b: 1\nX-Hop: 1\nKeep-Alive: 5\nTE: trailers\nAccept:\n",
                ":1",
                HostPolicy::Original
            ),
            "PROPFIND /a?b=%20 HTTP/1.1\nhOsT: app\nX-B: 2\nx-b: 1\nAccept: \nx-mirror-shadow: 1\n\n"
        );
    }

    #[test]
    fn framing_is_sent_once_and_unambiguously() {
        assert_eq!(
            copy(
                "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: gzip, chunked\n",
                ":1",
                HostPolicy::Original
            ),
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nx-mirror-shadow: 1\n\n"
        );
        assert_eq!(
            copy("POST / HTTP/1.1\nHost: a\nContent-Length: 5\ncontent-length: 5\n", ":1", HostPolicy::Original),
            "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nx-mirror-shadow: 1\n\n"
        );
    }

    #[test]
    fn a_length_given_as_a_list_becomes_a_number() {
        assert_eq!(
            copy("POST / HTTP/1.1\nHost: a\nContent-Length: 5, 5\n", ":1", HostPolicy::Original),
            "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nx-mirror-shadow: 1\n\n"
        );
    }

    #[test]
    fn hosts_and_prefixes() {
        for (line, target, host, expected) in [
            ("GET /p?q HTTP/1.1\nHost: a", "http://t:9/base/", HostPolicy::Original, "GET /base/p?q HTTP/1.1\nHost: a"),
            ("GET /p HTTP/1.1\nHost: a", "http://t:9", HostPolicy::Target, "GET /p HTTP/1.1\nHost: t:9"),
            ("GET /p HTTP/1.1\nHost: a", "http://t", HostPolicy::Literal("x".into()), "GET /p HTTP/1.1\nHost: x"),
            ("GET /p HTTP/1.0\nA: b", "http://t:9", HostPolicy::Original, "GET /p HTTP/1.1\nA: b\nHost: t:9"),
            ("OPTIONS * HTTP/1.1\nHost: a", "http://t/base", HostPolicy::Original, "OPTIONS * HTTP/1.1\nHost: a"),
            ("GET http://a/p HTTP/1.1\nHost: a", ":1", HostPolicy::Original, "GET http://a/p HTTP/1.1\nHost: a"),
            ("GET http://a/p?x HTTP/1.1\nHost: a", "http://t/b", HostPolicy::Original, "GET /b/p?x HTTP/1.1\nHost: a"),
            ("GET http://a?x HTTP/1.1\nHost: a", ":1", HostPolicy::Target, "GET /?x HTTP/1.1\nHost: 127.0.0.1:1"),
        ] {
            assert_eq!(
                copy(&format!("{line}\n"), target, host),
                format!("{expected}\nx-mirror-shadow: 1\n\n"),
                "{line}"
            );
        }
    }

    #[test]
    fn an_upgrade_keeps_its_handshake() {
        let sent = "GET /ws HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: x\n";
        assert_eq!(copy(sent, ":1", HostPolicy::Original), format!("{sent}x-mirror-shadow: 1\n\n"));
    }
}
