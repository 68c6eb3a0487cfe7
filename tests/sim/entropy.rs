//! The process's `getrandom`, in place of the system's: on it depend the order of hash maps, tokio's choices and keys of
//! crates that ask the system directly. It gives every thread the same numbers in every process.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0x9E37_79B9_7F4A_7C15) };
}

/// As getrandom(2): fills `buffer` and gives how much.
///
/// # Safety
/// The caller gives `length` writable bytes at `buffer`, as libc demands.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    let mut state = STATE.get();
    for at in 0..length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // SAFETY: `at` is below `length`, and the caller owns that many bytes.
        unsafe { buffer.add(at).write(state.to_le_bytes()[3]) };
    }
    STATE.set(state);
    isize::try_from(length).unwrap_or(isize::MAX)
}
