//! What the tests stand on: a home with a PostgreSQL of its own, and loads of one second.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos::load::mcp::{Program, Server};
use chaos::load::{self, Target};
use chaos::record::{Epoch, LoadRecord, Phase};
use chaos::schema::{Arrivals, Load, Model, Op};
use codebase_mcp::config::Environment;
use codebase_mcp::postgres::{self, Cluster, Keeper};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long something that must happen may take before it counts as not happening.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The binary that is the server as well.
pub(crate) const SCENARIOS: &str = env!("CARGO_BIN_EXE_scenarios");

/// A fresh folder for a server and its database. Removed at the end.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        // PostgreSQL runs as another user when the tests run as root, so the folder must be open. The name is
        // short, because a Unix socket's path is limited.
        let dir = tempfile::Builder::new().prefix("cbl").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A small repository.
    pub(crate) fn repository(&self) -> PathBuf {
        fs::create_dir_all(self.path("repo")).unwrap();
        fs::write(self.path("repo/timer.rs"), TIMER).unwrap();
        fs::write(self.path("repo/README.md"), "# Example\n\nA wheel of timers.\n").unwrap();
        self.path("repo")
    }

    /// The server with this home, an embedded database, and these variables.
    pub(crate) fn program(&self, more: &[(&str, &str)]) -> Program {
        let mut env: BTreeMap<String, OsString> = BTreeMap::from([
            ("HOME".to_owned(), self.dir.path().into()),
            ("XDG_DATA_HOME".to_owned(), self.path("data").into()),
            ("CODEBASE_MCP__DATABASE__INSTALL_DIR".to_owned(), installation().into()),
            ("CODEBASE_MCP__DATABASE__STOP_AFTER".to_owned(), "0s".into()),
            ("CODEBASE_MCP__TELEMETRY__FORMAT".to_owned(), "json".into()),
        ]);
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.into())));
        Program::server(Path::new(SCENARIOS), env, self.dir.path())
    }

    /// Starts the server and makes the handshake.
    pub(crate) async fn start(&self, more: &[(&str, &str)]) -> Server {
        let server = Server::spawn(&self.program(more), Epoch::now()).unwrap();
        let info = server.initialize().await.unwrap();
        assert_eq!(info["serverInfo"]["name"], "codebase-mcp", "{info}");
        server
    }

    /// Takes a share in a cluster of this home.
    pub(crate) async fn attach(&self) -> Cluster {
        let mut config = postgres::Config::new(installation(), self.cluster());
        config.stop_after = Duration::ZERO;
        let args = ["keep-cluster", "--stop-after", "0", "--data-dir"].map(OsString::from);
        let args = args.into_iter().chain([self.cluster().into()]).collect();
        Cluster::attach(&config, &Keeper { program: SCENARIOS.into(), args }).await.unwrap()
    }

    fn cluster(&self) -> PathBuf {
        self.path("data/codebase-mcp/cluster")
    }
}

impl Drop for Home {
    #[expect(clippy::disallowed_methods, reason = "a drop has no runtime to wait with")]
    fn drop(&mut self) {
        let pid = self.cluster().join("pgdata/postmaster.pid");
        for _ in 0..300 {
            if !pid.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(std::thread::panicking(), "the cluster did not stop");
    }
}

/// The PostgreSQL that `ci/setup` installs.
fn installation() -> PathBuf {
    let data = Environment::of_process().data_folder().expect("a data folder");
    let installation = data.join("postgresql");
    assert!(installation.exists(), "PostgreSQL is missing; run `ci/setup`");
    installation
}

/// A load of the steady phase.
pub(crate) fn load(op: Op, model: Model) -> Load {
    let during = vec![Phase::Steady];
    Load { id: op.as_str().to_owned(), op, model, timeout: Duration::from_secs(10), during }
}

pub(crate) fn at_rate(rate: f64) -> Model {
    Model::Open { rate, arrivals: Arrivals::Poisson, max_in_flight: 200 }
}

pub(crate) fn times(workers: usize, count: u64) -> Model {
    Model::Closed { workers, think: Duration::ZERO, count: Some(count) }
}

/// Carries out a load in a steady phase of a second, or until it has made all its requests.
pub(crate) async fn carry_out(load: &Load, target: &Target, epoch: Epoch) -> LoadRecord {
    let (_phases, phase) = watch::channel(Phase::Steady);
    let stop = CancellationToken::new();
    let (_ready, ready) = watch::channel(true);
    let tally = load::Tally::default();
    let course = load::Course { epoch, seed: 7, phases: phase, ready, tally, stop: stop.clone() };
    let running = load::run(load, target, course);
    let counted = matches!(load.model, Model::Closed { count: Some(_), .. });
    let stopping = async {
        sleep(if counted { PATIENCE } else { Duration::from_secs(1) }).await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        record = running => record,
        () = stopping => unreachable!("it waits for ever"),
    }
}

/// How the requests ended that did not end well.
pub(crate) fn failures(record: &LoadRecord) -> Vec<&chaos::record::Outcome> {
    record.samples.iter().map(|one| &one.outcome).filter(|outcome| !outcome.is_ok()).collect()
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
