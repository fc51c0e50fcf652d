//! What can go wrong with a pool, with the values a person needs to mend it.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use sqlx::error::DatabaseError;

use super::state::Held;
use super::stats::Snapshot;

/// Why [`Pool::acquire`](super::Pool::acquire) gave no lease.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// Nothing became free within the limit.
    #[error(
        "no connection became free within {} ({snapshot}{}){holders}; raise pool.max_size or shorten the work that holds connections",
        Time(*waited),
        Joined("; the last error was: ", last_error.as_deref())
    )]
    TimedOut {
        /// How long the caller waited.
        waited: Duration,
        /// The pool at the moment of giving up.
        snapshot: Box<Snapshot>,
        /// Who has held connections for longest.
        holders: Holders,
        /// The last error of opening or checking a connection, if there was one within the wait.
        last_error: Option<String>,
    },
    /// Connections were to be had, and each failed its check until the limit.
    #[error(
        "every connection failed its check within {} ({snapshot}): {cause}; the pool goes on replacing them: try again, and look at the network between here and PostgreSQL",
        Time(*waited)
    )]
    Validation {
        /// How long the caller waited.
        waited: Duration,
        /// Why the last one failed.
        #[source]
        cause: CheckError,
        /// The pool at the moment of giving up.
        snapshot: Box<Snapshot>,
    },
    /// The database does not answer, so waiting would be in vain.
    #[error(transparent)]
    Unavailable(Unavailable),
    /// `max_waiting` others wait already.
    #[error(
        "{limit} requests wait for a connection already ({snapshot}); retry later or raise pool.max_size"
    )]
    QueueFull {
        /// `max_waiting` of the configuration.
        limit: u32,
        /// The pool at the moment of refusing.
        snapshot: Box<Snapshot>,
    },
    /// The pool is shutting down or closed.
    #[error("the connection pool is closed ({}); stop sending work before the pool is shut down", snapshot.phase)]
    Closed {
        /// The pool at the moment of refusing.
        snapshot: Box<Snapshot>,
    },
}

/// Why a pool could not be made or did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is out of bounds.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// The first connections could not be opened. The pool goes on trying until it is shut down.
    #[error(
        "the pool could not open its first connections, attempts made: {attempts} ({snapshot}): {cause}; check that PostgreSQL runs and that address, user and password are right"
    )]
    Initialization {
        /// How many attempts failed.
        attempts: u32,
        /// Why the last one did.
        #[source]
        cause: Arc<OpenError>,
        /// The pool at that moment.
        snapshot: Box<Snapshot>,
    },
    /// The pool was shut down before it had started.
    #[error(
        "the pool was shut down before it had opened its first connections ({snapshot}); make a new one"
    )]
    Closed {
        /// The pool at that moment.
        snapshot: Box<Snapshot>,
    },
}

/// The database does not answer; the pool keeps trying by itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the database is unavailable ({cause}), attempts made: {attempts} ({snapshot}); the pool tries again by itself, next in {}",
    Time(*retry_after)
)]
pub struct Unavailable {
    /// The last attempt's error.
    #[source]
    pub cause: Arc<OpenError>,
    /// When the pool tries again.
    pub retry_after: Duration,
    /// How many attempts failed in a row.
    pub attempts: u32,
    /// The pool at the moment of refusing.
    pub snapshot: Box<Snapshot>,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server accepted nothing within `connect_timeout`.
    #[error("connecting took longer than {}", Time(*limit))]
    TimedOut {
        /// `connect_timeout` of the configuration.
        limit: Duration,
    },
    /// The server refused, or could not be reached.
    #[error("connecting failed: {0}")]
    Failed(#[source] sqlx::Error),
    /// The server is a standby, or a primary that was demoted.
    #[error("the server only reads, and pool.validation.require_primary is set")]
    ReadOnly,
}

/// What an attempt to connect says about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The next attempt may succeed by itself: refused, timed out.
    Transient,
    /// The server is there, and says that it is starting, recovering or stopping.
    Starting,
    /// The server is there, and full.
    Capacity,
    /// Somebody must change something: wrong password, no such database, no right to connect.
    Permanent,
}

/// Why a connection failed its check.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The server did not answer within the limit.
    #[error("the check took longer than {}", Time(*limit))]
    TimedOut {
        /// `validation.timeout` of the configuration, or what was left of the acquire's limit.
        limit: Duration,
    },
    /// The statement failed.
    #[error("the check failed: {0}")]
    Failed(#[source] sqlx::Error),
    /// The session sits inside somebody's transaction.
    #[error("the session is inside a transaction")]
    InTransaction,
    /// The server is a standby, or a primary that was demoted.
    #[error("the server only reads, and pool.validation.require_primary is set")]
    ReadOnly,
}

/// A configuration with keys out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pool's configuration is out of bounds: {}", List(errors))]
pub struct ConfigError {
    /// Every violation.
    pub errors: Vec<BoundError>,
}

/// A key out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// A number is out of bounds.
    #[error("pool.{key} is {value}, must be {} to {}", bounds.start(), bounds.end())]
    Count {
        /// The key below `pool`.
        key: &'static str,
        /// Its value.
        value: u32,
        /// What it may be.
        bounds: RangeInclusive<u32>,
    },
    /// A time is out of bounds.
    #[error("pool.{key} is {}, must be {} to {}", Time(*value), Time(*bounds.start()), Time(*bounds.end()))]
    Time {
        /// The key below `pool`.
        key: &'static str,
        /// Its value.
        value: Duration,
        /// What it may be.
        bounds: RangeInclusive<Duration>,
    },
    /// `min_size` is above `max_size`.
    #[error(
        "pool.min_size is {min} and pool.max_size is {max}: lower pool.min_size to {max} or raise pool.max_size to {min}"
    )]
    MinAboveMax {
        /// `min_size`.
        min: u32,
        /// `max_size`.
        max: u32,
    },
    /// `max_size` is above what adaptive sizing may reach.
    #[error(
        "pool.max_size is {start} and pool.adaptive.max_size is {limit}: lower pool.max_size to {limit} or raise pool.adaptive.max_size to {start}"
    )]
    MaxAboveAdaptive {
        /// `max_size`.
        start: u32,
        /// `adaptive.max_size`.
        limit: u32,
    },
}

/// The leases that are held longest, for the reader of a timeout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders(pub Vec<Held>);

impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = ", held longest by ";
        for Held { location, held, .. } in &self.0 {
            write!(f, "{before}{}:{} ({})", location.file(), location.line(), Time(*held))?;
            before = ", ";
        }
        Ok(())
    }
}

impl AcquireError {
    /// The error for clients, who are not to learn where the database is, who connects to it and what our
    /// files are called.
    pub fn public(&self) -> String {
        match self {
            Self::Unavailable(outage) => {
                format!(
                    "the database is not available: {}; it is tried again by itself",
                    outage.cause.public_cause()
                )
            }
            Self::TimedOut { waited, snapshot, .. } => format!(
                "no connection became free within {} ({snapshot}); try again, or raise pool.max_size",
                Time(*waited)
            ),
            Self::Validation { waited, snapshot, .. } => format!(
                "every connection to the database failed its check within {} ({snapshot}); try again",
                Time(*waited)
            ),
            Self::QueueFull { .. } | Self::Closed { .. } => self.to_string(),
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

impl CheckError {
    /// The error without hosts, users and tables, for those who are not to learn them.
    pub fn public(&self) -> String {
        match self {
            Self::Failed(error) => public_statement_error(error),
            Self::TimedOut { .. } | Self::InTransaction | Self::ReadOnly => self.to_string(),
        }
    }
}

impl OpenError {
    /// What the error says about the next attempt.
    pub fn class(&self) -> ErrorClass {
        let Self::Failed(error) = self else { return ErrorClass::Transient };
        if matches!(error, sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_)) {
            return ErrorClass::Permanent;
        }
        match error.as_database_error().and_then(DatabaseError::code).as_deref() {
            Some("53300") => ErrorClass::Capacity,
            Some("57P03") => ErrorClass::Starting,
            // Authorization; no such database; no right to it.
            Some("28000" | "28P01" | "3D000" | "42501") => ErrorClass::Permanent,
            Some(_) | None => ErrorClass::Transient,
        }
    }

    /// The cause without hosts, users and databases, for those who are not to learn them.
    pub fn public_cause(&self) -> String {
        match self {
            Self::TimedOut { .. } | Self::ReadOnly => self.to_string(),
            Self::Failed(sqlx::Error::Io(error)) => error.kind().to_string(),
            Self::Failed(error) => match error.as_database_error().and_then(DatabaseError::code) {
                Some(state) => format!("it refused the connection (SQLSTATE {state})"),
                None => "the connection attempt failed".to_owned(),
            },
        }
    }
}

/// A duration as a person writes it: in the largest unit that leaves no fraction, down to milliseconds.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
        let whole =
            units.into_iter().find(|(size, _)| millis >= *size && millis.is_multiple_of(*size));
        match whole {
            Some((size, unit)) => write!(f, "{} {unit}", millis / size),
            None => write!(f, "{millis} ms"),
        }
    }
}

struct Joined<'a>(&'static str, Option<&'a str>);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(words, text) = self;
        text.map_or(Ok(()), |text| write!(f, "{words}{text}"))
    }
}

struct List<'a>(&'a [BoundError]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}
