//! The pool against a real PostgreSQL.

use std::time::Duration;

use codebase_mcp::pool::{Config, PgPool, Postgres, Validation};
use codebase_mcp::postgres::Cluster;
use sqlx::Row;

use crate::support::Home;

/// A cluster in a fresh home, and a pool of one connection to it.
struct Fixture {
    pool: PgPool,
    cluster: Cluster,
    // Dropped last: it waits for the cluster's end.
    _home: Home,
}

impl Fixture {
    async fn new(validation: Validation) -> Self {
        let home = Home::new();
        let cluster = home.attach().await;
        Self { pool: pool(&cluster, validation), cluster, _home: home }
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let mut lease = self.pool.acquire().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut lease).await.unwrap()
    }
}

fn pool(cluster: &Cluster, validation: Validation) -> PgPool {
    let options = cluster.endpoint().options("postgres");
    let config = Config { min_size: 1, max_size: 1, validation, ..Config::default() };
    let connector = Postgres::new(options, "pool test", Duration::from_secs(10));
    PgPool::new("test", config, connector).unwrap()
}

const SLEEPERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";

#[tokio::test]
async fn statements_run_through_a_lease_and_the_connection_is_reused() {
    let fixture = Fixture::new(Validation::default()).await;
    for expected in 1..=20 {
        let mut lease = fixture.pool.acquire().await.unwrap();
        let found: i64 = sqlx::query_scalar("SELECT $1::bigint")
            .bind(expected)
            .fetch_one(&mut lease)
            .await
            .unwrap();
        assert_eq!(found, expected);
    }
    assert_eq!(fixture.pool.statistics().opened, 1);
    fixture.pool.shutdown().await;
}

#[tokio::test]
async fn a_failed_statement_does_not_cost_the_connection() {
    let fixture = Fixture::new(Validation::default()).await;
    let mut lease = fixture.pool.acquire().await.unwrap();
    assert!(sqlx::query("SELECT 1 / 0").execute(&mut lease).await.is_err());
    drop(lease);
    assert_eq!(fixture.number("SELECT 7::bigint").await, 7);
    assert_eq!(fixture.pool.statistics().opened, 1);
    fixture.pool.shutdown().await;
}

/// The pool has one connection. If the abandoned statement were left to run, the next borrower would
/// wait for it; if the session were reused, it would read foreign rows.
#[tokio::test]
async fn an_abandoned_statement_ends_on_the_server_and_its_session_is_gone() {
    let fixture = Fixture::new(Validation::default()).await;
    let mut lease = fixture.pool.acquire().await.unwrap();
    {
        let sleeping = sqlx::query("SELECT pg_sleep(60)").execute(&mut lease);
        let outcome = tokio::time::timeout(Duration::from_millis(50), sleeping).await;
        assert!(outcome.is_err());
    }
    drop(lease);
    assert_eq!(fixture.number("SELECT 7::bigint").await, 7);
    let mut gone = false;
    for _ in 0..200 {
        gone = fixture.number(SLEEPERS).await == 0;
        if gone {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(gone, "the server noticed that its client had gone");
    assert_eq!(fixture.pool.statistics().opened, 2);
    fixture.pool.shutdown().await;
}

#[tokio::test]
async fn a_transaction_dropped_at_any_point_never_reaches_the_next_borrower() {
    let fixture = Fixture::new(Validation::default()).await;
    for polls in 0..6 {
        let lease = fixture.pool.acquire().await.unwrap();
        let mut beginning = Box::pin(lease.begin());
        for _ in 0..polls {
            if futures_util::poll!(beginning.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(beginning);
        let mut lease = fixture.pool.acquire().await.unwrap();
        let clean: bool = sqlx::raw_sql("SELECT now() = statement_timestamp()")
            .fetch_one(&mut lease)
            .await
            .unwrap()
            .get(0);
        assert!(clean, "inside a transaction after {polls} polls");
    }
    fixture.pool.shutdown().await;
}

#[tokio::test]
async fn a_committed_transaction_gives_its_connection_back() {
    let fixture = Fixture::new(Validation::default()).await;
    let lease = fixture.pool.acquire().await.unwrap();
    let mut tx = lease.begin().await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
        .execute(&mut *tx)
        .await
        .unwrap();
    drop(tx.commit().await.unwrap());
    assert_eq!(fixture.number("SELECT count(*) FROM kept").await, 1);

    let mut tx = fixture.pool.acquire().await.unwrap().begin().await.unwrap();
    sqlx::query("DELETE FROM kept").execute(&mut *tx).await.unwrap();
    drop(tx);
    assert_eq!(fixture.number("SELECT count(*) FROM kept").await, 1, "a dropped one rolls back");
    fixture.pool.shutdown().await;
}

#[tokio::test]
async fn a_session_that_the_server_ended_is_replaced_unseen() {
    let always = Validation { bypass_window: Duration::ZERO, ..Validation::default() };
    let fixture = Fixture::new(always).await;
    let victim = fixture.number("SELECT pg_backend_pid()::bigint").await;
    let killer = pool(&fixture.cluster, Validation::default());
    let mut lease = killer.acquire().await.unwrap();
    // With a limit in milliseconds it returns when the session is gone.
    let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1::bigint::int, 20000)")
        .bind(victim)
        .fetch_one(&mut lease)
        .await
        .unwrap();
    assert!(ended);
    let next = fixture.number("SELECT pg_backend_pid()::bigint").await;
    assert_ne!(next, victim);
    drop(lease);
    killer.shutdown().await;
    fixture.pool.shutdown().await;
}
