//! Walks a root and says of each file whether it may be indexed.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::index::ignored::{Entry, Rules, is_cache};
use crate::index::{Config, FailCause, Root, SkipRule};

/// The files of a root at one time.
#[derive(Debug)]
pub struct Scan {
    /// All that no ignore rule leaves out, ordered by path, each path once.
    pub files: Vec<Walked>,
    /// Folders with unknown content, by relative path.
    unlisted: Vec<String>,
}

/// A file, or a folder that could not be entered.
///
/// `relative` is the path below the root with forward slashes. That of the root itself is `.`. One
/// that is not UTF-8 is escaped and starts with `./`, so that it is not mistaken for another.
#[derive(Debug)]
pub enum Walked {
    /// A regular file of a fitting size. Its content is unknown yet.
    Candidate {
        /// The path.
        relative: String,
        /// Bytes.
        size: u64,
        /// The time of the last change, as the file system tells it.
        modified: SystemTime,
    },
    /// Kept out by a rule.
    Skipped {
        /// The path.
        relative: String,
        /// The rule.
        rule: SkipRule,
    },
    /// A file or folder about which nothing could be learned.
    Failed {
        /// The path.
        relative: String,
        /// The cause.
        cause: FailCause,
    },
}

/// The scan was given up before its end. Half a list would look as if files had been deleted.
#[derive(Debug, thiserror::Error)]
#[error("the scan was cancelled")]
pub struct Cancelled;

/// A folder that waits to be listed.
struct Folder {
    relative: String,
    /// The rules of the folder around it.
    rules: Rules,
}

/// The state of a walk.
struct Walk<'a> {
    root: &'a Path,
    max_file_size: u64,
    found: Scan,
    waiting: Vec<Folder>,
}

/// Walks `root`, folder by folder; a file or folder that fails does not end the walk. Blocks the
/// thread, and asks `cancelled` before each folder. No file is opened but ignore files and cache
/// tags. Memory grows with the number of paths.
pub fn scan(root: &Root, config: &Config, cancelled: &dyn Fn() -> bool) -> Result<Scan, Cancelled> {
    let mut walk = Walk {
        root: root.path(),
        max_file_size: config.max_file_size,
        found: Scan { files: Vec::new(), unlisted: Vec::new() },
        waiting: Vec::new(),
    };
    match Rules::above(root.path()) {
        Ok(rules) => walk.waiting.push(Folder { relative: String::new(), rules }),
        Err(cause) => walk.fail_folder("", cause),
    }
    while let Some(folder) = walk.waiting.pop() {
        if cancelled() {
            return Err(Cancelled);
        }
        if let Err(cause) = walk.list(&folder) {
            walk.fail_folder(&folder.relative, cause);
        }
    }
    walk.found.files.sort_unstable_by(|a, b| a.relative().cmp(b.relative()));
    Ok(walk.found)
}

impl Scan {
    /// Whether the scan would have found the file at `relative` if it existed. Where this is false,
    /// the absence of a file proves nothing.
    pub fn covers(&self, relative: &str) -> bool {
        !self.unlisted.iter().any(|folder| {
            folder.is_empty()
                || relative.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

impl Walked {
    /// Returns the path below the root.
    pub fn relative(&self) -> &str {
        match self {
            Self::Candidate { relative, .. }
            | Self::Skipped { relative, .. }
            | Self::Failed { relative, .. } => relative,
        }
    }
}

impl Walk<'_> {
    /// Sorts the entries of `folder` into found files and waiting folders. On failure none of them.
    fn list(&mut self, folder: &Folder) -> Result<(), FailCause> {
        let path = self.root.join(&folder.relative);
        if !folder.relative.is_empty() && is_cache(&path) {
            return Ok(());
        }
        let list = || fs::read_dir(&path)?.collect::<io::Result<Vec<_>>>();
        let entries = list().map_err(|source| FailCause::List { source })?;
        let rules = folder.rules.enter(&path)?;
        for entry in entries {
            self.add(&folder.relative, &rules, &entry);
        }
        Ok(())
    }

    fn add(&mut self, folder: &str, rules: &Rules, entry: &DirEntry) {
        let path = entry.path();
        let kind = entry.file_type();
        let is_folder = kind.as_ref().is_ok_and(fs::FileType::is_dir);
        if rules.leave_out(&path, if is_folder { Entry::Folder } else { Entry::Other }) {
            return;
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            // `escape_ascii` doubles backslashes, so different names stay different.
            let name = join(folder, &name.as_encoded_bytes().escape_ascii().to_string());
            let relative = format!("./{name}");
            self.found.files.push(Walked::Skipped { relative, rule: SkipRule::NotUtf8Name });
            return;
        };
        let relative = join(folder, name);
        if is_folder {
            self.waiting.push(Folder { relative, rules: rules.clone() });
            return;
        }
        let walked = match kind.and_then(|kind| self.judge(kind, entry)) {
            Ok(Ok((size, modified))) => Walked::Candidate { relative, size, modified },
            Ok(Err(rule)) => Walked::Skipped { relative, rule },
            Err(source) => Walked::Failed { relative, cause: FailCause::Metadata { source } },
        };
        self.found.files.push(walked);
    }

    /// Returns the size and time of a regular file, or why it is skipped.
    fn judge(
        &self,
        kind: fs::FileType,
        entry: &DirEntry,
    ) -> io::Result<Result<(u64, SystemTime), SkipRule>> {
        if kind.is_symlink() {
            return Ok(Err(SkipRule::Symlink));
        }
        if !kind.is_file() {
            return Ok(Err(SkipRule::NotAFile));
        }
        let metadata = entry.metadata()?;
        let (size, limit) = (metadata.len(), self.max_file_size);
        if size > limit {
            return Ok(Err(SkipRule::TooLarge { size, limit }));
        }
        Ok(Ok((size, metadata.modified()?)))
    }

    fn fail_folder(&mut self, relative: &str, cause: FailCause) {
        let shown = if relative.is_empty() { "." } else { relative };
        self.found.files.push(Walked::Failed { relative: shown.to_owned(), cause });
        self.found.unlisted.push(relative.to_owned());
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests;
