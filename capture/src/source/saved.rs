//! A saved capture: pcap or pcapng, by libpcap; compressed by gzip or from a pipe through a [`Feed`].

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use pcap::{Capture, Offline, Precision};

use super::OpenError;
use super::error::message;
use super::feed::{Feed, GZIP};
use super::filter;
use super::interfaces::link_name;
use super::live::{framing, link_type, time};
use super::stop::Stop;
use crate::{LinkType, Packet};

/// Which saved capture to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedOptions {
    /// The file; `-` is standard input.
    pub path: PathBuf,
    /// The TCP ports, of either end; they are only looked at together with a filter, as all else sorts by port itself.
    pub ports: Vec<u16>,
    /// A filter in libpcap's language, as of [`LiveOptions`](super::LiveOptions).
    pub bpf: Option<String>,
}

/// A saved capture that is read.
pub(super) struct Saved {
    path: PathBuf,
    capture: Capture<Offline>,
    link: LinkType,
    feed: Option<Feed>,
    packets: u64,
}

/// A saved capture that ended before its end. What came before was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is cut short after {packets} packets: {why}", .path.display())]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// How many packets were read.
    pub packets: u64,
    /// What is wrong there.
    pub why: String,
}

impl Saved {
    /// Opens it. `reads` says which link types can be decoded. From a pipe, it waits for the capture's header; `stop` ends that, and later
    /// waits.
    ///
    /// # Errors
    /// It cannot be read, is not a capture, or one of a link type that cannot be decoded; the filter does not compile.
    pub(super) fn open(options: &SavedOptions, reads: fn(LinkType) -> bool, stop: &Stop) -> Result<Saved, OpenError> {
        let path = &options.path;
        let unreadable = |error| OpenError::File { path: path.clone(), error };
        let file = open_file(path).map_err(unreadable)?;
        let (file, mut feed) = if needs_feed(&file).map_err(unreadable)? {
            let (feed, pipe) = Feed::start(file, stop).map_err(unreadable)?;
            (pipe, Some(feed))
        } else {
            (OwnedFd::from(file), None)
        };
        // SAFETY: the descriptor is owned, and handed over here; libpcap closes it.
        let capture = unsafe { Capture::from_raw_fd_with_precision(file.into_raw_fd(), Precision::Nano) };
        let mut capture = capture.map_err(|error| match feed.take().map(Feed::end) {
            // What is wrong with the compression explains what libpcap saw.
            Some(Err(error)) => OpenError::NotACapture { path: path.clone(), message: error.to_string() },
            _ => not_a_capture(path, message(&error)),
        })?;
        let link = capture.get_datalink();
        if !reads(link_type(link)) {
            return Err(OpenError::LinkType { name: path.display().to_string(), link: link_name(link) });
        }
        if let Some(user) = &options.bpf {
            let refused = |error| OpenError::Filter { filter: user.clone(), message: message(&error) };
            capture.compile(user, true).map_err(refused)?;
            let filter = filter::expression(&options.ports, Some(user), framing(link), true);
            capture.filter(&filter, true).map_err(refused)?;
        }
        Ok(Saved { path: path.clone(), capture, link: link_type(link), feed, packets: 0 })
    }

    /// Reads at most so many packets. False at the end.
    ///
    /// # Errors
    /// The file ended before its end.
    pub(super) fn read(&mut self, most: usize, mut each: impl FnMut(Packet<'_>)) -> Result<bool, Cut> {
        let (link, packets) = (self.link, &mut self.packets);
        let result = self.capture.dispatch(Some(most), |packet| {
            *packets += 1;
            each(Packet { time: time(packet.header, 1), link, data: packet.data, length: packet.header.len });
        });
        let fed = |feed: &mut Option<Feed>| feed.take().map_or(Ok(()), Feed::end).map_err(|error| error.to_string());
        let result = match result {
            Ok(0) => fed(&mut self.feed).map(|()| false),
            Ok(_) => Ok(true),
            Err(error) => fed(&mut self.feed).and(Err(message(&error))),
        };
        result.map_err(|why| Cut { path: self.path.clone(), packets: self.packets, why: worded(why) })
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        return Ok(File::from(rustix::io::dup(io::stdin())?));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// libpcap reads a regular file by itself; one that is compressed, and a pipe, which may be and where reading may wait, it is fed.
fn needs_feed(file: &File) -> io::Result<bool> {
    let mut start = [0; GZIP.len()];
    Ok(!file.metadata()?.is_file()
        || (file.read_at(&mut start, 0)? == GZIP.len() && start == GZIP)
        || offset(file) != 0)
}

/// Standard input may be a file that was read from before: its position then is not where libpcap begins by [`FileExt::read_at`].
fn offset(file: &File) -> i64 {
    // SAFETY: asks for the position of an open descriptor, and changes nothing.
    unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_CUR) }
}

fn not_a_capture(path: &Path, message: String) -> OpenError {
    let path = path.to_owned();
    if message.contains("different from the") {
        return OpenError::MixedInterfaces { path, message };
    }
    OpenError::NotACapture { path, message }
}

/// libpcap says of pcapng interfaces that differ what is right for it and says little to a user.
fn worded(why: String) -> String {
    if why.contains("different from the") {
        return format!(
            "it goes on with an interface of another link type or snapshot length, which libpcap does not read as one ({why})"
        );
    }
    why
}
