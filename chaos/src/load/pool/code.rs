//! The code of an error that a caller of the pool got.

use codebase_mcp::pool::{AcquireError, StartError};
use sqlx::error::DatabaseError;

use super::Failed;
use crate::record::Outcome;

fn failed(code: impl Into<String>) -> Outcome {
    Outcome::Failed { code: code.into() }
}

/// A configuration that is out of bounds.
pub(super) fn configuration() -> Outcome {
    failed("pool_configuration")
}

impl From<AcquireError> for Failed {
    fn from(error: AcquireError) -> Self {
        Self(failed(match error {
            AcquireError::TimedOut { .. } => "pool_timeout",
            AcquireError::Validation { .. } => "pool_validation",
            AcquireError::Unavailable(_) => "pool_unavailable",
            AcquireError::QueueFull { .. } => "pool_queue_full",
            AcquireError::Closed { .. } => "pool_closed",
        }))
    }
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        Self(match error {
            StartError::Configuration(_) => configuration(),
            StartError::Initialization { .. } => failed("pool_initialization"),
            StartError::Closed { .. } => failed("pool_closed"),
        })
    }
}

/// The SQLSTATE of what the server refused; `io` for a connection that broke, which is also how the pool ends the
/// statement of a lease that it took back; `protocol` for an answer that cannot be read.
impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        if let Some(state) = error.as_database_error().and_then(DatabaseError::code) {
            return Self(failed(state));
        }
        let known = if matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_)) {
            "io"
        } else if matches!(error, sqlx::Error::Protocol(_)) {
            "protocol"
        } else {
            // A mistake in what was asked.
            return Self(Outcome::Malformed { what: format!("the driver says: {error}") });
        };
        Self(failed(known))
    }
}
