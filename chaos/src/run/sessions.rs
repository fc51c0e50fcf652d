//! What PostgreSQL itself says about the server's sessions, asked directly and not through the fault proxy.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};

/// The name under which the runner's own sessions are known to PostgreSQL.
pub(super) const OWN_NAME: &str = "scenarios";

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

/// The database in which the server lists its projects.
pub(super) const REGISTRY: &str = "codebase_mcp_registry";

/// The sessions of the server, which has databases of its own, and of a pool in the runner. Nobody else's: a
/// PostgreSQL that was given by its URL may have other users.
const TARGETS: &str = "FROM pg_stat_activity WHERE backend_type = 'client backend' \
     AND application_name <> $1 AND (application_name = $2 OR datname = 'codebase_mcp_registry' \
     OR datname LIKE 'cb\\_proj\\_%')";

/// Connects as the runner.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(&options.clone().application_name(OWN_NAME)).await
}

/// Counts the server's sessions.
pub(super) async fn count(connection: &mut PgConnection) -> Result<Sessions, sqlx::Error> {
    let statement = format!(
        "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%') {TARGETS}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(OWN_NAME).bind(POOL_NAME);
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
    let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(OWN_NAME).bind(POOL_NAME);
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

/// Whether a server of codebase-mcp has its databases there already.
pub(super) async fn has_index(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let question = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    sqlx::query_scalar(question).bind(REGISTRY).fetch_one(connection).await
}

/// Drops the databases that the server has made, with whatever sessions are left in them.
pub(super) async fn drop_index(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut registry = connect(&options.clone().database(REGISTRY)).await?;
    let projects: Vec<String> =
        sqlx::query_scalar("SELECT quote_ident(database_name) FROM projects")
            .fetch_all(&mut registry)
            .await?;
    registry.close().await?;
    let mut connection = connect(options).await?;
    for database in projects.into_iter().chain([REGISTRY.to_owned()]) {
        let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    connection.close().await
}
