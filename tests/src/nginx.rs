//! A real nginx as upstream or target: a server that many applications stand behind, and not written by us.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Conn, WITHIN, wait_for};

/// A running nginx that serves its folder: files by GET, `/tiny` as `ok`, anything below `/put` by PUT, and `/post` takes all;
/// killed when it is dropped.
pub struct Nginx {
    process: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

/// One line of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// As in `GET /tiny`.
    pub request: String,
    /// Its status.
    pub status: u16,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// The connection's number.
    pub connection: u64,
}

/// Whether it is installed; where not, the test says that it is skipped.
pub fn is_there() -> bool {
    crate::is_there(&program(), &["-v"])
}

/// Not on everyone's path.
fn program() -> String {
    let sbin = Path::new("/usr/sbin/nginx");
    if sbin.is_file() { sbin.display().to_string() } else { "nginx".into() }
}

impl Nginx {
    /// Starts it on a port of the system's choice.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start() -> Nginx {
        Nginx::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    /// Starts it at an address that nobody else has, as in a namespace of its own.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start_at(address: SocketAddr) -> Nginx {
        let folder = tempfile::tempdir().expect("a folder of our own");
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("its address");
        std::fs::write(folder.path().join("nginx.conf"), configuration(address)).expect("a file of our own");
        std::fs::create_dir(folder.path().join("put")).expect("a folder of our own");
        let mut command = Command::new(program());
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
        // A socket that listens already is handed over as from an older nginx to a newer one: its number, in this variable.
        let fd = listener.as_raw_fd();
        command.env("NGINX", format!("{fd};")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: between fork and exec only a system call is made, on a descriptor that is open there.
        unsafe {
            command.pre_exec(move || match libc::fcntl(fd, libc::F_SETFD, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let process = command.spawn().expect("nginx");
        let nginx = Nginx { process, address, folder };
        // It takes connections from the start; that it answers shows that it runs.
        assert_eq!(
            Conn::open(address).exchange("GET /tiny HTTP/1.1\r\nHost: a\r\n\r\n").text(),
            "ok",
            "{}",
            nginx.errors()
        );
        nginx.wait_served(1);
        nginx
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The path of a file that it serves.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has served so far, but for the harness' own first request.
    pub fn served(&self) -> Vec<Served> {
        let log = std::fs::read_to_string(self.file("access.log")).unwrap_or_default();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().skip(1).map(|line| served(line).unwrap_or_else(|| panic!("not a line: {line:?}"))).collect()
    }

    /// What it has served, once that is this much.
    #[track_caller]
    pub fn wait_served(&self, count: usize) -> Vec<Served> {
        wait_for("lines in nginx's log", WITHIN, || {
            let log = std::fs::read_to_string(self.file("access.log")).unwrap_or_default();
            (log.lines().count() >= count).then_some(())
        });
        self.served()
    }

    /// What it complained of.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.file("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Only asked to does it take its worker along.
        let pid = libc::pid_t::try_from(self.process.id()).expect("a process id");
        // SAFETY: a system call; the child has not been waited for, so the number is still its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let _ = self.process.wait();
    }
}

fn served(line: &str) -> Option<Served> {
    let mut words = line.split(' ');
    let request = format!("{} {}", words.next()?, words.next()?);
    let (status, sent, connection) = (words.next()?, words.next()?, words.next()?);
    Some(Served {
        request,
        status: status.parse().ok()?,
        sent: sent.parse().ok()?,
        connection: connection.parse().ok()?,
    })
}

fn configuration(address: SocketAddr) -> String {
    format!(
        r#"daemon off;
        # Who may read the folder; it is heeded where we are root, and who we are otherwise.
        user root;
        pid nginx.pid;
        error_log error.log;
        events {{ worker_connections 1024; }}
        http {{
            log_format served '$request_method $request_uri $status $body_bytes_sent $connection';
            access_log access.log served;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            client_max_body_size 0;
            if_modified_since before;
            keepalive_requests 1000000;
            server {{
                listen {address};
                root .;
                location = /tiny {{ return 200 ok; }}
                location = /post {{ return 200 taken; }}
                location /put {{ dav_methods PUT; }}
            }}
        }}
        "#
    )
}
