//! The allocator, and how much it keeps of what was freed.
//!
//! The byte budget bounds what is held; what the process takes is that and what the allocator keeps. mimalloc keeps freed memory for a
//! second, which under load is many times the budget, and asks for huge pages, of which one used byte costs 2 MiB.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_option_set_default, mi_option_t, mi_realloc, mi_realloc_aligned,
    mi_zalloc, mi_zalloc_aligned,
};

// The engine frees on its own threads what the proxy's have allocated, which the system's allocator does under a lock.
#[global_allocator]
static ALLOCATOR: Mimalloc = Mimalloc;

/// mimalloc, asked for alignment only where it would not give it anyway: the crate of its name always asks, which for most sizes takes a slower way.
struct Mimalloc;

/// Whether a block of this size is aligned like this by itself: to 16 bytes, the smallest ones to their size (MI_MAX_ALIGN_SIZE in
/// mimalloc/types.h).
const fn is_aligned_anyway(layout: Layout) -> bool {
    layout.align() <= 16 && layout.align() <= layout.size()
}

// SAFETY: each function does what mimalloc's own of that purpose does, which keep the trait's rules: blocks are at least as large and aligned as asked for,
// or null is returned; nothing unwinds.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two as alignment may be asked for.
        let block = unsafe {
            match is_aligned_anyway(layout) {
                true => mi_malloc(layout.size()),
                false => mi_malloc_aligned(layout.size(), layout.align()),
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe {
            match is_aligned_anyway(layout) {
                true => mi_zalloc(layout.size()),
                false => mi_zalloc_aligned(layout.size(), layout.align()),
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's block came from one of the functions here.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above, twice.
        let block = unsafe {
            match is_aligned_anyway(layout) && layout.align() <= size {
                true => mi_realloc(block.cast(), size),
                false => mi_realloc_aligned(block.cast(), size, layout.align()),
            }
        };
        block.cast()
    }
}

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
    fn blocks_are_aligned() {
        for size in (1..64).chain([100, 1000, 4096, 5000, 100_000, 3_000_000]) {
            for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                // SAFETY: the size is not zero, and each block is freed once, by the layout that it has then.
                unsafe {
                    let block = ALLOCATOR.alloc(layout);
                    assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
                    block.write_bytes(7, size);
                    let block = ALLOCATOR.realloc(block, layout, size + 9);
                    assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
                    assert!((0..size).all(|i| block.add(i).read() == 7), "{layout:?}");
                    ALLOCATOR.dealloc(block, Layout::from_size_align(size + 9, align).expect("a layout"));
                    let zeroed = ALLOCATOR.alloc_zeroed(layout);
                    assert!(
                        zeroed.addr().is_multiple_of(align) && (0..size).all(|i| zeroed.add(i).read() == 0),
                        "{layout:?}"
                    );
                    ALLOCATOR.dealloc(zeroed, layout);
                }
            }
        }
    }

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: atomic loads and a store.
        let get = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(get(), 1000, "its default, by which it is known");
        tune();
        assert_eq!(get(), PURGE_AFTER);
    }
}
