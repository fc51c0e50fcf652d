//! What the kernel says about a process.

use std::fs;
use std::io;

/// The memory of a process that is not shared out, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that ever was resident.
    pub peak: u64,
}

impl Memory {
    /// That of a process.
    ///
    /// # Errors
    /// When there is no such process, or it has ended and waits to be reaped.
    pub fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
        };
        let memory = kib("VmRSS").zip(kib("VmHWM"));
        let (resident, peak) = memory.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { resident, peak })
    }
}

/// How many file descriptors a process has open.
///
/// # Errors
/// When there is no such process, or it belongs to somebody else.
pub(super) fn open_files(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_open_files() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.resident > 500 && memory.resident <= memory.peak, "{memory:?}");
        assert!(open_files(std::process::id()).unwrap() >= 3);
        assert!(Memory::of(u32::MAX).is_err());
    }
}
