//! Borrowers that vanish: dropped futures, panics, and runtimes that end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use codebase_mcp::pool::{Config, PgPool};
use futures_util::TryStreamExt;
use sqlx::Row;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::support::{Database, FakePostgres, fixed, one, open_pool, soon};

/// Sessions that sit inside a transaction without a statement.
const IDLE_IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'pool test' AND state LIKE 'idle in transaction%'";
const SLEEPERS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'pool test' AND query LIKE 'SELECT pg_sleep%' AND state = 'active'";

/// Where a future is dropped.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Right after a poll, so that nothing that came meanwhile is read.
    After(u32),
    /// When it would be polled once more, because something has come.
    Before(u32),
}

/// Polls a future up to a point and drops it.
async fn cut(future: impl Future, at: Cut) {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        if matches!(at, Cut::Before(limit) if polls + 1 == limit) {
            return Poll::Ready(());
        }
        polls += 1;
        let done = future.as_mut().poll(context).is_ready();
        if done || matches!(at, Cut::After(limit) if polls == limit) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

async fn in_no_transaction(pool: &PgPool) -> bool {
    let mut lease = pool.acquire().await.unwrap();
    let row = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(&mut lease).await;
    row.unwrap().get(0)
}

#[tokio::test]
async fn a_thousand_dropped_begins_leave_nobody_in_a_transaction() {
    let mut database = Database::start().await;
    let pool = open_pool(fixed(1), database.options());
    for turn in 0..1000 {
        let polls = 1 + turn % 3;
        let at = if turn % 2 == 0 { Cut::After(polls) } else { Cut::Before(1 + polls) };
        let lease = pool.acquire().await.unwrap();
        cut(lease.begin(), at).await;
        assert!(in_no_transaction(&pool).await, "turn {turn}: inside a transaction, cut {at:?}");
    }
    database.until_none(IDLE_IN_TRANSACTION).await;
    assert!(database.sessions().await.len() <= 1);
    pool.shutdown().await;
}

#[tokio::test]
async fn a_commit_dropped_at_any_poll_leaves_nobody_in_a_transaction() {
    let mut database = Database::start().await;
    let pool = open_pool(fixed(1), database.options());
    for turn in 0..100 {
        let polls = 1 + turn % 3;
        let at = if turn % 2 == 0 { Cut::After(polls) } else { Cut::Before(1 + polls) };
        let mut tx = pool.acquire().await.unwrap().begin().await.unwrap();
        sqlx::raw_sql("CREATE TEMP TABLE IF NOT EXISTS t (a int)").execute(&mut *tx).await.unwrap();
        cut(tx.commit(), at).await;
        assert!(in_no_transaction(&pool).await, "turn {turn}: inside a transaction, cut {at:?}");
    }
    database.until_none(IDLE_IN_TRANSACTION).await;
    pool.shutdown().await;
}

#[tokio::test]
async fn the_rest_of_an_abandoned_result_is_never_read_by_the_next_borrower() {
    let database = Database::start().await;
    let pool = open_pool(fixed(1), database.options());
    for rows in 0..40 {
        let mut lease = pool.acquire().await.unwrap();
        let text = "SELECT repeat('x', 20000), n FROM generate_series(1, 5000) n";
        // Prepared, and as a plain text.
        let mut stream = if rows % 2 == 0 {
            sqlx::query(text).fetch(&mut lease)
        } else {
            sqlx::raw_sql(text).fetch(&mut lease)
        };
        for _ in 0..rows {
            stream.try_next().await.unwrap();
        }
        if rows == 0 {
            cut(stream.try_next(), Cut::After(1)).await;
        }
        drop(stream);
        drop(lease);
        let mut lease = pool.acquire().await.unwrap();
        let found: i64 =
            sqlx::query_scalar("SELECT $1::bigint").bind(rows).fetch_one(&mut lease).await.unwrap();
        assert_eq!(found, rows);
    }
    pool.shutdown().await;
}

/// `fetch_one` reads one row of many and leaves the rest to whoever comes next.
#[tokio::test]
async fn a_row_too_many_is_no_reason_to_lose_the_next_answer() {
    let database = Database::start().await;
    let pool = open_pool(fixed(1), database.options());
    for expected in 0..100 {
        let mut lease = pool.acquire().await.unwrap();
        let _: i32 = sqlx::query_scalar("SELECT n FROM generate_series(1, 3000) n")
            .fetch_one(&mut lease)
            .await
            .unwrap();
        let found: i64 = sqlx::query_scalar("SELECT $1::bigint")
            .bind(expected)
            .fetch_one(&mut lease)
            .await
            .unwrap();
        assert_eq!(found, expected, "in the same lease");
        drop(lease);
        let mut lease = pool.acquire().await.unwrap();
        assert_eq!(one(&mut lease).await.unwrap(), 1, "in the next one");
    }
    pool.shutdown().await;
}

#[tokio::test]
async fn a_dropped_sleep_gives_its_place_back_and_ends_on_the_server() {
    let mut database = Database::start().await;
    let config = fixed(1);
    let limit = config.cleanup_timeout;
    let pool = open_pool(config, database.options());
    for turn in 0..5 {
        let mut lease = pool.acquire().await.unwrap();
        let sleep = sqlx::raw_sql("SELECT pg_sleep(60)").execute(&mut lease);
        timeout(Duration::from_millis(50), sleep).await.unwrap_err();
        assert_eq!(database.number(SLEEPERS).await, 1, "it is under way");
        drop(lease);
        assert_eq!(pool.snapshot().closing, 1, "its place is not free while the server works");
        let started = Instant::now();
        one(&mut pool.acquire().await.unwrap()).await.unwrap();
        // A second more for a busy machine.
        let took = started.elapsed();
        assert!(took < limit + Duration::from_secs(1), "turn {turn}: {took:?}");
        assert_eq!(database.number(SLEEPERS).await, 0, "turn {turn}: the server still works");
        let sessions = database.sessions().await;
        // The one that ended it may be on its way out.
        assert!(sessions.len() <= 2, "turn {turn}: {sessions:#?}");
    }
    pool.shutdown().await;
}

/// Also through the driver connection itself, whose statements the pool does not see, and behind it.
#[tokio::test]
async fn a_sleep_dropped_on_an_untracked_lease_keeps_its_place_until_it_ends_on_the_server() {
    let mut database = Database::start().await;
    let pool = open_pool(fixed(1), database.options());
    for seen in [false, true] {
        let mut lease = pool.acquire().await.unwrap();
        let driver = &mut **lease.untracked();
        let sleep = sqlx::raw_sql("SELECT pg_sleep(60)");
        let limit = Duration::from_millis(50);
        if seen {
            timeout(limit, sleep.execute(&mut lease)).await.unwrap_err();
        } else {
            timeout(limit, sleep.execute(driver)).await.unwrap_err();
        }
        assert_eq!(database.number(SLEEPERS).await, 1, "it is under way");
        drop(lease);
        one(&mut pool.acquire().await.unwrap()).await.unwrap();
        assert_eq!(database.number(SLEEPERS).await, 0, "the server still works; seen: {seen}");
    }
    pool.shutdown().await;
}

/// Asks for a long sleep and gives up, in line or in the middle of it.
async fn cancel_after(limit: Duration, pool: PgPool, cancels: Arc<AtomicU64>) {
    let work = async {
        let mut lease = pool.acquire().await.unwrap();
        drop(sqlx::raw_sql("SELECT pg_sleep(5)").execute(&mut lease).await);
    };
    timeout(limit, work).await.unwrap_err();
    cancels.fetch_add(1, Ordering::Relaxed);
}

/// One session more than `max_size` is allowed: the one that ends the others.
#[tokio::test]
async fn a_storm_of_cancels_never_opens_more_sessions_than_the_pool_may_have() {
    const SIZE: u32 = 8;
    let mut database = Database::start().await;
    let config = Config { min_size: 2, max_size: SIZE, ..Config::default() };
    let pool = open_pool(config, database.options());
    let cancels = Arc::new(AtomicU64::new(0));
    let (storm, cancelled) = (TaskTracker::new(), TaskTracker::new());
    let end = Instant::now() + Duration::from_secs(5);
    let (victim, counter, tasks) = (pool.clone(), Arc::clone(&cancels), cancelled.clone());
    storm.spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        for turn in 0.. {
            ticks.tick().await;
            if Instant::now() >= end {
                return;
            }
            let limit = Duration::from_millis(1 + turn * 7 % 50);
            tasks.spawn(cancel_after(limit, victim.clone(), Arc::clone(&counter)));
        }
    });
    cancelled.close();
    storm.close();
    while !storm.is_empty() || !cancelled.is_empty() {
        let sessions = database.sessions().await;
        assert!(sessions.len() <= SIZE as usize + 1, "{sessions:#?}");
    }
    let cancels = cancels.load(Ordering::Relaxed);
    assert!(cancels > 1000, "{cancels} cancels make no storm");
    one(&mut pool.acquire().await.unwrap()).await.unwrap();
    database.until_none(SLEEPERS).await;
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0), "{snapshot:?}");
    pool.shutdown().await;
    database
        .until_none("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pool test'")
        .await;
}

/// Runs a task that must panic.
async fn panics(task: impl Future<Output = ()> + Send + 'static) {
    let outcome = TaskTracker::new().spawn(task).await;
    assert!(outcome.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_panic_of_a_borrower_loses_neither_a_place_nor_a_clean_session() {
    let mut database = Database::start().await;
    let pool = open_pool(fixed(1), database.options());
    let holding = pool.clone();
    panics(async move {
        let mut lease = holding.acquire().await.unwrap();
        one(&mut lease).await.unwrap();
        panic!("while holding");
    })
    .await;
    assert!(in_no_transaction(&pool).await);
    assert_eq!(pool.statistics().opened, 1, "nothing was wrong with the connection");

    let inside = pool.clone();
    panics(async move {
        let mut tx = inside.acquire().await.unwrap().begin().await.unwrap();
        sqlx::raw_sql("CREATE TABLE half (a int)").execute(&mut *tx).await.unwrap();
        panic!("inside a transaction");
    })
    .await;
    assert!(in_no_transaction(&pool).await);
    database.until_none("SELECT count(*) FROM pg_class WHERE relname = 'half'").await;

    let decoding = pool.clone();
    panics(async move {
        let mut lease = decoding.acquire().await.unwrap();
        let rows = sqlx::query("SELECT n FROM generate_series(1, 10000) n")
            .try_map(|row: sqlx::postgres::PgRow| {
                let number: i32 = row.get(0);
                assert_ne!(number, 3, "while a row is decoded");
                Ok(number)
            })
            .fetch_all(&mut lease)
            .await;
        drop(rows);
    })
    .await;
    assert!(in_no_transaction(&pool).await);
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.in_use, snapshot.idle), (0, 1), "{snapshot:?}");
    database.until_none(IDLE_IN_TRANSACTION).await;
    pool.shutdown().await;
}

/// What becomes of a lease that is dropped where the pool's runtime is not the current one.
#[derive(Debug, Clone, Copy)]
enum State {
    Clean,
    /// Its session must be reset before it is used again.
    Touched,
    /// A statement is under way.
    InFlight,
}

impl State {
    const ALL: [Self; 3] = [Self::Clean, Self::Touched, Self::InFlight];

    async fn lease(self, pool: &PgPool) -> codebase_mcp::pool::PgLease {
        let mut lease = pool.acquire().await.unwrap();
        match self {
            Self::Clean => drop(one(&mut lease).await.unwrap()),
            Self::Touched => {
                sqlx::raw_sql("SET work_mem = '64kB'").execute(&mut lease).await.unwrap();
            }
            Self::InFlight => {
                cut(sqlx::raw_sql("SELECT 1").execute(&mut lease), Cut::After(1)).await;
            }
        }
        lease
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A server and a full pool of two on a runtime of their own.
fn on_a_runtime() -> (Runtime, FakePostgres, PgPool) {
    let runtime = runtime();
    let (server, pool) = runtime.block_on(async {
        let server = FakePostgres::start().await;
        let pool = open_pool(fixed(2), server.options());
        pool.ready().await.unwrap();
        (server, pool)
    });
    (runtime, server, pool)
}

fn back_to_two(runtime: &Runtime, pool: &PgPool, server: &FakePostgres) {
    runtime.block_on(async {
        soon("two are idle", || pool.snapshot().idle == 2).await;
        assert_eq!(pool.snapshot().total(), 2);
        soon("two are open", || server.open() == 2).await;
        one(&mut pool.acquire().await.unwrap()).await.unwrap();
    });
}

#[test]
fn a_lease_may_be_dropped_where_there_is_no_runtime() {
    let (runtime, server, pool) = on_a_runtime();
    for state in State::ALL {
        let lease = runtime.block_on(state.lease(&pool));
        std::thread::spawn(move || drop(lease)).join().unwrap();
        back_to_two(&runtime, &pool, &server);
    }
}

#[test]
fn a_lease_may_be_dropped_in_another_runtime() {
    let (home, server, pool) = on_a_runtime();
    let other = runtime();
    for state in State::ALL {
        let lease = other.block_on(state.lease(&pool));
        other.block_on(async move { drop(lease) });
        back_to_two(&home, &pool, &server);
    }
}

#[test]
fn a_lease_may_be_dropped_by_the_end_of_another_runtime() {
    let (home, server, pool) = on_a_runtime();
    for state in State::ALL {
        let other = runtime();
        let lease = other.block_on(state.lease(&pool));
        other.spawn(async move {
            let _lease = lease;
            std::future::pending::<()>().await;
        });
        other.shutdown_timeout(Duration::from_secs(10));
        back_to_two(&home, &pool, &server);
    }
}

#[test]
fn leases_may_be_dropped_by_the_end_of_their_own_runtime_and_after_it() {
    for state in State::ALL {
        let (runtime, _server, pool) = on_a_runtime();
        let (inside, outside) =
            runtime.block_on(async { (state.lease(&pool).await, state.lease(&pool).await) });
        runtime.spawn(async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        });
        runtime.shutdown_timeout(Duration::from_secs(10));
        drop(outside);
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0), "{state:?}: {snapshot:?}");
        assert!(snapshot.total() <= 2, "{state:?}: {snapshot:?}");
    }
}
