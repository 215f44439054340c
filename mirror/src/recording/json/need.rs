//! What a record takes as JSON, at most.

use bytes::Bytes;

use super::text::{base64_length, escapes};
use super::{Answer, Field};
use crate::recording::plain::Need;
use crate::recording::{Record, RecordedAnswer, RecordedMessage, RecordedResponse};

/// The keys of a record, of a message or of an answer, with all that is between them and what is of one length or nearly.
const KEYS: usize = 1024;

/// The keys of a line's name and value, both as text and as base64.
const LINE: usize = 96;

/// That of a record as a line.
pub(in crate::recording) fn of_record(record: &Record) -> Need {
    let request = &record.request;
    let words = [&request.method[..], &request.target, &request.version, record.source.as_bytes()];
    let mut need = of_words(words) + of_words([record.aborted.as_deref().unwrap_or_default().as_bytes()]);
    need += of_message(&request.message);
    if let Some(response) = &record.response {
        need += of_response(response);
    }
    need + of_answers(&record.answers)
}

/// That of all answers.
pub(in crate::recording) fn of_answers(answers: &[RecordedAnswer]) -> Need {
    let mut need = Need { output: 0, beside: size_of::<Answer<'_>>() * answers.len() };
    for answer in answers {
        need += of_words([answer.target.as_bytes(), answer.outcome.as_bytes()]);
        if let Some(response) = &answer.response {
            need += of_response(response);
        }
    }
    need
}

fn of_response(response: &RecordedResponse) -> Need {
    of_words([&response.version[..], &response.reason]) + of_message(&response.message)
}

fn of_message(message: &RecordedMessage) -> Need {
    let truncated = message.truncated.as_deref().unwrap_or_default();
    let lines = of_lines(&message.headers) + of_lines(&message.trailers);
    of_words([truncated.as_bytes()]) + lines + of_body(&message.body)
}

/// Short texts, each with its keys.
fn of_words<const N: usize>(words: [&[u8]; N]) -> Need {
    let length: usize = words.iter().map(|word| word.len()).sum();
    of_text(length) + Need { output: KEYS, beside: KEYS }
}

/// What so many bytes of text take at most: six bytes for each, or their base64, which is made first.
fn of_text(length: usize) -> Need {
    Need { output: 6 * length, beside: 2 * length }
}

/// That of lines.
pub(in crate::recording) fn of_lines(lines: &[(Bytes, Bytes)]) -> Need {
    let length: usize = lines.iter().map(|(name, value)| name.len() + value.len()).sum();
    // Base64 is rounded up.
    let each = Need { output: LINE, beside: size_of::<Field<'_>>() + 16 };
    of_text(length) + Need { output: each.output * lines.len(), beside: each.beside * lines.len() }
}

/// That of a body, without its keys. It is put together where it is in pieces.
pub(in crate::recording) fn of_body(body: &[Bytes]) -> Need {
    let length: usize = body.iter().map(Bytes::len).sum();
    let escapes: usize = body.iter().map(|piece| escapes(piece)).sum();
    let as_text = if escapes <= length { length + escapes } else { 0 };
    let base64 = base64_length(length);
    Need { output: base64.max(as_text), beside: base64 + if body.len() > 1 { length } else { 0 } }
}
