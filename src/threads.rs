//! Threads at the end of the process.

use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;

/// Waits for the end of a thread that has been told to end; one that hangs is left to the end of the process.
pub(crate) fn join(thread: JoinHandle<()>, limit: Duration) {
    let deadline = clock::now() + limit;
    while !thread.is_finished() {
        if clock::now() >= deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // A panic has been written by itself.
    let (Ok(()) | Err(_)) = thread.join();
}
