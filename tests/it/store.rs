//! What is in the database: external servers, schemas from elsewhere, and vectors of another model.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{Home, Run};

const PROJECT: &str = "cb_proj_default_00000000";

/// Runs a statement in a database of the home's cluster.
async fn execute(home: &Home, database: &str, sql: &str) {
    let cluster = home.attach().await;
    let options = cluster.endpoint().options(database);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn an_external_database_needs_only_its_url() {
    let home = Home::new();
    let repository = home.repository();
    let cluster = home.attach().await;
    let socket = cluster.endpoint().socket_dir;
    let url = format!("postgres://postgres@localhost/postgres?host={}", socket.display());
    let run = |arguments: &[&str]| {
        let mut command = home.command();
        command.env("DATABASE_URL", &url).env("XDG_DATA_HOME", home.path("elsewhere"));
        Run::of(command.args(arguments))
    };
    run(&["index", repository.to_str().unwrap()]).ok();
    let found = run(&["search", "--json", "timers in a wheel"]).json();
    assert_eq!(found["results"][0]["file_path"], "src/timer.rs", "{found:#}");
    assert!(run(&["doctor"]).ok().contains("external"));
    assert!(!home.path("elsewhere").exists(), "nothing embedded was made");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let home = Home::new();
    home.run(["search", "read a file"]).ok();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'from the future', true, '', 0)";
    execute(&home, PROJECT, newer).await;
    let error = home.run(["search", "read a file"]).err();
    for expected in [PROJECT, "9999", "newer codebase-mcp"] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    execute(&home, PROJECT, "DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    home.run(["search", "read a file"]).ok();
}

#[tokio::test]
async fn vectors_of_another_model_are_never_compared_and_made_anew() {
    let home = Home::new();
    let repository = home.repository();
    home.run(["index", repository.to_str().unwrap()]).ok();
    execute(&home, PROJECT, "UPDATE embedding_models SET version = 'older'").await;
    let error = home.run(["search", "timers in a wheel"]).err();
    for expected in ["another embedding model", "older", "index the repositories again"] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let again = home.run(["index", "--json", repository.to_str().unwrap()]).json();
    assert_eq!(again["job"]["files_unchanged"], 3, "no file is written again: {again:#}");
    let found = home.run(["search", "--json", "timers in a wheel"]).json();
    assert_eq!(found["results"][0]["file_path"], "src/timer.rs", "{found:#}");
}

#[tokio::test]
async fn a_job_whose_process_died_is_closed_by_the_next_start() {
    let home = Home::new();
    let repository = home.repository();
    home.run(["index", repository.to_str().unwrap()]).ok();
    let orphan =
        "INSERT INTO indexing_jobs (project_id, repo_path, status, started_at, heartbeat_at)
                  SELECT project_id, repo_path, 'running', now(), now() - interval '31 s'
                  FROM indexing_jobs LIMIT 1";
    execute(&home, "codebase_mcp_registry", orphan).await;
    let again = home.run(["index", "--json", repository.to_str().unwrap()]).json();
    assert_eq!(again["job"]["status"], "completed", "the dead job does not block: {again:#}");
}
