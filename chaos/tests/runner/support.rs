//! What the tests stand on: a project of their own, with its own folders for everything that the runner makes.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chaos::journal::{self, Undo};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use testcontainers::bollard::query_parameters::ListContainersOptionsBuilder;
use testcontainers::core::client::docker_client_instance;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// The binary.
const SCENARIOS: &str = env!("CARGO_BIN_EXE_scenarios");
/// How long something that must happen may take before it counts as not happening. Some runs share two cores.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A project with scenarios, and the folders of its runs.
pub(crate) struct Project {
    folder: TempDir,
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A process that works in a folder of a run.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) pid: u32,
    pub(crate) stopped: bool,
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["scenarios", "chaos/faults", "tmp"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        // PostgreSQL runs as another user when the tests run as root.
        for path in [folder.path().to_owned(), folder.path().join("tmp")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn with(scenarios: &[(&str, &str)]) -> Self {
        let project = Self::new();
        for (name, text) in scenarios {
            fs::write(project.path(&format!("scenarios/{name}.yaml")), text).unwrap();
        }
        project
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(SCENARIOS);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TMPDIR", self.path("tmp"))
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// A server program that never says a word.
    pub(crate) fn silent_server(&self) -> String {
        let file = self.path("silent");
        fs::write(&file, "#!/bin/sh\nexec /bin/sleep 600\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Runs a command to its end.
    pub(crate) async fn scenarios(&self, arguments: &[&str]) -> Ended {
        Self::ended(self.command(arguments).spawn().unwrap()).await
    }

    /// `scenarios run`, with its traces in the project.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.run_command(arguments).spawn().unwrap()
    }

    fn run_command(&self, arguments: &[&str]) -> Command {
        let traces = ["--out", "out", "--journals", "journals"];
        self.command(&[&["run"], arguments, &traces].concat())
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        Self::ended(self.start(arguments)).await
    }

    /// The same with more variables.
    pub(crate) async fn run_with(
        &self,
        arguments: &[&str],
        variables: &HashMap<&str, &str>,
    ) -> Ended {
        let command = self.run_command(arguments).envs(variables).spawn();
        Self::ended(command.unwrap()).await
    }

    pub(crate) async fn recover(&self) -> Ended {
        self.scenarios(&["recover", "--journals", "journals"]).await
    }

    pub(crate) async fn ended(command: Child) -> Ended {
        let output = timeout(PATIENCE, command.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        println!("exit {:?}\n{stdout}{stderr}", output.status.code());
        Ended { code: output.status.code(), stdout, stderr }
    }

    /// The folders of its runs, the oldest first.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        entries(&self.path("out"))
    }

    /// What is still to be undone.
    pub(crate) fn open(&self) -> Vec<Undo> {
        let found = journal::find(&self.path("journals")).unwrap();
        found.into_iter().flat_map(|journal| journal.open).collect()
    }

    /// The processes that work in folders of its runs whose names begin so.
    pub(crate) fn workers(&self, prefix: &str) -> Vec<Worker> {
        let places = self.path("tmp").canonicalize().unwrap();
        let worker = |pid: u32| {
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
            let place = cwd.strip_prefix(&places).ok()?.to_str()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let state = stat.rsplit_once(')')?.1.split_whitespace().next()?.to_owned();
            let works = place.starts_with(prefix) && state != "Z";
            works.then(|| Worker { pid, stopped: state == "T" })
        };
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(worker).collect()
    }

    /// Whether PostgreSQL is frozen, all of it.
    pub(crate) async fn is_frozen(&self) -> bool {
        match self.containers().await {
            found if !found.is_empty() => found.iter().all(|status| status.contains("Paused")),
            _ => {
                let workers = self.workers("cmcp-pg-");
                !workers.is_empty() && workers.iter().all(|worker| worker.stopped)
            }
        }
    }

    /// How the engine describes the containers that are in a journal.
    pub(crate) async fn containers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for undo in self.open() {
            if let Undo::Containers { run } = undo {
                found.extend(containers(&run).await);
            }
        }
        found
    }

    /// Where the server that runs now thinks that its database is, which is the fault proxy.
    pub(crate) fn proxy(&self) -> Option<SocketAddr> {
        let server = self.workers("cmcp-run-").pop()?;
        let variables = fs::read_to_string(format!("/proc/{}/environ", server.pid)).ok()?;
        let url = variables.split('\0').find_map(|pair| pair.strip_prefix("DATABASE_URL="))?;
        url.split_once('@')?.1.split('/').next()?.parse().ok()
    }

    /// What is left of all runs.
    pub(crate) fn left(&self) -> Vec<String> {
        let folders = [self.path("tmp"), self.path("journals")];
        let paths = folders.iter().flat_map(|folder| entries(folder));
        let workers = self.workers("cmcp-");
        paths
            .map(|path| path.display().to_string())
            .chain(workers.iter().map(|worker| format!("{worker:?}")))
            .collect()
    }
}

/// Undoes what a test that failed has left, so that it is in nobody's way.
impl Drop for Project {
    fn drop(&mut self) {
        if !self.path("journals").exists() || self.open().is_empty() {
            return;
        }
        let mut recover = std::process::Command::new(SCENARIOS);
        let recovered = recover.args(["recover", "--journals"]).arg(self.path("journals")).status();
        println!("recovered: {recovered:?}");
    }
}

/// How the engine describes the containers of a run.
pub(crate) async fn containers(run: &str) -> Vec<String> {
    let engine = docker_client_instance().await.unwrap();
    let label = format!("codebase-mcp.scenarios.run={run}");
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let found = engine.list_containers(Some(options)).await.unwrap();
    found.into_iter().map(|container| container.status.unwrap_or_default()).collect()
}

/// Whether there is an engine with the image; says so if not.
pub(crate) async fn has_engine(project: &Project) -> bool {
    let doctor = project.scenarios(&["doctor"]).await;
    let line = doctor.stdout.lines().find(|line| line.contains("PostgreSQL by container"));
    let line = line.unwrap();
    if line.starts_with("ok") {
        return true;
    }
    println!("SKIPPED: {line}");
    false
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        sleep(LOOK).await;
    }
}

pub(crate) async fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    match rustix::process::kill_process(pid, signal) {
        // It may have ended by itself.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => panic!("{pid:?}: {error}"),
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A second and a half with a pool.
pub(crate) const QUICK: &str = r"schema: resilience/v1
name: quick
summary: A pool answers
criteria: [SC-002]
tags: [fixture]
seed: 7
params: { size: 4 }
environment:
  pool: { config: { pool.max_size: '${size}' } }
phases: { warmup: 200ms, steady: 1s }
load:
  - { id: reads, op: pool.query, model: open, rate: 50/s, timeout: 5s, during: [steady] }
expect:
  always:
    - { metric: pool.excess, eq: 0 }
    - { metric: reads.ok, ge: 10 }
";

/// A server whose PostgreSQL is frozen for longer than any test.
pub(crate) const FROZEN: &str = r"schema: resilience/v1
name: frozen
summary: PostgreSQL is frozen for ever
environment: { server: {} }
phases: { warmup: 200ms, steady: 300ms, fault: auto, recovery: 1s }
load:
  - { id: health, op: health, model: open, rate: 10/s, timeout: 2s }
faults:
  - { id: freeze, for: 10m, kind: postgres.freeze }
expect:
  always: [{ metric: server.panics, eq: 0 }]
  sometimes: [{ event: pool.health.red }]
";

/// A server whose database refuses connections for longer than any test.
pub(crate) const REFUSED: &str = r"schema: resilience/v1
name: refused
summary: The database refuses connections for ever
environment: { server: {} }
phases: { warmup: 200ms, steady: 300ms, fault: auto, recovery: 1s }
load:
  - { id: health, op: health, model: open, rate: 10/s, timeout: 2s }
faults:
  - { id: outage, for: 10m, kind: proxy.refuse }
expect:
  always: [{ metric: server.panics, eq: 0 }]
  sometimes: [{ event: proxy.listener_closed }]
";
