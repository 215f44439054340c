//! Names that only one process knows, and whose addresses a test changes while it runs.

use std::net::IpAddr;
use std::process::Command;

use crate::{Config, Mirror};

/// A process sees these files of ours in the system's places: the names, and that names are looked for nowhere else.
pub struct Names {
    folder: tempfile::TempDir,
}

impl Names {
    /// None where a process cannot have its own view of the system's files, which is then said.
    ///
    /// # Panics
    /// When no file can be created.
    pub fn new() -> Option<Names> {
        let names = Names { folder: tempfile::tempdir().expect("a folder of our own") };
        names.write("nsswitch.conf", "hosts: files\n");
        names.clear();
        let mounted = Command::new("sh").args(["-c", &names.shell(), "sh", "true"]).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: a file of one's own cannot be mounted over /etc/hosts here");
            return None;
        }
        Some(names)
    }

    /// Starts a `mirror` that knows these names.
    #[track_caller]
    pub fn start(&self, config: &Config) -> Mirror {
        Mirror::start_through(&self.shell(), config)
    }

    /// This name is now that of this address, and there is no other name.
    pub fn set(&self, name: &str, address: IpAddr) {
        self.write("hosts", &format!("{address} {name}\n"));
    }

    /// There is no name any more.
    pub fn clear(&self) {
        self.write("hosts", "");
    }

    fn write(&self, file: &str, text: &str) {
        // In place: it is the file that is mounted, whatever its name leads to.
        std::fs::write(self.folder.path().join(file), text).expect("a file of our own");
    }

    fn shell(&self) -> String {
        let over = |file: &str| {
            let ours = self.folder.path().join(file);
            format!(r#"if [ -e /etc/{file} ]; then mount --bind "{}" /etc/{file} || exit; fi"#, ours.display())
        };
        let mounts = ["hosts", "nsswitch.conf"].map(over).join("; ");
        format!(r#"exec unshare --map-root-user --mount sh -c '{mounts}; exec "$@"' sh "$@""#)
    }
}
