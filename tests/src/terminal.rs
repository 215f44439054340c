//! A terminal: what a program writes to it, and what a person sees of that.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::{WITHIN, wait_for};

/// A real terminal of the system's (a pty), of which the rows that have scrolled away can be seen too.
pub struct Terminal {
    columns: u16,
    written: Arc<Mutex<Vec<u8>>>,
    keyboard: File,
    gone: Arc<AtomicBool>,
}

/// Reads what is written to a terminal until it is gone.
struct UntilGone {
    read: File,
    gone: Arc<AtomicBool>,
}

impl Read for UntilGone {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let read = self.read.read(bytes)?;
        Ok(if self.gone.load(Relaxed) { 0 } else { read })
    }
}

/// Its other end, for a process to write to; and where what it writes is read from.
pub(crate) struct Ends {
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
    pub(crate) read: File,
}

impl Terminal {
    /// One that is so wide.
    pub(crate) fn open(columns: u16) -> (Terminal, Ends) {
        let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut read, mut write) = (-1, -1);
        // SAFETY: a call that writes two descriptors, which are ours then; the name and the modes are not asked for.
        let (read, write) = unsafe {
            let done =
                libc::openpty(&raw mut read, &raw mut write, std::ptr::null_mut(), std::ptr::null(), &raw const size);
            assert_eq!(done, 0, "no terminal: {}", std::io::Error::last_os_error());
            // Else a process of another test would inherit them, and this one's end not be seen.
            for fd in [read, write] {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write))
        };
        let again = write.try_clone().expect("a second descriptor");
        let ends = Ends { stdout: again.into(), stderr: write.into(), read: read.into() };
        let keyboard = ends.read.try_clone().expect("a third descriptor");
        (Terminal { columns, written: Arc::default(), keyboard, gone: Arc::default() }, ends)
    }

    pub(crate) fn until_it_is_gone(&self, read: File) -> impl Read + Send + 'static {
        UntilGone { read, gone: self.gone.clone() }
    }

    /// The person closes it.
    ///
    /// # Panics
    /// When it was not there.
    #[track_caller]
    pub fn hang_up(self) {
        let Terminal { mut keyboard, gone, .. } = self;
        gone.store(true, Relaxed);
        // What is typed is shown, so that who reads is told.
        keyboard.write_all(b"\n").expect("a terminal");
        drop(keyboard);
        wait_for("its last reader to go", WITHIN, || (Arc::strong_count(&gone) == 1).then_some(()));
    }

    pub(crate) fn written(&self) -> &Arc<Mutex<Vec<u8>>> {
        &self.written
    }

    /// The rows that a person sees now, without what is blank at their ends.
    ///
    /// # Panics
    /// When something was written that this terminal does not know.
    #[track_caller]
    pub fn rows(&self) -> Vec<String> {
        let written = self.written.lock().expect("no panic while it is held").clone();
        rows(usize::from(self.columns), &String::from_utf8_lossy(&written))
    }
}

fn rows(columns: usize, text: &str) -> Vec<String> {
    let (mut rows, mut column) = (vec![Vec::new()], 0);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let row = rows.last_mut().expect("never empty");
        match char {
            '\r' => column = 0,
            '\n' => rows.push(Vec::new()),
            '\x1b' => {
                assert_eq!(chars.next().unwrap_or('['), '[', "an escape other than a control sequence: {text:?}");
                let rest = chars.as_str();
                // Not there yet: the rest of it comes with what is written next.
                let Some(end) = rest.find(|char: char| char.is_ascii_alphabetic()) else { break };
                match &rest[..=end] {
                    "2K" => row.clear(),
                    style if style.ends_with('m') => {}
                    other => panic!("{other:?} is not known to this terminal: {text:?}"),
                }
                chars = rest[end + 1..].chars();
            }
            char => {
                if column == columns {
                    rows.push(Vec::new());
                    column = 0;
                }
                let row = rows.last_mut().expect("never empty");
                row.resize(row.len().max(column + 1), ' ');
                row[column] = char;
                column += 1;
            }
        }
    }
    rows.into_iter().map(|row| String::from_iter(row).trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_over_cleared_and_wrapped() {
        assert_eq!(rows(80, "one\r\n\x1b[32mtwo\x1b[0m\rTW"), ["one", "TWo"]);
        assert_eq!(rows(80, "one\r\ntwo\r\x1b[2Kx"), ["one", "x"]);
        assert_eq!(rows(3, "abc\rd"), ["dbc"]);
        assert_eq!(rows(3, "abcd\r\x1b[2Ke"), ["abc", "e"], "what has wrapped is not taken away");
    }
}
