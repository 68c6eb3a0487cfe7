//! Memory that is wiped when it is freed: on an edge, which hands content keys out and must keep none.
//!
//! A key goes to a viewer through buffers of the web server and of TLS, which free them as they are. So an edge wipes
//! whatever is freed, by whom it was; a node, which holds the cluster's keys anyway, does not take that time. This is the one
//! place of ours with `unsafe`: the language has no other way to put something before the system's allocator.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

static WIPES: AtomicBool = AtomicBool::new(false);

/// The system's allocator, with a wipe before it.
pub(crate) struct Wiping;

/// From now on everything that is freed is wiped. Called before there are secrets, and never taken back.
pub(crate) fn begin() {
    WIPES.store(true, Ordering::Relaxed);
}

// SAFETY: memory comes from the system's allocator and goes back to it with the layout it was asked for with; in between
// nothing is done to it but overwriting what its owner has given up.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if WIPES.load(Ordering::Relaxed) {
            // SAFETY: the caller gives up all `layout.size()` bytes.
            unsafe { memory.write_bytes(0, layout.size()) };
            // As far as the compiler knows somebody looks at them: it may not leave the wipe out.
            std::hint::black_box(memory);
        }
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !WIPES.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise is handed on.
            return unsafe { System.realloc(memory, layout, size) };
        }
        // The system's own would leave what it moves, or cuts off, as it was.
        // SAFETY: the caller promises that `size` with this alignment is a layout, and is not zero.
        let fresh = unsafe { System.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !fresh.is_null() {
            // SAFETY: both are at least this long, and the new one overlaps nothing.
            unsafe { fresh.copy_from_nonoverlapping(memory, layout.size().min(size)) };
            // SAFETY: nobody has the old one any more.
            unsafe { self.dealloc(memory, layout) };
        }
        fresh
    }
}
