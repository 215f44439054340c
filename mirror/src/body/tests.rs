use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::budget::Share;

fn bounds(lag: u64, share: usize) -> SlotBounds {
    SlotBounds { lag, share: Share::new(share) }
}

fn body(budget: usize, slots: &[SlotBounds]) -> (BodyWriter, Vec<BodyReader>, Arc<Budget>) {
    let budget = Budget::new(budget);
    let (writer, readers) = BodyWriter::new(slots.iter().cloned(), &budget);
    (writer, readers.collect(), budget)
}

const ROOMY: u64 = 1 << 40;

fn data(chunk: Option<Chunk>) -> Bytes {
    match chunk {
        Some(Chunk::Data(bytes)) => bytes,
        other => panic!("{other:?} is no data"),
    }
}

#[test]
fn a_chunk_is_freed_when_all_have_passed_it() {
    let (mut writer, mut readers, budget) = body(1 << 20, &[bounds(ROOMY, 1 << 20), bounds(ROOMY, 1 << 20)]);
    writer.append(Bytes::from(vec![1; 1000]));
    let (mut slow, mut fast) = (readers.remove(0), readers.remove(0));
    let one = 1000 + CHUNK_OVERHEAD;
    assert_eq!(budget.used(), one);
    let chunk = data(fast.try_next().unwrap());
    fast.done_with(&chunk);
    drop(chunk);
    assert_eq!(budget.used(), one, "the slow one has not passed");
    let chunk = data(slow.try_next().unwrap());
    assert_eq!(budget.used(), one, "it is still in use");
    drop(chunk);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_reader_over_its_bound_is_cut_off_alone_and_what_it_held_is_freed_without_it() {
    let (tight, roomy) = (bounds(3000, 1 << 20), bounds(ROOMY, 1 << 20));
    let (mut writer, readers, budget) = body(1 << 20, &[tight.clone(), roomy.clone()]);
    let [mut behind, mut ahead]: [BodyReader; 2] = readers.try_into().unwrap();
    for _ in 0..3 {
        writer.append(Bytes::from(vec![1; 1000]));
        let chunk = data(ahead.try_next().unwrap());
        ahead.done_with(&chunk);
    }
    // The third chunk took it over 3000. Its task has not run since; nothing is held all the same.
    assert_eq!((budget.used(), tight.share.held()), (0, 0));
    assert_eq!(behind.try_next(), Err(DropReason::Lag));
    writer.append(Bytes::from_static(b"more"));
    assert_eq!(data(ahead.try_next().unwrap()), "more");
    assert_eq!(behind.try_next(), Err(DropReason::Lag));
}

#[test]
fn a_share_bounds_a_sink_over_all_its_bodies() {
    let slot = bounds(ROOMY, 5000);
    let (mut first, mut first_readers, _) = body(1 << 20, std::slice::from_ref(&slot));
    let (mut second, mut second_readers, _) = body(1 << 20, std::slice::from_ref(&slot));
    first.append(Bytes::from(vec![1; 3000]));
    second.append(Bytes::from(vec![1; 3000]));
    assert_eq!(second_readers[0].try_next(), Err(DropReason::Share));
    assert!(first_readers[0].try_next().unwrap().is_some(), "the one within the bound goes on");
    drop((first_readers, second_readers));
    assert_eq!(slot.share.held(), 0);
}

#[test]
fn without_budget_the_body_ends_for_all() {
    let (mut writer, mut readers, budget) = body(2000, &[bounds(ROOMY, 1 << 20)]);
    assert!(writer.append(Bytes::from(vec![1; 1000])));
    assert!(!writer.append(Bytes::from(vec![1; 1000])));
    writer.end(BodyEnd::Complete(None));
    let reader = &mut readers[0];
    let chunk = data(reader.try_next().unwrap());
    reader.done_with(&chunk);
    drop(chunk);
    assert_eq!(reader.try_next().unwrap(), Some(Chunk::End(BodyEnd::Lost(DropReason::Memory))));
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_collector_is_woken_for_much_or_for_the_end_only() {
    let (mut writer, mut readers, _) = body(1 << 20, &[bounds(ROOMY, 1 << 20)]);
    let mut cx = Context::from_waker(Waker::noop());
    let reader = &mut readers[0];
    assert_eq!(reader.poll_behind(&mut cx, 5000), Poll::Pending);
    writer.append(Bytes::from(vec![1; 1000]));
    assert_eq!(reader.poll_behind(&mut cx, 5000), Poll::Pending);
    writer.append(Bytes::from(vec![1; 5000]));
    assert_eq!(reader.poll_behind(&mut cx, 5000), Poll::Ready(Ok(())));
    assert_eq!(reader.poll_behind(&mut cx, 5000), Poll::Ready(Ok(())), "asked again it is still so");
    let _ = reader.try_next();
    let _ = reader.try_next();
    assert_eq!(reader.poll_behind(&mut cx, 5000), Poll::Pending);
    writer.end(BodyEnd::Complete(None));
    assert_eq!(reader.poll_behind(&mut cx, 5000), Poll::Ready(Ok(())));
}

#[test]
fn a_rewind_goes_back_while_what_was_read_is_within_its_bound() {
    let slot = bounds(8000, 1 << 20);
    let (mut writer, mut readers, budget) = body(1 << 20, std::slice::from_ref(&slot));
    let reader = &mut readers[0];
    assert!(!reader.rewind(), "no start was marked");
    reader.mark_start(4000);
    for text in ["one", "two"] {
        writer.append(Bytes::from_static(text.as_bytes()));
        let chunk = data(reader.try_next().unwrap());
        reader.done_with(&chunk);
    }
    assert!(reader.rewind());
    for text in ["one", "two"] {
        let chunk = data(reader.try_next().unwrap());
        assert_eq!(chunk, text);
        reader.done_with(&chunk);
    }
    writer.append(Bytes::from(vec![1; 5000]));
    let chunk = data(reader.try_next().unwrap());
    reader.done_with(&chunk);
    drop(chunk);
    assert!(!reader.rewind());
    assert_eq!((budget.used(), slot.share.held()), (0, 0));
}

#[test]
fn a_very_long_body_is_dropped_without_overflowing_the_stack() {
    let (mut writer, readers, budget) = body(1 << 30, &[bounds(ROOMY, 1 << 30)]);
    for _ in 0..500_000 {
        writer.append(Bytes::from_static(b"x"));
    }
    drop((readers, writer));
    assert_eq!(budget.used(), 0);
}

/// What a source and two readers do, in any order.
#[derive(Debug, Clone)]
enum Op {
    Append(usize),
    Read(usize),
    Rewind(usize),
    Drop(usize),
    End,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0usize..3000).prop_map(Op::Append),
        4 => (0usize..2).prop_map(Op::Read),
        1 => (0usize..2).prop_map(Op::Rewind),
        1 => (0usize..2).prop_map(Op::Drop),
        1 => Just(Op::End),
    ]
}

proptest! {
    /// Whatever happens: a reader gets the body's bytes in order or is told why not, and nothing is held in the end.
    #[test]
    fn readers_get_a_prefix_and_all_is_given_back(ops in prop::collection::vec(op(), 0..80), lag in 500u64..20_000) {
        let slots = [bounds(lag, 15_000), bounds(ROOMY, 30_000)];
        let (mut writer, readers, budget) = body(40_000, &slots);
        let mut readers: Vec<_> = readers.into_iter().map(|mut r| { r.mark_start(lag / 2); Some((r, 0usize)) }).collect();
        let mut appended: Vec<u8> = Vec::new();
        for op in ops {
            match op {
                Op::Append(n) if writer.is_open() => {
                    let bytes: Vec<u8> = (0..n).map(|i| (appended.len() + i) as u8).collect();
                    if writer.append(Bytes::from(bytes.clone())) {
                        appended.extend(bytes);
                    }
                }
                Op::Append(_) => {}
                Op::Read(i) => if let Some((reader, at)) = &mut readers[i]
                    && let Ok(Some(Chunk::Data(bytes))) = reader.try_next() {
                        prop_assert_eq!(&bytes[..], &appended[*at..*at + bytes.len()]);
                        *at += bytes.len();
                        reader.done_with(&bytes);
                },
                Op::Rewind(i) => if let Some((reader, at)) = &mut readers[i] && reader.rewind() { *at = 0; },
                Op::Drop(i) => readers[i] = None,
                Op::End => writer.end(BodyEnd::Complete(None)),
            }
            prop_assert!(budget.used() <= budget.limit());
            for slot in &slots {
                prop_assert!(slot.share.held() <= slot.share.limit());
            }
        }
        drop((readers, writer));
        prop_assert_eq!(budget.used(), 0);
        prop_assert_eq!(slots.map(|slot| slot.share.held()), [0, 0]);
    }
}

/// The same on real threads: one appends as fast as it can, readers follow, one of them too slowly.
#[test]
fn readers_on_other_threads_see_every_byte_or_are_cut_off() {
    let slots = [bounds(ROOMY, 1 << 30), bounds(ROOMY, 1 << 30), bounds(64 * 1024, 1 << 30)];
    let (mut writer, readers, budget) = body(1 << 30, &slots);
    const CHUNKS: usize = 20_000;
    std::thread::scope(|scope| {
        for (i, mut reader) in readers.into_iter().enumerate() {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    let mut at = 0;
                    loop {
                        match reader.next().await {
                            Ok(Chunk::Data(bytes)) => {
                                assert!(bytes.iter().enumerate().all(|(k, &b)| b == (at + k) as u8));
                                at += bytes.len();
                                reader.done_with(&bytes);
                                if i == 2 {
                                    std::thread::yield_now();
                                }
                            }
                            Ok(Chunk::End(end)) => {
                                assert_eq!((end, at), (BodyEnd::Complete(None), CHUNKS * 100));
                                return;
                            }
                            Err(reason) => {
                                assert_eq!((reason, i), (DropReason::Lag, 2));
                                return;
                            }
                        }
                    }
                });
            });
        }
        let mut at = 0usize;
        for _ in 0..CHUNKS {
            assert!(writer.append((at..at + 100).map(|b| b as u8).collect::<Vec<_>>().into()));
            at += 100;
        }
        writer.end(BodyEnd::Complete(None));
    });
    drop(writer);
    assert_eq!(budget.used(), 0);
    assert!(slots.iter().all(|slot| slot.share.held() == 0));
}
