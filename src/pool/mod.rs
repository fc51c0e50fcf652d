//! The connection pool: a fair queue over a bounded set of PostgreSQL connections.
//!
//! # Words
//!
//! - A **connection** is one open session with the server, made by a [`Connect`].
//! - A **lease** is a connection in somebody's hands; dropping it gives the connection back.
//! - A **waiter** is an [`acquire`](Pool::acquire) that found nothing idle. Waiters are served strictly
//!   first come, first served.
//! - The **dialer** is the one task that decides to open connections. Opening belongs to the pool, not
//!   to the caller, so a cancelled acquire never kills a half-made connection.
//!
//! - **Closing** is a connection until the server's side of it is gone.
//!
//! `docs/pool.md` has the life of a connection, the phases of a pool, and which test holds what.
//!
//! # Invariants
//!
//! - `idle + in use + opening + checking + closing` is at most `max_size`; after a shrink, at most what the
//!   shrink found.
//! - While a connection is idle, nobody waits.
//! - A connection whose last statement did not run to its end is closed and never handed on; one whose session
//!   may have been changed is reset first.
//!
//! The counting is in `state`: synchronous, without a clock, leaving orders. The rest is a thin asynchronous
//! shell that carries them out. Nothing in this module names anything else of the crate.
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use codebase_mcp::pool::{Config, PgPool, Postgres};
//! use sqlx::postgres::PgConnectOptions;
//!
//! let options: PgConnectOptions = "postgres://me@localhost/code".parse()?;
//! let config = Config { max_size: 20, ..Config::default() };
//! let connector = Postgres::new(options, "my program", config.command_timeout);
//! let pool = PgPool::new("main", config, connector)?;
//! pool.ready().await?;
//!
//! let mut lease = pool.acquire().await?;
//! let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut lease).await?;
//! let mut transaction = lease.begin().await?;
//! sqlx::query("DELETE FROM old").execute(&mut *transaction).await?;
//! let lease = transaction.commit().await?;
//! drop(lease);
//!
//! let report = pool.shutdown().await;
//! assert!(report.forced.is_empty());
//! # assert_eq!(one, 1);
//! # Ok(())
//! # }
//! ```

mod acquire;
mod backoff;
mod care;
mod config;
mod connect;
mod counters;
mod dialer;
mod door;
mod effect;
mod error;
mod events;
mod executor;
mod gauges;
mod handle;
mod histogram;
mod keeper;
mod lease;
mod line;
mod phase;
mod postgres;
mod reaper;
mod reason;
mod shared;
mod shutdown;
mod slot;
#[cfg(feature = "slow-acquire")]
pub mod slowness;
mod state;
mod stats;
mod usage;

pub use config::{Adaptive, Config, Leaks, STATEMENT_GRACE, Validation, bounds};
pub use connect::Connect;
pub use error::{
    AcquireError, BoundError, CheckError, ConfigError, ErrorClass, Holders, OpenError, StartError,
    Unavailable, public_statement_error,
};
pub use executor::{Transaction, lost_connection};
pub use handle::{AcquireOptions, Pool};
pub use histogram::Percentiles;
pub use lease::Lease;
pub use phase::{Health, HealthReason, Phase};
pub use postgres::{PgSession, Postgres, SessionId};
pub use reason::{CloseReason, OpenReason};
pub use shutdown::ShutdownReport;
pub use state::Held;
pub use stats::{Snapshot, Statistics};

/// The pool that the rest of the crate uses.
pub type PgPool = Pool<Postgres>;
/// A leased PostgreSQL connection.
pub type PgLease = Lease<Postgres>;

#[cfg(test)]
mod tests;
