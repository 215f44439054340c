//! Looks at the file of `mirror run --watch FILE`, and has it reloaded when it says something else.
//!
//! It is read whole each time, by its path, and its text compared: that is right for a file that is written in place, for an editor's that takes
//! another's place, and for a Kubernetes ConfigMap, where the path leads through a link (`..data`) that is swapped; on every file system, where what the
//! kernel tells of files is not (NFS, and a mounted `subPath`, say nothing). Reading 1 MiB at the most twice a second costs nothing that shows.

use std::sync::Arc;
use std::time::Duration;

use mirror::config::Faults;

use crate::reload::{NotReloaded, Reloader};

/// How often it is looked at. Somebody who saved a file waits that long, and as long again for the second look.
const EVERY: Duration = Duration::from_millis(500);

/// Watches on a thread of its own until the program's end, where that was asked for.
pub(crate) fn start(reloader: &Arc<Reloader>) -> std::io::Result<()> {
    if reloader.watched().is_none() {
        return Ok(());
    }
    let reloader = reloader.clone();
    std::thread::Builder::new().name("mirror-watch".into()).spawn(move || watch(&reloader)).map(drop)
}

fn watch(reloader: &Reloader) {
    let Some(settings) = reloader.watched() else { return };
    tracing::info!(file = %settings.file.display(), "watching");
    let mut settling = Settling::default();
    loop {
        std::thread::sleep(EVERY);
        if settling.is_new(&reloader.last_read(), settings.now())
            && let Err(NotReloaded::Draining) = reloader.reload("watch")
        {
            return;
        }
    }
}

/// Tells text that is new and whole: one that is being written is another at the next look.
#[derive(Default)]
struct Settling(Option<Result<String, Faults>>);

impl Settling {
    /// Whether this is to be read: it is not what was read last, and it was there at the last look already. That there is none to be read is
    /// something new too.
    fn is_new(&mut self, read: &Result<String, Faults>, seen: Result<String, Faults>) -> bool {
        if seen == *read {
            self.0 = None;
            return false;
        }
        let settled = self.0.as_ref() == Some(&seen);
        self.0 = (!settled).then_some(seen);
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_it_has_settled() {
        let mut settling = Settling::default();
        let text = |text: &str| Ok::<_, Faults>(text.to_owned());
        let mut look = |read: &str, seen: &str| settling.is_new(&text(read), text(seen));
        assert!(!look("a", "a"));
        assert!(!look("a", "ab"), "it may be half written");
        assert!(!look("a", "abc"), "as it was");
        assert!(look("a", "abc"));
        assert!(!look("abc", "abc"), "once");
        assert!(!look("abc", "d"));
        assert!(!look("abc", "abc"), "taken back");
        assert!(!look("abc", "d"), "and again");
        assert!(look("abc", "d"));
    }
}
