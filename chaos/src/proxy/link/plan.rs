//! What the core of a connection tells its task to do.

use std::sync::Arc;
use std::time::Duration;

use crate::proxy::recorder::DecisionKind;

/// How a connection is ended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// RST instead of FIN.
    pub(super) reset: bool,
    pub(super) what: DecisionKind,
    pub(super) toxic: Option<Arc<str>>,
    pub(super) detail: &'static str,
}

/// What to do for a connection now.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) verdict: Option<Verdict>,
    /// Whether the server may be dialled.
    pub(super) dial: bool,
    /// When to ask again at the latest.
    pub(super) wake: Option<Duration>,
    pub(super) up: Work,
    pub(super) down: Work,
}

/// What to do for a direction.
#[derive(Debug)]
pub(super) struct Work {
    /// Read from its source.
    pub(super) read: bool,
    /// Write to its destination.
    pub(super) write: bool,
    /// Shut its destination down for writing.
    pub(super) end: bool,
}
