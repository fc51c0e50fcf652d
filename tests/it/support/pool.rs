//! Pools for the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codebase_mcp::pool::{Config, PgLease, PgPool, Postgres};
use sqlx::postgres::PgConnectOptions;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
