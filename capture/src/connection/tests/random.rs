//! Random bytes: no panic, no message that is not in the bytes, and the same whatever the segments.

use proptest::prelude::*;

use super::holds;
use super::seen::Line;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_invented(midstream: bool, lines in prop::collection::vec(line(), 0..12)) {
        holds::nothing_is_invented(midstream, &lines);
    }

    #[test]
    fn segments_do_not_matter(lines in prop::collection::vec(line(), 0..12), step in 1..20usize) {
        holds::segments_do_not_matter(&lines, |_, bytes| bytes.chunks(step).collect());
    }
}

#[test]
fn what_waits_behind_a_refused_connect_is_read_before_its_answer() {
    for (behind, answer, exchanges) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..], 2),
        (b"\x16\x03\x01 is no request", b"\x16\x03\x01 and no response", 1),
    ] {
        let connect = Line::Data(true, [b"CONNECT a:1 HTTP/1.1\r\n\r\n", behind].concat());
        let refused = Line::Data(false, [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", answer].concat());
        let lines = [connect, refused];
        let told = super::seen::play(false, &lines, |_, bytes| vec![bytes]);
        assert_eq!((told.exchanges.len(), told.orphans.len()), (exchanges, 0));
        (1..40).for_each(|step| holds::segments_do_not_matter(&lines, |_, bytes| bytes.chunks(step).collect()));
    }
}
