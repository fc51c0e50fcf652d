//! PostgreSQL connections: how they are opened and checked, and how statements run through a lease.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream};
use sqlx::postgres::{
    PgConnectOptions, PgDatabaseError, PgQueryResult, PgRow, PgSeverity, PgStatement, PgTypeInfo,
};
use sqlx::{Connection, Either, Execute, Executor, PgConnection, Row, SqlStr};

use tokio::time::Instant;

use super::connect::Connect;
use super::error::CheckError;
use super::lease::{Lease, Usage};

/// How often the server looks whether the client of a running statement is still there. A statement whose
/// client vanished would otherwise run to its end.
const CLIENT_CHECK_INTERVAL: &str = "SET client_connection_check_interval = '500ms'";

/// One simple-protocol message that finds dead sessions and left-over transactions alike: inside a
/// transaction `now()` stands still while `statement_timestamp()` moves on, and in an aborted one the
/// statement fails.
const PROBE: &str = "SELECT now() = statement_timestamp()";

/// Opens connections to one PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Postgres {
    options: PgConnectOptions,
}

impl Postgres {
    /// Connects with `options`, naming the session after `name` in `pg_stat_activity` and limiting each
    /// statement to `command_timeout`.
    pub fn new(options: PgConnectOptions, name: &str, command_timeout: Duration) -> Self {
        let limit = command_timeout.as_millis().to_string();
        let settings = [
            ("statement_timeout", limit.as_str()),
            ("idle_in_transaction_session_timeout", limit.as_str()),
        ];
        Self { options: options.application_name(name).options(settings) }
    }
}

impl Connect for Postgres {
    type Connection = PgConnection;

    async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        // Some platforms cannot watch a socket and refuse the setting; the connection works without it.
        match sqlx::raw_sql(CLIENT_CHECK_INTERVAL).execute(&mut connection).await {
            Ok(_) => Ok(connection),
            Err(error) if error.as_database_error().is_some() => Ok(connection),
            Err(error) => Err(error),
        }
    }

    async fn check(&self, connection: &mut PgConnection) -> Result<(), CheckError> {
        let row = sqlx::raw_sql(PROBE).fetch_one(connection).await.map_err(CheckError::Failed)?;
        match row.try_get::<bool, _>(0) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CheckError::InTransaction),
            Err(error) => Err(CheckError::Failed(error)),
        }
    }

    async fn close(&self, connection: PgConnection) {
        if let Err(error) = connection.close().await {
            tracing::debug!(error = %error, "closing a connection failed");
        }
    }
}

/// Statements run through the lease, so that the pool knows when one was left half-way.
impl<'c> Executor<'c> for &'c mut Lease<Postgres> {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let (connection, usage) = self.parts();
        Box::pin(Tracked { inner: connection.fetch_many(query), usage })
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let (connection, usage) = self.parts();
        let fetching = connection.fetch_optional(query);
        Box::pin(tracked(fetching, usage))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        let (connection, usage) = self.parts();
        let preparing = connection.prepare_with(sql, parameters);
        Box::pin(tracked(preparing, usage))
    }

    fn describe<'e>(
        self,
        sql: SqlStr,
    ) -> BoxFuture<'e, Result<sqlx::Describe<sqlx::Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        let (connection, usage) = self.parts();
        let describing = connection.describe(sql);
        Box::pin(tracked(describing, usage))
    }
}

/// Marks the connection as in flight from the first poll to the answer.
async fn tracked<T>(
    future: impl Future<Output = Result<T, sqlx::Error>>,
    usage: &mut Usage,
) -> Result<T, sqlx::Error> {
    usage.in_flight = true;
    let outcome = future.await;
    usage.in_flight = outcome.as_ref().is_err_and(breaks_session);
    if !usage.in_flight {
        usage.proven_at = Some(Instant::now());
    }
    outcome
}

/// Marks the connection as in flight from the first poll to the last row.
struct Tracked<'e> {
    inner: BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>,
    usage: &'e mut Usage,
}

impl Stream for Tracked<'_> {
    type Item = Result<Either<PgQueryResult, PgRow>, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.usage.in_flight = true;
        let item = ready!(self.inner.as_mut().poll_next(cx));
        match &item {
            Some(Ok(_)) => {}
            Some(Err(error)) => self.usage.in_flight = breaks_session(error),
            None => {
                self.usage.in_flight = false;
                self.usage.proven_at = Some(Instant::now());
            }
        }
        Poll::Ready(item)
    }
}

/// Whether an error leaves the session in doubt. After an error message the server goes on with the next
/// statement, unless its severity ends the session; an error on our side, such as a value that does not decode, leaves rows unread.
fn breaks_session(error: &sqlx::Error) -> bool {
    if matches!(error, sqlx::Error::RowNotFound) {
        return false;
    }
    let reported = error.as_database_error().and_then(|error| error.try_downcast_ref());
    reported.is_none_or(|error: &PgDatabaseError| {
        matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
    })
}

/// A lease inside a transaction. Dropping it without [`commit`](Self::commit) closes the connection,
/// and the server rolls back.
#[derive(Debug)]
pub struct Transaction {
    lease: Lease<Postgres>,
}

impl Lease<Postgres> {
    /// Begins a transaction.
    ///
    /// # Cancel safety
    /// The lease counts as inside a transaction from before the first poll, so a dropped future never
    /// puts an open transaction back into the pool.
    pub async fn begin(mut self) -> Result<Transaction, sqlx::Error> {
        self.usage().in_transaction = true;
        sqlx::raw_sql("BEGIN").execute(&mut self).await?;
        Ok(Transaction { lease: self })
    }
}

impl Transaction {
    /// Commits and gives the lease back.
    ///
    /// # Cancel safety
    /// After a dropped future the outcome is unknown; the connection is closed.
    pub async fn commit(mut self) -> Result<Lease<Postgres>, sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(&mut self.lease).await?;
        self.lease.usage().in_transaction = false;
        Ok(self.lease)
    }
}

impl Deref for Transaction {
    type Target = Lease<Postgres>;

    fn deref(&self) -> &Self::Target {
        &self.lease
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.lease
    }
}
