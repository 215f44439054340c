//! Ctrl-C and SIGTERM for what reads and writes files: it stops where it is, and sums up.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Whether a signal came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    came: Arc<AtomicBool>,
    /// What is not to be left behind.
    unfinished: Arc<Mutex<Vec<PathBuf>>>,
}

/// What reads from a pipe that says nothing does not hear of it, and is ended after so long.
const GRACE: Duration = Duration::from_secs(1);

/// What shells show for a process that Ctrl-C ended.
pub(crate) const CUT_SHORT: u8 = 130;

impl Interrupt {
    /// Watches from here on. The second signal ends the process at once, and so does the first when nobody has asked for it in time.
    pub(crate) fn watch() -> std::io::Result<Interrupt> {
        let watched = Interrupt::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _on = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let told = watched.clone();
        std::thread::Builder::new().name("mirror-signals".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                told.came.store(true, Relaxed);
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    () = tokio::time::sleep(GRACE) => {}
                }
                told.remove_unfinished();
                std::process::exit(CUT_SHORT.into());
            });
        })?;
        Ok(watched)
    }

    pub(crate) fn came(&self) -> bool {
        self.came.load(Relaxed)
    }

    /// Where the process is ended before it has done its work, this file is removed.
    pub(crate) fn removes(&self, unfinished: &Path) {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(unfinished.to_owned());
    }

    fn remove_unfinished(&self) {
        for path in self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = std::fs::remove_file(path);
        }
    }
}
