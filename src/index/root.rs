//! The folder that is indexed, and the only door to the files in it.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;

use crate::index::FailCause;

/// An existing, readable folder by its absolute path without symbolic links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(String);

/// Why a path cannot be a root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The path would mean another folder in another process.
    #[error("{path:?} is a relative path; give an absolute path, one that starts with a slash")]
    Relative {
        /// The path as given.
        path: PathBuf,
    },
    /// Nothing is there.
    #[error("{path:?} does not exist; give the path of an existing folder")]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// A file is there.
    #[error("{path:?} is not a folder; give a folder, such as {parent:?}")]
    NotAFolder {
        /// The path without symbolic links.
        path: PathBuf,
        /// The folder that holds it.
        parent: PathBuf,
    },
    /// The folder, or one above it, may not be entered or listed.
    #[error(
        "{path:?} cannot be listed ({source}); check the permissions of the folder and those above it"
    )]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Paths are stored as text.
    #[error("{path:?} is not UTF-8; rename the folder")]
    NotUtf8 {
        /// The path without symbolic links.
        path: PathBuf,
    },
}

/// What is found on opening a path.
#[derive(Debug)]
pub(super) enum Opened {
    /// A regular file, open for reading.
    Regular(File, Metadata),
    /// A symbolic link, which was not followed.
    Symlink,
    /// Anything else. It was opened without waiting and is closed again.
    Special,
}

impl Root {
    /// Checks that `path` is an absolute path of a folder that can be listed, and resolves its
    /// symbolic links.
    pub fn resolve(path: &Path) -> Result<Self, RootError> {
        if !path.is_absolute() {
            return Err(RootError::Relative { path: path.to_owned() });
        }
        let unreadable = |source: io::Error| {
            let path = path.to_owned();
            if source.kind() == io::ErrorKind::NotFound {
                RootError::NotFound { path }
            } else {
                RootError::Unreadable { path, source }
            }
        };
        let resolved = path.canonicalize().map_err(unreadable)?;
        if !fs::metadata(&resolved).map_err(unreadable)?.is_dir() {
            let parent = resolved.parent().unwrap_or(Path::new("/")).to_owned();
            return Err(RootError::NotAFolder { path: resolved, parent });
        }
        fs::read_dir(&resolved).map_err(unreadable)?;
        match resolved.into_os_string().into_string() {
            Ok(text) => Ok(Self(text)),
            Err(path) => Err(RootError::NotUtf8 { path: path.into() }),
        }
    }

    /// Returns the path: absolute, without symbolic links.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the same as [`as_str`](Self::as_str), as a path.
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Opens the file at `relative`. No folder on the way may be a symbolic link, so the file lies
    /// below the root even when someone moves folders meanwhile.
    pub(super) fn open(&self, relative: &str) -> Result<Opened, FailCause> {
        let mut names = Vec::new();
        for component in Path::new(relative).components() {
            let Component::Normal(name) = component else { return Err(FailCause::OutsideRoot) };
            names.push(name);
        }
        let Some((file, folders)) = names.split_last() else { return Err(FailCause::OutsideRoot) };
        let failed = |source: io::Error| FailCause::Open { source };
        let mut folder = open_folder(CWD, self.path()).map_err(failed)?;
        for name in folders {
            folder = open_folder(&folder, Path::new(name)).map_err(failed)?;
        }
        open_file(folder, *file).map_err(failed)
    }
}

/// Opens the folder called `name` in the folder `at`, unless it is a symbolic link.
fn open_folder(at: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| openat(at.as_fd(), name, flags, Mode::empty()))?)
}

/// Opens the file called `name` in the folder `at`, without following a symbolic link and without
/// waiting for the other end of a pipe.
pub(super) fn open_file(at: impl AsFd, name: impl Arg + Copy) -> io::Result<Opened> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match retry_on_intr(|| openat(at.as_fd(), name, flags, Mode::empty())) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Ok(Opened::Symlink),
        // A socket cannot be opened at all, nor a device without a driver.
        Err(Errno::NXIO | Errno::NODEV) => return Ok(Opened::Special),
        Err(errno) => return Err(errno.into()),
    };
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(Opened::Regular(file, metadata)) } else { Ok(Opened::Special) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{ffi::OsStrExt, fs::symlink};

    use super::*;

    #[test]
    fn a_root_is_an_existing_folder_by_its_absolute_path() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        fs::write(base.join("file"), "").unwrap();
        fs::create_dir(base.join("real")).unwrap();
        symlink(base.join("real"), base.join("link")).unwrap();
        symlink(base.join("loop"), base.join("loop")).unwrap();
        let latin1 = base.join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        fs::create_dir(&latin1).unwrap();

        let root = Root::resolve(&base.join("link/../real/.")).unwrap();
        assert_eq!(root.path(), base.join("real"));
        assert_eq!(Root::resolve(&base.join("link")).unwrap(), root);

        let refused = |path: &Path| {
            let error = Root::resolve(path).unwrap_err();
            (error.to_string().replace(base.to_str().unwrap(), "BASE"), error)
        };
        let (text, _) = refused(Path::new("src"));
        assert_eq!(
            text,
            "\"src\" is a relative path; give an absolute path, one that starts with a slash"
        );
        let (text, _) = refused(&base.join("none"));
        assert_eq!(text, "\"BASE/none\" does not exist; give the path of an existing folder");
        let (text, _) = refused(&base.join("file"));
        assert_eq!(text, "\"BASE/file\" is not a folder; give a folder, such as \"BASE\"");
        let (_, error) = refused(&base.join("loop"));
        assert!(matches!(error, RootError::Unreadable { .. }), "{error:?}");
        let (_, error) = refused(&latin1);
        assert!(matches!(error, RootError::NotUtf8 { .. }), "{error:?}");
    }
}
