//! What can go wrong with a pool, with the values a person needs to mend it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::error::DatabaseError;

use super::stats::Snapshot;

/// Why [`Pool::acquire`](super::Pool::acquire) gave no lease.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// Nothing became free within the limit.
    #[error(
        "no connection became free within {} ms ({snapshot}); raise pool.max_size or shorten the work that holds connections",
        waited.as_millis()
    )]
    TimedOut {
        /// How long the caller waited.
        waited: Duration,
        /// The pool at the moment of giving up.
        snapshot: Box<Snapshot>,
    },
    /// The database does not answer, so waiting would be in vain.
    #[error(transparent)]
    Unavailable(Unavailable),
    /// `max_waiting` others wait already.
    #[error("{limit} requests wait for a connection already; retry later or raise pool.max_size")]
    QueueFull {
        /// `max_waiting` of the configuration.
        limit: u32,
    },
    /// The pool is shutting down or closed.
    #[error("the connection pool is closed")]
    Closed,
}

/// The database does not answer; the pool keeps trying by itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the database is unavailable ({cause}); the next attempt is in {} ms", retry_after.as_millis())]
pub struct Unavailable {
    /// The last attempt's error.
    #[source]
    pub cause: Arc<OpenError>,
    /// When the pool tries again.
    pub retry_after: Duration,
    /// How many attempts failed in a row.
    pub attempts: u32,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server accepted nothing within `connect_timeout`.
    #[error("connecting took longer than {} ms", limit.as_millis())]
    TimedOut {
        /// `connect_timeout` of the configuration.
        limit: Duration,
    },
    /// The server refused, or could not be reached.
    #[error("connecting failed: {0}")]
    Failed(#[source] sqlx::Error),
}

/// Why a connection failed its check.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The server did not answer within `validation.timeout`.
    #[error("the check took longer than {} ms", limit.as_millis())]
    TimedOut {
        /// `validation.timeout` of the configuration.
        limit: Duration,
    },
    /// The statement failed.
    #[error("the check failed: {0}")]
    Failed(#[source] sqlx::Error),
    /// The session sits inside somebody's transaction.
    #[error("the session is inside a transaction")]
    InTransaction,
}

impl AcquireError {
    /// The error for clients, who are not to learn where the database is and who connects to it.
    pub fn public(&self) -> String {
        match self {
            Self::Unavailable(outage) => {
                format!(
                    "the database is not available: {}; it is tried again by itself",
                    outage.cause.public_cause()
                )
            }
            Self::TimedOut { .. } | Self::QueueFull { .. } | Self::Closed => self.to_string(),
        }
    }
}

/// A failed statement for clients: what the server calls it, and nothing of what it says about hosts, users
/// and tables.
pub fn public_statement_error(error: &sqlx::Error) -> String {
    match error.as_database_error().and_then(DatabaseError::code) {
        Some(state) => format!("a database statement failed (SQLSTATE {state})"),
        None => "the connection to the database broke".to_owned(),
    }
}

impl OpenError {
    /// The cause without hosts, users and databases, for those who are not to learn them.
    pub fn public_cause(&self) -> String {
        match self {
            Self::TimedOut { limit } => {
                format!("connecting took longer than {} ms", limit.as_millis())
            }
            Self::Failed(sqlx::Error::Io(error)) => error.kind().to_string(),
            Self::Failed(error) => match error.as_database_error().and_then(DatabaseError::code) {
                Some(state) => format!("it refused the connection (SQLSTATE {state})"),
                None => "the connection attempt failed".to_owned(),
            },
        }
    }
}
