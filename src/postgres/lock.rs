//! File locks between processes. The kernel frees them when the holder ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process;

use super::error::ClusterError;
use super::wait::Deadline;

/// A lock held until drop.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// How a lock is held.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

impl Lock {
    /// Takes the lock on the file `path`, which is made when absent; `None` if it is taken.
    pub(super) fn try_take(path: &Path, mode: Mode) -> Result<Option<Self>, ClusterError> {
        let broken = |source| ClusterError::Folder { path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Whoever may open the file may lock it, and hold us up.
            .mode(0o600)
            .open(path)
            .map_err(broken)?;
        let taken = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(broken(source)),
        }
    }

    /// Takes the lock on the file `path` and signs it, waiting for others until `deadline`.
    pub(super) fn wait(path: &Path, mode: Mode, deadline: Deadline) -> Result<Self, ClusterError> {
        loop {
            if let Some(lock) = Self::try_take(path, mode)? {
                lock.sign();
                return Ok(lock);
            }
            if !deadline.pause() {
                return Err(ClusterError::LockTimeout {
                    lock: path.to_owned(),
                    holder: signed_by(path),
                    waited: deadline.limit,
                });
            }
        }
    }

    /// Writes this process's id into the file, for whoever waits, and moves the file's time. The
    /// lock holds without it, and must on a full disk.
    pub(super) fn sign(&self) {
        // Each open file has its own position, which is still at the start here.
        let signature = format!("{}\n", process::id());
        let signed =
            self.file.set_len(0).and_then(|()| (&self.file).write_all(signature.as_bytes()));
        if let Err(error) = signed {
            tracing::debug!(%error, "cannot sign a lock file of the database");
        }
    }
}

impl Drop for Lock {
    /// Unlocks by name: a child that is just being started may hold a copy of the open file for a
    /// moment, and closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "cannot unlock a lock file of the database");
        }
    }
}

/// The process that signed the lock file last.
fn signed_by(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn says_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("start.lock");
        let soon = Deadline::after(Duration::from_millis(30));
        let held = Lock::wait(&path, Mode::Exclusive, soon).unwrap();
        let error = Lock::wait(&path, Mode::Shared, soon).unwrap_err().to_string();
        assert!(error.contains(&format!("waited 30ms for process {}", process::id())), "{error}");

        drop(held);
        let shared = Lock::try_take(&path, Mode::Shared).unwrap();
        assert!(shared.is_some());
        assert!(Lock::try_take(&path, Mode::Shared).unwrap().is_some());
        assert!(Lock::try_take(&path, Mode::Exclusive).unwrap().is_none());
    }
}
