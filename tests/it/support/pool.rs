//! Pools for the tests.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codebase_mcp::pool::{Config, PgLease, PgPool, Postgres};
use codebase_mcp::postgres::Cluster;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Home, PATIENCE};

/// The name of the tests' sessions in `pg_stat_activity`.
const NAME: &str = "pool test";

/// A pool of connections that are always open, `size` of them.
pub(crate) fn fixed(size: u32) -> Config {
    Config { min_size: size, max_size: size, ..Config::default() }
}

pub(crate) fn open_pool(config: Config, options: PgConnectOptions) -> PgPool {
    let connector = Postgres::new(options, NAME, Duration::from_secs(10));
    PgPool::new(NAME, config, connector).unwrap()
}

/// Runs `SELECT 1`.
pub(crate) async fn one(lease: &mut PgLease) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT 1").fetch_one(lease).await
}

/// A real server of a test's own, and somebody who looks at it from outside of all pools.
pub(crate) struct Database {
    pub(crate) cluster: Cluster,
    pub(crate) observer: PgConnection,
    // Dropped last: it waits for the cluster's end.
    pub(crate) home: Home,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let home = Home::new();
        let cluster = home.attach().await;
        let options = cluster.endpoint().options("postgres").application_name("observer");
        let observer = PgConnection::connect_with(&options).await.unwrap();
        Self { cluster, observer, home }
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.cluster.endpoint().options("postgres")
    }

    /// Runs statements as the observer.
    pub(crate) async fn run(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.observer).await.unwrap();
    }

    /// A number that the observer reads.
    pub(crate) async fn number(&mut self, sql: &'static str) -> i64 {
        let row = sqlx::raw_sql(sql).fetch_one(&mut self.observer).await.unwrap();
        row.get(0)
    }

    /// The sessions of the tests' pools, with what they do.
    pub(crate) async fn sessions(&mut self) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', pid, state, query) FROM pg_stat_activity
            WHERE application_name = 'pool test'";
        let rows = sqlx::raw_sql(sql).fetch_all(&mut self.observer).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until the observer reads zero.
    #[track_caller]
    pub(crate) fn until_none(&mut self, sql: &'static str) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let deadline = Instant::now() + PATIENCE;
            while self.number(sql).await != 0 {
                assert!(
                    Instant::now() < deadline,
                    "{caller}: still there after {PATIENCE:?}: {sql}"
                );
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Tasks that ask a pool all the time.
pub(crate) struct Load {
    tasks: TaskTracker,
    over: CancellationToken,
    answered: Arc<AtomicU64>,
}

impl Load {
    /// Each task holds its lease for `hold` and rests for `pause` after it, or after a failure.
    pub(crate) fn start(pool: &PgPool, tasks: usize, hold: Duration, pause: Duration) -> Self {
        let load = Self {
            tasks: TaskTracker::new(),
            over: CancellationToken::new(),
            answered: Arc::default(),
        };
        for _ in 0..tasks {
            let (pool, over, answered) =
                (pool.clone(), load.over.clone(), Arc::clone(&load.answered));
            load.tasks.spawn(async move {
                while !over.is_cancelled() {
                    // Refused, or answered by a session that the server has ended.
                    let answers = ask(&pool, hold).await.map_or(0, |_| 1);
                    answered.fetch_add(answers, Ordering::Relaxed);
                    sleep(pause).await;
                }
            });
        }
        load.tasks.close();
        load
    }

    /// How many statements were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until every task has had its last answer.
    pub(crate) async fn stop(self) {
        self.over.cancel();
        self.tasks.wait().await;
    }
}

async fn ask(pool: &PgPool, hold: Duration) -> Option<i32> {
    let mut lease = pool.acquire().await.ok()?;
    let answer = one(&mut lease).await.ok();
    sleep(hold).await;
    answer
}
