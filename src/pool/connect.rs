//! How the pool opens, checks and closes connections.

use std::fmt::Debug;
use std::future::Future;

use super::error::CheckError;

/// Opens, checks and closes connections for a [`Pool`](super::Pool).
///
/// The pool puts its own time limit round every call and drops the future when the limit passes, so an
/// implementation needs none.
///
/// # Example
///
/// A connector without a server, as tests and benches use it:
///
/// ```
/// use codebase_mcp::pool::{CheckError, Config, Connect, Pool};
///
/// struct Nowhere;
///
/// impl Connect for Nowhere {
///     type Connection = u32;
///     type Session = u32;
///
///     async fn open(&self) -> Result<u32, sqlx::Error> {
///         Ok(7)
///     }
///     fn session(&self, connection: &u32) -> u32 {
///         *connection
///     }
///     async fn check(&self, _: &mut u32) -> Result<(), CheckError> {
///         Ok(())
///     }
///     async fn reset(&self, _: &mut u32) -> Result<(), CheckError> {
///         Ok(())
///     }
///     async fn close(&self, _: u32) {}
///     async fn terminate(&self, _: &mut u32, _: &[u32]) -> Result<(), sqlx::Error> {
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let pool = Pool::new("example", Config::default(), Nowhere).unwrap();
/// pool.ready().await.unwrap();
/// let lease = pool.acquire().await.unwrap();
/// assert_eq!((pool.snapshot().in_use, pool.snapshot().idle), (1, 1));
/// drop(lease);
/// assert_eq!(pool.snapshot().idle, 2);
/// # });
/// ```
pub trait Connect: Send + Sync + 'static {
    /// One open connection.
    type Connection: Send + 'static;

    /// What names a connection's session on the server, also after the connection is lost.
    type Session: Clone + Debug + Send + Sync + 'static;

    /// Opens a connection that is ready for statements.
    ///
    /// Dropping the future abandons the attempt; whatever it has opened must close with it.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Whether a server answers at all where connections are opened, without opening one. `false` where that
    /// cannot be told: then a lost server is only found again when the next attempt is due.
    fn answers(&self) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }

    /// The session behind a connection.
    fn session(&self, connection: &Self::Connection) -> Self::Session;

    /// Whether the server refused to write when the connection was last opened or checked.
    fn is_read_only(&self, _connection: &Self::Connection) -> bool {
        false
    }

    /// Checks that a connection is alive and in no transaction.
    ///
    /// After a dropped check the connection is checked again, by another call, before it is used.
    fn check(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), CheckError>> + Send;

    /// Ends what the last borrower left open and undoes what it set, as if the session were new.
    ///
    /// A connection whose reset is dropped half-way is closed, never reused.
    fn reset(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), CheckError>> + Send;

    /// Takes leave of the server. Dropping the future drops the socket.
    fn close(&self, connection: Self::Connection) -> impl Future<Output = ()> + Send;

    /// Ends sessions on the server whose connections are lost, by way of another connection, and returns when
    /// they are gone. Must not end a session that merely resembles one of them.
    ///
    /// A connection whose `terminate` was dropped half-way is closed, never reused.
    fn terminate(
        &self,
        connection: &mut Self::Connection,
        sessions: &[Self::Session],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}
