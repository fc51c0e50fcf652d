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
         it (in a workflow: `fetch-depth: 0`); if it was squashed or rebased away, accept another baseline or \
         name a revision with --base"
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
    /// A machine is too busy for what it needs to be stored.
    #[error(
        "{benchmark}: the machine's speed changed by {percent:.0} % during each of {tries} measurements; accept a \
         baseline where less else is running"
    )]
    Unsteady {
        /// What was measured.
        benchmark: String,
        /// How much its speed changed in the last one, in percent.
        percent: f64,
        /// How often it was tried.
        tries: usize,
    },
    /// A scenario has no values, so that a baseline would lack its objectives.
    #[error(
        "the scenario {scenario} has no values for a baseline: {reason}; nothing was accepted, \
         `scenarios {scenario}` runs it alone"
    )]
    NoObjectives {
        /// Which.
        scenario: String,
        /// Why.
        reason: String,
    },
    /// No benchmark and no objective has such a name.
    #[error(
        "nothing that is gated has `{filter}` in its name; `scenarios baseline show` names what is"
    )]
    NothingMatches {
        /// What was asked for.
        filter: String,
    },
    /// The machine was too busy to find out how much a slowdown costs.
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
