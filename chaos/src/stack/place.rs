//! A folder that belongs to a run, with the processes that work in it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::processes::MARK;
use super::remains::{blocking, clear};
use super::{StackError, random};
use crate::journal::{Entry, Journal, Undo};

/// How the names of all places begin; nothing else is ever removed as one.
const PREFIX: &str = "cmcp-";

/// A fresh folder among the temporary ones, in the journal from before it is made until it is gone. Dropping it
/// ends what was started in it and removes it; that blocks for an instant, or for seconds if the system is slow.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// `None` once the folder is gone.
    entry: Option<Entry>,
}

impl Place {
    /// Makes a folder with this mode, whose name begins with `cmcp-` and `kind`. It is short, because the path
    /// of a Unix socket in it is limited.
    ///
    /// # Errors
    ///
    /// The journal or the folder cannot be written. Nothing is left then.
    pub fn make(kind: &str, mode: u32, journal: &Journal) -> Result<Self, StackError> {
        let parent = std::env::temp_dir();
        // Without links on the way: `/proc` shows it so.
        let parent = parent
            .canonicalize()
            .map_err(|source| StackError::Folder { path: parent.clone(), source })?;
        let path = parent.join(format!("{PREFIX}{kind}-{}", random::name()));
        let noted = |source| StackError::Journal { source };
        let entry = journal.begin(Undo::Place { folder: path.clone() }).map_err(noted)?;
        match DirBuilder::new().mode(mode).create(&path) {
            Ok(()) => Ok(Self { path, entry: Some(entry) }),
            Err(source) => {
                // One of this name that was there is somebody else's.
                entry.end().map_err(noted)?;
                Err(StackError::Folder { path, source })
            }
        }
    }

    /// The folder, without links in its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The variable with which everything must be started that works in the folder, and its value. What has another
    /// one, or none, is somebody else's and is never ended.
    pub fn mark(&self) -> (&'static str, &Path) {
        (MARK, &self.path)
    }

    /// Ends everything that was started in the folder, and removes it.
    ///
    /// # Errors
    ///
    /// Something is left; it is still in the journal.
    ///
    /// # Cancel safety
    ///
    /// A dropped future goes on, and leaves the entry in the journal.
    pub async fn remove(mut self) -> Result<(), StackError> {
        let Some(entry) = self.entry.take() else { return Ok(()) };
        let folder = self.path.clone();
        blocking(move || clear(&folder)).await?;
        entry.end().map_err(|source| StackError::Journal { source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        let gone = clear(&self.path)
            .and_then(|()| entry.end().map_err(|source| StackError::Journal { source }));
        if let Err(error) = gone {
            tracing::warn!(%error, "a folder is left; `scenarios recover` removes it");
        }
    }
}

/// Whether a folder is one that [`Place::make`] makes.
pub(super) fn is_one(folder: &Path) -> bool {
    let named = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PREFIX);
    folder.is_absolute() && folder.file_name().is_some_and(named)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_place_is_in_the_journal_while_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "run").unwrap();
        let place = Place::make("test", 0o700, &journal).unwrap();
        let other = Place::make("test", 0o700, &journal).unwrap();
        let path = place.path().to_owned();
        assert!(is_one(&path) && path.is_dir() && path != other.path());
        fs::write(path.join("file"), "").unwrap();
        assert_eq!(journal.look().unwrap().open.len(), 2);
        place.remove().await.unwrap();
        assert!(!path.exists());
        let left = other.path().to_owned();
        assert_eq!(journal.look().unwrap().open, [Undo::Place { folder: left.clone() }]);
        drop(other);
        assert!(!left.exists());
        assert_eq!(journal.look().unwrap().open, []);
    }
}
