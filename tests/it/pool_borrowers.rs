//! Odd borrowers of the pool, on a real server.

use std::time::Duration;

use codebase_mcp::pool::{Config, Health, HealthReason, PgPool, Postgres};
use futures_util::TryStreamExt;
use tokio::time::{sleep, timeout};

use crate::support::{Database, fixed, open_pool};

#[tokio::test]
async fn a_session_that_changed_its_name_is_ended_and_counted_too() {
    let mut database = Database::start().await;
    let pool = open_pool(fixed(2), database.options());
    pool.ready().await.unwrap();
    let mut most = 0;
    for _ in 0..40 {
        let mut lease = pool.acquire().await.unwrap();
        sqlx::query("SET application_name TO 'mine'").execute(&mut lease).await.unwrap();
        let sleeping = sqlx::query("SELECT pg_sleep(30)").execute(&mut lease);
        assert!(timeout(Duration::from_millis(5), sleeping).await.is_err());
        drop(lease);
        let now = database.number("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()").await;
        most = most.max(now);
    }
    assert!(most <= 3, "max_size 2 plus one, and {most} sessions on the server");
    pool.shutdown().await;
}

#[tokio::test]
async fn a_slow_reader_does_not_make_the_server_silent() {
    let database = Database::start().await;
    let config = Config { command_timeout: Duration::from_secs(1), ..fixed(1) };
    let connector = Postgres::new(database.options(), "pool test", Duration::from_secs(1));
    let pool = PgPool::new("pool test", config, connector).unwrap();
    let mut lease = pool.acquire().await.unwrap();
    let mut rows = sqlx::query("SELECT n FROM generate_series(1, 100) n").fetch(&mut lease);
    rows.try_next().await.unwrap();
    sleep(Duration::from_secs(8)).await;
    let mut left = 0;
    while rows.try_next().await.unwrap().is_some() {
        left += 1;
    }
    assert_eq!(left, 99);
}

#[tokio::test]
async fn a_value_that_cannot_be_encoded_costs_no_connection() {
    #[derive(Debug)]
    struct Bad;
    impl sqlx::Type<sqlx::Postgres> for Bad {
        fn type_info() -> sqlx::postgres::PgTypeInfo {
            <i32 as sqlx::Type<sqlx::Postgres>>::type_info()
        }
    }
    impl sqlx::Encode<'_, sqlx::Postgres> for Bad {
        fn encode_by_ref(
            &self,
            _: &mut sqlx::postgres::PgArgumentBuffer,
        ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
            Err("bad".into())
        }
    }
    let database = Database::start().await;
    let pool = open_pool(fixed(1), database.options());
    let mut lease = pool.acquire().await.unwrap();
    let error = sqlx::query("SELECT $1").bind(Bad).execute(&mut lease).await.unwrap_err();
    drop(lease);
    assert!(pool.statistics().closed.is_empty(), "{error:?} {:?}", pool.statistics().closed);
}

#[tokio::test]
async fn a_statement_with_too_many_arguments_says_nothing_of_other_sessions() {
    let database = Database::start().await;
    let pool = open_pool(fixed(2), database.options());
    pool.ready().await.unwrap();
    let mut lease = pool.acquire().await.unwrap();
    let numbers = sqlx::query("SELECT 1");
    let numbers = (0..=65_535).fold(numbers, |query, number: i32| query.bind(number));
    numbers.execute(&mut lease).await.unwrap_err();
    drop(lease);
    let mut lease = pool.acquire().await.unwrap();
    sqlx::query("SELECT 1").execute(&mut lease).await.unwrap();
    assert_eq!(pool.health(), (Health::Healthy, HealthReason::Ok));
    pool.shutdown().await;
}
