//! The folder of the control sockets, and the names in it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

/// The folder's name, below the data folder.
const NAME: &str = "run";
/// How the name of a socket that accepts connections ends.
const READY: &str = ".sock";
/// How the name of a socket ends until it accepts connections.
const UNREADY: &str = ".new";
/// Far more than it takes from making a socket to its final name.
const UNREADY_MAX: Duration = Duration::from_mins(1);
/// The longest path that the kernel takes for a Unix socket, in bytes.
const SOCKET_PATH_MAX: usize = 107;

/// The folder of the control sockets of one user's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// The folder's path leaves no room for the name of a socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is too long for the path of a control socket, which the system limits to {SOCKET_PATH_MAX} bytes; set XDG_DATA_HOME to a shorter path",
    folder.display()
)]
pub struct PathTooLong {
    folder: PathBuf,
}

/// A socket by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    /// The process that made it.
    pub(super) pid: u32,
}

impl Folder {
    /// The folder below the data folder `data`. Nothing is made yet.
    ///
    /// # Errors
    /// When `data` is too long a path.
    pub fn below(data: &Path) -> Result<Self, PathTooLong> {
        let path = data.join(NAME);
        let longest = path.join(name(u32::MAX, Uuid::nil()) + READY);
        if longest.as_os_str().as_bytes().len() > SOCKET_PATH_MAX {
            return Err(PathTooLong { folder: path });
        }
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder if it is absent, and sees to it that nobody else may enter it.
    pub(super) fn claim(&self) -> io::Result<()> {
        if let Some(data) = self.path.parent() {
            fs::create_dir_all(data)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let metadata = fs::symlink_metadata(&self.path)?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            let reason = "it is no folder of this user; remove it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        if metadata.mode() & 0o777 != 0o700 {
            fs::set_permissions(&self.path, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// The path for a new socket of this process, which is unique for all time, so that removing an old
    /// socket never hits a new one. First the name until it accepts connections, then the final one.
    pub(super) fn new_socket(&self) -> (PathBuf, PathBuf) {
        let name = name(std::process::id(), Uuid::new_v4());
        (self.path.join(name.clone() + UNREADY), self.path.join(name + READY))
    }

    /// The sockets with their final name, in the order of their processes.
    pub(super) fn sockets(&self) -> io::Result<Vec<Named>> {
        let mut sockets = Vec::new();
        for entry in self.entries()? {
            let path = entry?.path();
            if let Some(pid) = pid_of(&path, READY) {
                sockets.push(Named { path, pid });
            }
        }
        sockets.sort_by(|one, other| (one.pid, &one.path).cmp(&(other.pid, &other.path)));
        Ok(sockets)
    }

    /// Removes sockets whose process was killed before they got their final name.
    pub(super) fn remove_unready(&self) -> io::Result<()> {
        for entry in self.entries()? {
            let path = entry?.path();
            // One that has got its name or is gone meanwhile, and one from the future, are left alone.
            let modified = fs::metadata(&path).and_then(|found| found.modified());
            let age = modified.ok().and_then(|at| at.elapsed().ok());
            if pid_of(&path, UNREADY).is_some() && age.is_some_and(|age| age > UNREADY_MAX) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// What is in the folder; nothing when there is none.
    fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
        match fs::read_dir(&self.path) {
            Ok(entries) => Ok(Some(entries).into_iter().flatten()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
            Err(error) => Err(error),
        }
    }
}

/// Removes a file that another process may have removed already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The name of a socket without its ending.
fn name(pid: u32, id: Uuid) -> String {
    let id = id.simple().to_string();
    format!("{pid}-{}", id.get(..8).unwrap_or_default())
}

/// The process in the name of a socket that ends in `ending`.
fn pid_of(path: &Path, ending: &str) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_suffix(ending)?;
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_user_may_enter_the_folder() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path().join("data/codebase-mcp");
        let folder = Folder::below(&data).unwrap();
        assert_eq!(folder.sockets().unwrap(), [], "a folder that is not there has no sockets");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        folder.claim().unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        folder.claim().unwrap();
        assert_eq!(mode(folder.path()), 0o700, "mended");

        fs::remove_dir(folder.path()).unwrap();
        std::os::unix::fs::symlink("/tmp", folder.path()).unwrap();
        let error = folder.claim().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    }

    #[test]
    fn a_path_that_no_socket_fits_in_is_refused() {
        // `/run/4294967295-12345678.sock`
        let room = SOCKET_PATH_MAX - 29;
        let data = |length: usize| PathBuf::from(format!("/{}", "d".repeat(length - 1)));
        let folder = Folder::below(&data(room)).unwrap();
        let longest = folder.path().join(name(u32::MAX, Uuid::nil()) + READY);
        assert_eq!(longest.as_os_str().len(), SOCKET_PATH_MAX);
        let error = Folder::below(&data(room + 1)).unwrap_err().to_string();
        assert!(error.contains("107 bytes") && error.contains("XDG_DATA_HOME"), "{error}");
    }

    #[test]
    fn sockets_are_told_by_their_names() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::below(data.path()).unwrap();
        folder.claim().unwrap();
        for name in ["12-a.sock", "9-b.sock", "9-a.new", "x-a.sock", "9.sock", "notes", "-.sock"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let pids: Vec<u32> = folder.sockets().unwrap().iter().map(|socket| socket.pid).collect();
        assert_eq!(pids, [9, 12]);

        folder.remove_unready().unwrap();
        let unready = folder.path().join("9-a.new");
        assert!(unready.exists(), "it may get its final name any moment");
        let old = std::time::SystemTime::UNIX_EPOCH;
        fs::File::open(&unready).unwrap().set_modified(old).unwrap();
        folder.remove_unready().unwrap();
        assert!(!unready.exists());
    }
}
