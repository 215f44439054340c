//! A disk that keeps its writers waiting as long as a test wants.

use std::path::PathBuf;
use std::process::Command;

use crate::{Config, Mirror};

/// Waits in the writer's place; see there.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/slow_disk.c");

/// Stands between a process and its disk.
pub struct SlowDisk {
    folder: tempfile::TempDir,
}

impl SlowDisk {
    /// One that is still fast.
    ///
    /// # Panics
    /// When there is no C compiler, without which the program could not have been built.
    #[track_caller]
    pub fn new() -> SlowDisk {
        let disk = SlowDisk { folder: tempfile::tempdir().expect("a folder of our own") };
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(disk.library()).arg(SOURCE).output();
        let built = built.expect("a C compiler");
        assert!(built.status.success(), "{SOURCE}: {}", String::from_utf8_lossy(&built.stderr));
        disk
    }

    /// Starts a `mirror` that writes its recording to this disk.
    #[track_caller]
    pub fn start(&self, config: &Config) -> Mirror {
        let (library, stalled) = (self.library(), self.stalled());
        let shell = format!(r#"export LD_PRELOAD='{}' STALLED='{}'; exec "$@""#, library.display(), stalled.display());
        Mirror::start_through(&shell, config)
    }

    /// From now on nothing that is written to it comes to an end.
    ///
    /// # Panics
    /// When no file can be created.
    pub fn stall(&self) {
        std::fs::write(self.stalled(), "").expect("a file of our own");
    }

    /// It is fast again.
    ///
    /// # Panics
    /// When it was not stalled.
    pub fn go_on(&self) {
        std::fs::remove_file(self.stalled()).expect("a file of our own");
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("slow_disk.so")
    }

    fn stalled(&self) -> PathBuf {
        self.folder.path().join("stalled")
    }
}

impl Default for SlowDisk {
    fn default() -> Self {
        SlowDisk::new()
    }
}
