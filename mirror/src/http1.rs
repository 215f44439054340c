//! HTTP/1 messages as bytes: heads in their order and case, and bodies by their framing. Sans-io: bytes in, pieces out.
//!
//! Only what mirroring needs and no library gives: heads that keep order, case and duplicates (the `http` crate's map keeps none
//! of the three), and a body decoder that the shadow sink (on answers) and the listener (on both directions) share.

mod body;
mod framing;
mod head;
mod lenient;
mod lines;

pub use body::{BodyDecoder, BodyError, Piece, Span};
pub use framing::{Framing, FramingError, request_framing, response_framing};
pub(crate) use head::ResponseParts;
pub use head::{HeadError, Header, Headers, MAX_HEADERS, RequestHead, ResponseHead, head_length};
pub(crate) use lines::{push_line, push_odd_line};
