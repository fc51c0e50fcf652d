//! The embedded cluster, with a real PostgreSQL and real processes.
//!
//! The tests need what `ci/setup` installs. Run by root, they take the path of another user, as
//! PostgreSQL does not run as root.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use codebase_mcp::postgres::{Cluster, ClusterError, Config, InstallError, Keeper};
use rustix::process::{Pid, Signal};
use tokio::time::Instant;

/// Says to a child of a test which folder to attach to.
const ATTACH_TO: &str = "CODEBASE_MCP_TEST_ATTACH_TO";
/// Is printed by such a child once it has attached.
const ATTACHED: &str = "attached to ";
/// The name of a cluster's folder. No shell may see it on the way to the server.
const NAME: &str = "it's $1 \"c\",";
/// How long a state may take to come about.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder for a cluster, and the end of everything that runs in it.
struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    /// A short path, as sockets need one, that other users may enter.
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("cm").rand_bytes(6).tempdir_in("/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(NAME).join(name)
    }

    fn config(&self) -> Config {
        config(&self.dir.path().join(NAME))
    }

    async fn attach(&self) -> Result<Cluster, ClusterError> {
        attach(&self.config()).await
    }

    /// The error of attaching, with its text.
    async fn refusal(&self) -> (ClusterError, String) {
        let error = self.attach().await.unwrap_err();
        let text = error.to_string();
        (error, text)
    }

    fn postmaster(&self) -> Option<Pid> {
        pid_in(&self.path("pgdata/postmaster.pid"))
    }

    fn keeper(&self) -> Option<Pid> {
        pid_in(&self.path("keeper.lock")).filter(|&pid| is_alive(pid))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for pid in [self.keeper(), self.postmaster()].into_iter().flatten() {
            end(pid, Signal::KILL);
        }
        // Its children notice that it is gone.
        eventually("PostgreSQL's children are gone", || lives_in(&self.path("pgdata")).is_empty());
    }
}

/// Another process that has a share in a cluster until it is killed, or until this goes.
struct User {
    process: Child,
}

impl User {
    fn start(data_dir: &Path) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "postgres::processes_that_race_make_one_cluster", "--nocapture"])
            .env(ATTACH_TO, data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process }
    }

    fn wait_until_attached(&mut self) {
        let output = BufReader::new(self.process.stdout.take().unwrap());
        let attached = output.lines().any(|line| line.unwrap().starts_with(ATTACHED));
        assert!(attached, "the other process could not attach");
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("cannot end a process: {error}");
        }
    }
}

/// The settings under test, for a cluster in `data_dir`.
fn config(data_dir: &Path) -> Config {
    Config::new(install_default(), data_dir.to_owned())
}

/// Where `ci/setup` has put PostgreSQL.
fn install_default() -> PathBuf {
    let paths = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/paths.sh");
    let output =
        Command::new("bash").args(["-c", "source \"$0\" && data_folder"]).arg(paths).output();
    let folder = String::from_utf8(output.unwrap().stdout).unwrap();
    Path::new(folder.trim_end()).join("postgresql")
}

/// A keeper that stops its cluster `stop_after` its last use.
fn keeper(config: &Config) -> Keeper {
    let stop_after = config.stop_after.as_millis().to_string();
    Keeper {
        program: PathBuf::from(env!("CARGO_BIN_EXE_codebase-mcp")),
        args: vec![
            "keep-cluster".into(),
            "--data-dir".into(),
            config.data_dir.clone().into(),
            "--stop-after".into(),
            stop_after.into(),
        ],
    }
}

async fn attach(config: &Config) -> Result<Cluster, ClusterError> {
    Cluster::attach(config, &keeper(config)).await
}

/// Logs in and returns the answer to one query, as bytes of the protocol.
fn query(cluster: &Cluster, sql: &str) -> String {
    let endpoint = cluster.endpoint();
    let socket = endpoint.socket_dir.join(format!(".s.PGSQL.{}", endpoint.port));
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let startup = format!("user\0{}\0database\0postgres\0\0", endpoint.user);
    let length = u32::try_from(startup.len() + 8).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    stream.write_all(&196_608_u32.to_be_bytes()).unwrap();
    stream.write_all(startup.as_bytes()).unwrap();
    for (kind, body) in [(b'Q', format!("{sql}\0")), (b'X', String::new())] {
        stream.write_all(&[kind]).unwrap();
        stream.write_all(&u32::try_from(body.len() + 4).unwrap().to_be_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn pid_in(path: &Path) -> Option<Pid> {
    Pid::from_raw(fs::read_to_string(path).ok()?.lines().next()?.trim().parse().ok()?)
}

fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Ends a process, which may be gone already, and waits until it is.
fn end(pid: Pid, signal: Signal) {
    if rustix::process::kill_process(pid, signal).is_ok() {
        eventually("the process is gone", || !is_alive(pid));
    }
}

/// The processes whose current folder is `folder`.
fn lives_in(folder: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder))
        .collect()
}

/// How many keepers run for the cluster in `data_dir`.
fn keepers_of(data_dir: &Path) -> usize {
    let argument = data_dir.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .filter(|line| line.contains("keep-cluster") && line.contains(argument))
        .count()
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?}, and not yet: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn is_made_once_shared_and_stopped_when_unused() {
    let folder = Folder::new();
    let mut config = folder.config();
    config.stop_after = Duration::ZERO;

    let first = attach(&config).await.unwrap();
    let postmaster = folder.postmaster().unwrap();
    let answer = query(&first, "CREATE EXTENSION vector; SELECT '[1,2]'::vector <-> '[1,4]' AS d");
    assert!(answer.contains("CREATE EXTENSION"), "{answer}");
    let answer = query(
        &first,
        "SELECT concat_ws(' ', current_setting('server_encoding'), current_setting('fsync'),
            current_setting('data_checksums'), current_setting('listen_addresses') = '',
            (SELECT datcollate FROM pg_database WHERE datname = 'template1'))",
    );
    assert!(answer.contains("UTF8 on on t C.UTF-8"), "{answer}");

    let second = attach(&config).await.unwrap();
    assert_eq!(second.endpoint(), first.endpoint());
    assert_eq!(folder.postmaster(), Some(postmaster));

    let keeper = folder.keeper().unwrap();
    drop(first);
    // Two looks of the keeper, at one a second.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert!(is_alive(postmaster), "stopped under a user");
    assert!(query(&second, "SELECT 'still ' || 'there'").contains("still there"));

    drop(second);
    eventually("PostgreSQL is stopped", || folder.postmaster().is_none());
    eventually("the keeper is gone", || !is_alive(keeper));
}

#[tokio::test]
async fn is_closed_to_other_users() {
    let folder = Folder::new();
    let _cluster = folder.attach().await.unwrap();

    let owner = fs::metadata(folder.path("pgdata")).unwrap().uid();
    assert_ne!(owner, 0);
    for name in ["pgdata", "socket", "log"] {
        let metadata = fs::metadata(folder.path(name)).unwrap();
        assert_eq!((name, metadata.uid()), (name, owner));
        assert_eq!((name, metadata.mode() & 0o777), (name, 0o700));
    }
    let environment = folder.postmaster().map(|pid| format!("/proc/{pid}/environ")).unwrap();
    let environment = String::from_utf8(fs::read(environment).unwrap()).unwrap();
    assert!(!environment.contains("CARGO"), "{environment}");
}

#[tokio::test]
async fn goes_on_when_its_keeper_is_killed() {
    let folder = Folder::new();
    let first = folder.attach().await.unwrap();
    let (postmaster, keeper) = (folder.postmaster().unwrap(), folder.keeper().unwrap());
    end(keeper, Signal::KILL);
    assert!(query(&first, "SELECT 'still ' || 'there'").contains("still there"));

    let mut config = folder.config();
    config.stop_after = Duration::from_secs(1);
    let second = attach(&config).await.unwrap();
    assert_eq!(folder.postmaster(), Some(postmaster));
    // It is a process of its own, which signs when it gets to run.
    let another = || folder.keeper().is_some_and(|found| found != keeper);
    eventually("another keeper has signed", another);
    drop((first, second));
    eventually("the second keeper stops PostgreSQL", || folder.postmaster().is_none());
}

#[tokio::test]
async fn is_healed_after_its_server_is_killed() {
    let folder = Folder::new();
    let first = folder.attach().await.unwrap();
    query(&first, "CREATE TABLE kept AS SELECT 'what was ' || 'written' AS text");
    let postmaster = folder.postmaster().unwrap();
    end(postmaster, Signal::KILL);

    let second = folder.attach().await.unwrap();
    assert_ne!(folder.postmaster().unwrap(), postmaster);
    assert!(query(&second, "SELECT text FROM kept").contains("what was written"));
    assert!(query(&first, "SELECT text FROM kept").contains("what was written"));
    assert!(folder.keeper().is_some());
}

#[tokio::test]
async fn starts_although_another_process_has_the_old_id() {
    let folder = Folder::new();
    let first = folder.attach().await.unwrap();
    let pid_file = folder.path("pgdata/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let owner = fs::metadata(&pid_file).unwrap();
    end(folder.postmaster().unwrap(), Signal::KILL);
    eventually("PostgreSQL's children are gone", || lives_in(&folder.path("pgdata")).is_empty());

    // PostgreSQL minds only processes of its own user.
    let mut other = Command::new("sleep");
    std::os::unix::process::CommandExt::uid(&mut other, owner.uid());
    let mut other = other.arg("60").current_dir("/").spawn().unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(&pid_file, format!("{}\n{rest}", other.id())).unwrap();
    fs::write(folder.path("socket/.s.PGSQL.5432.lock"), format!("{}\n", other.id())).unwrap();

    let second = folder.attach().await;
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(query(&second.unwrap(), "SELECT 'started ' || 'again'").contains("started again"));
    drop(first);
}

#[tokio::test]
async fn ends_with_the_last_process_however_that_ends() {
    let folder = Folder::new();
    let mut config = folder.config();
    config.stop_after = Duration::ZERO;
    let cluster = attach(&config).await.unwrap();
    let mut user = User::start(&config.data_dir);
    user.wait_until_attached();
    drop(cluster);
    // Two looks of the keeper, at one a second.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert!(folder.postmaster().is_some(), "stopped under a user");

    user.process.kill().unwrap();
    eventually("PostgreSQL is stopped", || folder.postmaster().is_none());
}

/// Also the body of the processes that [`User`] starts.
#[tokio::test]
async fn processes_that_race_make_one_cluster() {
    #[expect(clippy::disallowed_methods, reason = "tells a child of this test that it is one")]
    if let Some(data_dir) = std::env::var_os(ATTACH_TO) {
        let cluster = attach(&config(Path::new(&data_dir))).await.unwrap();
        println!("\n{ATTACHED}{}", cluster.endpoint().socket_dir.display());
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let folder = Folder::new();
    let config = folder.config();
    let mut users: Vec<User> = (0..4).map(|_| User::start(&config.data_dir)).collect();
    let here = (0..4).map(|_| attach(&config));
    let clusters = futures_util::future::try_join_all(here).await.unwrap();
    for user in &mut users {
        user.wait_until_attached();
    }
    assert_eq!(clusters.len(), 4);
    assert!(query(&clusters[0], "SELECT 'one ' || 'cluster'").contains("one cluster"));

    let starts = fs::read_to_string(folder.path("start.log")).unwrap();
    assert_eq!(starts.matches("creating configuration files").count(), 1, "{starts}");
    assert_eq!(starts.matches("server started").count(), 1, "{starts}");
    assert_eq!(keepers_of(&config.data_dir), 1);
    let unfinished = fs::read_dir(folder.path("")).unwrap().flatten();
    let names: Vec<_> = unfinished.map(|entry| entry.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("new")), "{names:?}");
}

#[tokio::test]
async fn garbage_of_an_interrupted_start_is_removed() {
    let folder = Folder::new();
    fs::create_dir(folder.path("")).unwrap();
    // A process that is killed inside `initdb` has marked the folder and begun the cluster.
    fs::write(folder.path("postgresql.conf"), "# The PostgreSQL cluster of codebase-mcp.\n")
        .unwrap();
    fs::create_dir_all(folder.path("pgdata.new-4711/base/1")).unwrap();
    fs::write(folder.path("pgdata.new-4711/PG_VERSION"), "18\n").unwrap();

    let cluster = folder.attach().await.unwrap();
    assert!(query(&cluster, "SELECT 'fresh ' || 'start'").contains("fresh start"));
    assert!(!folder.path("pgdata.new-4711").exists());
}

#[tokio::test]
async fn a_dropped_attach_carries_the_start_through() {
    let folder = Folder::new();
    let config = folder.config();
    let impatient = tokio::time::timeout(Duration::from_millis(50), attach(&config)).await;
    assert!(impatient.is_err());
    let cluster = attach(&config).await.unwrap();
    assert!(query(&cluster, "SELECT 'carried ' || 'through'").contains("carried through"));
    let starts = fs::read_to_string(folder.path("start.log")).unwrap();
    assert_eq!(starts.matches("creating configuration files").count(), 1, "{starts}");
}

#[tokio::test]
async fn a_start_that_fails_shows_the_log_and_mends() {
    let folder = Folder::new();
    let cluster = folder.attach().await.unwrap();
    let postmaster = folder.postmaster().unwrap();
    end(folder.keeper().unwrap(), Signal::KILL);
    end(postmaster, Signal::INT);
    drop(cluster);

    let control = folder.path("pgdata/global/pg_control");
    let moved = folder.path("pgdata/global/pg_control.moved");
    fs::rename(&control, &moved).unwrap();
    let (error, text) = folder.refusal().await;
    assert!(matches!(error, ClusterError::Start { .. }), "{text}");
    assert!(text.contains("could not find the database system"), "{text}");

    fs::rename(moved, control).unwrap();
    folder.attach().await.unwrap();
}

#[tokio::test]
async fn refuses_another_major_version_by_both_versions() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("pgdata")).unwrap();
    fs::write(folder.path("postgresql.conf"), "# The PostgreSQL cluster of codebase-mcp.\n")
        .unwrap();
    fs::write(folder.path("pgdata/PG_VERSION"), "12\n").unwrap();
    if is_root() {
        let (error, text) = folder.refusal().await;
        assert!(matches!(error, ClusterError::ForeignOwner { owner: 0, us: 0, .. }), "{text}");
        std::os::unix::fs::chown(folder.path("pgdata"), Some(65534), Some(65534)).unwrap();
    }

    let (error, text) = folder.refusal().await;
    assert!(matches!(error, ClusterError::WrongVersion { .. }), "{text}");
    assert!(text.contains("was made by PostgreSQL 12"), "{text}");
    assert!(text.contains("is PostgreSQL 18"), "{text}");
}

#[tokio::test]
async fn refuses_what_it_did_not_make() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("pgdata")).unwrap();
    fs::write(folder.path("pgdata/PG_VERSION"), "18\n").unwrap();
    let (error, text) = folder.refusal().await;
    assert!(matches!(error, ClusterError::ForeignFiles { .. }), "{text}");
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 1, "files were added");
}

#[tokio::test]
async fn names_what_is_missing() {
    let folder = Folder::new();
    let mut config = folder.config();
    config.install_dir = Some(folder.path("none"));
    let error = attach(&config).await.unwrap_err();
    assert!(matches!(error, ClusterError::Install(InstallError::Incomplete { .. })), "{error}");

    config = folder.config();
    let keeper = Keeper { program: folder.path("none"), args: Vec::new() };
    let error = Cluster::attach(&config, &keeper).await.unwrap_err();
    assert!(matches!(error, ClusterError::KeeperProgram { .. }), "{error}");
    let keeper = Keeper { program: PathBuf::from("/bin/ls"), args: vec!["/no such file".into()] };
    let error = Cluster::attach(&config, &keeper).await.unwrap_err();
    assert!(matches!(error, ClusterError::Keeper { .. }), "{error}");
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[tokio::test]
async fn the_other_user_of_root_must_exist_and_reach_the_folder() {
    let folder = Folder::new();
    fs::create_dir(folder.path("")).unwrap();
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o700)).unwrap();
    let mut config = folder.config();
    config.run_as = Some("no-such-user".to_owned());
    let attached = attach(&config).await;
    if !is_root() {
        // Whoever is not root needs nobody else.
        attached.unwrap();
        return;
    }
    let error = attached.unwrap_err();
    assert!(matches!(error, ClusterError::NoAccount { .. }), "{error}");
    assert!(error.to_string().contains("no user no-such-user"), "{error}");

    config.run_as = Some("nobody".to_owned());
    let error = attach(&config).await.unwrap_err();
    let ClusterError::Closed { folder: closed, setting, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((closed.join(""), *setting), (folder.path(""), "database.data_dir"));

    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    attach(&config).await.unwrap();
    assert_eq!(fs::metadata(folder.path("pgdata")).unwrap().uid(), 65534);
}

#[tokio::test]
async fn names_the_length_of_a_path_that_is_too_long() {
    let folder = Folder::new();
    let error = attach(&config(&folder.path(&"long".repeat(30)))).await.unwrap_err();
    assert!(matches!(error, ClusterError::SocketPathTooLong { .. }), "{error}");
    assert!(!folder.path("").exists());
}
