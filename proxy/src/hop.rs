//! What belongs to one connection and not to the message: RFC 9110 §7.6.1, RFC 9112 §6 and §9.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

/// Headers of one hop that an answer may have beside those that its `Connection` names.
const HOP_BY_HOP: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Makes an answer the downstream's: what the upstream said of its own connection is taken off, and a client of HTTP/1.0, which does not
/// know chunks, gets a body that ends with the connection. Gives whether it has to.
pub(crate) fn answer(head: &mut ResponseHeader, client: Version) -> bool {
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        let named: Vec<HeaderName> = head
            .headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // `close` and `keep-alive` are no headers, and what frames the message is not the connection's to take away.
            .filter(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE].contains(name))
            .collect();
        for name in named {
            head.remove_header(&name);
        }
        for name in HOP_BY_HOP {
            head.remove_header(name);
        }
    }
    client == Version::HTTP_10 && head.remove_header(&TRANSFER_ENCODING).is_some()
}

/// Lets a request of HTTP/1.0 without a Host be one: pingora makes HTTP/1.1 of it, which has to have one (RFC 9112 §3.2), and is refused.
pub(crate) fn old(request: &mut RequestHeader, client: Version) {
    if client == Version::HTTP_10 && !request.headers.contains_key(HOST) {
        request.set_version(Version::HTTP_10);
    }
}

/// Makes a request's length one number. pingora lets the same one pass twice, or as a list.
///
/// # Errors
/// Never: a number is a header value.
pub(crate) fn one_length(request: &mut RequestHeader) -> Result<()> {
    let mut lengths = request.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    let list = first.as_bytes().contains(&b',');
    if lengths.next().is_none() && !list {
        return Ok(());
    }
    // All members are the same: others were refused.
    let number = first.to_str().ok().and_then(|value| value.split(',').next()).unwrap_or_default().trim().to_owned();
    request.insert_header(CONTENT_LENGTH, number)
}
