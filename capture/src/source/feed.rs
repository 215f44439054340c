//! Feeds libpcap by a pipe, from what it cannot read itself or what may keep it waiting: gzip, and pipes.
//!
//! A thread inflates while the other parses. It waits in poll only, together with the wishes to stop: of all, and of its reader.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::thread::JoinHandle;

use flate2::read::MultiGzDecoder;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::stop::Stop;

/// What gzip begins with (RFC 1952, 2.3.1).
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What is read and written at a time.
const CHUNK: usize = 64 * 1024;
/// The pipe's size: what an unprivileged process may have at most. Where even that is refused, it stays as it is.
const PIPE: usize = 1 << 20;

/// The thread that feeds.
pub(super) struct Feed {
    done: Stop,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Feed {
    /// Feeds this to the pipe whose reading end is returned, which comes to its end also by `stop`.
    pub(super) fn start(file: File, stop: &Stop) -> io::Result<(Feed, OwnedFd)> {
        let (reads, writes) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&writes, true)?;
        let _ = fcntl_setpipe_size(&writes, PIPE);
        let done = Stop::new()?;
        let stops = [stop.clone(), done.clone()];
        let (source, pipe) = (Source { file, stops: stops.clone() }, Pipe { pipe: writes, stops });
        let thread = std::thread::Builder::new().name("capture-feed".into()).spawn(move || feed(source, pipe))?;
        Ok((Feed { done, thread: Some(thread) }, reads))
    }

    /// After the reader's end: whether it was the end.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.done.set();
        let thread = self.thread.take();
        thread.map_or(Ok(()), |thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the feeding thread panicked")))
        })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.done.set();
    }
}

fn feed(mut source: Source, mut pipe: Pipe) -> io::Result<()> {
    let mut start = Vec::with_capacity(GZIP.len());
    source.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
    let compressed = start == GZIP;
    let source = start.as_slice().chain(source);
    if compressed {
        copy(MultiGzDecoder::new(BufReader::with_capacity(CHUNK, source)), &mut pipe)
    } else {
        copy(source, &mut pipe)
    }
}

fn copy(mut from: impl Read, to: &mut Pipe) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(_) if to.stops.iter().any(Stop::is_set) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(io::Error::other("the gzip stream is cut short"));
            }
            Err(error) => return Err(error),
        };
        match to.write_all(&chunk[..count]) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
}

/// The file, which ends when it is to stop.
struct Source {
    file: File,
    stops: [Stop; 2],
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if wait(&self.file, PollFlags::IN, &self.stops)? { self.file.read(buffer) } else { Ok(0) }
    }
}

/// The pipe, which is broken when it is to stop.
struct Pipe {
    pipe: OwnedFd,
    stops: [Stop; 2],
}

impl Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.pipe, buffer) {
                Err(Errno::AGAIN) if wait(&self.pipe, PollFlags::OUT, &self.stops)? => {}
                Err(Errno::AGAIN) => return Err(io::ErrorKind::BrokenPipe.into()),
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until it is ready; false: it is to stop.
fn wait(fd: impl AsFd, ready: PollFlags, stops: &[Stop; 2]) -> io::Result<bool> {
    loop {
        let [stop, done] = stops;
        let wish = |stop| PollFd::new(stop, PollFlags::IN);
        let mut fds = [PollFd::new(&fd, ready), wish(stop), wish(done)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(!stops.iter().any(Stop::is_set)),
        }
    }
}
