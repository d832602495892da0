//! Memory that a large reading or a large answer has needed for a moment goes back to the system.
//!
//! By itself the C library of GNU keeps it: it learns from the first large block that is freed to keep further ones of
//! that size, and small blocks only go back from the end of the heap. After one status of 37,000 real servers that is
//! half of the daemon's memory. Other C libraries have no such habit.

/// Makes large blocks go back as soon as they are free.
#[cfg(target_env = "gnu")]
pub(crate) fn keep_nothing_large() {
    // SAFETY: mallopt has no preconditions but being called before there are other threads (mallopt(3)).
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 * 1024);
    }
}

/// Gives back what is free. Takes some milliseconds with a large configuration: not for the event loop.
#[cfg(target_env = "gnu")]
pub(crate) fn give_back() {
    // SAFETY: malloc_trim has no preconditions and may be called from any thread (malloc_trim(3)).
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Nothing to do with this C library.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn keep_nothing_large() {}

/// Nothing to do with this C library.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back() {}
