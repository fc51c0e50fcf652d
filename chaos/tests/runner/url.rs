//! A PostgreSQL that somebody else runs: nothing of a run stays on it, and nobody else's is touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use chaos::journal::Journal;
use chaos::stack::{Choice, Postgres, Provider, Wanted};
use codebase_mcp::config::Environment;
use rustix::process::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::support::{Project, REFUSED, send, until};

/// A server that answers for a second.
const ANSWERS: &str = r"schema: resilience/v1
name: answers
summary: A server answers
environment: { server: {} }
phases: { warmup: 200ms, steady: 1s }
load:
  - { id: health, op: health, model: open, rate: 10/s, timeout: 2s }
expect:
  always: [{ metric: server.panics, eq: 0 }]
";

/// All sessions of a pool are ended.
const TERMINATED: &str = r"schema: resilience/v1
name: terminated
summary: All sessions of a pool are ended
environment: { pool: { config: { pool.min_size: '2' } } }
phases: { warmup: 200ms, steady: 500ms, fault: auto, recovery: 1s }
load:
  - { id: reads, op: pool.query, model: open, rate: 50/s, timeout: 5s }
faults:
  - { id: cut, kind: postgres.terminate }
expect:
  always: [{ metric: pool.excess, eq: 0 }]
  sometimes: [{ event: postgres.session_terminated }]
";

/// The PostgreSQL of somebody else.
struct Theirs {
    postgres: Postgres,
    /// The journal's folder.
    _folder: TempDir,
}

impl Theirs {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let journal = Journal::open(folder.path(), "theirs").unwrap();
        let wanted = Wanted::new(&Environment::of_process().data_folder().unwrap());
        let process = Choice::Only(Provider::Process);
        let postgres = Postgres::start_new(process, &wanted, "theirs", &journal).await.unwrap();
        Self { postgres, _folder: folder }
    }

    fn url(&self) -> String {
        self.postgres.url_via(self.postgres.address())
    }

    async fn connect(
        &self,
        change: impl FnOnce(PgConnectOptions) -> PgConnectOptions,
    ) -> PgConnection {
        PgConnection::connect_with(&change(self.postgres.options())).await.unwrap()
    }

    /// The databases of codebase-mcp.
    async fn databases(&self) -> Vec<String> {
        let question = "SELECT datname::text FROM pg_database \
             WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1";
        let mut connection = self.connect(|options| options).await;
        sqlx::query_scalar(question).fetch_all(&mut connection).await.unwrap()
    }

    /// Waits until a server has made the last of its databases, after which it indexes.
    async fn are_made(&self) {
        until("the databases are made", async || self.databases().await.len() == 2).await;
    }
}

#[tokio::test]
async fn an_interrupt_while_it_sets_up_leaves_no_database() {
    let (theirs, project) = (Theirs::start().await, Project::with(&[("refused", REFUSED)]));
    let runner = project.start(&["refused", "--provider", "url", "--url", &theirs.url()]);
    until("a database is made", async || !theirs.databases().await.is_empty()).await;
    send(runner.id().unwrap(), Signal::INT);
    let ended = Project::ended(runner).await;
    assert_eq!(ended.code, Some(130));
    assert!(ended.stderr.contains("interrupted; everything was undone"), "{}", ended.stderr);
    assert_eq!(theirs.databases().await, [""; 0]);
    assert_eq!(project.left(), [""; 0]);
}

/// What cannot be dropped is told, stays in the journal, and is dropped when that is possible again.
#[tokio::test]
async fn the_databases_of_a_killed_runner_are_dropped_when_they_can_be() {
    let (mut theirs, project) = (Theirs::start().await, Project::with(&[("refused", REFUSED)]));
    let mut runner = project.start(&["refused", "--provider", "url", "--url", &theirs.url()]);
    theirs.are_made().await;
    runner.kill().await.unwrap();
    for entry in fs::read_dir(project.path("journals")).unwrap() {
        // The URL in it has a password.
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    theirs.postgres.stop().await.unwrap();
    let recovered = project.recover().await;
    assert_eq!(recovered.code, Some(1));
    assert!(recovered.stdout.contains("1 undone, 1 failed"), "{}", recovered.stdout);
    assert!(recovered.stderr.contains("were not dropped"), "{}", recovered.stderr);
    assert_eq!(project.open().len(), 2);

    theirs.postgres.start().await.unwrap();
    assert_eq!(theirs.databases().await.len(), 2);
    let recovered = project.recover().await;
    assert_eq!(recovered.code, Some(0));
    assert!(
        recovered.stdout.contains("undone the databases of codebase-mcp"),
        "{}",
        recovered.stdout
    );
    assert_eq!(theirs.databases().await, [""; 0]);
    assert_eq!(project.left(), [""; 0]);
}

#[tokio::test]
async fn what_a_server_has_made_is_dropped_at_the_end_or_kept_for_a_look() {
    let (theirs, project) = (Theirs::start().await, Project::with(&[("answers", ANSWERS)]));
    let url = theirs.url();
    let arguments = ["answers", "--provider", "url", "--url", &url];
    // One after the other, of which none takes the one before it for a run that goes on.
    let ended = project.run(&[&arguments[..], &["--repeat", "3"]].concat()).await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("3 passed"), "{}", ended.stdout);
    assert_eq!(theirs.databases().await, [""; 0]);
    assert_eq!(project.left(), [""; 0]);

    let kept = project.run(&[&arguments[..], &["--keep"]].concat()).await;
    assert_eq!(kept.code, Some(0));
    assert_eq!(theirs.databases().await.len(), 2);
    let again = project.run(&arguments).await;
    assert_eq!(again.code, Some(5));
    assert!(again.stdout.contains("has a database cb_proj_"), "{}", again.stdout);
    assert_eq!(project.recover().await.code, Some(0));
    assert_eq!(theirs.databases().await, [""; 0]);
    assert_eq!(project.left(), [""; 0]);
}

#[tokio::test]
async fn what_a_runner_cannot_drop_is_told() {
    let (mut theirs, project) = (Theirs::start().await, Project::with(&[("refused", REFUSED)]));
    let runner = project.start(&["refused", "--provider", "url", "--url", &theirs.url()]);
    theirs.are_made().await;
    theirs.postgres.stop().await.unwrap();
    // Without its database it may have ended by then, which comes to the same.
    send(runner.id().unwrap(), Signal::INT);
    let ended = Project::ended(runner).await;
    assert_eq!(ended.code, Some(70));
    assert!(ended.stdout.contains("not everything could be undone"), "{}", ended.stdout);
    assert!(ended.stdout.contains("were not dropped"), "{}", ended.stdout);
    theirs.postgres.start().await.unwrap();
    assert_eq!(project.recover().await.code, Some(0));
    assert_eq!(theirs.databases().await, [""; 0]);
    assert_eq!(project.left(), [""; 0]);
}

#[tokio::test]
async fn two_servers_on_one_postgresql_exclude_each_other() {
    let scenarios = [("refused", REFUSED), ("answers", ANSWERS)];
    let (theirs, project) = (Theirs::start().await, Project::with(&scenarios));
    let first = project.start(&["refused", "--provider", "url", "--url", &theirs.url()]);
    theirs.are_made().await;
    // The same server by another of its databases.
    let url = theirs.url().replace("/postgres?", "/template1?");
    assert_ne!(url, theirs.url());
    let second = project.run(&["answers", "--provider", "url", "--url", &url]).await;
    assert_eq!(second.code, Some(5));
    assert!(second.stdout.contains("another run uses the databases"), "{}", second.stdout);
    assert_eq!(theirs.databases().await.len(), 2);
    send(first.id().unwrap(), Signal::INT);
    assert_eq!(Project::ended(first).await.code, Some(130));
    assert_eq!(theirs.databases().await, [""; 0]);
}

#[tokio::test]
async fn sessions_of_others_outlive_the_sessions_of_a_pool() {
    let (theirs, project) = (Theirs::start().await, Project::with(&[("terminated", TERMINATED)]));
    let mut maker = theirs.connect(|options| options).await;
    sqlx::raw_sql("CREATE DATABASE codebase_mcp_registry").execute(&mut maker).await.unwrap();
    let mut server = theirs.connect(|options| options.database("codebase_mcp_registry")).await;
    let mut pool = theirs.connect(|options| options.application_name("scenario other-7")).await;
    let ended = project.run(&["terminated", "--provider", "url", "--url", &theirs.url()]).await;
    assert_eq!(ended.code, Some(0));
    server.ping().await.unwrap();
    pool.ping().await.unwrap();
    assert_eq!(theirs.databases().await, ["codebase_mcp_registry"]);
}
