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
//! # The life of a connection
//!
//! ```text
//! opening ──opened──▶ idle ◀──released── in use ──dirty, failed its check──▶ closing ──▶ gone
//!     │                └──acquired──────────▲
//!     └──opened while somebody waits────────┘
//! ```
//!
//! # Invariants
//!
//! - `idle + in use + opening + closing` is at most `max_size`.
//! - While a connection is idle, nobody waits.
//! - A connection whose last statement did not run to its end, or that was left inside a transaction,
//!   is closed and never handed on.
//!
//! The counting is in `state`: synchronous, without a clock, returning decisions. The rest is a thin
//! asynchronous shell that acts on them. Nothing in this module names anything else of the crate.

mod acquire;
mod backoff;
mod care;
mod config;
mod connect;
mod counters;
mod dialer;
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
mod state;
mod stats;

pub use config::{Adaptive, Config, Leaks, STATEMENT_GRACE, Validation, bounds};
pub use connect::Connect;
pub use error::{
    AcquireError, BoundError, CheckError, ConfigError, ErrorClass, Holders, OpenError, StartError,
    Unavailable, public_statement_error,
};
pub use executor::Transaction;
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
