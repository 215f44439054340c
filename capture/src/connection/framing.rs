//! Where a message that passes by ends: RFC 9112 §6.3, with an opinion on heads that two readers could read differently.
//!
//! The shadow sink refuses such heads, so that nothing is smuggled past it. A bystander has to go on: it follows the reading that the
//! RFC gives and marks the exchange; where there is none it gives the message up. Only here it is told what is ambiguous, and all that
//! comes after goes by that.

use mirror::http1::Framing;

use super::head::{Method, fields};

/// How a message ends, and whether every reader would agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// How it ends.
    pub(super) framing: Framing,
    /// Other readers may see it end elsewhere.
    pub(super) ambiguous: bool,
}

/// The RFC knows no end of this message: a server has to refuse it and close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// What the header lines say about the body.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    lengths: usize,
    bad_length: bool,
    coding: bool,
    chunked_last: bool,
    chunked_count: usize,
    odd: bool,
    spaced: bool,
}

/// The framing of a request's body; `lines` is its head without the request line.
pub(super) fn of_request(lines: &[u8], minor: u8) -> Result<Reading, Unreadable> {
    let said = listen(lines);
    if said.spaced {
        return Err(Unreadable);
    }
    match said.coding {
        true if said.chunked_last => Ok(said.chunked(minor)),
        true => Err(Unreadable),
        false if said.bad_length => Err(Unreadable),
        false => Ok(said.by_length(Framing::None)),
    }
}

/// The framing of a response's body to a request of this method; `lines` is its head without the status line.
pub(super) fn of_response(lines: &[u8], minor: u8, status: u16, method: Method) -> Result<Reading, Unreadable> {
    let tunnel = method == Method::Connect && matches!(status, 200..=299);
    if method == Method::Head || tunnel || matches!(status, 100..=199 | 204 | 304) {
        return Ok(Reading { framing: Framing::None, ambiguous: false });
    }
    let said = listen(lines);
    match said.coding {
        true if said.chunked_last => Ok(said.chunked(minor)),
        true => Ok(Reading { framing: Framing::Close, ambiguous: said.odd || said.lengths > 0 }),
        false if said.bad_length => Err(Unreadable),
        false => Ok(said.by_length(Framing::Close)),
    }
}

impl Said {
    fn chunked(&self, minor: u8) -> Reading {
        // RFC 9112 §6.1: with Content-Length, or in HTTP/1.0, or twice chunked, somebody else may read otherwise.
        let ambiguous = self.odd || self.spaced || self.lengths > 0 || self.chunked_count > 1 || minor == 0;
        Reading { framing: Framing::Chunked, ambiguous }
    }

    fn by_length(&self, without: Framing) -> Reading {
        let framing = match self.length {
            None => without,
            Some(0) => Framing::None,
            Some(n) => Framing::Length(n),
        };
        Reading { framing, ambiguous: self.odd || self.spaced || self.lengths > 1 }
    }
}

fn listen(lines: &[u8]) -> Said {
    let mut said = Said::default();
    for field in fields(lines) {
        // Told apart by length first: most lines are neither.
        match field.name.len() {
            14 if field.name.eq_ignore_ascii_case(b"content-length") => {
                for member in field.value.split(|&b| b == b',') {
                    said.lengths += 1;
                    match number(member.trim_ascii()) {
                        Some(n) if said.length.is_none_or(|other| other == n) => said.length = Some(n),
                        _ => said.bad_length = true,
                    }
                }
            }
            17 if field.name.eq_ignore_ascii_case(b"transfer-encoding") => {
                // Empty list members count for nothing (RFC 9110 §5.6.1.2).
                for coding in field.value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|c| !c.is_empty()) {
                    if coding.eq_ignore_ascii_case(b"identity") && !said.coding {
                        // RFC 2616's name for no coding; gone since, and some still send it.
                        said.odd = true;
                        continue;
                    }
                    said.coding = true;
                    said.chunked_last = coding.eq_ignore_ascii_case(b"chunked");
                    said.chunked_count += usize::from(said.chunked_last);
                }
                said.odd |= field.value.split(|&b| b == b',').any(|member| member.trim_ascii().is_empty());
            }
            _ => {
                said.odd |= field.hides(b"content-length".len(), is_about_framing);
                continue;
            }
        }
        said.odd |= field.folded;
        said.spaced |= field.spaced;
    }
    said
}

/// Whether a header that frames is named in what others may read as a line of its own.
fn is_about_framing(bytes: &[u8]) -> bool {
    let names = |name: &[u8]| bytes.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
    names(b"content-length") || names(b"transfer-encoding")
}

/// `1*DIGIT`, in 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    let digit = |b: &u8| b.is_ascii_digit().then(|| u64::from(b - b'0'));
    match digits {
        [] => None,
        digits => digits.iter().try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(digit(b)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sure(framing: Framing) -> Result<Reading, Unreadable> {
        Ok(Reading { framing, ambiguous: false })
    }

    const fn doubtful(framing: Framing) -> Result<Reading, Unreadable> {
        Ok(Reading { framing, ambiguous: true })
    }

    #[test]
    fn of_requests() {
        for (lines, minor, reading) in [
            ("", 1, sure(Framing::None)),
            ("content-LENGTH:5\n", 1, sure(Framing::Length(5))),
            ("Content-Length: 00000000000000000000000000000050\r\n", 1, sure(Framing::Length(50))),
            ("Content-Length: 0\r\n", 1, sure(Framing::None)),
            ("Content-Length: 5, 5\r\n", 1, doubtful(Framing::Length(5))),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", 1, Err(Unreadable)),
            ("Content-Length: -1\r\n", 1, Err(Unreadable)),
            ("Content-Length: 18446744073709551616\r\n", 1, Err(Unreadable)),
            ("Content-Length : 5\r\n", 1, Err(Unreadable)),
            ("X : 5\r\nContent-Length: 5\r\n", 1, sure(Framing::Length(5))),
            ("Transfer-Encoding: gzip, Chunked\r\n", 1, sure(Framing::Chunked)),
            ("Transfer-Encoding: chunked\r\n", 0, doubtful(Framing::Chunked)),
            ("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", 1, doubtful(Framing::Chunked)),
            ("Transfer-Encoding: ,\tchunked,\r\n", 1, doubtful(Framing::Chunked)),
            ("Transfer-Encoding:\r\n chunked\r\n", 1, doubtful(Framing::Chunked)),
            ("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", 1, doubtful(Framing::Length(3))),
            ("Transfer-Encoding: chunked, identity\r\n", 1, Err(Unreadable)),
            ("Transfer-Encoding: xchunked\r\n", 1, Err(Unreadable)),
            ("X: a\r\n b\r\n", 1, sure(Framing::None)),
            ("X: a\r\n Transfer-Encoding: chunked\r\n", 1, doubtful(Framing::None)),
            ("X: a\rCONTENT-LENGTH: 5\r\n", 1, doubtful(Framing::None)),
            ("X: a\0Content-Length: 5\r\n", 1, doubtful(Framing::None)),
            ("Transfer-Encoding chunked\r\nContent-Length: 5\r\n", 1, doubtful(Framing::Length(5))),
            ("Transfer-Encoding\x0b: chunked\r\n", 1, doubtful(Framing::None)),
            ("Access-Control-Expose-Headers: Content-Length\r\n", 1, sure(Framing::None)),
            ("X-Content-Length: 5\r\nno colon\r\n", 1, sure(Framing::None)),
            (" Transfer-Encoding: chunked\r\n", 1, Err(Unreadable)),
        ] {
            assert_eq!(of_request(lines.as_bytes(), minor), reading, "{lines:?}");
        }
    }

    #[test]
    fn of_responses() {
        let other = Method::Other;
        for (lines, status, method, reading) in [
            ("", 200, other, sure(Framing::Close)),
            ("Content-Length: 7\r\n", 200, other, sure(Framing::Length(7))),
            ("Content-Length: 7\r\n", 200, Method::Head, sure(Framing::None)),
            ("Content-Length: 7\r\n", 304, other, sure(Framing::None)),
            ("Content-Length: 7, 7\r\n", 200, Method::Connect, sure(Framing::None)),
            ("Transfer-Encoding: gzip\r\n", 200, other, sure(Framing::Close)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", 200, other, doubtful(Framing::Chunked)),
            ("Content-Length: x\r\n", 200, other, Err(Unreadable)),
        ] {
            assert_eq!(of_response(lines.as_bytes(), 1, status, method), reading, "{status} {lines:?}");
        }
    }
}
