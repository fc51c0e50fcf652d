//! Which program is started as a server, and with what.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// The server's name, by which the runner's own binary knows that it is to be the server.
const NAME: &str = "codebase-mcp";
/// The command with which a server starts the keeper of its embedded database. It runs the same file again, under
/// whatever name that has.
const KEEPER: &str = "keep-cluster";

/// How a server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// What the program is to take for its name, when that is not the file's.
    pub name: Option<OsString>,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: BTreeMap<String, OsString>,
    /// The folder that it works in.
    pub dir: PathBuf,
}

impl Program {
    /// The server that the file `scenarios`, a binary of this crate, contains.
    pub fn server(scenarios: &Path, env: BTreeMap<String, OsString>, dir: &Path) -> Self {
        Self {
            path: scenarios.to_owned(),
            name: Some(NAME.into()),
            args: vec!["serve".into()],
            env,
            dir: dir.to_owned(),
        }
    }

    /// The server that this very process contains, if it runs the binary of this crate.
    ///
    /// # Errors
    /// When the system does not say which file this process runs.
    pub fn this(env: BTreeMap<String, OsString>, dir: &Path) -> io::Result<Self> {
        Ok(Self::server(&std::env::current_exe()?, env, dir))
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        command.args(&self.args).env_clear().envs(&self.env).current_dir(&self.dir);
        command
    }
}

/// Whether a process with these arguments, the first of which is its name, is to be the server instead of the
/// runner: under the server's name, and when a server has started it as its keeper.
pub fn is_server(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let mut arguments = arguments.into_iter();
    let name = arguments.next();
    let named = name.as_deref().and_then(|name| Path::new(name).file_name());
    named == Some(OsStr::new(NAME)) || arguments.next().as_deref() == Some(OsStr::new(KEEPER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_told_from_the_runner() {
        let of = |line: &str| is_server(line.split_whitespace().map(OsString::from));
        assert!(of("codebase-mcp serve"));
        assert!(of("/usr/bin/codebase-mcp"));
        assert!(of("/target/scenarios keep-cluster --data-dir /data"));
        assert!(!of("/target/scenarios run keep-cluster"));
        assert!(!of("/codebase-mcp/scenarios"));
        assert!(!of(""));
    }
}
