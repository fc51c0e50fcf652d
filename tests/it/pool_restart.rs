//! The pool and a real PostgreSQL that ends its sessions, restarts, stays away, or changes its password.

use std::fs;
use std::time::Duration;

use codebase_mcp::pool::{AcquireError, Config, PgPool, Validation};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use crate::support::{Database, Home, Load, Log, PATIENCE, fixed, one, open_pool, soon};

/// A pool that checks a connection before each use.
fn careful(size: u32) -> Config {
    let validation = Validation { bypass_window: Duration::ZERO, ..Validation::default() };
    Config { validation, ..fixed(size) }
}

/// Ends the server, as its administrator would, and waits until it is gone.
async fn stop(home: &Home) {
    let pid = home.postmaster().expect("a running server");
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::INT).unwrap();
    soon("the server is gone", || home.postmaster().is_none()).await;
}

async fn query_all(pool: &PgPool, count: usize) {
    let query = async || one(&mut pool.acquire().await.unwrap()).await.unwrap();
    let answers = futures_util::future::join_all((0..count).map(|_| query())).await;
    assert_eq!(answers, vec![1; count]);
}

#[tokio::test]
async fn sessions_that_were_all_ended_are_replaced_unseen_and_once() {
    let mut database = Database::start().await;
    let pool = open_pool(careful(4), database.options());
    pool.ready().await.unwrap();
    for round in 1..=10 {
        // Returns when they are gone.
        database
            .run(
                "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
                 WHERE application_name = 'pool test'",
            )
            .await;
        query_all(&pool, 12).await;
        soon("the pool is filled", || pool.snapshot().idle == 4).await;
        assert_eq!(pool.statistics().opened, 4 * (round + 1));
        assert_eq!(database.sessions().await.len(), 4);
    }
    assert_eq!(pool.statistics().open_failed, 0);
    pool.shutdown().await;
}

#[tokio::test]
async fn a_restarted_server_is_found_again_within_one_back_off_step() {
    let database = Database::start().await;
    let pool = open_pool(careful(4), database.options());
    pool.ready().await.unwrap();
    let Database { cluster, home, .. } = database;
    for _ in 0..2 {
        stop(&home).await;
        let error = pool.acquire().await.unwrap_err();
        assert!(matches!(error, AcquireError::Unavailable(_)), "{error}");
        let again = home.attach().await;
        let returned = Instant::now();
        let promised = pool.statistics().retry_after_ms.unwrap_or(0.0) / 1000.0;
        // And a second for a busy machine.
        let limit = Duration::from_secs_f64(promised) + Duration::from_secs(1);
        while let Err(error) = pool.acquire().await {
            assert!(returned.elapsed() < limit, "{:?} of {limit:?}: {error}", returned.elapsed());
            sleep(Duration::from_millis(10)).await;
        }
        query_all(&pool, 12).await;
        let failed = pool.statistics().open_failed;
        assert!(failed <= 12, "{failed} attempts");
        drop(again);
    }
    pool.shutdown().await;
    drop(cluster);
}

/// Twenty tasks ask all the time. The server comes back before the fifth attempt.
#[tokio::test]
async fn ten_seconds_without_a_server_under_load_heal_by_themselves() {
    let log = Log::capture();
    let database = Database::start().await;
    let pool = open_pool(fixed(4), database.options());
    pool.ready().await.unwrap();
    let Database { cluster, home, .. } = database;

    let load = Load::start(&pool, 20, Duration::ZERO, Duration::from_millis(50));
    soon("the load is answered", || load.answered() > 100).await;

    stop(&home).await;
    let stopped = Instant::now();
    sleep(Duration::from_secs(10)).await;
    let attempts = pool.statistics().open_failed;
    // After 0, 1, 3 and 7 s, a tenth sooner or later by chance; and the dials of the first moment.
    assert!((4..=6).contains(&attempts), "{attempts} attempts in 10 s");
    let before = load.answered();
    let again = home.attach().await;
    soon("the load is answered again", || load.answered() > before + 100).await;
    soon("the pool is whole again", || {
        let snapshot = pool.snapshot();
        snapshot.idle + snapshot.in_use == 4
    })
    .await;
    assert!(stopped.elapsed() < Duration::from_mins(1));
    load.stop().await;

    assert!(log.tells_a_recovery(), "{:?}", log.phases());
    assert_eq!(pool.snapshot().in_use, 0);
    pool.shutdown().await;
    drop((cluster, again));
}

/// Has the cluster ask one role for its password; all others are trusted as before.
async fn ask_for_a_password(database: &mut Database, wrong: &PgConnectOptions) {
    let path = database.home.cluster().join("pgdata/pg_hba.conf");
    let trusting = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("local all rotating scram-sha-256\n{trusting}")).unwrap();
    database.run("SELECT pg_reload_conf()").await;
    // The server reads the file some time later.
    let deadline = Instant::now() + PATIENCE;
    while PgConnection::connect_with(wrong).await.is_ok() {
        assert!(Instant::now() < deadline, "a wrong password is taken");
    }
}

#[tokio::test]
async fn a_new_password_is_used_by_the_next_dial() {
    let mut database = Database::start().await;
    database.run("CREATE ROLE rotating LOGIN PASSWORD 'old'").await;
    let options = database.options().username("rotating");
    let (old, new) = (options.clone().password("old"), options.password("new"));
    ask_for_a_password(&mut database, &new).await;
    let pool = open_pool(Config { max_size: 3, ..careful(1) }, old);
    let mut held = pool.acquire().await.unwrap();
    database.run("ALTER ROLE rotating PASSWORD 'new'").await;
    assert_eq!(one(&mut held).await.unwrap(), 1, "open sessions go on");
    let error = pool.acquire().await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");

    pool.connector().set_options(new);
    pool.reconnect_now();
    for lease in futures_util::future::join_all([pool.acquire(), pool.acquire()]).await {
        one(&mut lease.unwrap()).await.unwrap();
    }
    one(&mut held).await.unwrap();
    drop(held);
    pool.shutdown().await;
}
