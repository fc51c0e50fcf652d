//! Connections that are lost under a call, and calls that a shutdown finds under way.

use rustix::process::Signal;
use serde_json::json;
use sqlx::{Connection, PgConnection, Row};

use crate::support::{Home, Session, eventually};

/// A server that has indexed a repository, and trusts connections without looking at them.
fn indexed(home: &Home) -> Session {
    let repository = home.repository();
    let mut command = home.command();
    command
        .env("CODEBASE_MCP__POOL__VALIDATION__BYPASS_WINDOW", "1m")
        .env("CODEBASE_MCP__POOL__PROBE_INTERVAL", "1m")
        .env("CODEBASE_MCP__POOL__SHUTDOWN_TIMEOUT", "1s")
        .env("CODEBASE_MCP__POOL__COMMAND_TIMEOUT", "5m");
    let mut session = Session::start(&mut command);
    session.call("index_repository", json!({ "repo_path": repository }));
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_survives_the_end_of_all_sessions() {
    let home = Home::new();
    let cluster = home.attach().await;
    let mut session = indexed(&home);
    let question = json!({ "query": "fire timers in order" });
    let before = session.call("search_code", question.clone());

    let mut admin =
        PgConnection::connect_with(&cluster.endpoint().options("postgres")).await.unwrap();
    let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let ended: i64 = sqlx::query_scalar(terminate).fetch_one(&mut admin).await.unwrap();
    assert!(ended >= 2, "the registry's pool and the project's have one at least");

    let after = session.call("search_code", question);
    assert_eq!(after["results"], before["results"]);
    assert!(session.log().contains("search.retried"), "{}", session.log());
    assert_eq!(session.leave(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_ends_is_answered_when_the_server_is_asked_to_stop() {
    let home = Home::new();
    let cluster = home.attach().await;
    let mut session = indexed(&home);

    let registry = cluster.endpoint().options("codebase_mcp_registry");
    let mut registry = PgConnection::connect_with(&registry).await.unwrap();
    let row =
        sqlx::query("SELECT database_name FROM projects").fetch_one(&mut registry).await.unwrap();
    let project: String = row.get(0);
    let project = cluster.endpoint().options(&project);
    let mut lock = PgConnection::connect_with(&project).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE code_chunks").execute(&mut lock).await.unwrap();
    session.send(&json!({
        "jsonrpc": "2.0",
        "id": "endless",
        "method": "tools/call",
        "params": { "name": "search_code", "arguments": { "query": "fire timers in order" } },
    }));
    let mut watcher = PgConnection::connect_with(&project).await.unwrap();
    let mut waits = false;
    while !waits {
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        waits = sqlx::query_scalar(waiting).fetch_one(&mut watcher).await.unwrap();
    }

    session.signal(Signal::TERM);
    let answer = session.receive();
    assert_eq!(answer["id"], "endless");
    assert_eq!(answer["result"]["isError"], true, "{answer:#}");
    assert_eq!(answer["result"]["structuredContent"]["code"], "DATABASE_ERROR", "{answer:#}");
    assert!(eventually(|| session.has_ended()), "the server did not end");
    let left = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&mut watcher).await.unwrap();
    assert_eq!(left, 0, "the statement goes on in the database");
}
