//! Why the gate could not do its work.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::baseline::BaselineError;

/// Why the gate could not do its work. That something is slower is no error.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A baseline could not be read or written.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// A revision is not in this clone.
    #[error(
        "the revision {revision} is not in this clone; if the clone is shallow, `git fetch --unshallow` gets \
         it (in a workflow: `fetch-depth: 0`), or name another one with --base"
    )]
    UnknownRevision {
        /// Its name.
        revision: String,
    },
    /// There is nothing to compare with.
    #[error(
        "there is no baseline in {}, so there is no revision to compare with; name one with --base, or accept a \
         baseline with `scenarios baseline accept`",
        folder.display()
    )]
    NoBaseline {
        /// Where baselines are looked for.
        folder: PathBuf,
    },
    /// A baseline would name a revision that is not what was measured.
    #[error(
        "the work tree differs from {head}, which the baseline would name; commit or stash what is there, and \
         accept then"
    )]
    NotCommitted {
        /// The commit that is checked out.
        head: String,
    },
    /// No benchmark and no objective has such a name.
    #[error(
        "nothing that is gated has `{filter}` in its name; `scenarios baseline show` names what is"
    )]
    NothingMatches {
        /// What was asked for.
        filter: String,
    },
    /// A slowdown cannot be injected.
    #[error("{0}")]
    NoSlowdown(String),
    /// A program could not be started.
    #[error("`{command}` could not be started: {source}; is it installed, and in PATH?")]
    NotStarted {
        /// The program and its arguments.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed ({status}): {said}")]
    CommandFailed {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said on stderr.
        said: String,
    },
    /// A build failed; the compiler has said why.
    #[error("revision or tree {tree} could not be built: {reason}")]
    BuildFailed {
        /// What was to be built.
        tree: String,
        /// Why.
        reason: String,
    },
    /// What a program or criterion left cannot be understood.
    #[error("{what} cannot be understood: {reason}")]
    NotUnderstood {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// A file or folder could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be received, so a scenario would not be undone when one comes.
    #[error("signals cannot be received: {0}")]
    NoSignals(String),
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
}

impl GateError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}
