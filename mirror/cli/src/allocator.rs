//! The allocator, and how much it keeps of what was freed.
//!
//! The byte budget bounds what is held; what the process takes is that and what the allocator keeps. mimalloc keeps freed memory for a
//! second, which under load is many times the budget, and asks for huge pages, of which one used byte costs 2 MiB.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

// The engine frees on its own threads what the proxy's have allocated, which the system's allocator does under a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc.h, which the crate does not name.
const PURGE_DELAY: mi_option_t = 15;

/// How long freed memory is kept before it is given back to the system, in milliseconds: 40 MB where 1 GB/s is freed, within the 64 MB
/// that the process may have beside the budget. With 0 a tiny request costs nearly a page fault; with 20 a listener that records spends a
/// tenth of its time in them, and with more than this it gains little.
const PURGE_AFTER: std::ffi::c_long = 40;

/// Has freed memory given back soon (unless `MIMALLOC_PURGE_DELAY` says otherwise), and no huge pages used.
pub(crate) fn tune() {
    // SAFETY: a store, allowed at any time; the option is the one that is meant, as the test below holds.
    unsafe { mi_option_set_default(PURGE_DELAY, PURGE_AFTER) };
    // The build's `no_thp` keeps mimalloc from asking for huge pages; this keeps the system from giving them unasked, as it does where
    // `transparent_hugepage/enabled` is `always`.
    // SAFETY: a system call without pointers. It fails only where the kernel has no huge pages.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: atomic loads and a store.
        let get = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(get(), 1000, "its default, by which it is known");
        tune();
        assert_eq!(get(), PURGE_AFTER);
    }
}
