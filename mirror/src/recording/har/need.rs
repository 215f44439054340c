//! What a record takes as an entry, at most.

use super::decoded::Decoded;
use super::shown::{Cookie, Pair};
use crate::recording::json;
use crate::recording::plain::Need;
use crate::recording::{Record, RecordedMessage};

/// All keys of an entry, with what is of one length or nearly.
const KEYS: Need = Need { output: 4096, beside: 4096 };

/// A cookie or a pair of the query, with its keys. It is made as two strings, which have an allocation each, and put into lists that grow by doubling.
const PAIR: Need = Need { output: 96, beside: 64 + 3 * size_of::<Pair<'_>>() };
const COOKIE: Need = Need { output: 96, beside: 64 + 6 * size_of::<Cookie<'_>>() };

/// That of a record, whose response is decoded already where it can be.
pub(super) fn of_record(record: &Record, decoded: Option<&Decoded>) -> Need {
    let request = &record.request;
    let mut need = KEYS + of_message(&request.message) + json::of_answers(&record.answers);
    // In the URL, in the query, and by itself.
    need += of_text(3 * request.target.len());
    need += times(PAIR, 1 + memchr::memchr_iter(b'&', &request.target).count());
    need += of_text(request.method.len() + request.version.len() + record.source.len());
    need += of_text(record.aborted.as_deref().map_or(0, str::len)) + json::of_body(&request.message.body);
    let Some(response) = &record.response else { return need };
    need += of_message(&response.message) + of_text(response.version.len() + response.reason.len());
    match decoded {
        None => need + json::of_body(&response.message.body),
        Some(Decoded { sent, decoded }) => {
            // The one in base64, whatever it is.
            let base64 = json::base64_length(sent.len());
            need + json::of_body(std::slice::from_ref(decoded)) + Need { output: base64, beside: base64 }
        }
    }
}

/// That of a message but for its body.
fn of_message(message: &RecordedMessage) -> Need {
    let lines = |name: &'static [u8]| message.headers.iter().filter(move |line| line.0.eq_ignore_ascii_case(name));
    let cookies: usize = lines(b"cookie").map(|line| 1 + memchr::memchr_iter(b';', &line.1).count()).sum();
    let length: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let of_cookies = times(COOKIE, cookies + lines(b"set-cookie").count());
    let truncated = message.truncated.as_deref().map_or(0, str::len);
    // By itself with its keys; and once more, as a cookie, in the URL, or as a field's value.
    json::of_lines(&message.headers) + of_text(2 * length + truncated) + of_cookies + json::of_lines(&message.trailers)
}

/// What so many bytes of text take at most: six bytes for each, and in base64; made first, of two bytes for each, as characters and as base64.
fn of_text(length: usize) -> Need {
    Need { output: 8 * length + 8, beside: 4 * length + 8 }
}

fn times(need: Need, count: usize) -> Need {
    Need { output: need.output.saturating_mul(count), beside: need.beside.saturating_mul(count) }
}
