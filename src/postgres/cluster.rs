//! A share in the cluster.

use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::config::Config;
use super::error::ClusterError;
use super::keeper::{self, Keeper};
use super::layout::{Layout, PORT, SUPERUSER};
use super::lock::{Lock, Mode};
use super::postmaster::Postmaster;
use super::start;
use super::wait::Deadline;

/// A share in a running cluster. The cluster is not stopped while anyone has one; dropping the last
/// one lets the keeper stop it after `stop_after`.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    endpoint: Endpoint,
    _in_use: Lock,
}

/// Where the cluster takes connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The folder of the Unix socket; an absolute path.
    pub socket_dir: PathBuf,
    /// The port, which is part of the socket's name.
    pub port: u16,
    /// The role to log in as; no password is asked for.
    pub user: String,
}

impl Endpoint {
    /// How sqlx connects to `database` of this cluster. What the user's `PG…` variables say about TLS and
    /// the search path is meant for other servers.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .ssl_mode(PgSslMode::Disable)
            .options([("search_path", "public")])
            .socket(&self.socket_dir)
            .port(self.port)
            .username(&self.user)
            .database(database)
    }
}

impl Cluster {
    /// Takes a share in the cluster of `config.data_dir`, making and starting it when it does not
    /// run, and makes sure that a keeper runs.
    ///
    /// A server that has died meanwhile is started again by attaching once more, whoever has shares.
    /// Takes at most `config.start_timeout`, give or take a few seconds. Needs a runtime with I/O
    /// enabled.
    ///
    /// # Errors
    ///
    /// Each says what to do about it. Nothing that was in the data folder before is changed by a
    /// refusal.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the share and nothing else: a start that is under way goes on
    /// on its own thread, and its locks are held until it is done.
    pub async fn attach(config: &Config, keeper: &Keeper) -> Result<Self, ClusterError> {
        let (config, keeper) = (config.clone(), keeper.clone());
        tokio::task::spawn_blocking(move || Self::attach_blocking(&config, &keeper))
            .await
            .map_err(|source| ClusterError::Interrupted { source })?
    }

    /// Where the cluster takes connections.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Whether the server takes connections, as its own records say. Reads a few small files.
    pub fn is_up(&self) -> bool {
        matches!(Postmaster::look(&self.layout), Ok(Postmaster::Ready { .. }))
    }

    fn attach_blocking(config: &Config, keeper: &Keeper) -> Result<Self, ClusterError> {
        let deadline = Deadline::after(config.start_timeout);
        let layout = Layout::new(&config.data_dir)?;
        layout.claim()?;
        let in_use = Lock::wait(&layout.in_use_lock(), Mode::Shared, deadline)?;
        if !matches!(Postmaster::look(&layout)?, Postmaster::Ready { .. }) {
            let _starting = Lock::wait(&layout.start_lock(), Mode::Exclusive, deadline)?;
            start::bring_up(config, &layout, deadline)?;
        }
        keeper::ensure(&layout, keeper, deadline)?;
        let endpoint =
            Endpoint { socket_dir: layout.socket_dir(), port: PORT, user: SUPERUSER.to_owned() };
        Ok(Self { layout, endpoint, _in_use: in_use })
    }
}
