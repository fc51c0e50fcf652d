//! Builds the parts, hands them to each other, and stops them in reverse order.

use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rmcp::ServiceExt;
use rmcp::transport::IntoTransport;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Database};
use crate::control::{self, Listener};
use crate::embed::{LoadError, StaticModel};
use crate::index::{self, Force, IndexError, Indexer, Root};
use crate::jobs::{Failure, Handler, JobError, Jobs, Request, Run};
use crate::mcp::{Client, Readiness, Server, Services};
use crate::pool::public_statement_error;
use crate::postgres::{Cluster, ClusterError, Keeper};
use crate::project::{ProjectError, Projects};

/// How long the server waits after a failed start before it tries again.
const RETRY_START: Duration = Duration::from_secs(5);

/// How often the server looks whether its embedded PostgreSQL is still there.
const WATCH_CLUSTER: Duration = Duration::from_secs(2);

/// How long running jobs may take to their next step. One whose connection has gone silent does not come to it before
/// its pool is closed.
const JOBS_END: Duration = Duration::from_secs(5);

/// How long the session may take to end once everything else has ended: more than the two seconds in which rmcp sends
/// what is ready. A client that reads nothing would keep it for ever.
const SESSION_END: Duration = Duration::from_secs(4);

/// The running parts of one process.
#[derive(Debug)]
pub struct App {
    services: Services,
    /// The share in the embedded cluster; given back last.
    cluster: Option<Cluster>,
}

/// Why the parts could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The embedded PostgreSQL did not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The URL of the external database cannot be used.
    #[error("database.url cannot be used: {0}")]
    Url(#[source] sqlx::Error),
    /// The built-in model did not load.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// The registry could not be opened.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The job queue could not be opened.
    #[error(transparent)]
    Jobs(#[from] JobError),
}

impl BuildError {
    /// The text for clients, who are not to learn where the database is and who connects to it.
    fn public(&self) -> String {
        match self {
            Self::Project(error) => error.public(),
            Self::Jobs(error) => error.public(),
            Self::Cluster(_) | Self::Url(_) | Self::Model(_) => explained(self),
        }
    }
}

/// An error with its causes, as far as its own text does not tell them already.
pub fn explained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

impl App {
    /// Builds everything: database, registry, jobs. All that can fail at a start fails here.
    ///
    /// # Cancel safety
    /// A dropped future closes its connections and gives the share in the cluster back. Databases that it
    /// made stay and are found next time.
    pub async fn build(config: &Config, keeper: &Keeper) -> Result<Self, BuildError> {
        let model = Arc::new(StaticModel::builtin()?);
        let (options, cluster) = connect_options(&config.database, keeper).await?;
        let projects = Arc::new(Projects::connect(options, config.pool.clone()).await?);
        let handler =
            index_handler(Arc::clone(&projects), Arc::clone(&model), config.index.clone());
        let jobs = Jobs::start(projects.registry().clone(), config.jobs.clone(), handler).await?;
        Ok(Self { services: Services { projects, jobs, model }, cluster })
    }

    /// The parts that requests work with.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Starts the embedded PostgreSQL again when it has died under us. Never returns.
    async fn keep_cluster_up(&self, database: &Database, keeper: &Keeper) {
        let (Database::Embedded(config), Some(cluster)) = (database, &self.cluster) else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(WATCH_CLUSTER).await;
            if cluster.is_up() {
                continue;
            }
            // Attaching starts a cluster that does not run; the share that we hold already is enough.
            match Cluster::attach(config, keeper).await {
                Ok(_share) => {
                    tracing::warn!("started the embedded PostgreSQL again");
                    self.services.projects.reconnect_now();
                }
                Err(error) => {
                    tracing::error!(error = explained(&error), "the embedded PostgreSQL is down");
                }
            }
        }
    }

    /// Keeps the pools at what `config` says. Never returns.
    async fn follow(&self, config: &mut watch::Receiver<Config>) {
        loop {
            let pool = config.borrow_and_update().pool.clone();
            if let Err(error) = self.services.projects.reconfigure(&pool) {
                tracing::error!(
                    event = "pool.reconfigure_failed",
                    error = %error,
                    "the pools stay as they are"
                );
            }
            if config.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Stops the jobs at their next step, closes the pools, and gives the cluster back. After a dropped
    /// future the same happens without anybody waiting for it.
    pub async fn shutdown(self) {
        if timeout(JOBS_END, self.services.jobs.shutdown()).await.is_err() {
            tracing::warn!(
                event = "jobs.unfinished",
                "jobs did not stop in time; submit them again"
            );
        }
        self.services.projects.shutdown().await;
    }
}

/// Serves one MCP session over `transport` until the client leaves or `stop` is cancelled, and answers at
/// `control` all the while. The session is answered at once; the parts are built meanwhile, and again until
/// that succeeds. What can change live follows `config`. To end it early cancel `stop`: a dropped future
/// leaves its tasks running.
pub async fn serve<T, E, A>(
    config: watch::Receiver<Config>,
    keeper: Keeper,
    control: Option<Listener>,
    transport: T,
    stop: CancellationToken,
) -> Result<(), rmcp::service::ServerInitializeError>
where
    T: IntoTransport<rmcp::RoleServer, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let started_at = Utc::now();
    let (state, readiness) = watch::channel(Readiness::Starting);
    let server = Server::new(readiness.clone(), config.borrow().server.startup_wait);
    let client = server.client();
    let session = session(config, keeper, server, state, transport, stop);
    let Some(control) = control else {
        return session.await;
    };
    tokio::select! {
        outcome = session => outcome,
        never = control.serve(move || status(started_at, &client, &readiness)) => match never {},
    }
}

/// What the control socket says.
fn status(
    started_at: DateTime<Utc>,
    client: &OnceLock<Client>,
    readiness: &watch::Receiver<Readiness>,
) -> control::Status {
    let (state, error, pools) = match &*readiness.borrow() {
        Readiness::Starting => (control::State::Starting, None, Vec::new()),
        Readiness::Failed { error, .. } => {
            (control::State::Failed, Some(error.to_string()), Vec::new())
        }
        Readiness::Ready(services) => (control::State::Ready, None, services.projects.statistics()),
    };
    let client = client.get().map(|Client { name, version }| control::Client {
        name: name.clone(),
        version: version.clone(),
    });
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION").to_owned());
    control::Status { pid, version, started_at, client, state, error, pools }
}

async fn session<T, E, A>(
    config: watch::Receiver<Config>,
    keeper: Keeper,
    server: Server,
    state: watch::Sender<Readiness>,
    transport: T,
    stop: CancellationToken,
) -> Result<(), rmcp::service::ServerInitializeError>
where
    T: IntoTransport<rmcp::RoleServer, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let tasks = TaskTracker::new();
    let building = tasks.spawn(build_until_done(config, keeper, state, stop.clone()));
    let session = tokio::select! {
        session = server.serve(transport) => session,
        () = stop.cancelled() => {
            drop(building.await);
            return Ok(());
        }
    };
    let outcome = match session {
        Ok(running) => {
            let ending = running.cancellation_token();
            let mut waiting = std::pin::pin!(running.waiting());
            tokio::select! {
                _ = &mut waiting => {
                    stop.cancel();
                    shut_down(building).await;
                }
                () = stop.cancelled() => {
                    // The session goes on meanwhile: what is under way is answered, and what is new is
                    // refused.
                    shut_down(building).await;
                    ending.cancel();
                    // The session's own end has nothing to add to ours.
                    if timeout(SESSION_END, waiting).await.is_err() {
                        tracing::warn!(event = "session.unread", "the client reads nothing; answers are lost");
                    }
                }
            }
            return Ok(());
        }
        // A client that leaves without a word has not failed.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(error),
    };
    stop.cancel();
    shut_down(building).await;
    outcome
}

/// Stops the parts, if they were built.
async fn shut_down(building: JoinHandle<Option<App>>) {
    if let Ok(Some(app)) = building.await {
        app.shutdown().await;
    }
}

/// Builds the parts, trying again until it succeeds or `stop` is cancelled.
async fn build_until_done(
    mut config: watch::Receiver<Config>,
    keeper: Keeper,
    state: watch::Sender<Readiness>,
    stop: CancellationToken,
) -> Option<App> {
    loop {
        let current = config.borrow().clone();
        let built = tokio::select! {
            built = App::build(&current, &keeper) => built,
            () = stop.cancelled() => return None,
        };
        match built {
            Ok(app) => {
                tracing::info!("ready");
                // `state` lives on, so that sessions never see it closed while they run.
                state.send_replace(Readiness::Ready(app.services().clone()));
                tokio::select! {
                    () = app.keep_cluster_up(&current.database, &keeper) => {}
                    () = app.follow(&mut config) => {}
                    () = stop.cancelled() => {}
                }
                return Some(app);
            }
            Err(error) => {
                tracing::error!(
                    error = explained(&error),
                    retry_after_ms = RETRY_START.as_millis(),
                    "could not start"
                );
                let error = Arc::from(error.public());
                state.send_replace(Readiness::Failed { error, retry_after: RETRY_START });
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_START) => {}
            () = stop.cancelled() => return None,
        }
    }
}

/// How to reach the server, and the share in it when it is ours.
async fn connect_options(
    database: &Database,
    keeper: &Keeper,
) -> Result<(PgConnectOptions, Option<Cluster>), BuildError> {
    match database {
        Database::External { url } => {
            let options = PgConnectOptions::from_str(url.expose()).map_err(BuildError::Url)?;
            Ok((options, None))
        }
        Database::Embedded(config) => {
            let cluster = Cluster::attach(config, keeper).await?;
            let options = cluster.endpoint().options("postgres");
            Ok((options, Some(cluster)))
        }
    }
}

/// What an indexing job does.
fn index_handler(
    projects: Arc<Projects>,
    model: Arc<StaticModel>,
    config: index::Config,
) -> Handler {
    Arc::new(move |request: Request, run: Run| {
        let (projects, config) = (Arc::clone(&projects), config.clone());
        let model = Arc::clone(&model);
        Box::pin(async move {
            // Looked at again, because the folder may have changed since the job was accepted.
            let root = Root::resolve(request.repo_path.as_ref()).map_err(|error| Failure {
                code: "REPOSITORY_UNREADABLE",
                message: error.to_string(),
            })?;
            let project = projects.by_id(request.project_id).await.map_err(|error| {
                tracing::warn!(error = %error, "a job cannot open its project");
                Failure { code: "DATABASE_ERROR", message: error.public() }
            })?;
            let force = if request.force_reindex { Force::Everything } else { Force::Changed };
            let indexer = Indexer { pool: project.pool, model, config, stop: run.stop };
            let report = |progress: index::Progress| {
                run.progress.send_replace(job_progress(progress));
            };
            let indexed = indexer.run(root, force, report).await;
            indexed.map(drop).map_err(|error| index_failure(&error))
        })
    })
}

fn job_progress(progress: index::Progress) -> crate::jobs::Progress {
    let index::Progress { phase, scanned, indexed, unchanged, skipped, failed, chunks } = progress;
    let phase = phase.as_str();
    crate::jobs::Progress { phase, scanned, indexed, unchanged, skipped, failed, chunks }
}

fn index_failure(error: &IndexError) -> Failure {
    let (code, message) = match error {
        IndexError::Empty { .. } => ("REPOSITORY_EMPTY", error.to_string()),
        IndexError::Stopped => ("STOPPED", error.to_string()),
        IndexError::Acquire(error) => ("DATABASE_ERROR", error.public()),
        IndexError::Database(error) => ("DATABASE_ERROR", public_statement_error(error)),
        IndexError::Task(_) => ("INTERNAL_ERROR", error.to_string()),
    };
    if matches!(code, "DATABASE_ERROR" | "INTERNAL_ERROR") {
        tracing::warn!(error = %error, "an index run failed");
    }
    Failure { code, message }
}
