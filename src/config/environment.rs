//! The process environment as a value, so that a test brings its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// Everything the configuration takes from outside its file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Environment variables. A name that is not Unicode is none of ours and left out.
    pub variables: BTreeMap<String, OsString>,
    /// The effective user; 0 is root.
    pub effective_uid: u32,
    /// The folder that relative paths start from.
    pub working_dir: PathBuf,
}

/// A variable whose value is not Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUnicode;

impl Environment {
    /// The environment of this process, read once.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
            effective_uid: rustix::process::geteuid().as_raw(),
            // When the working folder is gone there is nothing in it to find either.
            working_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        }
    }

    /// The folder for the embedded cluster and its PostgreSQL: `codebase-mcp` in `XDG_DATA_HOME`;
    /// for root in `/var/lib`, because another user runs PostgreSQL and root's home is closed to
    /// it; else in `.local/share` of `HOME`. `None` when nothing says where that is.
    pub fn data_folder(&self) -> Option<PathBuf> {
        let parent = match self.absolute("XDG_DATA_HOME") {
            Some(folder) => folder.to_owned(),
            None if self.effective_uid == 0 => PathBuf::from("/var/lib"),
            None => self.absolute("HOME")?.join(".local/share"),
        };
        Some(parent.join("codebase-mcp"))
    }

    /// The user's folder for what can be made again: `codebase-mcp` in `XDG_CACHE_HOME`, else in
    /// `.cache` of `HOME`. `None` when nothing says where that is.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let parent = match self.absolute("XDG_CACHE_HOME") {
            Some(folder) => folder.to_owned(),
            None => self.absolute("HOME")?.join(".cache"),
        };
        Some(parent.join("codebase-mcp"))
    }

    /// The user's folder for configuration files.
    pub(super) fn config_folder(&self) -> Option<PathBuf> {
        match self.absolute("XDG_CONFIG_HOME") {
            Some(folder) => Some(folder.join("codebase-mcp")),
            None => Some(self.absolute("HOME")?.join(".config/codebase-mcp")),
        }
    }

    /// The value of a variable; an empty one counts as not set.
    pub(super) fn value(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The text of a variable; an empty one counts as not set.
    pub(super) fn text(&self, name: &str) -> Option<Result<&str, NotUnicode>> {
        self.value(name).map(|value| value.to_str().ok_or(NotUnicode))
    }

    /// A relative path in such a variable is ignored, as the XDG specification asks.
    fn absolute(&self, name: &str) -> Option<&Path> {
        self.value(name).map(Path::new).filter(|path| path.is_absolute())
    }
}

impl fmt::Debug for Environment {
    /// Values may be secrets, so that only the names show.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("effective_uid", &self.effective_uid)
            .field("working_dir", &self.working_dir)
            .finish()
    }
}
