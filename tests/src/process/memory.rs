//! What a process has of the machine's memory.

use super::Mirror;

impl Mirror {
    /// The most memory that it has had resident so far, in bytes.
    ///
    /// # Panics
    /// When the process is gone.
    #[track_caller]
    pub fn peak_resident(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The bytes that are resident now because they are in files: the program's code above all, of which a debug build has three times as much.
    ///
    /// # Panics
    /// When the process is gone.
    #[track_caller]
    pub fn resident_code(&self) -> u64 {
        self.status("RssFile:")
    }

    #[track_caller]
    fn status(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a size");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib * 1024
    }
}
