//! Why connections are opened and closed: one label for log, counter and test.

use std::fmt;

/// Why the dialer opens a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenReason {
    /// Somebody waits and nothing on its way will serve them.
    Waiters,
    /// The pool holds fewer than `min_size` connections.
    MinSize,
    /// A connection is due for retirement and this one takes its place.
    Replacement,
    /// All others are lent and silent, so that a new one must tell whether the database is there.
    Probe,
}

/// Why the pool closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// A lease was dropped while a statement was running or its answer had not been read.
    Abandoned,
    /// The session broke: an I/O error, or the server ended it.
    Broken,
    /// A statement got no answer, not even that it took too long.
    Silent,
    /// The driver connection was used behind the pool's back, so its session state is unknown.
    Untracked,
    /// The session's prepared statements no longer fit the schema.
    StalePlan,
    /// The check found the session dead or read-only.
    CheckFailed,
    /// The server refused a statement because it only reads: it is a standby by now.
    ReadOnly,
    /// The check found the session inside a transaction.
    InTransaction,
    /// The check, or the reset of the session, did not end in time.
    CheckTimedOut,
    /// The session could not be reset.
    ResetFailed,
    /// It reached its age.
    Lifetime,
    /// It ran `max_queries` statements.
    Queries,
    /// Nobody needed it for `max_idle_time`.
    IdleTime,
    /// `max_size` was lowered.
    Shrunk,
    /// The lease was taken back from its holder.
    Reclaimed,
    /// The pool is shutting down.
    Shutdown,
}

impl OpenReason {
    /// The stable label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiters => "waiters",
            Self::MinSize => "min_size",
            Self::Replacement => "replacement",
            Self::Probe => "probe",
        }
    }
}

impl CloseReason {
    /// Every reason, in the order of their counters.
    pub(super) const ALL: [Self; 16] = [
        Self::Abandoned,
        Self::Broken,
        Self::Silent,
        Self::Untracked,
        Self::StalePlan,
        Self::CheckFailed,
        Self::ReadOnly,
        Self::InTransaction,
        Self::CheckTimedOut,
        Self::ResetFailed,
        Self::Lifetime,
        Self::Queries,
        Self::IdleTime,
        Self::Shrunk,
        Self::Reclaimed,
        Self::Shutdown,
    ];

    /// The stable label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Broken => "broken",
            Self::Silent => "silent",
            Self::Untracked => "untracked",
            Self::StalePlan => "stale_plan",
            Self::CheckFailed => "check_failed",
            Self::ReadOnly => "read_only",
            Self::InTransaction => "in_transaction",
            Self::CheckTimedOut => "check_timed_out",
            Self::ResetFailed => "reset_failed",
            Self::Lifetime => "lifetime",
            Self::Queries => "queries",
            Self::IdleTime => "idle_time",
            Self::Shrunk => "shrunk",
            Self::Reclaimed => "reclaimed",
            Self::Shutdown => "shutdown",
        }
    }

    /// How to part from the server.
    pub(super) fn farewell(self) -> Farewell {
        match self {
            // What was done through the driver itself is not known to have ended.
            Self::Abandoned
            | Self::Silent
            | Self::Untracked
            | Self::CheckTimedOut
            | Self::ResetFailed
            | Self::Reclaimed => Farewell::Terminate,
            Self::Broken | Self::CheckFailed => Farewell::Drop,
            Self::StalePlan
            | Self::ReadOnly
            | Self::InTransaction
            | Self::Lifetime
            | Self::Queries
            | Self::IdleTime
            | Self::Shrunk
            | Self::Shutdown => Farewell::Polite,
        }
    }

    /// Whether this end says that other connections may be dead too.
    pub(super) fn implicates_others(self) -> bool {
        match self {
            Self::Broken
            | Self::Silent
            | Self::CheckFailed
            | Self::ReadOnly
            | Self::CheckTimedOut => true,
            Self::Abandoned
            | Self::Untracked
            | Self::StalePlan
            | Self::InTransaction
            | Self::ResetFailed
            | Self::Lifetime
            | Self::Queries
            | Self::IdleTime
            | Self::Shrunk
            | Self::Reclaimed
            | Self::Shutdown => false,
        }
    }
}

/// How a connection parts from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// Say goodbye and close.
    Polite,
    /// Drop the socket: there is nobody at the other end.
    Drop,
    /// Drop the socket and have the server end the session, which may be at work still.
    Terminate,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_in_the_order_of_the_variants() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason}");
        }
    }
}
