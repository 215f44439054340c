//! What a process writes, collected while it runs.

use std::io::Read;
use std::sync::{Arc, Mutex};

/// All of it so far.
pub(super) type Written = Arc<Mutex<Vec<u8>>>;

/// Without the control sequences that give colours to a terminal.
pub(super) fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once(|char: char| char.is_ascii_alphabetic()).map_or("", |(_, rest)| rest));
    std::iter::once(first).chain(rest).collect()
}

pub(super) fn text(written: &Written) -> String {
    String::from_utf8_lossy(&written.lock().expect("no panic while it is held")).into_owned()
}

pub(super) fn collect(mut from: impl Read + Send + 'static, into: &Written) -> std::thread::JoinHandle<()> {
    let into = into.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // A terminal whose other end is closed gives an error, a pipe nothing.
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            into.lock().expect("no panic while it is held").extend_from_slice(&bytes[..read]);
        }
    })
}
