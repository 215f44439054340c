//! Quantities that are written with their unit.

mod byte_size;
mod fraction;
mod period;

pub use byte_size::ByteSize;
pub use fraction::Fraction;
pub use period::Period;
