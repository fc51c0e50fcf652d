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
mod config;
mod connect;
mod dialer;
mod error;
mod lease;
mod postgres;
mod reason;
mod shared;
mod shutdown;
mod state;
mod stats;

pub use acquire::Pool;
pub use config::{Config, Validation};
pub use connect::Connect;
pub use error::{AcquireError, CheckError, OpenError, Unavailable, public_statement_error};
pub use lease::Lease;
pub use postgres::{Postgres, Transaction};
pub use reason::{CloseReason, OpenReason};
pub use shutdown::ShutdownReport;
pub use stats::{Health, HealthReason, LastError, Phase, Snapshot};

/// The pool that the rest of the crate uses.
pub type PgPool = Pool<Postgres>;
/// A leased PostgreSQL connection.
pub type PgLease = Lease<Postgres>;

#[cfg(test)]
mod tests;
