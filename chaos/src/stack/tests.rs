//! The promises of every provider, kept by real servers. What cannot run here is printed with its reason.

use std::path::Path;
use std::time::Duration;

use codebase_mcp::config::Environment;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::ContainerCreateBody;
use testcontainers::bollard::query_parameters::CreateContainerOptions;
use testcontainers::core::client::docker_client_instance;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::journal::{self, Journal};

/// Long for a query that nothing holds up, short for one that waits for ever.
const HELD: Duration = Duration::from_millis(700);
/// Long for all that should happen.
const SOON: Duration = Duration::from_secs(20);

/// A run of its own with a journal.
struct Run {
    folder: tempfile::TempDir,
    journal: Journal,
    name: String,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("test-{}", random::name());
        let journal = Journal::open(folder.path(), &name).unwrap();
        Self { folder, journal, name }
    }

    async fn start(&self, choice: Choice, wanted: &Wanted) -> Result<Postgres, StackError> {
        Postgres::start_new(choice, wanted, &self.name, &self.journal).await
    }

    fn open(&self) -> Vec<journal::Undo> {
        journal::find(self.folder.path()).unwrap().remove(0).open
    }
}

fn wanted() -> Wanted {
    let mut wanted = Wanted::new(&Environment::of_process().data_folder().unwrap());
    wanted.settings.insert("max_connections".to_owned(), "37".to_owned());
    wanted
}

/// Whether tests of a provider can run here; says so if not.
async fn usable(provider: Provider) -> bool {
    let found = probe(&wanted()).await.into_iter().find(|found| found.provider == provider);
    let found = found.unwrap();
    println!("{provider}: {}{}", if found.usable { "" } else { "SKIPPED, " }, found.detail);
    found.usable
}

async fn connect(postgres: &Postgres) -> PgConnection {
    timeout(SOON, PgConnection::connect_with(&postgres.options())).await.unwrap().unwrap()
}

async fn number(connection: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
}

/// What of a server exists outside of it: to be gone in the end.
enum Traces {
    Cluster { folder: std::path::PathBuf },
    Container { engine: Docker, id: String, volumes: Vec<String> },
}

impl Traces {
    async fn of(postgres: &Postgres, run: &Run) -> Self {
        match &run.open()[0] {
            journal::Undo::Place { folder } => {
                assert_eq!(postgres.provider(), Provider::Process);
                let traces = Self::Cluster { folder: folder.clone() };
                assert!(traces.left().await.len() > 1);
                traces
            }
            journal::Undo::Containers { run } => {
                assert_eq!(postgres.provider(), Provider::Container);
                let engine = docker_client_instance().await.unwrap();
                let id = container::labelled(&engine, run).await.unwrap().remove(0);
                let details = engine.inspect_container(&id, None).await.unwrap();
                let mounts = details.mounts.unwrap_or_default();
                let volumes: Vec<String> =
                    mounts.into_iter().filter_map(|mount| mount.name).collect();
                assert!(!volumes.is_empty());
                Self::Container { engine, id, volumes }
            }
            journal::Undo::Databases { url } => panic!("{url}"),
        }
    }

    async fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        match self {
            Self::Cluster { folder } => {
                let family = processes::Family::working_in(folder);
                left.extend(family.members().unwrap().iter().map(|found| format!("{found:?}")));
                if folder.exists() {
                    left.push(folder.display().to_string());
                }
            }
            Self::Container { engine, id, volumes } => {
                if engine.inspect_container(id, None).await.is_ok() {
                    left.push(id.clone());
                }
                for volume in volumes {
                    if engine.inspect_volume(volume).await.is_ok() {
                        left.push(volume.clone());
                    }
                }
            }
        }
        left
    }
}

/// The pieces of shared memory that were made by the server in `folder`.
fn shared_memory(folder: &Path) -> (String, usize) {
    let pid = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().to_owned();
    let count = pieces_of(&pid);
    (pid, count)
}

fn pieces_of(pid: &str) -> usize {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    table.lines().filter(|line| line.split_whitespace().nth(4) == Some(pid)).count()
}

/// Waits until nobody takes connections any more, which an engine's forwarder does for an instant.
async fn refused(postgres: &Postgres) {
    let deadline = Instant::now() + SOON;
    loop {
        match TcpStream::connect(postgres.address()).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn hang_and_crash(provider: Provider) {
    if !usable(provider).await {
        return;
    }
    let run = Run::new();
    let mut postgres = run.start(Choice::Only(provider), &wanted()).await.unwrap();
    let traces = Traces::of(&postgres, &run).await;
    assert_eq!(postgres.provider(), provider);
    println!(
        "{provider}: PostgreSQL {} at {}",
        postgres.version().await.unwrap(),
        postgres.address()
    );

    let mut connection = connect(&postgres).await;
    let setting = "SELECT current_setting('max_connections')::int8";
    assert_eq!(number(&mut connection, setting).await, 37);
    sqlx::raw_sql("CREATE EXTENSION vector; CREATE TABLE kept (v vector(2)); INSERT INTO kept VALUES ('[1,2]')")
        .execute(&mut connection)
        .await
        .unwrap();

    postgres.freeze().await.unwrap();
    assert_eq!(postgres.state(), State::Frozen);
    let mut query = Box::pin(number(&mut connection, "SELECT count(*) FROM kept"));
    assert!(timeout(HELD, &mut query).await.is_err(), "a frozen server answers");
    TcpStream::connect(postgres.address()).await.expect("the system still takes connections");
    let unfit = postgres.start().await.unwrap_err().to_string();
    assert!(unfit.contains("cannot start a PostgreSQL that is frozen"), "{unfit}");
    postgres.thaw().await.unwrap();
    assert_eq!(timeout(SOON, query).await.unwrap(), 1);

    for frozen in [false, true] {
        if frozen {
            postgres.freeze().await.unwrap();
        }
        postgres.kill().await.unwrap();
        assert_eq!(postgres.state(), State::Down);
        refused(&postgres).await;
        postgres.start().await.unwrap();
        let mut connection = connect(&postgres).await;
        assert_eq!(number(&mut connection, "SELECT count(*) FROM kept").await, 1);
    }
    let lost = timeout(SOON, connection.ping()).await.unwrap();
    assert!(lost.is_err(), "a connection has outlived its server");
    let log = postgres.log().await;
    assert!(log.contains("was not properly shut down"), "{log}");

    postgres.remove().await.unwrap();
    assert_eq!(traces.left().await, [""; 0]);
    assert_eq!(run.open(), []);
}

async fn gentle_stop(provider: Provider) {
    if !usable(provider).await {
        return;
    }
    let run = Run::new();
    let mut postgres = run.start(Choice::Only(provider), &wanted()).await.unwrap();
    let mut idle = connect(&postgres).await;
    // A frozen server hears of nothing, so it is let go on first.
    postgres.freeze().await.unwrap();
    postgres.stop().await.unwrap();
    postgres.stop().await.unwrap();
    assert_eq!(postgres.state(), State::Down);
    assert!(idle.ping().await.is_err());
    refused(&postgres).await;
    let unfit = postgres.freeze().await.unwrap_err().to_string();
    assert!(unfit.contains("cannot freeze a PostgreSQL that is down"), "{unfit}");

    postgres.start().await.unwrap();
    connect(&postgres).await.ping().await.unwrap();
    let log = postgres.log().await;
    assert!(log.contains("received fast shutdown request"), "{log}");
    assert!(!log.contains("was not properly shut down"), "{log}");

    let url = postgres.url_via(postgres.address());
    let mut by_url: PgConnection = PgConnection::connect(&url).await.unwrap();
    by_url.ping().await.unwrap();
    let traces = Traces::of(&postgres, &run).await;
    drop(postgres);
    assert_eq!(traces.left().await, [""; 0], "dropping it removes it");
}

/// A runner that is killed calls no destructor; what it has made is undone by its journal.
async fn undone_after_death(provider: Provider) {
    if !usable(provider).await {
        return;
    }
    for last in [None, Some(Action::Freeze), Some(Action::Kill), Some(Action::Stop)] {
        let run = Run::new();
        let mut postgres = run.start(Choice::Only(provider), &wanted()).await.unwrap();
        let traces = Traces::of(&postgres, &run).await;
        match last {
            Some(Action::Freeze) => postgres.freeze().await.unwrap(),
            Some(Action::Kill) => postgres.kill().await.unwrap(),
            Some(Action::Stop) => postgres.stop().await.unwrap(),
            Some(Action::Start | Action::Thaw) | None => {}
        }
        std::mem::forget(postgres);
        assert_ne!(traces.left().await, [""; 0]);
        let open = run.open();
        assert_eq!(open.len(), 1);
        undo(&open[0]).await.unwrap();
        assert_eq!(traces.left().await, [""; 0], "after {last:?}");
        if last.is_none() {
            // Twice, as `recover` may be killed too.
            undo(&open[0]).await.unwrap();
        }
    }
}

async fn refused_settings(provider: Provider) {
    if !usable(provider).await {
        return;
    }
    let run = Run::new();
    let mut wanted = wanted();
    wanted.settings.insert("max_connections".to_owned(), "many".to_owned());
    let error = run.start(Choice::Only(provider), &wanted).await.unwrap_err().to_string();
    assert!(error.contains("PostgreSQL ended while it started"), "{error}");
    assert!(error.contains("invalid value for parameter \"max_connections\""), "{error}");
    if provider == Provider::Container {
        let engine = docker_client_instance().await.unwrap();
        assert_eq!(container::labelled(&engine, &run.name).await.unwrap(), [""; 0]);
    } else {
        assert_eq!(run.open(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_hangs_crashes_and_comes_back() {
    hang_and_crash(Provider::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_hangs_crashes_and_comes_back() {
    hang_and_crash(Provider::Container).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_stops_gently_and_goes_with_its_owner() {
    gentle_stop(Provider::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_stops_gently_and_goes_with_its_owner() {
    gentle_stop(Provider::Container).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_undone_after_its_runner_died() {
    undone_after_death(Provider::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_undone_after_its_runner_died() {
    undone_after_death(Provider::Container).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_why_it_does_not_start() {
    refused_settings(Provider::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_says_why_it_does_not_start() {
    refused_settings(Provider::Container).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_no_shared_memory_in_the_system() {
    if !usable(Provider::Process).await {
        return;
    }
    let run = Run::new();
    let mut postgres = run.start(Choice::Only(Provider::Process), &wanted()).await.unwrap();
    let journal::Undo::Place { folder } = run.open().remove(0) else { panic!() };
    let (pid, count) = shared_memory(&folder);
    assert_eq!(count, 1);
    postgres.kill().await.unwrap();
    assert_eq!(pieces_of(&pid), 1, "it stays for the next start");
    postgres.remove().await.unwrap();
    assert_eq!(pieces_of(&pid), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_never_started_is_swept() {
    if !usable(Provider::Container).await {
        return;
    }
    let engine = docker_client_instance().await.unwrap();
    let (run, other) = (format!("test-{}", random::name()), format!("test-{}", random::name()));
    for run in [&run, &other] {
        let labels = [(container::LABEL.to_owned(), run.clone())].into();
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            labels: Some(labels),
            ..ContainerCreateBody::default()
        };
        engine.create_container(None::<CreateContainerOptions>, body).await.unwrap();
    }
    sweep(&run).await.unwrap();
    assert_eq!(container::labelled(&engine, &run).await.unwrap(), [""; 0]);
    assert_eq!(container::labelled(&engine, &other).await.unwrap().len(), 1);
    sweep(&other).await.unwrap();
    assert_eq!(container::labelled(&engine, &other).await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_somebody_else_is_used_and_left_alone() {
    if !usable(Provider::Process).await {
        return;
    }
    let run = Run::new();
    let owned = run.start(Choice::Only(Provider::Process), &wanted()).await.unwrap();
    let mut wanted = wanted();
    wanted.url = Some(owned.url_via(owned.address()).replace("127.0.0.1", "localhost"));
    let mut postgres = run.start(Choice::Auto, &wanted).await.unwrap();
    assert_eq!(postgres.provider(), Provider::Url);
    assert_eq!(postgres.address().port(), owned.address().port());
    assert_eq!(postgres.version().await.unwrap(), owned.version().await.unwrap());
    let error = postgres.freeze().await.unwrap_err();
    assert!(
        matches!(
            error,
            StackError::Unsupported { provider: Provider::Url, action: Action::Freeze, .. }
        ),
        "{error}"
    );
    assert_eq!(postgres.state(), State::Running);
    postgres.remove().await.unwrap();

    wanted.settings.insert("max_connections".to_owned(), "38".to_owned());
    let error = run.start(Choice::Auto, &wanted).await.unwrap_err().to_string();
    assert!(error.contains("has max_connections = 37 and the scenario wants 38"), "{error}");
    connect(&owned).await.ping().await.unwrap();
    owned.remove().await.unwrap();
}

#[tokio::test]
async fn a_url_that_cannot_serve_is_refused_without_its_password() {
    let cases = [
        ("nonsense", "the URL of the PostgreSQL is unusable"),
        ("postgres://u:secret@%2Frun%2Fpostgresql/db", "it names a Unix socket"),
        ("postgres://u%2Fv:secret@localhost/db", "needs escapes"),
    ];
    for (url, expected) in cases {
        let mut wanted = wanted();
        wanted.url = Some(url.to_owned());
        let run = Run::new();
        let error = run.start(Choice::Auto, &wanted).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let error = Run::new().start(Choice::Only(Provider::Url), &wanted()).await.unwrap_err();
    assert!(matches!(error, StackError::NoUrl), "{error}");
}

#[tokio::test]
async fn a_url_without_a_server_is_missing_and_told_without_its_password() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        (format!("127.0.0.1:{}", closed.port()), "Connection refused"),
        ("nowhere.invalid:7".to_owned(), "the host is unknown"),
    ];
    for (address, cause) in cases {
        let mut wanted = wanted();
        wanted.url = Some(format!("postgres://u:secret@{address}/db"));
        let error = Run::new().start(Choice::Auto, &wanted).await.unwrap_err();
        assert!(error.is_missing(), "{error}");
        let told = error.whole();
        for part in [&address, cause, "choose another provider"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(!told.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn settings_of_the_runner_are_not_the_scenarios() {
    for provider in Provider::ALL {
        let mut wanted = wanted();
        wanted.settings.insert("Port".to_owned(), "1".to_owned());
        let run = Run::new();
        let error = run.start(Choice::Only(provider), &wanted).await.unwrap_err().to_string();
        assert!(error.contains("the setting Port of PostgreSQL itself"), "{error}");
        assert_eq!(run.open(), []);
    }
}

/// A server that cannot come up again is down afterwards, and can be started when that is mended.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_leaves_the_server_down() {
    if !usable(Provider::Process).await {
        return;
    }
    let run = Run::new();
    let mut postgres = run.start(Choice::Only(Provider::Process), &wanted()).await.unwrap();
    let journal::Undo::Place { folder } = run.open().remove(0) else { panic!() };
    postgres.stop().await.unwrap();
    let (kept, away) = (folder.join("data/global"), folder.join("data/global.away"));
    std::fs::rename(&kept, &away).unwrap();
    let error = postgres.start().await.unwrap_err();
    assert!(matches!(error, StackError::Ended { .. }), "{error}");
    assert_eq!(postgres.state(), State::Down);
    std::fs::rename(&away, &kept).unwrap();
    postgres.start().await.unwrap();
    connect(&postgres).await.ping().await.unwrap();
    postgres.remove().await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let mut wanted = Wanted::new(Path::new("/nonexistent"));
    wanted.image = "codebase-mcp/absent:none".to_owned();
    wanted.installation.install_dir = Some("/nonexistent".into());
    let found = probe(&wanted).await;
    assert_eq!(found.iter().map(|found| found.provider).collect::<Vec<_>>(), Provider::ALL);
    assert!(found.iter().all(|found| !found.usable), "{found:?}");
    assert!(found[0].detail.contains("give one, or choose another provider"), "{found:?}");
    assert!(found[1].detail.contains("choose the provider `process`"), "{found:?}");
    assert!(found[2].detail.contains("has no bin/postgres"), "{found:?}");
}

#[test]
fn a_step_that_changes_nothing_is_no_error_and_one_without_sense_is() {
    use Action::{Freeze, Kill, Start, Stop, Thaw};
    let all = [Stop, Kill, Start, Freeze, Thaw];
    let table: [(State, [Option<&[Action]>; 5]); 3] = [
        (State::Running, [Some(&[Stop]), Some(&[Kill]), Some(&[]), Some(&[Freeze]), Some(&[])]),
        (State::Frozen, [Some(&[Thaw, Stop]), Some(&[Kill]), None, Some(&[]), Some(&[Thaw])]),
        (State::Down, [Some(&[]), Some(&[]), Some(&[Start]), None, None]),
    ];
    for (state, expected) in table {
        for (action, expected) in all.into_iter().zip(expected) {
            assert_eq!(steps(state, action).ok(), expected, "{action} when {state}");
        }
    }
}
