//! What holds whatever is said on a connection. Shared by the property test and the fuzz target.

use super::plain;
use super::seen::{Kind, Line, Part, Told, play};
use crate::runs::Runs;

/// Every byte that is told passed, once, in this order; every exchange ends; bodies are as long as their heads say.
///
/// # Panics
/// When it is not so.
pub(super) fn nothing_is_invented(midstream: bool, lines: &[Line]) {
    let told = play(midstream, lines, |_, bytes| vec![bytes]);
    for from_client in [true, false] {
        let mut sent = Runs::default();
        for line in lines {
            match line {
                Line::Data(client, bytes) if *client == from_client => sent.data(bytes),
                Line::Gap(client, _) if *client == from_client => sent.gap(),
                _ => {}
            }
        }
        for Part { kind, bytes, .. } in told.parts.borrow().iter().filter(|part| part.from_client == from_client) {
            // Small chunks are brought together.
            let taken = if *kind == Kind::Body { sent.take_scattered(bytes) } else { sent.take(bytes) };
            assert!(taken, "{:?} was not sent there", bytes.escape_ascii().to_string());
        }
        let trailers: Vec<_> =
            told.exchanges.iter().filter_map(|seen| seen.borrow().response_trailers.clone()).collect();
        assert!(from_client || trailers.iter().all(|trailers| sent.has(trailers)), "trailers that were not sent");
        accounted(lines, &told, from_client);
        let missed = |line: &Line| match line {
            Line::Gap(..) => true,
            Line::GiveUp => told.losses > 0,
            _ => false,
        };
        if !midstream && !lines.iter().any(missed) {
            plain::agrees(lines, &told, from_client);
        }
    }
    for seen in &told.exchanges {
        let seen = seen.borrow();
        assert!(seen.end.is_some(), "an exchange without an end");
        let [began, ended, answered, finished] = seen.times;
        assert!(answered.is_none_or(|at| Some(at) >= began), "answered before it was asked");
        assert!(ended.is_none_or(|at| Some(at) >= began) && finished.is_none_or(|at| Some(at) >= answered.max(ended)));
        plain::lengths(&seen);
    }
    plain::doubts(&told);
}

/// The same bytes, cut otherwise, are told as the same. Where a direction is lost, segments are a hint to where messages begin; and what is kept,
/// and can be given up, is what they cut.
///
/// # Panics
/// When they are not.
pub(super) fn segments_do_not_matter<'a>(lines: &'a [Line], cut: impl Fn(usize, &'a [u8]) -> Vec<&'a [u8]>) {
    if lines.iter().any(|line| matches!(line, Line::GiveUp)) {
        return;
    }
    let whole = play(false, lines, |_, bytes| vec![bytes]);
    let cut = play(false, lines, cut);
    if whole.losses == 0 {
        assert_eq!(cut.losses, 0);
        assert_eq!(whole.exchanges, cut.exchanges);
        assert_eq!(whole.orphans, cut.orphans);
        assert_eq!(whole.opaque, cut.opaque);
    }
}

/// No byte is both of a message and of none.
fn accounted(lines: &[Line], told: &Told, from_client: bool) {
    let parts = told.parts.borrow();
    let parts: usize = parts.iter().filter(|part| part.from_client == from_client).map(|part| part.bytes.len()).sum();
    let opaque = if from_client { told.opaque.0 } else { told.opaque.1 };
    let passed = lines.iter().map(|line| match line {
        Line::Data(client, bytes) if *client == from_client => bytes.len() as u64,
        Line::Gap(client, missing) if *client == from_client => *missing,
        _ => 0,
    });
    assert!(parts as u64 + opaque <= passed.sum(), "{parts} told and {opaque} opaque");
}
