//! Random bytes: no panic, no message that is not in the bytes, and the same whatever the segments.

use proptest::prelude::*;

use super::seen::{Line, play};

/// What a connection is made of, so that random ones come near to sense.
fn words() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST /x HTTP/1.1\r\n",
        b"HEAD / HTTP/1.0\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 304\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 x\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"A: b\r\n",
        b"\x16\x03\x01",
        b"PRI * HTTP/2.0\r\n",
        b" ",
        b"\x00",
    ])
}

fn line() -> impl Strategy<Value = Line> {
    let data = prop::collection::vec(words(), 1..12).prop_map(|words| words.concat());
    prop_oneof![
        12 => (any::<bool>(), data).prop_map(|(client, bytes)| Line::Data(client, bytes)),
        1 => (any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(client, bytes)| Line::Data(client, bytes)),
        1 => (any::<bool>(), 0..20u64).prop_map(|(client, n)| Line::Gap(client, n)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(client, reset)| Line::End(client, reset)),
        1 => (0..2000u64).prop_map(Line::Pause),
        1 => Just(Line::GiveUp),
    ]
}

fn sent(lines: &[Line], from_client: bool) -> Vec<u8> {
    let bytes = lines.iter().filter_map(|line| match line {
        Line::Data(client, bytes) if *client == from_client => Some(&bytes[..]),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

/// Whether `parts` follow each other in `bytes`, in this order.
fn are_in<'a>(bytes: &[u8], parts: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut at = 0;
    parts.into_iter().filter(|part| !part.is_empty()).all(|part| {
        memchr::memmem::find(&bytes[at..], part).is_some_and(|found| {
            at += found + part.len();
            true
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_invented(midstream: bool, lines in prop::collection::vec(line(), 0..12)) {
        let told = play(midstream, &lines, |_, bytes| vec![bytes]);
        let heads: Vec<_> = told.exchanges.iter().map(|seen| seen.borrow().head.clone()).collect();
        let requests = sent(&lines, true);
        prop_assert!(are_in(&requests, heads.iter().map(|head| &head[..])));
        let responses = sent(&lines, false);
        for seen in &told.exchanges {
            let seen = seen.borrow();
            prop_assert!(are_in(&responses, seen.response.iter().map(|head| &head[..])));
            prop_assert!(seen.response_body.len() <= responses.len() && seen.request_body.len() <= requests.len());
        }
    }

    #[test]
    fn segments_do_not_matter(lines in prop::collection::vec(line(), 0..12), step in 1..20usize) {
        let whole = play(false, &lines, |_, bytes| vec![bytes]);
        let cut = play(false, &lines, |_, bytes| bytes.chunks(step).collect());
        // Where a direction is lost they are a hint; and what is kept, and can be given up, is what they cut.
        if whole.losses == 0 && !lines.iter().any(|line| matches!(line, Line::GiveUp)) {
            prop_assert_eq!(whole.lines(), cut.lines());
        }
    }
}
