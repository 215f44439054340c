//! Transcripts of one direction. What comes out is written as text: bytes as they are, `[3]` for a gap of three, `.` for a FIN, `!` for a RST.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;

struct Stream {
    reassembly: Reassembly,
    counters: Counters,
    said: String,
    now: Duration,
}

const LIMIT: usize = 16 << 10;
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

pub(super) fn plain(sequence: u32, payload: &[u8]) -> Segment<'_> {
    Segment {
        time: Duration::ZERO,
        from: NOBODY,
        to: NOBODY,
        sequence,
        acknowledgment: None,
        syn: false,
        fin: false,
        rst: false,
        payload,
        missing: 0,
    }
}

impl Stream {
    fn unseen() -> Self {
        Self {
            reassembly: Reassembly::new(LIMIT),
            counters: Counters::default(),
            said: String::new(),
            now: Duration::ZERO,
        }
    }

    /// The first byte has the sequence number 100, and the other side is heard.
    fn open() -> Self {
        let mut stream = Self::unseen();
        stream.reassembly.begin(100);
        stream.ack(100);
        stream
    }

    fn step(
        &mut self,
        step: impl FnOnce(&mut Reassembly, Duration, &mut Counters, &mut dyn FnMut(Piece<'_>)),
    ) -> &mut Self {
        self.now += Duration::from_millis(1);
        let said = &mut self.said;
        let mut emit = |piece: Piece<'_>| match piece {
            Piece::Data(bytes, _) => said.push_str(&String::from_utf8_lossy(bytes)),
            Piece::Gap(length, _) => write!(said, "[{length}]").unwrap(),
            Piece::End { reset, .. } => said.push(if reset { '!' } else { '.' }),
        };
        step(&mut self.reassembly, self.now, &mut self.counters, &mut emit);
        self
    }

    fn take(&mut self, segment: Segment<'_>) -> &mut Self {
        self.step(|stream, time, counters, mut emit| stream.segment(&Segment { time, ..segment }, counters, &mut emit))
    }

    fn data(&mut self, sequence: u32, bytes: &str) -> &mut Self {
        self.take(plain(sequence, bytes.as_bytes()))
    }

    fn fin(&mut self, sequence: u32, bytes: &str) -> &mut Self {
        self.take(Segment { fin: true, ..plain(sequence, bytes.as_bytes()) })
    }

    fn ack(&mut self, number: u32) -> &mut Self {
        self.step(|stream, at, counters, mut emit| stream.acknowledge(number, at, counters, &mut emit))
    }

    fn says(&mut self, said: &str) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.said), said);
        self
    }
}

#[test]
fn in_order() {
    let mut stream = Stream::open();
    stream.data(100, "ab").says("ab").ack(102).data(102, "cd").says("cd").fin(104, "e").says("e.").ack(106).says("");
    assert!(stream.reassembly.ended());
    assert_eq!(stream.counters, Counters::default());
}

#[test]
fn any_order() {
    let mut stream = Stream::open();
    stream.fin(106, "gh").data(104, "ef").data(102, "cd").says("").data(100, "ab").says("abcdefgh.");
    assert_eq!(stream.counters.out_of_order, 3);
    assert_eq!(stream.reassembly.held(), 0);
}

#[test]
fn retransmissions_and_overlap() {
    let mut stream = Stream::open();
    stream.data(100, "abcd").data(100, "abcd").data(102, "cdef").says("abcdef").data(104, "ef").says("");
    assert_eq!(stream.counters.repeated_bytes, 4 + 2 + 2);
}

#[test]
fn the_first_copy_wins() {
    let mut stream = Stream::open();
    stream
        .data(102, "cd")
        .data(106, "gh")
        .data(101, "BCDEFGHI")
        .data(108, "i")
        .says("")
        .data(100, "aX")
        .says("aBcdEFghI");
    assert_eq!(stream.counters.differing_overlaps, 4, "cd, gh, the first I and i, B and X");
}

#[test]
fn keep_alive_probes_and_window_probes() {
    let mut stream = Stream::open();
    stream.data(100, "ab").ack(102).says("ab");
    // The byte before the next, or none there; and a byte that did not fit and comes again.
    stream.data(101, "").ack(102).data(101, "b").ack(102).says("");
    stream.data(102, "c").ack(102).says("c").data(102, "cd").ack(104).data(104, "").says("d");
    assert_eq!((stream.counters.gaps, stream.counters.repeated_bytes), (0, 2));
}

#[test]
fn numbers_wrap() {
    let mut stream = Stream::unseen();
    stream.reassembly.begin(u32::MAX - 1);
    stream.data(2, "ef").data(u32::MAX, "bcd").says("").data(u32::MAX - 1, "a").says("abcdef");
    stream.ack(4).data(6, "ij").ack(8).says("[2]ij");
}

#[test]
fn fast_open_and_syn_again() {
    let mut stream = Stream::unseen();
    let syn = Segment { syn: true, ..plain(99, b"ab") };
    stream.take(syn).says("ab").take(syn).take(Segment { payload: b"", ..syn }).data(100, "abcd").says("cd");
}

#[test]
fn a_loss_is_told_by_an_acknowledgment_of_what_follows() {
    let mut stream = Stream::open();
    stream.data(100, "ab").data(104, "ef").ack(102).ack(102).says("ab").ack(106).says("[2]ef");
    assert_eq!((stream.counters.gaps, stream.counters.lost_bytes), (1, 2));
    // What comes after all is late.
    stream.data(102, "cd").says("").data(106, "gh").says("gh");
}

#[test]
fn an_acknowledgment_may_come_before_its_data() {
    let mut stream = Stream::open();
    stream.ack(102).ack(104).says("").data(100, "ab").data(102, "cd").says("abcd").ack(106).data(104, "ef").says("ef");
    // Even where the data was out of order.
    stream.data(108, "ij").ack(108).data(106, "gh").says("ghij");
    assert_eq!(stream.counters.gaps, 0);
}

#[test]
fn a_loss_is_told_by_the_senders_next_segment() {
    let mut stream = Stream::open();
    // A lost request: the response acknowledges it, and the client the response.
    stream.ack(110).says("").data(110, "").says("[10]").data(110, "next").says("next");
    // Not by a segment from before the loss.
    stream.ack(120).data(114, "").says("").data(120, "x").says("[6]x");
}

#[test]
fn a_loss_is_told_by_the_other_side_alone() {
    let mut stream = Stream::open();
    for _ in 1..ACKNOWLEDGED_AGAIN {
        stream.ack(110).says("");
    }
    stream.ack(110).says("[10]");
}

#[test]
fn a_lost_fin_is_no_lost_byte() {
    let mut stream = Stream::open();
    stream.data(100, "ab").ack(103).data(103, "").ack(103).ack(103).says("ab");
    stream.step(|stream, at, counters, mut emit| stream.close(at, counters, &mut emit)).says("");
    let mut stream = Stream::open();
    stream.data(100, "ab").ack(103).data(103, "d").says("ab[1]d");
}

#[test]
fn a_fin_behind_a_loss() {
    let mut stream = Stream::open();
    stream.data(100, "ab").fin(104, "").says("ab").ack(105).says("[2].");
    let mut stream = Stream::open();
    stream.data(102, "cd").fin(106, "").ack(100).says("").ack(107).says("[2]cd[2].");
}

#[test]
fn a_fin_before_other_bytes() {
    // What the other side acknowledges tells which of them is forged.
    let mut stream = Stream::open();
    stream.fin(104, "").data(106, "gh").data(104, "ef").data(102, "cd").data(100, "ab").says("abcd.");
    let mut stream = Stream::open();
    stream.fin(104, "").data(100, "ab").ack(106).data(102, "cd").data(104, "ef").says("abcdef").fin(106, "").says(".");
    assert_eq!((stream.counters.foreign, stream.counters.gaps), (1, 0));
    let mut stream = Stream::open();
    stream.data(104, "ef").data(9_000_000, "x").data(100, "ab").fin(102, "cd").says("abcd.");
    assert_eq!((stream.counters.foreign, stream.reassembly.held()), (2, 0));
    // The snapshot length cut the segment with the FIN.
    let mut stream = Stream::open();
    stream.fin(103, "ef").take(Segment { missing: 1, fin: true, ..plain(100, b"ab") }).says("ab[1].");
    assert_eq!((stream.counters.foreign, stream.reassembly.held()), (1, 0));
}

#[test]
fn the_snapshot_length_cuts_payloads() {
    let mut stream = Stream::open();
    stream.take(Segment { missing: 3, ..plain(100, b"ab") }).says("ab[3]");
    stream.take(Segment { missing: 2, fin: true, ..plain(107, b"hi") }).says("").data(105, "fg").says("fghi[2].");
    assert_eq!((stream.counters.gaps, stream.counters.lost_bytes), (2, 5));
}

#[test]
fn open_before_the_capture() {
    let mut stream = Stream::unseen();
    stream.data(500, "").says("").data(500, "ab").data(502, "c").says("abc");
    // What the other side waits for is the beginning, if it is near.
    let mut stream = Stream::unseen();
    stream.ack(500).data(503, "de").says("").data(500, "abc").says("abcde");
    let mut stream = Stream::unseen();
    stream.ack(500).data(499, "x").data(500, "ab").says("ab");
    let mut stream = Stream::unseen();
    stream.ack(500).data(0x8000_0000, "ab").says("ab");
}

#[test]
fn without_acknowledgments_a_bound_tells() {
    let mut stream = Stream::unseen();
    stream.data(0, "a");
    for at in 0..UNHEARD_SEGMENTS as u32 {
        stream.data(10 + at, "b");
    }
    stream.says("a").data(10 + UNHEARD_SEGMENTS as u32, "c").says(&format!("[9]{}c", "b".repeat(UNHEARD_SEGMENTS)));
    assert_eq!(stream.counters.gaps_by_bound, 1);
}

#[test]
fn what_is_held_is_bounded() {
    let mut stream = Stream::open();
    let long = "x".repeat(8000);
    stream.data(1000, &long).data(9000, &long).says("");
    assert!(stream.reassembly.held() <= LIMIT);
    stream.data(17_000, "y").says(&format!("[900]{long}{long}y"));
    // One byte each costs more than one byte.
    for at in 0..1_000_000 {
        stream.data(18_000 + 2 * at, "z");
        assert!(stream.reassembly.held() <= LIMIT);
    }
    assert_eq!(stream.counters.gaps_by_bound, stream.counters.gaps);
}

#[test]
fn the_end_tells_what_is_missing() {
    let mut stream = Stream::open();
    stream.data(102, "cd").data(106, "gh").ack(100).says("");
    stream.step(|stream, at, counters, mut emit| stream.close(at, counters, &mut emit)).says("[2]cd[2]gh");
    // Nothing is sent megabytes ahead of what is acknowledged.
    let mut stream = Stream::open();
    stream.data(100, "ab").data(5_000_000, "x").ack(102).says("ab");
    stream.step(|stream, at, counters, mut emit| stream.close(at, counters, &mut emit)).says("");
    let mut stream = Stream::open();
    stream.data(100, "ab").ack(110).says("ab");
    stream.step(|stream, at, counters, mut emit| stream.reset(at, counters, &mut emit)).says("[8]!");
    stream.data(102, "cd").fin(104, "").says("");
    assert_eq!(stream.counters.late, 1);
}

#[test]
fn resets_that_can_be_and_cannot() {
    let mut stream = Stream::open();
    stream.data(100, "ab").data(104, "ef").ack(102);
    for sequence in [102, 104, 106, 107, 1000] {
        assert!(stream.reassembly.resets(sequence), "{sequence}");
    }
    for sequence in [0, 101, 200_000, 0x8000_0000, u32::MAX] {
        assert!(!stream.reassembly.resets(sequence), "{sequence}");
    }
}

#[test]
fn foreign_segments() {
    let mut stream = Stream::open();
    stream.data(100, "ab").data(0x8000_0000, "xx").ack(0x8000_0000).fin(0x9000_0000, "").data(102, "cd").says("abcd");
    assert_eq!((stream.counters.foreign, stream.counters.gaps), (2, 0));
}
