//! Indexing jobs: accepted at once, run in the background, seen by everybody.
//!
//! A job is a row in the registry, so any process can report on it; the process that accepted it runs it
//! and signs its row every second. The module runs *a* job and knows nothing of what jobs do: the
//! handler comes from outside.
//!
//! `pending → running → completed | failed`; a finished job never changes again.

mod config;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use config::Config;
pub use queue::{JobState, JobStatus};

use crate::pool::{AcquireError, PgPool};

/// How often a job's row is signed and its progress written.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long after its last sign of life a job counts as orphaned.
const ORPHANED_AFTER: Duration = Duration::from_secs(30);
/// How often a follower looks at a job's row.
const FOLLOW: Duration = Duration::from_millis(200);

/// A job as its handler sees it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// The project it is for.
    pub project_id: Uuid,
    /// The repository to index: absolute and resolved.
    pub repo_path: String,
    /// Whether files are indexed again although they have not changed.
    pub force_reindex: bool,
}

/// How far a job is. Counts are of files, but for the chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as a stable label.
    pub phase: &'static str,
    /// Files found by the walk.
    pub scanned: u64,
    /// Files whose chunks were written by this job.
    pub indexed: u64,
    /// Files that were in the index already as they are.
    pub unchanged: u64,
    /// Files that a rule keeps out.
    pub skipped: u64,
    /// Files that could not be read.
    pub failed: u64,
    /// Chunks written by this job.
    pub chunks: u64,
}

/// What a handler works with: where to report progress, and when to stop.
#[derive(Debug, Clone)]
pub struct Run {
    /// The latest progress.
    pub progress: watch::Sender<Progress>,
    /// Cancelled when the process shuts down.
    pub stop: CancellationToken,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable code for clients.
    pub code: &'static str,
    /// What happened, why, and what to do.
    pub message: String,
}

/// Does the work of a job.
pub type Handler =
    Arc<dyn Fn(Job, Run) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static>;

/// A job that was accepted, or the one that is at it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The job's id.
    pub id: Uuid,
    /// Whether an unfinished job for the same repository existed, and this is it.
    pub existing: bool,
}

/// Why a job was not accepted, or could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Too many wait already.
    #[error("{limit} jobs wait already; retry when some have finished, or raise jobs.queue_limit")]
    QueueFull {
        /// `queue_limit` of the configuration.
        limit: usize,
    },
    /// There is no such job.
    #[error("there is no job with the id {id}")]
    NotFound {
        /// What was asked for.
        id: Uuid,
    },
    /// The process is shutting down.
    #[error("the server is shutting down and accepts no job")]
    ShuttingDown,
    /// No connection.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A statement failed.
    #[error("a statement on the job queue failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// The jobs of one process, and a view of everybody's.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    registry: PgPool,
    config: Config,
    handler: Handler,
    /// One permit a running job.
    slots: Semaphore,
    /// One permit a running or waiting job.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("running", &self.inner.tasks.len()).finish_non_exhaustive()
    }
}

impl Jobs {
    /// Runs jobs with `handler`, and closes those whose process died.
    pub async fn start(
        registry: PgPool,
        config: Config,
        handler: Handler,
    ) -> Result<Self, JobError> {
        let orphans = queue::fail_orphans(&mut registry.acquire().await?, ORPHANED_AFTER).await?;
        if orphans > 0 {
            tracing::warn!(jobs = orphans, "closed jobs whose process had stopped");
        }
        let inner = Inner {
            registry,
            handler,
            slots: Semaphore::new(config.max_concurrent),
            places: Arc::new(Semaphore::new(config.max_concurrent + config.queue_limit)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Accepts a job to index `repo_path` and returns at once. A repository with an unfinished job gets
    /// that job's id.
    ///
    /// # Cancel safety
    /// After a dropped future the job may have been accepted; it then runs, or is closed as orphaned.
    pub async fn submit(
        &self,
        project_id: Uuid,
        repo_path: &str,
        force_reindex: bool,
    ) -> Result<Submitted, JobError> {
        let inner = &self.inner;
        if inner.stop.is_cancelled() {
            return Err(JobError::ShuttingDown);
        }
        let mut lease = inner.registry.acquire().await?;
        queue::fail_orphans(&mut lease, ORPHANED_AFTER).await?;
        if let Some(id) = queue::active(&mut lease, project_id, repo_path).await? {
            return Ok(Submitted { id, existing: true });
        }
        let limit = inner.config.queue_limit;
        let place = Arc::clone(&inner.places)
            .try_acquire_owned()
            .map_err(|_full| JobError::QueueFull { limit })?;
        let (id, existing) =
            queue::enqueue(&mut lease, project_id, repo_path, force_reindex).await?;
        if !existing {
            let job = Job { id, project_id, repo_path: repo_path.to_owned(), force_reindex };
            let inner = Arc::clone(inner);
            self.inner.tasks.spawn(async move {
                inner.run(job).await;
                drop(place);
            });
        }
        Ok(Submitted { id, existing })
    }

    /// The job's row.
    pub async fn status(&self, id: Uuid) -> Result<JobStatus, JobError> {
        let mut lease = self.inner.registry.acquire().await?;
        queue::find(&mut lease, id).await?.ok_or(JobError::NotFound { id })
    }

    /// Follows a job of any process to its end.
    pub fn follow(&self, id: Uuid) -> Follow {
        Follow { jobs: self.clone(), id, state: None }
    }

    /// Accepts no more, stops the running ones at their next step, and waits for them.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

/// The statuses of a job, as they come.
#[derive(Debug)]
pub struct Follow {
    jobs: Jobs,
    id: Uuid,
    state: Option<JobState>,
}

impl Follow {
    /// The next status, the last one being that of the finished job; then `None`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<JobStatus>, JobError> {
        match self.state {
            Some(state) if state.is_finished() => return Ok(None),
            Some(_) => sleep(FOLLOW).await,
            None => {}
        }
        let status = self.jobs.status(self.id).await?;
        self.state = Some(status.status);
        Ok(Some(status))
    }
}

impl Inner {
    async fn run(&self, job: Job) {
        let (progress, seen) = watch::channel(Progress { phase: "waiting", ..Progress::default() });
        let run = Run { progress, stop: self.stop.clone() };
        let id = job.id;
        let mut work = std::pin::pin!(self.work(job, run));
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = heartbeat.tick() => {
                    let progress = *seen.borrow();
                    if let Err(error) = self.sign(id, progress).await {
                        tracing::warn!(job.id = %id, error = %error, "could not sign a job");
                    }
                }
            }
        };
        let progress = *seen.borrow();
        if let Err(error) = self.finish(id, progress, outcome).await {
            tracing::error!(job.id = %id, error = %error, "could not record the end of a job");
        }
    }

    async fn work(&self, job: Job, run: Run) -> Result<(), Failure> {
        let stopped = Failure {
            code: "STOPPED",
            message: "the server stopped before the job began; submit it again".to_owned(),
        };
        let _slot = tokio::select! {
            () = self.stop.cancelled() => return Err(stopped),
            slot = self.slots.acquire() => slot.map_err(|_closed| stopped)?,
        };
        let started = async { queue::begin(&mut self.registry.acquire().await?, job.id).await };
        started.await.map_err(|error: JobError| Failure {
            code: "DATABASE_ERROR",
            message: error.to_string(),
        })?;
        tracing::info!(job.id = %job.id, repository = job.repo_path, "job started");
        (self.handler)(job, run).await
    }

    async fn sign(&self, id: Uuid, progress: Progress) -> Result<(), JobError> {
        Ok(queue::sign(&mut self.registry.acquire().await?, id, progress).await?)
    }

    async fn finish(
        &self,
        id: Uuid,
        progress: Progress,
        outcome: Result<(), Failure>,
    ) -> Result<(), JobError> {
        let mut lease = self.registry.acquire().await?;
        queue::sign(&mut lease, id, progress).await?;
        match outcome {
            Ok(()) => {
                tracing::info!(job.id = %id, files = progress.indexed, chunks = progress.chunks, "job completed");
                queue::complete(&mut lease, id).await?;
            }
            Err(failure) => {
                tracing::warn!(job.id = %id, code = failure.code, error = failure.message, "job failed");
                queue::fail(&mut lease, id, &failure).await?;
            }
        }
        Ok(())
    }
}
