//! Memory that a thread can use without waiting for a disk.

use std::fs;
use std::hint::black_box;
use std::ops::Range;

use rustix::io::Errno;
use rustix::mm::{Advice, MlockAllFlags, madvise, mlockall};

/// More than the thread needs of its stack.
const STACK: usize = 128 * 1024;

/// Keeps in memory what the process has there now or will have in what it has mapped by now. The code is brought there
/// at once, also that which has not run yet.
///
/// What others map later is not locked: that could make their allocations fail. Nor are whole stacks brought in, which
/// on a host with many cores are some hundred megabytes.
pub(super) fn lock() -> Result<(), Errno> {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT)?;
    black_box([0_u8; STACK]);
    for Range { start, end } in fs::read_to_string("/proc/self/maps").iter().flat_map(|maps| code(maps)) {
        // Kernels before Linux 5.14 do not know this advice; there, code is read from the disk when it first runs.
        // SAFETY: the advice changes no contents, and where nothing is mapped any more it fails (madvise(2)).
        #[allow(unsafe_code)]
        let _unknown = unsafe { madvise(start as *mut _, end - start, Advice::LinuxPopulateRead) };
    }
    Ok(())
}

/// The mappings of files that can only be read or run (proc_pid_maps(5)).
fn code(maps: &str) -> impl Iterator<Item = Range<usize>> {
    maps.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let only_read = words.next()?.starts_with("r-");
        let of_file = words.nth(3)?.starts_with('/');
        let address = |hexadecimal| usize::from_str_radix(hexadecimal, 16).ok();
        (only_read && of_file).then_some(address(start)?..address(end)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0c0000000-55d0c0010000 r--p 00000000 fd:00 1234                       /usr/bin/tidegate
55d0c0010000-55d0c0900000 r-xp 00010000 fd:00 1234                       /usr/bin/tidegate
55d0c0900000-55d0c0980000 rw-p 00900000 fd:00 1234                       /usr/bin/tidegate
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000200000 ---p 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
not a line of it
";

    #[test]
    fn code_is_what_is_read_only_and_of_a_file() {
        let found: Vec<_> = code(MAPS).collect();
        assert_eq!(
            found,
            [0x55d0_c000_0000..0x55d0_c001_0000, 0x55d0_c001_0000..0x55d0_c090_0000],
            "the program's constants and its code"
        );
    }
}
