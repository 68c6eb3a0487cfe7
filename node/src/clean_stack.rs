//! Overwrites what a thread leaves on its stack: a key that was handled by value lies there until something else is put in
//! its place, also once the thread has ended, since the C library keeps stacks for the next threads. What was on the heap is
//! wiped when it is freed. Used by whatever starts threads that keys go through, at an edge above all.

use std::hint::black_box;

/// Deeper than handling one request goes.
const DEPTH: usize = 256 * 1024;

thread_local! {
    static AT_END: AtEnd = const { AtEnd };
}

struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        wipe();
    }
}

/// Overwrites the stack below the caller.
#[inline(never)]
pub(crate) fn wipe() {
    let mut clean = [0_u8; DEPTH];
    black_box(&mut clean);
}

/// The stack of this thread is overwritten when it ends.
pub(crate) fn wipe_at_end() {
    AT_END.with(|at_end| _ = black_box(at_end));
}
