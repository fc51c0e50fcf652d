//! PostgreSQL connections: how they are opened, checked, reset and ended.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

use super::connect::Connect;
use super::error::CheckError;

/// One simple-protocol message that finds dead sessions, left-over transactions and demoted servers alike:
/// inside a transaction `now()` stands still while `statement_timestamp()` moves on, and in an aborted one
/// the statement fails.
const PROBE: &str = "SELECT now() = statement_timestamp(), pg_is_in_recovery()";

/// What names the session: a process number is used again some day, together with its start it is not.
const IDENTIFY: &str = "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint, pg_is_in_recovery() \
     FROM pg_stat_get_activity(pg_backend_pid())";

/// Makes a session like new, but for its prepared statements, which the driver goes on using.
const RESET: &str = "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; \
     SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// Ends those of our sessions that still are who they were. A session may have changed its name, so the name
/// says nothing; no two sessions have both the same process number and the same start.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
     JOIN unnest($1::int[], $2::bigint[]) AS lost (pid, started) USING (pid) \
     WHERE (extract(epoch FROM backend_start) * 1000000)::bigint = started";

/// How often the server looks whether the client of a running statement is still there. A statement whose
/// client vanished would otherwise run to its end.
const CLIENT_CHECK: (&str, &str) = ("client_connection_check_interval", "500ms");

/// How long to wait before looking again whether a session has ended.
const ENDING: Duration = Duration::from_millis(5);

/// Opens connections to one PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    name: String,
    settings: Mutex<Settings>,
    /// Whether the server takes [`CLIENT_CHECK`]; some platforms cannot watch a socket.
    watches_clients: AtomicBool,
}

/// What may change while connections are open; it holds for those that are opened later.
#[derive(Debug, Clone)]
struct Settings {
    options: PgConnectOptions,
    command_timeout: Duration,
}

/// An open connection to PostgreSQL.
#[derive(Debug)]
pub struct PgSession {
    pub(super) connection: PgConnection,
    id: SessionId,
    read_only: bool,
}

impl Deref for PgSession {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for PgSession {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// A session on the server: the number of its process, and when that started, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    /// The number of the server's process.
    pub pid: i32,
    /// When it started.
    pub started: i64,
}

impl Postgres {
    /// Connects with `options`, naming the session after `name` in `pg_stat_activity` and limiting each
    /// statement to `command_timeout`.
    pub fn new(options: PgConnectOptions, name: &str, command_timeout: Duration) -> Self {
        Self {
            name: name.to_owned(),
            settings: Mutex::new(Settings { options, command_timeout }),
            watches_clients: AtomicBool::new(true),
        }
    }

    /// Uses other options for every connection from now on, such as a new password.
    pub fn set_options(&self, options: PgConnectOptions) {
        self.settings.lock().options = options;
    }

    /// Limits the statements of every connection from now on. Open ones keep the limit that they have.
    pub fn set_command_timeout(&self, command_timeout: Duration) {
        self.settings.lock().command_timeout = command_timeout;
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let watch = self.watches_clients.load(Ordering::Relaxed);
        match PgConnection::connect_with(&self.session_options(watch)).await {
            Err(error) if watch && refuses_setting(&error) => {
                self.watches_clients.store(false, Ordering::Relaxed);
                PgConnection::connect_with(&self.session_options(false)).await
            }
            outcome => outcome,
        }
    }

    fn session_options(&self, watch: bool) -> PgConnectOptions {
        let Settings { options, command_timeout } = self.settings.lock().clone();
        let limit = command_timeout.as_millis().to_string();
        let settings = [
            ("statement_timeout", limit.as_str()),
            ("idle_in_transaction_session_timeout", limit.as_str()),
        ];
        let options = options.application_name(&self.name).options(settings);
        if watch { options.options([CLIENT_CHECK]) } else { options }
    }
}

/// The request for encryption: its length and its number, from the protocol's description.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

async fn is_answered(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(&SSL_REQUEST).await?;
    stream.read_u8().await.map(drop)
}

/// Whether a start-up failed because of a setting: an unknown one, or a value that the platform cannot serve.
fn refuses_setting(error: &sqlx::Error) -> bool {
    let state = error.as_database_error().and_then(DatabaseError::code);
    matches!(state.as_deref(), Some("22023" | "42704"))
}

impl Connect for Postgres {
    type Connection = PgSession;
    type Session = SessionId;

    async fn open(&self) -> Result<PgSession, sqlx::Error> {
        let mut connection = self.connect().await?;
        let row = sqlx::raw_sql(IDENTIFY).fetch_one(&mut connection).await?;
        let id = SessionId { pid: row.try_get(0)?, started: row.try_get(1)? };
        Ok(PgSession { connection, id, read_only: row.try_get(2)? })
    }

    /// Asks whether the server would encrypt, which it answers with one byte before anything else happens, also
    /// while it is full or recovering; and goes, of which it logs nothing.
    async fn answers(&self) -> bool {
        let options = self.settings.lock().options.clone();
        let asked = match options.get_socket() {
            Some(folder) => {
                let socket = folder.join(format!(".s.PGSQL.{}", options.get_port()));
                match UnixStream::connect(socket).await {
                    Ok(stream) => is_answered(stream).await,
                    Err(error) => Err(error),
                }
            }
            None => match TcpStream::connect((options.get_host(), options.get_port())).await {
                Ok(stream) => is_answered(stream).await,
                Err(error) => Err(error),
            },
        };
        asked.is_ok()
    }

    fn session(&self, session: &PgSession) -> SessionId {
        session.id
    }

    fn is_read_only(&self, session: &PgSession) -> bool {
        session.read_only
    }

    async fn check(&self, session: &mut PgSession) -> Result<(), CheckError> {
        let probing = sqlx::raw_sql(PROBE).fetch_one(&mut session.connection);
        let row = probing.await.map_err(|error| {
            let aborted = error.as_database_error().and_then(DatabaseError::code);
            if aborted.as_deref() == Some("25P02") {
                CheckError::InTransaction
            } else {
                CheckError::Failed(error)
            }
        })?;
        session.read_only = row.try_get(1).map_err(CheckError::Failed)?;
        match row.try_get(0) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CheckError::InTransaction),
            Err(error) => Err(CheckError::Failed(error)),
        }
    }

    async fn reset(&self, session: &mut PgSession) -> Result<(), CheckError> {
        match self.check(session).await {
            Ok(()) => {}
            // Only when there is one, because the server warns of a rollback of nothing.
            Err(CheckError::InTransaction) => {
                let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut session.connection);
                rollback.await.map_err(CheckError::Failed)?;
            }
            Err(error) => return Err(error),
        }
        let reset = sqlx::raw_sql(RESET).execute(&mut session.connection);
        reset.await.map_err(CheckError::Failed)?;
        Ok(())
    }

    async fn close(&self, session: PgSession) {
        if let Err(error) = session.connection.close().await {
            tracing::debug!(error = %error, "closing a connection failed");
        }
    }

    async fn terminate(
        &self,
        through: &mut PgSession,
        sessions: &[SessionId],
    ) -> Result<(), sqlx::Error> {
        let pids: Vec<i32> = sessions.iter().map(|session| session.pid).collect();
        let started: Vec<i64> = sessions.iter().map(|session| session.started).collect();
        loop {
            let ending = sqlx::query_scalar(TERMINATE).bind(&pids).bind(&started);
            let left: i64 = ending.fetch_one(&mut through.connection).await?;
            if left == 0 {
                return Ok(());
            }
            sleep(ENDING).await;
        }
    }
}
