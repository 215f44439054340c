//! Where an exchange's end is waited for, by who keeps nothing of its response.

use crate::body::{BodyReader, Chunk};

/// A reader of the response's body that only counts.
pub(crate) struct ResponseEnd(pub(crate) BodyReader);

impl ResponseEnd {
    /// Resolves at the exchange's end, with the body's length in bytes as far as it was seen.
    pub(crate) async fn reached(mut self) -> u64 {
        let mut length = 0;
        while let Ok(Chunk::Data(bytes)) = self.0.next().await {
            length += bytes.len() as u64;
            self.0.done_with(&bytes);
        }
        length + self.0.lost()
    }
}
