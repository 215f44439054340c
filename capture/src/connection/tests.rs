//! Transcripts of connections, and what they are told as.

mod holds;
mod messages;
mod odd;
mod plain;
mod random;
mod seen;
mod torn;
