//! Ctrl-C and SIGTERM for what reads and writes files: it stops where it is, and sums up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::signal::unix::{SignalKind, signal};

/// Whether a signal came.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

/// What shells show for a process that Ctrl-C ended.
const CUT_SHORT: i32 = 130;

impl Interrupt {
    /// Watches from here on. The second signal ends the process at once.
    pub(crate) fn watch() -> std::io::Result<Interrupt> {
        let came = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            let _on = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let told = came.clone();
        std::thread::Builder::new().name("mirror-signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if told.swap(true, Relaxed) {
                        std::process::exit(CUT_SHORT);
                    }
                }
            });
        })?;
        Ok(Interrupt(came))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Relaxed)
    }
}
