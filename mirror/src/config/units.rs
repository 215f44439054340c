//! Quantities that are written with their unit.

mod byte_size;
mod fraction;
mod period;
mod rate;

pub use byte_size::ByteSize;
pub use fraction::Fraction;
pub use period::Period;
pub use rate::{ByteRate, RequestRate};
