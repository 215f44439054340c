//! Networks of a test's own: what runs in one has every address and port for itself, and what it sends goes no further.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

/// A network namespace. It has no name, so that two tests cannot meet in it, and it is gone, with all that was set up in it, once nobody
/// holds or uses it: when the test ends, however that is.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// A new one, in which nothing is up but the loopback. None where one may not be made, which is then said.
    ///
    /// # Panics
    /// When the thread that makes it cannot be started.
    pub fn new() -> Option<Namespace> {
        if !crate::is_there("ip", &["-V"]) {
            return None;
        }
        let made = std::thread::spawn(|| {
            // SAFETY: a system call that concerns this thread only, which ends with it.
            match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
                0 => File::open("/proc/thread-self/ns/net"),
                _ => Err(io::Error::last_os_error()),
            }
        });
        match made.join().expect("a thread") {
            Ok(file) => {
                let namespace = Namespace(file);
                namespace.ip("link set lo up\n");
                Some(namespace)
            }
            Err(error) => {
                eprintln!("skipped: a network namespace takes CAP_SYS_ADMIN ({error})");
                None
            }
        }
    }

    /// Runs this in it: the sockets that are opened, the processes and threads that are started meanwhile are its own.
    pub fn within<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        // On a thread of its own, as it is threads that are in namespaces.
        std::thread::scope(|scope| {
            let ran = scope.spawn(|| {
                // SAFETY: a system call on a descriptor of our own, which concerns this thread only.
                let entered = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(entered, 0, "setns: {}", io::Error::last_os_error());
                run()
            });
            ran.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sets its links and addresses up: lines of what follows the word `ip`.
    ///
    /// # Panics
    /// When one of them is refused.
    #[track_caller]
    pub fn ip(&self, lines: &str) {
        self.try_ip(lines).unwrap_or_else(|said| panic!("{lines}{said}"));
    }

    /// The same where it may be refused.
    ///
    /// # Errors
    /// What was said.
    pub fn try_ip(&self, lines: &str) -> Result<(), String> {
        let output = self.within(|| {
            let mut ip = Command::new("ip");
            ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut ip = ip.spawn().expect("ip");
            ip.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("all of it");
            ip.wait_with_output().expect("its end")
        });
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Where other programs find it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_taken_in_one_namespace_and_free_in_another() {
        let (Some(one), Some(other)) = (Namespace::new(), Namespace::new()) else { return };
        let bind = || TcpListener::bind("127.0.0.1:80");
        let _taken = one.within(bind).expect("a port of our own");
        assert_eq!(one.within(bind).expect_err("it is taken").kind(), io::ErrorKind::AddrInUse);
        drop(other.within(bind).expect("another one's"));
    }
}
