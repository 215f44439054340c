//! The engine whole: whatever a source does and however a target behaves, accounts close and memory is given back.

use proptest::prelude::*;

#[path = "engine/operations.rs"]
mod operations;

use operations::{Manner, Op, run};

fn op() -> impl Strategy<Value = Op> {
    let i = || any::<u8>();
    prop_oneof![
        4 => (prop::option::of(0u16..2000), prop::bool::weighted(0.1)).prop_map(|(length, marked)| Op::Begin { length, marked }),
        4 => (i(), any::<u16>()).prop_map(|(i, length)| Op::Data { i, length }),
        1 => (i(), any::<u16>()).prop_map(|(i, length)| Op::Lose { i, length }),
        2 => i().prop_map(|i| Op::RequestEnd { i }),
        2 => (i(), prop::bool::weighted(0.1)).prop_map(|(i, broken)| Op::Respond { i, broken }),
        4 => (i(), any::<u16>()).prop_map(|(i, length)| Op::ResponseData { i, length }),
        3 => i().prop_map(|i| Op::Finish { i }),
        1 => i().prop_map(|i| Op::Abort { i }),
        1 => i().prop_map(|i| Op::Forget { i }),
        1 => (any::<bool>(), any::<bool>(), prop::option::of(any::<bool>()))
            .prop_map(|(anew, beside, record)| Op::Reload { anew, beside, record }),
        1 => any::<bool>().prop_map(|on| Op::Pause { on }),
        1 => i().prop_map(|part| Op::Fraction { part }),
    ]
}

fn manner() -> impl Strategy<Value = Manner> {
    prop::sample::select(vec![Manner::Answers, Manner::Resets, Manner::Ignores, Manner::Babbles])
}

proptest! {
    // Each case is a whole engine with its threads, its sockets and its file.
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 64, ..ProptestConfig::default() })]
    #[test]
    fn accounts_close_and_memory_is_given_back(
        manner in manner(),
        memory in 20_000usize..2_000_000,
        // None in a third of the cases: it is the path that most exchanges take.
        stages in prop_oneof![Just(0u8), any::<u8>(), any::<u8>()],
        ops in prop::collection::vec(op(), 0..120),
    ) {
        run(manner, memory, stages, &ops);
    }
}

#[test]
fn a_whole_exchange_is_delivered_and_recorded() {
    let ops = [
        Op::Begin { length: Some(4), marked: false },
        Op::Data { i: 0, length: 4 },
        Op::RequestEnd { i: 0 },
        Op::Respond { i: 0, broken: false },
        Op::ResponseData { i: 0, length: 40_000 },
        Op::Finish { i: 0 },
    ];
    run(Manner::Answers, 1_000_000, 0, &ops);
    run(Manner::Answers, 1_000_000, 255, &ops);
}

#[test]
fn what_is_under_way_is_finished_by_the_sinks_that_it_began_with() {
    let begin = || Op::Begin { length: Some(4), marked: false };
    let reload = |beside, record| Op::Reload { anew: true, beside, record };
    let ops = [
        begin(),
        reload(true, Some(true)),
        begin(),
        Op::Data { i: 0, length: 4 },
        reload(false, None),
        begin(),
        Op::Finish { i: 0 },
        Op::Data { i: 0, length: 4 },
        Op::Finish { i: 0 },
    ];
    run(Manner::Answers, 1_000_000, 0, &ops);
}
