//! Whatever comes: each connection is closed once, nothing is invented and nothing comes after a direction's end, no bound is broken.

use proptest::prelude::*;

use super::operations::{Case, Flags, Op, Said, run};

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        2 => Just(Said::Nothing),
        4 => (0..60u8).prop_map(Said::Bytes),
        1 => Just(Said::Much),
        4 => any::<u8>().prop_map(Said::Text),
    ]
}

fn flags() -> impl Strategy<Value = Flags> {
    prop_oneof![
        12 => Just(Flags::Plain),
        2 => Just(Flags::Syn),
        2 => Just(Flags::Fin),
        1 => Just(Flags::Rst),
        1 => any::<u8>().prop_map(Flags::Odd),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let (who, forth) = (|| 0..6u8, any::<bool>);
    let near = || -60..60i16;
    let segment = (who(), forth(), near(), prop::option::of(near()), flags(), said(), 0..30u8);
    prop_oneof![
        2 => (who(), any::<[bool; 3]>()).prop_map(|(who, seen)| Op::Shake { who, seen }),
        8 => (who(), forth(), said(), prop::bool::weighted(0.2))
            .prop_map(|(who, forth, said, lost)| Op::Say { who, forth, said, lost }),
        1 => (who(), forth(), prop::bool::weighted(0.3)).prop_map(|(who, forth, reset)| Op::End { who, forth, reset }),
        2 => (who(), forth()).prop_map(|(who, forth)| Op::Acknowledge { who, forth }),
        8 => segment.prop_map(|(who, forth, place, acknowledges, flags, said, missing)| {
            Op::Segment { who, forth, place, acknowledges, flags, said, missing: missing / 29 }
        }),
        1 => (who(), forth(), any::<u32>(), said())
            .prop_map(|(who, forth, sequence, said)| Op::Foreign { who, forth, sequence, said }),
        2 => (-1000..20_000i32).prop_map(|milliseconds| Op::Elapse { milliseconds }),
        1 => Just(Op::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything(by_port: bool, start: u32, ops in prop::collection::vec(op(), 0..200)) {
        run(&Case { by_port, start, ops });
    }
}
