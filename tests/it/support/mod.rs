//! What the tests stand on: a home of their own with a PostgreSQL of its own, and a client for it.

mod backend;
mod clock;
mod fake_postgres;
mod log;
mod pool;
mod session;
mod wire;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use codebase_mcp::config::Environment;
use codebase_mcp::postgres::{self, Cluster, Keeper};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) use clock::{Clock, soon};
pub(crate) use fake_postgres::{Act, FakePostgres, PROBE, When};
pub(crate) use log::Log;
pub(crate) use pool::{Database, Load, fixed, one, open_pool};
pub(crate) use session::Session;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_codebase-mcp");

/// How long something that must happen may take before it counts as not happening.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A fresh home folder: no configuration, no index, and its own embedded cluster, which stops as soon as
/// nobody uses it. Removed at the end.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        // PostgreSQL runs as another user when the tests run as root, so the folder must be open. The
        // name is short, because a Unix socket's path is limited.
        let dir = tempfile::Builder::new().prefix("cbm").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    /// A path in the home folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A small repository with two languages.
    pub(crate) fn repository(&self) -> PathBuf {
        self.write("repo/src/timer.rs", TIMER);
        self.write("repo/src/http.py", HTTP);
        self.write("repo/README.md", "# Example\n\nTwo small programs in one folder.\n");
        self.path("repo")
    }

    /// The program with this home and nothing else of the environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("XDG_DATA_HOME", self.path("data"))
            .env("CODEBASE_MCP__DATABASE__INSTALL_DIR", installation())
            .env("CODEBASE_MCP__DATABASE__STOP_AFTER", "0s")
            .current_dir(self.dir.path());
        command
    }

    /// Takes a share in this home's cluster.
    pub(crate) async fn attach(&self) -> Cluster {
        let mut config = postgres::Config::new(installation(), self.cluster());
        config.stop_after = Duration::ZERO;
        let args = ["keep-cluster", "--stop-after", "0", "--data-dir"].map(OsString::from);
        let args = args.into_iter().chain([self.cluster().into()]).collect();
        let keeper = Keeper { program: PROGRAM.into(), args };
        Cluster::attach(&config, &keeper).await.unwrap()
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        Run::of(self.command().args(arguments))
    }

    /// The folder of the embedded cluster.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.path("data/codebase-mcp/cluster")
    }

    /// The process id of the cluster's PostgreSQL, while there is one.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        let file = fs::read_to_string(self.cluster().join("pgdata/postmaster.pid")).ok()?;
        let pid = file.lines().next()?.parse().ok()?;
        Path::new(&format!("/proc/{pid}")).exists().then_some(pid)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let stopped = eventually(|| self.postmaster().is_none());
        assert!(stopped || std::thread::panicking(), "the cluster did not stop");
    }
}

/// The PostgreSQL that `ci/setup` installs.
fn installation() -> PathBuf {
    let data = Environment::of_process().data_folder().expect("a data folder");
    let installation = data.join("postgresql");
    assert!(installation.exists(), "PostgreSQL is missing; run `ci/setup`");
    installation
}

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        Self {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    /// The output of a run that must have succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// The JSON that a run that must have succeeded has printed.
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The message of a run that must have failed, without a panic.
    pub(crate) fn err(self) -> String {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert!(self.stdout.is_empty(), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self.stderr
    }
}

/// Whether `condition` holds within [`PATIENCE`].
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        pause();
    }
    condition()
}

#[expect(clippy::disallowed_methods, reason = "the tests that poll have no runtime to block")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

const TIMER: &str = r"//! Timers.

/// A hierarchical wheel of timers that fire in order of their deadline.
pub struct Wheel {
    elapsed: u64,
}

impl Wheel {
    /// Advances the wheel to `now` and fires every timer whose deadline has passed.
    pub fn advance(&mut self, now: u64) -> Vec<u64> {
        self.elapsed = now;
        Vec::new()
    }
}
";

const HTTP: &str = r#""""A tiny HTTP client."""

import socket


def fetch(host, path):
    """Send a GET request over a socket and return the body of the response."""
    with socket.create_connection((host, 80)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return connection.makefile().read().partition("\r\n\r\n")[2]
"#;
