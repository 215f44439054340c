//! Giving up what a process may do beyond reading packets.
//!
//! Linux keeps capabilities a thread, and threads get those of the thread that starts them. So this is for the main thread, once all is
//! open that needs more and before it starts others; those that run already keep what they have, and [`drop_all_but`] says how many.

use std::io;

pub use rustix::thread::CapabilitySet;
use rustix::thread::{CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

/// What was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// What is left.
    pub kept: CapabilitySet,
    /// Threads that ran already and keep what they had.
    pub other_threads: usize,
}

/// What stays of this thread's capabilities:
///
/// - CAP_NET_RAW where interfaces are listened on (`reopens`), since one that vanishes is opened again;
/// - CAP_DAC_OVERRIDE where the process is root's: who runs it as root to record into someone else's folder does not expect files that
///   are opened later (a rotation, the next recording) to be refused. Granted by `setcap` or systemd to another user it is not kept;
/// - what the caller needs `also`, e.g. CAP_NET_ADMIN for a transparent proxy in the same process, CAP_NET_BIND_SERVICE for a low port
///   bound later.
pub fn needed(reopens: bool, also: CapabilitySet) -> CapabilitySet {
    let mut kept = also;
    kept.set(CapabilitySet::NET_RAW, reopens);
    kept.set(CapabilitySet::DAC_OVERRIDE, rustix::process::geteuid().is_root());
    kept | also
}

/// Gives up all capabilities but these, for this thread and those it starts, and the way to new ones (`no_new_privs`): programs that it
/// executes gain nothing either. It is no failure to lack some of these.
///
/// # Errors
/// The kernel refuses.
pub fn drop_all_but(keep: CapabilitySet) -> io::Result<Dropped> {
    let had = capabilities(None)?;
    let kept = CapabilitySets {
        effective: had.effective & keep,
        permitted: had.permitted & keep,
        // Empties the ambient set too.
        inheritable: CapabilitySet::empty(),
    };
    set_no_new_privs(true)?;
    set_capabilities(None, kept)?;
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    Ok(Dropped { kept: kept.effective, other_threads: threads.saturating_sub(1) })
}

/// Whether this thread has this capability now.
pub(super) fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_only_what_it_needs_and_so_do_those_it_starts() {
        let had = capabilities(None).expect("capabilities").effective;
        let outcome = std::thread::spawn(|| {
            let dropped = drop_all_but(needed(true, CapabilitySet::empty())).expect("dropped");
            let inherited = std::thread::spawn(|| capabilities(None).expect("capabilities")).join().expect("a thread");
            (dropped, inherited)
        });
        let (dropped, inherited) = outcome.join().expect("a thread");
        assert!((CapabilitySet::NET_RAW | CapabilitySet::DAC_OVERRIDE).contains(dropped.kept));
        assert_eq!(dropped.kept.contains(CapabilitySet::NET_RAW), had.contains(CapabilitySet::NET_RAW));
        assert_eq!(inherited.permitted, dropped.kept);
        assert!(dropped.other_threads >= 1);
        assert_eq!(capabilities(None).expect("capabilities").effective, had, "this thread keeps what it had");
    }

    #[test]
    fn what_reads_no_interface_keeps_nothing_of_the_network() {
        let kept = needed(false, CapabilitySet::NET_ADMIN);
        assert!(kept.contains(CapabilitySet::NET_ADMIN) && !kept.contains(CapabilitySet::NET_RAW));
    }
}
