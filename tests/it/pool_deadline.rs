//! Limits hold, whatever the server does not do.
//!
//! The clock is stopped and moved by milliseconds, so the limits are exact on a busy machine too.

use std::time::Duration;

use codebase_mcp::pool::{
    AcquireError, AcquireOptions, Config, PgPool, STATEMENT_GRACE, Validation,
};
use tokio::time::timeout;

use crate::support::{Act, Clock, FakePostgres, When, one, open_pool, soon};

const LIMIT: Duration = Duration::from_millis(300);
const TOLERANCE: Duration = Duration::from_millis(50);

/// A pool of one connection with limits of its own that are much longer than the acquire's.
fn config() -> Config {
    Config {
        min_size: 1,
        max_size: 1,
        acquire_timeout: LIMIT,
        cleanup_timeout: Duration::from_mins(1),
        validation: Validation { timeout: Duration::from_secs(30), ..Validation::default() },
        ..Config::default()
    }
}

async fn times_out(clock: &Clock, pool: &PgPool) {
    let (outcome, took) = clock.time(pool.acquire()).await;
    let error = outcome.unwrap_err();
    let timed_out =
        matches!(error, AcquireError::TimedOut { .. } | AcquireError::Validation { .. });
    assert!(timed_out, "{error}");
    assert!(took.abs_diff(LIMIT) <= TOLERANCE, "{took:?}");
    assert_eq!(pool.snapshot().waiting, 0);
}

#[tokio::test]
async fn an_acquire_ends_at_its_limit_while_others_hold_all_connections() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(config(), server.options());
    let held = pool.acquire().await.unwrap();
    times_out(&clock, &pool).await;
    drop(held);
    drop(pool.acquire().await.unwrap());
}

#[tokio::test]
async fn an_acquire_ends_at_its_limit_while_a_connect_hangs() {
    let clock = Clock::stopped();
    for when in [When::Accepted, When::StartUp] {
        let server = FakePostgres::start().await;
        server.always([(when, Act::Silence)]);
        let pool = open_pool(config(), server.options());
        times_out(&clock, &pool).await;
    }
}

#[tokio::test]
async fn an_acquire_ends_at_its_limit_while_a_check_hangs() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(config(), server.options());
    drop(pool.acquire().await.unwrap());
    clock.pass(Validation::default().bypass_window + TOLERANCE).await;
    server.now(0, Act::Silence);
    server.always([(When::Accepted, Act::Silence)]);
    times_out(&clock, &pool).await;
}

#[tokio::test]
async fn an_acquire_ends_at_its_limit_while_an_abandoned_statement_is_cleaned_up() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(config(), server.options());
    let mut lease = pool.acquire().await.unwrap();
    server.now(0, Act::Silence);
    server.always([(When::Accepted, Act::Silence)]);
    let statement = sqlx::query("SELECT 1").execute(&mut lease);
    clock.time(timeout(TOLERANCE, statement)).await.0.unwrap_err();
    drop(lease);
    times_out(&clock, &pool).await;
}

#[tokio::test]
async fn an_acquire_ends_at_its_limit_while_a_reset_hangs() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(config(), server.options());
    let mut lease = pool.acquire().await.unwrap();
    sqlx::raw_sql("SET work_mem = '64kB'").execute(&mut lease).await.unwrap();
    server.now(0, Act::Silence);
    server.always([(When::Accepted, Act::Silence)]);
    drop(lease);
    times_out(&clock, &pool).await;
}

/// The server ends what takes too long. If not even that is heard of, the connection is dead.
#[tokio::test]
async fn a_statement_without_any_answer_ends_after_its_limit_and_the_grace() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let limit = Duration::from_secs(1);
    let config = Config { command_timeout: limit, ..config() };
    let pool = open_pool(config, server.options());
    let mut lease = pool.acquire().await.unwrap();
    server.now(0, Act::Silence);
    let (answer, took) = clock.time(one(&mut lease)).await;
    let error = answer.unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
    // One look every half second.
    let latest = limit + STATEMENT_GRACE + Duration::from_millis(500) + TOLERANCE;
    assert!((limit + STATEMENT_GRACE..latest).contains(&took), "{took:?}");
    drop(lease);
    let (lease, took) = clock.time(pool.acquire()).await;
    assert!(took <= TOLERANCE, "{took:?}");
    one(&mut lease.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_at_its_limits_although_the_server_is_silent() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let config = Config { shutdown_timeout: LIMIT, min_size: 3, max_size: 3, ..config() };
    let pool = open_pool(config, server.options());
    soon("the pool is filled", || pool.snapshot().idle == 3).await;
    let held = pool.acquire().await.unwrap();
    server.now_all(Act::Silence);
    server.always([(When::Accepted, Act::Silence)]);
    let (closed, took) = clock.time(pool.shutdown()).await;
    // What was taken back has five seconds to close.
    assert!(took <= LIMIT + Duration::from_secs(5) + TOLERANCE, "{took:?}");
    assert_eq!(closed.forced.len(), 1, "{closed:?}");
    drop(held);
    assert_eq!(pool.snapshot().in_use, 0);
}

#[tokio::test]
async fn an_acquire_ends_at_the_limit_that_its_caller_gives() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(config(), server.options());
    let _held = pool.acquire().await.unwrap();
    for limit in [Duration::from_millis(1), Duration::from_millis(40), Duration::from_secs(3)] {
        let options = AcquireOptions { timeout: Some(limit), ..AcquireOptions::default() };
        let (outcome, took) = clock.time(pool.acquire_with(options)).await;
        assert!(matches!(outcome, Err(AcquireError::TimedOut { .. })));
        assert!(took.abs_diff(limit) <= TOLERANCE, "{took:?} instead of {limit:?}");
    }
}
