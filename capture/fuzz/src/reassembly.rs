//! The target `reassembly`.

use arbitrary::Arbitrary;

use crate::{connections, stream};

/// One of two kinds of cases.
#[derive(Debug, Arbitrary)]
pub enum Case {
    /// One direction.
    Stream(Stream),
    /// Some connections.
    Connections(Connections),
}

/// One direction's segments.
#[derive(Debug, Arbitrary)]
pub struct Stream(stream::Case);

/// Segments between several ends.
#[derive(Debug, Arbitrary)]
pub struct Connections(connections::Case);

/// Runs one.
pub fn run(case: &Case) {
    match case {
        Case::Stream(Stream(case)) => stream::run(case),
        Case::Connections(Connections(case)) => connections::run(case),
    }
}
