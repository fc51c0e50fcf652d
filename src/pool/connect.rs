//! How the pool opens, checks and closes connections.

use std::future::Future;

use super::error::CheckError;

/// Opens, checks and closes connections for a [`Pool`](super::Pool).
///
/// The pool puts its own time limit round every call and drops the future when the limit passes, so an
/// implementation needs none.
pub trait Connect: Send + Sync + 'static {
    /// One open session.
    type Connection: Send + 'static;

    /// Opens a connection that is ready for statements.
    ///
    /// Dropping the future abandons the attempt; whatever it has opened must close with it.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Checks that a connection is alive and in no transaction.
    ///
    /// A connection whose check is dropped half-way is closed, never reused.
    fn check(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), CheckError>> + Send;

    /// Takes leave of the server. Dropping the future drops the socket.
    fn close(&self, connection: Self::Connection) -> impl Future<Output = ()> + Send;
}
