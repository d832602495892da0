//! How many connections the process's descriptors allow.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For all that is not a connection: the daemon's checks, control socket, files, and the threads' own.
const RESERVE: u64 = 512;

/// Where the proxy's own limits stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most descriptors this process may have.
    pub descriptors: u64,
    /// The most client connections and UDP sessions together, what listeners take already subtracted.
    pub max_connections: u64,
    /// Client connections and UDP sessions now.
    pub open: u64,
}

/// Raises the descriptor limit as far as it goes without privilege, and returns it.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Refused only if the hard limit was lowered at this very moment: what is, is read back in any case.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    // None: unlimited.
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Two descriptors a connection.
pub(crate) fn connection_limit(descriptors: u64, listeners: u64) -> u64 {
    descriptors.saturating_sub(reserve(descriptors)).saturating_sub(listeners) / 2
}

/// Two descriptors a pipe, of a quarter of the reserve.
pub(crate) fn pipes_per_thread(descriptors: u64, threads: usize) -> usize {
    reserve(descriptors) as usize / 4 / 2 / threads
}

/// A small limit gives a quarter only.
fn reserve(descriptors: u64) -> u64 {
    RESERVE.min(descriptors / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_a_connection() {
        assert_eq!(connection_limit(20_000, 8), 9_740);
        assert_eq!(connection_limit(64, 2), 23);
        assert_eq!(connection_limit(100, 400), 0);
        assert_eq!(
            [pipes_per_thread(20_000, 2), pipes_per_thread(64, 1), pipes_per_thread(64, 64)],
            [32, 2, 0]
        );
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let raised = raise_descriptor_limit();
        assert_eq!(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX), raised);
    }
}
