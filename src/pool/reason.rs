//! Why connections are opened and closed: one label for log, counter and test.

use std::fmt;

/// Why the dialer opens a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenReason {
    /// Somebody waits and nothing on its way will serve them.
    Waiters,
    /// The pool holds fewer than `min_size` connections.
    MinSize,
}

/// Why the pool closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// A statement was abandoned before its end, or the driver reported a broken session.
    InFlight,
    /// The lease was dropped inside a transaction.
    InTransaction,
    /// The driver connection was used behind the pool's back, so its session state is unknown.
    Untracked,
    /// The check before hand-out failed.
    FailedCheck,
    /// The pool is shutting down.
    Shutdown,
}

impl OpenReason {
    /// The stable label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiters => "waiters",
            Self::MinSize => "min_size",
        }
    }
}

impl CloseReason {
    /// The stable label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::InTransaction => "in_transaction",
            Self::Untracked => "untracked",
            Self::FailedCheck => "failed_check",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for OpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
