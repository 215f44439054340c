//! Addresses: where the proxy listens, and where requests go.

mod destination;
mod listen;

pub use destination::{Target, UpstreamAddress};
pub use listen::ListenAddress;
