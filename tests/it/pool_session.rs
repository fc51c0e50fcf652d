//! What one borrower leaves in a session, and what the next one finds.

use codebase_mcp::pool::PgPool;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Row};

use crate::support::{Act, Database, FakePostgres, When, fixed, one, open_pool, soon};

/// What is left behind, and a condition that holds in a session without it.
const RESETTABLE: &[(&str, &str)] = &[
    ("BEGIN", IN_NO_TRANSACTION),
    ("begin isolation level serializable", IN_NO_TRANSACTION),
    ("START TRANSACTION", IN_NO_TRANSACTION),
    ("SELECT 1; BEGIN; SELECT 2", IN_NO_TRANSACTION),
    ("BEGIN; SELECT 1 / 0", IN_NO_TRANSACTION),
    ("BEGIN; SAVEPOINT s; CREATE TABLE half (a int)", "to_regclass('half') IS NULL"),
    ("SET ROLE other", "current_user = session_user"),
    ("SET SESSION AUTHORIZATION other", "session_user <> 'other' AND current_user <> 'other'"),
    ("SET search_path TO pg_catalog", "current_setting('search_path') = 'public'"),
    ("SET work_mem = '64kB'", UNSET),
    ("\n\t set work_mem = '64kB'", UNSET),
    ("-- quietly\nSET work_mem = '64kB'", UNSET),
    ("/* a /* nested */ comment */ SET work_mem = '64kB'", UNSET),
    ("/* /* */ SELECT 1 */ SET work_mem = '64kB'", UNSET),
    ("SELECT 1; SET work_mem = '64kB'", UNSET),
    ("SELECT ';'; SET work_mem = '64kB'", UNSET),
    ("SELECT set_config('work_mem', '64kB', false)", UNSET),
    ("SELECT SET_CONFIG('work_mem', '64kB', false)", UNSET),
    ("SELECT pg_catalog . set_config('work_mem', '64kB', false)", UNSET),
    ("WITH s AS (SELECT set_config('work_mem', '64kB', false)) SELECT * FROM s", UNSET),
    ("EXPLAIN ANALYZE SELECT set_config('work_mem', '64kB', false)", UNSET),
    ("UPDATE pg_settings SET setting = '64' WHERE name = 'work_mem'", UNSET),
    ("DO $$ BEGIN SET work_mem = '64kB'; END $$", UNSET),
    ("CALL quiet()", UNSET),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", WRITABLE),
    ("CREATE TEMP TABLE leftover (a int)", NO_TEMPORARY_TABLE),
    ("CREATE TEMP VIEW leftover AS SELECT 1", NO_TEMPORARY_TABLE),
    ("SELECT 1 AS a INTO TEMP leftover", NO_TEMPORARY_TABLE),
    ("SELECT 1 AS a INTO TEMPORARY TABLE leftover", NO_TEMPORARY_TABLE),
    ("SELECT 1 AS a INTO pg_temp.leftover", NO_TEMPORARY_TABLE),
    ("WITH w AS (SELECT 1 AS a) SELECT a INTO TEMP leftover FROM w", NO_TEMPORARY_TABLE),
    ("LISTEN leftover", "(SELECT count(*) FROM pg_listening_channels()) = 0"),
    ("SELECT pg_advisory_lock(7)", UNLOCKED),
    ("SELECT pg_try_advisory_lock_shared(8)", UNLOCKED),
    ("SELECT \"pg_advisory_lock\"(9)", UNLOCKED),
    ("SELECT pg_advisory_lock(7) FROM generate_series(1, 3)", UNLOCKED),
    ("DECLARE leftover CURSOR WITH HOLD FOR SELECT 1", NO_CURSOR),
    ("BEGIN; DECLARE leftover CURSOR WITH HOLD FOR SELECT 1; COMMIT", NO_CURSOR),
];

const IN_NO_TRANSACTION: &str = "now() = statement_timestamp()";
const UNSET: &str = "current_setting('work_mem') <> '64kB'";
const WRITABLE: &str = "current_setting('transaction_read_only') = 'off'";
const NO_TEMPORARY_TABLE: &str = "to_regclass('leftover') IS NULL";
const NO_CURSOR: &str = "NOT EXISTS (SELECT FROM pg_cursors WHERE name = 'leftover')";
const UNLOCKED: &str = "NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')";

/// What no reset undoes without taking the driver's prepared statements with it.
const FATAL: &[(&str, &str)] = &[
    ("PREPARE leftover AS SELECT 1", NOT_PREPARED),
    ("SELECT 1; PREPARE leftover AS SELECT 1", NOT_PREPARED),
    ("/* /* */ SELECT 1 */ PREPARE leftover AS SELECT 1", NOT_PREPARED),
    ("DEALLOCATE ALL", "true"),
    ("DISCARD ALL", "true"),
    ("discard plans", "true"),
];

const NOT_PREPARED: &str =
    "NOT EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'leftover')";

const SET_UP: &str = "CREATE ROLE other;
    CREATE PROCEDURE quiet() LANGUAGE sql AS $$ SELECT set_config('work_mem', '64kB', false) $$";

/// Borrows, runs `left`, gives back. Gives the session's process id.
async fn leave(pool: &PgPool, left: &'static str) -> i32 {
    let mut lease = pool.acquire().await.unwrap();
    let pid = pid(pool, &mut lease).await;
    let outcome = sqlx::raw_sql(left).execute(&mut lease).await;
    assert_eq!(outcome.is_err(), left.contains("1 / 0"), "{left}: {outcome:?}");
    pid
}

/// Prepared, so that a session that lost its prepared statements is found out.
async fn pid(_: &PgPool, lease: &mut codebase_mcp::pool::PgLease) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(lease).await.unwrap()
}

async fn holds(lease: &mut codebase_mcp::pool::PgLease, condition: &str) -> bool {
    let sql = AssertSqlSafe(format!("SELECT {condition}"));
    sqlx::raw_sql(sql).fetch_one(lease).await.unwrap().get(0)
}

#[tokio::test]
async fn whatever_a_borrower_leaves_behind_is_gone_for_the_next() {
    let mut database = Database::start().await;
    database.run(SET_UP).await;
    let pool = open_pool(fixed(1), database.options());
    let mut found = Vec::new();
    for (left, condition) in RESETTABLE.iter().chain(FATAL) {
        let before = leave(&pool, left).await;
        let mut lease = pool.acquire().await.unwrap();
        if !holds(&mut lease, condition).await {
            found.push(*left);
            // So that it disturbs no other case.
            lease.untracked();
            continue;
        }
        // The driver's prepared statements are there, or the session is new.
        let after = pid(&pool, &mut lease).await;
        assert_eq!(one(&mut lease).await.unwrap(), 1, "{left}: {before} {after}");
    }
    assert!(found.is_empty(), "the next borrower finds what is left by: {found:#?}");
    pool.shutdown().await;
}

/// Opening a session costs the server a process. What can be undone does not cost one.
#[tokio::test]
async fn a_touched_session_is_reset_and_used_again() {
    let mut database = Database::start().await;
    database.run(SET_UP).await;
    let pool = open_pool(fixed(1), database.options());
    for (left, _) in RESETTABLE {
        let before = leave(&pool, left).await;
        let mut lease = pool.acquire().await.unwrap();
        assert_eq!(pid(&pool, &mut lease).await, before, "{left}: closed");
    }
    assert_eq!(pool.statistics().opened, 1);
    pool.shutdown().await;
}

/// A reset that forgets what the pool itself has set would make every later statement another's problem.
#[tokio::test]
async fn a_reset_session_keeps_what_the_pool_has_set() {
    let database = Database::start().await;
    let pool = open_pool(fixed(1), database.options());
    let settings = "concat_ws(' ', current_setting('application_name'),
        current_setting('statement_timeout'), current_setting('search_path'),
        current_setting('client_connection_check_interval'),
        current_setting('idle_in_transaction_session_timeout'), current_setting('TimeZone'),
        current_setting('DateStyle'), current_setting('client_encoding'),
        current_setting('extra_float_digits'))";
    let read = async || -> String {
        let mut lease = pool.acquire().await.unwrap();
        let sql = AssertSqlSafe(format!("SELECT {settings}"));
        sqlx::raw_sql(sql).fetch_one(&mut lease).await.unwrap().get(0)
    };
    let fresh = read().await;
    assert!(fresh.contains("500ms"), "{fresh}");
    leave(
        &pool,
        "SET application_name = 'x'; SET statement_timeout = 1000; SET search_path = pg_catalog;
         SET client_connection_check_interval = 0; SET idle_in_transaction_session_timeout = 0;
         SET TimeZone = 'Europe/Berlin'; SET DateStyle = 'German'; SET extra_float_digits = 0",
    )
    .await;
    assert_eq!(read().await, fresh);
    assert_eq!(pool.statistics().opened, 1);
    pool.shutdown().await;
}

/// Plain statements, which are nearly all, cost no reset.
#[tokio::test]
async fn an_untouched_session_is_not_reset() {
    let server = FakePostgres::start().await;
    let pool = open_pool(fixed(1), server.options());
    let plain = [
        "SELECT 1",
        "select 1;",
        "  -- with a comment\n SELECT 1",
        "INSERT INTO settings VALUES ('SET work_mem')",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "WITH w AS (SELECT 1) SELECT * FROM w",
        "VALUES (1)",
        "TABLE t",
        "SHOW work_mem",
        "EXPLAIN SELECT 1",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    ];
    for sql in plain {
        sqlx::raw_sql(sql).execute(&mut pool.acquire().await.unwrap()).await.unwrap();
    }
    let received = server.received(0);
    assert!(!received.iter().any(|sql| sql.contains("RESET ALL")), "{received:#?}");

    sqlx::raw_sql("SET a = 1").execute(&mut pool.acquire().await.unwrap()).await.unwrap();
    one(&mut pool.acquire().await.unwrap()).await.unwrap();
    let received = server.received(0);
    let at = |text: &str| received.iter().rposition(|sql| sql.contains(text));
    assert!(at("SET a = 1") < at("RESET ALL"), "{received:#?}");
    assert!(at("RESET ALL") < at("SELECT 1"), "{received:#?}");
    assert_eq!(server.ever(), 1);
    pool.shutdown().await;
}

#[tokio::test]
async fn a_session_whose_reset_fails_is_closed() {
    for act in [Act::Fail("42501"), Act::End("57P01"), Act::Reset, Act::Garbage] {
        let server = FakePostgres::start().await;
        server.next([(When::Statement("RESET ALL"), act)]);
        let pool = open_pool(fixed(1), server.options());
        sqlx::raw_sql("SET a = 1").execute(&mut pool.acquire().await.unwrap()).await.unwrap();
        one(&mut pool.acquire().await.unwrap()).await.unwrap();
        soon("the session is closed", || !server.is_open(0)).await;
        assert!(!server.received(0).iter().any(|sql| sql == "SELECT 1"), "{act:?}");
        // The server may have seen one more, which ended the first.
        assert_eq!(pool.statistics().opened, 2, "{act:?}");
        pool.shutdown().await;
    }
}

#[tokio::test]
async fn a_prepared_statement_that_no_longer_fits_the_schema_fails_once() {
    let mut database = Database::start().await;
    database.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await;
    let pool = open_pool(fixed(1), database.options());
    let read = async || -> Result<(), sqlx::Error> {
        let mut lease = pool.acquire().await.unwrap();
        sqlx::query("SELECT * FROM t").fetch_one(&mut lease).await.map(drop)
    };
    for change in [
        "ALTER TABLE t ALTER COLUMN a TYPE bigint",
        "ALTER TABLE t ADD COLUMN b text",
        "ALTER TABLE t DROP COLUMN b",
    ] {
        read().await.unwrap();
        database.run(change).await;
        let error = read().await.unwrap_err();
        let state = error.as_database_error().and_then(DatabaseError::code).map(String::from);
        assert_eq!(state.as_deref(), Some("0A000"), "{error}");
        for _ in 0..5 {
            read().await.unwrap();
        }
    }
    pool.shutdown().await;
}

/// Within a transaction, where the first failure is followed by others with another SQLSTATE.
#[tokio::test]
async fn a_stale_plan_inside_a_transaction_fails_once_too() {
    let mut database = Database::start().await;
    database.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await;
    let pool = open_pool(fixed(1), database.options());
    let read = async || -> Result<(), sqlx::Error> {
        let mut tx = pool.acquire().await.unwrap().begin().await?;
        let first = sqlx::query("SELECT * FROM t").fetch_one(&mut *tx).await.map(drop);
        let second = sqlx::query("SELECT * FROM t").fetch_one(&mut *tx).await.map(drop);
        drop(tx.commit().await);
        first.and(second)
    };
    read().await.unwrap();
    database.run("ALTER TABLE t ALTER COLUMN a TYPE bigint").await;
    read().await.unwrap_err();
    for _ in 0..5 {
        read().await.unwrap();
    }
    pool.shutdown().await;
}

/// 26000 (behind a proxy that hands the session to another backend) and 0A000, on a statement that the
/// driver has prepared before.
#[tokio::test]
async fn a_session_that_lost_its_prepared_statements_is_closed() {
    for state in ["26000", "0A000"] {
        let server = FakePostgres::start().await;
        server.next([(When::Statement("SELECT 1"), Act::Fail(state))]);
        let pool = open_pool(fixed(1), server.options());
        one(&mut pool.acquire().await.unwrap()).await.unwrap_err();
        for _ in 0..5 {
            one(&mut pool.acquire().await.unwrap()).await.unwrap();
        }
        soon("it is closed", || !server.is_open(0)).await;
        assert_eq!(server.ever(), 2, "{state}");
        pool.shutdown().await;
    }
}

/// A statement that fails for reasons of its own says nothing about the session.
#[tokio::test]
async fn an_error_of_a_statement_does_not_cost_its_session() {
    for state in ["23505", "40001", "40P01", "42P01", "57014", "22012", "53100"] {
        let server = FakePostgres::start().await;
        server.next([(When::Statement("SELECT 1"), Act::Fail(state))]);
        let pool = open_pool(fixed(1), server.options());
        for _ in 0..3 {
            one(&mut pool.acquire().await.unwrap()).await.unwrap_err();
        }
        assert_eq!((server.ever(), server.open()), (1, 1), "{state}");
        pool.shutdown().await;
    }
}
