//! Memory that a large reading or a large answer has needed for a moment goes back to the system.

/// Makes the C library of GNU give large blocks back as soon as they are free.
///
/// By itself it learns from the first large block that is freed to keep further ones of that size, which after one
/// status of 37,000 real servers is half of the daemon's memory. Other C libraries have no such habit.
#[cfg(target_env = "gnu")]
pub(crate) fn keep_nothing_large() {
    // SAFETY: mallopt has no preconditions but being called before there are other threads (mallopt(3)).
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 * 1024);
    }
}

/// Nothing to do with this C library.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn keep_nothing_large() {}
