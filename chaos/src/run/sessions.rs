//! What PostgreSQL itself says about the server's sessions, asked directly and not through the fault proxy.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};

use crate::stack::RUNNER;

/// The server's sessions at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sessions {
    /// All of them.
    pub(super) all: u32,
    /// Those that have left a transaction open.
    pub(super) idle_in_transaction: u32,
}

/// The name of a pool in the runner, and of its sessions.
pub(super) const POOL_NAME: &str = "scenario";

/// The sessions of the server, which has databases of its own, and of a pool in the runner. Nobody else's: a
/// PostgreSQL that was given by its URL may have other users.
const TARGETS: &str = "FROM pg_stat_activity WHERE backend_type = 'client backend' \
     AND application_name <> $1 AND (application_name = $2 OR datname = 'codebase_mcp_registry' \
     OR datname LIKE 'cb\\_proj\\_%')";

/// Connects as the runner.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(&options.clone().application_name(RUNNER)).await
}

/// Counts the server's sessions.
pub(super) async fn count(connection: &mut PgConnection) -> Result<Sessions, sqlx::Error> {
    let statement = format!(
        "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%') {TARGETS}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(RUNNER).bind(POOL_NAME);
    let row = query.fetch_one(connection).await?;
    let number = |column: usize| -> Result<u32, sqlx::Error> {
        Ok(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
    };
    Ok(Sessions { all: number(0)?, idle_in_transaction: number(1)? })
}

/// Terminates so many of the server's sessions, chosen by `order`, and gives their process ids.
pub(super) async fn terminate(
    connection: &mut PgConnection,
    choose: impl FnOnce(Vec<i32>) -> Vec<i32>,
) -> Result<Vec<i32>, sqlx::Error> {
    let statement = format!("SELECT pid {TARGETS} ORDER BY pid");
    let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(RUNNER).bind(POOL_NAME);
    let rows = query.fetch_all(&mut *connection).await?;
    let pids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i32>, _>>()?;
    let chosen = choose(pids);
    let mut terminated = Vec::new();
    for pid in chosen {
        let row = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
        if row.fetch_one(&mut *connection).await?.try_get(0)? {
            terminated.push(pid);
        }
    }
    Ok(terminated)
}
