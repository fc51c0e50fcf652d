//! The databases that codebase-mcp makes on a server which somebody else runs. They are one run's own, from before
//! the first of them is made until the last is dropped.

use std::io;
use std::net::Ipv6Addr;
use std::time::Duration;

use codebase_mcp::config::DatabaseUrl;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::{Postgres, StackError, choose};
use crate::journal::{Entry, Journal, Undo};

/// The database in which codebase-mcp lists its projects.
pub const REGISTRY: &str = "codebase_mcp_registry";
/// The name under which the runner's own sessions are known to PostgreSQL.
pub const RUNNER: &str = "scenarios";

/// All of them, quoted for a statement.
const THEIRS: &str = "SELECT quote_ident(datname) FROM pg_database \
     WHERE datname = 'codebase_mcp_registry' OR datname LIKE 'cb\\_proj\\_%' ORDER BY 1";
/// Whether one is being made: a session goes on with that after its client has died.
const IN_THE_MAKING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' \
     AND (query LIKE 'CREATE DATABASE \"codebase\\_mcp\\_registry\"%' \
     OR query LIKE 'CREATE DATABASE \"cb\\_proj\\_%'))";
/// Takes the lock that says whose they are, which ends with its session. The numbers spell `cmcp` and `runs`.
const LOCK: &str = "SELECT pg_try_advisory_lock(1668113264, 1920298611)";
/// Whether another session has it. A lock is one database's, and the URL may name any; the list has all of them.
const LOCKED: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted \
     AND classid = 1668113264 AND objid = 1920298611 AND objsubid = 2 AND pid <> pg_backend_pid())";
/// Keeps a session that only waits, whatever the server thinks of those.
const STAY: &str =
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'";

/// How long it may take to drop them: a second, and many on a busy server.
const DROPPED: Duration = Duration::from_secs(30);
/// How long connecting and asking may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the server may take to notice that the run before is gone, and to let go of its lock.
const NOTICED: Duration = Duration::from_secs(3);
/// Between two tries.
const RETRY: Duration = Duration::from_millis(50);

/// The right to these databases. Dropping it gives up the right, and leaves them to the journal.
#[derive(Debug)]
pub struct Databases {
    /// Has the lock.
    connection: PgConnection,
    address: String,
    entry: Entry,
}

impl Databases {
    /// Takes the right to make them on the server of the provider `url`, and notes in the journal that they have to
    /// be dropped. Takes ten seconds at most.
    ///
    /// # Errors
    ///
    /// [`StackError::Claimed`] if another run has the right, [`StackError::IndexThere`] if there are some already;
    /// and what a server or a disk may refuse. Nothing is left then.
    pub async fn claim(postgres: &Postgres, journal: &Journal) -> Result<Self, StackError> {
        let (options, address) = (postgres.options(), postgres.address().to_string());
        let asked = bounded(ANSWER, async {
            let Some(mut connection) = until_locked(&options).await? else { return Ok(None) };
            let found: Vec<String> = sqlx::query_scalar(THEIRS).fetch_all(&mut connection).await?;
            Ok(Some((connection, found)))
        });
        let asked = asked.await.map_err(|error| {
            let (address, source) = (address.clone(), Box::new(error));
            StackError::Query {
                address,
                question: "whose the databases of codebase-mcp are",
                source,
            }
        })?;
        let Some((connection, found)) = asked else { return Err(StackError::Claimed { address }) };
        if let Some(database) = found.into_iter().next() {
            return Err(StackError::IndexThere { address, database });
        }
        let undo = Undo::Databases { url: written(options)? };
        let entry = journal.begin(undo).map_err(|source| StackError::Journal { source })?;
        Ok(Self { connection, address, entry })
    }

    /// Drops them, with whatever sessions are left in them. Takes half a minute at most.
    ///
    /// # Errors
    ///
    /// Something is left; it is still in the journal.
    ///
    /// # Cancel safety
    ///
    /// What was dropped is dropped; the journal has the rest.
    pub async fn remove(self) -> Result<(), StackError> {
        let Self { mut connection, address, entry } = self;
        drop_all(&mut connection, &address).await?;
        entry.end().map_err(|source| StackError::Journal { source })
    }
}

/// Drops them for a run that is gone.
pub(super) async fn drop_left(url: &DatabaseUrl) -> Result<(), StackError> {
    let (options, address) = choose::locate(url.expose()).await?;
    let address = address.to_string();
    let locked = bounded(ANSWER, until_locked(&options)).await;
    match locked.map_err(|error| undropped(&address, error))? {
        Some(mut connection) => drop_all(&mut connection, &address).await,
        None => Err(StackError::Claimed { address }),
    }
}

/// A session with the lock; none if another session keeps it.
async fn until_locked(options: &PgConnectOptions) -> Result<Option<PgConnection>, sqlx::Error> {
    let deadline = Instant::now() + NOTICED;
    loop {
        let locked = lock(options).await?;
        if locked.is_some() || Instant::now() >= deadline {
            return Ok(locked);
        }
        sleep(RETRY).await;
    }
}

/// The same, without waiting. Of two that try at the same time perhaps none gets it.
async fn lock(options: &PgConnectOptions) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection =
        PgConnection::connect_with(&options.clone().application_name(RUNNER)).await?;
    sqlx::query(STAY).execute(&mut connection).await?;
    let taken: bool = sqlx::query_scalar(LOCK).fetch_one(&mut connection).await?;
    let others: bool = sqlx::query_scalar(LOCKED).fetch_one(&mut connection).await?;
    if taken && !others {
        return Ok(Some(connection));
    }
    connection.close().await?;
    Ok(None)
}

async fn drop_all(connection: &mut PgConnection, address: &str) -> Result<(), StackError> {
    let dropped = bounded(DROPPED, async {
        loop {
            // Asked first: what is made by then is in the list.
            let more: bool = sqlx::query_scalar(IN_THE_MAKING).fetch_one(&mut *connection).await?;
            let found: Vec<String> = sqlx::query_scalar(THEIRS).fetch_all(&mut *connection).await?;
            for database in &found {
                let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
            }
            if !more {
                return Ok(());
            }
            sleep(RETRY).await;
        }
    });
    dropped.await.map_err(|error| undropped(address, error))
}

fn undropped(address: &str, error: sqlx::Error) -> StackError {
    StackError::Undropped { address: address.to_owned(), source: Box::new(error) }
}

async fn bounded<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_elapsed| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    timeout(limit, work).await.unwrap_or_else(late)
}

/// The URL with which another process connects in the same way, whatever its variables are.
fn written(options: PgConnectOptions) -> Result<DatabaseUrl, StackError> {
    // A URL has brackets around an address of the newer kind, the resolver wants none.
    let host = options.get_host();
    let host = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() };
    let url = options.host(&host).to_url_lossy().to_string();
    url.parse()
        .map_err(|_unfit| StackError::Url { reason: "it cannot be written again".to_owned() })
}
