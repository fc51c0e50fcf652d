//! Leases that do not come back: at the end of the pool, and before.

use std::time::Duration;

use codebase_mcp::pool::{Config, Connect, Held, Leaks, PgPool, Phase, Postgres, SessionId};
use sqlx::{AssertSqlSafe, Executor, Row};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::support::{Clock, Database, FakePostgres, Log, fixed, one, open_pool, soon};

const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pool test'";

/// The sessions of borrowers that were cut off.
const CUT_OFF: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pool test'
    AND (state LIKE 'idle in transaction%' OR query IN ('SELECT pg_sleep(60)', 'SELECT 1'))";
const MORE_THAN_TWO: &str = "SELECT greatest(count(*) - 2, 0) FROM pg_stat_activity
    WHERE application_name = 'pool test'";

/// One borrower waits for an answer, one sits inside a transaction, one has lost its lease for good.
#[tokio::test]
async fn a_shutdown_cuts_off_who_does_not_come_back_and_says_who_that_was() {
    let mut database = Database::start().await;
    let limit = Duration::from_millis(300);
    let config = Config { shutdown_timeout: limit, ..fixed(4) };
    let pool = open_pool(config, database.options());
    pool.ready().await.unwrap();
    let mut asleep = pool.acquire().await.unwrap();
    let mut tx = pool.acquire().await.unwrap().begin().await.unwrap();
    tx.execute("CREATE TABLE half (a int)").await.unwrap();
    let (mut lost, line) = (pool.acquire().await.unwrap(), line!());
    one(&mut lost).await.unwrap();
    std::mem::forget(lost);

    let sleep = TaskTracker::new().spawn(async move {
        let started = Instant::now();
        let outcome = asleep.execute("SELECT pg_sleep(60)").await;
        (outcome.map(drop), started.elapsed())
    });
    let started = Instant::now();
    let closed = pool.shutdown().await;
    // Half a second to cut them off, and a second for a busy machine.
    assert!(started.elapsed() >= limit * 5 / 6);
    assert!(started.elapsed() < limit + Duration::from_millis(1500), "{closed:?}");
    assert_eq!((closed.forced.len(), closed.abandoned), (3, 0), "{closed:?}");
    let here = |held: &Held| (held.location.file(), held.location.line()) == (file!(), line);
    assert!(closed.forced.iter().any(here), "{closed:?} without line {line}");

    let (outcome, took) = sleep.await.unwrap();
    outcome.unwrap_err();
    assert!(took < Duration::from_secs(5), "it was let go after {took:?}");
    assert_eq!(database.number(CUT_OFF).await, 0, "sessions outlive the shutdown");
    // A backend whose client has taken leave needs a moment to go.
    database.until_none(SESSIONS).await;
    assert_eq!(database.number("SELECT count(*) FROM pg_class WHERE relname = 'half'").await, 0);
    tx.execute("SELECT 1").await.unwrap_err();
    drop(tx);
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.phase, snapshot.total()), (Phase::Terminated, 0), "{snapshot:?}");
    pool.acquire().await.unwrap_err();
}

#[tokio::test]
async fn a_shutdown_that_is_not_kept_waiting_is_quick_and_cuts_off_nobody() {
    let mut database = Database::start().await;
    let pool = open_pool(fixed(4), database.options());
    pool.ready().await.unwrap();
    let lease = pool.acquire().await.unwrap();
    let release = TaskTracker::new().spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(lease);
    });
    let closed = pool.shutdown().await;
    release.await.unwrap();
    assert_eq!((closed.forced.len(), closed.abandoned), (0, 0), "{closed:?}");
    assert!(closed.elapsed < Duration::from_secs(2), "{closed:?}");
    database.until_none(SESSIONS).await;
}

/// Sessions that may one day have the same process id, and some of what else names this one.
fn strangers(SessionId { pid, started }: SessionId) -> [SessionId; 4] {
    [
        SessionId { pid, started: started - 1 },
        SessionId { pid, started: started + 1 },
        SessionId { pid, started: 0 },
        SessionId { pid: i32::MAX, started },
    ]
}

/// Process ids are given out again. The start time of a session, to the microsecond, tells it from a later one.
#[tokio::test]
async fn terminate_ends_no_stranger() {
    let mut database = Database::start().await;
    let pool = open_pool(fixed(2), database.options());
    pool.ready().await.unwrap();
    let mut lease = pool.acquire().await.unwrap();
    one(&mut lease).await.unwrap();
    let session = pool.connector().session(lease.untracked());
    let pid = session.pid;
    let ours = Postgres::new(database.options(), "pool test", Duration::from_secs(10));
    let mut connection = ours.open().await.unwrap();
    for stranger in strangers(session) {
        ours.terminate(&mut connection, &[stranger]).await.unwrap();
        one(&mut lease).await.unwrap_or_else(|error| panic!("{stranger:?} was ended: {error}"));
    }
    ours.terminate(&mut connection, &[session]).await.unwrap();
    let same = AssertSqlSafe(format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"));
    let left: i64 = sqlx::raw_sql(same).fetch_one(&mut database.observer).await.unwrap().get(0);
    assert_eq!(left, 0, "it is gone when the call returns");
    one(&mut lease).await.unwrap_err();
    drop(lease);
    pool.shutdown().await;
}

/// Small times, and a clock that is moved by hand.
const THRESHOLD: Duration = Duration::from_millis(100);

fn leaking(reclaim: bool) -> Config {
    let leaks = Leaks { enabled: true, threshold: THRESHOLD, reclaim, ..Leaks::default() };
    Config { leaks, ..fixed(2) }
}

#[tokio::test]
async fn a_lease_held_for_long_is_reported_with_its_place_and_again_when_it_returns() {
    let log = Log::capture();
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(leaking(false), server.options());
    pool.ready().await.unwrap();
    let (held, line) = (pool.acquire().await.unwrap(), line!());
    clock.pass(THRESHOLD / 2).await;
    drop(pool.acquire().await.unwrap());
    assert!(log.events("pool.leak.suspected").is_empty(), "half the time is no leak");

    // One look every half second.
    clock.pass(Duration::from_millis(600)).await;
    let reported = log.events("pool.leak.suspected");
    assert_eq!(reported.len(), 1, "{reported:#?}");
    let place = reported[0]["location"].as_str().unwrap();
    assert!(place.starts_with(&format!("{}:{line}:", file!())), "{place}");
    let statistics = pool.statistics();
    assert_eq!((statistics.live_leaks, statistics.leaks), (1, 1));

    drop(held);
    clock.pass(Duration::from_millis(600)).await;
    let returned = log.events("pool.leak.returned");
    assert_eq!(returned.len(), 1, "{returned:#?}");
    assert_eq!(returned[0]["location"], reported[0]["location"]);
    assert_eq!(returned[0]["connection.id"], reported[0]["connection.id"]);
    let statistics = pool.statistics();
    assert_eq!((statistics.live_leaks, statistics.leaks), (0, 1), "it is no leak any more");
    assert_eq!(log.events("pool.leak.suspected").len(), 1, "and is not reported again");
}

#[tokio::test]
async fn a_true_leak_is_counted_as_long_as_it_lasts() {
    let clock = Clock::moving_by(Duration::from_millis(5));
    let log = Log::capture();
    let server = FakePostgres::start().await;
    let pool = open_pool(leaking(false), server.options());
    std::mem::forget(pool.acquire().await.unwrap());
    clock.pass(Duration::from_mins(1)).await;
    let statistics = pool.statistics();
    assert_eq!((statistics.live_leaks, statistics.leaks), (1, 1));
    // At the threshold, at twice that time, at four times and so on.
    let reports = log.events("pool.leak.suspected").len();
    assert!((2..=10).contains(&reports), "{reports} reports");
    assert!(log.events("pool.leak.reclaimed").is_empty(), "nobody allowed that");
    one(&mut pool.acquire().await.unwrap()).await.unwrap();
}

/// Somebody waits for an answer that does not come, and somebody has lost the lease for good.
#[tokio::test]
async fn a_stuck_lease_is_taken_back_where_that_is_allowed() {
    let mut database = Database::start().await;
    let pool = open_pool(leaking(true), database.options());
    pool.ready().await.unwrap();
    let stuck = stuck(&pool).await;
    let mut lost = pool.acquire().await.unwrap();
    one(&mut lost).await.unwrap();
    std::mem::forget(lost);
    let both = async { [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()] };
    let mut leases = timeout(Duration::from_secs(5), both).await.expect("places for two");
    for lease in &mut leases {
        assert_eq!(one(lease).await.unwrap(), 1);
    }
    stuck.await.unwrap();
    database.until_none(MORE_THAN_TWO).await;
    drop(leases);
    soon("nobody is a leak", || pool.statistics().live_leaks == 0).await;
    assert_eq!(pool.statistics().leaks, 2);
    pool.shutdown().await;
}

/// A borrower whose statement must fail soon.
async fn stuck(pool: &PgPool) -> tokio::task::JoinHandle<()> {
    let mut lease = pool.acquire().await.unwrap();
    TaskTracker::new().spawn(async move {
        let started = Instant::now();
        lease.execute("SELECT pg_sleep(60)").await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5));
    })
}
