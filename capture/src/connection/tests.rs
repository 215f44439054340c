//! Transcripts of connections, and what they are told as.

mod messages;
mod odd;
mod random;
mod seen;
mod torn;
