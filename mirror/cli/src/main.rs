//! The `mirror` program.

fn main() {}
