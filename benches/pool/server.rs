//! A PostgreSQL of the benchmark's own, and how everybody connects to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use codebase_mcp::config::Environment;
use codebase_mcp::pool::Postgres;
use codebase_mcp::postgres::{Cluster, ClusterError, Config, Keeper};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::peers::{Source, Work};

/// The limit of a statement, which all sessions have, because the server pays for keeping it.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the server may take to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A cluster in a temporary folder, reached through its Unix socket.
pub(crate) struct Server {
    cluster: Option<Cluster>,
    dir: TempDir,
}

impl Server {
    pub(crate) fn start(runtime: &Runtime) -> Result<Self, ClusterError> {
        // PostgreSQL runs as another user when root runs this, so the folder must be open. The name is
        // short, because a Unix socket's path is limited.
        let dir = tempfile::Builder::new().prefix("cbm").tempdir().expect("a temporary folder");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.path(), open).expect("the folder is ours");
        let data = Environment::of_process().data_folder().expect("a data folder");
        let installation = data.join("postgresql");
        let mut config = Config::new(installation, dir.path().join("cluster"));
        config.stop_after = Duration::ZERO;
        let args = ["keep-cluster", "--stop-after", "0", "--data-dir"].map(Into::into);
        let args = args.into_iter().chain([config.data_dir.clone().into()]).collect();
        let keeper = Keeper { program: env!("CARGO_BIN_EXE_codebase-mcp").into(), args };
        let cluster = runtime.block_on(Cluster::attach(&config, &keeper))?;
        Ok(Self { cluster: Some(cluster), dir })
    }

    /// How to connect, with the settings that [`Postgres`] gives its sessions.
    pub(crate) fn options(&self) -> PgConnectOptions {
        let limit = COMMAND_TIMEOUT.as_millis().to_string();
        self.plain().application_name("bench").options([
            ("statement_timeout", limit.as_str()),
            ("idle_in_transaction_session_timeout", limit.as_str()),
            ("client_connection_check_interval", "500ms"),
        ])
    }

    fn plain(&self) -> PgConnectOptions {
        let cluster = self.cluster.as_ref().expect("the cluster is there until the end");
        cluster.endpoint().options("postgres")
    }

    /// How our pool connects.
    pub(crate) fn connector(&self) -> Postgres {
        Postgres::new(self.plain(), "bench", COMMAND_TIMEOUT)
    }

    /// How the others connect.
    pub(crate) fn session(&self) -> Session {
        Session(self.options())
    }

    /// What the server calls itself.
    pub(crate) async fn version(&self) -> Result<String, sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.plain()).await?;
        let version = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(version)
    }

    fn postmaster(&self) -> PathBuf {
        self.dir.path().join("cluster/pgdata/postmaster.pid")
    }
}

/// Gives up the share in the cluster and waits until it has stopped.
impl Drop for Server {
    fn drop(&mut self) {
        drop(self.cluster.take());
        let deadline = Instant::now() + PATIENCE;
        while self.postmaster().exists() && Instant::now() < deadline {
            pause();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "at the end no runtime is left to block")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// Opens the driver's connections with the settings that our pool gives them.
#[derive(Debug, Clone)]
pub(crate) struct Session(PgConnectOptions);

impl Source for Session {
    type Connection = PgConnection;

    async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.0).await
    }
}

impl Work for PgConnection {
    async fn work(&mut self) {
        sqlx::query("SELECT 1").execute(self).await.expect("the server answers");
    }
}
