//! What PostgreSQL itself says about the sessions of what is tested, asked directly and not through the fault proxy.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};

use crate::schema::Target;
use crate::stack::RUNNER;

/// The most bytes of a name that PostgreSQL keeps.
const NAME: usize = 63;
/// How the name of a pool begins.
const POOL: &str = "scenario ";
/// What another pool of the same run appends to its name, which must stay another name.
const OTHERS: &str = " opened";
/// The sessions in the databases of codebase-mcp, but for the runner's.
const OF_SERVER: &str = "FROM pg_stat_activity WHERE backend_type = 'client backend' \
     AND (datname = 'codebase_mcp_registry' OR datname LIKE 'cb\\_proj\\_%') AND application_name <> $1";
/// The sessions of a pool.
const OF_POOL: &str = "FROM pg_stat_activity WHERE backend_type = 'client backend' \
     AND application_name = $1";

/// Whose sessions a run counts and terminates: those of what it tests. A PostgreSQL that was given by its URL may
/// have other users, and other runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// The server's, which has its databases for itself.
    Server,
    /// Those of the pool with this name.
    Pool(String),
}

/// The sessions of what is tested, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sessions {
    /// All of them.
    pub(super) all: u32,
    /// Those that have left a transaction open.
    pub(super) idle_in_transaction: u32,
}

impl Whose {
    /// Those of what the run `run` tests.
    pub(super) fn of(target: &Target, run: &str) -> Self {
        match target {
            Target::Server { .. } => Self::Server,
            Target::Pool { .. } => Self::Pool(pool_name(run)),
        }
    }

    /// The name of the pool that is tested; of sessions with a server, the name that none of the server's has.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Server => RUNNER,
            Self::Pool(name) => name,
        }
    }

    /// The end of a statement about them, whose argument is the name.
    fn clause(&self) -> &'static str {
        match self {
            Self::Server => OF_SERVER,
            Self::Pool(_) => OF_POOL,
        }
    }
}

/// The name of the pool of the run `run`, and of its sessions: with as much of the run's name as fits, the end of
/// it, which has time and seed.
fn pool_name(run: &str) -> String {
    let most = NAME - POOL.len() - OTHERS.len();
    let from = run.ceil_char_boundary(run.len().saturating_sub(most));
    [POOL, run.get(from..).unwrap_or_default()].concat()
}

/// Connects as the runner.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(&options.clone().application_name(RUNNER)).await
}

/// Counts the sessions of what is tested.
pub(super) async fn count(
    connection: &mut PgConnection,
    whose: &Whose,
) -> Result<Sessions, sqlx::Error> {
    let clause = whose.clause();
    let statement = format!(
        "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%') {clause}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(whose.name());
    let row = query.fetch_one(connection).await?;
    let number = |column: usize| -> Result<u32, sqlx::Error> {
        Ok(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
    };
    Ok(Sessions { all: number(0)?, idle_in_transaction: number(1)? })
}

/// Terminates those sessions of what is tested that `choose` chooses, and gives their process ids.
pub(super) async fn terminate(
    connection: &mut PgConnection,
    whose: &Whose,
    choose: impl FnOnce(Vec<i32>) -> Vec<i32>,
) -> Result<Vec<i32>, sqlx::Error> {
    let clause = whose.clause();
    let statement = format!("SELECT pid {clause} ORDER BY pid");
    let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(whose.name());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_the_name_of_its_run_and_no_other_pool_has_it() {
        let run = "quick-20260102T030405678-7";
        assert_eq!(pool_name(run), "scenario quick-20260102T030405678-7");
        let tail = "-20260102T030405678-18446744073709551615";
        let (long, other) = ("a-long-name".repeat(9), "ü".repeat(40));
        for run in [long + tail, other + tail] {
            let name = pool_name(&run);
            assert!(name.ends_with(tail), "{name}");
            assert!(name.len() + OTHERS.len() <= NAME, "{name}");
        }
    }
}
