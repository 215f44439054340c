//! Captures through all steps.

mod frames;
mod strict;
mod wraps;

#[test]
fn a_conversation_in_every_wrap() {
    for (name, case) in wraps::seeds() {
        assert_eq!(frames::run(&case, |_| ()), wraps::TOLD, "{name}");
    }
}
