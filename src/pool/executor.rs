//! Statements run through a lease, so that the pool knows what became of them.

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream};
use sqlx::error::{BoxDynError, DatabaseError};
use sqlx::postgres::{
    PgArguments, PgDatabaseError, PgQueryResult, PgRow, PgSeverity, PgStatement, PgTypeInfo,
};
use sqlx::{Either, Execute, Executor, SqlStr};

use super::effect::{Effect, effect_of};
use super::lease::{Lease, Track};
use super::postgres::Postgres;
use super::reason::CloseReason;
use super::slot::Cut;

type Item = Either<PgQueryResult, PgRow>;

/// The kind of error with which a statement ends whose connection the pool took back.
const TAKEN_BACK: std::io::ErrorKind = std::io::ErrorKind::ConnectionAborted;

impl<'c> Executor<'c> for &'c mut Lease<Postgres> {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Item, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let (session, mut track) = self.parts();
        let query = Judged::new(query, &mut track);
        let inner = session.connection.fetch_many(query);
        Box::pin(Tracked { inner, track, sent: false })
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let (session, mut track) = self.parts();
        let query = Judged::new(query, &mut track);
        Box::pin(tracked(session.connection.fetch_optional(query), track))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        let (session, track) = self.parts();
        Box::pin(tracked(session.connection.prepare_with(sql, parameters), track))
    }

    fn describe<'e>(
        self,
        sql: SqlStr,
    ) -> BoxFuture<'e, Result<sqlx::Describe<sqlx::Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        let (session, track) = self.parts();
        Box::pin(tracked(session.connection.describe(sql), track))
    }
}

/// A statement whose effect on the session has been noted.
struct Judged {
    sql: SqlStr,
    statement: Option<PgStatement>,
    arguments: Option<Result<Option<PgArguments>, BoxDynError>>,
    persistent: bool,
}

impl Judged {
    fn new<'q, E: Execute<'q, sqlx::Postgres>>(mut query: E, track: &mut Track<'_>) -> Self {
        let arguments = Some(query.take_arguments());
        let (statement, persistent) = (query.statement().cloned(), query.persistent());
        let sql = query.sql();
        match effect_of(sql.as_str()) {
            Effect::None => {}
            Effect::Session => track.usage().soiled(),
            Effect::Plans => track.usage().unfit(CloseReason::StalePlan),
        }
        Self { sql, statement, arguments, persistent }
    }
}

impl Execute<'_, sqlx::Postgres> for Judged {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.arguments.take().unwrap_or(Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// Follows a statement with one answer.
async fn tracked<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
    mut track: Track<'_>,
) -> Result<T, sqlx::Error> {
    track.sent();
    let mut statement = pin!(statement);
    let outcome = poll_fn(|cx| match track.poll_cut(cx.waker()) {
        Some(cut) => Poll::Ready(Err(cut)),
        None => statement.as_mut().poll(cx).map(Ok),
    })
    .await;
    let outcome = outcome.map_err(|cut| taken_back(cut, &mut track))?;
    match &outcome {
        Ok(_) => track.answered(),
        Err(error) => judge(error, &mut track),
    }
    outcome
}

/// Follows a statement from the first poll to the last row.
struct Tracked<'e> {
    inner: BoxStream<'e, Result<Item, sqlx::Error>>,
    track: Track<'e>,
    sent: bool,
}

impl Stream for Tracked<'_> {
    type Item = Result<Item, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.sent, true) {
            self.track.sent();
        }
        // Whoever reads slowly does not make the server silent.
        self.track.listening();
        if let Some(cut) = self.track.poll_cut(cx.waker()) {
            return Poll::Ready(Some(Err(taken_back(cut, &mut self.track))));
        }
        let item = ready!(self.inner.as_mut().poll_next(cx));
        self.track.heard();
        match &item {
            Some(Ok(_)) => {}
            Some(Err(error)) => judge(error, &mut self.track),
            None => self.track.answered(),
        }
        Poll::Ready(item)
    }
}

/// Decides what an error means for the session. After an error message the server goes on with the next
/// statement, unless its severity ends the session. Any other error means that the session broke, or that rows
/// are left unread. What the driver calls a protocol error ends the session too, but says nothing of others: it
/// may be a statement with too many arguments.
fn judge(error: &sqlx::Error, track: &mut Track<'_>) {
    if breaks_session(error) {
        return track.broke();
    }
    let Some(reported) = error.as_database_error() else {
        // A value that cannot be encoded is refused before anything is sent.
        if matches!(error, sqlx::Error::RowNotFound | sqlx::Error::Encode(_)) {
            track.answered();
        }
        return;
    };
    track.answered();
    track.usage().failed();
    match reported.code().as_deref() {
        // A cached plan whose result type changed, or a prepared statement that is gone: on this connection
        // the error would come back for ever.
        Some("0A000" | "26000") => track.usage().unfit(CloseReason::StalePlan),
        Some("25006") => track.usage().unfit(CloseReason::ReadOnly),
        Some(_) | None => {}
    }
}

/// Whether an error is the end of its session, by the server's word or by that of the network.
fn breaks_session(error: &sqlx::Error) -> bool {
    let fatal =
        |error: &PgDatabaseError| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    match error.as_database_error() {
        Some(reported) => reported.try_downcast_ref().is_some_and(fatal),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_)),
    }
}

/// Whether a statement failed because of its connection: the session ended under it, or has a plan that is out
/// of date. On another connection it may succeed. Whether it had an effect before is not known, so this is for
/// those that only read. A connection that the pool took back does not count: its time was over.
pub fn lost_connection(error: &sqlx::Error) -> bool {
    let taken_back = matches!(error, sqlx::Error::Io(error) if error.kind() == TAKEN_BACK);
    let state = error.as_database_error().and_then(DatabaseError::code);
    let stale = matches!(state.as_deref(), Some("0A000" | "26000"));
    !taken_back && (stale || breaks_session(error))
}

fn taken_back(cut: Cut, track: &mut Track<'_>) -> sqlx::Error {
    track.cut(cut);
    sqlx::Error::Io(std::io::Error::new(TAKEN_BACK, cut.as_str()))
}

/// A lease inside a transaction. Dropping it without [`commit`](Self::commit) rolls back in the
/// background before anybody else gets the connection.
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
        self.usage().begun();
        self.control("BEGIN").await?;
        Ok(Transaction { lease: self })
    }

    /// Runs a statement of ours, whose effect on the session is followed otherwise.
    async fn control(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        let (session, track) = self.parts();
        tracked(session.connection.execute(sql), track).await.map(drop)
    }
}

impl Transaction {
    /// Commits and gives the lease back.
    ///
    /// # Errors
    /// Also when a statement of the transaction had failed, and its error was passed over: PostgreSQL would
    /// answer the commit with a rollback and call it a success.
    ///
    /// # Cancel safety
    /// After a dropped future the outcome is unknown; the connection is closed.
    pub async fn commit(mut self) -> Result<Lease<Postgres>, sqlx::Error> {
        if self.lease.usage().has_failed() {
            // Passes only if the failure was undone with a savepoint.
            self.lease.control("SELECT").await?;
        }
        self.lease.control("COMMIT").await?;
        self.lease.usage().ended();
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
